"""The one place that knows opendnp3 (the package yadnp3): a master to an outstation, its notices as values.

opendnp3 calls back from threads of its own; no exception may leave a callback.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import opendnp3

from gateway.config.dnp3_device import AnalogForm, Dnp3Device, Dnp3Point, RelayCode, TimeSync
from gateway.config.modbus import Parity
from gateway.drivers.dnp3.frames import FrameLog
from gateway.drivers.dnp3.notices import (
    ChannelChanged,
    CommandEnded,
    Notify,
    Reading,
    Readings,
    TaskEnded,
    TaskKind,
)
from gateway.drivers.trace import Ring, Way

_GROUP = re.compile(r"Group(\d+)Var(\d+)")


_SYNC = {
    TimeSync.NONE: getattr(opendnp3.TimeSyncMode, "None"),
    TimeSync.LAN: opendnp3.TimeSyncMode.LAN,
    TimeSync.SERIAL: opendnp3.TimeSyncMode.NonLAN,
}
_FORMS = {
    AnalogForm.INT16: opendnp3.AnalogOutputInt16,
    AnalogForm.INT32: opendnp3.AnalogOutputInt32,
    AnalogForm.FLOAT32: opendnp3.AnalogOutputFloat32,
    AnalogForm.FLOAT64: opendnp3.AnalogOutputDouble64,
}
_OPERATIONS = {
    RelayCode.LATCH_ON: (opendnp3.OperationType.LATCH_ON, opendnp3.TripCloseCode.NUL),
    RelayCode.LATCH_OFF: (opendnp3.OperationType.LATCH_OFF, opendnp3.TripCloseCode.NUL),
    RelayCode.PULSE_ON: (opendnp3.OperationType.PULSE_ON, opendnp3.TripCloseCode.NUL),
    RelayCode.PULSE_OFF: (opendnp3.OperationType.PULSE_OFF, opendnp3.TripCloseCode.NUL),
    RelayCode.CLOSE: (opendnp3.OperationType.PULSE_ON, opendnp3.TripCloseCode.CLOSE),
    RelayCode.TRIP: (opendnp3.OperationType.PULSE_ON, opendnp3.TripCloseCode.TRIP),
}


_DOUBLE_BITS = frozenset({3, 4})
_STRINGS = frozenset({110, 111})
_MEASURED = _DOUBLE_BITS | {1, 2, 10, 11, 20, 21, 22, 23, 30, 32, 40, 42}


@cache
def _group_of(name: str) -> int:
    match = _GROUP.fullmatch(name)
    return int(match[1]) if match else 0


class _Heard(opendnp3.ISOEHandler):  # type: ignore[misc]  # the binding has no types
    def __init__(self, notify: Notify) -> None:
        super().__init__()
        self._notify = notify
        self._rows: list[Reading] = []

    def BeginFragment(self, info: Any) -> None:  # noqa: N802 - opendnp3's names
        self._rows = []

    def Process(self, info: Any, values: Any) -> None:  # noqa: N802
        group = _group_of(info.gv.name)
        quality = info.tsquality
        has_time = quality != opendnp3.TimestampQuality.INVALID
        is_synchronized = quality == opendnp3.TimestampQuality.SYNCHRONIZED
        is_event = info.isEventVariation
        rows = self._rows
        if group in _STRINGS:
            for one in values:
                rows.append(Reading(group, one.index, one.value.ToBytes(), None, None, False, is_event))
            return
        if group not in _MEASURED:
            return  # times, statistics: of types that no tag can be
        has_flags, is_double = info.flagsValid, group in _DOUBLE_BITS
        for one in values:  # of one type, as their header is
            value = one.value
            raw = value.value
            rows.append(
                Reading(
                    group,
                    one.index,
                    int(raw.value) if is_double else raw,
                    value.flags.value if has_flags else None,
                    value.time.value if has_time else None,
                    is_synchronized,
                    is_event,
                )
            )

    def EndFragment(self, info: Any) -> None:  # noqa: N802
        rows, self._rows = tuple(self._rows), []
        self._notify(Readings(rows))


class _Application(opendnp3.IMasterApplication):  # type: ignore[misc]
    def __init__(self, notify: Notify) -> None:
        super().__init__()
        self._notify = notify

    def Now(self) -> Any:  # noqa: N802
        return opendnp3.UTCTimestamp(time.time_ns() // 1_000_000)

    def OnTaskComplete(self, info: Any) -> None:  # noqa: N802
        result = info.result
        kind = TaskKind.OTHER
        if info.type == opendnp3.MasterTaskType.USER_TASK:
            kind = TaskKind.OURS
        elif info.type == opendnp3.MasterTaskType.ENABLE_UNSOLICITED:
            kind = TaskKind.ENABLE_UNSOLICITED
        is_right = result == opendnp3.TaskCompletion.SUCCESS
        name = result.name.removeprefix("FAILURE_").lower().replace("_", " ")
        self._notify(
            TaskEnded(
                kind, None if is_right else name, result == opendnp3.TaskCompletion.FAILURE_RESPONSE_TIMEOUT
            )
        )


FRAMES = "dnp3"  # what a ring holds
KEPT_S = 10.0  # after somebody has looked last: who looks again after a while finds what was between
TOLD_FROM_HERE = "frames are kept from here on, as long as somebody looks"
# Each frame's octets: the library logs them, but the binding has no names for these two.
_OCTETS = {0x100: Way.SENT, 0x40: Way.RECEIVED}
_LOGGED = opendnp3.LogLevels(sum(_OCTETS) | opendnp3.flags.WARN.value | opendnp3.flags.ERR.value)


class _Log(opendnp3.ILogHandler):  # type: ignore[misc]
    """What the library tells of its channels, by the names of their masters; it tells nothing while nobody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: dict[str, FrameLog] = {}

    def log(self, module: Any, id: str, level: Any, location: str, message: str) -> None:
        frames = self.channels.get(id)
        if frames is None:
            return
        way = _OCTETS.get(level.value)
        if way is None:
            frames.note(message)
        else:
            frames.line(way, message)


class _Listener(opendnp3.IChannelListener):  # type: ignore[misc]
    def __init__(self, frames: FrameLog | None) -> None:
        """``frames`` are told of the connection, unless it is one to a tunnel."""
        super().__init__()
        self._frames = frames
        self._lock = threading.Lock()
        self._followers: list[Notify] = []
        self._is_open = False

    def OnStateChange(self, state: Any) -> None:  # noqa: N802
        with self._lock:
            was_open, self._is_open = self._is_open, state == opendnp3.ChannelState.OPEN
            if self._frames is not None and was_open != self._is_open:
                self._frames.note("connected" if self._is_open else "connection lost")
            for notify in self._followers:
                notify(ChannelChanged(self._is_open))

    def follow(self, notify: Notify) -> None:
        """Tell of changes, and at once where it is open already: a line that another master uses."""
        with self._lock:
            self._followers.append(notify)
            if self._is_open:
                notify(ChannelChanged(True))

    def leave(self, notify: Notify) -> None:
        with self._lock:
            self._followers.remove(notify)


class _Channel:
    """A connection or a serial line, and the masters that use it."""

    def __init__(self, open_channel: Callable[[Any], Any], where: str, *, is_tunnelled: bool) -> None:
        self.frames = FrameLog(Ring(FRAMES, where, on_look=self._look))
        self.listener = _Listener(None if is_tunnelled else self.frames)  # opendnp3 holds it by a weak end
        self.channel = open_channel(self.listener)
        self._lock = threading.Lock()
        self._masters: list[Any] = []
        self._looked_at: float | None = None  # None: nobody looks, and nothing is logged

    def join(self, master: Any) -> None:
        with self._lock:
            self._masters.append(master)
            if self._looked_at is not None:
                master.SetLogFilters(_LOGGED)

    def leave(self, master: Any) -> bool:
        """Before the master ends. Whether others use the line."""
        with self._lock:
            self._masters.remove(master)
            return bool(self._masters)

    def _look(self) -> None:
        with self._lock:
            was_looked_at, self._looked_at = self._looked_at is not None, time.monotonic()
            if not was_looked_at:
                self.frames.ring.note(TOLD_FROM_HERE)
                self._set(_LOGGED)

    def rest(self, before: float) -> None:
        """Log nothing where the last look was before a moment of the monotonic clock."""
        with self._lock:
            if self._looked_at is not None and self._looked_at < before:
                self._looked_at = None
                self._set(opendnp3.levels.NOTHING)

    def _set(self, levels: Any) -> None:
        """The channel logs what comes in, its masters what goes out."""
        if self._masters:
            self.channel.SetLogFilters(levels)
        for master in self._masters:
            master.SetLogFilters(levels)


_PARITIES = {
    Parity.NONE: getattr(opendnp3.Parity, "None"),
    Parity.EVEN: opendnp3.Parity.Even,
    Parity.ODD: opendnp3.Parity.Odd,
}
_CLASSES = (2, 3, 4)  # variations of group 60


class OpenMaster:
    """A `Master` of opendnp3."""

    def __init__(
        self, channel: _Channel, device: Dnp3Device, notify: Notify, leave: Callable[[bool], None]
    ) -> None:
        self._notify = notify
        self._channel = channel
        self._leave = leave
        # opendnp3 holds them by weak ends: they have to outlive the channel.
        self._kept = (_Heard(notify), _Application(notify))
        milliseconds = opendnp3.TimeDuration.Milliseconds
        config = opendnp3.MasterStackConfig()
        config.link.LocalAddr = device.master_address
        config.link.RemoteAddr = device.address
        config.link.KeepAliveTimeout = milliseconds(device.keep_alive_ms)
        parameters = config.master
        parameters.responseTimeout = milliseconds(device.timeout_ms)
        parameters.timeSyncMode = _SYNC[device.time_sync]
        parameters.taskRetryPeriod = milliseconds(min(5_000, device.retry_max_ms))
        parameters.maxTaskRetryPeriod = milliseconds(device.retry_max_ms)
        parameters.integrityOnEventOverflowIIN = True
        self._master = channel.channel.AddMaster(device.name, *self._kept, config)
        channel.join(self._master)
        self._master.Enable()

    def close(self) -> None:
        is_shared = self._channel.leave(self._master)  # first: what has ended is asked to log nothing
        self._master.Shutdown()
        self._leave(is_shared)

    def disable_unsolicited(self) -> None:
        headers = [opendnp3.Header.AllObjects(60, variation) for variation in _CLASSES]
        self._master.PerformFunction("unsolicited off", opendnp3.FunctionCode.DISABLE_UNSOLICITED, headers)

    def read_classes(self, *, everything: bool) -> None:
        field = opendnp3.ClassField.AllClasses() if everything else opendnp3.ClassField.AllEventClasses()
        self._master.ScanClasses(field, self._kept[0])

    def read_point(self, group: int, index: int) -> None:
        self._master.ScanRange(opendnp3.GroupVariationID(group, 0), index, index, self._kept[0])

    def operate(self, number: int, point: Dnp3Point, raw: bool | float) -> None:
        wish = self._wish(point, raw)
        send = self._master.SelectAndOperate if point.select else self._master.DirectOperate

        def ended(result: Any) -> None:
            found = result.to_list()
            summary = result.summary
            was_sent = summary not in (
                opendnp3.TaskCompletion.FAILURE_NO_COMMS,
                opendnp3.TaskCompletion.FAILURE_START_TIMEOUT,
            )
            if summary != opendnp3.TaskCompletion.SUCCESS or not found:
                self._notify(CommandEnded(number, None, summary.name, was_sent))
                return
            one = found[0]
            is_told = one.state not in (
                opendnp3.CommandPointState.INIT,
                opendnp3.CommandPointState.SELECT_SUCCESS,
            )
            self._notify(
                CommandEnded(number, one.status.value if is_told else None, one.status.name, was_sent)
            )

        send(wish, point.index, ended)

    @staticmethod
    def _wish(point: Dnp3Point, raw: bool | float) -> Any:
        if isinstance(raw, bool):
            operation, trip = _OPERATIONS[point.when_true if raw else point.when_false]
            return opendnp3.ControlRelayOutputBlock(operation, trip, False, 1, point.pulse_ms, point.pulse_ms)
        form = _FORMS[point.form]
        return form(round(raw) if point.form in (AnalogForm.INT16, AnalogForm.INT32) else raw)


class OpenEngine:
    """opendnp3, an `Engine` with one thread for all outstations."""

    def __init__(self) -> None:
        self._log = _Log()
        self._manager = opendnp3.DNP3Manager(1, self._log)
        self._channels: dict[str, _Channel] = {}  # by device
        self._lines: dict[str, _Channel] = {}  # by serial port

    def master(self, device: Dnp3Device, notify: Notify, tunnel_port: int | None = None) -> OpenMaster:
        port = device.serial
        channel = None if port is None else self._lines.get(port.path)
        if channel is None:
            channel = _Channel(
                lambda listener: self._open(device, listener, tunnel_port),
                f"{device.host}:{device.port}" if port is None else port.path,
                is_tunnelled=tunnel_port is not None,
            )
        self._channels[device.name] = channel
        self._log.channels[device.name] = channel.frames
        if port is not None:
            self._lines[port.path] = channel
        if tunnel_port is None:
            channel.listener.follow(notify)

        def leave(is_shared: bool) -> None:
            if is_shared:
                channel.listener.leave(notify)
                return
            channel.channel.Shutdown()
            if port is not None:
                del self._lines[port.path]

        return OpenMaster(channel, device, notify, leave)

    def note(self, device: str, text: str) -> None:
        """What became of the connection behind a device's tunnel."""
        if device in self._channels:
            self._channels[device].frames.note(text)

    def traces(self) -> Mapping[str, Ring]:
        """The frames since somebody looked, by device; those on one line share theirs."""
        return {name: channel.frames.ring for name, channel in self._channels.items()}

    def rest(self) -> None:
        """Call it now and then: logs that nobody looks at end."""
        for channel in self._channels.values():
            channel.rest(time.monotonic() - KEPT_S)

    def _open(self, device: Dnp3Device, listener: Any, tunnel_port: int | None) -> Any:
        milliseconds = opendnp3.TimeDuration.Milliseconds
        retry = opendnp3.ChannelRetry(milliseconds(500), milliseconds(device.retry_max_ms))
        if device.serial is None:
            host, port = (device.host, device.port) if tunnel_port is None else ("127.0.0.1", tunnel_port)
            return self._manager.AddTCPClient(
                device.name,
                opendnp3.levels.NOTHING,
                retry,
                [opendnp3.IPEndpoint(host, port)],
                "0.0.0.0",  # noqa: S104 - the adapter that it connects from: any
                listener,
            )
        settings = opendnp3.SerialSettings()
        settings.deviceName = device.serial.path
        settings.baud = device.serial.baud
        settings.dataBits = device.serial.data_bits
        settings.parity = _PARITIES[device.serial.parity]
        settings.stopBits = opendnp3.StopBits.One if device.serial.stop_bits == 1 else opendnp3.StopBits.Two
        settings.flowType = getattr(opendnp3.FlowControl, "None")
        return self._manager.AddSerial(device.name, opendnp3.levels.NOTHING, retry, settings, listener)

    def close(self) -> None:
        for channel in self._channels.values():
            channel.rest(math.inf)
        self._manager.Shutdown()
