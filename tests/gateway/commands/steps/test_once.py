"""No command acts twice, and no outcome is a lie, wherever the drivers' process is killed.

Every command has a value of its own, so that what the device did says which command did it.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.commands import client as client_module
from gateway.commands.client import CommandClient
from gateway.tags.command import Command, Done, Failed, Outcome, Refused, TimedOut

# What the device does with the next write, and where the drivers' process dies.
FATES = (
    "answers",
    "acts and is silent",
    "is silent",
    "refuses",
    "dies before the send",
    "dies before the act",
    "dies after the act",
    "dies when it looks back",
)
PATIENCE_S = 90.0
_numbers = itertools.count(1)


class Device:
    """The device, and the fate of who speaks to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.registers = [0.0, 0.0]
        self.acts: Counter[float] = Counter()
        self.fate = "answers"
        self.is_away = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = self._answer(json.loads(await reader.readline()))
            if answer is not None:
                writer.write(json.dumps(answer).encode() + b"\n")
        except (ValueError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        match asked["do"], self.fate:
            case "about", "dies before the send":
                self._world.kill(asked["pid"])
            case "about", _:
                return {}
            case "read", "dies when it looks back":
                self._world.kill(asked["pid"])
            case "read", _ if not self.is_away:
                return {"value": self.registers[asked["tag"]]}
            case "write", "refuses":
                return {"error": "no"}
            case "write", "dies before the act":
                self._world.kill(asked["pid"])
            case "write", "is silent":
                self.is_away = True
            case "write", fate:
                self.acts[asked["value"]] += 1
                self.registers[asked["tag"]] = asked["value"]
                if fate == "dies after the act":
                    self._world.kill(asked["pid"])
                elif fate == "acts and is silent":
                    self.is_away = True
                else:
                    return {}
        return None


@functools.cache
def makers() -> subprocess.Popen[str]:
    """The process that makes lives, for all examples; it ends with this one."""
    made = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("lives.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(end_makers, made)
    return made


def end_makers(made: subprocess.Popen[str]) -> None:
    made.communicate(timeout=PATIENCE_S)


class World:
    """A folder, a device, lives one after another, and a client. All of it on an event loop of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.device = Device(self)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        # Who finds no router at all is refused and may ask anew, which is no lie; here each life is waited for.
        self._waits = mock.patch.object(client_module, "CONNECT_PATIENCE_S", 20.0)
        self._waits.start()
        self.client = CommandClient(self.folder / "c.sock")
        self._server: asyncio.Server | None = None
        self.pid = 0

    def begin(self) -> None:
        self.call(self._listen())
        self._live()

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self.device.serve, str(self.folder / "d.sock"))

    def _live(self) -> None:
        made = makers()
        assert made.stdin is not None
        assert made.stdout is not None
        made.stdin.write(f"{self.folder}\n")
        made.stdin.flush()
        self.pid = int(made.stdout.readline())

    def kill(self, pid: int) -> None:
        """The end of one life and the beginning of the next, as the supervisor has it; once each."""
        if pid == self.pid:
            self.device.fate = "answers"
            os.kill(pid, signal.SIGKILL)
            self._live()

    def call(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_S)

    def end(self) -> None:
        self._waits.stop()
        self.call(self.client.close())
        if self._server is not None:
            self._server.close()
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.call(_settle_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()


async def _settle_down() -> None:
    """What is still under way on this loop ends."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Once(RuleBasedStateMachine):
    """Commands, deaths and questions in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.told: dict[str, list[Outcome]] = {}
        self.commands: list[Command] = []

    @initialize()
    def begin(self) -> None:
        self.world.begin()

    @rule(fate=st.sampled_from(FATES), tag=st.sampled_from(["one.setpoint", "one.stop"]))
    def command(self, fate: str, tag: str) -> None:
        number = next(_numbers)
        deadline_ns = time.time_ns() + 20_000_000_000
        command = Command(f"c{number}", tag, float(number), "olga", "hmi", deadline_ns)
        self.commands.append(command)
        self.world.device.fate = fate
        self._send(command)

    @rule(which=st.integers(0, 1000))
    def send_again(self, which: int) -> None:
        if self.commands:
            self._send(self.commands[which % len(self.commands)])

    @rule(which=st.integers(0, 1000))
    def send_twice_at_once(self, which: int) -> None:
        if self.commands:
            command = self.commands[which % len(self.commands)]
            one, other = self.world.call(self._both(command))
            self._note(command, one)
            self._note(command, other)

    async def _both(self, command: Command) -> list[Outcome]:
        return await asyncio.gather(self.world.client.send(command), self.world.client.send(command))

    @rule()
    def the_process_dies(self) -> None:
        self.world.kill(self.world.pid)

    @rule()
    def the_device_comes_back(self) -> None:
        """Then what was not known is known in a while, where no newer command hides it."""
        self.world.device.is_away = False
        newest = {command.tag: command for command in self.commands}
        end = time.monotonic() + PATIENCE_S
        for command in newest.values():
            while isinstance(self._send(command), TimedOut):
                assert time.monotonic() < end, f"{command.id} stays unknown"
                time.sleep(0.02)

    def _send(self, command: Command) -> Outcome:
        outcome = self.world.call(self.world.client.send(command))
        self._note(command, outcome)
        return outcome

    def _note(self, command: Command, outcome: Outcome) -> None:
        told = self.told.setdefault(command.id, [])
        acts = self.world.device.acts[command.value]
        match outcome:
            case Done(value):
                assert (value, acts) == (command.value, 1), (outcome, acts)
            case Refused() | Failed():
                assert acts == 0, (outcome, acts)
            case TimedOut():
                pass
        known = [each for each in told if not isinstance(each, TimedOut)]
        assert all(each == outcome for each in known), (told, outcome)  # what was known stays what it is
        told.append(outcome)

    @invariant()
    def nothing_acts_twice(self) -> None:
        assert all(count == 1 for count in self.world.device.acts.values()), self.world.device.acts
        for id, told in self.told.items():
            if any(isinstance(each, Refused | Failed) for each in told):
                assert self.world.device.acts[float(id[1:])] == 0, told

    def teardown(self) -> None:
        self.world.end()


Once.TestCase.settings = settings(
    max_examples=int(os.environ.get("TIELINE_ONCE_EXAMPLES", "10")),
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOnce = Once.TestCase
