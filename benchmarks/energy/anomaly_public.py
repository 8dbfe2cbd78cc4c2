"""Public series with labelled anomalies that packages ship, judged by the same formulas as the simulated day.

    python benchmarks/energy/anomaly_public.py [--folder build/anomaly/public]

Only the packages' files are wanted: `pip install --no-deps --target FOLDER` of the versions below, 20 MB.

ucr-135: blood pressure, one anomaly (Keogh et al. 2021, the UCR anomaly archive), as aeon ships it. mitdb: an
electrocardiogram of the MIT-BIH arrhythmia database (Moody & Mark 1992), one odd beat; yahoo: hourly values of the
benchmark S5 (Laptev et al. 2015: for research), seven outliers; both by TSB-UAD (Paparrizos et al. 2022), as sktime
ships them. ecg-diff: made by GutenTAG (Wenig et al. 2022), three changes of shape, as aeon ships it. pv-outliers,
pv-stale: real power of two inverters of the PV Fleet at 15 minutes, into which pvanalytics' authors put outliers and
values that stand still.

A value is taken as a second, as detectors count in rows and seconds. All detectors have their settings as they are,
but for the length of `shape`, which is the season or beat of the series.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from historian.anomaly import Alarms, AlarmSettings, TooLittle, Verdict, Window, judge
from historian.anomaly.catalogue import make

PACKAGES = ("aeon==1.6.0", "sktime==1.2.0", "pvanalytics==0.2.2")
DETECTORS = ("gaussian", "range", "rate", "flat-line")
NS = 10**9


@dataclass(frozen=True, slots=True)
class Series:
    """``train`` values are sound; ``odd`` (rows,) of ``values`` are labelled. ``beat``: rows that a shape takes.

    ``goes_on``: what is judged comes right after what is learned from.
    """

    train: Any
    values: Any
    odd: Any
    beat: int
    goes_on: bool = False


def _columns(file: Path, *names: str) -> list[Any]:
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    return [np.array([_number(row[name]) for row in rows]) for name in names]


def _number(cell: str) -> float:
    """Missing values are empty, labels numbers or words."""
    return (
        {"": np.nan, "true": 1.0, "false": 0.0}[cell.lower()] if not cell or cell.isalpha() else float(cell)
    )


def _cut(columns: list[Any], rows: int, beat: int) -> Series:
    values, odd = columns
    return Series(values[:rows], values[rows:], odd[rows:], beat, goes_on=True)


def _read(folder: Path) -> dict[str, Series]:
    aeon, sktime = folder / "aeon" / "datasets" / "data", folder / "sktime" / "datasets" / "data"
    pv = folder / "pvanalytics" / "data"
    ucr = (
        aeon / "KDD-TSAD_135" / "135_UCR_Anomaly_InternalBleeding16_TEST.csv"
    )  # begins with what is to be learned
    (ecg_train,) = _columns(aeon / "UnitTest" / "ecg-diff-count-3_TRAIN_NA.csv", "value-0")
    ecg = _columns(aeon / "UnitTest" / "ecg-diff-count-3_TEST.csv", "value-0", "is_anomaly")
    outliers = _columns(pv / "ac_power_inv_7539_outliers.csv", "value_normalized", "outlier")
    stale = _columns(pv / "ac_power_inv_2173_stale_data.csv", "value_normalized", "stale_data_mask")
    return {
        "ucr-135": _cut(_columns(ucr, "value", "is_anomaly"), 1_200, beat=20),
        "mitdb": _cut(_columns(sktime / "mitdb" / "mitdb.csv", "data", "label"), 3_000, beat=280),
        "ecg-diff": Series(ecg_train, *ecg, beat=100),
        "yahoo": _cut(_columns(sktime / "yahoo" / "yahoo.csv", "data", "label"), 400, beat=24),
        # The first anomalies are near the beginning: what comes after the last is learned from.
        "pv-outliers": Series(outliers[0][340:], outliers[0][:340], outliers[1][:340], beat=12),
        "pv-stale": Series(stale[0][1_600:2_600], stale[0][:1_600], stale[1][:1_600], beat=12),
    }


def _judged(series: Series, detector: str) -> Verdict:
    """Raises TooLittle. In the rows of a beat after an anomaly nothing is held against a detector."""
    name, *parameters = detector.split()
    train_ns = NS * np.arange(len(series.train), dtype=np.int64)
    times_ns = NS * (len(train_ns) + np.arange(len(series.values), dtype=np.int64))
    made = make(name, dict(part.split("=", 1) for part in parameters))
    made.learn(("value",), train_ns, series.train[:, None])
    before = len(train_ns) if series.goes_on else 0  # windows are full then where judging begins
    rows = np.concatenate((series.train[:before], series.values))[:, None]
    scores = made.scores(np.concatenate((train_ns[:before], times_ns)), rows)[before:]
    tracked = Alarms(scores.shape[1], AlarmSettings())
    alarms = np.array(
        [tracked.push(at, row).any() for at, row in zip(times_ns.tolist(), scores, strict=True)]
    )
    edges = np.diff(series.odd.astype(np.int64), prepend=0, append=0)
    begins, ends = (np.flatnonzero(edges == way).tolist() for way in (1, -1))
    first = int(times_ns[0])
    found = [Window(first + NS * begin, first + NS * end) for begin, end in zip(begins, ends, strict=True)]
    return judge(times_ns, alarms, found, grace_s=series.beat)


def fetch(folder: Path) -> None:
    """The packages' files, where they are not there. Raises SystemExit where they cannot be had."""
    told = folder / "packages.txt"
    if told.exists() and told.read_text().split() == list(PACKAGES):
        return
    print(f"fetches {', '.join(PACKAGES)}", flush=True)
    how = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:", "--upgrade"]
    if subprocess.run([*how, "--target", str(folder), *PACKAGES], timeout=600, check=False).returncode != 0:
        raise SystemExit(
            f"the packages of the public series could not be had: pip install --no-deps --target {folder} "
            f"{' '.join(PACKAGES)}; or leave the series out (--no-public)"
        )
    told.write_text("\n".join(PACKAGES))


def judge_public(folder: Path) -> None:
    """Prints each series by each detector, and what they find together."""
    fetch(folder)
    totals: dict[str, list[Verdict]] = {}
    print("| series | detector | missed | false alarms | of sound rows | delay |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, series in _read(folder).items():
        for detector in (*DETECTORS, f"shape length={series.beat}"):
            try:
                found = _judged(series, detector)
            except TooLittle as error:
                print(f"| {name} | `{detector}` | {error} | | | |", flush=True)
                continue
            totals.setdefault(detector.split()[0], []).append(found)
            late = f"{found.median_delay_s:.0f} rows" if found.delays_s else ""
            print(
                f"| {name} | `{detector}` | {len(found.missed)} of {found.windows} | {found.false_alarms} "
                f"| {100 * found.false_share:.2f} % of {found.sound_rows:,} | {late} |",
                flush=True,
            )
    for detector, of_all in totals.items():
        missed, windows = sum(len(one.missed) for one in of_all), sum(one.windows for one in of_all)
        false_rows, sound = sum(one.false_rows for one in of_all), sum(one.sound_rows for one in of_all)
        print(
            f"| **all** | `{detector}` | {missed} of {windows} | {sum(one.false_alarms for one in of_all)} "
            f"| {100 * false_rows / sound:.2f} % of {sound:,} | |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(__file__).parents[2] / "build" / "anomaly" / "public"
    )
    judge_public(parser.parse_args().folder)


if __name__ == "__main__":
    main()
