"""Small parts for the supervisor's tests, each a real process run by `run_part`: the name says what it does."""

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from gateway.config.part import PartContext, work_in_thread
from gateway.node.launch import Launch
from gateway.node.part_process import run_part
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType


async def steady(context: PartContext) -> None:
    context.ready.set()
    await context.stop.wait()


async def drivers(context: PartContext) -> None:
    """Writes its tag every 10 ms: what it counts goes on as long as it lives."""
    with Region.attach(context.region_name) as region:
        writer = region.claim("drivers")
        tag = region.indexes_of(["pcc.power_kw"])
        context.ready.set()
        count = 0
        while not context.stop.is_set():
            count += 1
            now = time.time_ns()
            writer.write(tag, to_bits(np.array([float(count)]), ValueType.DOUBLE), Quality.GOOD, now, now)
            await asyncio.sleep(0.01)


async def failing(context: PartContext) -> None:
    raise RuntimeError("this part always fails")


async def leaving(context: PartContext) -> None:
    context.ready.set()


async def hanging(context: PartContext) -> None:
    """Ready, then its loop never turns again."""
    context.ready.set()
    await asyncio.sleep(1.2)  # the beat that says so goes out
    while True:
        time.sleep(1)  # noqa: ASYNC251 - it is what this part is for


async def stuck(context: PartContext) -> None:
    """Its loop turns and beats; the thread that works has turned a while, and then waits for what never comes."""

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        ready()
        for _ in range(20):
            stop.wait(0.02)
        threading.Event().wait()

    await work_in_thread(context, work, longest_turn_s=2.0)


async def halting(context: PartContext) -> None:
    """A turn takes longer than it may; it gets on by itself once the file `go` is there."""

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        ready()
        while not (context.paths.state / "go").exists():
            time.sleep(0.02)
        while not stop.is_set():
            stop.wait(0.1)

    await work_in_thread(context, work, longest_turn_s=2.0)


async def stubborn(context: PartContext) -> None:
    """Does not mind being told to stop."""
    context.ready.set()
    await asyncio.Event().wait()


async def deaf(context: PartContext) -> None:
    """Stops as a process under a debugger does: it cannot even take a signal."""
    context.ready.set()
    await asyncio.sleep(1.2)
    os.kill(os.getpid(), signal.SIGSTOP)
    await context.stop.wait()


async def taking(context: PartContext) -> None:
    """Takes any site while it runs."""
    context.ready.set()
    while True:
        reload = await context.reloads.get()
        reload.done.set_result(None)


async def refusing(context: PartContext) -> None:
    """Fails over every site that it is handed."""
    context.ready.set()
    reload = await context.reloads.get()
    raise RuntimeError(f"cannot take {reload.site.description}")


def imaging(launch: Launch) -> int:
    """Beats in the image, never through its pipe; after a second it is silent. It does not even use `run_part`."""
    with Region.attach(launch.region) as region:
        writer = region.claim("imaging")
        tag = region.indexes_of(["imaging.beat"])
        for count in range(5):
            now = time.time_ns()
            writer.write(tag, np.array([count], np.uint64), Quality.GOOD, now, now)
            time.sleep(0.2)
        signal.pause()
    return 1


_ALL = (steady, drivers, failing, leaving, hanging, stuck, halting, stubborn, deaf, taking, refusing)
RUNNERS = {each.__name__: each for each in _ALL}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=(*RUNNERS, "imaging", "slow"))
    Launch.add_arguments(parser)
    arguments = parser.parse_args()
    launch = Launch.parse(arguments)
    if arguments.part == "slow":  # to begin, as on a processor that has too much to do
        time.sleep(2.5)
        arguments.part = "steady"
    sys.exit(imaging(launch) if arguments.part == "imaging" else run_part(launch, RUNNERS[arguments.part]))
