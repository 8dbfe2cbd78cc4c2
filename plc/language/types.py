"""The types of IEC 61131-3 6.4: elementary types, what is built from them, and which fit where.

Elementary types and declared structures, enumerations and blocks are equal only to themselves; strings, arrays,
subranges and references are equal when they are built the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from plc.language.ast import ReferenceKind

if TYPE_CHECKING:
    from plc.language import typed
    from plc.language.symbols import Block, TypeName, Variable

STRING_DEFAULT_LENGTH = 80  # implementer-specific (Table 10, footnote); the length that vendors agree on
STRING_LONGEST = 32_767  # so that LEN fits an INT


class Family(IntEnum):  # an integer hashes fast, and these are asked for all the time
    """The branches of the generic tree (6.4.3, Table 11) that elementary types hang on."""

    BIT = auto()
    SIGNED = auto()
    UNSIGNED = auto()
    REAL = auto()
    DURATION = auto()
    DATE = auto()
    TIME_OF_DAY = auto()
    DATE_AND_TIME = auto()
    CHARACTER = auto()
    UNTYPED_INTEGER = auto()
    UNTYPED_REAL = auto()
    NULL = auto()
    NOTHING = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Elementary:
    """A type of Table 10, or one of the three that only literals have. Times and dates are 64-bit nanoseconds."""

    name: str
    family: Family
    bits: int

    @property
    def low(self) -> int:
        """The least value of an integer or bit string."""
        return -(1 << (self.bits - 1)) if self.family is Family.SIGNED else 0

    @property
    def high(self) -> int:
        """The greatest value of an integer or bit string."""
        return (1 << (self.bits - (self.family is Family.SIGNED))) - 1

    def __str__(self) -> str:
        return self.name


BOOL = Elementary("BOOL", Family.BIT, 1)
BYTE = Elementary("BYTE", Family.BIT, 8)
WORD = Elementary("WORD", Family.BIT, 16)
DWORD = Elementary("DWORD", Family.BIT, 32)
LWORD = Elementary("LWORD", Family.BIT, 64)
SINT = Elementary("SINT", Family.SIGNED, 8)
INT = Elementary("INT", Family.SIGNED, 16)
DINT = Elementary("DINT", Family.SIGNED, 32)
LINT = Elementary("LINT", Family.SIGNED, 64)
USINT = Elementary("USINT", Family.UNSIGNED, 8)
UINT = Elementary("UINT", Family.UNSIGNED, 16)
UDINT = Elementary("UDINT", Family.UNSIGNED, 32)
ULINT = Elementary("ULINT", Family.UNSIGNED, 64)
REAL = Elementary("REAL", Family.REAL, 32)
LREAL = Elementary("LREAL", Family.REAL, 64)
TIME = Elementary("TIME", Family.DURATION, 64)
LTIME = Elementary("LTIME", Family.DURATION, 64)
DATE = Elementary("DATE", Family.DATE, 64)
LDATE = Elementary("LDATE", Family.DATE, 64)
TOD = Elementary("TOD", Family.TIME_OF_DAY, 64)
LTOD = Elementary("LTOD", Family.TIME_OF_DAY, 64)
DT = Elementary("DT", Family.DATE_AND_TIME, 64)
LDT = Elementary("LDT", Family.DATE_AND_TIME, 64)
CHAR = Elementary("CHAR", Family.CHARACTER, 8)
WCHAR = Elementary("WCHAR", Family.CHARACTER, 16)

UNTYPED_INTEGER = Elementary("integer literal", Family.UNTYPED_INTEGER, 64)
UNTYPED_REAL = Elementary("real literal", Family.UNTYPED_REAL, 64)
NULL = Elementary("NULL", Family.NULL, 64)
NOTHING = Elementary("nothing", Family.NOTHING, 0)  # what a function without a result gives
UNKNOWN = Elementary("unknown", Family.UNKNOWN, 0)  # of what is already reported; it fits everywhere

BIT_STRINGS = (BOOL, BYTE, WORD, DWORD, LWORD)
SIGNED = (SINT, INT, DINT, LINT)
UNSIGNED = (USINT, UINT, UDINT, ULINT)
REALS = (REAL, LREAL)

ELEMENTARY: dict[str, Elementary] = {
    **{
        one.name: one
        for one in (
            *BIT_STRINGS,
            *SIGNED,
            *UNSIGNED,
            *REALS,
            TIME,
            LTIME,
            DATE,
            LDATE,
            TOD,
            LTOD,
            DT,
            LDT,
            CHAR,
            WCHAR,
        )
    },
    "BIT": BOOL,  # of vendors' structures
    "TIME_OF_DAY": TOD,
    "LTIME_OF_DAY": LTOD,
    "DATE_AND_TIME": DT,
    "LDATE_AND_TIME": LDT,
}


@dataclass(frozen=True, slots=True)
class StringOf:
    """``STRING[length]`` or ``WSTRING[length]``, in characters."""

    is_wide: bool
    length: int

    def __str__(self) -> str:
        return f"{'W' if self.is_wide else ''}STRING[{self.length}]"


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """Bounds for each rank, both included; ``None`` for a rank of ``ARRAY [*]``."""

    bounds: tuple[tuple[int, int] | None, ...]
    element: Type
    own_initial: typed.Expression | None = field(default=None, compare=False, repr=False)
    element_name: TypeName | None = field(default=None, compare=False, repr=False)

    @property
    def element_initial(self) -> typed.Expression | None:
        """What elements begin with that are given no value: what was said here, else what their type's name says."""
        if self.own_initial is not None or self.element_name is None:
            return self.own_initial
        return self.element_name.initial  # asked for late: the name may be declared further down

    def __str__(self) -> str:
        ranks = ", ".join("*" if one is None else f"{one[0]}..{one[1]}" for one in self.bounds)
        return f"ARRAY [{ranks}] OF {self.element}"


@dataclass(frozen=True, slots=True)
class Subrange:
    """An integer type cut to ``low..high``."""

    base: Elementary
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.base} ({self.low}..{self.high})"


@dataclass(slots=True, eq=False)
class Enumeration:
    """Values by their upper-case names, in the order they were written."""

    name: str
    base: Elementary
    values: dict[str, int]
    spelling: dict[str, str]
    is_qualified_only: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False)
class Structure:
    """Fields by their upper-case names, those of a structure that it extends first."""

    name: str
    fields: dict[str, Variable]
    is_overlapped: bool
    extends: Structure | None = None
    is_step: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Reference:
    """``REF_TO``, ``POINTER TO`` or ``REFERENCE TO`` a target."""

    kind: ReferenceKind
    target: Type

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


Type: TypeAlias = "Elementary | StringOf | ArrayOf | Subrange | Enumeration | Structure | Reference | Block"


def plain(type_: Type) -> Type:
    """A subrange as its integer type."""
    return type_.base if isinstance(type_, Subrange) else type_


# ── the generic types (6.4.3, Figure 5) ────────────────────────────────────────────────────────────────────────
WHOLE_NUMBERS = frozenset({Family.SIGNED, Family.UNSIGNED})
_DATES = frozenset({Family.DATE, Family.TIME_OF_DAY, Family.DATE_AND_TIME})
_NUMBERS = WHOLE_NUMBERS | {Family.REAL}
GENERIC: dict[str, frozenset[Family]] = {
    "ANY_SIGNED": frozenset({Family.SIGNED, Family.UNTYPED_INTEGER}),
    "ANY_UNSIGNED": frozenset({Family.UNSIGNED, Family.UNTYPED_INTEGER}),
    "ANY_INT": WHOLE_NUMBERS | {Family.UNTYPED_INTEGER},
    "ANY_REAL": frozenset({Family.REAL, Family.UNTYPED_REAL}),
    "ANY_NUM": _NUMBERS | {Family.UNTYPED_INTEGER, Family.UNTYPED_REAL},
    "ANY_MAGNITUDE": _NUMBERS | {Family.UNTYPED_INTEGER, Family.UNTYPED_REAL, Family.DURATION},
    "ANY_BIT": frozenset({Family.BIT, Family.UNTYPED_INTEGER}),
    "ANY_DURATION": frozenset({Family.DURATION}),
    "ANY_DATE": _DATES,
    "ANY_CHAR": frozenset({Family.CHARACTER}),
}


def is_a(type_: Type, generic: str) -> bool:
    """Whether a type is one of a generic type's; an unknown type is one of every."""
    type_ = plain(type_)
    if type_ is UNKNOWN or generic == "ANY":
        return True
    if generic == "ANY_ELEMENTARY":
        return isinstance(type_, (Elementary, StringOf, Enumeration)) and type_ not in (NULL, NOTHING)
    if generic == "ANY_STRING":
        return isinstance(type_, StringOf) or (
            isinstance(type_, Elementary) and type_.family is Family.CHARACTER
        )
    return isinstance(type_, Elementary) and type_.family in GENERIC[generic]


# ── implicit conversion (6.6.1.6, Figure 12) ───────────────────────────────────────────────────────────────────
_WIDENS: dict[Elementary, tuple[Elementary, ...]] = {
    BOOL: (BYTE, WORD, DWORD, LWORD),
    BYTE: (WORD, DWORD, LWORD),
    WORD: (DWORD, LWORD),
    DWORD: (LWORD,),
    SINT: (INT, DINT, LINT, REAL, LREAL),
    INT: (DINT, LINT, REAL, LREAL),
    DINT: (LINT, LREAL),
    USINT: (UINT, UDINT, ULINT, INT, DINT, LINT, REAL, LREAL),
    UINT: (UDINT, ULINT, DINT, LINT, REAL, LREAL),
    UDINT: (ULINT, LINT, LREAL),
    REAL: (LREAL,),
    TIME: (LTIME,),
    DATE: (LDATE,),
    TOD: (LTOD,),
    DT: (LDT,),
}


class Fit(Enum):
    """How a value of one type fits a variable of another."""

    SAME = auto()
    WIDENS = auto()  # by the table of the standard: no value is changed
    LOSES = auto()  # accepted with a warning: the nearest value, digits may be lost
    REINTERPRETS = auto()  # accepted with a warning: the bits stay, what they mean changes
    NO = auto()


def fit(source: Type, target: Type) -> Fit:
    """How a value of ``source`` fits where ``target`` is wanted."""
    if source is target or source is UNKNOWN or target is UNKNOWN:
        return Fit.SAME
    source, target = plain(source), plain(target)
    if isinstance(source, Elementary) and isinstance(target, Elementary):
        return _fit_elementary(source, target)
    if isinstance(source, StringOf) and isinstance(target, StringOf):
        return Fit.SAME if source.is_wide == target.is_wide else Fit.NO
    if isinstance(target, StringOf):
        is_character = source is (WCHAR if target.is_wide else CHAR)
        return Fit.WIDENS if is_character else Fit.NO
    if isinstance(target, Reference):
        return _fit_reference(source, target)
    if isinstance(source, ArrayOf) and isinstance(target, ArrayOf):
        return Fit.SAME if _same_array(source, target) else Fit.NO
    if isinstance(source, Enumeration) and isinstance(target, Elementary):
        return Fit.REINTERPRETS if _fit_elementary(source.base, target) is not Fit.NO else Fit.NO
    if isinstance(source, Elementary) and isinstance(target, Enumeration):
        is_whole = source.family in WHOLE_NUMBERS and not target.is_qualified_only
        fitting = is_whole and _fit_elementary(source, target.base) in (Fit.SAME, Fit.WIDENS)
        return Fit.REINTERPRETS if fitting else Fit.NO
    if not is_block(target) or not target.is_interface:
        return Fit.NO  # two instances are never of one type but by being the same, which is said above
    if source is NULL:
        return Fit.SAME
    return Fit.WIDENS if is_block(source) and source.is_derived_from(target) else Fit.NO


def fits_leniently(source: Type, target: Type) -> bool:
    """What vendors' compilers let pass besides: whole numbers of any width, enumerations, addresses as numbers."""
    return all(_is_word(one) for one in (source, target)) and BOOL not in (plain(source), plain(target))


def _is_word(type_: Type) -> bool:
    type_ = plain(type_)
    if isinstance(type_, Reference):
        return type_.kind is ReferenceKind.POINTER_TO
    return isinstance(type_, Enumeration) or (
        isinstance(type_, Elementary) and type_.family in WHOLE_NUMBERS | {Family.BIT}
    )


def _fit_elementary(source: Elementary, target: Elementary) -> Fit:
    if source is target:
        return Fit.SAME
    if target in _WIDENS.get(source, ()):
        return Fit.WIDENS
    from_, to = source.family, target.family
    if from_ is Family.REAL and to is Family.REAL:
        return Fit.LOSES
    if from_ in WHOLE_NUMBERS and to is Family.REAL:
        return Fit.LOSES
    if (
        from_ in WHOLE_NUMBERS | {Family.BIT}
        and to in WHOLE_NUMBERS | {Family.BIT}
        and BOOL not in (source, target)
    ):
        return Fit.REINTERPRETS if target.bits >= source.bits else Fit.NO
    return Fit.NO


def _fit_reference(source: Type, target: Reference) -> Fit:
    if source is NULL:
        return Fit.SAME
    if not isinstance(source, Reference):
        return Fit.NO
    if source.target == target.target or UNKNOWN in (source.target, target.target):
        return Fit.SAME
    if ReferenceKind.POINTER_TO in (source.kind, target.kind) and target.kind is ReferenceKind.POINTER_TO:
        return Fit.SAME  # as vendors' pointers: an address is an address
    inner, outer = source.target, target.target
    if (
        not isinstance(inner, _NOT_BLOCKS)
        and not isinstance(outer, _NOT_BLOCKS)
        and inner.is_derived_from(outer)
    ):
        return Fit.SAME
    return Fit.NO


_NOT_BLOCKS = (Elementary, StringOf, ArrayOf, Subrange, Enumeration, Structure, Reference)


def is_block(type_: Type) -> TypeGuard[Block]:
    """Whether a type is a function block, a class, an interface or a program."""
    return not isinstance(type_, _NOT_BLOCKS)


def _same_array(source: ArrayOf, target: ArrayOf) -> bool:
    if source.element != target.element or len(source.bounds) != len(target.bounds):
        return False
    return all(
        theirs is None or (ours is not None and ours[1] - ours[0] == theirs[1] - theirs[0])
        for ours, theirs in zip(source.bounds, target.bounds, strict=True)
    )


_BY_WIDTH = {8: (SINT, USINT), 16: (INT, UINT), 32: (DINT, UDINT), 64: (LINT, ULINT)}


def as_unsigned(type_: Elementary) -> Elementary:
    """The unsigned integer as wide as a bit string."""
    return _BY_WIDTH[max(type_.bits, 8)][1]


def as_signed(type_: Elementary) -> Elementary:
    """The signed integer as wide as an unsigned one or a bit string."""
    return _BY_WIDTH[max(type_.bits, 8)][0]


def common(left: Type, right: Type) -> Type | None:
    """The type in which two operands meet (6.6.1.6): the smallest that both widen to, or ``None``."""
    left, right = plain(left), plain(right)
    if left == right or right is UNKNOWN:
        return left
    if left is UNKNOWN:
        return right
    if isinstance(left, StringOf) and isinstance(right, StringOf):
        return (left if left.length >= right.length else right) if left.is_wide == right.is_wide else None
    if isinstance(left, Enumeration) and isinstance(right, Elementary):
        return common(left.base, right)
    if isinstance(right, Enumeration) and isinstance(left, Elementary):
        return common(left, right.base)
    if isinstance(left, Elementary) and isinstance(right, Elementary):
        return _common_elementary(left, right)
    if fit(right, left) in (Fit.SAME, Fit.WIDENS):
        return left
    if fit(left, right) in (Fit.SAME, Fit.WIDENS):
        return right
    return None


def _common_elementary(left: Elementary, right: Elementary) -> Elementary | None:
    for one, other in ((left, right), (right, left)):
        if one is UNTYPED_INTEGER:
            if other is UNTYPED_REAL:
                return other
            if other.family in _NUMBERS or (other.family is Family.BIT):
                return other
            return None
        if one is UNTYPED_REAL:
            if other.family is Family.REAL:
                return other
            if other.family in WHOLE_NUMBERS:
                return REAL if other.bits <= 16 else LREAL
            return None
    if right in _WIDENS.get(left, ()):
        return right
    if left in _WIDENS.get(right, ()):
        return left
    both = [one for one in (*SIGNED, *UNSIGNED, *REALS) if _widens(left, one) and _widens(right, one)]
    if both:
        return both[0]
    families = {left.family, right.family}
    if families <= WHOLE_NUMBERS:
        return LINT  # ULINT with a signed type: there is no wider one
    if families <= _NUMBERS:
        return LREAL
    if families <= WHOLE_NUMBERS | {Family.BIT} and BOOL not in (left, right):
        return _common_elementary(_as_number(left), _as_number(right))
    return None


def _as_number(type_: Elementary) -> Elementary:
    return as_unsigned(type_) if type_.family is Family.BIT else type_


def _widens(source: Elementary, target: Elementary) -> bool:
    return source is target or target in _WIDENS.get(source, ())
