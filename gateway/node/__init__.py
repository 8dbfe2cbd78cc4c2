"""The composition root: builds the parts of a site, supervises their processes; the `tieline` command."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tieline`; returns the exit status."""
    from gateway.node.cli import (
        main as run_command,
    )  # not above: a part's process has no use for the commands

    return run_command(arguments)
