"""A device as a DNP3 outstation: opendnp3's, somebody else's than the one that Tieline has, so it tries our master.

It listens on a port of its own; masters reach it through a link that can be made to fail, as a radio link does.
What this binding of opendnp3 can not be told is as that library has it: every point is of class 1, values are whole
numbers of 32 bits, and events bear no time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import opendnp3

from gateway.simulator.devices.rtu import SCAN_S, Point, PointKind
from gateway.simulator.faults import Fault, FaultKind, refuse_of_meters
from gateway.simulator.link import Link

ADDRESS, MASTER_ADDRESS = 10, 1
EVENTS = 500  # kept for a master that is away; of more the oldest go
ACT_S = 2.0  # a command that takes longer has failed
_ONLINE, _COMM_LOST, _REFERENCE_ERROR = 0x01, 0x04, 0x40
_STATE = 0x80  # the output itself, among its flags (A.6.2)
_LOW, _HIGH = -(2**31), 2**31 - 1
_COUNTER_HIGH = 2**32 - 1
# Of the kinds that this library would otherwise have as many points of.
_NOT_THERE = ("double_binary", "frozen_counter", "analog_output_status", "octet_string", "time_and_interval")
_Act = Callable[[int, bool], Any]
_STATUS = opendnp3.CommandStatus
_PULSE, _ON, _OFF = (
    opendnp3.OperationType.PULSE_ON,
    opendnp3.OperationType.LATCH_ON,
    opendnp3.OperationType.LATCH_OFF,
)
_CLOSE, _TRIP = opendnp3.TripCloseCode.CLOSE, opendnp3.TripCloseCode.TRIP


class _Commands(opendnp3.ICommandHandler):  # type: ignore[misc]  # the binding has no types
    """Called in opendnp3's thread; no exception may leave."""

    def __init__(self, check: _Act, act: _Act) -> None:
        super().__init__()
        self._check, self._act = check, act

    def Begin(self) -> None:  # noqa: N802 - opendnp3's names
        """A request begins."""

    def End(self) -> None:  # noqa: N802
        """A request ends."""

    def Select(self, command: Any, index: int) -> Any:  # noqa: N802
        wish = _wish(command)
        return _STATUS.NOT_SUPPORTED if wish is None else self._check(index, wish)

    def Operate(self, command: Any, index: int, handler: Any, how: Any) -> Any:  # noqa: N802
        wish = _wish(command)
        return _STATUS.NOT_SUPPORTED if wish is None else self._act(index, wish)


class _Application(opendnp3.IOutstationApplication):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()

    def Now(self) -> Any:  # noqa: N802
        return opendnp3.DNPTime(time.time_ns() // 1_000_000)


def _wish(command: Any) -> bool | None:
    """What a control relay output block asks of a breaker; None for what it does not understand."""
    if not isinstance(command, opendnp3.ControlRelayOutputBlock) or command.count != 1:
        return None
    code = command.opType, command.tcc
    if code in ((_PULSE, _CLOSE), (_ON, opendnp3.TripCloseCode.NUL)):
        return True
    return False if code in ((_PULSE, _TRIP), (_OFF, opendnp3.TripCloseCode.NUL)) else None


class RtuServer:
    """``points`` of ``source`` as an outstation on ``host:port``, which is a link to it at ``inner_port``."""

    def __init__(
        self, name: str, host: str, port: int, inner_port: int, points: Sequence[Point[Any]], source: object
    ) -> None:
        self.name = name
        self.host = host
        self.fault: Fault | None = None
        self._link = Link(host, port, inner_port)
        self._inner_port = inner_port
        self._points = points
        self._outputs = {point.index: point for point in points if point.kind is PointKind.BINARY_OUTPUT}
        self._source = source
        self._told: dict[Point[Any], tuple[float, int]] = {}  # value and flags of the last event
        self._random = random.Random(name)
        self._scanning: asyncio.Task[None] | None = None
        self._manager: Any = None
        self._outstation: Any = None
        self._kept: tuple[Any, ...] = ()

    @property
    def port(self) -> int:
        return self._link.port

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        await self._link.open()
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)
        self._scan()
        self._scanning = asyncio.create_task(self._scan_for_ever(), name=f"rtu {self.name}")

    async def stop(self) -> None:
        await self._link.close()
        if self._scanning is not None:
            self._scanning.cancel()
            await asyncio.wait([self._scanning])
            self._scanning = None
        manager, self._manager = self._manager, None
        if manager is not None:
            await asyncio.to_thread(manager.Shutdown)  # it waits for its thread, which may wait for this loop

    async def suffer(self, fault: Fault | None) -> None:
        """From now on behave so; None: be well. Raises OSError where a stopped device finds its port taken."""
        refuse_of_meters(fault)
        self.fault = fault
        await self._link.suffer(fault)

    def _open(self) -> None:
        self._manager = opendnp3.DNP3Manager(1)
        self._kept = (_Commands(self._check, self._act), _Application(), opendnp3.IChannelListener())
        channel = self._manager.AddTCPServer(
            self.name,
            opendnp3.levels.NOTHING,
            opendnp3.ServerAcceptMode.CloseExisting,
            opendnp3.IPEndpoint(self.host, self._inner_port),
            self._kept[2],
        )
        database = opendnp3.DatabaseConfig(1 + max(point.index for point in self._points))
        for kind in _NOT_THERE:
            setattr(database, kind, {})
        config = opendnp3.OutstationStackConfig(database)
        config.link.LocalAddr, config.link.RemoteAddr = ADDRESS, MASTER_ADDRESS
        config.outstation.params.allowUnsolicited = True
        config.outstation.eventBufferConfig = opendnp3.EventBufferConfig.AllTypes(EVENTS)
        self._outstation = channel.AddOutstation(self.name, self._kept[0], self._kept[1], config)
        self._outstation.Enable()

    async def _scan_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SCAN_S)
            self._look()

    def _look(self) -> None:
        if self.fault is None or self.fault.kind is not FaultKind.STUCK:
            self._scan()

    def _scan(self) -> None:
        """What has changed since it was told."""
        updates = opendnp3.UpdateBuilder()
        has_any = False
        for point in self._points:
            value, flags = self._measure(point)
            told = self._told.get(point)
            if told is not None and told[1] == flags:
                change = abs(value - told[0])
                if change == 0.0 or change < point.deadband:
                    continue
            self._told[point] = value, flags
            has_any = True
            _put(updates, point, value, flags)
        if has_any:
            self._outstation.Apply(updates.Build())

    def _measure(self, point: Point[Any]) -> tuple[float, int]:
        kind = None if self.fault is None else self.fault.kind
        value = point.read(self._source)
        assert not isinstance(value, str)
        if kind is FaultKind.WRONG and point.kind is not PointKind.BINARY_OUTPUT:
            lie = self._random.getrandbits(1 if point.kind is PointKind.BINARY else 31)
            return lie * point.scale, _ONLINE
        if kind is FaultKind.EXCEPTION:
            return float(value or 0.0), _COMM_LOST
        if value is None:
            return 0.0, _ONLINE | _REFERENCE_ERROR
        return float(value), _ONLINE

    def _check(self, index: int, _wish: bool) -> Any:
        if index not in self._outputs:
            return _STATUS.NOT_SUPPORTED
        fault = self.fault
        if fault is not None and fault.kind is FaultKind.EXCEPTION:
            return _status(fault.code)
        return _STATUS.SUCCESS

    def _act(self, index: int, wish: bool) -> Any:
        """In opendnp3's thread: the plant is moved in the loop's, between two of its steps."""
        status = self._check(index, wish)
        if status != _STATUS.SUCCESS:
            return status
        write = self._outputs[index].write
        assert write is not None
        done: Future[bool] = Future()

        def do() -> None:
            if not done.set_running_or_notify_cancel():
                return
            done.set_result(write(self._source, float(wish)) is None)
            self._look()  # the output's status is there before the answer is

        try:
            self._loop.call_soon_threadsafe(do)
            is_done = done.result(ACT_S)
        except (RuntimeError, TimeoutError, CancelledError):  # the loop is closed, or has no time
            done.cancel()
            return _STATUS.TIMEOUT
        return _STATUS.SUCCESS if is_done else _STATUS.BLOCKED


def _put(updates: Any, point: Point[Any], value: float, flags: int) -> None:
    quality = opendnp3.Flags(flags)
    match point.kind:
        case PointKind.BINARY:
            updates.Update(opendnp3.Binary(bool(value), quality), point.index)
        case PointKind.BINARY_OUTPUT:
            output = opendnp3.BinaryOutputStatus(bool(value))
            output.flags = opendnp3.Flags(flags | (_STATE if value else 0))
            updates.Update(output, point.index)
        case PointKind.ANALOG:
            raw = min(max(round(value / point.scale), _LOW), _HIGH)
            updates.Update(opendnp3.Analog(raw, quality), point.index)
        case PointKind.COUNTER:
            raw = min(max(int(value / point.scale), 0), _COUNTER_HIGH)
            updates.Update(opendnp3.Counter(raw, quality), point.index)


def _status(code: int) -> Any:
    """A control status by its number; HARDWARE_ERROR for one that there is not."""
    return next((one for one in _STATUS.__members__.values() if one.value == code), _STATUS.HARDWARE_ERROR)
