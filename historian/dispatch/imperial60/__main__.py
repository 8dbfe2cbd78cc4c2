"""``python -m historian.dispatch.imperial60``: what plans save on such days, day by day."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from historian.dispatch.imperial60.live import Played, play


def _table(first: int, played: Played) -> str:
    lines = ["day      rule      plan     saved   foresight   (cents; below 0 is earned)"]
    columns = (
        played.rule.cost_cents,
        played.plan.cost_cents,
        played.saved_cents,
        played.foresight.cost_cents,
    )
    for number, values in enumerate(zip(*columns, strict=True)):
        lines.append(_row(str(first + number), values))
    lines.append(_row("all", [float(column.sum()) for column in columns]))
    lines.append(
        f"jobs missed: rule {played.rule.missed_j:.1f} J, plan {played.plan.missed_j:.1f} J;"
        f" a plan took {float(np.median(played.plan.solver_ms)):.0f} ms,"
        f" the longest {float(played.plan.solver_ms.max()):.0f} ms, of a tick of 5 s"
    )
    return "\n".join(lines)


def _row(name: str, values: Sequence[float]) -> str:
    rule, plan, saved, foresight = values
    return f"{name:<5}{rule:>10.0f}{plan:>10.0f}{saved:>10.0f}{foresight:>12.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Days of sixty five-second ticks: the plan beside the rule.")
    parser.add_argument(
        "--first-day", type=int, default=100, metavar="N", help="number of the first day (100)"
    )
    parser.add_argument("--days", type=int, default=5, metavar="N", help="1 to 60 (5)")
    arguments = parser.parse_args()
    if not 1 <= arguments.days <= 60:
        parser.error(f"--days is {arguments.days}: it must be 1 to 60")
    print(_table(arguments.first_day, play(arguments.first_day, arguments.days)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
