"""The plant and a program on one virtual clock, joined as the site's wiring says: seconds of plant in milliseconds.

What lies between the two in a running gateway is reckoned with: every poll group has its period and a phase, what is
read arrives a little later, what is written goes out a little later, one write at a time a device. So a controller is
tried on measurements as old as they will be. Nothing here waits, and the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from gateway.config.logic import LogicSettings, Number
from gateway.config.site import Site
from gateway.config.system import DISPATCH_OWNER
from gateway.simulator.devices.registers import Reading, Refusal, RegisterMap, Table
from gateway.simulator.devices.roster import can_devices, controller_devices, devices, rtu_devices
from gateway.simulator.devices.rtu import SCAN_S, PointKind
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import STEP_S

MS_PER_STEP = round(STEP_S * 1000)
RTU_SCAN_MS = round(SCAN_S * 1000)


class Program(Protocol):
    """A compiled program that is scanned by somebody else's clock."""

    def reader(self, paths: Sequence[str]) -> Callable[[], tuple[Any, ...]]:
        """Reads variables, all at once. Raises KeyError."""
        ...

    def setter(self, path: str) -> Callable[[Any], None]:
        """Writes a variable, as its type has it. Raises KeyError."""
        ...

    def scan(self, count: int, period_us: int) -> None:
        """``count`` scans, the clock going on by ``period_us`` after each."""
        ...


class Readable(Protocol):
    """A value of a device, by whatever protocol."""

    @property
    def read(self) -> Callable[[Any], Reading]: ...
    @property
    def write(self) -> Callable[[Any, float], Refusal | None] | None: ...


@dataclass(frozen=True, slots=True)
class Delays:
    """In ms: how late a reading is in the program, and a command at the device; each drawn evenly from its range.

    ``fast_ms`` is the period of groups that the site polls every 50 ms or oftener, where it is another here.
    """

    read_ms: tuple[float, float] = (2.0, 8.0)
    write_ms: tuple[float, float] = (5.0, 30.0)
    fast_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A command that reached its device. ``refused``: the device answered with an exception."""

    at_s: float
    tag: str
    value: Number
    refused: bool


@dataclass(slots=True)
class _Input:
    tag: str
    row: Readable
    source: object
    put: Callable[[Any], None]
    put_good: Callable[[Any], None] | None
    is_good: bool = False
    last: Any = None


@dataclass(slots=True)
class _Output:
    tag: str
    device: str
    row: Readable
    source: object
    value: int  # the place of its variable among those that are read
    active: int | None
    refresh_ms: int
    sent: Any = None  # the value last on its way; None: the program does not hold the point
    sent_ms: int = 0


@dataclass(slots=True)
class _Poll:
    """One group of one device."""

    period_ms: int
    inputs: list[_Input]


class Together:
    """``grid`` and ``program``, wired by ``site.logic``. `step` advances both by one step of the plant.

    ``bad`` holds tags that can not be trusted now: their flag is FALSE and their variable keeps its last value.
    ``written`` is every command that reached a device, in order.
    """

    def __init__(
        self, grid: Microgrid, program: Program, site: Site, delays: Delays | None = None, seed: int = 1
    ) -> None:
        assert site.logic is not None
        self.grid = grid
        self.program = program
        self.ms = 0
        self.bad: set[str] = set()
        self.written: list[Written] = []
        self._delays = delays or Delays()
        self._random = random.Random(f"{seed}:together")
        self._rows = rows_by_tag(grid, site)
        self._polls = self._polls_of(site, site.logic)
        paths: dict[str, int] = {}
        self._outputs = [self._output(one, paths) for one in site.logic.outputs]
        self._read = program.reader(list(paths))
        self._last: tuple[Any, ...] = ()
        self._refresh_at_ms = math.inf
        self._queue: list[tuple[int, int, Callable[[], None]]] = []  # due ms, order, what
        self._order = 0
        self._busy_ms: dict[str, int] = {}  # when a device has taken all that is on its way
        for poll in self._polls:
            self._post(self._random.randrange(poll.period_ms), partial(self._sample, poll))

    @property
    def seconds(self) -> float:
        return self.ms / 1000.0

    def step(self) -> None:
        """One step of the plant, with everything that falls due on the way and the scans of that time."""
        self.grid.step()
        end_ms = self.ms + MS_PER_STEP
        while self.ms < end_ms:
            moment = min(self._queue[0][0], end_ms) if self._queue else end_ms
            if moment > self.ms:
                self.program.scan(moment - self.ms, 1000)
                self.ms = moment
                self._follow()
            while self._queue and self._queue[0][0] <= self.ms:
                heapq.heappop(self._queue)[2]()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def _post(self, delay_ms: float, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.ms + max(1, round(delay_ms)), self._order, what))

    def _sample(self, poll: _Poll) -> None:
        """Read a group now, to be in the program a little later, and read it again after its period."""
        taken = [(one, one.row.read(one.source), one.tag not in self.bad) for one in poll.inputs]
        self._post(self._random.uniform(*self._delays.read_ms), lambda: _deliver(taken))
        self._post(poll.period_ms, lambda: self._sample(poll))

    def _follow(self) -> None:
        """What the driver does: operate on change, again every refresh, nothing where the program let go."""
        told = self._read()
        if told == self._last and self.ms < self._refresh_at_ms:
            return  # as most scans leave it
        self._last, self._refresh_at_ms = told, math.inf
        for output in self._outputs:
            if output.active is not None and not told[output.active]:
                output.sent = None
                continue
            value = told[output.value]
            if value != output.sent or (output.refresh_ms and self.ms - output.sent_ms >= output.refresh_ms):
                output.sent, output.sent_ms = value, self.ms
                self._send(output, value)
            if output.refresh_ms:
                self._refresh_at_ms = min(self._refresh_at_ms, output.sent_ms + output.refresh_ms)

    def _send(self, output: _Output, value: Any) -> None:
        began_ms = max(self.ms, self._busy_ms.get(output.device, 0))
        due_ms = began_ms + self._random.uniform(*self._delays.write_ms)
        self._busy_ms[output.device] = round(due_ms)
        self._post(due_ms - self.ms, lambda: self._write(output, value))

    def _write(self, output: _Output, value: Any) -> None:
        assert output.row.write is not None
        refusal = output.row.write(output.source, value)
        self.written.append(Written(self.seconds, output.tag, value, refusal is not None))

    def _polls_of(self, site: Site, logic: LogicSettings) -> list[_Poll]:
        groups: dict[tuple[str, int], _Poll] = {}
        for wired in logic.inputs:
            if wired.tag not in self._rows and site.tags[wired.tag].owner == DISPATCH_OWNER:
                continue  # nobody plans here
            device, group, period_ms, row, source = self._rows[wired.tag]
            if self._delays.fast_ms is not None and period_ms <= 50:
                period_ms = self._delays.fast_ms
            poll = groups.setdefault((device, group), _Poll(period_ms, []))
            put_good = self.program.setter(wired.good) if wired.good else None
            poll.inputs.append(_Input(wired.name, row, source, self.program.setter(wired.variable), put_good))
        return list(groups.values())

    def _output(self, wired: Any, paths: dict[str, int]) -> _Output:
        """``paths``: what is read, and its place; those of this one are added."""
        device, _, _, row, source = self._rows[wired.tag]
        return _Output(
            wired.name,
            device,
            row,
            source,
            paths.setdefault(wired.variable, len(paths)),
            paths.setdefault(wired.active, len(paths)) if wired.active else None,
            wired.refresh_ms,
        )


def _deliver(taken: list[tuple[_Input, Any, bool]]) -> None:
    for one, value, is_good in taken:
        # The scan's own rule: a Bad sample leaves the variable as it was. "Not implemented" is Bad too.
        is_good = is_good and value is not None
        if is_good and value != one.last:
            one.last = value
            one.put(value)
        if is_good is not one.is_good:
            one.is_good = is_good
            if one.put_good is not None:
                one.put_good(is_good)


def rows_by_tag(grid: Microgrid, site: Site) -> dict[int, tuple[str, int, int, Readable, object]]:
    """By tag: device, a number of those that are read together there, their period, and where the value is had."""
    return dict(
        (
            *_registers_by_tag(grid, site),
            *_signals_by_tag(grid, site),
            *_rtu_points_by_tag(grid, site),
            *_variables_by_tag(grid, site),
        )
    )


def _registers_by_tag(
    grid: Microgrid, site: Site
) -> Iterator[tuple[int, tuple[str, int, int, Readable, object]]]:
    """A poll group is read together."""
    served: dict[str, tuple[RegisterMap[Any], object]] = {
        name: (map, source) for name, _, map, source in devices(grid)
    }
    for device in site.modbus:
        if device.name not in served:
            continue
        map, source = served[device.name]
        rows = {(row.table, row.address): row for row in map.rows}
        for point in device.points:
            row = rows.get((Table(point.table.value), point.address))
            if row is not None:
                period_ms = device.groups[point.group].period_ms
                yield point.tag, (device.name, point.group, period_ms, row, source)


def _signals_by_tag(
    grid: Microgrid, site: Site
) -> Iterator[tuple[int, tuple[str, int, int, Readable, object]]]:
    """A frame comes together."""
    served = {name: (frames, source) for name, frames, source in can_devices(grid)}
    for device in site.can_devices:
        if device.name not in served:
            continue
        frames, source = served[device.name]
        signals = {
            (frame.id, signal.start): (round(1000 * frame.period_s), signal)
            for frame in (*frames.sent, *frames.taken)
            for signal in frame.signals
        }
        for point in device.points:
            found = signals.get((point.message.id, point.signal.start))
            if found is not None:
                yield point.tag, (device.name, point.message.id, *found, source)


def _rtu_points_by_tag(
    grid: Microgrid, site: Site
) -> Iterator[tuple[int, tuple[str, int, int, Readable, object]]]:
    """Changes come as they are seen, so all of it at the RTU's own pace."""
    served = {name: (points, source) for name, _, points, source in rtu_devices(grid)}
    for device in site.dnp3_devices:
        if device.name not in served:
            continue
        known, source = served[device.name]
        by_place = {(one.kind, one.index): one for one in known}
        kinds = {kind.value: kind for kind in PointKind}
        for point in device.points:
            kind = kinds.get(point.kind.value)
            found = None if kind is None else by_place.get((kind, point.index))
            if found is not None:
                yield point.tag, (device.name, 0, RTU_SCAN_MS, found, source)


def _variables_by_tag(
    grid: Microgrid, site: Site
) -> Iterator[tuple[int, tuple[str, int, int, Readable, object]]]:
    """A subscription tells all that has changed together."""
    served = {name: (variables, source) for name, _, variables, source in controller_devices(grid)}
    for device in site.opcua_devices:
        if device.name not in served:
            continue
        variables, source = served[device.name]
        by_name = {one.name: one for one in variables}
        for point in device.points:
            if point.node is None:
                continue
            name = ".".join((str(point.node.identifier), *map(str, point.field)))
            if name in by_name:
                period_ms = device.groups[point.group].period_ms
                yield point.tag, (device.name, point.group, period_ms, by_name[name], source)
