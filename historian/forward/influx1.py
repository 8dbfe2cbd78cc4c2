"""InfluxDB 1.x over HTTP: POST /write, GET /query; what 2.x and 3.x still serve of it too, and VictoriaMetrics' page
of metrics. The one module here that speaks HTTP itself.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from gateway.config.forward import ForwardKind, ForwardTarget, SecretError
from historian.forward.target import Answer, Misconfigured, SettingError, Unreachable, answer_of

GZIP_LEVEL = 1  # a quarter of the time of 6 for a tenth more bytes; a batch is some hundred KB
MAX_ANSWER_BYTES = 64 << 20  # of a query; its pages are far smaller
_STARTED = re.compile(
    rb"^(?:vm_app_start_timestamp|process_start_time_seconds)(?:\{[^}]*\})? (\S+)$", re.MULTILINE
)


class Http:
    """Requests to one target, each with its credentials, read anew where they were refused."""

    def __init__(self, target: ForwardTarget) -> None:
        self._target = target
        self._pool: urllib3.PoolManager | None = None
        self._headers: dict[str, str] = {}

    def request(
        self, method: str, path: str, fields: Mapping[str, str], body: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One request. Raises SettingError, urllib3's HTTPError."""
        if self._pool is None:
            self._pool = pool(self._target)
            self._headers = credentials(self._target)
        headers = dict(self._headers)
        if body is not None:
            body = gzip.compress(body, GZIP_LEVEL)
            headers |= {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        url = self._target.url.rstrip("/") + path
        if fields:
            url += "?" + urlencode(fields)
        response = self._pool.request(method, url, body=body, headers=headers, redirect=False)
        if response.status in (401, 403):
            self.close()  # whoever mends the secret is heard without a restart
        return response

    def close(self) -> None:
        if self._pool is not None:
            self._pool.clear()
            self._pool = None


class InfluxDb1:
    """A `Target` of InfluxDB 1.x."""

    def __init__(self, target: ForwardTarget) -> None:
        self._http = Http(target)
        self._database = target.database

    def write(self, lines: str) -> Answer:
        """See `Target`."""
        try:
            response = self._http.request(
                "POST", "/write", {"db": self._database, "precision": "ns"}, lines.encode()
            )
        except SettingError as error:
            return Misconfigured(str(error))
        except HTTPError as error:
            return Unreachable(trouble(error))
        return answer_of(
            response.status, response.data.decode("utf-8", "replace"), response.headers.get("Retry-After")
        )

    def incarnation(self) -> str | None:
        """It writes before it acknowledges: nothing has to be sent again after it was started anew."""
        return ""

    def close(self) -> None:
        """See `Target`."""
        self._http.close()


class InfluxQl:
    """Questions in InfluxQL: 1.x, 2.x and 3.x answer them at /query."""

    def __init__(self, target: ForwardTarget) -> None:
        self._http = Http(target)
        self._database = target.database

    def ask(self, question: str) -> list[dict[str, Any]]:
        """The series of the answer: ``name``, ``columns``, ``values``. Raises OSError, ValueError, SettingError."""
        fields = {"db": self._database, "q": question, "epoch": "ns"}
        try:
            response = self._http.request("GET", "/query", fields)
        except HTTPError as error:
            raise ConnectionError(trouble(error)) from None
        if response.status != 200:
            raise ConnectionError(f"{response.status}: {response.data[:200].decode('utf-8', 'replace')}")
        if len(response.data) > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of {len(response.data)} bytes")
        (result,) = json.loads(response.data, parse_int=_whole)["results"]
        if "error" in result:
            raise ValueError(result["error"])
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


def _whole(text: str) -> int | float:
    """1.x writes a double without decimals as a whole number, and -0.0 as -0, which a whole number cannot be."""
    return -0.0 if text == "-0" else int(text)


def started(http: Http) -> str | None:
    """When a VictoriaMetrics process was started, as its page of metrics says; "" where it does not."""
    try:
        response = http.request("GET", "/metrics", {})
    except (HTTPError, SettingError):
        return None
    if response.status >= 500:
        return None
    found = _STARTED.search(response.data) if response.status == 200 else None
    return found[1].decode() if found else ""


def pool(target: ForwardTarget) -> urllib3.PoolManager:
    """Connections to a target: no retries of their own. Raises SettingError."""
    return urllib3.PoolManager(
        num_pools=1,
        maxsize=1,
        retries=False,
        timeout=urllib3.Timeout(total=target.timeout_ms / 1000),
        ssl_context=tls_context(target),
    )


def tls_context(target: ForwardTarget) -> ssl.SSLContext | None:
    """TLS 1.2 and later, the certificate and its name checked; None over plain HTTP. Raises SettingError."""
    if not target.url.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(
            cafile=None if target.authorities is None else str(target.authorities)
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if target.certificate is not None:
            # An empty password: else OpenSSL asks for that of an encrypted key on the terminal, and waits.
            context.load_cert_chain(target.certificate, target.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"TLS: {error}") from None
    return context


def credentials(target: ForwardTarget) -> dict[str, str]:
    """Headers that say who we are. Raises SettingError."""
    if target.secret is None:
        return {}
    try:
        secret = target.secret.read()
    except SecretError as error:
        raise SettingError(str(error)) from None
    if target.username or target.kind is ForwardKind.INFLUXDB1:
        return dict(urllib3.make_headers(basic_auth=f"{target.username}:{secret}"))
    return {"Authorization": f"Token {secret}"}


def trouble(error: Exception) -> str:
    """What went wrong on the way, for an operator."""
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:300]
