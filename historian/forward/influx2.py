"""The v2 write API by `influxdb-client`: InfluxDB 2.x and 3.x, and VictoriaMetrics. The one module that knows it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from urllib3.exceptions import HTTPError

from gateway.config.forward import ForwardKind, ForwardTarget, SecretError
from historian.forward.influx1 import Http, started, tls_context, trouble
from historian.forward.target import Answer, Misconfigured, SettingError, Taken, Unreachable, answer_of

MISSING_LIBRARY = "needs pip install 'tieline[forwarding]'"


class InfluxDb2:
    """A `Target` that speaks the v2 write API."""

    def __init__(self, target: ForwardTarget) -> None:
        self._target = target
        self._client: Any = None  # the library's own types are not worth more here: two calls
        self._writer: Any = None
        self._http = Http(target)

    def write(self, lines: str) -> Answer:
        """See `Target`."""
        try:
            self._open()
        except SettingError as error:
            return Misconfigured(str(error))
        from influxdb_client.rest import ApiException

        try:
            self._writer.write(
                bucket=self._target.database,
                org=self._target.organisation,
                record=lines.encode(),
                write_precision="ns",
            )
        except ApiException as error:
            if error.status in (401, 403):
                self.close()  # whoever mends the secret is heard without a restart
            body = error.body or b""
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
            headers: Any = error.headers or {}
            return answer_of(error.status or 0, text, headers.get("Retry-After"))
        except (HTTPError, OSError) as error:
            return Unreachable(trouble(error))
        return Taken()

    def incarnation(self) -> str | None:
        """When it was started, where it is a VictoriaMetrics; others write before they acknowledge."""
        return started(self._http) if self._target.kind is ForwardKind.VICTORIAMETRICS else ""

    def close(self) -> None:
        """See `Target`."""
        self._http.close()
        if self._client is not None:
            client, self._client = self._client, None
            with suppress(HTTPError, OSError):
                client.close()

    def _open(self) -> None:
        if self._client is not None:
            return
        try:
            from influxdb_client.client.influxdb_client import InfluxDBClient
            from influxdb_client.client.write_api import SYNCHRONOUS
        except ImportError:
            raise SettingError(MISSING_LIBRARY) from None
        target = self._target
        try:
            secret = "" if target.secret is None else target.secret.read()
        except SecretError as error:
            raise SettingError(str(error)) from None
        self._client = InfluxDBClient(
            url=target.url.rstrip("/"),
            token=f"{target.username}:{secret}" if target.username else secret,
            org=target.organisation,
            timeout=target.timeout_ms,
            enable_gzip=True,
            auth_basic=bool(target.username),
            ssl_context=tls_context(target),
        )
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)
