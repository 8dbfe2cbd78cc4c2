"""The drivers' part: all in-process drivers and the command router, over one writer of the owner ``drivers``."""

from __future__ import annotations

import asyncio

from gateway.commands.arbitrate import Arbitration
from gateway.commands.audit import AuditFile, AuditTrail
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
from gateway.config.system import DRIVERS_OWNER
from gateway.drivers.can.driver import CanDriver
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.drivers.opcua.driver import OpcUaDriver
from gateway.drivers.remote import RemoteDriver
from gateway.drivers.trace_socket import TraceServer
from gateway.tags.image import Region
from gateway.tags.operate import DeviceDriver


async def run(context: PartContext) -> None:
    """Until ``context.stop``. Outputs are made safe and the router ends before the drivers: both still need them."""
    site, state = context.site, context.paths.state
    with Region.attach(context.region_name) as region:
        writer = region.claim(DRIVERS_OWNER)
        modbus = ModbusDriver(site.modbus, region, writer)
        devices: dict[int, DeviceDriver] = dict.fromkeys(modbus.tags(), modbus)
        can = CanDriver(site.can_devices, writer)
        devices |= dict.fromkeys(can.tags(), can)
        opcua = OpcUaDriver(site.opcua_devices, writer, context.paths.pki, site.name)
        devices |= dict.fromkeys(opcua.tags(), opcua)
        points = [point.tag for device in site.dnp3_devices for point in device.points]
        dnp3 = RemoteDriver(context.paths.driver_socket(DNP3_OWNER), points)
        devices |= dict.fromkeys(points, dnp3)
        trail = AuditTrail(AuditFile(context.paths.audit))
        follower: Follower | None = None
        setpoints: SetpointDriver | None = None
        if site.logic is not None:
            held = HeldFile(state / "outputs.json")
            follower = Follower(site, site.logic, region, writer, devices, held, trail)
            setpoints = SetpointDriver(site.logic, region, writer, Sequence(state / "setpoints.json"))
        control: Arbitration | None = None
        interlocks: Interlocks | None = None
        if site.control is not None:
            control = Arbitration(site.control, site.tags, site.users, ControlFile(state / "control.json"))
            interlocks = Interlocks(
                site.control.interlocks, site.tags, region, asyncio.get_running_loop().time()
            )
        expiring = {} if setpoints is None else dict.fromkeys(setpoints.tags(), setpoints)
        router = Router(
            site,
            devices,
            trail,
            setpoints=expiring,
            holder=follower,
            control=control,
            interlocks=interlocks,
        )
        shown = Shown(site.tags, control, router.selections, writer)
        server = CommandServer(context.paths.command_socket, router, Accounts(context.paths.accounts))
        traces = TraceServer(context.paths.trace_socket(DRIVERS_OWNER), (modbus,))
        drivers_stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(modbus.run(drivers_stop), name="modbus")
            tasks.create_task(can.run(drivers_stop), name="can")
            tasks.create_task(opcua.run(drivers_stop), name="opcua")
            remote = tasks.create_task(dnp3.run(), name="dnp3")
            logic = [
                tasks.create_task(each.run(), name="logic")
                for each in (follower, setpoints, interlocks, shown)
                if each is not None
            ]
            try:
                await router.open()
                await server.start()
                await traces.start()
                context.ready.set()
                await context.stop.wait()
                if follower is not None:
                    await follower.finish()
                await router.close()
            finally:
                await traces.stop()
                await server.stop()
                for task in logic:
                    task.cancel()
                remote.cancel()
                if logic:
                    await asyncio.wait(logic)
                drivers_stop.set()
        writer.release()
