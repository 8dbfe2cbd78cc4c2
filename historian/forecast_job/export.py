"""``tieline forecast export``: the model of a forecast as C, for a board."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from historian.forecast_job import library
from historian.forecast_job.library import ModelError
from historian.forecast_job.plan import Track, plans_of

if TYPE_CHECKING:
    from historian.forecast_job.cli import Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What there is beside the site, the forecast and the length of the steps."""
    parser.add_argument(
        "--output", type=Path, metavar="FILE.c", required=True, help="write this file and FILE.h beside it"
    )


def export(args: argparse.Namespace, place: Place) -> int:
    """Exit status 0. Raises ValueError, ModelError, OSError, ImportError; nothing is written then."""
    forecasts = place.forecasts(args.name)
    if len(forecasts) > 1:
        raise ValueError(f"say which by --name: {', '.join(one.name for one in forecasts)}")
    name, track = forecasts[0].name, Track(args.track)
    plan = next((plan for plan in plans_of(forecasts[0]) if plan.track is track), None)
    if plan is None:
        raise ValueError(f"the forecast {name!r} has no steps of {track}: 'short_min' is 0")
    try:
        forecaster, _ = library.read_model(place.folder, plan)
    except FileNotFoundError:
        raise ModelError(
            f"no model of {name!r} in steps of {track} is trained yet: tieline forecast train"
        ) from None
    found = library.export_c(forecaster, args.output, re.sub(r"\W", "_", name.lower()))
    print(f"{found.source} and {found.header}: {name}, steps of {track}, by {forecaster.model}")
    print(f"trained until {forecaster.trained_until_.isoformat()}; export {found.digest}")
    return 0
