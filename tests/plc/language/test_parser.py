"""The syntax tree (IEC 61131-3 clause 6 and 7.3)."""

from __future__ import annotations

import pytest

from plc.language import ast
from plc.language.diagnostics import Diagnostics
from plc.language.parser import parse
from plc.language.source import Source


def read(text: str) -> ast.File:
    diagnostics = Diagnostics()
    file = parse(Source("test.st", text), diagnostics).file
    assert [str(one) for one in diagnostics.found] == []
    return file


def unit(text: str) -> ast.Unit:
    declaration = read(text).declarations[0]
    assert isinstance(declaration, ast.Unit)
    return declaration


def statements(text: str) -> tuple[ast.Statement, ...]:
    body = unit(f"PROGRAM p {text} END_PROGRAM").body
    assert isinstance(body, tuple)
    return body


def shape(expression: object) -> object:
    """An expression as nested tuples, parentheses dropped."""
    if isinstance(expression, ast.Binary):
        return (shape(expression.left), expression.operator, shape(expression.right))
    if isinstance(expression, ast.Unary):
        return (expression.operator, shape(expression.operand))
    if isinstance(expression, ast.Parenthesised):
        return shape(expression.inner)
    if isinstance(expression, ast.IntegerLiteral):
        return expression.value
    assert isinstance(expression, ast.NameUse), expression
    return expression.name.text


def expression(text: str) -> ast.Expression:
    (statement,) = statements(f"x := {text};")
    assert isinstance(statement, ast.Assign)
    return statement.value


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c", ("a", "+", ("b", "*", "c"))),
        ("a - b - c", (("a", "-", "b"), "-", "c")),
        ("-a ** b", (("-", "a"), "**", "b")),
        ("NOT a AND b", (("NOT", "a"), "AND", "b")),
        ("a OR b XOR c & d", ("a", "OR", ("b", "XOR", ("c", "AND", "d")))),
        ("a = b < c", ("a", "=", ("b", "<", "c"))),
        ("a < b = c < d", (("a", "<", "b"), "=", ("c", "<", "d"))),
        ("(a + b) * 2", (("a", "+", "b"), "*", 2)),
        ("a AND_THEN b OR_ELSE c", (("a", "AND_THEN", "b"), "OR_ELSE", "c")),
        ("a MOD b / c", (("a", "MOD", "b"), "/", "c")),
    ],
)
def test_7_3_2_table_71_precedence(text: str, tree: object) -> None:
    assert shape(expression(text)) == tree


def test_7_3_2_postfix_forms() -> None:
    value = expression("a[1, 2].b^.%X3")
    assert isinstance(value, ast.PartialAccess)
    assert (value.size, value.index) == (1, 3)
    assert isinstance(value.base, ast.Dereference)
    assert isinstance(expression("w.3"), ast.PartialAccess)
    assert isinstance(expression("THIS^.x"), ast.Member)
    assert isinstance(expression("SUPER.m(1)"), ast.Call)
    assert isinstance(expression("Lib.Colour#Red"), ast.EnumLiteral)


def test_7_3_3_2_formal_arguments_and_outputs() -> None:
    (statement,) = statements("t(IN := a AND b, PT := T#5s, Q => x, NOT Z => y, ET =>);")
    assert isinstance(statement, ast.Invoke)
    arguments = statement.call.arguments
    assert [argument.name.key for argument in arguments if argument.name] == ["IN", "PT", "Q", "Z", "ET"]
    assert [argument.is_output for argument in arguments] == [False, False, True, True, True]
    assert arguments[3].is_negated
    assert arguments[4].value is None


@pytest.mark.parametrize("operator", [":=", "S=", "R=", "REF=", "?="])
def test_7_3_3_1_assignments_of_all_kinds(operator: str) -> None:
    (statement,) = statements(f"a {operator} b;")
    assert isinstance(statement, ast.Assign)
    assert statement.operator == operator


def test_variables_named_like_the_operators_s_and_r_still_compare() -> None:
    (statement,) = statements("IF S=1 AND R = 2 THEN x := S; END_IF;")
    assert isinstance(statement, ast.If)


def test_7_3_3_3_case_labels() -> None:
    (statement,) = statements(
        "CASE x OF 1, 3..5: a := 1; b := 2; Red, Colour#Blue: ; -1: c(); ELSE d := 1; END_CASE;"
    )
    assert isinstance(statement, ast.Case)
    assert [len(branch.labels) for branch in statement.branches] == [2, 2, 1]
    assert [len(branch.body) for branch in statement.branches] == [2, 1, 1]
    assert statement.otherwise is not None


def test_7_3_3_4_loops() -> None:
    text = """
        FOR i := 10 TO 1 BY -2 DO CONTINUE; END_FOR;
        WHILE a DO EXIT; END_WHILE;
        REPEAT RETURN; UNTIL b END_REPEAT;
    """
    assert [type(statement) for statement in statements(text)] == [ast.For, ast.While, ast.Repeat]


def test_6_4_4_types_of_every_kind() -> None:
    text = """
        TYPE
            Colour : (Red, Green := 5, Blue);
            Level : INT (Low := -1, High) := High;
            Percent : SINT (0..100) := 50;
            Grid : ARRAY [1..3, 0..7] OF ARRAY [0..1] OF REAL;
            Point : STRUCT x, y : REAL := 1.0; name : STRING[20] := 'p'; END_STRUCT := (x := 2.0);
            Any : UNION i : DINT; r : REAL; END_UNION;
            Link : REF_TO Point;
            Old : POINTER TO ARRAY [0..9] OF BYTE;
            Alias : REFERENCE TO Lib.Thing;
            Child EXTENDS Point : STRUCT z : REAL; END_STRUCT;
        END_TYPE
    """
    (block,) = read(text).declarations
    assert isinstance(block, ast.TypeBlock)
    assert [type(one.type).__name__ for one in block.types] == [
        "EnumType",
        "EnumType",
        "SubrangeType",
        "ArrayType",
        "StructType",
        "StructType",
        "ReferenceType",
        "ReferenceType",
        "ReferenceType",
        "StructType",
    ]


def test_6_5_1_variables_of_every_kind() -> None:
    text = """
    FUNCTION_BLOCK f
        VAR_INPUT go : BOOL R_EDGE; a : ARRAY [*] OF INT; END_VAR
        VAR_OUTPUT RETAIN y : INT := 3; END_VAR
        VAR_IN_OUT z : ARRAY [*, *] OF REAL; END_VAR
        VAR_TEMP t : LREAL; END_VAR
        VAR_EXTERNAL CONSTANT e : INT; END_VAR
        VAR CONSTANT k : INT := 2 + 3; END_VAR
        VAR RETAIN PERSISTENT p AT %MW4 : WORD := 16#FF; END_VAR
        VAR PUBLIC v : TON := (PT := T#5s); w : ARRAY [1..4] OF INT := [1, 2(7), 3]; s : STRING(80); END_VAR
        VAR_STAT n : INT; END_VAR
        VAR b : Block(size := 3); c : (Off, On) := On; r : REFERENCE TO INT REF= n; END_VAR
    END_FUNCTION_BLOCK
    """
    blocks = unit(text).blocks
    assert len(blocks) == 10
    assert blocks[6].qualifiers == {"RETAIN", "PERSISTENT"}
    assert blocks[0].variables[0].edge == "R_EDGE"


def test_6_6_5_classes_methods_properties_and_interfaces() -> None:
    text = """
    FUNCTION_BLOCK ABSTRACT Pump EXTENDS Base IMPLEMENTS IRun, Lib.IStop
        VAR x : INT; END_VAR
        METHOD PUBLIC OVERRIDE Run : BOOL
            VAR_INPUT speed : REAL; END_VAR
            VAR_INST calls : INT; END_VAR
            Run := speed > 0.0;
        END_METHOD
        METHOD PROTECTED ABSTRACT Stop END_METHOD
        PROPERTY PUBLIC Speed : REAL
            GET Speed := 3.0; END_GET
            SET PRIVATE x := 1; END_SET
        END_PROPERTY
        ACTION Reset: x := 0; END_ACTION
        x := x + 1;
    END_FUNCTION_BLOCK
    """
    pump = unit(text)
    assert pump.modifiers == {"ABSTRACT"}
    assert [member.name.text for member in pump.members] == ["Run", "Stop", "Speed", "Reset"]
    assert [len(path.path) for path in pump.implements] == [1, 2]
    read("INTERFACE IRun EXTENDS IBase METHOD Run : BOOL VAR_INPUT a : INT; END_VAR END_METHOD END_INTERFACE")
    read("CLASS FINAL C METHOD m END_METHOD END_CLASS")


def test_6_6_4_namespaces() -> None:
    text = "USING A.B; NAMESPACE INTERNAL C.D USING E; FUNCTION f : INT f := 1; END_FUNCTION END_NAMESPACE"
    file = read(text)
    assert len(file.usings) == 1
    namespace = file.declarations[0]
    assert isinstance(namespace, ast.Namespace)
    assert namespace.is_internal
    assert len(namespace.declarations) == 1


def test_6_7_charts() -> None:
    text = """
    PROGRAM p
        INITIAL_STEP Idle: Reset(N); END_STEP
        STEP Run: Motor(D, T#5s); Pump(S); END_STEP
        TRANSITION go (PRIORITY := 1) FROM Idle TO (Run, Other) := a AND b; END_TRANSITION
        TRANSITION FROM (Run, Other) TO Idle := c; END_TRANSITION
        ACTION Reset: x := 0; END_ACTION
        STEP Other: END_STEP
    END_PROGRAM
    """
    program = unit(text)
    assert isinstance(program.body, ast.Chart)
    assert [step.is_initial for step in program.body.steps] == [True, False, False]
    assert [len(one.targets) for one in program.body.transitions] == [2, 1]
    assert len(program.members) == 1


def test_6_8_configurations() -> None:
    text = """
    CONFIGURATION plant
        VAR_GLOBAL g AT %QW0 : INT; END_VAR
        RESOURCE cpu ON PLC
            TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
            TASK edge (SINGLE := g, PRIORITY := 2);
            PROGRAM RETAIN p WITH fast : Main (a := 1, b => g, block WITH edge);
        END_RESOURCE
        VAR_ACCESS speed : cpu.p.speed : REAL READ_WRITE; END_VAR
        VAR_CONFIG cpu.p.x AT %IX0.0 : BOOL := TRUE; END_VAR
    END_CONFIGURATION
    """
    (configuration,) = read(text).declarations
    assert isinstance(configuration, ast.Configuration)
    (cpu,) = configuration.resources
    assert [task.name.text for task in cpu.tasks] == ["fast", "edge"]
    assert len(cpu.programs[0].connections) == 3


@pytest.mark.parametrize(
    "word",
    [
        "DT",
        "TOD",
        "T",
        "Step",
        "action",
        "TASK",
        "method",
        "Resource",
        "at",
        "on",
        "priority",
        "R_EDGE",
        "Class",
    ],
)
def test_a_word_with_a_meaning_elsewhere_is_a_good_variable_name(word: str) -> None:
    read(
        f"PROGRAM p VAR {word} : INT; END_VAR {word} := {word} + 1; IF {word} = 2 THEN f({word}); END_IF; END_PROGRAM"
    )


def test_pragmas_stay_with_what_follows_them() -> None:
    text = "{attribute 'qualified_only'}\nVAR_GLOBAL {attribute 'hide'} a : INT; END_VAR"
    (block,) = read(text).declarations
    assert isinstance(block, ast.VariableBlock)
    assert block.pragmas[0].text == "attribute 'qualified_only'"
    assert block.variables[0].pragmas[0].text == "attribute 'hide'"


def test_spans_cover_what_was_written() -> None:
    value = expression("alpha + beta(1)")
    assert value.span.text == "alpha + beta(1)"
    assert isinstance(value, ast.Binary)
    assert value.right.span.text == "beta(1)"
    assert value.operator_span.text == "+"
