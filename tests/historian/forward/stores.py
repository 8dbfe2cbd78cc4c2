"""Processes of real stores: started on a free port of loopback, killed, started again on their files, asked."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

PATIENCE_S = 30.0  # a busy machine starts them in seconds
STARTS = 5  # somebody else may take the port that was free a moment before


class Store:
    """A process and its files. ``start`` after ``kill`` goes on with both port and files."""

    path_of_health = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.pool = urllib3.PoolManager()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        program = self.command()[0]
        assert shutil.which(program) is not None, f"needs {program}: run .ci/system-packages"
        for _ in range(STARTS):
            self.port = self.port or free_port()
            log = (self.directory / "log").open("ab")
            with log:
                self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
            if self._is_healthy():
                return
            self.kill()
            self.port = 0
        raise AssertionError((self.directory / "log").read_text()[-2000:])

    def ensure(self) -> None:
        """Running, whatever the test before did."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """-9, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """In good order: it writes down what it has in memory."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.process = None

    def get(self, path: str, **fields: str) -> bytes:
        return self._request("GET", path, fields)

    def _request(self, method: str, path: str, fields: dict[str, str], body: bytes | None = None) -> bytes:
        query = urlencode(fields)
        answer = self.pool.request(method, f"{self.url}{path}?{query}", body=body, retries=False, timeout=30)
        assert answer.status < 300, (answer.status, answer.data)
        return answer.data

    def _is_healthy(self) -> bool:
        give_up = time.monotonic() + PATIENCE_S
        assert self.process is not None
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                self.get(self.path_of_health)
            except (urllib3.exceptions.HTTPError, AssertionError):
                time.sleep(0.05)
            else:
                return True
        return False


class Influxd(Store):
    """InfluxDB 1.x."""

    path_of_health = "/ping"

    def command(self) -> list[str]:
        config = self.directory / "influxd.conf"
        config.write_text(
            f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{self.directory}/meta"
[data]
dir = "{self.directory}/data"
wal-dir = "{self.directory}/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
"""
        )
        return ["influxd", "-config", str(config)]

    def ask(self, question: str, database: str = "", method: str = "GET") -> list[dict[str, Any]]:
        fields = {"db": database, "q": question, "epoch": "ns"}
        answer = self._request(method, "/query", fields)
        (result,) = json.loads(answer, parse_int=lambda text: -0.0 if text == "-0" else int(text))["results"]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def write(self, database: str, lines: str) -> None:
        self._request("POST", "/write", {"db": database}, lines.encode())

    def samples(self, database: str, tag: str) -> list[tuple[int, Any, int]]:
        """Everything it has of a tag, by time."""
        found = self.ask(f'SELECT "value", "status" FROM "{tag}"', database)  # noqa: S608 - of our own store
        return [tuple(row) for row in found[0]["values"]] if found else []


class Victoria(Store):
    """VictoriaMetrics."""

    path_of_health = "/health"
    started = 0

    def start(self) -> None:
        """In another second than the last time: it says when it was started by the second."""
        while int(time.time()) <= self.started + 1:
            time.sleep(0.05)
        self.started = int(time.time())
        super().start()

    def command(self) -> list[str]:
        return [
            "victoria-metrics",
            f"-storageDataPath={self.directory}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
            "-loggerLevel=WARN",
        ]

    def samples(self, metric: str, **labels: str) -> list[tuple[int, float]]:
        """Everything it has of a metric, by time in ms."""
        match = "".join(f',{label}="{text}"' for label, text in labels.items())
        self.get("/internal/force_flush")
        lines = self.get("/api/v1/export", **{"match[]": f'{{__name__="{metric}"{match}}}'}).splitlines()
        found = [json.loads(line, parse_int=float) for line in lines]
        return sorted(pair for each in found for pair in zip(each["timestamps"], each["values"], strict=True))


@contextmanager
def running(store: Store) -> Iterator[Store]:
    """A store that is ended whatever happens."""
    store.start()
    try:
        yield store
    finally:
        store.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
