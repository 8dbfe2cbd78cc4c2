"""How types lie in memory: C names, bytes and offsets, by the rules that every C ABI we build for shares.

Each scalar is aligned to its own size and a structure to its widest member; the generated C asserts every size and
offset that is worked out here, so that a compiler which differs refuses the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from plc.compiler.refusals import NotCompiled
from plc.language import ast, typed
from plc.language.source import Span
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import (
    BOOL,
    ArrayOf,
    Elementary,
    Enumeration,
    Family,
    Reference,
    StringOf,
    Structure,
    Subrange,
    Type,
)

_C_SCALARS = {
    "bool": ("bool", 1),
    "i8": ("int8_t", 1),
    "i16": ("int16_t", 2),
    "i32": ("int32_t", 4),
    "i64": ("int64_t", 8),
    "u8": ("uint8_t", 1),
    "u16": ("uint16_t", 2),
    "u32": ("uint32_t", 4),
    "u64": ("uint64_t", 8),
    "f32": ("float", 4),
    "f64": ("double", 8),
}
_PREFIX = {Family.BIT: "u", Family.SIGNED: "i", Family.UNSIGNED: "u", Family.REAL: "f", Family.CHARACTER: "u"}
STRING_HEADER = 4  # capacity and length of struct tl_string and struct tl_wstring
BOUNDS_BYTES = 16  # struct tl_bounds
STATE_START = 8  # offset 0 is the NULL of references

ELSEWHERE = "tl_elsewhere_"  # of an instance: whether a task of its own runs it, so that its callers do not

# Members of the run-time's own blocks that no declaration has, after those that it has (firmware/blocks/blocks.h).
_HIDDEN = {"CTU": ("cu_before",), "CTD": ("cd_before",), "CTUD": ("cu_before", "cd_before")}

# Words of C, macros of the headers that generated code includes, and names that generated code uses itself.
_TAKEN_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while bool true false asm typeof nan inf isnan isinf isfinite isnormal signbit fpclassify
isgreater isless isunordered islessgreater isgreaterequal islessequal setjmp longjmp offsetof errno
assert alignas alignof noreturn static_assert thread_local complex imaginary linux unix scan state
self main jmp_buf size_t abs sqrt log exp sin cos tan asin acos atan atan2 pow fabs round floor ceil
trunc rint memcpy memset memcmp memmove strlen printf malloc free exit abort div y0 y1 yn j0 j1 jn
gamma lgamma index
"""
_TAKEN = frozenset(_TAKEN_WORDS.split())


def scalar(type_: Type) -> str | None:
    """The kind of a type that is one C scalar, as ``i16``; ``None`` for strings and what has parts."""
    match type_:
        case Subrange():
            return scalar(type_.base)
        case Enumeration():
            return scalar(type_.base)
        case Reference():
            return "u32"
        case Elementary():
            if type_ is BOOL:
                return "bool"
            prefix = _PREFIX.get(type_.family)
            return f"{prefix}{type_.bits}" if prefix else "i64"
        case Block():
            return "u32" if type_.is_interface else None
    return None


def c_scalar(kind: str) -> str:
    """The C type of a scalar kind."""
    return _C_SCALARS[kind][0]


def scalar_bytes(kind: str) -> int:
    """The bytes of a scalar kind, which are its alignment as well."""
    return _C_SCALARS[kind][1]


def safe(name: str) -> str:
    """An identifier of Structured Text as one of C: in lower case, as ST does not tell cases apart."""
    lower = name.lower()
    if lower in _TAKEN or lower.startswith("tl_") or lower.endswith(("_", "_t")):
        return f"{lower}_"
    return lower


def text_struct(type_: StringOf) -> str:
    """The C type that all strings of one width are passed as."""
    return f"struct {text_name(type_)}"


def text_name(type_: StringOf) -> str:
    """What the run-time's functions for strings of one width begin with."""
    return "tl_wstring" if type_.is_wide else "tl_string"


def as_text(place: str, type_: StringOf) -> str:
    """A string variable as a pointer to what all strings of its width are."""
    return f"TL_{'WSTRING' if type_.is_wide else 'STRING'}({place})"


def as_constant_text(text: str, type_: StringOf) -> str:
    """A pointer to a string that is only read."""
    return f"(const {text_struct(type_)} *){text}"


def string_bytes(type_: StringOf) -> int:
    """The bytes of a string variable: header, characters, and a 0 behind them."""
    unit = 2 if type_.is_wide else 1
    return -(-(STRING_HEADER + unit * (type_.length + 1)) // 2) * 2


def element_count(array: ArrayOf) -> int:
    """All elements of an array whose bounds are known."""
    count = 1
    for bounds in array.bounds:
        assert bounds is not None
        count *= max(0, bounds[1] - bounds[0] + 1)
    return count


def is_open(type_: Type) -> bool:
    """Whether a type is ARRAY [*]."""
    return isinstance(type_, ArrayOf) and None in type_.bounds


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a C structure. ``variable`` is ``None`` for what only generated code knows."""

    c_name: str
    c_type: str
    offset: int
    bytes: int
    variable: Variable | None = None


@dataclass(slots=True)
class Record:
    """A C structure with where its members are."""

    c_name: str
    is_union: bool = False
    members: list[Member] = field(default_factory=list)
    by_variable: dict[Variable, Member] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    bytes: int = 0
    alignment: int = 1
    base: Record | None = None

    def add(
        self, name: str, c_type: str, size: int, alignment: int, variable: Variable | None = None
    ) -> Member:
        """The next member, where its alignment puts it."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        offset = 0 if self.is_union else -(-self.bytes // alignment) * alignment
        member = Member(name, c_type, offset, size, variable)
        self.members.append(member)
        if variable is not None:
            self.by_variable[variable] = member
        self.bytes = max(self.bytes, offset + size)
        self.alignment = max(self.alignment, alignment)
        return member

    def close(self) -> None:
        """Fill up to the alignment; C knows no structure without bytes."""
        if not self.members:
            self.add("tl_empty", "uint8_t", 1, 1)
        self.bytes = -(-self.bytes // self.alignment) * self.alignment


class Layout:
    """The C types of a program, made when they are first asked for, in an order in which C can read them."""

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        self.definitions: list[str] = []
        self.type_ids: dict[Block, int] = {}
        self.elsewhere: set[Variable] = set()  # instances that run in a task of their own in some program
        self._records: dict[object, Record] = {}
        self._arrays: dict[tuple[str, int], str] = {}
        self._strings: set[StringOf] = set()
        self._c_names: set[str] = set()
        derived = {base for block in blocks for base in block.lineage()[1:]}
        for block in blocks:
            family = [one for one in block.lineage() if not one.is_interface]
            is_polymorphic = block.kind is not ast.UnitKind.PROGRAM and any(
                one.methods or one.properties or one.interfaces or one in derived for one in family
            )
            if is_polymorphic and not block.is_interface:
                self.type_ids[block] = len(self.type_ids) + 1

    def unique(self, name: str) -> str:
        """A C name that no other part of the file has."""
        name = re.sub(r"\W", "_", name.lower())
        while name in self._c_names:
            name += "_"
        self._c_names.add(name)
        return name

    # ── types ──────────────────────────────────────────────────────────────────────────────────────────────────
    def c_type(self, type_: Type, span: Span) -> str:
        """The C type of a variable."""
        return self.shape(type_, span)[0]

    def shape(self, type_: Type, span: Span) -> tuple[str, int, int]:
        """C type, bytes and alignment."""
        kind = scalar(type_)
        if kind is not None:
            c_name, size = _C_SCALARS[kind]
            return c_name, size, size
        match type_:
            case StringOf():
                return self._string(type_, span)
            case ArrayOf():
                return self._array(type_, span)
            case Structure():
                record = self.structure(type_)
                return (
                    f"{'union' if record.is_union else 'struct'} {record.c_name}",
                    record.bytes,
                    record.alignment,
                )
            case Block():
                record = self.block(type_)
                return f"struct {record.c_name}", record.bytes, record.alignment
        raise NotCompiled(span, f"{type_} is not compiled yet")

    def _string(self, type_: StringOf, span: Span) -> tuple[str, int, int]:
        name = f"{text_struct(type_)}_{type_.length}"
        if type_ not in self._strings:
            self._strings.add(type_)
            units = "uint16_t units" if type_.is_wide else "char bytes"
            self.definitions.append(
                f"{name} {{\n    uint16_t capacity, length;\n    {units}[{type_.length + 1}];\n}};"
            )
        return name, string_bytes(type_), 2

    def _array(self, type_: ArrayOf, span: Span) -> tuple[str, int, int]:
        if is_open(type_):
            raise NotCompiled(span, "ARRAY [*] as a whole is compiled as a parameter only")
        element, size, alignment = self.shape(type_.element, span)
        count = element_count(type_)
        key = (element, count)
        if key not in self._arrays:
            name = self.unique(f"array_{count}_of_{re.sub('^(struct|union) ', '', element)}")
            self._arrays[key] = name
            self.definitions.append(f"struct {name} {{\n    {element} v[{count}];\n}};")
        return f"struct {self._arrays[key]}", size * count, alignment

    def structure(self, type_: Structure) -> Record:
        """A STRUCT; one with OVERLAP is a union."""
        record = self._records.get(type_)
        if record is None:
            record = Record(self.unique(f"type_{type_.name}"), is_union=type_.is_overlapped)
            self._records[type_] = record
            for variable in type_.fields.values():
                self._add(record, variable)
            self._define(record)
        return record

    def block(self, block: Block) -> Record:
        """An instance of a block or a program."""
        record = self._records.get(block)
        if record is None:
            record = self._standard(block) if block.is_standard else self._declared(block)
            self._records[block] = record
        return record

    def _declared(self, block: Block) -> Record:
        prefix = "program" if block.kind is ast.UnitKind.PROGRAM else "block"
        record = Record(self.unique(f"{prefix}_{block.qualified}"))
        if block.base is not None:
            record.base = self.block(block.base)
            record.add("tl_base", f"struct {record.base.c_name}", record.base.bytes, record.base.alignment)
        elif block in self.type_ids:
            record.add("tl_type", "uint32_t", 4, 4)
        for variable in block.variables.values():
            if variable.section is Section.IN_OUT:
                record.add(safe(variable.name), "uint32_t", 4, 4, variable)
                if isinstance(variable.type, ArrayOf) and is_open(variable.type):
                    for rank in range(len(variable.type.bounds)):
                        name = f"tl_bounds_{safe(variable.name)}_{rank}"
                        record.add(name, "struct tl_bounds", BOUNDS_BYTES, 8)
            elif variable.section in (Section.INPUT, Section.OUTPUT, Section.LOCAL, Section.GLOBAL):
                self._add(record, variable)
                if variable.edge is not None:
                    record.add(f"tl_edge_{safe(variable.name)}", "bool", 1, 1)
                if variable in self.elsewhere:
                    record.add(f"{ELSEWHERE}{safe(variable.name)}", "bool", 1, 1)
        for variable in (*block.steps.values(), *block.controls.values()):
            self._add(record, variable)
        units: list[Block | Routine] = [block, *block.actions.values()]
        for unit in units:
            if isinstance(unit.body, typed.Chart):
                record.add(chart_member("running", unit), "bool", 1, 1)
                record.add(chart_member("clock", unit), "int64_t", 8, 8)
        for routine in (*block.methods.values(), *block.actions.values()):
            for variable in routine.variables.values():
                if variable.section is Section.INSTANCE:
                    c_type, size, alignment = self.shape(variable.type, variable.span)
                    record.add(
                        f"{safe(routine.name)}_{safe(variable.name)}", c_type, size, alignment, variable
                    )
        self._define(record)
        return record

    def _standard(self, block: Block) -> Record:
        """The run-time defines it: only offsets are worked out here."""
        record = Record(standard_c_name(block))
        for variable in block.variables.values():
            self._add(record, variable)
        for name in _HIDDEN.get(block.name.upper().split("_")[0], ()):
            record.add(name, "bool", 1, 1)
        record.close()
        self.definitions.append(_assertions(record, f"struct {record.c_name}"))
        return record

    def _add(self, record: Record, variable: Variable) -> None:
        c_type, size, alignment = self.shape(variable.type, variable.span)
        if record.is_union and c_type == "bool":
            c_type = "uint8_t"  # a byte that other members write need not be 0 or 1, which a bool has to be
        record.add(safe(variable.name), c_type, size, alignment, variable)

    def _define(self, record: Record) -> None:
        record.close()
        self.definitions.append(definition(record))

    def path(self, block: Block, variable: Variable) -> str:
        """How C names a variable of an instance, inherited ones through the bases."""
        record: Record | None = self.block(block)
        steps: list[str] = []
        while record is not None:
            member = record.by_variable.get(variable)
            if member is not None:
                return ".".join((*steps, member.c_name))
            steps.append("tl_base")
            record = record.base
        raise KeyError(variable)

    def bounds(self, block: Block, variable: Variable, rank: int) -> str:
        """How C names the bounds of an ARRAY [*] that a block was given."""
        path, _, name = self.path(block, variable).rpartition(".")
        return f"{path}.tl_bounds_{name}_{rank}" if path else f"tl_bounds_{name}_{rank}"

    def runs_elsewhere(self, block: Block, variable: Variable) -> str:
        """How C names what tells whether an instance runs in a task of its own."""
        path, _, name = self.path(block, variable).rpartition(".")
        return f"{path}.{ELSEWHERE}{name}" if path else f"{ELSEWHERE}{name}"

    def offset(self, block: Block, variable: Variable) -> int:
        """Where a variable of an instance is from the instance's start on; a base is where what extends it is."""
        record: Record | None = self.block(block)
        while record is not None:
            member = record.by_variable.get(variable)
            if member is not None:
                return member.offset
            record = record.base
        raise KeyError(variable)

    def frame(self, routine: Routine | Block, variables: list[Variable]) -> Record:
        """Locals that have to lie in the state: what is referred to, and what is too large for the stack."""
        record = Record(self.unique(f"frame_{routine.qualified}"))
        for variable in variables:
            c_type, size, alignment = self.shape(variable.type, variable.span)
            record.add(safe(variable.name), c_type, size, alignment, variable)
        self._define(record)
        return record


def definition(record: Record) -> str:
    """A record in C, with what this module believes of it."""
    word = "union" if record.is_union else "struct"
    lines = [f"{word} {record.c_name} {{"]
    lines += [f"    {member.c_type} {member.c_name};" for member in record.members]
    lines += ["};", _assertions(record, f"{word} {record.c_name}")]
    return "\n".join(lines)


def _assertions(record: Record, c_type: str) -> str:
    last = record.members[-1]
    return (
        f"_Static_assert(sizeof({c_type}) == {record.bytes} && offsetof({c_type}, {last.c_name}) == {last.offset}, "
        f'"another layout");'
    )


_COUNTED = {"INT": "i16", "DINT": "i32", "LINT": "i64", "UDINT": "u32", "ULINT": "u64"}


def standard_c_name(block: Block) -> str:
    """The structure of a standard block in the run-time."""
    name, _, suffix = block.name.upper().partition("_")
    if name in ("CTU", "CTD", "CTUD"):
        return f"tl_{name.lower()}_{_COUNTED[suffix or 'INT']}"
    if name in ("TP", "TON", "TOF"):
        return "tl_timer"
    if name == "ACTION":
        return "tl_action_control"
    return "tl_trigger" if suffix == "TRIG" else f"tl_{name.lower()}"


def chart_member(what: str, unit: Routine | Block) -> str:
    """What a chart remembers besides its steps: whether it ran before, and when."""
    return f"tl_{what}" if isinstance(unit, Block) else f"tl_{what}_{safe(unit.name)}"


def standard_call(block: Block, instance: str) -> str:
    """The call of a standard block's body on an instance."""
    name = block.name.upper().partition("_")[0]
    if name in ("TP", "TON", "TOF"):
        return f"tl_{name.lower()}(&{instance}, scan->now_ns)"
    if name in ("CTU", "CTD", "CTUD"):
        return f"{standard_c_name(block)}(&{instance})"
    return f"tl_{block.name.lower()}(&{instance})"


def root_of(expression: typed.Expression) -> typed.Expression:
    """What a place is part of: a variable, an instance, or what a reference refers to."""
    while isinstance(expression, (typed.FieldUse, typed.ElementUse, typed.PartialUse)):
        expression = expression.base
    return expression
