"""``python -m historian.dispatch.imperial60``: what plans save on such days, day by day."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from gateway.scenarios.imperial60 import TICKS, Day
from historian.dispatch.imperial60.live import Played, play, watch
from historian.dispatch.model import Floats


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


def _show_live(first: int, days: int, pace_s: float) -> None:
    print(
        "day tick  sun W  demand W  asked paid   plan: buys J  has J      cents   rule: buys J  has J      cents"
    )
    began, paid_by_plan, before = time.monotonic(), 0.0, 0.0
    for count, (each, rule) in enumerate(watch(first, days), start=1):
        day, tick = each.day, each.tick
        asked, paid = day.asked_cents[tick], day.paid_cents[tick]
        paid_by_plan += each.bought_j * (asked if each.bought_j > 0 else paid)
        ours = f"{each.bought_j:>12.1f} {each.store_j:>6.1f} {paid_by_plan:>10.0f}"
        now = (day.number - first) * TICKS + tick
        bought = rule.bought_j[: now + 1]
        if tick == 0:
            before = float(rule.cost_cents[:-1].sum())
        since = bought[now - tick :]
        by_rule = before + float(_price(day, since) @ since)
        theirs = f"{bought[-1]:>12.1f} {rule.store_j[now]:>6.1f} {by_rule:>10.0f}"
        print(
            f"{day.number:<5}{tick:>3}  {day.sun_w[tick]:>5.2f}  {day.demand_w[tick]:>8.2f}"
            f"  {asked:>5.0f} {paid:>4.0f}   {ours}   {theirs}",
            flush=True,
        )
        time.sleep(max(began + count * pace_s - time.monotonic(), 0.0))


def _price(day: Day, bought_j: Floats) -> Floats:
    count = len(bought_j)
    return np.where(bought_j > 0, day.asked_cents[:count], day.paid_cents[:count])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m historian.dispatch.imperial60",
        description="Days of sixty five-second ticks: the plan beside the rule.",
    )
    parser.add_argument(
        "--first-day", type=int, default=100, metavar="N", help="number of the first day (100)"
    )
    parser.add_argument("--days", type=int, default=5, metavar="N", help="1 to 60 (5)")
    parser.add_argument("--live", action="store_true", help="tick by tick, as they come")
    parser.add_argument("--pace", type=float, default=5.0, metavar="S", help="seconds a tick of --live (5)")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.days <= 60:
        parser.error(f"--days is {arguments.days}: it must be 1 to 60")
    if not 0 <= arguments.pace <= 60:
        parser.error(f"--pace is {arguments.pace}: it must be 0 to 60")
    if arguments.live:
        _show_live(arguments.first_day, arguments.days, arguments.pace)
    else:
        print(_table(arguments.first_day, play(arguments.first_day, arguments.days)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
