"""Where a Modbus value lies in the tables, and in what form."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Section, Settings
from gateway.config.modbus import Order, PollGroup, RegisterType, Table
from gateway.config.registers import REGISTERS
from gateway.config.site_keys.devices.modbus import TABLE_SIZE

_T = RegisterType
BIT_TABLES = frozenset({Table.COIL, Table.DISCRETE})

# Modicon's numbers: the first digit names the table. Five digits reach 9,999 addresses, six all 65,536.
MODICON_DIGIT = {Table.COIL: 0, Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}


@dataclass(frozen=True, slots=True)
class Body:
    """What a device says for all its points. ``groups`` is None where they could not be read."""

    groups: tuple[PollGroup, ...] | None
    word_order: Order
    byte_order: Order
    max_registers: int
    is_modicon: bool
    is_broadcast: bool = False


class RegisterCheck:
    """Where a value lies in the tables, and in what form: what a device's points and those we serve have in common.

    Each check looks only at keys that are sound, so that one fault is reported once.
    """

    def __init__(
        self, name: ScalarNode, settings: Settings, section: Section, body: Body, faults: FaultLog
    ) -> None:
        self._name = name
        self._settings = settings
        self._body = body
        self._faults = faults
        self._is_sound = settings.is_sound(*(key.name for key in section.keys))

    def _add(self, key: str, found: str, mend: str) -> None:
        self._is_sound = False
        self._faults.add(self._settings.at(key), found, mend)

    def _refuse(self, key: str, why: str) -> None:
        """A key that makes no sense here."""
        if key in self._settings:
            self._is_sound = False
            self._faults.add(self._settings.key_at(key), f"{quote(key)} of {why}", f"remove '{key}'")

    def register_type(self, table: Table | None) -> RegisterType | None:
        s = self._settings
        type: RegisterType | None = s["type"]
        if table is None or ("type" in s and type is None):
            return None
        if table in BIT_TABLES:
            self._refuse("bit", f"a {table.value}, which is a single bit")
            if type not in (None, _T.BOOL):
                self._add(
                    "type", f"the type '{type}' in table '{table.value}'", "write 'bool', or remove the key"
                )
                return None
            return _T.BOOL
        if "bit" in s:
            if type not in (None, _T.BOOL):
                self._add("type", f"the type '{type}' with a 'bit'", "write 'bool', or remove 'bit'")
                return None
            return _T.BOOL
        if type is None:
            self._add("type", "a point without 'type'", "add 'type: ...', such as uint16, int32 or float32")
        elif type is _T.BOOL:
            self._add("type", f"a bool in table '{table.value}' without 'bit'", "add 'bit: 0..15'")
            return None
        return type

    def register_count(self, type: RegisterType) -> int | None:
        if type is not _T.STRING:
            count = REGISTERS.get(type, 1)  # a bool is a bit of one
            if "registers" in self._settings:
                self._refuse("registers", f"a point of type '{type}', which has {count}")
            return count
        if "registers" not in self._settings:
            self._add(
                "registers", "a string without 'registers'", "add 'registers: ...', two characters each"
            )
            return None
        registers: int | None = self._settings["registers"]
        if registers is not None and registers > self._body.max_registers:
            self._add(
                "registers",
                f"a string of {registers} registers at a device that allows {self._body.max_registers} a read",
                "write fewer, or raise 'max_registers'",
            )
            return None
        return registers

    def first_address(self, table: Table, registers: int | None, key: str = "address") -> int | None:
        address: int | None = self._settings[key]
        if address is None:
            return None
        if self._body.is_modicon:
            address = self._from_modicon(table, address, key)
            if address is None:
                return None
        if address >= TABLE_SIZE or address + (registers or 1) > TABLE_SIZE:
            what = "the address" if address >= TABLE_SIZE else f"{registers} registers from the address"
            self._add(
                key,
                f"{what} {address}, which is past the end of the table",
                f"write at most {TABLE_SIZE - (registers or 1)}"
                + ("" if self._body.is_modicon or address < TABLE_SIZE else ", or 'addressing: modicon'"),
            )
            return None
        return address

    def _from_modicon(self, table: Table, number: int, key: str) -> int | None:
        wide = number >= 100_000
        digit, rest = divmod(number, 100_000 if wide else 10_000)
        expected = MODICON_DIGIT[table]
        example = f"{expected}0001, or {expected}00001, for its first" if expected else "1 for its first"
        if digit != expected:
            other = next((t.value for t, d in MODICON_DIGIT.items() if d == digit), None)
            whose = f"which is in table '{other}'" if other else "which is in no table"
            self._add(
                key,
                f"the Modicon address {number} in table '{table.value}', {whose}",
                f"write {example}",
            )
            return None
        if rest == 0 or rest > TABLE_SIZE:
            self._add(key, f"the Modicon address {number}, which does not exist", f"count from 1: {example}")
            return None
        return rest - 1

    def check_orders(self, table: Table, type: RegisterType, registers: int | None) -> None:
        if table in BIT_TABLES:
            self._refuse("byte_order", f"a {table.value}, which has no bytes")
            self._refuse("word_order", f"a {table.value}, which has no registers")
        elif registers == 1:
            self._refuse("word_order", f"a point of one register ({type})")
