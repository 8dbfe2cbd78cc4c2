"""One device on Modbus TCP: frames by pymodbus' codec, values by the device's register map, trouble by its fault.

Requests of one connection are answered in order and each with its own transaction id, also after a delay; pymodbus'
own server would give a late answer the id of the request after it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections.abc import Sequence
from typing import Any, cast

from pymodbus.constants import ExcCodes
from pymodbus.datastore import ModbusServerContext
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from gateway.simulator.devices.registers import TABLE_OF_FUNCTION, Kind, RegisterMap, Row, Table
from gateway.simulator.door import reset
from gateway.simulator.faults import OF_METERS, Fault, FaultError, FaultKind
from gateway.simulator.garbled import garbled_answer
from gateway.simulator.meters import Quantity, shown

UNIT_IDS = (1, 0, 255)  # its own; and both by which a device that is alone at its address may be called
HEADER = struct.Struct(">HHHB")  # transaction, protocol (0), length of what follows it, unit
LONGEST_PDU = 253  # Modbus Application Protocol 1.1b3, 4.1
CONNECTIONS = 16  # a device; real ones take fewer

log = logging.getLogger(__name__)


class DeviceServer:
    """Serves ``source`` through ``map`` on ``host:port`` between `start` and `stop`; port 0 takes a free one."""

    def __init__(self, name: str, host: str, port: int, map: RegisterMap[Any], source: object) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.fault: Fault | None = None
        self._map = map
        self._source = source
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._held: dict[Row[Any], list[int]] = {}
        self._before: dict[Row[Any], float] = {}
        self._since_s = 0.0
        self._random = random.Random(name)
        self._decoder = DecodePDU(True)
        self._framer = FramerSocket(self._decoder)

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._meet, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and all connections; once it returns none of its tasks is left."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in self._writers:
            writer.transport.abort()
        peers = list(self._peers)
        for peer in peers:
            peer.cancel()
        if peers:
            await asyncio.wait(peers)

    async def suffer(self, fault: Fault | None) -> None:
        """From now on behave so; None: be well. Raises OSError where a stopped device finds its port taken."""
        if fault is not None and fault.kind in OF_METERS and not self._has_meter():
            raise FaultError(f"{self.name} has no meter that could be at fault")
        self.fault = fault
        self._held.clear()
        self._before = self._energies()
        self._since_s = asyncio.get_running_loop().time()
        if fault is not None and fault.kind is FaultKind.STUCK:
            self._held = {row: row.words(self._source) for row in self._map.rows}
        if fault is not None and fault.kind is FaultKind.STOPPED:
            await self.stop()
        elif self._server is None:
            await self.start()

    async def async_getValues(  # noqa: N802 - pymodbus' name: its requests call it
        self, unit: int, function: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        """For pymodbus' read requests."""
        table = TABLE_OF_FUNCTION[function]
        words = self._map.read(table, address, count, self._words)
        if isinstance(words, ExcCodes) or table in (Table.INPUT, Table.HOLDING):
            return words
        return [bool(word) for word in words]

    async def async_setValues(  # noqa: N802
        self, unit: int, function: int, address: int, values: Sequence[int] | Sequence[bool]
    ) -> ExcCodes | None:
        """For pymodbus' write requests."""
        return self._map.write(
            self._source, TABLE_OF_FUNCTION[function], address, [int(value) for value in values]
        )

    def _words(self, row: Row[Any]) -> list[int]:
        fault = self.fault
        if fault is not None and fault.kind is FaultKind.STUCK:
            return self._held[row]
        if fault is not None and fault.kind is FaultKind.WRONG:
            bits = 1 if row.form.kind is Kind.BIT else 16
            return [self._random.getrandbits(bits) for _ in range(row.form.words)]
        if fault is not None and fault.kind in OF_METERS and row.quantity is not None:
            value = row.read(self._source)
            assert isinstance(value, float | int)
            seconds = asyncio.get_running_loop().time() - self._since_s
            return row.words_of(shown(fault, row.quantity, value, seconds, self._before.get(row, 0.0)))
        return row.words(self._source)

    def _has_meter(self) -> bool:
        return any(row.quantity is Quantity.POWER for row in self._map.rows)

    def _energies(self) -> dict[Row[Any], float]:
        """What its counters are now."""
        rows = [row for row in self._map.rows if row.quantity is Quantity.ENERGY]
        return {row: float(row.read(self._source) or 0.0) for row in rows}

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._peers.add(task)
        self._writers.add(writer)
        try:
            if len(self._writers) <= CONNECTIONS:
                await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer is gone, or `stop`: nobody else waits for this task
        finally:
            writer.close()
            self._writers.discard(writer)
            self._peers.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the peer goes, or sends what is no Modbus."""
        while True:
            transaction, protocol, length, unit = HEADER.unpack(await reader.readexactly(HEADER.size))
            if protocol != 0 or not 2 <= length <= LONGEST_PDU + 1:
                return
            body = await reader.readexactly(length - 1)
            fault = self.fault
            if fault is not None:
                if fault.kind is FaultKind.SILENT:
                    continue
                if fault.kind is FaultKind.RESET:
                    reset(writer)
                    return
                if fault.kind is FaultKind.SLOW:
                    await asyncio.sleep(fault.delay_ms / 1000)
            answer = await self._answer(unit, body)
            answer.transaction_id = transaction
            answer.dev_id = unit
            frame = self._framer.buildFrame(answer)
            if fault is not None and fault.kind is FaultKind.GARBLED:
                frame = garbled_answer(frame, self._random)
            writer.write(frame)
            await writer.drain()

    async def _answer(self, unit: int, body: bytes) -> ModbusPDU:
        function = body[0]
        if unit not in UNIT_IDS:
            return ExceptionResponse(function & 0x7F, ExcCodes.GATEWAY_NO_RESPONSE)
        fault = self.fault
        if fault is not None and fault.kind is FaultKind.EXCEPTION:
            return ExceptionResponse(function & 0x7F, fault.code)
        if function not in TABLE_OF_FUNCTION:
            return ExceptionResponse(function & 0x7F, ExcCodes.ILLEGAL_FUNCTION)
        request = self._decoder.decode(body)
        if request is None:
            return ExceptionResponse(function, ExcCodes.ILLEGAL_VALUE)
        return await request.datastore_update(cast(ModbusServerContext, self), unit)
