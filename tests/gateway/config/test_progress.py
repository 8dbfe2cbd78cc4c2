"""Whether a part's work gets on, told by the looks of its thread at what would stop it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.part import PartContext, Progress, Stop, work_in_thread
from gateway.config.paths import RunPaths

LONGEST_S = 3.0


@pytest.fixture
def stop() -> Stop:
    """That this thread looks at."""
    stop = Stop()
    stop.is_for_this_thread()
    return stop


@pytest.fixture
def progress(stop: Stop) -> Progress:
    progress = Progress()
    progress.follow(stop, LONGEST_S)
    return progress


def test_who_does_not_look_for_so_many_beats_is_stuck_until_it_looks_again(stop, progress):
    assert [progress.is_stuck(1.0) for _ in range(4)] == [False, False, True, True]
    stop.is_set()
    assert not progress.is_stuck(1.0)
    assert [progress.is_stuck(1.0) for _ in range(3)] == [False, False, True]
    stop.wait(0.0)
    assert not progress.is_stuck(1.0)


def test_looks_of_other_threads_do_not_count(stop, progress):
    def look() -> None:
        stop.is_set()
        stop.wait(0.0)

    for beat in range(3):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert progress.is_stuck(1.0) is (beat == 2)


def test_what_has_no_thread_that_works_is_never_stuck():
    progress = Progress()
    assert not any(progress.is_stuck(1_000.0) for _ in range(5))


async def test_a_thread_that_waits_on_stop_for_long_gets_on_and_one_that_starts_is_given_time(tmp_path: Path):
    begins, waits = threading.Event(), threading.Event()

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        begins.wait(60)
        ready()
        waits.set()
        stop.wait()

    context = PartContext(
        None,  # type: ignore[arg-type]  # no site: nothing here asks for it
        RunPaths(tmp_path, tmp_path),
        "none",
        asyncio.Event(),
        asyncio.Event(),
    )
    part = asyncio.create_task(work_in_thread(context, work, LONGEST_S))
    assert not any(context.progress.is_stuck(1.0) for _ in range(10)), (
        "it is not ready: that is told otherwise"
    )
    begins.set()
    await asyncio.wait_for(context.ready.wait(), 60)
    await asyncio.to_thread(waits.wait, 60)
    async with asyncio.timeout(60):
        while context.progress.is_stuck(1.0) or context.progress.is_stuck(1.0):  # noqa: ASYNC110 - it gets there
            await asyncio.sleep(0.02)
    assert not any(context.progress.is_stuck(1.0) for _ in range(10))
    context.stop.set()
    await asyncio.wait_for(part, 60)
