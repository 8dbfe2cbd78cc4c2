"""Calculated tags: 10,000 inputs at 10 Hz in 1,000 sums of ten and a sum of these; and totals of 1,000 inputs.

Beside it in the same run: the same sums by numpy over the same snapshot, with no quality, time or order. CPU time, as
the machine may be shared. Usage: python benchmarks/calculated.py
"""

from __future__ import annotations

import datetime
import tempfile
import time
from pathlib import Path

import numpy as np

from gateway.calculated.evaluate import Evaluator
from gateway.calculated.totals import Fed, State, fed, told
from gateway.config.load import load_site
from gateway.config.totals import Method, Period, PeriodTags, Sign, Total, TotalKind
from gateway.tags.sample import SAMPLE

DEVICES, POINTS = 1_000, 10
ROUNDS = 30
PERIOD_NS = 100_000_000
POINT = "{{table: input, address: {}, type: float64, unit: kW}}"
SITE = """\
site: {{name: bench}}
areas: {{a: All}}
devices:
  m:
    area: a
    repeat: 1..{devices}
    protocol: modbus
    connection: {{host: 192.0.2.1, port: "${{n + 1000}}"}}
    groups: {{f: {{period_ms: 100}}}}
    points:
{points}
calculated:
{sums}
  p.total_kw: {{expression: "sum('p.s*_kw')", area: a, unit: kW}}
"""


def main() -> None:
    points = "\n".join(f"      a{i}_kw: {POINT.format(4 * i)}" for i in range(POINTS))
    sums = "\n".join(
        f"  p.s{i}_kw: {{expression: \"sum('m{i}.*_kw')\", area: a, unit: kW}}" for i in range(1, DEVICES + 1)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        path.write_text(SITE.format(devices=DEVICES, points=points, sums=sums))
        begun = time.process_time()
        site = load_site(path)
        print(f"read and checked: {time.process_time() - begun:.1f} s")
    assert site.calculated is not None
    evaluator = Evaluator(site.calculated.tags, site.tags)
    samples = np.zeros(len(evaluator.inputs), SAMPLE)
    now = time.time_ns()
    spent = by_numpy = 0.0
    for _ in range(ROUNDS):
        samples, now = samples.copy(), now + PERIOD_NS
        samples["value"] = np.random.rand(len(samples)).view(np.uint64)
        samples["source_time"] = samples["receipt_time"] = now
        begun = time.process_time()
        results = evaluator.reckon(samples, now, now)
        spent += time.process_time() - begun
        assert len(results) == DEVICES + 1
        begun = time.process_time()
        each = np.ascontiguousarray(samples["value"]).view(np.float64).reshape(DEVICES, POINTS).sum(axis=1)
        each.sum()
        by_numpy += time.process_time() - begun
    print(
        f"all inputs new: {spent / ROUNDS * 1e3:.1f} ms of CPU (numpy alone {by_numpy / ROUNDS * 1e3:.3f} ms)"
    )
    begun = time.process_time()
    for _ in range(ROUNDS):
        evaluator.reckon(samples.copy(), now, now)
    print(f"no input new: {(time.process_time() - begun) / ROUNDS * 1e3:.2f} ms of CPU")
    _totals()


def _totals() -> None:
    periods = tuple(PeriodTags(period, 0, 0) for period in Period)
    total = Total(
        *("p.e_kwh", 0, 1, "p.p_kw", TotalKind.INTEGRAL, "kWh", Sign.BOTH, Method.STEPPED),
        *(1, 1, 10**10, 0.0, 0.0, 0, periods, None),
    )
    state, now, zone = State(), time.time_ns(), datetime.UTC
    values = np.random.rand(10_000).tolist()
    begun = time.process_time()
    for value in values:
        now += PERIOD_NS
        state = fed(total, zone, state, Fed(value, 0, now, now))
    print(
        f"a sample of a total with three periods: {(time.process_time() - begun) / len(values) * 1e6:.1f} µs"
    )
    begun = time.process_time()
    for _ in range(1_000):
        told(total, zone, state, now)
    print(f"to tell it: {(time.process_time() - begun) / 1_000 * 1e6:.1f} µs")


if __name__ == "__main__":
    main()
