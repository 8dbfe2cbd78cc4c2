"""Requests to answers: a request PDU is held to the standard's form first, then answered from a unit's map.

Modbus Application Protocol 1.1b3, 6: function, then quantity, then address, then value, each with its exception.
PDUs by pymodbus; its own server is of no use here: it would give a late answer the id of the request after it.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    MaskWriteRegisterResponse,
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    ReadWriteMultipleRegistersRequest,
    ReadWriteMultipleRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from gateway.config.modbus import Table
from gateway.servers.modbus.exceptions import ExceptionCode, RefusedError
from gateway.servers.modbus.register_map import AddressError, RegisterMap
from gateway.servers.modbus.view import View
from gateway.servers.modbus.writes import Wish, WriteCheck

Commands = Callable[[Sequence[Wish]], Awaitable[ExceptionCode | None]]  # None: all are done

_MOST_BITS, _MOST_REGISTERS = 2_000, 125  # in a read: 6.1, 6.3
_MOST_WRITTEN_BITS, _MOST_WRITTEN_REGISTERS = 1_968, 123  # 6.11, 6.12
_MOST_WRITTEN_WHILE_READING = 121  # 6.17
_COIL_VALUES = (0x0000, 0xFF00)  # 6.5
_FIXED_SIZES = {1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 22: 7, 43: 4}
_COUNTED_SIZES = {15: 6, 16: 6, 23: 10}  # and the bytes that the last of these counts
_DEVICE_IDENTIFICATION = 0x0E  # of function 43: 6.21
_BASIC, _REGULAR, _EXTENDED, _SPECIFIC = 1, 2, 3, 4  # read device id codes
_OBJECTS_OF = {_BASIC: 3, _REGULAR: 7, _EXTENDED: 7}
_CONFORMITY = 0x82  # regular identification, as a stream or one by one
_LONGEST_OBJECT = 200  # bytes, of 245 that a response has room for


@dataclass(frozen=True, slots=True)
class Client:
    """What a unit needs to know of who asks."""

    check: WriteCheck
    command: Commands


class Unit:
    """One unit id: its map, and what it calls itself."""

    def __init__(self, map: RegisterMap, view: View, site_name: str, description: str) -> None:
        self._map = map
        self._view = view
        self._decoder = DecodePDU(True)
        objects = ("Tieline", "tieline", version("tieline"), "", "Tieline gateway", site_name, description)
        self._objects = {
            number: text.encode("ascii", "replace")[:_LONGEST_OBJECT]
            for number, text in enumerate(objects)
            if text or number < _OBJECTS_OF[_BASIC]
        }

    async def answer(self, body: bytes, client: Client) -> ModbusPDU:
        """For any bytes but none."""
        function = body[0]
        try:
            if function not in _FIXED_SIZES and function not in _COUNTED_SIZES:
                raise RefusedError(ExceptionCode.ILLEGAL_FUNCTION)
            if function == 43 and body[1:2] != bytes((_DEVICE_IDENTIFICATION,)):
                raise RefusedError(ExceptionCode.ILLEGAL_FUNCTION)
            if not is_well_formed(body):
                raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
            request = self._decoder.decode(body)
            assert request is not None, body.hex()
            return await self._answer(request, client)
        except RefusedError as refused:
            return refusal(function, refused.code)
        except AddressError:
            return refusal(function, ExceptionCode.ILLEGAL_ADDRESS)

    async def _answer(self, request: ModbusPDU, client: Client) -> ModbusPDU:
        address = request.address
        match request:
            case ReadDiscreteInputsRequest():
                return ReadDiscreteInputsResponse(bits=self._bits(Table.DISCRETE, request))
            case ReadCoilsRequest():
                return ReadCoilsResponse(bits=self._bits(Table.COIL, request))
            case ReadInputRegistersRequest():
                return ReadInputRegistersResponse(registers=self._registers(Table.INPUT, request))
            case ReadHoldingRegistersRequest():
                return ReadHoldingRegistersResponse(registers=self._registers(Table.HOLDING, request))
            case WriteSingleCoilRequest():
                span = self._map.span(Table.COIL, address, 1, is_write=True)
                await _commanded(client, client.check.coils(span, request.bits))
                return WriteSingleCoilResponse(address=address, bits=request.bits)
            case WriteMultipleCoilsRequest():
                span = self._map.span(Table.COIL, address, request.count, is_write=True)
                await _commanded(client, client.check.coils(span, request.bits))
                return WriteMultipleCoilsResponse(address=address, count=request.count)
            case WriteSingleRegisterRequest():
                await self._write(client, address, request.registers)
                return WriteSingleRegisterResponse(address=address, registers=request.registers)
            case WriteMultipleRegistersRequest():
                await self._write(client, address, request.registers)
                return WriteMultipleRegistersResponse(address=address, count=request.count)
            case MaskWriteRegisterRequest():
                span = self._map.span(Table.HOLDING, address, 1, is_write=True)
                await _commanded(client, client.check.mask(span, request.and_mask, request.or_mask))
                return MaskWriteRegisterResponse(address, request.and_mask, request.or_mask)
            case ReadWriteMultipleRegistersRequest():
                read = self._map.span(Table.HOLDING, request.read_address, request.read_count, is_write=False)
                await self._write(client, request.write_address, request.write_registers)
                return ReadWriteMultipleRegistersResponse(registers=self._view.registers(read))
            case ReadDeviceInformationRequest():
                return self._identification(request.read_code, request.object_id)
        raise AssertionError(request)

    def _bits(self, table: Table, request: ModbusPDU) -> list[bool]:
        return self._view.bits(self._map.span(table, request.address, request.count, is_write=False))

    def _registers(self, table: Table, request: ModbusPDU) -> list[int]:
        return self._view.registers(self._map.span(table, request.address, request.count, is_write=False))

    async def _write(self, client: Client, address: int, registers: Sequence[int]) -> None:
        span = self._map.span(Table.HOLDING, address, len(registers), is_write=True)
        octets = struct.pack(f">{len(registers)}H", *registers)
        await _commanded(client, client.check.registers(span, octets))

    def _identification(self, code: int, first: int) -> ModbusPDU:
        if code == _SPECIFIC:
            if first not in self._objects:
                raise RefusedError(ExceptionCode.ILLEGAL_ADDRESS)
            told = {first: self._objects[first]}
        elif code in _OBJECTS_OF:
            # An object that there is not starts the stream from the first (6.21).
            start = first if first in self._objects else 0
            told = {
                number: text for number, text in self._objects.items() if start <= number < _OBJECTS_OF[code]
            }
        else:
            raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
        response = ReadDeviceInformationResponse(code, told)
        response.conformity = _CONFORMITY
        return response


async def _commanded(client: Client, wishes: Sequence[Wish]) -> None:
    code = await client.command(wishes)
    if code is not None:
        raise RefusedError(code)


def refusal(function: int, code: ExceptionCode) -> ModbusPDU:
    """An exception response."""
    return ExceptionResponse(function & 0x7F, code)


def is_well_formed(body: bytes) -> bool:
    """Whether the length, the quantities and the coil's value are as the standard has them; of known functions."""
    function, size = body[0], len(body)
    if function in _COUNTED_SIZES:
        head = _COUNTED_SIZES[function]
        if size < head or size != head + body[head - 1]:
            return False
    elif size != _FIXED_SIZES[function]:
        return False
    if function in (22, 43, 6):
        return True
    count = int.from_bytes(body[3:5], "big")
    match function:
        case 1 | 2:
            return 1 <= count <= _MOST_BITS
        case 3 | 4:
            return 1 <= count <= _MOST_REGISTERS
        case 5:
            return count in _COIL_VALUES
        case 15:
            return 1 <= count <= _MOST_WRITTEN_BITS and body[5] == (count + 7) // 8
        case 16:
            return 1 <= count <= _MOST_WRITTEN_REGISTERS and body[5] == 2 * count
        case _:
            written = int.from_bytes(body[7:9], "big")
            return (
                1 <= count <= _MOST_REGISTERS
                and 1 <= written <= _MOST_WRITTEN_WHILE_READING
                and body[9] == 2 * written
            )
