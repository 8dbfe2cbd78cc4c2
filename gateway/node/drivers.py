"""The drivers' part: all in-process drivers and the command router, over one writer of the owner ``drivers``.

A driver of devices has, for this part:

- ``Driver(devices, ..., writer)``, which only assigns; ``run(stop)``, which speaks to the devices until ``stop`` is
  set and then makes their points Bad; ``tags()``, and what `gateway.tags.operate.DeviceDriver` asks for.
- To be reloaded in place it needs no more than that: each `_Unit`, devices that share a connection, has an instance
  of the driver of its own, and only the units that are not what they were are stopped and started. A protocol joins
  by a line of `_units_of`, a case of `Devices._driver_of`, and a line in ``_DRIVERS_TAKE`` of gateway.node.effects.
- Where many devices are cheaper in one instance, the driver has ``take(devices)`` instead, as `ModbusDriver`: it goes
  on with these, and does not touch those that are equal to what they were.

Devices are frozen and compared as a whole. Tags keep their places; what is retired is marked here, for all drivers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from gateway.commands.arbitrate import Arbitration
from gateway.commands.audit import AuditError, AuditFile, AuditTrail, reloaded_event
from gateway.commands.follow import Follower
from gateway.commands.interlock import Interlocks
from gateway.commands.kept import ControlFile, HeldFile, Sequence
from gateway.commands.router import Router
from gateway.commands.server import CommandServer
from gateway.commands.setpoints import SetpointDriver
from gateway.commands.shown import Shown
from gateway.config.accounts import Accounts
from gateway.config.dnp3_protocol import OWNER as DNP3_OWNER
from gateway.config.part import PartContext
from gateway.config.site import Site, Tag
from gateway.config.system import DRIVERS_OWNER
from gateway.drivers.can.driver import CanDriver
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.drivers.remote import RemoteDriver
from gateway.drivers.trace import Ring, Traced
from gateway.drivers.trace_socket import TraceServer
from gateway.tags.image import Region, Writer
from gateway.tags.operate import DeviceDriver
from gateway.tags.quality import Quality

log = logging.getLogger(__name__)


class _UnitDriver(DeviceDriver, Protocol):
    """A driver of the devices of one unit."""

    async def run(self, stop: asyncio.Event) -> None: ...
    def tags(self) -> Iterable[int]: ...


@dataclass(slots=True, eq=False)
class _Unit:
    """Devices that start and stop together, and the driver that speaks to them."""

    devices: tuple[Any, ...]
    driver: _UnitDriver
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup, name: str) -> None:
        self.task = tasks.create_task(self.driver.run(self.stop), name=name)

    async def end(self) -> None:
        self.stop.set()
        if self.task is not None:
            await asyncio.wait([self.task])


def _units_of(site: Site) -> Iterator[tuple[Hashable, Any]]:
    """Each device with the unit that it belongs to: a CAN bus, a session with an OPC UA server."""
    for can in site.can_devices:
        yield ("can", can.bus.interface, can.bus.channel, can.bus.port, can.bus.file), can
    for opcua in site.opcua_devices:
        yield ("opcua", opcua.name), opcua


class _Runs(Protocol):
    """Something that runs beside the router until it is cancelled."""

    async def run(self) -> None: ...


class Devices:
    """All devices of the site, by whichever driver. ``reach`` tells which driver reaches a tag, at any time."""

    def __init__(self, context: PartContext, region: Region, writer: Writer) -> None:
        self._context = context
        self._writer = writer
        site = context.site
        self._modbus = ModbusDriver(site.modbus, region, writer)
        self._dnp3 = RemoteDriver(context.paths.driver_socket(DNP3_OWNER), _dnp3_points(site))
        self._units = {
            key: _Unit(devices, self._driver_of(key, devices)) for key, devices in _grouped(site).items()
        }
        self._stop = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._remote: asyncio.Task[None] | None = None
        self.reach: dict[int, DeviceDriver] = {}
        self._find_reach()

    def traces(self) -> Mapping[str, Ring]:
        """The last frames, by device, of those whose drivers keep them."""
        rings = dict(self._modbus.traces())
        for unit in self._units.values():
            if isinstance(unit.driver, Traced):
                rings |= unit.driver.traces()
        return rings

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Speak to them, until `stop`."""
        self._tasks = tasks
        tasks.create_task(self._modbus.run(self._stop), name="modbus")
        self._remote = tasks.create_task(self._dnp3.run(), name="dnp3")
        for key, unit in self._units.items():
            unit.start(tasks, str(key))

    async def take(self, site: Site) -> None:
        """Go on with the devices of ``site``."""
        assert self._tasks is not None, "not started"
        wanted = _grouped(site)
        ending = {key: unit for key, unit in self._units.items() if wanted.get(key) != unit.devices}
        await asyncio.gather(*(unit.end() for unit in ending.values()))
        for key in ending:
            del self._units[key]
        await self._modbus.take(site.modbus)
        self._dnp3.take(_dnp3_points(site))
        for key, devices in wanted.items():
            if key not in self._units:
                unit = self._units[key] = _Unit(devices, self._driver_of(key, devices))
                unit.start(self._tasks, str(key))
        self._find_reach()

    def stop(self) -> None:
        """Leave them alone; the tasks end by themselves."""
        if self._remote is not None:
            self._remote.cancel()
        self._stop.set()
        for unit in self._units.values():
            unit.stop.set()

    def _driver_of(self, key: Hashable, devices: tuple[Any, ...]) -> _UnitDriver:
        match key:
            case ("can", *_):
                return CanDriver(devices, self._writer)
            case ("opcua", _):
                # 25 MB and half a second, for sites that have such a device only
                from gateway.drivers.opcua.driver import OpcUaDriver

                return OpcUaDriver(devices, self._writer, self._context.paths.pki, self._context.site.name)
        raise AssertionError(key)

    def _find_reach(self) -> None:
        """In place: who was given it sees what it is now."""
        self.reach.clear()
        self.reach.update(dict.fromkeys(self._modbus.tags(), self._modbus))
        self.reach.update(dict.fromkeys(self._dnp3.tags(), self._dnp3))
        for unit in self._units.values():
            self.reach.update(dict.fromkeys(unit.driver.tags(), unit.driver))


class Commands:
    """The router and what stands beside it: the logic's outputs and setpoints, control, interlocks."""

    def __init__(self, context: PartContext, region: Region, writer: Writer, devices: Devices) -> None:
        self._context = context
        self._region = region
        self._writer = writer
        self._devices = devices
        self._trail = AuditTrail(AuditFile(context.paths.audit))
        self._site = context.site
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[_Runs, asyncio.Task[None]] = {}
        self._follower = self._new_follower(context.site)
        self._setpoints = self._new_setpoints(context.site)
        self._control = self._new_control(context.site)
        self._interlocks = self._new_interlocks(context.site)
        self.router = Router(
            context.site,
            devices.reach,
            self._trail,
            setpoints=self._expiring(),
            holder=self._follower,
            control=self._control,
            interlocks=self._interlocks,
        )
        self._shown = self._new_shown(context.site)
        self._reached = self._drivers_of_outputs(context.site)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run what has to run and does not; `stop` ends it."""
        self._tasks = tasks
        for each in (self._follower, self._setpoints, self._interlocks, self._shown):
            if each is not None and each not in self._running:
                self._running[each] = tasks.create_task(each.run(), name="commands")

    async def before(self, site: Site) -> None:
        """What has to be done for ``site`` as long as the devices before it can still be reached."""
        if self._follower is not None and site.logic != self._site.logic:
            await self._follower.finish()  # what it held is safe, until the new logic holds it

    async def take(self, site: Site) -> None:
        """Go on with ``site``: commands under way go on, and who has control, holds or waits for a word stays."""
        assert self._tasks is not None, "not started"
        old, self._site = self._site, site
        reached = self._drivers_of_outputs(site)
        before = (self._follower, self._setpoints, self._interlocks, self._shown)
        if old.logic != site.logic:
            self._setpoints = self._new_setpoints(site)
        if old.logic != site.logic or reached != self._reached:
            self._follower = self._new_follower(site)  # what it held, it finds in its file
        self._reached = reached
        if old.control != site.control or old.users != site.users:
            control = self._new_control(site)
            if control is not None:
                await control.open()
            self._control = control
        self._interlocks = self._new_interlocks(site)
        self._shown = self._new_shown(site)
        now = (self._follower, self._setpoints, self._interlocks, self._shown)
        await self._end([each for each in before if each is not None and each not in now])
        self.router.take(
            site,
            self._devices.reach,
            setpoints=self._expiring(),
            holder=self._follower,
            control=self._control,
            interlocks=self._interlocks,
        )
        self.start(self._tasks)
        try:
            await self._trail.note(reloaded_event(site.name, site.digest))
        except AuditError as error:
            log.error("the reload is not in the audit trail: %s", error)

    async def finish(self) -> None:
        """The end of the part: outputs are made safe, then no more commands are taken."""
        if self._follower is not None:
            await self._follower.finish()
        await self.router.close()

    async def stop(self) -> None:
        """End what runs beside the router."""
        await self._end(list(self._running))

    async def _end(self, those: Iterable[_Runs]) -> None:
        tasks = [self._running.pop(each) for each in those if each in self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _drivers_of_outputs(self, site: Site) -> list[tuple[Tag, DeviceDriver | None]]:
        """What the follower knows of the points that it writes."""
        outputs = () if site.logic is None else site.logic.outputs
        return [(site.tags[each.tag], self._devices.reach.get(each.tag)) for each in outputs]

    def _new_shown(self, site: Site) -> Shown:
        return Shown(site.tags, self._control, self.router.selections, self._writer)

    def _new_follower(self, site: Site) -> Follower | None:
        if site.logic is None:
            return None
        held = HeldFile(self._context.paths.state / "outputs.json")
        return Follower(site, site.logic, self._region, self._writer, self._devices.reach, held, self._trail)

    def _new_setpoints(self, site: Site) -> SetpointDriver | None:
        if site.logic is None:
            return None
        numbers = Sequence(self._context.paths.state / "setpoints.json")
        return SetpointDriver(site.logic, self._region, self._writer, numbers)

    def _new_control(self, site: Site) -> Arbitration | None:
        if site.control is None:
            return None
        kept = ControlFile(self._context.paths.state / "control.json")
        return Arbitration(site.control, site.tags, site.users, kept)

    def _new_interlocks(self, site: Site) -> Interlocks | None:
        if site.control is None:
            return None
        now_s = time.monotonic()  # as the loop's clock
        return Interlocks(site.control.interlocks, site.tags, self._region, now_s)

    def _expiring(self) -> Mapping[int, SetpointDriver]:
        return {} if self._setpoints is None else dict.fromkeys(self._setpoints.tags(), self._setpoints)


async def run(context: PartContext) -> None:
    """Until ``context.stop``. Outputs are made safe and the router ends before the drivers: both still need them."""
    with Region.attach(context.region_name) as region:
        writer = region.claim(DRIVERS_OWNER)
        devices = Devices(context, region, writer)
        commands = Commands(context, region, writer, devices)
        server = CommandServer(
            context.paths.command_socket, commands.router, Accounts(context.paths.accounts)
        )
        traces = TraceServer(context.paths.trace_socket(DRIVERS_OWNER), (devices,))
        async with asyncio.TaskGroup() as tasks:
            devices.start(tasks)
            commands.start(tasks)
            taking = tasks.create_task(_take(context, region, writer, devices, commands), name="reload")
            try:
                await commands.router.open()
                await server.start()
                await traces.start()
                context.ready.set()
                await context.stop.wait()
                taking.cancel()
                await asyncio.wait([taking])
                await commands.finish()
            finally:
                taking.cancel()
                await traces.stop()
                await server.stop()
                await commands.stop()
                devices.stop()
        writer.release()


async def _take(
    context: PartContext, region: Region, writer: Writer, devices: Devices, commands: Commands
) -> None:
    """Other sites as they come."""
    present = context.site
    while True:
        reload = await context.reloads.get()
        site = reload.site
        region.refresh()
        await commands.before(site)
        await devices.take(site)
        await commands.take(site)
        gone = [
            place
            for place, tag in enumerate(present.tags)
            if tag.owner == DRIVERS_OWNER and not site.tags[place].name
        ]
        if gone:
            writer.invalidate(Quality.BAD_OUT_OF_SERVICE, time.time_ns(), np.array(gone, np.uint32))
        present = site
        reload.done.set_result(None)


def _grouped(site: Site) -> dict[Hashable, tuple[Any, ...]]:
    found: dict[Hashable, tuple[Any, ...]] = {}
    for key, device in _units_of(site):
        found[key] = (*found.get(key, ()), device)
    return found


def _dnp3_points(site: Site) -> list[int]:
    return [point.tag for device in site.dnp3_devices for point in device.points]
