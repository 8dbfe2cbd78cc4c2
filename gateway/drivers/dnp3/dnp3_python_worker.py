"""dnp3-python's masters in a process of its own: orders in, what they hear out, a line of JSON each.

    python dnp3_python_worker.py FD      a socket, inherited; its end is the end of this process

It runs under CPython 3.10 in an environment that has dnp3-python and nothing of ours, so it imports nothing of ours.
The lines are drawn in gateway/drivers/dnp3/worker.py, which starts it.
"""
# ruff: noqa: N802, S104 - the callbacks have the library's names; the address is of the adapter to connect from

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
import traceback
from typing import Any

from pydnp3 import asiodnp3, asiopal, opendnp3, openpal

VERSION = 1  # of the lines
GROUP = re.compile(r"Group(\d+)Var")
LINE_BYTES = 1 << 16
TYPES = (
    "Binary", "DoubleBitBinary", "BinaryOutputStatus", "Counter", "FrozenCounter", "Analog", "AnalogOutputStatus",
)  # fmt: skip
FORMS = {
    "int16": opendnp3.AnalogOutputInt16,
    "int32": opendnp3.AnalogOutputInt32,
    "float32": opendnp3.AnalogOutputFloat32,
    "float64": opendnp3.AnalogOutputDouble64,
}
CODES = {
    "latch_on": opendnp3.ControlCode.LATCH_ON,
    "latch_off": opendnp3.ControlCode.LATCH_OFF,
    "pulse_on": opendnp3.ControlCode.PULSE_ON,
    "pulse_off": opendnp3.ControlCode.PULSE_OFF,
    "close": opendnp3.ControlCode.CLOSE_PULSE_ON,
    "trip": opendnp3.ControlCode.TRIP_PULSE_ON,
}
SYNC = {
    "none": getattr(opendnp3.TimeSyncMode, "None"),
    "lan": opendnp3.TimeSyncMode.LAN,
    "serial": opendnp3.TimeSyncMode.NonLAN,
}
CLASSES = (2, 3, 4)  # variations of group 60


class Line:
    """The socket's two ways."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lock = threading.Lock()

    def say(self, **more: Any) -> None:
        data = json.dumps(more, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                self._line.sendall(data)
            except OSError:
                os._exit(0)  # nobody is there to be told

    def orders(self) -> Any:
        for line in self._line.makefile("rb", LINE_BYTES):
            yield json.loads(line)


def name_of(value: Any) -> str:
    return str(value).split(".")[-1]


def visitor(name: str) -> Any:
    """A visitor of one type that keeps what it is shown: index, value, flags, time."""
    is_double = name == "DoubleBitBinary"

    class Visitor(getattr(opendnp3, "IVisitorIndexed" + name)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[Any, ...]] = []

        def OnValue(self, one: Any) -> None:
            value = one.value
            raw = int(value.value) if is_double else value.value
            self.seen.append((one.index, raw, value.flags.value, value.time.value))

    return Visitor


VISITORS = {getattr(opendnp3, "ICollectionIndexed" + name): visitor(name) for name in TYPES}


class Heard(opendnp3.ISOEHandler):  # type: ignore[misc]
    def __init__(self, line: Line, device: int) -> None:
        super().__init__()
        self._line = line
        self._device = device
        self._rows: list[list[Any]] = []

    def Start(self) -> None:
        self._rows = []

    def Process(self, info: Any, values: Any) -> None:
        made = VISITORS.get(type(values))
        match = GROUP.search(str(info.gv))
        if made is None or match is None:
            return  # octet strings can not be read; times and statistics are of no tag
        found = made()
        values.Foreach(found)
        group = int(match[1])
        has_time = info.tsmode != opendnp3.TimestampMode.INVALID
        is_synchronized = info.tsmode == opendnp3.TimestampMode.SYNCHRONIZED
        for index, value, flags, at in found.seen:
            self._rows.append(
                [
                    group,
                    index,
                    value,
                    flags if info.flagsValid else None,
                    at if has_time else None,
                    is_synchronized,
                    info.isEventVariation,
                ]
            )

    def End(self) -> None:
        rows, self._rows = self._rows, []
        self._line.say(told="readings", device=self._device, rows=rows)


class Application(opendnp3.IMasterApplication):  # type: ignore[misc]
    def __init__(self, line: Line, device: int) -> None:
        super().__init__()
        self._line = line
        self._device = device

    def Now(self) -> Any:
        return openpal.UTCTimestamp(time.time_ns() // 1_000_000)

    def AssignClassDuringStartup(self) -> bool:
        return False

    def OnClose(self) -> None:
        pass

    def OnOpen(self) -> None:
        pass

    def OnReceiveIIN(self, iin: Any) -> None:
        pass

    def OnTaskStart(self, kind: Any, number: Any) -> None:
        pass

    def OnTaskComplete(self, info: Any) -> None:
        self._line.say(told="task", device=self._device, kind=name_of(info.type), result=name_of(info.result))


class Listener(asiodnp3.IChannelListener):  # type: ignore[misc]
    def __init__(self, line: Line, device: int) -> None:
        super().__init__()
        self._line = line
        self._device = device

    def OnStateChange(self, state: Any) -> None:
        self._line.say(told="channel", device=self._device, open=state == opendnp3.ChannelState.OPEN)


class Station:
    """A master to one outstation. The library holds its callbacks by weak ends: they are kept here."""

    def __init__(self, manager: Any, line: Line, order: dict[str, Any]) -> None:
        self._line = line
        self._device = order["device"]
        self._number = 0  # of the command under way: there is one at a time
        # One for all commands, for ever: the library lets go of it without Python's lock, and must not free it.
        self._ended = self._tell_end
        self._kept = (
            Heard(line, self._device),
            Application(line, self._device),
            Listener(line, self._device),
        )
        pause = openpal.TimeDuration.Milliseconds
        retry = asiopal.ChannelRetry(pause(500), pause(order["retry_max_ms"]))
        self._channel = manager.AddTCPClient(
            order["name"],
            opendnp3.levels.NOTHING,
            retry,
            order["host"],
            "0.0.0.0",
            order["port"],
            self._kept[2],
        )
        config = asiodnp3.MasterStackConfig()
        config.link.LocalAddr, config.link.RemoteAddr = order["master_address"], order["address"]
        config.link.KeepAliveTimeout = pause(order["keep_alive_ms"])
        config.master.responseTimeout = pause(order["timeout_ms"])
        config.master.timeSyncMode = SYNC[order["time_sync"]]
        config.master.taskRetryPeriod = pause(min(5_000, order["retry_max_ms"]))
        config.master.maxTaskRetryPeriod = pause(order["retry_max_ms"])
        config.master.integrityOnEventOverflowIIN = True
        self._master = self._channel.AddMaster(order["name"], *self._kept[:2], config)
        self._master.Enable()

    def obey(self, order: dict[str, Any]) -> None:
        wish = order["wish"]
        if wish == "close":
            self._master.Disable()
        elif wish == "quiet":
            headers = [opendnp3.Header().AllObjects(60, variation) for variation in CLASSES]
            self._master.PerformFunction(
                "unsolicited off", opendnp3.FunctionCode.DISABLE_UNSOLICITED, headers
            )
        elif wish == "read":
            field = opendnp3.ClassField
            self._master.ScanClasses(field.AllClasses() if order["all"] else field.AllEventClasses())
        elif wish == "point":
            self._master.ScanRange(
                opendnp3.GroupVariationID(order["group"], 0), order["index"], order["index"]
            )
        else:
            self._operate(order)

    def _operate(self, order: dict[str, Any]) -> None:
        if "code" in order:
            command = opendnp3.ControlRelayOutputBlock(
                CODES[order["code"]], 1, order["pulse_ms"], order["pulse_ms"]
            )
        else:
            command = FORMS[order["form"]](order["value"])

        self._number = order["number"]
        send = self._master.SelectAndOperate if order["select"] else self._master.DirectOperate
        send(command, order["index"], self._ended)

    def _tell_end(self, result: Any) -> None:
        found: list[Any] = []
        result.ForeachItem(
            lambda one: found.append((name_of(one.state), int(one.status), name_of(one.status)))
        )
        self._line.say(
            told="command",
            device=self._device,
            number=self._number,
            summary=name_of(result.summary),
            point=found[0] if found else None,
        )


def main() -> None:
    line = Line(socket.socket(fileno=int(sys.argv[1])))
    line.say(told="hello", version=VERSION, python=sys.version.split()[0])
    manager = asiodnp3.DNP3Manager(1)
    stations: dict[int, Station] = {}
    for order in line.orders():
        if order["wish"] == "alive":
            line.say(told="alive")
        elif order["wish"] == "open":
            stations[order["device"]] = Station(manager, line, order)
        else:
            stations[order["device"]].obey(order)


if __name__ == "__main__":
    try:
        main()
    finally:  # the library's own shutdown aborts: this process ends here, whatever it is that ends it
        trouble = sys.exc_info()
        if trouble[0] is not None:
            traceback.print_exception(*trouble)
        sys.stderr.flush()
        os._exit(0 if trouble[0] is None else 1)
