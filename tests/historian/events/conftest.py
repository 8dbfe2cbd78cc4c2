"""A history folder with a flag in it, and somebody who follows it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.calculated import CalculatedTag
from gateway.config.events import Event, Summary, WantedSummary
from gateway.config.formula.tree import Constant, Formula
from gateway.tags.sample import SAMPLE
from historian.events import Events
from historian.events.part import Follower

folders = sys.modules["historian_folder"]
NOON, SECOND = folders.NOON, folders.SECOND
FLAG = CalculatedTag(0, Formula("true", (), Constant(True), True))
WANTED = tuple(WantedSummary("a.power_kw", word) for word in Summary)


class Watched:
    """History of ``a.on`` and ``a.power_kw``, in seconds after noon; what the image says is its newest sample."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder
        self.event = Event("run", "a", FLAG, "a.on", 200, 2 * SECOND, 0, "It runs", WANTED)
        self.image = np.zeros(1, SAMPLE)
        self.start()

    def start(self) -> None:
        self.history = self.folder.history()
        self.follower = Follower(self.folder.directory, [self.event], self.history, self.folder.clock)
        self.follower.open()

    def stop(self) -> None:
        self.follower.close()
        self.history.close()

    def flag(self, second: float, is_on: bool, status: int = 0) -> None:
        time = NOON + round(second * SECOND)
        self.folder.write("a.on", [time], [is_on], status)
        self.image[0] = (0, status, is_on, time, time)

    def power(self, second: float, value: float, status: int = 0) -> None:
        self.folder.write("a.power_kw", [NOON + round(second * SECOND)], [value], status)

    def look(self, second: float) -> None:
        self.folder.clock.now = NOON + round(second * SECOND)
        self.follower.look(self.image)

    def frames(self, **asked: Any) -> list[Any]:
        return Events(self.folder.directory).frames(0, 2**62, **asked)

    def spans(self) -> list[tuple[float, float | None, bool]]:
        return [
            (
                (frame.start - NOON) / SECOND,
                None if frame.end is None else (frame.end - NOON) / SECOND,
                frame.status == 0,
            )
            for frame in self.frames()
        ]


@pytest.fixture
def watched(folder: Any) -> Iterator[Watched]:
    watched = Watched(folder)
    yield watched
    watched.stop()


@pytest.fixture
def here() -> Path:
    return Path(__file__).parent


@pytest.fixture
def run_history(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `tieline history`; exit status, what it printed, what it complained of."""

    def run(*words: str) -> tuple[int, str, str]:
        from gateway.node.cli import main

        status = main(["history", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
