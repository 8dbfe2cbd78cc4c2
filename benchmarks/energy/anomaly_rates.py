"""How many faults the anomaly detectors miss, and how often they cry wolf: the tables of docs/anomaly.md, whole.

    python benchmarks/energy/anomaly_rates.py [--folder build/anomaly] [--days 10] [--csv FOLDER] [--no-public]

1. Two days of the simulated plant are made, a row a second, side by side: eight minutes on two quiet cores. They are
   kept in the folder, and used again where the code that makes them is the same. Interrupted, it goes on where it
   was.
2. The fourteen faults of anomaly_faults.py are put into one of them, by the faults of `tieline fault`; the detectors
   learn from the other. False alarms are counted between the faults, and in the same day without any.
3. Days of faults of drawn kinds, sizes, times and feeders, eleven a day: what is missed, by kind and size.
4. Public labelled series that packages ship (anomaly_public.py), which are fetched into the folder.

Where the days take over ``--most-minutes`` (40) it ends with an error; all else takes three minutes of each core.
``--csv`` also writes the day with the fourteen faults and its labels, for `tieline anomaly score`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from anomaly_day import made_by
from anomaly_faults import DAY_S, DRAWN, FAULTS, LOADS, NS, SOURCES, START, Injected, drawn, inject, windows
from anomaly_public import judge_public

from historian.anomaly import Alarms, AlarmSettings, Detector, Verdict, Window, judge
from historian.anomaly.catalogue import make

HERE = Path(__file__).parent
TRAIN_SEED, DAY_SEED = 100, 7
WANTED = (*SOURCES, *LOADS)
CLEAR_S = 30.0
DECIMALS = 3  # of a kW, as meters show it


@dataclass(frozen=True, slots=True)
class Tried:
    """A detector as `tieline anomaly score` takes it. ``grace_s`` after a fault nothing is held against it."""

    detector: str
    columns: tuple[str, ...]
    what: str
    hold_off_s: float = 0.0
    grace_s: float = 300.0

    @property
    def places(self) -> list[int]:
        return [WANTED.index(column) for column in self.columns]


_BALANCE = f"balance sources={','.join(SOURCES)} loads={','.join(LOADS)}"
TRIED = (
    Tried("gaussian", LOADS, "`gaussian` on the feeders", grace_s=900),
    Tried("flat-line limit=60", LOADS, "`flat-line limit=60` on the feeders"),
    Tried("rate", LOADS, "`rate` on the feeders"),
    Tried(_BALANCE, WANTED, "`balance` of the bus", hold_off_s=10),
    Tried("pca variance=0.999", WANTED, "`pca variance=0.999` of all ten powers", hold_off_s=10),
)
TOGETHER = tuple(one for one in TRIED if one.detector.split()[0] in ("gaussian", "flat-line", "balance"))
TOGETHER_GRACE_S = 900.0


@dataclass(frozen=True, slots=True)
class Day:
    """``times_ns`` (rows,) and ``values`` (rows, WANTED)."""

    seconds: Any
    times_ns: Any
    values: Any

    @classmethod
    def read(cls, file: Path, start: int) -> Day:
        with np.load(file) as stored:
            names = stored["names"].tolist()
            seconds = stored["seconds"]
            values = np.round(stored["values"][:, [names.index(name) for name in WANTED]], DECIMALS)
        return cls(seconds, ((start + seconds) * NS).astype(np.int64), values)

    def with_faults(self, faults: tuple[Injected, ...]) -> Day:
        shown = inject(list(WANTED), self.seconds, self.values, faults)
        return Day(self.seconds, self.times_ns, np.round(shown, DECIMALS))


def days(folder: Path, ends: float) -> tuple[Day, Day]:
    """To learn from, and to be judged; made side by side where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    code = made_by()
    wanted = {
        folder / f"train-{TRAIN_SEED}-{code}.npz": ["--seed", str(TRAIN_SEED), "--each-hour", "5"],
        folder / f"day-{DAY_SEED}-{code}.npz": ["--seed", str(DAY_SEED)],
    }
    for file in folder.glob("*-*-*.*"):
        if file.with_suffix(".npz") not in wanted:
            file.unlink()  # by other code
    makers = [
        subprocess.Popen([sys.executable, HERE / "anomaly_day.py", file, *how])
        for file, how in wanted.items()
        if not file.exists()
    ]
    try:
        for maker in makers:
            if maker.wait(timeout=max(ends - time.monotonic(), 1)) != 0:
                raise SystemExit("a day could not be made: see above")
    except subprocess.TimeoutExpired:
        raise SystemExit("a day took too long: begin again, it goes on where it was") from None
    finally:
        for maker in makers:
            maker.kill()
            maker.wait()
    train, day = wanted
    return Day.read(train, START - DAY_S), Day.read(day, START)


def learned(tried: Sequence[Tried], train: Day) -> dict[Tried, Detector]:
    found = {}
    for one in tried:
        name, *parameters = one.detector.split()
        detector = make(name, dict(part.split("=", 1) for part in parameters))
        found[one] = detector.learn(one.columns, train.times_ns, train.values[:, one.places])
    return found


def alarms_of(detectors: Mapping[Tried, Detector], day: Day) -> dict[Tried, Any]:
    """By detector, whether an alarm of any of its outputs stood, (rows,)."""
    found = {}
    for one, detector in detectors.items():
        scores = detector.scores(day.times_ns, day.values[:, one.places])
        tracked = Alarms(scores.shape[1], AlarmSettings(hold_off_s=one.hold_off_s, clear_s=CLEAR_S))
        stands = (tracked.push(at, row).any() for at, row in zip(day.times_ns.tolist(), scores, strict=True))
        found[one] = np.fromiter(stands, np.bool_, len(scores))
    return found


def anyone(alarms: Mapping[Tried, Any]) -> Any:
    return np.logical_or.reduce([alarms[one] for one in TOGETHER])


def labels(faults: tuple[Injected, ...]) -> list[Window]:
    return [Window(*window) for window in windows(faults)]


def words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def print_fixed(detectors: Mapping[Tried, Detector], day: Day) -> None:
    """The fourteen faults of every day's table."""
    faulty = alarms_of(detectors, day.with_faults(FAULTS))
    sound = alarms_of(detectors, day)
    rows = [(one.what, faulty[one], sound[one], one.grace_s) for one in detectors]
    rows.append(
        ("`gaussian`, `flat-line` and `balance` together", anyone(faulty), anyone(sound), TOGETHER_GRACE_S)
    )
    print(
        "| detector | missed | which | false alarms between them | of that time | in 24 h without | delay |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for what, alarms, calm, grace_s in rows:
        found = judge(day.times_ns, alarms, labels(FAULTS), grace_s=grace_s)
        whole = judge(day.times_ns, calm, [])
        print(
            f"| {what} | {len(found.missed)} of {found.windows} | {which(found)} "
            f"| {found.false_alarms} in {24 * found.sound_days:.0f} h | {100 * found.false_share:.2f} % "
            f"| {whole.false_alarms}, {100 * whole.false_share:.2f} % "
            f"| {words(found.median_delay_s)}, {words(found.longest_delay_s)} |"
            if found.delays_s
            else f"| {what} | all | | | | | |",
            flush=True,
        )


def which(found: Verdict) -> str:
    """What was missed, a kind of which all were by its name alone."""
    missed = [window.what for window in found.missed]
    told: list[str] = []
    for kind in dict.fromkeys(what.split()[0] for what in missed):
        of_kind = [what for what in missed if what.split()[0] == kind]
        is_all = len(of_kind) == sum(one.label.split()[0] == kind for one in FAULTS)
        told += [kind] if is_all else of_kind
    return ", ".join(told)


_pool: tuple[dict[Tried, Detector], Day]


def _begin(detectors: dict[Tried, Detector], day: Day) -> None:
    global _pool
    _pool = detectors, day


def _drawn_day(seed: int) -> tuple[list[tuple[str, list[float]]], int, float]:
    """Of a day: each fault and who found it after how long (NaN: not), false alarms, and days that were sound."""
    detectors, day = _pool
    faults = drawn(seed)
    alarms = alarms_of(detectors, day.with_faults(faults))
    seen = [*alarms.values(), anyone(alarms)]
    found = []
    for fault, window in zip(faults, labels(faults), strict=True):
        by = [judge(day.times_ns, one, [window]).median_delay_s for one in seen]
        found.append((kind_of(fault), by))
    whole = judge(day.times_ns, seen[-1], labels(faults), grace_s=TOGETHER_GRACE_S)
    return found, whole.false_alarms, whole.sound_days


def kind_of(fault: Injected) -> str:
    return fault.label.rpartition(" ")[0]


def print_drawn(detectors: dict[Tried, Detector], day: Day, count: int) -> None:
    """What is missed by kind and size, and in all."""
    three = {one: detectors[one] for one in TOGETHER}
    with ProcessPoolExecutor(2, initializer=_begin, initargs=(three, day)) as pool:
        rounds = list(pool.map(_drawn_day, range(count)))
    print("| fault | of | missed by all three | by `gaussian` | `flat-line` | `balance` | delay |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    of_kind: dict[str, list[list[float]]] = {
        kind_of(Injected(0, minutes, LOADS[0], kind, share)): [] for kind, share, minutes in DRAWN
    }
    for found, _, _ in rounds:
        for kind, by in found:
            of_kind[kind].append(by)
    everything = [by for kind in of_kind.values() for by in kind]
    for kind, rows in [*of_kind.items(), ("**all**", everything)]:
        table = np.array(rows)
        gaussian, flat, balance, together = np.isnan(table).sum(axis=0).tolist()
        delays = table[:, -1][~np.isnan(table[:, -1])]
        late = f"{words(float(np.median(delays)))}, {words(float(delays.max()))}" if len(delays) else "-"
        print(f"| {kind} | {len(rows)} | {together} | {gaussian} | {flat} | {balance} | {late} |")
    false, sound = (sum(one[place] for one in rounds) for place in (1, 2))
    print(f"missed {together} of {len(everything)} ({100 * together / len(everything):.1f} %); ", end="")
    print(f"{false} false alarms in {24 * sound:.0f} h between them ({false / sound:.1f} a day)", flush=True)


def write_csv(folder: Path, train: Day, day: Day) -> None:
    """The table and its labels, and which share of it is to be learned from."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "day.csv").open("w") as file:
        file.write(",".join(["time", *WANTED]) + "\n")
        for part in (train, day.with_faults(FAULTS)):
            for time_ns, row in zip(part.times_ns.tolist(), part.values.tolist(), strict=True):
                file.write(",".join([iso(time_ns), *(f"{value:.3f}" for value in row)]) + "\n")
    lines = [f"{iso(start)},{iso(end)},{what}" for start, end, what in windows()]
    (folder / "labels.csv").write_text("\n".join(["start,end,what", *lines]) + "\n")
    share = len(train.seconds) / (len(train.seconds) + len(day.seconds))
    print(f"{folder}: tieline anomaly score day.csv --labels labels.csv --train {share:.6f}")


def iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // NS, UTC).isoformat()


@contextmanager
def timed(what: str) -> Iterator[None]:
    begin = time.monotonic()
    print(f"\n## {what}\n", flush=True)
    yield
    print(f"({words(time.monotonic() - begin)})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "build" / "anomaly")
    parser.add_argument("--days", type=int, default=10, help="of drawn faults (default: 10)")
    parser.add_argument("--csv", type=Path, metavar="FOLDER")
    parser.add_argument("--no-public", action="store_true", help="without the public series")
    parser.add_argument("--most-minutes", type=float, default=40)
    args = parser.parse_args()
    ends = time.monotonic() + 60 * args.most_minutes
    with timed("The days"):
        train, day = days(args.folder, ends)
    if args.csv is not None:
        write_csv(args.csv, train, day)
    detectors = learned(TRIED, train)
    with timed("Fourteen faults in a day"):
        print_fixed(detectors, day)
    if args.days > 0:
        with timed(f"Drawn faults in {args.days} days"):
            print_drawn(detectors, day, args.days)
    if not args.no_public:
        with timed("Public series"):
            judge_public(args.folder / "public")


if __name__ == "__main__":
    main()
