"""The historian beside DuckDB, SQLite rows, VictoriaMetrics and InfluxDB, on the same samples in the same run.

Two plants: 5,000 tags at 1 Hz with 20 at 10 Hz for an hour, in batches of 5,200; and 100 tags at 1 Hz for a day. The
whole of it takes some minutes; --quick (five minutes of plant, a tenth of the day) about one.

Usage: python benchmarks/historian [--quick] [--minutes N] [--hours N] [--only NAME ...] [--feed-s N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import ours
from measure import Found, ask, at
from peers import DuckDB, InfluxDB, Peer, Server, SQLiteRows, VictoriaMetrics, running
from plant import SECOND, Plant

PEERS: dict[str, type[Peer]] = {
    "duckdb": DuckDB,
    "victoria": VictoriaMetrics,
    "influx": InfluxDB,
    "sqlite": SQLiteRows,
}
INFLUX_DAY_TAGS = 10  # of the day only one tag is asked for; a hundred would take it some minutes more
SQLITE_SECONDS = 60  # a hundred times slower than the others: a minute is enough to see it
QUERIES = {
    "raw": "raw, one tag of the hour",
    "day_average": "time-weighted average by 15 min, one tag of the day",
    "day_minutes": "the same by the minute",
    "last": "last of 100 tags",
    "at_time": "at-time x 100, one tag",
    "all_average": "averages by the minute, all tags of the hour",
    "frame": "100 tags of the hour into a DataFrame, long",
    "wide": "the same, wide",
    "chart": "chart of 1,000 columns, one tag of the hour",
}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="five minutes of plant and 2.4 h of the day")
    options.add_argument("--minutes", type=int, default=60, help="of the 5,020 tags (60)")
    options.add_argument("--hours", type=float, default=24, help="of the 100 tags (24)")
    options.add_argument("--tags", type=int, default=5000, help="at 1 Hz (5000)")
    options.add_argument("--only", nargs="*", choices=["ours", *PEERS], help="of these stores only")
    options.add_argument(
        "--feed-s", type=float, default=30.0, help="of questions while it ingests (30; 0: none)"
    )
    options.add_argument("--feed", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=float, default=30.0, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.feed is not None:
        ours.feed(given.feed, Plant(given.tags, 20, 3600, 0), given.seconds)
        return
    minutes, hours = (5, 2.4) if given.quick else (given.minutes, given.hours)
    midnight = time.time_ns() // (86_400 * SECOND) * 86_400 * SECOND - 86_400 * SECOND
    hour = Plant(given.tags, 20, minutes * 60, midnight)
    day = Plant(100, 0, int(hours * 3600), midnight, step=60)
    chosen = given.only or ["ours", *PEERS]
    begin = time.perf_counter()
    load = os.getloadavg()[0]
    found: list[Found] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-historian-") as scratch:
        if "ours" in chosen:
            found.append(measure_ours(Path(scratch), hour, day))
            if given.feed_s:
                lines = ours.under_load(Path(scratch) / "fed", hour, given.feed_s)
        for name in (name for name in PEERS if name in chosen):
            if shutil.which({"victoria": "victoria-metrics", "influx": "influxd"}.get(name, "true")) is None:
                print(f"{name} is not installed: left out")
                continue
            found.append(measure_peer(PEERS[name], Path(scratch) / name, hour, day))
    print(
        f"{hour.tags} tags, {minutes} min, {hour.samples:,} samples; 100 tags, {hours:g} h; {os.cpu_count()} cores, "
        f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after, {time.perf_counter() - begin:.0f} s"
    )
    print()
    print("\n".join(table(found)))
    print()
    print("\n".join(lines))


def measure_ours(scratch: Path, hour: Plant, day: Plant) -> Found:
    print("ours ...", file=sys.stderr)
    found = ours.ingest(scratch / "hour", hour)
    ours.ingest(scratch / "day", day)
    anew: dict[str, float] = {}
    for directory, plant, queries_of in (
        (scratch / "hour", hour, ours.queries_of_hour),
        (scratch / "day", day, ours.queries_of_day),
    ):
        history = ours.open_history(directory, plant)
        queries = queries_of(history, plant)
        found.queries_ms |= ask(queries)
        anew |= ours.ask_anew(history, queries)
        history.close()
    first = ", ".join(f"{QUERIES[name]} {took:.3g}" for name, took in anew.items())
    found.notes.append(
        f"The historian asked for the first time (opened anew, files in the page cache), ms: {first}"
    )
    return found


def measure_peer(kind: type[Peer], scratch: Path, hour: Plant, day: Plant) -> Found:
    print(f"{kind.name} ...", file=sys.stderr)
    if kind is SQLiteRows:
        hour = Plant(hour.slow, hour.fast, min(hour.seconds, SQLITE_SECONDS), hour.start)
    with running(kind, scratch / "hour") as peer:
        found = peer.ingest(hour)
        found.queries_ms = ask(peer.queries_of_hour(hour))
        if isinstance(peer, Server):
            peer.measure_files(found)
    if kind is SQLiteRows:
        found.notes.append(f"SQLite rows: the first {hour.seconds} s of the hour only")
        return found
    if kind is InfluxDB:
        day = Plant(INFLUX_DAY_TAGS, 0, day.seconds, day.start, day.step)
        found.notes.append(f"InfluxDB: {INFLUX_DAY_TAGS} tags of the day")
    with running(kind, scratch / "day") as peer:
        peer.ingest(day)
        assert not isinstance(peer, SQLiteRows)
        found.queries_ms |= ask(peer.queries_of_day(day))
    return found


def table(found: list[Found]) -> list[str]:
    """Markdown."""
    rows: list[tuple[str, ...]] = [("", *(one.name for one in found))]
    rows.append(tuple("---" for _ in rows[0]))
    figures = (
        ("bytes a sample, all files", lambda one: f"{one.size / one.samples:.2f}"),
        ("bytes a sample written to the device", lambda one: f"{one.written / one.samples:.1f}"),
        (
            "batch: p50 / p99 / worst, ms",
            lambda one: " / ".join(f"{at(one.waits, s):.1f}" for s in (0.5, 0.99, 1)),
        ),
        ("samples/s in batches, million", lambda one: f"{one.samples / sum(one.waits) / 1e6:.2f}"),
        (
            "the same with packing, merging, sorting",
            lambda one: f"{one.samples / (sum(one.waits) + one.after_s) / 1e6:.2f}",
        ),
        ("CPU a sample, all of it, µs", lambda one: f"{one.cpu_s / one.samples * 1e6:.2f}"),
    )
    rows += [(name, *(figure(one) for one in found)) for name, figure in figures]
    for key, name in QUERIES.items():
        times = [one.queries_ms.get(key) for one in found]
        if any(time is not None for time in times):
            rows.append((f"{name}, ms", *("" if time is None else f"{time:.3g}" for time in times)))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return lines + [f"\n{note}." for one in found for note in one.notes]


if __name__ == "__main__":
    main()
