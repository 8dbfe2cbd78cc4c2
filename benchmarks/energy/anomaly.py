"""Anomaly scores of 5,000 tags every second: CPU of the part's work, beside river and pandas.

    python benchmarks/energy/anomaly.py [--tags 5000] [--seconds 120]

The part's work is reading the image, scoring, and writing what changed, as it is in a site; goal: 20 % of a core.
The peers only score, out of arrays: river's GaussianScorer, one a tag (``pip install river``), and the z-score of
the last row by pandas' rolling mean and standard deviation over a window of 600 rows.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gateway.config.load import load_site
from gateway.tags.image import Region
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.anomaly import Forest, Observation, Pca
from historian.anomaly.part import Watch
from historian.query.history import History

NS = 10**9
WINDOW = 600
SITE = """\
site: {{name: anomaly-benchmark}}
areas: {{grid: Tie}}
devices:
  m:
    area: grid
    repeat: 1..{tags}
    protocol: modbus
    connection: {{host: 192.0.2.1, port: "${{n + 1000}}"}}
    groups: {{fast: {{period_ms: 100}}}}
    points:
      power_kw: {{table: input, address: 0, type: float64, unit: kW}}
anomalies:
  each: {{detector: {detector}, tags: ["m*.power_kw"], area: grid}}
"""
DETECTORS = {
    "gaussian": "gaussian",
    "range": "range, range: [0, 200]",
    "rate": "rate, limit: 50",
    "flat-line": "flat-line, limit: 60",
    "missing": "missing, limit: 10",
    "clock": "clock, limit: 5",
}


def cpu(action: Callable[[], Any]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin


def part(kind: str, tags: int, seconds: int, folder: Path) -> float:
    """CPU in s of ``seconds`` looks."""
    path = folder / "site.yaml"
    path.write_text(SITE.format(tags=tags, detector=DETECTORS[kind]))
    site = load_site(path)
    random = np.random.default_rng(0)
    taken = 0.0
    with Region.create(f"bench_anomaly_{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        drivers, writer = region.claim("drivers"), region.claim("anomaly")
        history = History(folder)
        watch = Watch(site.anomalies[0], site.tags, region, history, folder)
        places = np.array(site.anomalies[0].inputs, np.uint32)
        for second in range(seconds):
            now = 1_780_000_000 * NS + second * NS
            values = 100 + random.normal(0, 1, tags)
            drivers.write(places, to_bits(values, ValueType.DOUBLE), 0, now, now)
            taken += cpu(lambda now=now, second=second: watch.look(region, writer, now, float(second)))  # type: ignore[misc]
        history.close()
    return taken


def group(tags: int) -> None:
    random = np.random.default_rng(0)
    table = random.normal(0, 1, (3_000, tags))
    times = np.arange(3_000) * NS
    for detector in (Pca(), Forest()):
        detector.learn([f"t{at}" for at in range(tags)], times, table)
        rows = [Observation(int(time), row) for time, row in zip(times[:100], table[:100], strict=True)]
        taken = cpu(lambda detector=detector, rows=rows: [detector.update(row) for row in rows])  # type: ignore[misc]
        print(f"{type(detector).__name__.lower()} of {tags} tags: {taken / 100 * 1e3:.2f} ms of CPU a row")


def river(tags: int, seconds: int) -> float:
    from river import anomaly

    scorers = [anomaly.GaussianScorer(window_size=WINDOW, grace_period=60) for _ in range(tags)]
    random = np.random.default_rng(0)

    def all_tags() -> None:
        for _ in range(seconds):
            for scorer, value in zip(scorers, (100 + random.normal(0, 1, tags)).tolist(), strict=True):
                scorer.score_one(None, value)
                scorer.learn_one(None, value)

    return cpu(all_tags)


def pandas(tags: int, seconds: int) -> float:
    random = np.random.default_rng(0)
    table = pd.DataFrame(100 + random.normal(0, 1, (WINDOW, tags)))

    def all_tags() -> None:
        for _ in range(seconds):
            rolling = table.rolling(WINDOW)
            (table.iloc[-1] - rolling.mean().iloc[-1]) / rolling.std().iloc[-1]

    return cpu(all_tags)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tags", type=int, default=5_000)
    parser.add_argument("--seconds", type=int, default=120)
    args = parser.parse_args()
    print(f"{args.tags:,} tags once a second, load {os.getloadavg()[0]:.1f}:")
    for kind in DETECTORS:
        with tempfile.TemporaryDirectory() as folder:
            taken = part(kind, args.tags, args.seconds, Path(folder))
        print(
            f"{kind}, in the part: {taken / args.seconds * 1e3:.2f} ms of CPU a second, {taken / args.seconds:.2%}"
        )
    group(20)
    if importlib.util.find_spec("river") is not None:
        taken = river(args.tags, 10)
        print(f"river GaussianScorer: {taken / 10 * 1e3:.0f} ms of CPU a second, {taken / 10:.0%}")
    taken = pandas(args.tags, 3)
    print(f"pandas rolling: {taken / 3 * 1e3:.0f} ms of CPU a second, {taken / 3:.0%}")


if __name__ == "__main__":
    main()
