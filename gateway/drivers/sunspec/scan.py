"""Asking a device for its models: where the map begins, then from model to model until the end model.

Only reads. One request at a time over the Modbus driver's own line, so that late and foreign answers are no answers.

    SunSpecError        there is no map, or it cannot be read; the text is for an operator
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.config.modbus import Table
from gateway.drivers.modbus.client import (
    ExceptionAnswerError,
    LinkLostError,
    ModbusError,
    NoAnswerError,
    read_request,
)
from gateway.drivers.modbus.line import Line, Station
from gateway.drivers.sunspec.layout import HEAD_REGISTERS, Model

BASES = (
    40_000,
    0,
    50_000,
)  # SunSpec Device Information Model Specification 1.1, 6.2; the preferred one first
MARK = b"SunS"
END_MODEL = 0xFFFF
ADDRESSES = 65_536
MAX_MODELS = 256  # a chain that goes on past this is none; models are 1 to some dozens on the largest devices
TRIES = 3  # of a read that nobody answered: discovery is done by hand, and once
RECONNECT_PAUSE_S = 0.2  # some devices take a moment until they accept again


class SunSpecError(Exception):
    """There is no SunSpec map, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a device has; ``models`` in order of address, without the end model."""

    base: int
    models: tuple[Model, ...]


async def scan(line: Line, station: Station, max_registers: int) -> Scan:
    """All models, whole. Raises SunSpecError."""
    reader = _Reader(line, station, max_registers)
    try:
        base = await _base(reader)
        return Scan(base, await _models(reader, base))
    except ModbusError as error:
        raise SunSpecError(str(error)) from None


async def _base(reader: _Reader) -> int:
    found: list[str] = []
    for base in BASES:
        try:
            octets = await reader.read(base, 2)
        except (ExceptionAnswerError, NoAnswerError) as error:
            found.append(f"{base}: {error}")
            continue
        if octets == MARK:
            return base
        found.append(f"{base}: {octets.hex(' ')}")
    raise SunSpecError(f"no 'SunS' in the holding registers ({'; '.join(found)})")


async def _models(reader: _Reader, base: int) -> tuple[Model, ...]:
    models: list[Model] = []
    address = base + len(MARK) // 2
    while len(models) < MAX_MODELS:
        number = int.from_bytes(await reader.read(address, 1), "big")  # some give the end model no length
        if number == END_MODEL:
            return tuple(models)
        length = int.from_bytes(await reader.read(address + 1, 1), "big")
        end = address + HEAD_REGISTERS + length
        if end >= ADDRESSES:
            raise SunSpecError(f"model {number} at {address} goes past the last register")
        body = await reader.read(address + HEAD_REGISTERS, length)
        head = number.to_bytes(2, "big") + length.to_bytes(2, "big")
        models.append(Model(number, address, head + body))
        address = end
    raise SunSpecError(f"more than {MAX_MODELS} models, and no end model")


class _Reader:
    """Reads of any length, in as many requests as that takes; a silence is forgiven twice."""

    def __init__(self, line: Line, station: Station, max_registers: int) -> None:
        self._line = line
        self._station = station
        self._max_registers = max_registers

    async def read(self, address: int, count: int) -> bytes:
        octets = b""
        while count:
            size = min(count, self._max_registers)
            octets += await self._ask(address, size)
            address, count = address + size, count - size
        return octets

    async def _ask(self, address: int, count: int) -> bytes:
        request = read_request(Table.HOLDING, address, count)
        for left in range(TRIES - 1, -1, -1):
            try:
                if not self._line.is_open:
                    await self._line.open(self._station)
                return await self._line.ask(request, self._station)
            except (NoAnswerError, LinkLostError) as error:
                is_new = isinstance(error, LinkLostError) and self._station.counters.requests == 0
                if not left or is_new:  # a device that is not there is told at once
                    raise
                await asyncio.sleep(RECONNECT_PAUSE_S)
        raise AssertionError("the last try returns or raises")
