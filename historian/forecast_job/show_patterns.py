"""``tieline forecast patterns``: what days of a class of consumers look like, and how one day compares."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from gateway.config.forecasts import ConsumerClass, Forecast
from historian.forecast_job import library
from historian.forecast_job.patterns import SLOTS, Day, judge, midnight, recipe_of, sorted_out
from historian.forecast_job.plan import S_NS
from historian.forecast_job.plots import Table, lines, page
from historian.forecast_job.store import NoForecast
from historian.keeping.zone import zone_named
from historian.libraries import load
from historian.times import iso_of

if TYPE_CHECKING:
    from historian.forecast_job.cli import Place

DAY = "day"  # the column of the day that is shown


@dataclass(frozen=True, slots=True)
class Shown:
    """``curves`` (slots, patterns and the day) in ``unit``: the target's of one member, else shares of the usual."""

    day: str
    head: dict[str, str]
    patterns: list[dict[str, Any]]
    members: list[dict[str, Any]]
    times: list[str]
    columns: list[str]
    curves: Any
    unit: str


def show_patterns(args: argparse.Namespace, place: Place) -> int:
    """Exit status 0. Raises ValueError, NoForecast, ModelError, OSError, HistoryError."""
    forecast, each = _class(place.forecasts(args.name), args.group)
    zone = place.site.time_zone
    try:
        told = library.read_patterns(place.folder, forecast.name, recipe_of(forecast, zone))
    except FileNotFoundError as error:
        raise NoForecast(f"no patterns were learned yet: there is no {error.filename}") from None
    found, why = sorted_out(told["classes"])
    if each.name not in found:
        raise NoForecast("; ".join(line for line in why if line.startswith(f"patterns of {each.name}:")))
    now = place.now()
    asked = _day(args.day, now, zone)
    history = place.open()
    try:
        day = judge(history, found[each.name], asked, now, zone)
    finally:
        history.close()
    shown = _shown(forecast, each, told, asked, day, place)
    text = _text(args.format, shown)
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    if args.png is not None or args.html is not None:
        _draw(args, shown)
    return 0


def _class(forecasts: list[Forecast], name: str | None) -> tuple[Forecast, ConsumerClass]:
    known = [(forecast, each) for forecast in forecasts for each in forecast.classes]
    found = [pair for pair in known if name in (None, pair[1].name)]
    if not known:
        raise ValueError("no forecast has classes of consumers: add them under 'patterns' of one")
    if len(found) != 1:
        names = ", ".join(f"--name {forecast.name} --class {each.name}" for forecast, each in known)
        raise ValueError(f"say which: {names}")
    return found[0]


def _day(text: str | None, now: int, zone: str) -> date:
    today = datetime.fromtimestamp(now // S_NS, zone_named(zone)).date()
    if text is None:
        return today
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day: write one as in {today}") from None
    if day > today:
        raise ValueError(f"{day} is still to come")
    return day


def _shown(forecast: Forecast, each: ConsumerClass, told: Any, asked: date, day: Day, place: Place) -> Shown:
    from historian.forecast_job.cli import number

    patterns, judged = day.patterns, day.judged
    zone = zone_named(place.site.time_zone)
    scales = np.array([member.scale for member in patterns.members])
    if len(patterns.members) == 1:
        unit = next((tag.unit for tag in place.site.tags if tag.name == patterns.members[0].name), None) or ""
        times_of, curve = float(scales[0]), day.values[0]
    else:
        unit, times_of = "of the usual level", 1.0
        shares = day.values / scales[:, None]
        known = np.isfinite(shares)
        counts = known.sum(axis=0)
        curve = np.where(counts, np.where(known, shares, 0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    sizes = patterns.sizes
    is_over = midnight(asked + timedelta(days=1), place.site.time_zone) <= place.now()
    so_far = "" if is_over else f" so far ({judged.known * SLOTS:.0f} of {SLOTS} h)"
    head = {
        "forecast": forecast.name,
        "class": f"{each.name}: {', '.join(member.name for member in patterns.members)}",
        "learned": f"{iso_of(told['trained_ns'] // S_NS * S_NS, zone)}, of"
        f" {sum(m.whole for m in patterns.members)} days;"
        f" {sum(m.left_out for m in patterns.members)} with holes were left out",
        "silhouette": number(patterns.silhouette),
        **({"left out": "; ".join(patterns.skipped)} if patterns.skipped else {}),
        str(asked): f"{day.text}{so_far}" if day.text else "too little is known of it",
        **({"unusual": f"more than {judged.unusual:.0f} % of days"} if day.text else {}),
    }
    listed = [
        {
            "pattern": at + 1,
            "days": int(sizes[at]),
            "share_pct": round(100 * float(sizes[at] / sizes.sum()), 1),
            "level": round(float(patterns.centres[at].mean()), 3),
            "when": patterns.describe(at),
        }
        for at in range(len(sizes))
    ]
    members = [
        {
            "member": member.name,
            "usual": member.scale,
            "whole_days": member.whole,
            "left_out": member.left_out,
            "pattern": int(judged.pattern[at]) + 1 or None,
            "distance": float(judged.distance[at]),
            "unusual_pct": float(judged.unusual_by_member[at]),
        }
        for at, member in enumerate(patterns.members)
    ]
    curves = np.column_stack([*(patterns.centres * times_of), curve])
    columns = [*(str(at + 1) for at in range(len(sizes))), DAY]
    times = [f"{slot:02}:00" for slot in range(SLOTS)]
    return Shown(str(asked), head, listed, members, times, columns, curves, unit)


def _text(format: str, shown: Shown) -> str:
    from historian.forecast_job.cli import number

    rows = shown.curves.tolist()
    match format:
        case "csv":
            made = [",".join(["time", *shown.columns])]
            made += [
                ",".join([time, *("" if np.isnan(value) else repr(value) for value in row)])
                for time, row in zip(shown.times, rows, strict=True)
            ]
        case "json":
            curves = [
                {"time": time, **dict(zip(shown.columns, row, strict=True))}
                for time, row in zip(shown.times, rows, strict=True)
            ]
            told = {
                **shown.head,
                "unit": shown.unit,
                "patterns": shown.patterns,
                "members": shown.members,
                "profiles": curves,
            }
            return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n"  # NaN becomes null
        case _:
            made = [f"{name:<14}{value}" for name, value in shown.head.items()]
            for table in _tables(shown):
                made.append("")
                widths = [max(map(len, column)) for column in zip(table.heads, *table.rows, strict=True)]
                made += [
                    "  ".join(
                        cell.ljust(width) if at == 0 else cell.rjust(width)
                        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
                    )
                    for row in (table.heads, *table.rows)
                ]
            made += [
                "",
                f"{'time':<8}" + "".join(f"{name:>10}" for name in shown.columns) + f"  {shown.unit}",
            ]
            made += [
                f"{time:<8}" + "".join(f"{number(value):>10}" for value in row)
                for time, row in zip(shown.times, rows, strict=True)
            ]
    return "\n".join(made) + "\n"


def _tables(shown: Shown) -> list[Table]:
    from historian.forecast_job.cli import number

    def cell(value: Any) -> str:
        return "-" if value is None else number(value) if isinstance(value, float) else str(value)

    return [
        Table(title, list(rows[0]), [[cell(value) for value in row.values()] for row in rows])
        for title, rows in (("Patterns", shown.patterns), ("Members", shown.members))
    ]


def _draw(args: argparse.Namespace, shown: Shown) -> None:
    pandas: Any = load("pandas", "a picture")
    names = [f"{name}: {each['when']}" for name, each in zip(shown.columns, shown.patterns, strict=False)]
    frame = pandas.DataFrame(shown.curves, index=range(SLOTS), columns=[*names, shown.day])
    title = f"Daily patterns of {shown.head['class']}"
    picture = lines(frame, title, "hour", shown.unit)
    if args.png is not None:
        args.png.write_bytes(picture)
    if args.html is not None:
        head = Table("Learned", ["what", "is"], [[name, value] for name, value in shown.head.items()])
        text = page(title, [("the patterns and the day", picture)], [head, *_tables(shown)])
        args.html.write_text(text, encoding="utf-8")
