"""Processes for parts by fork: what nearly all parts import is imported once, and is once in memory.

::

    root ── which part, its descriptors ──► fork server ── fork ──► middle ── fork ──► part
    root ◄────────────── pid ────────────── fork server ◄─ ends ───┘                     │
    root ────────────────────────────────── GO ────────────────────────────────────────► │

The middle ends at once, and the root, a subreaper while it waits for the answer (prctl(2)), gets the part for a
child: it is signalled, waited for and bound to the root's life as one that the root had started itself. The server
has no thread when it forks, and no part depends on it: where it is gone or late, parts are started by their commands.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway.config.paths import RunPaths
from gateway.node.launch import GO, Launch

# Imported before the first fork: what at least four parts of a site with all of them need. What one alone needs it
# imports itself.
PRELOADED = (
    *("gateway.node.part_process", "gateway.node.parts", "gateway.commands.client"),
    *("historian.query", "orjson"),
)
ANSWER_PATIENCE_S = 5.0  # a fork takes milliseconds; the root's loop stands still meanwhile
BEGIN_PATIENCE_S = 30.0  # imports on a small processor: without it parts take longer still
_COMMAND = (sys.executable, "-P", "-m", "gateway.node", "fork-server")
_BEGUN = b"begun"
_LONGEST = 65_536  # of a request: some paths
_DESCRIPTORS = 4
_PID_BYTES = 4
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# A library that has threads cannot be forked soundly, and OpenBLAS starts its own when numpy is imported. One is what
# parts want anyway: their products are small.
_ONE_THREAD = "OPENBLAS_NUM_THREADS"


class Forked:
    """A process that the server forked, as `subprocess.Popen` has it. Its pid is its own until it is waited for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


class ForkServer:
    """The root's side. `open` it early, `begin` before the first `fork`, and `close` it after the last part."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None  # while it answers

    @property
    def pid(self) -> int:
        """0 while there is none that answers."""
        return self._process.pid if self._process is not None and self._control is not None else 0

    def open(self) -> None:
        """Start the process; nothing is waited for. Without one where the machine has none left."""
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            try:
                self._process = subprocess.Popen(
                    [*_COMMAND, str(its.fileno()), str(os.getpid()), os.environ.get(_ONE_THREAD, "")],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # parts have pipes of their own for what they print
                    pass_fds=(its.fileno(),),
                    env={**os.environ, _ONE_THREAD: "1"},
                    process_group=0,
                )
            except OSError as error:
                self._lose(f"cannot be started: {error.strerror}")

    def begin(self) -> None:
        """Wait until it can fork. It blocks: for a thread, or before there is a loop."""
        if self._control is not None:
            self._control.settimeout(BEGIN_PATIENCE_S)
            self._answer(_BEGUN)

    def fork(self, launch: Launch, output: int) -> Forked | None:
        """A process for a part, which writes to ``output`` and waits for `GO`; None where there is no server."""
        if self._control is None:
            return None
        paths = launch.paths
        asked = json.dumps([launch.part, str(paths.state), str(paths.runtime), launch.region, launch.root])
        self._control.settimeout(ANSWER_PATIENCE_S)
        _be_subreaper(True)
        try:
            socket.send_fds(
                self._control, [asked.encode()], [launch.site, launch.pipe, launch.control, output]
            )
            answer = self._answer(None)
        except OSError as error:
            self._lose(_why(error))
            return None
        finally:
            _be_subreaper(False)
        pid = int.from_bytes(answer)
        if not pid:
            return None  # no memory or no process left: its command will fare no better, and tell why
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            self._lose("what it forks is not given to the root here")
            return None
        return Forked(pid)

    def close(self) -> None:
        """End it. No part ends with it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answer(self, expected: bytes | None) -> bytes:
        """Empty where it has none, and is given up."""
        assert self._control is not None
        try:
            answer = self._control.recv(_LONGEST)
        except OSError as error:
            self._lose(_why(error))
            return b""
        if not answer or expected not in (None, answer):
            self._lose("it has ended")
            return b""
        return answer

    def _lose(self, why: str) -> None:
        self._say(f"no fork server ({why}): parts start by themselves, which takes longer")
        self.close()


def _why(error: OSError) -> str:
    match error:
        case TimeoutError():
            return "it does not answer"
        case ConnectionError():
            return "it has ended"
    return str(error)


def _be_subreaper(is_one: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(is_one), 0, 0, 0)


def preload() -> None:
    """Import what is to be shared; collections leave its pages alone from here on."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> Launch | None:
    """Fork until the root has gone: then None. In each part's process it returns the part's launch."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"{threads} threads: what was imported must start none"
    control.send(_BEGUN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _LONGEST, _DESCRIPTORS)
        if not message:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        launch = _forked(message, descriptors, control)
        if launch is not None:
            return launch
        for descriptor in descriptors:
            os.close(descriptor)


def _forked(message: bytes, descriptors: list[int], control: socket.socket) -> Launch | None:
    """In the server: None, once the root has the answer. In the part: its launch."""
    told, tell = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        middle = -1
    if middle == 0:
        try:
            pid = os.fork()
        except OSError:
            os._exit(1)
        if pid:
            os.write(tell, pid.to_bytes(_PID_BYTES))
            os._exit(0)
        os.close(told)
        os.close(tell)
        control.close()
        return _become(message, descriptors)
    os.close(tell)
    answer = os.read(told, _PID_BYTES)  # b"" where one could not be forked
    os.close(told)
    if middle > 0:
        os.waitpid(middle, 0)  # from here on the part is the root's child
    control.send(answer or bytes(_PID_BYTES))
    return None


def _become(message: bytes, descriptors: list[int]) -> Launch:
    """Be the part's process, as if it had been started by its command; ends where the root does not want it."""
    site, pipe, control, output = descriptors
    with socket.socket(fileno=os.dup(control)) as listening:
        if listening.recv(len(GO)) != GO:
            os._exit(0)
    os.setpgid(0, 0)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.close(output)
    part, state, runtime, region, root = json.loads(message)
    paths = RunPaths(Path(state), Path(runtime))
    return Launch(part, paths, region, site, pipe, control, root)


def main(arguments: list[str]) -> Launch | None:
    """The server's process; see `serve`."""
    from gateway.node.part_process import tie_to_root  # not above: the root has no use for it

    descriptor, root, threads = arguments
    tie_to_root("fork-server", int(root))
    preload()
    os.environ.pop(_ONE_THREAD)
    if threads:
        os.environ[_ONE_THREAD] = threads
    with suppress(ConnectionError):  # the root has gone
        return serve(socket.socket(fileno=int(descriptor)))
    return None
