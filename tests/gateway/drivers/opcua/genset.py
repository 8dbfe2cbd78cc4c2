"""A genset's controller as a server of the library's, a proxy before it, and a driver with its image."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua, uamethod
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.server.address_space import NodeData
from asyncua.server.internal_server import InternalServer
from asyncua.ua.object_ids import ObjectIds

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.drivers.opcua.driver import OpcUaDriver
from gateway.tags.image import Region
from gateway.tags.sample import Sample

NAMESPACE = "urn:maker:genset"
POINTS = """
      power_kw: {node: "nsu=urn:maker:genset;s=Power", unit: kW, range: [-10, 500]}
      current_a: {node: "nsu=urn:maker:genset;s=Current", unit: A, scale: 0.1}
      hours: {node: "nsu=urn:maker:genset;s=Hours", type: uint64}
      running: {node: "nsu=urn:maker:genset;s=Running", type: bool}
      mode: {node: "nsu=urn:maker:genset;s=Mode", type: int64, states: {0: standby, 1: warming, 2: loaded}}
      name: {node: "nsu=urn:maker:genset;s=Name", type: string, length: 20}
      label: {node: "nsu=urn:maker:genset;s=Label", type: string}
      second_c: {node: "nsu=urn:maker:genset;s=Temperatures", field: "[1]", unit: °C}
      oil_bar: {node: "nsu=urn:maker:genset;s=State", field: oil.pressure, unit: bar}
      phase2_v: {node: "nsu=urn:maker:genset;s=State", field: "voltages[1]", unit: V}
      state_mode: {node: "nsu=urn:maker:genset;s=State", field: mode, type: int64}
      setpoint_kw: {node: "nsu=urn:maker:genset;s=Setpoint", unit: kW, scale: 0.1, write: {low: -1000, high: 5000}}
      limit_c: {node: "nsu=urn:maker:genset;s=Limits", field: "[2]", unit: °C, write: {low: 0, high: 200}}
      text: {node: "nsu=urn:maker:genset;s=Text", type: string, write: {role: operator}}
      run: {node: "nsu=urn:maker:genset;s=Running", type: bool, write: {role: operator},
            method: {object: "nsu=urn:maker:genset;s=Genset", method: "nsu=urn:maker:genset;s=Start"},
            method_false: {object: "nsu=urn:maker:genset;s=Genset", method: "nsu=urn:maker:genset;s=Stop"}}
      ramp_kw: {unit: kW, write: {low: 0, high: 400},
            method: {object: "nsu=urn:maker:genset;s=Genset", method: "nsu=urn:maker:genset;s=Ramp",
                     arguments: [value, 5]}}
      missing: {node: "nsu=urn:maker:genset;s=Nowhere"}
      nothing: {node: "nsu=urn:nobody;s=Power"}
"""
SITE = """
site: {name: opc}
areas: {generation: Genset}
devices:
  genset:
    area: generation
    protocol: opcua
    connection: {url: "URL", security: SECURITY, timeout_ms: 1000, retry_max_ms: 500, MORE}
    groups: {fast: {period_ms: 100, stale_after_ms: STALE}}
    points:POINTS
"""

_standard: dict[ua.NodeId, NodeData] = {}
_references: list[ua.ReferenceDescription] = []
_load = InternalServer.load_standard_address_space


async def load_once(self: InternalServer, shelf_file: Any = None) -> None:
    """The standard's 6,000 nodes once, not for each server: it takes the library 2 s.

    Folders that a server hangs its own in are copied; the rest they leave alone, or write at their start.
    """
    own = [
        ua.NodeId(ObjectIds.ObjectsFolder),
        ua.NodeId(ObjectIds.Structure),
        ua.NodeId(ObjectIds.Enumeration),
    ]
    if not _standard:
        await _load(self, shelf_file)
        _standard.update(self.aspace._nodes)
        _references.extend(self.aspace._nodes[own[0]].references)
        for nodeid in own:
            kept = NodeData(nodeid)
            kept.attributes, kept.references = (
                _standard[nodeid].attributes,
                list(_standard[nodeid].references),
            )
            _standard[nodeid] = kept
    copies = {}
    for nodeid in own:
        copy = NodeData(nodeid)
        copy.attributes, copy.references = _standard[nodeid].attributes, list(_standard[nodeid].references)
        copies[nodeid] = copy
    self.aspace._nodes = {**_standard, **copies}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], what: str, patience_s: float = 15.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


class Genset:
    """The controller. ``prepare`` may change the library's server before it starts."""

    def __init__(self, port: int, prepare: Callable[[Server], Awaitable[None]] | None = None) -> None:
        self.port = port
        self.calls: list[tuple[Any, ...]] = []
        self.nodes: dict[str, Any] = {}
        self._prepare = prepare
        self.server = Server()

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/"

    async def up(self, *, first: str | None = None) -> None:
        """Start it; ``first`` is a namespace that comes before its own, as after an update of its program."""
        self.server = server = Server()
        await server.init()
        server.set_endpoint(self.url)
        if first is not None:
            await server.register_namespace(first)
        space = await server.register_namespace(NAMESPACE)
        if self._prepare is not None:
            await self._prepare(server)
        else:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        objects = server.nodes.objects
        genset = await objects.add_object(ua.NodeId("Genset", space), "Genset")
        now = datetime.now(UTC)
        kinds: dict[str, tuple[object, ua.VariantType]] = {
            "Power": (42.5, ua.VariantType.Double),
            "Current": (1234, ua.VariantType.Int16),
            "Hours": (2**40, ua.VariantType.UInt64),
            "Running": (False, ua.VariantType.Boolean),
            "Mode": (2, ua.VariantType.Int32),
            "Name": ("Genset 7", ua.VariantType.String),
            "Label": (ua.LocalizedText("Aggregat", "de"), ua.VariantType.LocalizedText),
            "Temperatures": ([80.0, 81.5, 79.0], ua.VariantType.Double),
            "Setpoint": (1000, ua.VariantType.Int16),
            "Limits": ([90.0, 95.0, 110.0], ua.VariantType.Float),
            "Text": ("", ua.VariantType.String),
        }
        for name, (value, kind) in kinds.items():
            node = await genset.add_variable(ua.NodeId(name, space), name, value, kind)
            await node.set_writable(name in ("Setpoint", "Limits", "Text"))
            self.nodes[name] = node
            await self.tell(name, value, kind, now)
        await self._add_structure(server, genset, space)
        await genset.add_method(ua.NodeId("Start", space), "Start", self._start, [], [])
        await genset.add_method(ua.NodeId("Stop", space), "Stop", self._stop, [], [])
        ramp = [
            ua.Argument("power", ua.NodeId(ObjectIds.Float)),
            ua.Argument("seconds", ua.NodeId(ObjectIds.UInt16)),
        ]
        await genset.add_method(ua.NodeId("Ramp", space), "Ramp", self._ramp, ramp, [])
        await server.start()

    async def _add_structure(self, server: Server, genset: Any, space: int) -> None:
        oil, _ = await new_struct(
            server, space, "Oil",
            [new_struct_field("level", ua.VariantType.Byte), new_struct_field("pressure", ua.VariantType.Float)],
        )  # fmt: skip
        mode = await new_enum(server, space, "GensetMode", ["Off", "Idle", "Load"])
        state, _ = await new_struct(
            server, space, "GensetState",
            [
                new_struct_field("name", ua.VariantType.String),
                new_struct_field("voltages", ua.VariantType.Double, array=True),
                new_struct_field("oil", oil),
                new_struct_field("mode", mode),
            ],
        )  # fmt: skip
        await server.load_data_type_definitions()
        made = (
            ua.extension_objects_by_datatype
        )  # by NodeId: the library keeps one name for all servers of a process
        self.state = made[state.nodeid](name="x", voltages=[230.0, 231.0, 229.0])
        self.state.oil = made[oil.nodeid](level=7, pressure=4.5)
        self.state.mode = ua.enums_by_datatype[mode.nodeid](2)
        variant = ua.Variant(self.state, ua.VariantType.ExtensionObject)
        self.nodes["State"] = await genset.add_variable(
            ua.NodeId("State", space), "State", variant, datatype=state.nodeid
        )

    @uamethod
    async def _start(self, parent: ua.NodeId) -> None:
        self.calls.append(("start",))
        await self.tell("Running", True, ua.VariantType.Boolean)

    @uamethod
    async def _stop(self, parent: ua.NodeId) -> None:
        self.calls.append(("stop",))
        await self.tell("Running", False, ua.VariantType.Boolean)

    @uamethod
    async def _ramp(self, parent: ua.NodeId, power: float, seconds: int) -> None:
        self.calls.append(("ramp", power, seconds))

    async def tell(
        self,
        name: str,
        value: object,
        kind: ua.VariantType = ua.VariantType.Double,
        source: datetime | None = None,
        status: int = 0,
    ) -> None:
        """Give a node a value, as a program in the controller does."""
        stamp = source or datetime.now(UTC)
        variant = ua.Variant(value, kind) if value is not None else ua.Variant()
        told = ua.DataValue(variant, ua.StatusCode(status), stamp, stamp)
        await self.server.write_attribute_value(self.nodes[name].nodeid, told)

    def hide(self, name: str, value: object) -> None:
        """Change a value so that who reads it sees it, and no subscription learns of it."""
        stamp = datetime.now(UTC)
        attributes = self.server.iserver.aspace._nodes[self.nodes[name].nodeid].attributes
        attributes[ua.AttributeIds.Value].value = ua.DataValue(
            ua.Variant(value), ua.StatusCode(0), stamp, stamp
        )

    async def down(self) -> None:
        await self.server.stop()


class Proxy:
    """A line that can be cut, or go deaf and stay open."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self.is_deaf = False
        self.answers = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, other_writer}
        for source, sink in ((reader, other_writer), (other_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if not self.is_deaf:
                    sink.write(data)
        sink.transport.abort()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Running:
    def __init__(self, site: Site, region: Region, driver: OpcUaDriver) -> None:
        self.site, self.region, self.driver = site, region, driver

    def sample(self, name: str) -> Sample:
        return self.region.sample(f"genset.{name}")

    def tag(self, name: str) -> int:
        return self.region.index_of(f"genset.{name}")

    def told(self, name: str) -> Any:
        return self.region.sample(f"_system.genset.{name}").value

    @property
    def last_error(self) -> str:
        return self.driver.servers[0].told.last_error

    async def becomes(self, name: str, value: object, status: int = 0) -> None:
        def is_so() -> bool:
            found = self.sample(name)
            return (found.value, found.status) == (value, status)

        try:
            await until(is_so, f"{name} {value} {status:#x}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.sample(name)}; {self.last_error}") from None


@asynccontextmanager
async def running(
    folder: Path,
    url: str,
    points: str = POINTS,
    *,
    security: str = "None",
    more: str = "verify_s: 60",
    stale_ms: int = 1500,
) -> AsyncIterator[Running]:
    """A driver of one device with its image."""
    file = folder / "site.yaml"
    text = SITE.replace("URL", url).replace("SECURITY", security).replace("STALE", str(stale_ms))
    file.write_text(text.replace("POINTS", points).replace("MORE", more))
    site = load_site(file)
    name = f"opcua-test-{free_port()}-{time.monotonic_ns()}"
    with (
        Region.create(name, [tag.spec() for tag in site.tags], journal_records=1 << 16) as region,
        Region.attach(name) as attached,
    ):
        writer = attached.claim("drivers")
        driver = OpcUaDriver(site.opcua_devices, writer, folder / "pki", site.name, seed=1)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        try:
            yield Running(site, region, driver)
        finally:
            stop.set()
            await asyncio.wait_for(task, 15)
