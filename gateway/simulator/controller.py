"""A device as an OPC UA server: asyncua's, with a structure, methods, and qualities.

It listens on a port of its own; clients reach it through a link that can be made to fail. Loading the standard's
nodes takes seconds, so it is there a while after the link is, as a controller that boots.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua as _ua
from asyncua.common.methods import uamethod
from asyncua.common.structures104 import new_struct, new_struct_field
from asyncua.server.internal_server import InternalServer
from asyncua.server.server import Server
from asyncua.server.standard_address_space.standard_address_space import fill_address_space

from gateway.simulator.devices.controller import NAMESPACE, STRUCTURE, Variable, VariableKind
from gateway.simulator.faults import Fault, FaultKind, refuse_of_meters
from gateway.simulator.link import Link

ua: Any = _ua  # where half of the names are not exported, or of types that differ from what is taken
SCAN_S = 0.1
MODEL = "Genset"
_TYPES = {
    VariableKind.BOOL: ua.VariantType.Boolean,
    VariableKind.BYTE: ua.VariantType.Byte,
    VariableKind.DOUBLE: ua.VariantType.Double,
}
_BAD = ua.StatusCode(ua.StatusCodes.BadDeviceFailure)
_GOOD = ua.StatusCode(ua.StatusCodes.Good)

# asyncua tells of each session and of what this server leaves out: no certificate, nobody signs in.
logging.getLogger("asyncua").setLevel(logging.ERROR)


class _Core(InternalServer):
    """Loads the standard's nodes in a thread that nobody waits for: a simulator that is told to end does so."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not loaded.done():
                loaded.set_result(None)

        def load() -> None:
            fill_address_space(self.node_mgt_service)  # type: ignore[no-untyped-call]  # the library has no types
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=load, name="opcua nodes", daemon=True).start()
        await loaded


class ControllerServer:
    """``variables`` of ``source`` as OPC UA on ``host:port``, which is a link to it at ``inner_port``."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        inner_port: int,
        variables: Sequence[Variable[Any]],
        source: object,
        boot_s: float = 0.0,
    ) -> None:
        """``boot_s``: how long it waits before it loads the nodes, while others have more urgent things."""
        self.name = name
        self.host = host
        self.fault: Fault | None = None
        self._inner_port = inner_port
        self._boot_s = boot_s
        self._link = Link(host, port, inner_port)
        self._variables = variables
        self._source = source
        self._random = random.Random(name)
        self._held: dict[str, Any] = {}
        self._told: dict[str, tuple[Any, int]] = {}
        self._nodes: dict[str, Any] = {}
        self._engine: Any = None  # the structure's class
        self._is_ours = False  # what is being written, we write
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return self._link.port

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        await self._link.open()
        self._serving = asyncio.create_task(self._serve(), name=f"opcua {self.name}")

    async def stop(self) -> None:
        await self._link.close()
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
            self._serving = None

    async def suffer(self, fault: Fault | None) -> None:
        """From now on behave so; None: be well. Raises OSError where a stopped device finds its port taken."""
        refuse_of_meters(fault)
        self.fault = fault
        self._held = {}
        if fault is not None and fault.kind is FaultKind.STUCK:
            self._held = {one.name: one.read(self._source) for one in self._variables}
        await self._link.suffer(fault)

    async def _serve(self) -> None:
        await asyncio.sleep(self._boot_s)
        server = Server(_Core())
        await server.init()
        server.set_endpoint(f"opc.tcp://{self.host}:{self._inner_port}/")
        server.set_server_name("Genset controller")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await self._build(server)
        await server.start()
        try:
            while True:
                await self._tell(server)
                await asyncio.sleep(SCAN_S)
        finally:
            await server.stop()

    async def _build(self, server: Server) -> None:
        space = await server.register_namespace(NAMESPACE)
        parent = await server.nodes.objects.add_object(ua.NodeId(MODEL, space), MODEL)
        fields = [one for one in self._variables if one.name.startswith(f"{STRUCTURE}.")]
        made, _ = await new_struct(
            server,
            space,
            f"{STRUCTURE}Data",
            [new_struct_field(one.name.partition(".")[2], _TYPES[one.kind]) for one in fields],
        )
        await server.load_data_type_definitions()
        self._engine = ua.extension_objects_by_datatype[made.nodeid]
        self._nodes[STRUCTURE] = await parent.add_variable(
            ua.NodeId(STRUCTURE, space),
            STRUCTURE,
            ua.Variant(self._engine(), ua.VariantType.ExtensionObject),
            datatype=made.nodeid,
        )
        for one in self._variables:
            if one in fields:
                continue
            node = await parent.add_variable(
                ua.NodeId(one.name, space), one.name, _number(one, one.read(self._source)), _TYPES[one.kind]
            )
            self._nodes[one.name] = node
            if one.methods is not None:
                for name, value in zip(one.methods, (True, False), strict=True):
                    await parent.add_method(ua.NodeId(name, space), name, self._method(one, value), [], [])
            elif one.write is not None:
                await node.set_writable()
                server.set_attribute_value_setter(node.nodeid, self._setter(one))

    async def _tell(self, server: Server) -> None:
        """What has changed since it was told, a structure as a whole."""
        kind = None if self.fault is None else self.fault.kind
        status = _BAD if kind is FaultKind.EXCEPTION else _GOOD
        structure: dict[str, Any] = {}
        for one in self._variables:
            value = self._held.get(one.name, one.read(self._source))
            if kind is FaultKind.WRONG and one.write is None:
                value = self._random.getrandbits(1 if one.kind is VariableKind.BOOL else 8)
            number = _number(one, value)
            whole, _, field = one.name.partition(".")
            if field:
                structure[field] = number
            else:
                await self._write(server, one.name, ua.Variant(number, _TYPES[one.kind]), status)
            assert whole in self._nodes
        variant = ua.Variant(self._engine(**structure), ua.VariantType.ExtensionObject)
        await self._write(server, STRUCTURE, variant, status)

    async def _write(self, server: Server, name: str, variant: Any, status: Any) -> None:
        told = variant.Value, status.value
        if self._told.get(name) == told:
            return
        self._told[name] = told
        value = ua.DataValue(variant, StatusCode=status, SourceTimestamp=datetime.now(UTC))
        self._is_ours = True
        try:
            await server.write_attribute_value(self._nodes[name].nodeid, value)
        finally:
            self._is_ours = False

    def _method(self, variable: Variable[Any], value: bool) -> Callable[..., Any]:
        @uamethod
        async def called(parent: Any) -> None:
            self._act(variable, value)

        return called  # type: ignore[no-any-return]  # uamethod has no types

    def _setter(self, variable: Variable[Any]) -> Callable[[Any, Any, Any], None]:
        def written(node: Any, attribute: Any, value: Any) -> None:
            if not self._is_ours:
                assert value.Value is not None
                self._act(variable, value.Value.Value)
                self._told.pop(variable.name, None)
            node.attributes[attribute].value = value

        return written

    def _act(self, variable: Variable[Any], value: Any) -> None:
        """Raises UaStatusCodeError where the device refuses."""
        if self.fault is not None and self.fault.kind is FaultKind.EXCEPTION:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadDeviceFailure)
        assert variable.write is not None
        if variable.write(self._source, float(value)) is not None:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadOutOfRange)


def _number(variable: Variable[Any], value: Any) -> bool | int | float:
    if variable.kind is VariableKind.BOOL:
        return bool(value)
    return int(value) if variable.kind is VariableKind.BYTE else float(value)
