"""Faults of meters put into a day of the simulated plant: a table and its labels, for `tieline anomaly score`.

    python benchmarks/energy/anomaly_day.py train.npz --seed 100 --each-hour 5
    python benchmarks/energy/anomaly_day.py day.npz --seed 7
    python benchmarks/energy/anomaly_faults.py train.npz day.npz FOLDER
    tieline anomaly score FOLDER/day.csv --labels FOLDER/labels.csv --train SHARE --detector ...

What a faulty meter shows is reckoned by the faults of `tieline fault`. What is learned from comes first.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.meters import Quantity, shown

NS = 10**9
START = int(datetime(2026, 6, 2, tzinfo=UTC).timestamp())  # the day; what is learned from is the day before
DAY_S = 86_400
SOURCES = (
    "pcc.power_kw",
    "pv1.power_kw",
    "wind1.power_kw",
    "battery1.power_kw",
    "genset1.power_kw",
    "ev.fleet_kw",
)
LOADS = tuple(f"feeder{number}.power_kw" for number in range(1, 5))


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault of the meter that shows ``tag``."""

    hour: float
    minutes: float
    tag: str
    kind: FaultKind
    share: float = 0.0

    @property
    def label(self) -> str:
        size = f" {self.share:g}" if self.share else ""
        return f"{self.kind}{size} {self.tag.partition('.')[0]}"


# Big ones and small ones: some of these can not be found, and the rates have to say so.
FAULTS = (
    Injected(1.0, 20, "feeder1.power_kw", FaultKind.STUCK),
    Injected(2.5, 20, "feeder2.power_kw", FaultKind.SPIKE, 4.0),
    Injected(3.2, 30, "feeder2.power_kw", FaultKind.SWAPPED),
    Injected(4.0, 90, "feeder3.power_kw", FaultKind.DRIFT, 0.1),
    Injected(5.8, 20, "feeder3.power_kw", FaultKind.STUCK),
    Injected(6.5, 30, "feeder4.power_kw", FaultKind.FRAUD, 0.3),
    Injected(8.0, 90, "feeder2.power_kw", FaultKind.DRIFT, 0.2),
    Injected(10.5, 30, "feeder3.power_kw", FaultKind.SWAPPED),
    Injected(12.0, 30, "pv1.power_kw", FaultKind.FRAUD, 0.1),
    Injected(13.5, 60, "feeder1.power_kw", FaultKind.FRAUD, 0.05),
    Injected(15.5, 30, "feeder1.power_kw", FaultKind.FRAUD, 0.3),
    Injected(17.5, 20, "feeder4.power_kw", FaultKind.STUCK),
    Injected(19.0, 20, "feeder3.power_kw", FaultKind.SPIKE, 0.5),
    Injected(20.5, 20, "feeder4.power_kw", FaultKind.SPIKE, 4.0),
)


def inject(names: list[str], seconds: Any, values: Any, faults: tuple[Injected, ...] = FAULTS) -> Any:
    """The table as the meters show it. ``seconds`` of the day (rows,), ``values`` (rows, names)."""
    table = np.array(values, np.float64)
    for one in faults:
        column = names.index(one.tag)
        begin = one.hour * 3600
        rows = np.flatnonzero((seconds >= begin) & (seconds < begin + one.minutes * 60))
        fault = Fault(one.kind, share=one.share)
        if one.kind is FaultKind.STUCK:
            table[rows, column] = table[rows[0], column]
            continue
        for row in rows.tolist():
            since = float(seconds[row] - begin)
            table[row, column] = shown(fault, Quantity.POWER, float(table[row, column]), since)
    return table


def windows(faults: tuple[Injected, ...] = FAULTS) -> list[tuple[int, int, str]]:
    """Labels, in ns: start, end, what."""
    begins = [(START + round(one.hour * 3600), round(one.minutes * 60), one.label) for one in faults]
    return [(begin * NS, (begin + length) * NS, label) for begin, length, label in begins]


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("day", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    wanted = [*SOURCES, *LOADS]
    parts = []
    for path, offset in ((args.train, START - DAY_S), (args.day, START)):
        stored = np.load(path)
        names = stored["names"].tolist()
        table = stored["values"][:, [names.index(name) for name in wanted]]
        if path is args.day:
            table = inject(wanted, stored["seconds"], table)
        parts.append((offset + stored["seconds"], table))
    args.folder.mkdir(parents=True, exist_ok=True)
    with (args.folder / "day.csv").open("w") as file:
        file.write(",".join(["time", *wanted]) + "\n")
        for times, table in parts:
            for second, row in zip(times.tolist(), table.tolist(), strict=True):
                file.write(",".join([_iso(second), *(f"{value:.3f}" for value in row)]) + "\n")
    lines = [f"{_iso(start // NS)},{_iso(end // NS)},{what}" for start, end, what in windows()]
    (args.folder / "labels.csv").write_text("\n".join(["start,end,what", *lines]) + "\n")
    rows = [len(times) for times, _ in parts]
    print(f"--train {rows[0] / sum(rows):.6f}")


if __name__ == "__main__":
    main()
