"""Masters of a library that can not run in this interpreter: dnp3-python, in a worker process of its own Python.

The lines, JSON, over a pair of sockets; ``device`` is the master's number:

    worker ► {"told":"hello","version":1,"python":"3.10.13"}                       the first
    ◄ {"wish":"open","device":0,"name":"rtu","host":"192.0.2.30","port":20000,"address":10,"master_address":1,...}
    ◄ {"wish":"read","device":0,"all":false}     "quiet", "point" with group and index, "operate", "close", "alive"
    worker ► {"told":"channel","device":0,"open":true}
    worker ► {"told":"readings","device":0,"rows":[[30,0,42.5,1,1700000000000,true,true]]}     as a `Reading`
    worker ► {"told":"task","device":0,"kind":"USER_TASK","result":"SUCCESS"}
    worker ► {"told":"command","device":0,"number":7,"summary":"SUCCESS","point":["SUCCESS",0,"SUCCESS"]}
    worker ► {"told":"alive"}

A worker that ends or says nothing is started anew; meanwhile nobody watches its devices, and each is told so.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.config.dnp3_device import Dnp3Device, Dnp3Point
from gateway.drivers.dnp3.environment import NoEnvironmentError
from gateway.drivers.dnp3.notices import (
    ChannelChanged,
    CommandEnded,
    Notify,
    Reading,
    Readings,
    TaskEnded,
    TaskKind,
)
from gateway.drivers.trace import Ring

VERSION = 1  # of the lines
WORKER = Path(__file__).with_name("dnp3_python_worker.py")
ASK_S = 2.0  # between two signs of life asked for
SILENCE_S = 20.0  # of a worker that is asked, until it is taken for hung
HELLO_S = 30.0  # until its first line: a cold disk
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # before it is started anew
LONGEST_LINE = 1 << 20  # octets: a fragment's readings are some 100 kB at most
READ_BYTES = 1 << 16

log = logging.getLogger(__name__)

_KINDS = {"USER_TASK": TaskKind.OURS, "ENABLE_UNSOLICITED": TaskKind.ENABLE_UNSOLICITED}
_UNSENT = frozenset({"FAILURE_NO_COMMS", "FAILURE_START_TIMEOUT"})
_UNTOLD = frozenset({"INIT", "SELECT_SUCCESS"})  # states of a command whose status is not the outstation's


class WorkerError(Exception):
    """The worker does not do as it should; the text says what."""


class WorkerMaster:
    """A `Master` in the worker. What it was asked is over, failed, when the worker ends."""

    def __init__(self, engine: WorkerEngine, number: int, device: Dnp3Device, notify: Notify) -> None:
        self.number = number
        self.device = device
        self.notify = notify
        self._engine = engine
        self._lock = threading.Lock()
        self._tasks = 0  # asked and not over
        self._commands: set[int] = set()

    def opening(self) -> dict[str, Any]:
        """The order that opens it."""
        device = self.device
        names = (
            "name",
            "host",
            "port",
            "address",
            "master_address",
            "timeout_ms",
            "retry_max_ms",
            "keep_alive_ms",
        )
        return {
            "wish": "open",
            "device": self.number,
            **{name: getattr(device, name) for name in names},
            "time_sync": device.time_sync.value,
        }

    def close(self) -> None:
        self._engine.leave(self)

    def disable_unsolicited(self) -> None:
        self._ask("quiet")

    def read_classes(self, *, everything: bool) -> None:
        self._ask("read", all=everything)

    def read_point(self, group: int, index: int) -> None:
        self._ask("point", group=group, index=index)

    def operate(self, number: int, point: Dnp3Point, raw: bool | float) -> None:
        how: dict[str, Any]
        if isinstance(raw, bool):
            how = {"code": (point.when_true if raw else point.when_false).value, "pulse_ms": point.pulse_ms}
        else:
            is_whole = point.form.value.startswith("int")
            how = {"form": point.form.value, "value": round(raw) if is_whole else raw}
        with self._lock:
            self._commands.add(number)
        self._ask("operate", command=number, number=number, index=point.index, select=point.select, **how)

    def _ask(self, wish: str, command: int | None = None, **more: Any) -> None:
        with self._lock:
            self._tasks += 1
        if not self._engine.order({"wish": wish, "device": self.number, **more}):
            self._end(was_sent=False, only=command)

    def _end(self, *, was_sent: bool, only: int | None = None) -> None:
        """What is under way ends, not done; ``only`` a command that could not be sent, or all."""
        with self._lock:
            commands = set(self._commands) if was_sent else self._commands & {only}
            tasks = self._tasks if was_sent else min(self._tasks, 1)
            self._commands -= commands
            self._tasks -= tasks
        for number in commands:
            self.notify(CommandEnded(number, None, "no answer", was_sent))
        for _ in range(tasks):
            self.notify(TaskEnded(TaskKind.OURS, "no comms", False))

    def lost(self, why: str) -> None:
        """The worker is gone."""
        self._end(was_sent=True)
        self.notify(ChannelChanged(False, why, is_blind=True))

    def take(self, line: dict[str, Any]) -> None:
        """What the worker tells of it. Raises WorkerError."""
        match line["told"]:
            case "readings":
                self.notify(Readings(tuple(Reading(*row) for row in line["rows"])))
            case "channel":
                self.notify(ChannelChanged(bool(line["open"])))
            case "task":
                self._take_task(line["kind"], line["result"])
            case "command":
                self._take_command(line["number"], line["summary"], line["point"])
            case what:
                raise WorkerError(f"it told {what!r}")

    def _take_task(self, kind_name: str, result: str) -> None:
        kind = _KINDS.get(kind_name, TaskKind.OTHER)
        if kind is TaskKind.OURS:
            with self._lock:
                if not self._tasks:
                    return  # told already
                self._tasks -= 1
        failure = None if result == "SUCCESS" else result.removeprefix("FAILURE_").lower().replace("_", " ")
        self.notify(TaskEnded(kind, failure, result == "FAILURE_RESPONSE_TIMEOUT"))

    def _take_command(self, number: int, summary: str, point: tuple[str, int, str] | None) -> None:
        with self._lock:
            if number not in self._commands:
                return
            self._commands.discard(number)
        if summary != "SUCCESS" or point is None:
            self.notify(CommandEnded(number, None, summary, summary not in _UNSENT))
            return
        state, status, name = point
        self.notify(CommandEnded(number, None if state in _UNTOLD else status, name, True))


class WorkerEngine:
    """dnp3-python, an `Engine`: one worker for all its masters, started with the first of them.

    ``interpreter`` finds its Python. Raises NoEnvironmentError, which is told of each device until there is one.
    """

    def __init__(self, interpreter: Callable[[], Path]) -> None:
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._masters: dict[int, WorkerMaster] = {}
        self._number = 0
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def master(self, device: Dnp3Device, notify: Notify, tunnel_port: int | None = None) -> WorkerMaster:
        assert (tunnel_port, device.serial) == (None, None), "the configuration refuses all but TCP"
        with self._lock:
            self._number += 1
            master = self._masters[self._number] = WorkerMaster(self, self._number, device, notify)
            is_up = self._line is not None  # else it is opened when the worker has greeted
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dnp3-python")
                self._thread.start()
        if is_up:
            self.order(master.opening())
        return master

    def leave(self, master: WorkerMaster) -> None:
        self.order({"wish": "close", "device": master.number})
        with self._lock:
            self._masters.pop(master.number, None)

    def note(self, device: str, text: str) -> None:
        """It has no tunnels."""

    def traces(self) -> Mapping[str, Ring]:
        """None: the worker tells of no frames."""
        return {}

    def rest(self) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            thread = self._thread
        self._kill()
        if thread is not None:
            thread.join()

    @property
    def pid(self) -> int | None:
        """Of the worker that runs."""
        process = self._process
        return None if process is None else process.pid

    def order(self, order: dict[str, Any]) -> bool:
        """False where nobody takes it."""
        with self._lock:
            if self._line is None:
                return False
            try:
                data = json.dumps(order).encode() + b"\n"
                if self._line.send(data, socket.MSG_DONTWAIT) == len(data):
                    return True
            except BlockingIOError:
                pass
            except OSError:
                return False
        log.warning("dnp3-python's worker takes no orders: it is started anew")
        self._kill()
        return False

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            process.kill()

    # ── the thread ─────────────────────────────────────────────────────────────────────────────────────────────
    def _run(self) -> None:
        pause_s = 0.0
        while not self._closing.wait(pause_s):
            begun = time.monotonic()
            try:
                self._work()
                why = "dnp3-python's worker has ended"
            except (NoEnvironmentError, WorkerError) as error:
                why = str(error)
            if self._closing.is_set():
                return
            log.error("DNP3 devices of dnp3-python are not watched: %s", why)
            for master in self._present():
                master.lost(why)
            did_run = time.monotonic() - begun > LONGEST_PAUSE_S
            pause_s = FIRST_PAUSE_S if did_run else min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)

    def _work(self) -> None:
        """One worker, from its start to its end. Raises NoEnvironmentError, WorkerError."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._process = self._start(theirs)
            try:
                self._converse(ours)
            finally:
                with self._lock:
                    self._line = None
                self._process.kill()
                self._process.wait()
                self._process = None

    def _start(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        command = [str(self._interpreter()), "-I", str(WORKER), str(theirs.fileno())]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what the library prints
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the site, which ends it
            )
        except OSError as error:
            raise NoEnvironmentError(f"dnp3-python's interpreter does not start: {error}") from None

    def _converse(self, line: socket.socket) -> None:
        """Until the end of the worker. Raises WorkerError."""
        buffer = b""
        heard_at = time.monotonic()
        is_greeted = False
        line.settimeout(ASK_S)
        while not self._closing.is_set():
            try:
                data = line.recv(READ_BYTES)
            except TimeoutError:
                if time.monotonic() - heard_at > (SILENCE_S if is_greeted else HELLO_S):
                    raise WorkerError("dnp3-python's worker says nothing: it is started anew") from None
                self.order({"wish": "alive"})
                continue
            except OSError:
                return
            if not data:
                return
            heard_at = time.monotonic()
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for one in lines:
                if is_greeted:
                    self._take(one)
                else:
                    self._greet(one, line)
                    is_greeted = True
            if len(buffer) > LONGEST_LINE:
                raise WorkerError("dnp3-python's worker told a line without an end")

    def _greet(self, data: bytes, line: socket.socket) -> None:
        hello = _decode(data)
        if hello.get("told") != "hello" or hello.get("version") != VERSION:
            raise WorkerError(f"dnp3-python's worker is of another version: {hello}")
        with self._lock:
            self._line = line
            waiting = list(self._masters.values())
        for master in waiting:
            self.order(master.opening())

    def _take(self, data: bytes) -> None:
        line = _decode(data)
        if line.get("told") == "alive":
            return
        with self._lock:
            master = self._masters.get(line.get("device", 0))
        if master is None:
            return
        try:
            master.take(line)
        except (KeyError, TypeError, ValueError) as error:
            raise WorkerError(f"dnp3-python's worker told {line}: {error!r}") from None

    def _present(self) -> list[WorkerMaster]:
        with self._lock:
            return list(self._masters.values())


def _decode(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise WorkerError(f"dnp3-python's worker told no JSON: {error}") from None
    if not isinstance(found, dict):
        raise WorkerError(f"dnp3-python's worker told {found!r}")
    return found
