"""Types and implicit conversion (IEC 61131-3 6.4 and 6.6.1.6)."""

from __future__ import annotations

import pytest

from plc.language.ast import ReferenceKind
from plc.language.types import (
    BOOL,
    ELEMENTARY,
    INT,
    LREAL,
    REAL,
    UNTYPED_INTEGER,
    UNTYPED_REAL,
    ArrayOf,
    Fit,
    Reference,
    StringOf,
    Subrange,
    common,
    fit,
    is_a,
)

# Figure 12, read row by row: what each type widens to without a word.
WIDENS = {
    "BOOL": "BYTE WORD DWORD LWORD",
    "BYTE": "WORD DWORD LWORD",
    "WORD": "DWORD LWORD",
    "DWORD": "LWORD",
    "LWORD": "",
    "SINT": "INT DINT LINT REAL LREAL",
    "INT": "DINT LINT REAL LREAL",
    "DINT": "LINT LREAL",
    "LINT": "",
    "USINT": "UINT UDINT ULINT INT DINT LINT REAL LREAL",
    "UINT": "UDINT ULINT DINT LINT REAL LREAL",
    "UDINT": "ULINT LINT LREAL",
    "ULINT": "",
    "REAL": "LREAL",
    "LREAL": "",
    "TIME": "LTIME",
    "LTIME": "",
    "DATE": "LDATE",
    "LDATE": "",
    "TOD": "LTOD",
    "LTOD": "",
    "DT": "LDT",
    "LDT": "",
    "CHAR": "",
    "WCHAR": "",
}
PAIRS = [(source, target) for source in WIDENS for target in WIDENS if source != target]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_6_6_1_6_figure_12_widening_is_silent_and_nothing_else_is(source: str, target: str) -> None:
    widens = fit(ELEMENTARY[source], ELEMENTARY[target]) is Fit.WIDENS
    assert widens is (target in WIDENS[source].split())


@pytest.mark.parametrize(
    ("source", "target", "outcome"),
    [
        ("LREAL", "REAL", Fit.LOSES),
        ("DINT", "REAL", Fit.LOSES),
        ("LINT", "LREAL", Fit.LOSES),
        ("WORD", "UINT", Fit.REINTERPRETS),
        ("INT", "WORD", Fit.REINTERPRETS),
        ("INT", "UINT", Fit.REINTERPRETS),
        ("UINT", "INT", Fit.REINTERPRETS),
        ("DINT", "INT", Fit.NO),
        ("WORD", "BYTE", Fit.NO),
        ("WORD", "SINT", Fit.NO),
        ("REAL", "INT", Fit.NO),
        ("BOOL", "INT", Fit.NO),
        ("INT", "BOOL", Fit.NO),
        ("TIME", "DINT", Fit.NO),
        ("LTIME", "TIME", Fit.NO),
        ("DT", "DATE", Fit.NO),
    ],
)
def test_what_the_standard_wants_written(source: str, target: str, outcome: Fit) -> None:
    assert fit(ELEMENTARY[source], ELEMENTARY[target]) is outcome


@pytest.mark.parametrize(
    ("left", "right", "meeting"),
    [
        ("SINT", "INT", "INT"),
        ("INT", "UINT", "DINT"),
        ("SINT", "USINT", "INT"),
        ("UDINT", "DINT", "LINT"),
        ("ULINT", "DINT", "LINT"),
        ("INT", "REAL", "REAL"),
        ("DINT", "REAL", "LREAL"),
        ("LINT", "REAL", "LREAL"),
        ("BYTE", "WORD", "WORD"),
        ("TIME", "LTIME", "LTIME"),
    ],
)
def test_6_6_1_6_two_operands_meet_in_the_smallest_common_type(left: str, right: str, meeting: str) -> None:
    assert common(ELEMENTARY[left], ELEMENTARY[right]) is ELEMENTARY[meeting]
    assert common(ELEMENTARY[right], ELEMENTARY[left]) is ELEMENTARY[meeting]


@pytest.mark.parametrize(
    ("left", "right"), [("BOOL", "INT"), ("TIME", "INT"), ("DATE", "TOD"), ("CHAR", "BYTE")]
)
def test_types_without_a_common_one(left: str, right: str) -> None:
    assert common(ELEMENTARY[left], ELEMENTARY[right]) is None


def test_literals_take_the_type_of_what_they_meet() -> None:
    assert common(UNTYPED_INTEGER, ELEMENTARY["SINT"]) is ELEMENTARY["SINT"]
    assert common(UNTYPED_INTEGER, REAL) is REAL
    assert common(UNTYPED_REAL, REAL) is REAL
    assert common(INT, UNTYPED_REAL) is REAL
    assert common(ELEMENTARY["DINT"], UNTYPED_REAL) is LREAL


def test_6_4_3_generic_types() -> None:
    assert is_a(INT, "ANY_INT")
    assert is_a(INT, "ANY_MAGNITUDE")
    assert is_a(ELEMENTARY["TIME"], "ANY_MAGNITUDE")
    assert not is_a(ELEMENTARY["TIME"], "ANY_NUM")
    assert is_a(BOOL, "ANY_BIT")
    assert not is_a(BOOL, "ANY_NUM")
    assert is_a(Subrange(INT, 0, 9), "ANY_SIGNED")
    assert is_a(StringOf(False, 5), "ANY_STRING")


def test_strings_fit_whatever_their_length_but_not_their_width() -> None:
    assert fit(StringOf(False, 80), StringOf(False, 5)) is Fit.SAME
    assert fit(StringOf(True, 5), StringOf(False, 5)) is Fit.NO


def test_arrays_fit_by_element_and_length() -> None:
    assert fit(ArrayOf(((0, 4),), INT), ArrayOf(((1, 5),), INT)) is Fit.SAME
    assert fit(ArrayOf(((0, 4),), INT), ArrayOf(((1, 4),), INT)) is Fit.NO
    assert fit(ArrayOf(((0, 4),), INT), ArrayOf((None,), INT)) is Fit.SAME
    assert fit(ArrayOf(((0, 4),), INT), ArrayOf(((0, 4),), REAL)) is Fit.NO


def test_references_fit_by_target() -> None:
    to_int = Reference(ReferenceKind.REF_TO, INT)
    assert fit(to_int, Reference(ReferenceKind.REF_TO, INT)) is Fit.SAME
    assert fit(to_int, Reference(ReferenceKind.REF_TO, REAL)) is Fit.NO
    assert (
        fit(Reference(ReferenceKind.POINTER_TO, INT), Reference(ReferenceKind.POINTER_TO, REAL)) is Fit.SAME
    )
