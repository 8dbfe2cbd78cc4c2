"""A bar on the terminal while something long goes on; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """``advance(n)`` as ``n`` more of ``total`` are done. Needs `rich` for the bar, goes without where it is not."""
    if not sys.stderr.isatty():
        yield _nobody_looks
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield _nobody_looks
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def _nobody_looks(_: int) -> None:
    return
