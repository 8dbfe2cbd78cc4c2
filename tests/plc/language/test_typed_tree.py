"""What the code generator gets: resolved, folded, converted, bound."""

from __future__ import annotations

from typing import TypeVar

import pytest

from plc.language import typed
from plc.language.analysis import Program, analyse
from plc.language.source import Source
from plc.language.symbols import Block, TypeName, Variable
from plc.language.types import ELEMENTARY, REAL, ArrayOf, StringOf

T = TypeVar("T")


def program(text: str) -> Program:
    found = analyse([Source("test.st", text)])
    assert [str(one) for one in found.diagnostics if one.severity == "error"] == []
    return found


def function_body(text: str) -> tuple[typed.Statement, ...]:
    body = program(text).functions[-1].body
    assert isinstance(body, tuple)
    return body


def only(kind: type[T], text: str) -> T:
    (found,) = [node for node in typed.walk(function_body(text)) if isinstance(node, kind)]
    return found


def test_an_implicit_conversion_is_there() -> None:
    convert = only(typed.Convert, "FUNCTION f : LREAL VAR_INPUT i : INT; END_VAR f := i; END_FUNCTION")
    assert convert.is_implicit
    assert convert.operand.type is ELEMENTARY["INT"]
    assert convert.type is ELEMENTARY["LREAL"]


def test_an_explicit_conversion_is_there_after_the_implicit_one() -> None:
    text = "FUNCTION f : INT VAR_INPUT i : SINT; END_VAR f := DINT_TO_INT(i); END_FUNCTION"
    outer, inner = [node for node in typed.walk(function_body(text)) if isinstance(node, typed.Convert)]
    assert (str(outer.type), outer.is_implicit) == ("INT", False)
    assert (str(inner.type), inner.is_implicit) == ("DINT", True)


def test_operands_meet_before_the_operator() -> None:
    operation = only(
        typed.Operation, "FUNCTION f : DINT VAR_INPUT i : INT; u : UINT; END_VAR f := i + u; END_FUNCTION"
    )
    assert [str(one.type) for one in operation.operands] == ["DINT", "DINT"]


def test_constants_are_folded_in_their_type() -> None:
    text = "VAR_GLOBAL CONSTANT k : REAL := 0.1; END_VAR FUNCTION f : REAL f := k * 3 + 2 ** 3; END_FUNCTION"
    (assign,) = function_body(text)
    assert isinstance(assign, typed.Assign)
    assert isinstance(assign.value, typed.Literal)
    assert assign.value.type is REAL
    # 0.1 and each result as IEEE single: 0.1f × 3 = 0.3f (one ulp up), + 8
    assert assign.value.value == 8.300000190734863


def test_literals_take_the_type_of_their_place() -> None:
    literal = only(
        typed.Literal, "FUNCTION f : USINT VAR_INPUT u : USINT; END_VAR f := u + 200; END_FUNCTION"
    )
    assert literal.type is ELEMENTARY["USINT"]


def test_arguments_are_bound_to_their_parameters() -> None:
    text = """
    FUNCTION g : INT VAR_INPUT a, b : INT; END_VAR VAR_OUTPUT c : INT; END_VAR g := a - b; c := a; END_FUNCTION
    FUNCTION f : INT VAR x : INT; END_VAR f := g(b := 1, a := 2, c => x); END_FUNCTION
    """
    call = only(typed.RoutineCall, text)
    assert [
        (one.parameter.name, one.value.value) for one in call.inputs if isinstance(one.value, typed.Literal)
    ] == [
        ("b", 1),
        ("a", 2),
    ]
    (output,) = call.outputs
    assert isinstance(output.parameter, Variable)
    assert output.parameter.name == "c"


def test_a_property_is_a_call_of_its_accessor() -> None:
    text = """
    FUNCTION_BLOCK b
        VAR x : INT; END_VAR
        PROPERTY PUBLIC Level : INT GET Level := x; END_GET SET x := Level; END_SET END_PROPERTY
    END_FUNCTION_BLOCK
    FUNCTION f : INT VAR_IN_OUT i : b; END_VAR i.Level := i.Level + 1; END_FUNCTION
    """
    calls = [node for node in typed.walk(function_body(text)) if isinstance(node, typed.RoutineCall)]
    assert [call.routine.kind for call in calls] == ["SET", "GET"]


def test_a_reference_to_is_followed() -> None:
    text = "FUNCTION f : INT VAR_INPUT r : REFERENCE TO INT; END_VAR r := r + 1; f := r; END_FUNCTION"
    followed = [node for node in typed.walk(function_body(text)) if isinstance(node, typed.Dereference)]
    assert len(followed) == 3
    assert all(node.type is ELEMENTARY["INT"] for node in followed)


def test_a_conditional_return_is_an_if() -> None:
    branch = only(
        typed.Branch, "FUNCTION f : INT VAR_INPUT b : BOOL; END_VAR RETURN(b); f := 1; END_FUNCTION"
    )
    assert isinstance(branch.body[0], typed.Return)


def test_a_property_that_is_a_reference_is_followed() -> None:
    text = """
    FUNCTION_BLOCK b
        VAR x : INT; END_VAR
        PROPERTY PUBLIC Link : REFERENCE TO INT GET Link REF= x; END_GET END_PROPERTY
    END_FUNCTION_BLOCK
    FUNCTION f : INT VAR_IN_OUT i : b; END_VAR f := i.Link + 1; END_FUNCTION
    """
    assert isinstance(only(typed.Dereference, text).base, typed.RoutineCall)


def test_extensible_operator_functions_become_operators() -> None:
    text = "FUNCTION f : INT VAR_INPUT i : INT; END_VAR f := ADD(i, i, 3); END_FUNCTION"
    operators = [
        node.operator for node in typed.walk(function_body(text)) if isinstance(node, typed.Operation)
    ]
    assert operators == ["+", "+"]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("MOVE(3)", 3),
        ("ABS(-3)", 3),
        ("MAX(1, 7, 5)", 7),
        ("MIN(4, 2)", 2),
        ("LEN('four')", 4),
        ("TRUNC(-2.9)", -2),
    ],
)
def test_standard_functions_of_constants_are_worked_out(call: str, value: int) -> None:
    literal = only(typed.Literal, f"FUNCTION f : INT f := {call}; END_FUNCTION")
    assert (literal.value, str(literal.type)) == (value, "INT")


def test_case_labels_are_numbers() -> None:
    text = """
    TYPE E : (Red, Green := 5, Blue); END_TYPE
    FUNCTION f : INT VAR_INPUT e : E; END_VAR CASE e OF Red, Green..Blue: f := 1; END_CASE; END_FUNCTION
    """
    assert only(typed.CaseBranch, text).ranges == ((0, 0), (5, 6))


def test_initial_values_come_from_the_type_where_a_variable_has_none() -> None:
    text = """
    TYPE
        Row : ARRAY [0..1] OF Level;
        Level : Percent;
        Percent : INT (0..100) := 50;
        Mode : (Off, On) := On;
    END_TYPE
    VAR_GLOBAL a : Level; b : Mode; c : Row; d : INT; END_VAR
    """
    a, b, c, d = program(text).globals
    assert isinstance(a.initial, typed.Literal)
    assert a.initial.value == 50
    assert isinstance(b.initial, typed.Literal)
    assert b.initial.value == 1
    assert isinstance(c.type, ArrayOf)
    assert isinstance(c.type.element_initial, typed.Literal)
    assert c.type.element_initial.value == 50
    assert d.initial is None


def test_sizeof_takes_types_and_variables() -> None:
    text = """
    TYPE P : STRUCT x : INT; END_STRUCT; END_TYPE
    FUNCTION f : UDINT VAR_INPUT p1 : P; END_VAR f := SIZEOF(P) + SIZEOF(p1) + SIZEOF(LREAL); END_FUNCTION
    """
    calls = [node for node in typed.walk(function_body(text)) if isinstance(node, typed.StandardCall)]
    assert [str(call.arguments[0].type) for call in calls] == ["P", "P", "LREAL"]


def test_strings_know_their_length() -> None:
    call = only(
        typed.StandardCall,
        "FUNCTION f : STRING[9] VAR_INPUT s : STRING[5]; END_VAR f := CONCAT(s, 'ab', s); END_FUNCTION",
    )
    assert call.type == StringOf(False, 12)


def test_references_tell_what_every_name_means() -> None:
    text = """
    TYPE P : STRUCT x : INT; END_STRUCT; END_TYPE
    FUNCTION f : INT VAR_INPUT v : P; END_VAR f := v.x; END_FUNCTION
    """
    meant = {one.span.text: one.symbol for one in program(text).references}
    assert isinstance(meant["P"], TypeName)
    assert isinstance(meant["v"], Variable)
    assert isinstance(meant["x"], Variable)
    assert meant["x"].name == "x"


def test_standard_blocks_are_marked() -> None:
    found = program("VAR_GLOBAL t : TON; END_VAR").globals[0].type
    assert isinstance(found, Block)
    assert found.is_standard
    assert [one.name for one in found.parameters()] == ["IN", "PT", "Q", "ET"]


def test_several_sources_are_one_program_in_any_order() -> None:
    user = Source("a.st", "FUNCTION f : INT f := g() + LIMIT_; END_FUNCTION")
    maker = Source(
        "b.st", "VAR_GLOBAL CONSTANT LIMIT_ : INT := 3; END_VAR FUNCTION g : INT g := 1; END_FUNCTION"
    )
    assert analyse([user, maker]).diagnostics == ()
    assert analyse([maker, user]).diagnostics == ()


def test_a_power_takes_the_real_that_is_wanted() -> None:
    for wanted in ("REAL", "LREAL"):
        text = f"FUNCTION f : {wanted} VAR_INPUT n : INT; END_VAR f := 10 ** n; END_FUNCTION"
        power = only(typed.Operation, text)
        assert str(power.type) == wanted
        assert [str(one.type) for one in power.operands] == [wanted, "INT"]
