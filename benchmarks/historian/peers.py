# ruff: noqa: S608 - questions to stores of our own, made of constants
"""The same batches and questions for other stores: DuckDB and SQLite in this process, two servers on loopback."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import numpy as np
import orjson
import pandas as pd
import pyarrow as arrow
import urllib3
from measure import Found, Queries, batch_timed, size_of, written_by
from ours import instants
from plant import SECOND, Batch, Plant

PATIENCE_S = 30.0
INFLUX_SETTLES_S = (
    60.0  # its cache goes to files after 2 s, they are compacted after 5; then its log is empty
)
INFLUX_EMPTY_LOG = 1 << 20
VICTORIA_SETTLES_S = 5.0


class DuckDB:
    """Rows (tag, time, value) appended by Arrow tables, a commit a batch; sorted by tag and time at the end."""

    name = "DuckDB"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = duckdb.connect(str(directory / "plant.duckdb"))
        self.database.execute("CREATE TABLE samples(tag UINTEGER, time BIGINT, value DOUBLE)")

    def ingest(self, plant: Plant) -> Found:
        found = Found(self.name)
        begin_written, cpu = written_by(), 0.0
        for batch in plant.batches():
            before = time.process_time()
            with batch_timed(found):
                table = arrow.table({"tag": batch.tags, "time": batch.times, "value": batch.values})
                self.database.register("batch", table)
                self.database.execute("INSERT INTO samples SELECT * FROM batch")
            found.samples += len(batch)
            cpu += time.process_time() - before
        before, begin = time.process_time(), time.perf_counter()
        self.database.execute("CREATE TABLE sorted AS SELECT * FROM samples ORDER BY tag, time")
        self.database.execute("DROP TABLE samples")
        self.database.execute("CHECKPOINT")
        found.after_s = time.perf_counter() - begin
        found.cpu_s = cpu + time.process_time() - before
        found.written = written_by() - begin_written
        copy = self.directory / "copy.duckdb"
        self.database.execute(f"ATTACH '{copy}' AS copy; COPY FROM DATABASE plant TO copy; DETACH copy")
        found.size = copy.stat().st_size
        found.notes.append("size of a fresh copy: DuckDB does not give back what the unsorted table took")
        copy.unlink()
        return found

    def queries_of_hour(self, plant: Plant) -> Queries:
        ask = self.database.execute
        span = (plant.start, plant.end)
        between = "time >= ? AND time < ?"
        asked = pd.DataFrame({"time": instants(plant)})
        self.database.register("asked", asked)
        return {
            "raw": lambda: ask(
                f"SELECT time, value FROM sorted WHERE tag = 1 AND {between}", span
            ).fetchnumpy(),
            "last": lambda: ask(
                "SELECT tag, max(time), arg_max(value, time) FROM sorted WHERE tag < 100 GROUP BY tag"
            ).fetchnumpy(),
            "at_time": lambda: ask(
                "SELECT asked.time, value FROM asked ASOF JOIN (SELECT * FROM sorted WHERE tag = 1) AS s"
                " ON asked.time >= s.time"
            ).fetchnumpy(),
            "all_average": lambda: ask(
                f"SELECT tag, (time - ?) // 60000000000 AS minute, avg(value) FROM sorted WHERE tag < ? AND {between}"
                " GROUP BY tag, minute",
                (plant.start, plant.slow, *span),
            ).fetchnumpy(),
            "frame": lambda: ask(
                f"SELECT make_timestamp_ns(time) AS time, tag, value FROM sorted WHERE tag < 100 AND {between}",
                span,
            ).df(),
        }

    def queries_of_day(self, plant: Plant) -> Queries:
        def average(seconds: int) -> Any:
            return self.database.execute(
                "SELECT (time - ?) // ? AS i, sum(value * (following - time)) / sum(following - time) FROM (SELECT"
                " time, value, lead(time, 1, ?) OVER (ORDER BY time) AS following FROM sorted WHERE tag = 1"
                " AND time >= ? AND time < ?) GROUP BY i",
                (plant.start, seconds * SECOND, plant.end, plant.start, plant.end),
            ).fetchnumpy()

        return {"day_average": lambda: average(900), "day_minutes": lambda: average(60)}

    def close(self) -> None:
        self.database.close()


class SQLiteRows:
    """A row a sample, a transaction a batch, synchronous=FULL."""

    name = "SQLite rows"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = sqlite3.connect(directory / "rows.sqlite", isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute(
            "CREATE TABLE samples(tag INTEGER, time INTEGER, value, PRIMARY KEY(tag, time)) WITHOUT ROWID"
        )

    def ingest(self, plant: Plant) -> Found:
        found = Found(self.name)
        begin_written, cpu = written_by(), 0.0
        for batch in plant.batches():
            before = time.process_time()
            with batch_timed(found):
                rows = zip(batch.tags.tolist(), batch.times.tolist(), batch.values.tolist(), strict=True)
                self.database.execute("BEGIN")
                self.database.executemany("INSERT OR REPLACE INTO samples VALUES(?, ?, ?)", rows)
                self.database.execute("COMMIT")
            found.samples += len(batch)
            cpu += time.process_time() - before
        begin = time.perf_counter()
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found.after_s = time.perf_counter() - begin
        found.cpu_s = cpu
        found.written = written_by() - begin_written
        found.size = size_of(self.directory)
        return found

    def queries_of_hour(self, plant: Plant) -> Queries:
        ask = self.database.execute
        span = (plant.start, plant.end)
        times = instants(plant).tolist()
        newest = "SELECT value FROM samples WHERE tag = ? AND time <= ? ORDER BY time DESC LIMIT 1"
        many = "SELECT time, tag, value FROM samples WHERE tag < 100 AND time >= ? AND time < ?"
        return {
            "raw": lambda: np.array(
                ask(
                    "SELECT time, value FROM samples WHERE tag = 1 AND time >= ? AND time < ?", span
                ).fetchall()
            ),
            "last": lambda: [ask(newest, (tag, plant.end)).fetchone() for tag in range(100)],
            "at_time": lambda: [ask(newest, (1, at)).fetchone() for at in times],
            "all_average": lambda: ask(
                "SELECT tag, (time - ?) / 60000000000 AS minute, avg(value) FROM samples WHERE tag < ? GROUP BY tag,"
                " minute",
                (plant.start, plant.slow),
            ).fetchall(),
            "frame": lambda: pd.DataFrame(ask(many, span).fetchall(), columns=["time", "tag", "value"]),
        }

    def close(self) -> None:
        self.database.close()


class Server:
    """A process on a free port of loopback, ended whatever happens."""

    name = ""
    health = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.pool = urllib3.PoolManager(retries=False, timeout=120)
        log = (directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        give_up = time.monotonic() + PATIENCE_S
        while not self.answers():
            if time.monotonic() > give_up or self.process.poll() is not None:
                self.close()
                raise RuntimeError(f"{self.name} did not start: {(directory / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        try:
            self.request("GET", self.health)
        except (urllib3.exceptions.HTTPError, RuntimeError):
            return False
        return True

    def request(self, method: str, path: str, body: bytes | None = None, **fields: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}?{urlencode(fields)}"
        answer = self.pool.request(method, url, body=body)
        if answer.status >= 300:
            raise RuntimeError(f"{self.name}: {answer.status} {answer.data[:300]!r}")
        return answer.data

    def ingest(self, plant: Plant) -> Found:
        found = Found(self.name)
        cpu = cpu_of(self.process.pid)
        for batch in plant.batches():
            body = lines_of(batch)  # a gateway has to do this too, but it is none of the server's work
            with batch_timed(found):
                self.request("POST", "/write", body, db="plant")
            found.samples += len(batch)
        begin = time.perf_counter()
        self.settle()
        found.after_s = time.perf_counter() - begin
        found.cpu_s = cpu_of(self.process.pid) - cpu
        return found

    def measure_files(self, found: Found) -> None:
        """What is written when all that is in memory has gone to files; ends the server."""
        self.process.terminate()
        give_up = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < give_up:
            found.written = max(found.written, written_by(self.process.pid))
            time.sleep(0.02)
        found.size = size_of(self.directory)

    def settle(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pool.clear()


class VictoriaMetrics(Server):
    name = "VictoriaMetrics"
    health = "/health"

    def command(self) -> list[str]:
        return [
            "victoria-metrics",
            f"-storageDataPath={self.directory}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-search.disableCache",
            "-search.maxUniqueTimeseries=1000000",
            "-loggerLevel=ERROR",
        ]

    def settle(self) -> None:
        self.request("GET", "/internal/force_flush")
        self.request("GET", "/internal/force_merge")
        time.sleep(VICTORIA_SETTLES_S)

    def queries_of_hour(self, plant: Plant) -> Queries:
        low, high = seconds_of(plant.start), seconds_of(plant.end - SECOND // 10)
        hundred = '{__name__="h_v",id=~"t[0-9]{1,2}"}'

        def export(match: str) -> list[Any]:
            data = self.request("GET", "/api/v1/export", **{"match[]": match, "start": low, "end": high})
            return [orjson.loads(line) for line in data.splitlines()]

        def frame() -> pd.DataFrame:
            found = export(hundred)
            counts = [len(one["values"]) for one in found]
            return pd.DataFrame(
                {
                    "time": np.concatenate([one["timestamps"] for one in found]),
                    "tag": np.repeat([one["metric"]["id"] for one in found], counts),
                    "value": np.concatenate([one["values"] for one in found]),
                }
            )

        times = [seconds_of(at) for at in instants(plant).tolist()]
        return {
            "raw": lambda: [np.array(one["values"]) for one in export('{__name__="h_v",id="t1"}')],
            "last": lambda: self.json("/api/v1/query", query=hundred, time=high),
            "at_time": lambda: [
                self.json("/api/v1/query", query='h_v{id="t1"}', time=moment) for moment in times
            ],
            "all_average": lambda: self.json(
                "/api/v1/query_range", query="avg_over_time(h_v[1m])", start=low, end=high, step="60"
            ),
            "frame": frame,
        }

    def queries_of_day(self, plant: Plant) -> Queries:
        low, high = seconds_of(plant.start), seconds_of(plant.end)

        def average(seconds: int) -> Any:
            query = f'avg_over_time(h_v{{id="t1"}}[{seconds}s])'
            return self.json("/api/v1/query_range", query=query, start=low, end=high, step=str(seconds))

        return {"day_average": lambda: average(900), "day_minutes": lambda: average(60)}

    def json(self, path: str, **fields: str) -> Any:
        answer = orjson.loads(self.request("GET", path, **fields))
        assert answer["data"]["result"], fields
        return answer


class InfluxDB(Server):
    name = "InfluxDB 1.6.7"
    health = "/ping"

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
cache-snapshot-write-cold-duration = "2s"
compact-full-write-cold-duration = "5s"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
"""
        )
        return ["influxd", "-config", str(config)]

    def ingest(self, plant: Plant) -> Found:
        self.request("POST", "/query", q="CREATE DATABASE plant")
        return super().ingest(plant)

    def settle(self) -> None:
        give_up = time.monotonic() + INFLUX_SETTLES_S
        while size_of(self.directory / "wal") > INFLUX_EMPTY_LOG and time.monotonic() < give_up:
            time.sleep(0.5)

    def queries_of_hour(self, plant: Plant) -> Queries:
        span = f"time >= {plant.start} AND time < {plant.end}"
        hundred = "id =~ /^t[0-9][0-9]?$/"
        times = instants(plant).tolist()

        def frame() -> pd.DataFrame:
            found = self.json(f"SELECT v FROM h WHERE {hundred} AND {span} GROUP BY id")
            return pd.concat(
                pd.DataFrame(one["values"], columns=["time", "value"]).assign(tag=one["tags"]["id"])
                for one in found
            )

        return {
            "raw": lambda: np.array(self.json(f"SELECT v FROM h WHERE id = 't1' AND {span}")[0]["values"]),
            "last": lambda: self.json(f"SELECT last(v) FROM h WHERE {hundred} AND {span} GROUP BY id"),
            "at_time": lambda: [
                self.json(f"SELECT last(v) FROM h WHERE id = 't1' AND time <= {moment}") for moment in times
            ],
            "all_average": lambda: self.json(f"SELECT mean(v) FROM h WHERE {span} GROUP BY id, time(1m)"),
            "frame": frame,
        }

    def queries_of_day(self, plant: Plant) -> Queries:
        span = f"id = 't1' AND time >= {plant.start} AND time < {plant.end}"
        return {
            "day_average": lambda: self.json(f"SELECT mean(v) FROM h WHERE {span} GROUP BY time(15m)"),
            "day_minutes": lambda: self.json(f"SELECT mean(v) FROM h WHERE {span} GROUP BY time(1m)"),
        }

    def json(self, question: str) -> Any:
        answer = orjson.loads(self.request("GET", "/query", q=question, db="plant", epoch="ns"))
        return answer["results"][0]["series"]


def lines_of(batch: Batch) -> bytes:
    """InfluxDB's line protocol; VictoriaMetrics makes ``h_v{id=...}`` of it."""
    rows = zip(batch.tags.tolist(), batch.values.tolist(), batch.times.tolist(), strict=True)
    return "\n".join([f"h,id=t{tag} v={value!r} {time}" for tag, value, time in rows]).encode()


def seconds_of(time_ns: int) -> str:
    return f"{time_ns / SECOND:.3f}"


def cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Peer = DuckDB | SQLiteRows | VictoriaMetrics | InfluxDB


@contextmanager
def running(kind: type[Peer], directory: Path) -> Iterator[Peer]:
    directory.mkdir(parents=True)
    peer = kind(directory)
    try:
        yield peer
    finally:
        peer.close()
