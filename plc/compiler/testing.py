"""Tests in Structured Text: ``{test}`` units become entry points of their own, ASSERT and ADVANCE become C.

A failed assertion is a fault like any other (TL_FAULT_ASSERTION), so it ends the test; what was expected and what was
there stand in the state by then, as text. Without ``Options.tests`` units marked ``{test}`` are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plc.compiler.layout import c_scalar, scalar, text_name
from plc.compiler.refusals import NotCompiled
from plc.language import ast, typed
from plc.language.analysis import Program
from plc.language.source import Span
from plc.language.symbols import Block, Routine
from plc.language.types import NOTHING, ArrayOf, Enumeration, StringOf, Type

if TYPE_CHECKING:
    from plc.compiler.expressions import Expressions
    from plc.compiler.whole import Whole

FUNCTIONS = ("ASSERT", "ASSERT_EQUAL", "ASSERT_NEAR")
TEXT = StringOf(is_wide=False, length=200)
FIELDS = ("expected", "actual", "message")
_PRAGMA = re.compile(r"test(?:\s+(?P<role>support))?", re.IGNORECASE)
_MOST_NAMES = 64  # of an enumeration that a failed assertion tells by name


@dataclass(frozen=True, slots=True)
class Test:
    """One test: a whole unit, or a method of one."""

    block: Block
    method: Routine | None

    @property
    def name(self) -> str:
        """As reports show it."""
        return self.block.qualified if self.method is None else self.method.qualified

    @property
    def span(self) -> Span:
        """Where it is declared."""
        unit = self.block if self.method is None else self.method
        return unit.span


def tests_of(program: Program) -> list[Test]:
    """Every test, in the order of the text."""
    found: list[Test] = []
    for block in program.blocks:
        if _role(block) != "test":
            continue
        methods = [one for one in block.methods.values() if _role(one) == "test"]
        found += [Test(block, one) for one in methods] or [Test(block, None)]
    return found


def is_only_for_tests(unit: Block | Routine) -> bool:
    """Whether a unit carries ``{test}`` or ``{test support}``."""
    return _role(unit) is not None


def without_tests(program: Program) -> Program:
    """The program as it goes to a plant. Raises NotCompiled where it uses what is only for tests."""
    blocks = {one for one in program.blocks if is_only_for_tests(one)}
    functions = {one for one in program.functions if is_only_for_tests(one)}
    if not blocks and not functions:
        return program
    kept = tuple(one for one in program.blocks if one not in blocks)
    variables = [*program.globals, *(one for block in kept for one in block.variables.values())]
    for variable in variables:
        if _element(variable.type) in blocks:
            raise NotCompiled(variable.span, f"{variable.type} is only for tests", "remove its {test}")
    return replace(
        program, blocks=kept, functions=tuple(one for one in program.functions if one not in functions)
    )


def check_signature(test: Test) -> None:
    """A test is called with nothing and gives nothing."""
    unit: Block | Routine = test.block if test.method is None else test.method
    result = NOTHING if test.method is None else test.method.result
    if unit.parameters() or result is not NOTHING:
        raise NotCompiled(
            test.span,
            f"{test.name} is a test and so has neither parameters nor a result",
            "give values in its body, or mark it {test support}",
        )


def assertion(unit: Expressions, call: typed.StandardCall) -> str:
    """ASSERT, ASSERT_EQUAL or ASSERT_NEAR as statements; there is no value."""
    whole = unit.whole
    name = call.function.name
    count = len([one for one in call.function.inputs if not one.is_optional])
    texts = [
        _once(unit, text, argument.type)
        for text, argument in zip(unit.values(call.arguments), call.arguments, strict=True)
    ]
    if name == "ASSERT":
        holds = texts[0]
    elif name == "ASSERT_NEAR":
        suffix = "f" if scalar(call.arguments[0].type) == "f32" else ""
        holds = f"fabs{suffix}({texts[0]} - {texts[1]}) <= {texts[2]}"
    elif isinstance(call.arguments[0].type, StringOf):
        holds = f"{text_name(call.arguments[0].type)}_compare({texts[0]}, {texts[1]}) == 0"
    else:
        holds = f"{texts[0]} == {texts[1]}"
    unit.emit(f"if (!({holds})) {{")
    unit.depth += 1
    shown: dict[str, str | None] = {"message": texts[count] if len(texts) > count else None}
    if name != "ASSERT":
        for key, text, argument in zip(FIELDS, texts, call.arguments, strict=False):
            if key != "message":
                shown[key] = _as_text(unit, text, argument.type, call.span)
    for key in FIELDS:
        place = f"TL_STRING({whole.assertion[key]})"
        unit.emit(f"{whole.assertion[key]}.capacity = {TEXT.length};")
        told = shown.get(key)
        unit.emit(f"tl_string_copy({place}, {told});" if told else f'tl_string_set({place}, "", 0);')
    file, line = whole.file(call.span), call.span.position.line
    unit.emit(f"tl_raise(scan, TL_FAULT_ASSERTION, {file}u, {line}u);")
    unit.depth -= 1
    unit.emit("}", placed=False)
    return ""


def advance(unit: Expressions, call: typed.StandardCall) -> str:
    """Time goes by: the program's clock is a field of the scan."""
    if not unit.whole.with_tests:
        raise NotCompiled(
            call.span, "ADVANCE moves the clock of a test: a plant's goes by itself", "mark the unit {test}"
        )
    text = unit.temporary()
    unit.emit(f"const int64_t {text} = {unit.value(call.arguments[0])};")
    unit.emit(f"scan->now_ns = tl_add_i64(scan->now_ns, {text} > 0 ? {text} : 0);")
    unit.emit(f"scan->wall_ns = tl_add_i64(scan->wall_ns, {text} > 0 ? {text} : 0);")
    return ""


def place_assertion(whole: Whole, program: Program) -> None:
    """Room in the state for what a failed assertion tells, where there is one."""
    calls = [
        node
        for body in whole.bodies()
        for node in typed.walk(body)
        if isinstance(node, typed.StandardCall) and node.function.name in FUNCTIONS
    ]
    if calls:
        for key in FIELDS:
            whole.assertion[key] = whole.add_global(f"assertion_{key}", TEXT, calls[0].span)


def _role(unit: Block | Routine) -> str | None:
    syntax = unit.syntax
    if not isinstance(syntax, ast.Unit):
        return None
    for pragma in syntax.pragmas:
        match = _PRAGMA.fullmatch(pragma.text.strip())
        if match:
            return "support" if match["role"] else "test"
    return None


def _element(type_: Type) -> Type:
    while isinstance(type_, ArrayOf):
        type_ = type_.element
    return type_


def _once(unit: Expressions, text: str, type_: Type) -> str:
    """A value that is worked out once, however often it is used."""
    kind = scalar(type_)
    if kind is None or text.isidentifier():
        return text
    name = unit.temporary()
    unit.emit(f"const {c_scalar(kind)} {name} = {text};")
    return name


def _as_text(unit: Expressions, text: str, type_: Type, span: Span) -> str:
    if isinstance(type_, Enumeration) and len(type_.values) <= _MOST_NAMES:
        number = unit.converted(text, type_.base, TEXT, span)
        for key, value in type_.values.items():
            name = unit.literal(f"{type_.name}#{type_.spelling.get(key, key)}", TEXT, span)
            number = f"{text} == {value} ? {name} : {number}"
        return number
    return unit.converted(text, type_, TEXT, span)
