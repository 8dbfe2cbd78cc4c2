"""Faults of meters put into a day of the simulated plant (anomaly_day.py), for anomaly_rates.py and the tests.

What a faulty meter shows is reckoned by the faults of `tieline fault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
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

# What is drawn: one of each in each day, with its minutes, and a rest after it.
DRAWN = (
    (FaultKind.STUCK, 0.0, 20),
    (FaultKind.SPIKE, 4.0, 20),
    (FaultKind.SPIKE, 0.5, 20),
    (FaultKind.SWAPPED, 0.0, 30),
    (FaultKind.DRIFT, 0.2, 90),
    (FaultKind.DRIFT, 0.1, 90),
    (FaultKind.DRIFT, 0.05, 90),
    (FaultKind.FRAUD, 0.3, 60),
    (FaultKind.FRAUD, 0.2, 60),
    (FaultKind.FRAUD, 0.1, 60),
    (FaultKind.FRAUD, 0.05, 60),
)
SLOT_MIN = 24 * 60 / len(DRAWN)
REST_MIN = 15  # after a fault, for detectors to forget it


def drawn(seed: int) -> tuple[Injected, ...]:
    """Each kind and size of ``DRAWN`` once in a day, in an order, at times and on feeders that are drawn."""
    random = np.random.default_rng(seed)
    found = []
    for slot, place in enumerate(random.permutation(len(DRAWN)).tolist()):
        kind, share, minutes = DRAWN[place]
        late = random.integers(1, int(SLOT_MIN - REST_MIN - minutes))
        begin = int(slot * SLOT_MIN) + int(late)
        found.append(Injected(begin / 60, minutes, LOADS[int(random.integers(len(LOADS)))], kind, share))
    return tuple(found)


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
