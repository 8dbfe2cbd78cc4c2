"""``tieline forecast show``: a forecast as it was issued, beside what came."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from historian.forecast_job.frames import actual
from historian.forecast_job.issued import frame_of
from historian.forecast_job.plan import Plan, Track
from historian.forecast_job.plots import Table, fan, page, score_heads
from historian.forecast_job.standing import outcomes
from historian.forecast_job.store import Issues, Row
from historian.keeping.zone import zone_named
from historian.libraries import load
from historian.times import iso_of, parse_time

if TYPE_CHECKING:
    from historian.forecast_job.cli import Place

CAME = "came"


def show(args: argparse.Namespace, place: Place) -> int:
    """Exit status 0. Raises ValueError, NoForecast, OSError, HistoryError."""
    forecasts = place.forecasts(args.name)
    if len(forecasts) > 1:
        raise ValueError(f"say which by --name: {', '.join(one.name for one in forecasts)}")
    plan = Plan(forecasts[0], Track(args.track))
    now = place.now()
    zone = UTC if args.utc else zone_named(place.site.time_zone)
    with Issues(place.folder) as issues:
        row = issues.newest(plan.forecast.name, plan.track, parse_time(args.at, now, zone))
        trainings = issues.trainings(plan.forecast.name)
    frame = frame_of(row, zone)
    frame[CAME] = _came(place, plan, row, now)
    head = {
        "forecast": row.forecast,
        "target": plan.forecast.target,
        "steps": str(row.track),
        "issued": iso_of(row.issue, zone),
        "model": row.model,
        "trained": iso_of(row.trained // 10**9 * 10**9, zone),
        "inputs": "something was missing" if row.is_doubtful else "complete",
        **({"last training": trainings[0].outcome} if trainings else {}),
    }
    scores = _scores(place, plan, row, now)
    text = _text(args.format, head, scores, frame)
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    if args.png is not None or args.html is not None:
        _draw(args, place, plan, frame, head, scores)
    return 0


def _came(place: Place, plan: Plan, row: Row, now: int) -> Any:
    """A value for each step that is over; NaN for the others."""
    came = np.full(len(row.values), np.nan)
    over = int(np.sum(row.starts + row.step_s * 10**9 <= now))
    if over:
        history = place.open()
        try:
            came[:over] = actual(history, plan, row.issue, int(row.starts[over - 1]) + row.step_s * 10**9)
        finally:
            history.close()
    return came


def _scores(place: Place, plan: Plan, row: Row, now: int) -> dict[str, float]:
    """Of this forecast, as far as its steps are over; empty where none is."""
    from historian.forecast_job import library

    end = min(row.end, plan.issue_at(now))
    if end <= row.issue:
        return {}
    history = place.open()
    try:
        season = plan.forecast.season.days * plan.day * plan.step_ns
        came, columns, _ = outcomes(history, plan, [row], row.issue, end)
        before = actual(history, plan, row.issue - 2 * season, row.issue)
    finally:
        history.close()
    if not len(came):
        return {}
    return library.scores(came, list(columns.T), row.quantiles, library.seasonal_scale(before, plan))


def _text(format: str, head: dict[str, str], scores: dict[str, float], frame: Any) -> str:
    from historian.forecast_job.cli import number

    columns = [CAME if name == CAME else f"p{100 * name:g}" for name in frame.columns]
    times = [time.isoformat() for time in frame.index]
    rows = frame.to_numpy().tolist()
    match format:
        case "csv":
            lines = [",".join(["time", *columns])]
            lines += [
                ",".join([time, *("" if np.isnan(value) else repr(value) for value in row)])
                for time, row in zip(times, rows, strict=True)
            ]
        case "json":
            steps = [
                {"time": time, **dict(zip(columns, row, strict=True))}
                for time, row in zip(times, rows, strict=True)
            ]
            told = {**head, "scores": scores, "values": steps}
            return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n"  # NaN becomes null
        case _:
            lines = [f"{name:<14}{value}" for name, value in head.items()]
            if scores:
                lines.append(f"{'so far':<14}" + ", ".join(f"{n} {number(v)}" for n, v in scores.items()))
            lines.append("")
            lines.append(f"{'time':<27}" + "".join(f"{name:>10}" for name in columns))
            lines += [
                f"{time:<27}" + "".join(f"{number(value):>10}" for value in row)
                for time, row in zip(times, rows, strict=True)
            ]
    return "\n".join(lines) + "\n"


def _draw(
    args: argparse.Namespace,
    place: Place,
    plan: Plan,
    frame: Any,
    head: dict[str, str],
    scores: dict[str, float],
) -> None:
    from historian.forecast_job.cli import number

    load("matplotlib", "a picture")
    unit = place.site.tags[plan.forecast.target_tag].unit or ""
    title = f"{head['forecast']} ({head['target']}), issued {head['issued']}"
    came = frame[CAME].dropna()
    picture = fan(frame.drop(columns=CAME), title, unit, came if len(came) else None)
    if args.png is not None:
        args.png.write_bytes(picture)
    if args.html is not None:
        tables = [Table("Forecast", ["what", "is"], [[name, value] for name, value in head.items()])]
        if scores:
            tables.append(
                Table(
                    "So far", score_heads(list(scores), unit), [[number(value) for value in scores.values()]]
                )
            )
        args.html.write_text(page(title, [("the forecast", picture)], tables), encoding="utf-8")
