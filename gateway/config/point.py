"""One point of a Modbus device: its settings checked against each other and against what the protocol can do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.deviation import Deviation, read_deviation
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import Place, quote, suggestion
from gateway.config.handling import handled
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import Order, PollGroup, RegisterType, Table, Verify, WriteFunction
from gateway.config.register_check import BIT_TABLES, Body, RegisterCheck
from gateway.config.site import Role, WriteLimits
from gateway.config.site_keys.devices.modbus import POINT
from gateway.config.units import contradiction
from gateway.tags.tag import ValueType

UTF8_BYTES_A_CHARACTER = 3  # a byte that is no UTF-8 becomes U+FFFD, three bytes
FLOAT_TOLERANCE = 1e-6  # of the greater limit: float32 keeps 6e-8 of a value

_T = RegisterType
RAW_RANGE: Mapping[RegisterType, tuple[float, float]] = {
    _T.INT16: (-(2**15), 2**15 - 1), _T.UINT16: (0, 2**16 - 1),
    _T.INT32: (-(2**31), 2**31 - 1), _T.UINT32: (0, 2**32 - 1),
    _T.INT64: (-(2**63), 2**63 - 1), _T.UINT64: (0, 2**64 - 1),
    _T.BCD16: (0, 10**4 - 1), _T.BCD32: (0, 10**8 - 1),
    _T.FLOAT32: (-3.4028234663852886e38, 3.4028234663852886e38),
    _T.FLOAT64: (-1.7976931348623157e308, 1.7976931348623157e308),
}  # fmt: skip
_SIGNED = frozenset({_T.INT16, _T.INT32, _T.INT64})
_FLOATS = frozenset({_T.FLOAT32, _T.FLOAT64})
_READ_ONLY = frozenset({Table.DISCRETE, Table.INPUT})


@dataclass(frozen=True, slots=True)
class PointShape:
    """A point as every copy of its device has it."""

    name: str
    place: Place = field(compare=False)
    table: Table
    address: int
    registers: int
    type: RegisterType
    word_order: Order
    byte_order: Order
    bit: int | None
    scale: float
    offset: float
    scale_factor: int | None
    not_implemented: tuple[int, ...]
    low: float | None
    high: float | None
    group: int
    value_type: ValueType
    unit: str | None
    deadband: float
    decimals: int | None
    string_bytes: int
    history: bool
    sloped: bool
    deviation: Deviation | None
    states: Mapping[int, str]
    stale_after_ms: int
    write: WriteLimits | None
    function: WriteFunction
    verify: Verify | None
    description: str


def read_point(name: ScalarNode, node: Node, body: Body, reading: Reading) -> PointShape | None:
    """The point, or None where a fault was reported or a parameter is not known yet."""
    settings = POINT.read(node, name.text, reading)
    if not isinstance(settings, Settings):
        return None
    return _Check(name, settings, POINT, body, reading.faults).point()


class _Check(RegisterCheck):
    """The checks of one point of a device."""

    def point(self) -> PointShape | None:
        s = self._settings
        group = self._group()
        table: Table | None = s["table"]
        type = self.register_type(table)
        if table is None or type is None:
            return None
        registers = self.register_count(type)
        address = self.first_address(table, registers)
        scale_factor = self.first_address(table, 1, "scale_factor")
        value_type = self._value_type(type)
        self.check_orders(table, type, registers)
        self._check_fit(type, value_type)
        self._check_states(type, value_type)
        if registers is not None:
            self._check_not_implemented(type, registers)
        self._check_unit(value_type)
        before = len(self._faults)
        deviation = read_deviation(
            s, value_type, s["range"], is_sloped=s["sloped"], is_kept=s["history"], faults=self._faults
        )
        self._is_sound = self._is_sound and len(self._faults) == before
        write = handled(
            self._write(table, type, value_type), s["write"], value_type, s["states"], self._faults
        )
        function = self._function(table, registers)
        verify = self._verify()
        self._check_broadcast()
        if write is None and s["write"] is not None:
            self._is_sound = False
        if not self._is_sound or registers is None or address is None or group is None:
            return None
        index, poll = group
        low, high = s["range"] or (None, None)
        return PointShape(
            name=self._name.text,
            place=self._name.place,
            table=table,
            address=address,
            registers=registers,
            type=type,
            word_order=s["word_order"] or self._body.word_order,
            byte_order=s["byte_order"] or self._body.byte_order,
            bit=s["bit"],
            scale=s["scale"],
            offset=s["offset"],
            scale_factor=scale_factor,
            not_implemented=s["not_implemented"],
            low=low,
            high=high,
            group=index,
            value_type=value_type,
            unit=s["unit"],
            deadband=s["deadband"],
            decimals=s["decimals"],
            string_bytes=registers * 2 * UTF8_BYTES_A_CHARACTER if type is _T.STRING else 0,
            history=s["history"],
            sloped=s["sloped"],
            deviation=deviation,
            states=s["states"] or {},
            stale_after_ms=poll.stale_after_ms,
            write=write,
            function=function,
            verify=verify,
            description=s["description"],
        )

    def _group(self) -> tuple[int, PollGroup] | None:
        groups = self._body.groups
        if groups is None:
            return None
        if "group" not in self._settings:
            if len(groups) == 1:
                return 0, groups[0]
            names = ", ".join(group.name for group in groups)
            self._add("group", "a point without 'group'", f"add 'group: ...', one of: {names}")
            return None
        name = self._settings["group"]
        for index, group in enumerate(groups):
            if group.name == name:
                return index, group
        if name is not None and not self._faults.unsure:
            known = [group.name for group in groups]
            self._add(
                "group",
                f"the unknown group {quote(name)}",
                suggestion(name, known, "name one of the device's"),
            )
        return None

    def _value_type(self, type: RegisterType) -> ValueType:
        if type is _T.BOOL:
            return ValueType.BOOL
        if type is _T.STRING:
            return ValueType.STRING
        s = self._settings
        if type in _FLOATS or s["scale"] != 1.0 or s["offset"] != 0.0 or "scale_factor" in s:
            return ValueType.DOUBLE
        return ValueType.INT64 if type in _SIGNED else ValueType.UINT64

    def _check_fit(self, type: RegisterType, value_type: ValueType) -> None:
        if value_type in (ValueType.BOOL, ValueType.STRING):
            for key in ("scale", "offset", "scale_factor", "unit", "range", "deadband", "decimals", "sloped"):
                self._refuse(key, f"a {type}, which is no number")
        if value_type is ValueType.UINT64 or value_type is ValueType.INT64:
            decimals = self._settings["decimals"]
            if decimals:
                self._add("decimals", f"{decimals} decimals of a whole number", "write 0, or add a 'scale'")

    def _check_states(self, type: RegisterType, value_type: ValueType) -> None:
        states = self._settings["states"]
        if not states:
            return
        if value_type in (ValueType.DOUBLE, ValueType.STRING):
            kind = "string" if type is _T.STRING else "number with decimals"
            self._refuse("states", f"a {kind}")
            return
        low, high = (0, 1) if type is _T.BOOL else RAW_RANGE[type]
        for value in states:
            if not low <= value <= high:
                self._add("states", f"the state {value}, which {type} cannot hold", f"write {low}..{high}")
        twice = {label for label in states.values() if list(states.values()).count(label) > 1}
        for label in sorted(twice):
            self._add("states", f"two states named {quote(label)}", "give each state a name of its own")

    def _check_not_implemented(self, type: RegisterType, registers: int) -> None:
        if self._settings["table"] in BIT_TABLES:
            self._refuse("not_implemented", f"a {self._settings['table']}, which has no room for it")
            return
        limit = 1 << 16 * registers
        for raw in self._settings["not_implemented"] or ():
            if raw >= limit:
                self._add(
                    "not_implemented",
                    f"the raw value 0x{raw:X}, which {registers} register{'s' if registers > 1 else ''} cannot hold",
                    f"write at most 0x{limit - 1:X}",
                )

    def _check_unit(self, value_type: ValueType) -> None:
        s = self._settings
        if value_type in (ValueType.BOOL, ValueType.STRING) or ("unit" in s and s["unit"] is None):
            return
        wrong = contradiction(self._name.text, s["unit"])
        if wrong is None:
            return
        is_given, found, mend = wrong
        if is_given:
            self._add("unit", found, mend)
        else:
            self._faults.add(self._name.place, found, mend)
            self._is_sound = False

    def _function(self, table: Table, registers: int | None) -> WriteFunction:
        write: Settings | None = self._settings["write"]
        function: WriteFunction | None = None if write is None else write["function"]
        if write is None or function is None:
            return WriteFunction.AUTO
        is_bit = table is Table.HOLDING and "bit" in self._settings
        if is_bit and function in (WriteFunction.SINGLE, WriteFunction.MULTIPLE):
            found = f"'function: {function}' of a bit, whose register is others' as well"
            self._refuse_write(write, "function", found, "write 'rewrite' or 'mask-or-rewrite', or remove it")
        elif not is_bit and function in (WriteFunction.REWRITE, WriteFunction.MASK_OR_REWRITE):
            found = f"'function: {function}' of a point that is no bit of a register"
            self._refuse_write(write, "function", found, "remove it")
        elif function is WriteFunction.SINGLE and (registers or 1) > 1:
            found = f"'function: single' of {registers} registers, which it cannot write"
            self._refuse_write(write, "function", found, "write 'multiple', or remove it")
        return function

    def _verify(self) -> Verify | None:
        write: Settings | None = self._settings["write"]
        rule: Settings | None = None if write is None else write["verify"]
        if write is None or rule is None:
            self._is_sound = self._is_sound and (write is None or "verify" not in write)
            return None
        if not rule.is_sound("point", "equals"):
            self._is_sound = False
            return None
        for value in rule["equals"]:
            if isinstance(value, str):
                self._refuse_write(rule, "equals", f"the text {quote(value)}", "write numbers, true or false")
        return Verify(rule["point"], rule["equals"])

    def _check_broadcast(self) -> None:
        """Nobody answers a broadcast: there is nothing to read."""
        if not self._body.is_broadcast:
            return
        write: Settings | None = self._settings["write"]
        if "write" not in self._settings:
            self._faults.add(
                self._name.place, "a point of a broadcast without 'write'", "add 'write: {...}', or remove it"
            )
            self._is_sound = False
        self._refuse("scale_factor", "a broadcast, which reads nothing")
        if write is None:
            return
        if write["verify"] is not None:
            self._refuse_write(write, "verify", "'verify' of a broadcast, which reads nothing", "remove it")
        if write["function"] in (WriteFunction.REWRITE, WriteFunction.MASK_OR_REWRITE):
            found = f"'function: {write['function']}' of a broadcast, which reads nothing"
            self._refuse_write(write, "function", found, "remove it")

    def _refuse_write(self, settings: Settings, key: str, found: str, mend: str) -> None:
        self._is_sound = False
        self._faults.add(settings.at(key), found, mend)

    def _write(self, table: Table, type: RegisterType, value_type: ValueType) -> WriteLimits | None:
        write: Settings | None = self._settings["write"]
        if write is None:
            return None
        if table in _READ_ONLY:
            writable = "coil" if table is Table.DISCRETE else "holding"
            self._is_sound = False
            self._faults.add(
                self._settings.key_at("write"),
                f"'write' of a point in table '{table.value}', which is read-only",
                f"remove it, or write 'table: {writable}'",
            )
            return None
        if not write.is_sound("role", "timeout_ms"):
            self._is_sound = False
            return None
        role: Role = write["role"]
        if value_type in (ValueType.BOOL, ValueType.STRING):
            for key in ("low", "high", "tolerance"):
                if key in write:
                    self._is_sound = False
                    self._faults.add(
                        write.key_at(key), f"{quote(key)} of a {type}, which is no number", f"remove '{key}'"
                    )
            return WriteLimits(role, None, None, 0.0, write["timeout_ms"])
        limits = self._limits(write, type)
        if limits is None or ("tolerance" in write and write["tolerance"] is None):
            self._is_sound = False
            return None
        tolerance = write["tolerance"]
        if tolerance is None and "scale_factor" in self._settings:
            self._is_sound = False
            self._faults.add(
                write.place,
                "a write limit without 'tolerance' of a point whose scale the device tells",
                "add 'tolerance: ...', one step of what the device can hold",
            )
            return None
        if tolerance is None:
            tolerance = self._tolerance(type, value_type, *limits)
        return WriteLimits(role, *limits, tolerance, write["timeout_ms"])

    def _limits(self, write: Settings, type: RegisterType) -> tuple[float, float] | None:
        s = self._settings
        if not s.is_sound("scale", "offset"):
            return None
        span: tuple[float, float] | None = s["range"]
        has_faulty_range = "range" in s and span is None
        limits: list[float] = []
        raw_low, raw_high = RAW_RANGE[type]
        ends = sorted((raw_low * s["scale"] + s["offset"], raw_high * s["scale"] + s["offset"]))
        if "scale_factor" in s:
            ends = [-math.inf, math.inf]  # what the registers can hold is known when it is written
        for place, key in enumerate(("low", "high")):
            if key not in write:
                if span is not None:
                    limits.append(span[place])
                elif not has_faulty_range:
                    self._faults.add(
                        write.place,
                        f"a write limit without {quote(key)}",
                        f"add '{key}: ...', or the point's 'range'",
                    )
                continue
            limit = write[key]
            if limit is None:
                continue
            if not ends[0] <= limit <= ends[1]:
                self._faults.add(
                    write.at(key),
                    f"{quote(key)} is {limit:g}, which {type} with this scale cannot hold",
                    f"write {ends[0]:g} to {ends[1]:g}",
                )
                continue
            if span is not None and not span[0] <= limit <= span[1]:
                self._faults.add(
                    write.at(key),
                    f"{quote(key)} is {limit:g}, outside the range {span[0]:g} to {span[1]:g}",
                    "keep write limits within 'range', or widen it",
                )
                continue
            limits.append(limit)
        if len(limits) != 2:
            return None
        if limits[0] >= limits[1]:
            self._faults.add(
                write.at("low"),
                f"'low' {limits[0]:g} is not below 'high' {limits[1]:g}",
                "write the lower one as 'low'",
            )
            return None
        return limits[0], limits[1]

    def _tolerance(self, type: RegisterType, value_type: ValueType, low: float, high: float) -> float:
        if type in _FLOATS:
            return max(abs(low), abs(high)) * FLOAT_TOLERANCE
        return abs(self._settings["scale"]) if value_type is ValueType.DOUBLE else 0.0
