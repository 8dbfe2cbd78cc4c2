"""Calls of the standard functions (IEC 61131-3 6.6.2): generic types settled, conversions, questions of variables."""

from __future__ import annotations

from abc import abstractmethod

from plc.language import ast, standard, typed, values
from plc.language.ast import ReferenceKind
from plc.language.calls import Calls
from plc.language.coercion import (
    conversion_type,
    with_article,
)
from plc.language.diagnostics import nearest
from plc.language.entities import VALUES, Entity
from plc.language.source import Span
from plc.language.standard import Conversion, StandardFunction
from plc.language.symbols import (
    Block,
    Section,
    TypeName,
)
from plc.language.types import (
    BOOL,
    DINT,
    ELEMENTARY,
    INT,
    LREAL,
    NOTHING,
    REAL,
    UDINT,
    UNKNOWN,
    UNTYPED_INTEGER,
    UNTYPED_REAL,
    WHOLE_NUMBERS,
    ArrayOf,
    Elementary,
    Enumeration,
    Family,
    Fit,
    Reference,
    StringOf,
    Structure,
    Subrange,
    Type,
    as_unsigned,
    common,
    fit,
    is_a,
    plain,
)
from plc.language.values import NoValue


class StandardCalls(Calls):
    """The functions that the language brings."""

    @abstractmethod
    def constant(self, node: ast.Expression) -> typed.Literal | None:
        """A constant expression's value; what is none is reported."""

    def _standard_arguments(
        self, function: StandardFunction, node: ast.Call
    ) -> tuple[dict[int, ast.Expression], list[tuple[standard.Parameter, ast.Argument]]] | None:
        given: dict[int, ast.Expression] = {}
        outputs: list[tuple[standard.Parameter, ast.Argument]] = []
        most = len(node.arguments) + len(function.inputs) if function.is_extensible else len(function.inputs)
        names = {function.parameter(index).name: index for index in range(most)}
        output_names = {one.name: one for one in function.outputs}
        is_whole = True
        for position, argument in enumerate(node.arguments):
            if argument.name is None:
                index = position
                if index >= most and position - most < len(function.outputs):
                    outputs.append((function.outputs[position - most], argument))
                    continue
                if index >= most:
                    self.diagnostics.report(
                        "ST0403",
                        argument.span,
                        f"{function.name} takes {len(function.inputs)} arguments",
                        mend="remove this one",
                    )
                    is_whole = False
                    continue
            elif argument.name.key in output_names:
                outputs.append((output_names[argument.name.key], argument))
                continue
            elif argument.name.key in names:
                index = names[argument.name.key]
            else:
                near = nearest(argument.name.text, [*names, *output_names])
                self.diagnostics.report(
                    "ST0401",
                    argument.name.span,
                    f"{function.name} has no parameter {argument.name.text}",
                    mend=f"did you mean {near}?" if near else None,
                )
                is_whole = False
                continue
            if index in given:
                self.diagnostics.report(
                    "ST0404",
                    argument.span,
                    f"{argument.span.text} is given twice",
                    mend="remove one",
                )
                is_whole = False
            elif argument.value is not None:
                given[index] = argument.value
        needed = max(function.needed, max(given, default=-1) + 1)
        missing = [function.parameter(index).name for index in range(needed) if index not in given]
        if missing and is_whole:
            self.diagnostics.report(
                "ST0402", node.span, f"{function.name} needs {', '.join(missing)}", mend="add it"
            )
            is_whole = False
        if not is_whole:
            for one in given.values():
                self.entity(one)
            return None
        return given, outputs

    def _call_standard(
        self, function: StandardFunction, node: ast.Call, expected: Type | None
    ) -> typed.Expression:
        bound = self._standard_arguments(function, node)
        if bound is None:
            return typed.Wrong(UNKNOWN, node.span)
        given, output_arguments = bound
        if function.name in ("ADD", "SUB", "MUL", "DIV", "MOD", "EXPT", "AND", "OR", "XOR"):
            return self._as_operator(function, given, node, expected)
        letters: dict[str, Type | None] = {}
        arguments: dict[int, typed.Expression] = {}
        is_result = function.result in function.generics
        hint = expected if is_result else None
        for index in sorted(given):
            letter = function.parameter(index).type
            seen = letters.get(letter)
            value = self._operand(function, letter, given[index], seen if seen is not None else hint)
            arguments[index] = value
            if value.type is UNKNOWN:
                return self._unknown_arguments(given, index, node)
            if letter in function.generics and not self._meet(function, letter, value, letters, node.span):
                return typed.Wrong(UNKNOWN, node.span)
        for letter, type_ in letters.items():
            letters[letter] = self._letter_type(type_, function, letter, expected)
        converted = tuple(
            self._standard_argument(function, index, arguments[index], letters) for index in sorted(given)
        )
        outputs = self._standard_outputs(output_arguments)
        result = letters.get(function.result) or _type_by_name(function.result)
        if isinstance(result, StringOf) and function.name in ("CONCAT", "INSERT", "REPLACE"):
            result = _joined(function, converted)
        folded = self._fold_standard(function, converted, result, node.span)
        if folded is not None:
            return folded
        self._standard_warnings(function, converted, node.span)
        return typed.StandardCall(function, converted, outputs, result, node.span)

    def _operand(
        self, function: StandardFunction, letter: str, node: ast.Expression, hint: Type | None
    ) -> typed.Expression:
        """An argument; of the type that a typed form such as ADD_INT is for."""
        if function.fixed is None or letter != next(iter(function.generics)):
            return self.expression(node, hint)
        return self.coerce(self.expression(node, function.fixed), function.fixed)

    def _unknown_arguments(
        self, given: dict[int, ast.Expression], after: int, node: ast.Call
    ) -> typed.Expression:
        for index in sorted(given):
            if index > after:
                self.entity(given[index])
        return typed.Wrong(UNKNOWN, node.span)

    def _meet(
        self,
        function: StandardFunction,
        letter: str,
        value: typed.Expression,
        letters: dict[str, Type | None],
        span: Span,
    ) -> bool:
        generic = function.generics[letter]
        seen = letters.get(letter)
        type_ = plain(value.type)
        is_right = is_a(type_, generic) or (generic == "ANY_BIT" and is_a(type_, "ANY_INT"))
        is_right = is_right or (generic == "ANY_REAL" and is_a(type_, "ANY_NUM"))
        is_right = is_right or (
            generic in ("ANY_NUM", "ANY_INT") and is_a(type_, "ANY_BIT") and type_ is not BOOL
        )
        if type_ is NOTHING:
            is_right = False
        meeting = type_ if seen is None else common(seen, type_)
        if generic == "ANY_REAL" and meeting is not None and is_a(meeting, "ANY_INT"):
            meeting = common(meeting, UNTYPED_REAL)
        if not is_right or meeting is None:
            self.diagnostics.report(
                "ST0300",
                value.span,
                f"{function.name} takes {generic}, and all alike: {with_article(type_)} does not fit"
                if seen is not None
                else f"{function.name} takes {generic}: {with_article(type_)} does not fit",
                mend="convert it",
            )
            return False
        if generic == "ANY_BIT" and not is_a(meeting, "ANY_BIT"):
            self._bits_warning(value.span, meeting)
        letters[letter] = meeting
        return True

    def _letter_type(
        self, type_: Type | None, function: StandardFunction, letter: str, expected: Type | None
    ) -> Type:
        assert type_ is not None
        if type_ in (UNTYPED_INTEGER, UNTYPED_REAL):
            wanted = None if expected is None else plain(expected)
            if function.result == letter and wanted is not None and common(type_, wanted) == wanted:
                return wanted
            if type_ is UNTYPED_REAL:
                return LREAL
            return DINT
        generic = function.generics[letter]
        if generic in ("ANY_NUM", "ANY_INT") and isinstance(type_, Elementary) and type_.family is Family.BIT:
            return as_unsigned(type_)
        if (
            function.result == letter
            and isinstance(type_, Elementary)
            and expected is REAL
            and type_ is LREAL
        ):
            return type_
        return type_

    def _standard_argument(
        self,
        function: StandardFunction,
        index: int,
        value: typed.Expression,
        letters: dict[str, Type | None],
    ) -> typed.Expression:
        wanted = function.parameter(index).type
        type_ = letters.get(wanted) or _type_by_name(wanted)
        if isinstance(type_, StringOf) and isinstance(value.type, StringOf):
            return value
        return self.coerce(value, type_)

    def _standard_outputs(
        self, arguments: list[tuple[standard.Parameter, ast.Argument]]
    ) -> tuple[typed.Output, ...]:
        outputs: list[typed.Output] = []
        for parameter, argument in arguments:
            if argument.value is None:
                continue
            target = self.target(argument.value)
            if target is not None:
                self._check_fit(_type_by_name(parameter.type), target.type, argument.span)
                outputs.append(typed.Output(parameter.name, target, argument.is_negated))
        return tuple(outputs)

    def _as_operator(
        self,
        function: StandardFunction,
        given: dict[int, ast.Expression],
        node: ast.Call,
        expected: Type | None,
    ) -> typed.Expression:
        """ADD(a, b, c) is a + b + c (6.6.2.5.5)."""
        sign = {"ADD": "+", "SUB": "-", "MUL": "*", "DIV": "/", "EXPT": "**"}.get(
            function.name, function.name
        )
        result = self._operand(function, function.parameter(0).type, given[0], expected)
        for index in range(1, len(given)):
            value = self._operand(function, function.parameter(index).type, given[index], expected)
            result = self.operate(sign, result, value, node.span, expected)
        return result

    def _fold_standard(
        self,
        function: StandardFunction,
        arguments: tuple[typed.Expression, ...],
        result: Type,
        span: Span,
    ) -> typed.Expression | None:
        """The functions that constants are made with are worked out here."""
        literals = [one.value for one in arguments if isinstance(one, typed.Literal)]
        if len(literals) < len(arguments) or any(value is None for value in literals):
            return None
        name = function.name
        if name == "MAX":
            return typed.Literal(max(literals), result, span)  # type: ignore[type-var]  # of one type by now
        if name == "MIN":
            return typed.Literal(min(literals), result, span)  # type: ignore[type-var]  # of one type by now
        if name == "ABS" and isinstance(literals[0], (int, float)):
            value = abs(literals[0])
            if isinstance(value, int) and isinstance(result, Elementary):
                value = values.wrap(value, result)
            return typed.Literal(value, result, span)
        if name == "LEN" and isinstance(literals[0], str):
            return typed.Literal(len(literals[0]), INT, span)
        if name == "MOVE":
            return typed.Literal(literals[0], result, span)
        return None

    def _standard_warnings(
        self, function: StandardFunction, arguments: tuple[typed.Expression, ...], span: Span
    ) -> None:
        if (
            function.name in ("EQ", "NE", "ASSERT_EQUAL")
            and arguments
            and is_a(arguments[0].type, "ANY_REAL")
        ):
            self.diagnostics.report(
                "ST0809",
                span,
                "reals are rarely exactly equal",
                mend="say how near, by ASSERT_NEAR"
                if function.name == "ASSERT_EQUAL"
                else "compare ABS of the difference with a tolerance",
            )

    def _call_conversion(
        self, conversion: Conversion, node: ast.Call, expected: Type | None
    ) -> typed.Expression:
        if len(node.arguments) != 1 or node.arguments[0].value is None:
            self._check_arguments_alone(node.arguments)
            self.diagnostics.report(
                "ST0402" if not node.arguments else "ST0403",
                node.span,
                f"{conversion.name} takes one argument",
                mend="give it one value",
            )
            return typed.Wrong(UNKNOWN, node.span)
        argument = node.arguments[0]
        assert argument.value is not None
        if conversion.name == "TRUNC" and isinstance(expected, Elementary) and is_a(expected, "ANY_INT"):
            conversion = Conversion("TRUNC", None, expected, "trunc")
        value = self.expression(argument.value, conversion.source)
        if value.type is UNKNOWN:
            return typed.Wrong(conversion.target, node.span)
        target = conversion.target
        if conversion.source is not None:
            source = conversion.source
            if isinstance(value.type, Enumeration) and fit(value.type.base, source) in (Fit.SAME, Fit.WIDENS):
                value = typed.Convert(value, source, False, value.span)
            elif not (isinstance(source, StringOf) and isinstance(value.type, StringOf)):
                value = self.coerce(value, source)
            elif value.type.is_wide != source.is_wide:
                self._misfit(value, source)
        else:
            value = self.settled(value)
        if isinstance(value.type, Enumeration):
            value = typed.Convert(value, value.type.base, False, value.span)
        source_type = conversion_type(plain(value.type))
        if value.type is not UNKNOWN and not standard.converts(source_type, target, conversion.way):
            self.diagnostics.report(
                "ST0300",
                value.span,
                f"there is no conversion of {value.type} to {target}",
                mend="go by another type",
            )
            return typed.Wrong(target, node.span)
        if conversion.way == "convert":
            return self._explicit(value, target, node.span)
        function = StandardFunction(
            conversion.name, {}, (standard.Parameter("IN", str(source_type)),), (), False, str(target)
        )
        if conversion.way == "trunc" and isinstance(value, typed.Literal) and isinstance(value.value, float):
            whole = int(value.value) if abs(value.value) < 1 << 63 else None
            if whole is not None and isinstance(target, Elementary) and values.fits(whole, target):
                return typed.Literal(whole, target, node.span)
        return typed.StandardCall(function, (value,), (), target, node.span)

    def _explicit(self, value: typed.Expression, target: Type, span: Span) -> typed.Expression:
        if isinstance(value, typed.Literal) and isinstance(target, Elementary):
            try:
                folded = _convert_constant(value.value, plain(value.type), target)
            except NoValue as none:
                return self._unworkable(span, none)
            if folded is not None:
                return typed.Literal(folded, target, span)
        if isinstance(target, StringOf) and isinstance(value.type, StringOf):
            target = StringOf(target.is_wide, value.type.length)  # the whole text, however long
        return typed.Convert(value, target, False, span)

    def _query(self, key: str, node: ast.Call) -> typed.Expression:
        """REF, ADR, SIZEOF, LOWER_BOUND, UPPER_BOUND: what they ask about is not read."""
        arguments = [one.value for one in node.arguments if one.value is not None]
        wanted = 2 if key.endswith("_BOUND") else 1
        if len(arguments) != wanted:
            self._check_arguments_alone(node.arguments)
            self.diagnostics.report(
                "ST0402" if len(arguments) < wanted else "ST0403",
                node.span,
                f"{key} takes {wanted} argument{'s' if wanted > 1 else ''}",
                mend="give it a variable",
            )
            return typed.Wrong(UNKNOWN, node.span)
        asked = arguments[0]
        elementary = ELEMENTARY.get(asked.name.key) if isinstance(asked, ast.NameUse) else None
        if key == "SIZEOF" and elementary is not None and self.scope.find(elementary.name) is None:
            operand = typed.TypeUse(elementary, asked.span)
            return typed.StandardCall(SIZEOF, (operand,), (), UDINT, node.span)
        entity = self.entity(asked)
        if key == "SIZEOF":
            return self._size_of(entity, asked, node.span)
        if key == "__ISVALIDREF":
            return self._is_valid(entity, arguments[0], node.span)
        value = self.value(entity, arguments[0])
        if value.type is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if key in ("REF", "ADR"):
            if not self._is_place(value) or isinstance(value, typed.PartialUse):
                self.diagnostics.report(
                    "ST0303", value.span, "only a variable can be referred to", mend="put it into a variable"
                )
                return typed.Wrong(UNKNOWN, node.span)
            kind = ReferenceKind.REF_TO if key == "REF" else ReferenceKind.POINTER_TO
            return typed.ReferenceTo(value, Reference(kind, value.type), node.span)
        return self._bound(key, value, arguments[1], node)

    def _is_valid(self, entity: Entity, node: ast.Expression, span: Span) -> typed.Expression:
        """A vendor's question whether a REFERENCE TO refers to something."""
        value = entity if isinstance(entity, VALUES) else self.value(entity, node)
        if (
            isinstance(value, (typed.VariableUse, typed.FieldUse))
            and value.variable.section is Section.IN_OUT
            and isinstance(value.variable.owner, Block)
        ):  # an in-out of a block refers to nothing before its first call
            return typed.Operation(typed.GIVEN, (value,), BOOL, span)
        if not isinstance(value.type, Reference):
            if value.type is not UNKNOWN:
                self.diagnostics.report(
                    "ST0306", node.span, f"{value.type} is no reference", mend="name a reference"
                )
            return typed.Wrong(BOOL, span)
        null = typed.Literal(None, value.type, span)
        return typed.Operation("<>", (value, null), BOOL, span)

    def _bound(
        self, key: str, array: typed.Expression, rank_node: ast.Expression, node: ast.Call
    ) -> typed.Expression:
        rank = self.constant(rank_node)
        if not isinstance(array.type, ArrayOf):
            self.diagnostics.report(
                "ST0304", array.span, f"{array.type} is no array and has no bounds", mend="name an array"
            )
            return typed.Wrong(UNKNOWN, node.span)
        if rank is None or not isinstance(rank.value, int):
            return typed.Wrong(UNKNOWN, node.span)
        if not 1 <= rank.value <= len(array.type.bounds):
            self.diagnostics.report(
                "ST0304",
                rank.span,
                f"the array has {len(array.type.bounds)} ranks",
                mend="count them from 1",
            )
            return typed.Wrong(UNKNOWN, node.span)
        bounds = array.type.bounds[rank.value - 1]
        if bounds is not None:
            return typed.Literal(bounds[key == "UPPER_BOUND"], DINT, node.span)
        function = StandardFunction(key, {}, (), (), False, "DINT")
        rank_value = typed.Literal(rank.value, DINT, rank.span)
        return typed.StandardCall(function, (array, rank_value), (), DINT, node.span)

    def _size_of(self, entity: Entity, node: ast.Expression, span: Span) -> typed.Expression:
        """SIZEOF takes a variable or a type; the code generator knows the bytes."""
        if isinstance(entity, TypeName):
            operand: typed.Expression = typed.TypeUse(self.declarations.resolve(entity), node.span)
        elif isinstance(entity, Block):
            operand = typed.TypeUse(entity, node.span)
        else:
            operand = self.value(entity, node)
        return typed.StandardCall(SIZEOF, (operand,), (), UDINT, span)


SIZEOF = StandardFunction("SIZEOF", {}, (), (), False, "UDINT")


def _type_by_name(name: str) -> Type:
    if name == "nothing":
        return NOTHING
    return ELEMENTARY[name]


def _joined(function: StandardFunction, arguments: tuple[typed.Expression, ...]) -> StringOf:
    """The length that joining strings can reach."""
    strings = [one.type for one in arguments if isinstance(one.type, StringOf)]
    is_wide = any(one.is_wide for one in strings)
    return StringOf(is_wide, max(1, sum(one.length for one in strings)))


def _convert_constant(value: values.Value, source: Type, target: Elementary) -> values.Value:
    """An explicit conversion of a constant number, or ``None`` to leave it to the target."""
    assert isinstance(
        source, (Elementary, StringOf, Enumeration, Reference, ArrayOf, Structure, Subrange, Block)
    )
    numbers = WHOLE_NUMBERS | {Family.REAL, Family.BIT, Family.UNTYPED_INTEGER, Family.UNTYPED_REAL}
    if not isinstance(source, Elementary) or source.family not in numbers or target.family not in numbers:
        return None
    if not isinstance(value, (int, float)):
        return None
    if source.family is Family.BIT and target.family is Family.REAL and source is not BOOL:
        return None  # DWORD_TO_REAL moves bits, which is the target's business
    if source.family is Family.REAL and target.family is Family.BIT and target is not BOOL:
        return None
    if target.family is Family.REAL:
        return values.single(float(value)) if target is REAL else float(value)
    if target is BOOL:
        return value != 0
    whole = values.nearest_integer(value) if isinstance(value, float) else int(value)
    return values.wrap(whole, target) if values.fits(whole, target) or not isinstance(value, float) else None
