"""A register map as a table of rows: where a value lies, in which form, how to get it and how to set it.

Written against Modbus Application Protocol 1.1b3; a row's form and order are what a maker's manual would print.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, TypeVar

from pymodbus.constants import ExcCodes

from gateway.simulator.meters import Quantity

Reading = float | int | bool | str | None
Refusal = (
    ExcCodes  # why a device does not do what it is told, in Modbus' words; other protocols have their own
)
Source = TypeVar("Source")


class Table(Enum):
    """The four tables, by the function codes that reach them."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"


TABLE_OF_FUNCTION = {
    1: Table.COIL,
    2: Table.DISCRETE,
    3: Table.HOLDING,
    4: Table.INPUT,
    5: Table.COIL,
    6: Table.HOLDING,
    15: Table.COIL,
    16: Table.HOLDING,
    22: Table.HOLDING,
    23: Table.HOLDING,
}


class Kind(Enum):
    BIT = "bit"
    NUMBER = "number"
    DECIMAL = "decimal"  # binary coded
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Form:
    """How ``words`` registers make a value. ``code`` is the struct code of a number, big end first."""

    kind: Kind
    words: int
    code: str = ""
    low_word_first: bool = False
    low_byte_first: bool = False

    def low_words_first(self) -> Form:
        return replace(self, low_word_first=True)

    def low_bytes_first(self) -> Form:
        return replace(self, low_byte_first=True)

    def encode(self, value: float | int | bool | str, scale: float) -> list[int]:
        """Registers of ``value``; a number beyond what they hold is the nearest that they do hold."""
        if self.kind is Kind.BIT:
            return [1 if value else 0]
        if self.kind is Kind.TEXT:
            raw = str(value).encode("ascii", "replace")[: 2 * self.words].ljust(2 * self.words, b"\0")
        elif self.kind is Kind.DECIMAL:
            digits = min(max(round(float(value) / scale), 0), 10 ** (4 * self.words) - 1)
            raw = bytes.fromhex(f"{digits:0{4 * self.words}d}")
        elif self.code in "fd":
            raw = struct.pack(">" + self.code, float(value) / scale)
        else:
            bits = 16 * self.words
            low, high = (0, 2**bits - 1) if self.code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            raw = struct.pack(">" + self.code, min(max(round(float(value) / scale), low), high))
        words = list(struct.unpack(f"{'<' if self.low_byte_first else '>'}{self.words}H", raw))
        return words[::-1] if self.low_word_first else words

    def decode(self, words: Sequence[int], scale: float) -> float | bool:
        """The value written to these registers. Raises ValueError for a text, which no device here takes."""
        if self.kind is Kind.BIT:
            return bool(words[0])
        if self.kind is not Kind.NUMBER:
            raise ValueError(f"no device takes a {self.kind.value}")
        order = words[::-1] if self.low_word_first else words
        raw = struct.pack(f"{'<' if self.low_byte_first else '>'}{self.words}H", *order)
        return float(struct.unpack(">" + self.code, raw)[0]) * scale


BIT = Form(Kind.BIT, 1)
INT16 = Form(Kind.NUMBER, 1, "h")
UINT16 = Form(Kind.NUMBER, 1, "H")
INT32 = Form(Kind.NUMBER, 2, "i")
UINT32 = Form(Kind.NUMBER, 2, "I")
UINT64 = Form(Kind.NUMBER, 4, "Q")
FLOAT32 = Form(Kind.NUMBER, 2, "f")
FLOAT64 = Form(Kind.NUMBER, 4, "d")
BCD16 = Form(Kind.DECIMAL, 1)
BCD32 = Form(Kind.DECIMAL, 2)


def text(words: int) -> Form:
    return Form(Kind.TEXT, words)


@dataclass(frozen=True, slots=True)
class Row(Generic[Source]):
    """One value of a device. ``read`` may give None: the device has no such value now, and sends ``absent``.

    ``write`` sets it and gives None, or the Modbus exception by which the device refuses. ``quantity`` is what a
    meter measures: faults of the meter change it.
    """

    table: Table
    address: int
    form: Form
    read: Callable[[Source], Reading]
    write: Callable[[Source, float], ExcCodes | None] | None = None
    scale: float = 1.0
    absent: int = 0xFFFF
    quantity: Quantity | None = None

    def words(self, source: Source) -> list[int]:
        return self.words_of(self.read(source))

    def words_of(self, value: Reading) -> list[int]:
        if value is None:
            return [self.absent] * self.form.words
        return self.form.encode(value, self.scale)


@dataclass(frozen=True, slots=True)
class Gap:
    """Registers a device reads as ``word`` and nobody needs; what no row and no gap covers is an illegal address."""

    table: Table
    address: int
    count: int
    word: int = 0


class RegisterMap(Generic[Source]):
    """Rows and gaps, found by table and address. Raises ValueError where two overlap."""

    def __init__(self, rows: Sequence[Row[Source]], gaps: Sequence[Gap] = ()) -> None:
        self.rows = tuple(rows)
        self._places: dict[tuple[Table, int], tuple[Row[Source] | Gap, int]] = {}
        for row in rows:
            self._place(row.table, row.address, row.form.words, row)
        for gap in gaps:
            self._place(gap.table, gap.address, gap.count, gap)

    def _place(self, table: Table, address: int, count: int, entry: Row[Source] | Gap) -> None:
        for i in range(count):
            if (table, address + i) in self._places:
                raise ValueError(f"{table.value} {address + i} is given twice")
            self._places[table, address + i] = (entry, i)

    def read(
        self, table: Table, address: int, count: int, words_of: Callable[[Row[Source]], list[int]]
    ) -> list[int] | ExcCodes:
        """``count`` registers (or bits) from ``address``, each row taken once so that no value is torn."""
        words: list[int] = []
        end = address + count
        while address < end:
            place = self._places.get((table, address))
            if place is None:
                return ExcCodes.ILLEGAL_ADDRESS
            entry, skip = place
            if isinstance(entry, Gap):
                words.append(entry.word)
                address += 1
            else:
                taken = words_of(entry)[skip : skip + end - address]
                words.extend(taken)
                address += len(taken)
        return words

    def write(self, source: Source, table: Table, address: int, words: Sequence[int]) -> ExcCodes | None:
        """Set whole rows only, and none of them unless all of them are there to be set."""
        orders: list[tuple[Row[Source], float]] = []
        at = 0
        while at < len(words):
            entry, skip = self._places.get((table, address + at), (None, 0))
            if (
                not isinstance(entry, Row)
                or entry.write is None
                or skip
                or at + entry.form.words > len(words)
            ):
                return ExcCodes.ILLEGAL_ADDRESS
            orders.append((entry, entry.form.decode(words[at : at + entry.form.words], entry.scale)))
            at += entry.form.words
        for row, value in orders:
            assert row.write is not None
            refusal = row.write(source, value)
            if refusal is not None:
                return refusal
        return None


def within(low: float, high: float, name: str) -> Callable[[object, float], ExcCodes | None]:
    """A setter of attribute ``name``; the device itself refuses what lies outside its nameplate, and NaN."""

    def write(source: object, value: float) -> ExcCodes | None:
        if not low <= value <= high:
            return ExcCodes.ILLEGAL_VALUE
        setattr(source, name, value)
        return None

    return write
