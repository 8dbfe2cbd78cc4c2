"""One life of a part, as the root sees its process: start, beats, what it prints, how it ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.config.paths import RunPaths
from gateway.node.fork_server import Forked, ForkServer
from gateway.node.launch import GO, READY, STUCK, TAKEN, Launch, control_pair, send_site

LAST_LINES = 50  # of what it printed: a traceback's end
LINE_BYTES = 2_000
_READ_BYTES = 65_536

log = logging.getLogger(__name__)


class Child:
    """A running process of ``part``. `ended` is done when the process is, and has been waited for."""

    def __init__(
        self,
        part: str,
        command: Sequence[str],
        paths: RunPaths,
        region: str,
        site: int,
        on_ready: Callable[[], None],
        fork_server: ForkServer | None = None,
    ) -> None:
        """Starts the process: by ``fork_server``, or else by ``command``, which takes the arguments of `Launch`."""
        self.part = part
        self._on_ready = on_ready
        self._loop = asyncio.get_running_loop()
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._rest = b""
        self.started = self.last_beat = self._loop.time()
        self.has_beaten = False
        self.stuck_since: float | None = None  # its work stands still, while its loop beats
        self.why_killed = ""
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._taking: deque[asyncio.Future[bool]] = deque()  # sites it was handed, in order
        self._process: subprocess.Popen[bytes] | Forked
        pipe, child_pipe = os.pipe()
        output, child_output = os.pipe()
        self._control, child_control = control_pair()
        try:
            launch = Launch(part, paths, region, site, child_pipe, child_control.fileno(), os.getpid())
            forked = fork_server.fork(launch, child_output) if fork_server is not None else None
            self._process = forked or _executed(command, launch, child_output)
        except OSError:
            os.close(pipe)
            os.close(output)
            self._control.close()
            raise
        finally:
            os.close(child_pipe)
            os.close(child_output)
            child_control.close()
        self._pipe = pipe
        self._output = output
        self._process_fd = os.pidfd_open(self._process.pid)
        for descriptor, callback in (
            (self._pipe, self._hear),
            (self._control.fileno(), self._hear_taken),
            (self._output, self._take_output),
            (self._process_fd, self._end),
        ):
            os.set_blocking(descriptor, False)
            self._loop.add_reader(descriptor, callback)
        if forked is not None:
            with suppress(OSError):  # it has ended already
                self._control.send(GO)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if it still runs."""
        self._process.send_signal(number)

    def beat(self) -> None:
        """It has just shown that it lives."""
        self.last_beat = self._loop.time()
        self.has_beaten = True

    async def take(self, site: int) -> bool:
        """Hand it another site; True once it has taken it, False where it ends without."""
        taken: asyncio.Future[bool] = self._loop.create_future()
        try:
            send_site(self._control, site)
        except OSError:
            return False
        self._taking.append(taken)
        return await taken

    def exit_text(self) -> str:
        """How it ended, in one line: its status, and the last line it printed if it ended badly."""
        status = self._process.returncode
        assert status is not None, "asked before the end"
        if status < 0:
            why = f": {self.why_killed}" if self.why_killed else ""
            with suppress(ValueError):
                return f"killed by {signal.Signals(-status).name}{why}"
            return f"killed by signal {-status}{why}"
        last = next((line for line in reversed(self._lines) if line.strip()), "")
        return f"exit {status}: {last}" if status and last else f"exit {status}"

    def _hear(self) -> None:
        try:
            beats = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return
        if not beats:
            self._loop.remove_reader(self._pipe)
            return
        self.beat()
        if not beats.endswith(STUCK):
            self.stuck_since = None
        elif self.stuck_since is None:
            self.stuck_since = self._loop.time()
        if READY in beats:
            self._on_ready()

    def _hear_taken(self) -> None:
        try:
            answer = self._control.recv(len(TAKEN))
        except BlockingIOError:
            return
        except ConnectionResetError:  # it left what it was sent unread
            answer = b""
        if answer != TAKEN:
            self._loop.remove_reader(self._control.fileno())
        elif self._taking:
            _settle(self._taking.popleft(), True)

    def _take_output(self) -> None:
        try:
            content = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return
        if not content:
            self._loop.remove_reader(self._output)
            return
        *lines, self._rest = (self._rest + content).split(b"\n")
        self._rest = self._rest[:LINE_BYTES]
        for line in lines:
            text = line[:LINE_BYTES].decode("utf-8", "replace")
            self._lines.append(text)
            log.info("%s printed: %s", self.part, text)

    def _end(self) -> None:
        status = self._process.wait()  # it has ended: this only takes the status
        self._hear_out()
        self._hear_taken()
        for descriptor in (self._pipe, self._control.fileno(), self._output, self._process_fd):
            self._loop.remove_reader(descriptor)
        self._control.close()
        for taken in self._taking:
            _settle(taken, False)
        os.close(self._pipe)
        os.close(self._process_fd)
        os.close(self._output)
        self.ended.set_result(status)

    def _hear_out(self) -> None:
        """What it printed last may still be in the pipe."""
        for _ in range(LAST_LINES):
            try:
                content = os.read(self._output, _READ_BYTES)
            except BlockingIOError:
                break
            if not content:
                break
            for line in (self._rest + content).split(b"\n"):
                self._lines.append(line[:LINE_BYTES].decode("utf-8", "replace"))
            self._rest = b""


def _executed(command: Sequence[str], launch: Launch, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command, *launch.arguments()],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=(launch.site, launch.pipe, launch.control),
        process_group=0,  # a terminal's Ctrl-C goes to the root alone, which ends the parts in order
    )


def _settle(taken: asyncio.Future[bool], outcome: bool) -> None:
    """Tell whoever waits, if they still do."""
    if not taken.done():
        taken.set_result(outcome)
