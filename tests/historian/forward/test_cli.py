"""``tieline history forward``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from historian_folder import SECOND, Clock, Folder

from historian.cli import add_commands


def tieline(folder: Folder, *words: str) -> int:
    """The command on a state folder whose history is ``folder``."""
    parser = argparse.ArgumentParser("tieline")
    add_commands(parser.add_subparsers())
    state = folder.directory.with_name("state")
    state.mkdir(exist_ok=True)
    if not (state / "history").exists():
        (state / "history").symlink_to(folder.directory)
    args = parser.parse_args(["history", "forward", *words, "--state", str(state)])
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


def test_a_stretch_asked_for_is_sent_and_told_until_it_is(
    folder: Folder,
    clock: Clock,
    make_lane: Callable[..., Any],
    influxd: Any,
    database: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = clock.now
    folder.write("a.count", [start + i * SECOND for i in range(10)], list(range(10)))
    folder.pack()
    lane = make_lane(url=influxd.url, database=database)
    assert tieline(folder, "plant", "--from", "1970-01-02", "--to", "now") == 0
    assert tieline(folder) == 0
    assert "asked for: 1970-01-02T00:00:00Z" in capsys.readouterr().out
    lane.sender.turn()
    assert tieline(folder, "plant") == 0
    assert "again: 1970-01-02T00:00:00Z" in capsys.readouterr().out
    lane.drain()
    assert tieline(folder, "plant") == 0
    assert "again" not in capsys.readouterr().out
    assert influxd.samples(database, "a.count") == folder.raw("a.count")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nobody",), 1, "knows no target nobody: it has forwarded to plant"),
        (("plant", "--from", "yesterday"), 2, "'yesterday' is not a time"),
        (("plant", "--from", "-1h", "--to", "-2h"), 2, "does not lie after"),
        (("--from", "-1h"), 2, "needs the NAME"),
    ],
)
def test_what_cannot_be_is_told(
    folder: Folder,
    make_lane: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    make_lane(url="http://127.0.0.1:1", database="plant")
    assert tieline(folder, *words) == status
    assert said in capsys.readouterr().err
