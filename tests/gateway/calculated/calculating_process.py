"""A process that calculates until it is killed: region name, site file, file of totals. It says when it is ready."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gateway.calculated.part import calculate
from gateway.config.load import load_site


def nothing(tag: str, start: int, end: int) -> None:
    raise AssertionError("the region is the same, so that nothing is asked of history")


def main() -> None:
    region, site, totals = sys.argv[1:]
    calculate(
        region,
        load_site(Path(site)),
        Path(totals),
        nothing,  # type: ignore[arg-type]  # never called
        threading.Event(),
        lambda: print("ready", flush=True),
    )


main()
