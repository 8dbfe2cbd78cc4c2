"""Tokens to a syntax tree: recursive descent, precedence climbing, and recovery so that one fault is said once.

After a fault the parser goes on at the next statement or declaration. A missing ``;`` or ``END_…`` is reported and
taken as there. Soft keywords (``METHOD``, ``STEP``, ``AT``…) are names anywhere but where they open something; the
parser notes which tokens it took as keywords, for the formatter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from plc.language import ast, literals
from plc.language.diagnostics import Diagnostics, Related
from plc.language.lexer import EXAMPLES, lex
from plc.language.source import Source, Span
from plc.language.tokens import (
    ADDRESS,
    DATE,
    DATE_AND_TIME,
    DURATION,
    END,
    INTEGER,
    NAME,
    PREFIX,
    REAL,
    RESERVED,
    STRING,
    TIME_OF_DAY,
    VARIABLE_SECTIONS,
    WIDE_STRING,
    WRONG,
    Tokens,
)

MAX_NESTING = (
    48  # blocks and parentheses within each other; keeps every walk over the tree within Python's stack
)
MAX_OPERATORS = 150  # operators, members and indices in one expression, for the same reason

# 7.3.2, Table 71: all are left-associative and a unary operator binds closer than any of them.
_PRECEDENCE = {
    "OR": 1,
    "OR_ELSE": 1,
    "XOR": 2,
    "AND": 3,
    "&": 3,
    "AND_THEN": 3,
    "=": 4,
    "<>": 4,
    "<": 5,
    ">": 5,
    "<=": 5,
    ">=": 5,
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "MOD": 7,
    "**": 8,
}
_ACCESS = frozenset({"PUBLIC", "PRIVATE", "PROTECTED", "INTERNAL"})
_UNIT_MODIFIERS = _ACCESS | {"FINAL", "ABSTRACT", "OVERRIDE"}
_BLOCK_QUALIFIERS = _ACCESS | {"CONSTANT", "RETAIN", "NON_RETAIN", "PERSISTENT"}
_PARTIAL_BITS = {"X": 1, "B": 8, "W": 16, "D": 32, "L": 64}
_TIME_KINDS = {
    DURATION: (ast.TimeKind.DURATION, literals.duration_ns),
    DATE: (ast.TimeKind.DATE, literals.date_ns),
    TIME_OF_DAY: (ast.TimeKind.TIME_OF_DAY, literals.time_of_day_ns),
    DATE_AND_TIME: (ast.TimeKind.DATE_AND_TIME, literals.date_and_time_ns),
}
_OPENERS = {
    "END_IF": "IF",
    "END_CASE": "CASE",
    "END_FOR": "FOR",
    "END_WHILE": "WHILE",
    "END_REPEAT": "REPEAT",
    "UNTIL": "REPEAT",
    "ELSE": "IF or CASE",
    "ELSIF": "IF",
}
_STATEMENT_ENDS = frozenset({"END_IF", "END_CASE", "END_FOR", "END_WHILE", "END_REPEAT"})
_CLOSERS = frozenset(word for word in RESERVED if word.startswith("END_")) | {"ELSE", "ELSIF", "UNTIL", END}
# Reserved words that begin a unit: statements end before them even where an END_… is missing.
_UNIT_STARTS = frozenset({"PROGRAM", "FUNCTION", "FUNCTION_BLOCK", "TYPE"})
_STATEMENT_STARTS = frozenset({"IF", "CASE", "FOR", "WHILE", "REPEAT", "EXIT", "CONTINUE", "RETURN"})
# Where skipping after a fault stops.
_SYNCHRONISE = _CLOSERS | _UNIT_STARTS | _STATEMENT_STARTS | VARIABLE_SECTIONS
_SOFT_UNITS = frozenset({"CLASS", "INTERFACE", "NAMESPACE", "CONFIGURATION", "USING"})
_SOFT_MEMBERS = frozenset({"METHOD", "PROPERTY", "ACTION"})
_CHART_PARTS = frozenset({"INITIAL_STEP", "STEP", "TRANSITION"})
_LABEL_TOKENS = frozenset(
    {
        NAME,
        INTEGER,
        PREFIX,
        "TRUE",
        "FALSE",
        STRING,
        WIDE_STRING,
        DURATION,
        ".",
        "..",
        ",",
        "-",
        "+",
        "*",
        "(",
        ")",
    }
)
QUALIFIERS_OF_ACTIONS = frozenset({"N", "R", "S", "L", "D", "P", "SD", "DS", "SL", "P0", "P1"})

T = TypeVar("T")


class _Unreadable(Exception):  # noqa: N818  # control flow of the recovery, it never leaves this module
    """A fault was reported; the nearest list of statements or declarations goes on after it."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A source's tree with what the formatter needs of how it was read."""

    file: ast.File
    tokens: Tokens
    soft_keywords: frozenset[int]  # indexes of names that were taken as keywords


def parse(source: Source, diagnostics: Diagnostics) -> Parsed:
    """Always gives a tree; what could not be read is reported and left out of it."""
    tokens = lex(source, diagnostics)
    for start, end in source.drawn:
        diagnostics.report(
            "ST0120",
            Span(source, start, end),
            "this body is drawn: there is no Structured Text in it",
            mend="write it in Structured Text, or leave the file out",
        )
    parser = _Parser(tokens, diagnostics)
    file = parser.file()
    return Parsed(file, tokens, frozenset(parser.soft))


class _Parser:
    def __init__(self, tokens: Tokens, diagnostics: Diagnostics) -> None:
        self.source = tokens.source
        self.kinds = tokens.kinds
        self.words = tokens.words
        self.starts = tokens.starts
        self.ends = tokens.ends
        self.diagnostics = diagnostics
        self.at = 0
        self.soft: set[int] = set()
        self.stolen: set[str] = set()  # reserved words that were declared as names, already reported
        self.depth = 0
        self.operators = 0
        self.closers: list[str] = []  # what the open blocks wait for
        self.pragmas: dict[int, list[ast.Pragma]] = {}
        for one in tokens.trivia:
            if one.is_pragma:
                text = self.source.text[one.start + 1 : one.end - 1].strip()
                span = Span(self.source, one.start, one.end)
                self.pragmas.setdefault(one.before, []).append(ast.Pragma(text, span))

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────
    def span(self, first: int) -> Span:
        """From a token to the one before the current."""
        last = self.at - 1 if self.at > first else first
        return Span(self.source, self.starts[first], self.ends[last])

    def here(self) -> Span:
        """The current token."""
        return Span(self.source, self.starts[self.at], self.ends[self.at])

    def found(self) -> str:
        """The current token as it is said in a message."""
        kind = self.kinds[self.at]
        if kind == END:
            return "the end of the file"
        text = self.source.text[self.starts[self.at] : self.ends[self.at]]
        return f"“{text if len(text) <= 30 else text[:29] + '…'}”"

    def fail(self, expected: str) -> _Unreadable:
        """Report that something else stands here; about what the lexer could not read all is said."""
        kind = self.kinds[self.at]
        if kind == WRONG:
            return _Unreadable()
        if kind in RESERVED and expected.endswith("name"):
            self.diagnostics.report(
                "ST0106",
                self.here(),
                f"{kind} is a reserved word and can not be a name",
                mend=f"choose another name, such as {kind.lower()}_",
            )
            return _Unreadable()
        self.diagnostics.report("ST0110", self.here(), f"expected {expected}, found {self.found()}")
        return _Unreadable()

    def take(self, kind: str, expected: str | None = None) -> int:
        """The index of the current token, which has to be of the kind."""
        if self.kinds[self.at] != kind:
            raise self.fail(expected or f"“{kind}”")
        self.at += 1
        return self.at - 1

    def accept(self, kind: str) -> bool:
        """Step over a token of the kind, if one is here."""
        if self.kinds[self.at] == kind:
            self.at += 1
            return True
        return False

    def is_soft(self, word: str) -> bool:
        """Whether the current token is a name that reads as the word."""
        return self.words[self.at] == word and self.kinds[self.at] == NAME

    def accept_soft(self, word: str) -> bool:
        """Step over a name that is a keyword here."""
        if self.is_soft(word):
            self.soft.add(self.at)
            self.at += 1
            return True
        return False

    def name(self, what: str = "a name") -> ast.Name:
        """An identifier. A reserved word that was wrongly declared as a name is taken as one afterwards."""
        at = self.at
        kind = self.kinds[at]
        if kind == NAME or (kind in self.stolen and kind in RESERVED):
            self.at = at + 1
            start, end = self.starts[at], self.ends[at]
            return ast.Name(self.source.text[start:end], self.words[at], Span(self.source, start, end))
        raise self.fail(what)

    def declared_name(self, what: str, follow: frozenset[str]) -> ast.Name:
        """A name where it is introduced: a reserved word there is one fault, here, and none where it is used."""
        kind = self.kinds[self.at]
        if kind in RESERVED and kind not in self.stolen and self.kinds[self.at + 1] in follow:
            self.fail("a name")
            self.stolen.add(kind)
        return self.name(what)

    def path(self, what: str) -> tuple[ast.Name, ...]:
        """``A.B.C``."""
        names = [self.name(what)]
        while self.kinds[self.at] == "." and self.kinds[self.at + 1] == NAME:
            self.at += 1
            names.append(self.name(what))
        return tuple(names)

    def pragmas_here(self) -> tuple[ast.Pragma, ...]:
        """The pragmas right before the current token."""
        return tuple(self.pragmas.get(self.at, ()))

    def semicolon(self, after: str) -> None:
        """A ``;``; where it is missing that is said at the end of what came before, and parsing goes on."""
        if self.kinds[self.at] == ";":
            self.at += 1
            return
        last = self.at - 1
        if WRONG in (self.kinds[last], self.kinds[self.at]):
            if self.kinds[self.at] == WRONG:
                raise _Unreadable
            return
        self.diagnostics.report(
            "ST0111",
            Span(self.source, self.starts[last], self.ends[last]),
            f"{after} ends with “;”, found {self.found()}",
            mend="write “;” after this",
        )
        if not self._may_begin_anew():
            raise _Unreadable

    def _may_begin_anew(self) -> bool:
        """Whether what stands here can be a next statement or declaration, the ``;`` before it forgotten."""
        kind = self.kinds[self.at]
        if kind in _SYNCHRONISE:
            return True
        text = self.source.text[self.ends[self.at - 1] : self.starts[self.at]]
        return kind == NAME and ("\n" in text or self.kinds[self.at + 1] in (":=", "(", "."))

    def block_end(self, word: str, opened: Span, name: str) -> None:
        """``END_…``; a vendor's ``;`` after it is taken too."""
        if self.accept(word):
            return
        self.diagnostics.report(
            "ST0112",
            opened,
            f"this {name} is not closed: expected {word}, found {self.found()}",
            mend=f"close it with {word}",
            related=(Related(self.here(), f"{word} is missed at the latest here"),),
        )

    def skip(self, stop: frozenset[str] = _SYNCHRONISE) -> None:
        """After a fault: to behind the next ``;``, or to a word that begins or ends something."""
        kinds = self.kinds
        first = self.at
        while True:
            kind = kinds[self.at]
            if kind == ";":
                self.at += 1
                return
            if kind in stop and (self.at > first or kind in _CLOSERS or kind in _UNIT_STARTS):
                return
            if kind == NAME and self.at > first and self._opens_declaration():
                return
            self.at += 1

    def _opens_declaration(self) -> bool:
        """Whether a soft keyword here begins a unit or a member: it stands first on its line with a name after it."""
        word = self.words[self.at]
        if word not in _SOFT_UNITS and word not in _SOFT_MEMBERS:
            return False
        return self.kinds[self.at + 1] == NAME and self._is_first_on_line()

    def _is_first_on_line(self) -> bool:
        if self.at == 0:
            return True
        return "\n" in self.source.text[self.ends[self.at - 1] : self.starts[self.at]]

    def enter(self) -> None:
        """One level deeper."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.diagnostics.report(
                "ST0114", self.here(), f"more than {MAX_NESTING} levels within each other", mend="split it up"
            )
            self.depth -= 1
            raise _Unreadable

    def count_operator(self) -> None:
        """One more operator in this expression."""
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            self.diagnostics.report(
                "ST0114",
                self.here(),
                f"more than {MAX_OPERATORS} operators in one expression",
                mend="split it up",
            )
            raise _Unreadable

    # ── file, namespaces ─────────────────────────────────────────────────────────────────────────────────
    def file(self) -> ast.File:
        usings, declarations = self.declarations(None)
        whole = Span(self.source, 0, len(self.source.text))
        return ast.File(usings, declarations, whole)

    def declarations(self, closer: str | None) -> tuple[tuple[ast.Using, ...], tuple[ast.Declaration, ...]]:
        """The contents of a file or a namespace."""
        usings: list[ast.Using] = []
        declarations: list[ast.Declaration] = []
        while True:
            kind = self.kinds[self.at]
            if kind in (END, closer):
                return tuple(usings), tuple(declarations)
            if kind == ";":
                self.at += 1
                continue
            before = self.at
            depth = self.depth
            open_blocks = len(self.closers)
            try:
                if kind == NAME and self.words[before] == "USING":
                    usings.append(self.using())
                elif self._is_member_ahead() and declarations and _takes_members(declarations[-1]):
                    # As text exports of vendors write it: a block is closed, then come its methods.
                    last = declarations[-1]
                    assert isinstance(last, ast.Unit)
                    declarations[-1] = replace(last, members=(*last.members, self.member()))
                else:
                    declarations.append(self.declaration())
            except _Unreadable:
                self.depth = depth
                del self.closers[open_blocks:]
                self.skip_to_declaration()
                if self.at == before:
                    self.at += 1

    def skip_to_declaration(self) -> None:
        """After a fault between units: to the next word that can begin one, past a lost END_… ."""
        while self.kinds[self.at] != END:
            kind = self.kinds[self.at]
            if kind in _UNIT_STARTS or kind in ("VAR_GLOBAL", "VAR_CONFIG", "END_NAMESPACE"):
                return
            if kind == NAME and self.words[self.at] in _SOFT_UNITS and self._opens_declaration():
                return
            self.at += 1

    def declaration(self) -> ast.Declaration:
        first = self.at
        kind = self.kinds[first]
        word = self.words[first]
        if kind == "TYPE":
            return self.type_block()
        if kind in ("PROGRAM", "FUNCTION", "FUNCTION_BLOCK"):
            return self.unit(ast.UnitKind(kind))
        if kind in ("VAR_GLOBAL", "VAR_EXTERNAL"):
            return self.variable_block()
        if kind == "VAR_CONFIG":
            return self.instance_settings()
        if kind == NAME and word in ("CLASS", "INTERFACE"):
            self.soft.add(first)
            return self.unit(ast.UnitKind(word))
        if kind == NAME and word == "NAMESPACE":
            return self.namespace()
        if kind == NAME and word == "CONFIGURATION":
            return self.configuration()
        if kind in _CLOSERS:
            self.diagnostics.report(
                "ST0113",
                self.here(),
                f"{kind} closes nothing here",
                mend="remove it, or open what it should close",
            )
            self.at += 1
            self.accept(";")
            raise _Unreadable
        raise self.fail("PROGRAM, FUNCTION, FUNCTION_BLOCK, TYPE or another declaration")

    def using(self) -> ast.Using:
        first = self.at
        self.accept_soft("USING")
        paths = [self.path("the name of a namespace")]
        while self.accept(","):
            paths.append(self.path("the name of a namespace"))
        self.semicolon("USING")
        return ast.Using(tuple(paths), self.span(first))

    def namespace(self) -> ast.Namespace:
        first = self.at
        self.accept_soft("NAMESPACE")
        opened = self.span(first)
        is_internal = False
        if self.is_soft("INTERNAL") and self.kinds[self.at + 1] == NAME:
            is_internal = self.accept_soft("INTERNAL")
        path = self.path("the name of a namespace")
        self.enter()
        usings, declarations = self.declarations("END_NAMESPACE")
        self.depth -= 1
        self.block_end("END_NAMESPACE", opened, "NAMESPACE")
        return ast.Namespace(path, is_internal, usings, declarations, self.span(first))

    # ── types ────────────────────────────────────────────────────────────────────────────────────────────
    def type_block(self) -> ast.TypeBlock:
        of_all = self.pragmas_here()
        first = self.take("TYPE")
        opened = self.span(first)
        types: list[ast.TypeDeclaration] = []
        while self.kinds[self.at] not in ("END_TYPE", END):
            if self.accept(";"):
                continue
            if self.kinds[self.at] in _UNIT_STARTS or self.kinds[self.at] in _CLOSERS:
                break
            before = self.at
            try:
                types.append(self.type_declaration(of_all))
            except _Unreadable:
                self.skip(_SYNCHRONISE)
                if self.at == before:
                    self.at += 1
        self.block_end("END_TYPE", opened, "TYPE")
        return ast.TypeBlock(tuple(types), self.span(first))

    def type_declaration(self, of_all: tuple[ast.Pragma, ...]) -> ast.TypeDeclaration:
        pragmas = (*of_all, *self.pragmas_here())
        first = self.at
        while self.words[self.at] in _ACCESS and self.kinds[self.at] == self.kinds[self.at + 1] == NAME:
            self.accept_soft(self.words[self.at])
        name = self.declared_name("the name of a type", frozenset({":"}))
        extends: ast.NamedType | None = None
        if self.accept_soft("EXTENDS"):
            extends = self.named_type()
        self.take(":", "“:” and the type")
        type_ = self.type_expression(extends, is_declared=True)
        initial = self.start_value() if self.accept(":=") else None
        if isinstance(type_, ast.StructType) and self.kinds[self.at] != ";":
            self.optional_semicolon()
        else:
            self.semicolon("a type")
        return ast.TypeDeclaration(name, type_, initial, pragmas, self.span(first))

    def optional_semicolon(self) -> None:
        """After ``END_IF`` and the like a ``;`` is due; vendors let it go, so that is only a warning."""
        if self.accept(";"):
            return
        last = self.at - 1
        self.diagnostics.report(
            "ST0150",
            Span(self.source, self.starts[last], self.ends[last]),
            f"“;” is missing after {self.words[last]}",
            mend=f"write {self.words[last]};",
        )

    def type_expression(
        self, extends: ast.NamedType | None = None, *, is_declared: bool = False
    ) -> ast.TypeExpression:
        first = self.at
        kind = self.kinds[first]
        if kind == "STRUCT" or (kind == NAME and self.words[first] == "UNION"):
            return self.struct_type(extends)
        if kind == "(":
            return self.enum_type(None)
        if kind == "ARRAY":
            return self.array_type()
        if kind != NAME:
            raise self.fail("a type")
        word = self.words[first]
        if word == "REF_TO" or (word in ("POINTER", "REFERENCE") and self.kinds[first + 1] == "TO"):
            return self.reference_type()
        if word in ("STRING", "WSTRING"):
            return self.string_type()
        return self.type_with_details(is_declared=is_declared)

    def reference_type(self) -> ast.ReferenceType:
        first = self.at
        word = self.words[first]
        self.accept_soft(word)
        if word == "REF_TO":
            kind = ast.ReferenceKind.REF_TO
        else:
            self.take("TO")
            kind = ast.ReferenceKind(f"{word} TO")
        self.enter()
        target = self.type_expression()
        self.depth -= 1
        return ast.ReferenceType(kind, target, self.span(first))

    def string_type(self) -> ast.StringType:
        first = self.at
        is_wide = self.words[first] == "WSTRING"
        self.soft.add(first)
        self.at += 1
        length: ast.Expression | None = None
        if self.kinds[self.at] in ("[", "("):
            closing = "]" if self.kinds[self.at] == "[" else ")"
            self.at += 1
            length = self.expression()
            self.take(closing)
        return ast.StringType(is_wide, length, self.span(first))

    def named_type(self) -> ast.NamedType:
        first = self.at
        return ast.NamedType(self.path("the name of a type"), None, self.span(first))

    def type_with_details(self, *, is_declared: bool) -> ast.TypeExpression:
        """``INT``, ``INT (0..9)``, ``INT (Red, Green)`` where a type is declared, or ``Block (x := 1)`` elsewhere."""
        first = self.at
        named = self.named_type()
        if self.kinds[self.at] != "(":
            return named
        if self._is_range_ahead():
            self.at += 1
            low = self.expression()
            self.take("..")
            high = self.expression()
            self.take(")")
            return ast.SubrangeType(named, ast.Range(low, high, low.span.to(high.span)), self.span(first))
        if is_declared:
            return self.enum_type(named)
        arguments = self.arguments()
        return ast.NamedType(named.path, arguments, self.span(first))

    def _is_range_ahead(self) -> bool:
        """Whether the parentheses that open here hold ``low..high``."""
        depth = 0
        at = self.at
        while True:
            kind = self.kinds[at]
            if kind in ("(", "["):
                depth += 1
            elif kind in (")", "]"):
                depth -= 1
                if depth == 0:
                    return False
            elif kind == ".." and depth == 1:
                return True
            elif kind in (";", END, ":=") or kind in _CLOSERS:
                return False
            at += 1

    def array_type(self) -> ast.ArrayType:
        first = self.take("ARRAY")
        self.take("[", "“[” and the bounds")
        ranges: list[ast.Range | None] = []
        while True:
            if self.accept("*"):
                ranges.append(None)
            else:
                low = self.expression()
                self.take("..", "“..” between the bounds")
                high = self.expression()
                ranges.append(ast.Range(low, high, low.span.to(high.span)))
            if not self.accept(","):
                break
        self.take("]")
        self.take("OF")
        self.enter()
        element = self.type_expression()
        starts: list[tuple[ast.Argument, ...]] = []
        if isinstance(element, ast.NamedType) and self.kinds[self.at] == "[":
            self.at += 1
            starts = self.separated(self.arguments)
            self.take("]", "“,” or “]”")
        self.depth -= 1
        return ast.ArrayType(tuple(ranges), element, self.span(first), tuple(starts))

    def enum_type(self, base: ast.NamedType | None) -> ast.EnumType:
        start = base.span if base is not None else self.here()
        self.take("(")
        values: list[ast.EnumValue] = []
        while True:
            at = self.at
            name = self.name("the name of a value")
            value = self.expression() if self.accept(":=") else None
            values.append(ast.EnumValue(name, value, self.span(at)))
            if not self.accept(","):
                break
            if self.kinds[self.at] == ")":
                break
        self.take(")")
        if base is None and self.kinds[self.at] == NAME:
            base = self.named_type()
        end = Span(self.source, self.starts[self.at - 1], self.ends[self.at - 1])
        return ast.EnumType(tuple(values), base, start.to(end))

    def struct_type(self, extends: ast.NamedType | None) -> ast.StructType:
        first = self.at
        opened = self.here()
        is_overlapped = not self.accept("STRUCT")
        if is_overlapped:
            self.accept_soft("UNION")
        elif self.is_soft("OVERLAP") and self.kinds[self.at + 1] != ":":
            is_overlapped = self.accept_soft("OVERLAP")
        closing = "END_STRUCT" if self.kinds[first] == "STRUCT" else "END_UNION"
        if self.is_soft("EXTENDS") and self.kinds[self.at + 1] == NAME and self.accept_soft("EXTENDS"):
            extends = self.named_type()
        self.enter()
        variables = self.variables_until(closing)
        self.depth -= 1
        self.block_end(closing, opened, closing.removeprefix("END_"))
        return ast.StructType(extends, variables, is_overlapped, self.span(first))

    # ── variables ────────────────────────────────────────────────────────────────────────────────────────
    def variable_block(self) -> ast.VariableBlock:
        pragmas = self.pragmas_here()
        first = self.at
        section = self.kinds[first]
        self.at += 1
        opened = self.span(first)
        qualifiers: set[str] = set()
        while (
            self.words[self.at] in _BLOCK_QUALIFIERS
            and self.kinds[self.at] == NAME
            and self.kinds[self.at + 1] not in (":", ",")
        ):
            qualifiers.add(self.words[self.at])
            self.accept_soft(self.words[self.at])
        self._check_qualifiers(qualifiers, opened)
        variables = self.variables_until("END_VAR")
        self.block_end("END_VAR", opened, section)
        self.accept(";")
        return ast.VariableBlock(section, frozenset(qualifiers), variables, pragmas, self.span(first))

    def _check_qualifiers(self, qualifiers: set[str], opened: Span) -> None:
        if len(qualifiers & _ACCESS) > 1 or {"RETAIN", "NON_RETAIN"} <= qualifiers:
            both = " and ".join(sorted(qualifiers & (_ACCESS | {"RETAIN", "NON_RETAIN"})))
            self.diagnostics.report(
                "ST0119", opened, f"{both} do not go together", mend="keep one of them, or make two blocks"
            )

    def variables_until(self, closing: str) -> tuple[ast.VariableDeclaration, ...]:
        variables: list[ast.VariableDeclaration] = []
        kinds = self.kinds
        while True:
            kind = kinds[self.at]
            if kind in (closing, END):
                break
            if kind == ";":
                self.at += 1
                continue
            if (kind in _CLOSERS or kind in _UNIT_STARTS or kind in VARIABLE_SECTIONS) and kinds[
                self.at + 1
            ] not in (
                ":",
                ",",
            ):
                break
            if kind in _STATEMENT_STARTS and kinds[self.at + 1] not in (":", ","):
                break
            before = self.at
            try:
                variables.append(self.variable())
            except _Unreadable:
                self.skip(_SYNCHRONISE)
                if self.at == before:
                    self.at += 1
        return tuple(variables)

    def variable(self) -> ast.VariableDeclaration:
        pragmas = self.pragmas_here()
        first = self.at
        follow = frozenset({":", ",", ADDRESS})
        names = [self.declared_name("the name of a variable", follow)]
        while self.accept(","):
            names.append(self.declared_name("the name of a variable", follow))
        location: ast.DirectVariable | None = None
        if self.is_soft("AT") and self.kinds[self.at + 1] == ADDRESS:
            self.accept_soft("AT")
            location = self.direct_variable()
        self.take(":", "“:” and the type")
        type_ = self.type_expression()
        edge: str | None = None
        if self.is_soft("R_EDGE") or self.is_soft("F_EDGE"):
            edge = self.words[self.at]
            self.accept_soft(edge)
        initial: ast.Expression | None = None
        if self.kinds[self.at] == ":=":
            self.at += 1
            initial = self.start_value()
            if self.kinds[self.at] == "," and isinstance(type_, ast.ArrayType):
                initial = self.unbracketed_array(initial)
        elif self.is_soft("REF") and self.kinds[self.at + 1] == "=":
            self.accept_soft("REF")
            self.at += 1
            target = self.expression()
            initial = ast.Call(
                ast.NameUse(ast.Name("REF", "REF", target.span), target.span),
                (ast.Argument(None, target, is_output=False, is_negated=False, span=target.span),),
                target.span,
            )
        if isinstance(type_, ast.StructType) and self.kinds[self.at] != ";":
            self.optional_semicolon()
        else:
            self.semicolon("a declaration")
        return ast.VariableDeclaration(
            tuple(names), location, type_, edge, initial, pragmas, self.span(first)
        )

    def unbracketed_array(self, head: ast.Expression) -> ast.ArrayInitial:
        """``:= 1, 2, 3``, as older tools wrote it."""
        items = [head]
        while self.accept(","):
            items.append(self.start_value())
        span = items[0].span.to(items[-1].span)
        self.diagnostics.report(
            "ST0151", span, "an array's initial values stand in brackets", mend="write [ and ] around them"
        )
        return ast.ArrayInitial(tuple(items), span)

    def direct_variable(self) -> ast.DirectVariable:
        at = self.take(ADDRESS, "an address such as %IX0.0")
        address = self.words[at]
        span = self.span(at)
        letters = address[1:].rstrip("0123456789.*")
        rest = address[1 + len(letters) :]
        if (
            letters[:1] not in ("I", "Q", "M")
            or letters[1:] not in ("", "X", "B", "W", "D", "L")
            or not rest
            or ("*" in rest and rest != "*")
        ):
            self.diagnostics.report(
                "ST0118",
                span,
                f"{address} is no address",
                mend="write %, then I, Q or M, then X, B, W, D or L, then the number: %IX0.0, %QW3, %M*",
            )
        return ast.DirectVariable(address, span)

    def start_value(self) -> ast.Expression:
        """The initial value of a declaration."""
        self.operators = 0
        return self.initial()

    def initial(self) -> ast.Expression:
        """An initial value: an expression, ``[…]``, ``(field := …)`` or ``n(…)``."""
        kind = self.kinds[self.at]
        if kind == "[":
            return self.array_initial()
        if kind == "(" and self.kinds[self.at + 1] == NAME and self.kinds[self.at + 2] == ":=":
            return self.struct_initial()
        if kind == "(" and self.kinds[self.at + 1] == "[":
            # ([1, 2]) and the doubled parentheses around a structure in an array: a vendor's habit
            first = self.at
            self.at += 1
            inner = self.array_initial()
            self.take(")")
            return ast.Parenthesised(inner, self.span(first))
        first = self.at
        value = self.nested()
        if self.kinds[self.at] == "(" and isinstance(value, ast.IntegerLiteral):
            self.at += 1
            self.enter()
            values = [] if self.kinds[self.at] == ")" else self.separated(self.initial)
            self.take(")")
            self.depth -= 1
            return ast.Repeated(value, tuple(values), self.span(first))
        return value

    def array_initial(self) -> ast.ArrayInitial:
        first = self.take("[")
        self.enter()
        items = [] if self.kinds[self.at] == "]" else self.separated(self.initial)
        self.take("]", "“,” or “]”")
        self.depth -= 1
        return ast.ArrayInitial(tuple(items), self.span(first))

    def struct_initial(self) -> ast.StructInitial:
        first = self.take("(")
        self.enter()
        fields = self.separated(self.field_initial)
        self.take(")", "“,” or “)”")
        self.depth -= 1
        return ast.StructInitial(tuple(fields), self.span(first))

    def field_initial(self) -> ast.FieldInitial:
        first = self.at
        name = self.name("the name of a field")
        self.take(":=")
        value = self.initial()
        return ast.FieldInitial(name, value, self.span(first))

    # ── units ────────────────────────────────────────────────────────────────────────────────────────────
    def modifiers(self) -> frozenset[str]:
        """``PUBLIC ABSTRACT …`` before a name."""
        found: set[str] = set()
        while (
            self.words[self.at] in _UNIT_MODIFIERS and self.kinds[self.at] == self.kinds[self.at + 1] == NAME
        ):
            found.add(self.words[self.at])
            self.accept_soft(self.words[self.at])
        return frozenset(found)

    def unit(self, kind: ast.UnitKind) -> ast.Unit:
        pragmas = self.pragmas_here()
        first = self.at
        self.at += 1
        opened = self.span(first)
        modifiers = self.modifiers()
        if len(modifiers & _ACCESS) > 1 or {"ABSTRACT", "FINAL"} <= modifiers:
            self.diagnostics.report(
                "ST0119",
                opened,
                f"{' and '.join(sorted(modifiers))} do not go together",
                mend="keep one of them",
            )
        name = self.declared_name(f"the {kind} name", frozenset({":", NAME, *VARIABLE_SECTIONS}))
        usings: list[ast.Using] = []
        extends: list[ast.NamedType] = []
        implements: list[ast.NamedType] = []
        result: ast.TypeExpression | None = None
        if self.accept(":"):
            result = self.type_expression()
            self.accept(";")
        while True:
            if self.accept_soft("EXTENDS"):
                self.type_list(extends)
            elif self.accept_soft("IMPLEMENTS"):
                self.type_list(implements)
            elif self.is_soft("USING") and self.kinds[self.at + 1] == NAME:
                usings.append(self.using())
            else:
                break
        closing = f"END_{kind}"
        blocks, members, body = self.unit_contents(closing, is_method=kind is ast.UnitKind.METHOD)
        self.block_end(closing, Span(self.source, opened.start, name.span.end), str(kind))
        self.accept(";")
        return ast.Unit(
            kind,
            name,
            modifiers,
            tuple(extends),
            tuple(implements),
            result,
            tuple(usings),
            blocks,
            members,
            body,
            pragmas,
            self.span(first),
        )

    def type_list(self, types: list[ast.NamedType]) -> None:
        """``A, B.C``."""
        while True:
            first = self.at
            types.append(ast.NamedType(self.path("the name of a type"), None, self.span(first)))
            if not self.accept(","):
                return

    def unit_contents(
        self, closing: str, *, is_method: bool
    ) -> tuple[tuple[ast.VariableBlock, ...], tuple[ast.Unit | ast.Property | ast.Action, ...], ast.Body]:
        """Variables, members and the body, in any order that vendors write them."""
        blocks: list[ast.VariableBlock] = []
        members: list[ast.Unit | ast.Property | ast.Action] = []
        statements: list[ast.Statement] = []
        charts: list[ast.Chart] = []
        self.closers.append(closing)
        while True:
            kind = self.kinds[self.at]
            if kind in VARIABLE_SECTIONS:
                blocks.append(self.variable_block())
            elif not is_method and self._is_member_ahead():
                before = self.at
                try:
                    members.append(self.member())
                except _Unreadable:
                    self.skip()
                    if self.at == before:
                        self.at += 1
            elif self._is_chart_ahead():
                charts.append(self.chart(members))
            else:
                before = self.at
                self.statements(statements)
                if self.at == before:
                    break
        self.closers.pop()
        if charts:
            return tuple(blocks), tuple(members), self.joined(charts, statements)
        return tuple(blocks), tuple(members), tuple(statements)

    def _is_member_ahead(self) -> bool:
        return (
            self.kinds[self.at] == NAME
            and self.words[self.at] in _SOFT_MEMBERS
            and self.kinds[self.at + 1] == NAME
            and self.kinds[self.at + 2] != "="  # method S= …, a variable of that name
        )

    def _is_chart_ahead(self) -> bool:
        at = self.at
        return (
            self.kinds[at] == NAME
            and self.words[at] in _CHART_PARTS
            and (
                self.kinds[at + 1] == NAME
                or (
                    self.words[at] == "TRANSITION"
                    and self.kinds[at + 1] == "("
                    and self.words[at + 2] == "PRIORITY"
                )
            )
        )

    def member(self) -> ast.Unit | ast.Property | ast.Action:
        word = self.words[self.at]
        self.soft.add(self.at)
        if word == "METHOD":
            return self.unit(ast.UnitKind.METHOD)
        if word == "PROPERTY":
            return self.property()
        return self.action()

    def property(self) -> ast.Property:
        pragmas = self.pragmas_here()
        first = self.at
        self.accept_soft("PROPERTY")
        opened = self.span(first)
        modifiers = self.modifiers()
        name = self.name("the name of a property")
        self.take(":", "“:” and the type")
        type_ = self.type_expression()
        self.accept(";")
        accessors: dict[str, ast.Accessor] = {}
        while self.kinds[self.at] == NAME and self.words[self.at] in ("GET", "SET"):
            word = self.words[self.at]
            at = self.at
            self.accept_soft(word)
            opened_accessor = self.span(at)
            accessor_modifiers = frozenset[str]()
            if self.words[self.at] in _UNIT_MODIFIERS and self.kinds[self.at] == NAME:
                accessor_modifiers = frozenset({self.words[self.at]})
                self.accept_soft(self.words[self.at])
            blocks, _, body = self.unit_contents(f"END_{word}", is_method=True)
            self.block_end(f"END_{word}", opened_accessor, word)
            self.accept(";")
            accessors[word] = ast.Accessor(accessor_modifiers, blocks, body, self.span(at))
        self.block_end("END_PROPERTY", opened, "PROPERTY")
        self.accept(";")
        return ast.Property(
            name, modifiers, type_, accessors.get("GET"), accessors.get("SET"), pragmas, self.span(first)
        )

    def action(self) -> ast.Action:
        first = self.at
        self.accept_soft("ACTION")
        opened = self.span(first)
        name = self.name("the name of an action")
        self.accept(":")
        _, _, body = self.unit_contents("END_ACTION", is_method=True)
        self.block_end("END_ACTION", opened, "ACTION")
        self.accept(";")
        return ast.Action(name, body, self.span(first))

    # ── sequential function chart ────────────────────────────────────────────────────────────────────────
    def chart(self, members: list[ast.Unit | ast.Property | ast.Action]) -> ast.Chart:
        first = self.at
        steps: list[ast.Step] = []
        transitions: list[ast.Transition] = []
        while self.kinds[self.at] == NAME:
            word = self.words[self.at]
            before = self.at
            try:
                if word in ("INITIAL_STEP", "STEP"):
                    steps.append(self.step())
                elif word == "TRANSITION":
                    transitions.append(self.transition())
                elif word == "ACTION":
                    members.append(self.action())
                else:
                    break
            except _Unreadable:
                self.skip()
                if self.at == before:
                    self.at += 1
        return ast.Chart(tuple(steps), tuple(transitions), self.span(first))

    def joined(self, charts: list[ast.Chart], statements: list[ast.Statement]) -> ast.Chart:
        """The networks of one body; a body is a chart or statements (6.7.1)."""
        stray = next((one for one in statements if not isinstance(one, ast.Empty)), None)
        if stray is not None:
            self.diagnostics.report(
                "ST0605",
                stray.span,
                "this body is a chart: a statement beside the steps is never run",
                mend="put it into an ACTION of a step",
            )
        steps = tuple(step for chart in charts for step in chart.steps)
        transitions = tuple(one for chart in charts for one in chart.transitions)
        return ast.Chart(steps, transitions, charts[0].span)

    def step(self) -> ast.Step:
        first = self.at
        is_initial = self.words[first] == "INITIAL_STEP"
        self.accept_soft(self.words[first])
        opened = self.span(first)
        name = self.name("the name of a step")
        self.accept(":")
        uses: list[ast.ActionUse] = []
        while self.kinds[self.at] == NAME:
            uses.append(self.action_use())
        self.block_end("END_STEP", opened, "STEP")
        self.accept(";")
        return ast.Step(name, is_initial, tuple(uses), self.span(first))

    def action_use(self) -> ast.ActionUse:
        first = self.at
        name = self.name("the name of an action")
        qualifier = "N"
        time: ast.Expression | None = None
        indicators: list[ast.Name] = []
        if self.accept("("):
            if self.kinds[self.at] in (",", ")"):
                pass  # the null qualifier, which is N
            elif self.kinds[self.at] == NAME and self.words[self.at] in QUALIFIERS_OF_ACTIONS:
                qualifier = self.words[self.at]
                self.accept_soft(qualifier)
                if qualifier in ("L", "D", "SD", "DS", "SL"):
                    self.take(",", "“,” and the duration")
                    time = self.expression()
            else:
                raise self.fail("one of the qualifiers " + ", ".join(sorted(QUALIFIERS_OF_ACTIONS)))
            while self.accept(","):
                indicators.append(self.name("the name of an indicator"))
            self.take(")")
        self.semicolon("an action of a step")
        return ast.ActionUse(name, qualifier, time, tuple(indicators), self.span(first))

    def transition(self) -> ast.Transition:
        first = self.at
        self.accept_soft("TRANSITION")
        opened = self.span(first)
        name: ast.Name | None = None
        if self.kinds[self.at] == NAME and not self.is_soft("FROM"):
            name = self.name()
        priority: ast.Expression | None = None
        if self.accept("("):
            if not self.accept_soft("PRIORITY"):
                raise self.fail("PRIORITY")
            self.take(":=")
            priority = self.expression()
            self.take(")")
        if not self.accept_soft("FROM"):
            raise self.fail("FROM")
        sources = self.step_names()
        self.take("TO")
        targets = self.step_names()
        if self.accept(":"):
            raise self.fail("“:=” and the condition in Structured Text")
        self.take(":=", "“:=” and the condition")
        condition = self.expression()
        self.semicolon("the condition")
        self.block_end("END_TRANSITION", opened, "TRANSITION")
        self.accept(";")
        return ast.Transition(name, priority, sources, targets, condition, self.span(first))

    def step_names(self) -> tuple[ast.Name, ...]:
        """One step, or several in parentheses."""
        if not self.accept("("):
            return (self.name("the name of a step"),)
        names = [self.name("the name of a step")]
        while self.accept(","):
            names.append(self.name("the name of a step"))
        self.take(")")
        return tuple(names)

    # ── configurations ───────────────────────────────────────────────────────────────────────────────────
    def configuration(self) -> ast.Configuration:
        first = self.at
        self.accept_soft("CONFIGURATION")
        opened = self.span(first)
        name = self.name("the name of a configuration")
        blocks: list[ast.VariableBlock] = []
        resources: list[ast.Resource] = []
        access: list[ast.AccessPaths] = []
        settings: list[ast.InstanceSettings] = []
        while True:
            kind = self.kinds[self.at]
            if kind == "VAR_ACCESS":
                access.append(self.access_paths())
            elif kind == "VAR_CONFIG":
                settings.append(self.instance_settings())
            elif kind in VARIABLE_SECTIONS:
                blocks.append(self.variable_block())
            elif self.is_soft("RESOURCE"):
                resources.append(self.resource())
            elif self.is_soft("TASK") or kind == "PROGRAM":
                resources.append(self.resource_contents(None, None, None))
            else:
                break
        self.block_end("END_CONFIGURATION", opened, "CONFIGURATION")
        self.accept(";")
        return ast.Configuration(
            name, tuple(blocks), tuple(resources), tuple(access), tuple(settings), self.span(first)
        )

    def resource(self) -> ast.Resource:
        first = self.at
        self.accept_soft("RESOURCE")
        opened = self.span(first)
        name = self.name("the name of a resource")
        type_: ast.Name | None = None
        if self.accept_soft("ON"):
            type_ = self.name("the type of the resource")
        return self.resource_contents(name, type_, opened)

    def resource_contents(
        self, name: ast.Name | None, type_: ast.Name | None, opened: Span | None
    ) -> ast.Resource:
        first = self.at
        blocks: list[ast.VariableBlock] = []
        tasks: list[ast.Task] = []
        programs: list[ast.ProgramInstance] = []
        while True:
            kind = self.kinds[self.at]
            if kind in VARIABLE_SECTIONS and kind not in ("VAR_ACCESS", "VAR_CONFIG"):
                blocks.append(self.variable_block())
            elif self.is_soft("TASK"):
                tasks.append(self.task())
            elif kind == "PROGRAM":
                programs.append(self.program_instance())
            else:
                break
        if opened is not None:
            self.block_end("END_RESOURCE", opened, "RESOURCE")
            self.accept(";")
        span = self.span(first) if opened is None else opened.to(self.span(first))
        return ast.Resource(name, type_, tuple(blocks), tuple(tasks), tuple(programs), span)

    def task(self) -> ast.Task:
        first = self.at
        self.accept_soft("TASK")
        name = self.name("the name of a task")
        settings = self.arguments()
        self.semicolon("a task")
        return ast.Task(name, settings, self.span(first))

    def program_instance(self) -> ast.ProgramInstance:
        first = self.take("PROGRAM")
        qualifiers: set[str] = set()
        while self.words[self.at] in ("RETAIN", "NON_RETAIN") and self.kinds[self.at + 1] == NAME:
            qualifiers.add(self.words[self.at])
            self.accept_soft(self.words[self.at])
        name = self.name("the name of a program instance")
        task = self.name("the name of a task") if self.accept_soft("WITH") else None
        self.take(":", "“:” and the program")
        at = self.at
        type_ = ast.NamedType(self.path("the name of a program"), None, self.span(at))
        connections: list[ast.Argument | ast.TaskOfBlock] = []
        if self.accept("(") and not self.accept(")"):
            connections.append(self.connection())
            while self.accept(","):
                connections.append(self.connection())
            self.take(")", "“,” or “)”")
        self.semicolon("a program instance")
        return ast.ProgramInstance(
            name, frozenset(qualifiers), task, type_, tuple(connections), self.span(first)
        )

    def connection(self) -> ast.Argument | ast.TaskOfBlock:
        first = self.at
        at = first
        while self.kinds[at] == NAME and self.kinds[at + 1] == ".":
            at += 2
        if self.kinds[at] == NAME and self.words[at + 1] == "WITH" and self.kinds[at + 1] == NAME:
            path = self.path("the name of a block")
            self.accept_soft("WITH")
            return ast.TaskOfBlock(path, self.name("the name of a task"), self.span(first))
        return self.argument()

    def access_paths(self) -> ast.AccessPaths:
        first = self.take("VAR_ACCESS")
        opened = self.span(first)
        paths: list[ast.AccessPath] = []
        while self.kinds[self.at] == NAME:
            at = self.at
            name = self.name()
            self.take(":")
            path = self.expression()
            self.take(":", "“:” and the type")
            type_ = self.type_expression()
            direction: str | None = None
            if self.is_soft("READ_WRITE") or self.is_soft("READ_ONLY"):
                direction = self.words[self.at]
                self.accept_soft(direction)
            self.semicolon("an access path")
            paths.append(ast.AccessPath(name, path, type_, direction, self.span(at)))
        self.block_end("END_VAR", opened, "VAR_ACCESS")
        self.accept(";")
        return ast.AccessPaths(tuple(paths), self.span(first))

    def instance_settings(self) -> ast.InstanceSettings:
        first = self.take("VAR_CONFIG")
        opened = self.span(first)
        settings: list[ast.InstanceSetting] = []
        while self.kinds[self.at] == NAME:
            at = self.at
            path = self.path("the path of an instance's variable")
            location: ast.DirectVariable | None = None
            if self.accept_soft("AT"):
                location = self.direct_variable()
            self.take(":", "“:” and the type")
            type_ = self.type_expression()
            initial = self.start_value() if self.accept(":=") else None
            self.semicolon("a setting")
            settings.append(ast.InstanceSetting(path, location, type_, initial, self.span(at)))
        self.block_end("END_VAR", opened, "VAR_CONFIG")
        self.accept(";")
        return ast.InstanceSettings(tuple(settings), self.span(first))

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────
    def statements(self, into: list[ast.Statement], *, in_case: bool = False) -> None:
        """Statements up to a word that ends their list; words that end nothing open are reported and passed."""
        kinds = self.kinds
        while True:
            kind = kinds[self.at]
            if kind == NAME:
                if self._is_member_ahead() or self._is_chart_ahead() or self._opens_declaration():
                    return
                if in_case and self._is_label_ahead():
                    return
            elif kind == ";":
                into.append(ast.Empty(self.here()))
                self.at += 1
                continue
            elif kind in self.stolen:
                pass
            elif kind in _CLOSERS:
                if not self._is_stray(kind) or (
                    kind in _STATEMENT_ENDS and self.closers[-1] in _STATEMENT_ENDS
                ):
                    return
                opener = _OPENERS.get(kind)
                self.diagnostics.report(
                    "ST0113",
                    self.here(),
                    f"{kind} closes nothing here" if opener is None else f"{kind} without its {opener}",
                    mend="remove it, or open what it should close",
                )
                self.at += 1
                self.accept(";")
                continue
            elif kind in _UNIT_STARTS or kind in VARIABLE_SECTIONS or (in_case and self._is_label_ahead()):
                return
            before = self.at
            depth = self.depth
            open_blocks = len(self.closers)
            try:
                into.append(self.statement())
            except _Unreadable:
                self.depth = depth
                del self.closers[open_blocks:]
                self.skip()
                if self.at == before:
                    self.at += 1

    def _is_stray(self, kind: str) -> bool:
        """Whether no open block waits for this word, and so it can not be the end of one."""
        if kind == END:
            return False
        if kind in ("ELSE", "ELSIF"):
            return not any(closer in ("END_IF", "END_CASE") for closer in self.closers)
        if kind == "UNTIL":
            return "END_REPEAT" not in self.closers
        if kind not in _OPENERS:
            return not (kind in self.closers or kind in ("END_NAMESPACE", f"END_{kind}"))
        return kind not in self.closers

    def _is_label_ahead(self) -> bool:
        """Whether ``1, 2..5, Red:`` stands here."""
        kinds = self.kinds
        at = self.at
        while kinds[at] in _LABEL_TOKENS:
            at += 1
        return kinds[at] == ":" and at > self.at

    def statement(self) -> ast.Statement:
        first = self.at
        kind = self.kinds[first]
        reader = _STATEMENTS.get(kind)
        if reader is not None and kind not in self.stolen:
            self.enter()
            statement = reader(self)
            self.depth -= 1
            return statement
        self.operators = 0
        target = self.postfix()
        kind = self.kinds[self.at]
        if kind == ":=" or kind == "?=":
            self.at += 1
            value = self.expression()
            further: list[ast.Expression] = []
            while kind == ":=" and self.kinds[self.at] == ":=":
                further.append(value)
                self.at += 1
                value = self.expression()
            if further:
                self.diagnostics.report(
                    "ST0812",
                    self.span(first),
                    "the standard has one assignment a statement",
                    mend="write two statements",
                )
            self.semicolon("an assignment")
            return ast.Assign(target, kind, value, self.span(first), tuple(further))
        if kind == NAME and self.kinds[self.at + 1] == "=" and self.words[self.at] in ("S", "R", "REF"):
            if self.ends[self.at] == self.starts[self.at + 1]:
                operator = self.words[self.at] + "="
                self.accept_soft(self.words[self.at])
                self.at += 1
                value = self.expression()
                self.semicolon("an assignment")
                return ast.Assign(target, operator, value, self.span(first))
        elif kind == "=":
            return self.mistaken_assignment(target, first)
        elif kind == ":":
            raise self.fail("“:=”")
        if isinstance(target, ast.Call):
            self.semicolon("a call")
            return ast.Invoke(target, self.span(first))
        if kind in _PRECEDENCE or kind == ";" or self._may_begin_anew():
            if kind in _PRECEDENCE:
                self.at = first
                self.expression()
                if self.kinds[self.at] == ":=":
                    self.diagnostics.report(
                        "ST0110", self.span(first), "expected a variable left of :=, found an expression"
                    )
                    raise _Unreadable
            if isinstance(target, ast.Wrong):
                raise _Unreadable
            self.diagnostics.report(
                "ST0117",
                self.span(first),
                "this statement does nothing",
                mend="assign the value with :=, or call it with ()",
            )
            self.semicolon("a statement")
            return ast.Empty(self.span(first))
        raise self.fail("“:=” or “(”")

    def mistaken_assignment(self, target: ast.Expression, first: int) -> ast.Statement:
        """``a = b;`` where ``a := b;`` was meant."""
        span = self.here()
        self.at += 1
        if self.kinds[self.at] == "=":
            self.at += 1
        value = self.expression()
        self.diagnostics.report("ST0115", span, "= compares; an assignment is written :=", mend="write :=")
        self.semicolon("an assignment")
        return ast.Assign(target, ":=", value, self.span(first))

    def condition(self, follow: str) -> ast.Expression:
        """A condition up to ``THEN``, ``DO``…; ``:=`` in it is taken for ``=`` after saying so."""
        condition = self.expression()
        if self.kinds[self.at] == ":=":
            self.diagnostics.report(
                "ST0116", self.here(), ":= assigns; a comparison is written =", mend="write ="
            )
            operator = self.here()
            self.at += 1
            right = self.expression()
            condition = ast.Binary("=", condition, right, operator, condition.span.to(right.span))
        self.take(follow)
        return condition

    def body(self, closer: str) -> tuple[ast.Statement, ...]:
        """The statements of a block."""
        statements: list[ast.Statement] = []
        self.closers.append(closer)
        self.statements(statements)
        self.closers.pop()
        return tuple(statements)

    def if_statement(self) -> ast.Statement:
        first = self.take("IF")
        opened = self.span(first)
        branches: list[ast.Branch] = []
        otherwise: tuple[ast.Statement, ...] | None = None
        at = first
        while True:
            condition = self.condition("THEN")
            body = self.body("END_IF")
            branches.append(ast.Branch(condition, body, self.span(at)))
            at = self.at
            if self.accept("ELSIF"):
                continue
            if self.kinds[at] == "ELSE" and self.kinds[at + 1] == "IF" and not self._else_if_is_nested():
                self.diagnostics.report(
                    "ST0110", self.here(), "expected ELSIF, found ELSE IF", mend="write ELSIF"
                )
                self.at += 2
                continue
            break
        if self.accept("ELSE"):
            otherwise = self.body("END_IF")
            while self.kinds[self.at] in ("ELSIF", "ELSE") and not {"END_IF", "END_CASE"} & set(self.closers):
                self.diagnostics.report(
                    "ST0113", self.here(), f"{self.kinds[self.at]} after ELSE", mend="move it before ELSE"
                )
                self.at += 1
                if self.kinds[self.at - 1] == "ELSIF":
                    self.condition("THEN")
                otherwise += self.body("END_IF")
        self.end_of_statement("END_IF", opened, "IF")
        return ast.If(tuple(branches), otherwise, self.span(first))

    def _else_if_is_nested(self) -> bool:
        """Whether the ``IF`` of ``ELSE IF`` has an ``END_IF`` of its own, counted to the end of the unit."""
        depth = 0
        at = self.at + 1
        waiting = self.closers.count("END_IF") + 1
        while self.kinds[at] not in _UNIT_STARTS and self.kinds[at] != END:
            kind = self.kinds[at]
            if kind == "IF":
                depth += 1
            elif kind == "END_IF":
                depth -= 1
                if -depth >= waiting:
                    return True
            at += 1
        return False

    def end_of_statement(self, closer: str, opened: Span, name: str) -> None:
        """``END_IF;``, the semicolon only warned about."""
        if self.kinds[self.at] == closer:
            self.at += 1
            self.optional_semicolon()
        elif self.kinds[self.at] in _STATEMENT_ENDS and self._is_stray(self.kinds[self.at]):
            self.diagnostics.report(
                "ST0112",
                self.here(),
                f"this {name} ends with {closer}, not {self.kinds[self.at]}",
                mend=f"write {closer}",
                related=(Related(opened, f"the {name} begins here"),),
            )
            self.at += 1
            self.accept(";")
        else:
            self.block_end(closer, opened, name)

    def case_statement(self) -> ast.Statement:
        first = self.take("CASE")
        opened = self.span(first)
        selector = self.condition("OF")
        branches: list[ast.CaseBranch] = []
        otherwise: tuple[ast.Statement, ...] | None = None
        self.closers.append("END_CASE")
        while self.kinds[self.at] not in _CLOSERS and self.kinds[self.at] not in _UNIT_STARTS:
            if self.accept(";"):
                continue
            at = self.at
            labels = [self.label()]
            while self.accept(","):
                labels.append(self.label())
            self.take(":", "“:” after the labels")
            statements: list[ast.Statement] = []
            self.statements(statements, in_case=True)
            branches.append(ast.CaseBranch(tuple(labels), tuple(statements), self.span(at)))
        if self.accept("ELSE"):
            self.accept(":")
            statements = []
            self.statements(statements)
            otherwise = tuple(statements)
        self.closers.pop()
        self.end_of_statement("END_CASE", opened, "CASE")
        return ast.Case(selector, tuple(branches), otherwise, self.span(first))

    def label(self) -> ast.Expression | ast.Range:
        low = self.expression()
        if self.accept(".."):
            high = self.expression()
            return ast.Range(low, high, low.span.to(high.span))
        return low

    def for_statement(self) -> ast.Statement:
        first = self.take("FOR")
        opened = self.span(first)
        variable = self.postfix()
        if self.kinds[self.at] == "=":
            self.diagnostics.report(
                "ST0115", self.here(), "= compares; an assignment is written :=", mend="write :="
            )
            self.at += 1
        else:
            self.take(":=")
        start = self.expression()
        self.take("TO")
        stop = self.expression()
        step = self.expression() if self.accept("BY") else None
        self.take("DO")
        body = self.body("END_FOR")
        self.end_of_statement("END_FOR", opened, "FOR")
        return ast.For(variable, start, stop, step, body, self.span(first))

    def while_statement(self) -> ast.Statement:
        first = self.take("WHILE")
        opened = self.span(first)
        condition = self.condition("DO")
        body = self.body("END_WHILE")
        self.end_of_statement("END_WHILE", opened, "WHILE")
        return ast.While(condition, body, self.span(first))

    def repeat_statement(self) -> ast.Statement:
        first = self.take("REPEAT")
        opened = self.span(first)
        body = self.body("END_REPEAT")
        if not self.accept("UNTIL"):
            self.block_end("UNTIL", opened, "REPEAT")
            if self.accept("END_REPEAT"):
                self.accept(";")
            span = self.span(first)
            return ast.Repeat(body, ast.Wrong(span), span)
        condition = self.expression()
        self.accept(";")
        self.end_of_statement("END_REPEAT", opened, "REPEAT")
        return ast.Repeat(body, condition, self.span(first))

    def exit_statement(self) -> ast.Statement:
        first = self.take("EXIT")
        self.semicolon("EXIT")
        return ast.Exit(self.span(first))

    def continue_statement(self) -> ast.Statement:
        first = self.take("CONTINUE")
        self.semicolon("CONTINUE")
        return ast.Continue(self.span(first))

    def return_statement(self) -> ast.Statement:
        first = self.take("RETURN")
        condition: ast.Expression | None = None
        if self.accept("("):
            condition = self.expression()
            self.take(")")
        self.semicolon("RETURN")
        return ast.Return(condition, self.span(first))

    # ── expressions ──────────────────────────────────────────────────────────────────────────────────────
    def expression(self) -> ast.Expression:
        self.operators = 0
        return self.binary(1)

    def binary(self, lowest: int) -> ast.Expression:
        left = self.unary()
        precedences = _PRECEDENCE
        while True:
            kind = self.kinds[self.at]
            precedence = precedences.get(kind, 0)
            if precedence < lowest:
                return left
            operator = self.here()
            self.count_operator()
            self.at += 1
            if kind == "=" and self.kinds[self.at] == "=":
                self.diagnostics.report("ST0110", self.here(), "expected one =, found ==", mend="write =")
                self.at += 1
            right = self.binary(precedence + 1)
            left = ast.Binary(
                "AND" if kind == "&" else kind,
                left,
                right,
                operator,
                Span(self.source, left.span.start, right.span.end),
            )

    def unary(self) -> ast.Expression:
        kind = self.kinds[self.at]
        if kind == "-" or kind == "NOT" or kind == "+":
            first = self.at
            self.at += 1
            self.enter()
            operand = self.unary()
            self.depth -= 1
            return ast.Unary(kind, operand, self.span(first))
        return self.postfix()

    def postfix(self) -> ast.Expression:
        """A primary with what follows it: members, indices, ``^`` and calls."""
        first = self.at
        kinds = self.kinds
        expression = self.primary()
        while True:
            kind = kinds[self.at]
            if kind == ".":
                self.count_operator()
                self.at += 1
                expression = self.member_of(expression, first)
            elif kind == "[":
                self.count_operator()
                self.at += 1
                self.enter()
                indices = self.separated(self.nested)
                self.depth -= 1
                self.take("]", "“,” or “]”")
                expression = ast.Index(expression, tuple(indices), self.span(first))
            elif kind == "(":
                if isinstance(expression, (ast.IntegerLiteral, ast.RealLiteral, ast.StringLiteral)):
                    return expression
                self.count_operator()
                arguments = self.arguments()
                expression = ast.Call(expression, arguments, self.span(first))
            elif kind == "^":
                self.count_operator()
                self.at += 1
                expression = ast.Dereference(expression, self.span(first))
            else:
                return expression

    def nested(self) -> ast.Expression:
        """An expression inside another one; its operators count with the outer ones."""
        return self.binary(1)

    def separated(self, read: Callable[[], T], closing: str | None = None) -> list[T]:
        """What stands between commas; side by side they nest no deeper, so the operators of the worst one count.

        ``closing``: what may follow a last comma that has nothing behind it, a vendor's habit in calls.
        """
        outer = worst = self.operators
        items: list[T] = []
        while True:
            self.operators = outer
            items.append(read())
            worst = max(worst, self.operators)
            if not self.accept(",") or self.kinds[self.at] == closing:
                self.operators = worst
                return items

    def member_of(self, base: ast.Expression, first: int) -> ast.Expression:
        kind = self.kinds[self.at]
        if kind == INTEGER:
            word = self.words[self.at]
            if not word.isdigit():
                raise self.fail("the number of a bit")
            self.at += 1
            return ast.PartialAccess(base, 1, int(word[:9]), self.span(first))
        if kind == ADDRESS:
            word = self.words[self.at]
            size = _PARTIAL_BITS.get(word[1:2])
            if size is None or not word[2:].isdigit():
                self.diagnostics.report(
                    "ST0118",
                    self.here(),
                    f"{word} is no piece of a variable",
                    mend="write %X3, %B1, %W0, %D0 or %L0",
                )
                self.at += 1
                return base
            self.at += 1
            return ast.PartialAccess(base, size, int(word[2:11]), self.span(first))
        if kind == PREFIX:
            path = _as_path(base)
            if path is not None:
                prefix = self.prefix_name()
                value = self.name("the name of a value")
                return ast.EnumLiteral((*path, prefix), value, self.span(first))
        name = self.name("the name of a member")
        return ast.Member(base, name, self.span(first))

    def arguments(self) -> tuple[ast.Argument, ...]:
        self.take("(")
        self.enter()
        arguments = [] if self.kinds[self.at] == ")" else self.separated(self.argument, closing=")")
        self.take(")", "“,” or “)”")
        self.depth -= 1
        return tuple(arguments)

    def argument(self) -> ast.Argument:
        first = self.at
        is_negated = (
            self.kinds[first] == "NOT" and self.kinds[first + 1] == NAME and self.kinds[first + 2] == "=>"
        )
        if is_negated:
            self.at += 1
        kind = self.kinds[self.at]
        if kind == NAME or kind in self.stolen:
            follow = self.kinds[self.at + 1]
            if follow == ":=" or follow == "=>":
                name = self.name()
                self.at += 1
                value: ast.Expression | None = None
                if self.kinds[self.at] not in (",", ")"):
                    value = self.initial()
                return ast.Argument(name, value, follow == "=>", is_negated, self.span(first))
        value = self.initial()
        if self.kinds[self.at] == ":=":
            raise self.fail("“,” or “)” (left of := stands the name of a parameter)")
        return ast.Argument(None, value, is_output=False, is_negated=False, span=self.span(first))

    def prefix_name(self) -> ast.Name:
        at = self.take(PREFIX)
        start, end = self.starts[at], self.ends[at] - 1
        return ast.Name(self.source.text[start:end], self.words[at], Span(self.source, start, end))

    def primary(self) -> ast.Expression:
        at = self.at
        kind = self.kinds[at]
        if kind == NAME:
            word = self.words[at]
            if word == "THIS" and self.kinds[at + 1] not in (":=",):
                self.soft.add(at)
                self.at += 1
                return ast.This(self.span(at))
            if word == "SUPER" and self.kinds[at + 1] not in (":=",):
                self.soft.add(at)
                self.at += 1
                return ast.Super(self.span(at))
            if word == "NULL":
                self.soft.add(at)
                self.at += 1
                return ast.NullLiteral(self.span(at))
            name = self.name()
            return ast.NameUse(name, name.span)
        if kind in (INTEGER, REAL):
            return self.number(None, 1, at)
        reader = _PRIMARIES.get(kind)
        if reader is not None:
            return reader(self)
        if kind in self.stolen or (kind in ("AND", "OR", "XOR", "NOT", "MOD") and self.kinds[at + 1] == "("):
            # AND(a, b): the operators are functions too (6.6.2.5.6)
            self.at += 1
            span = self.span(at)
            return ast.NameUse(ast.Name(span.text, kind, span), span)
        if kind == "=" or kind == ":=":
            raise self.fail("a value before it")
        raise self.fail("an expression")

    def number(self, prefix: ast.Name | None, sign: int, first: int) -> ast.Expression:
        at = self.at
        text = self.words[at]
        self.at += 1
        try:
            if self.kinds[at] == INTEGER:
                value, base = literals.integer(text)
                return ast.IntegerLiteral(sign * value, base, prefix, self.span(first))
            return ast.RealLiteral(sign * literals.real(text), prefix, self.span(first))
        except literals.Malformed as malformed:
            self.diagnostics.report("ST0103", self.span(at), f"{text} is no number: {malformed}")
            return ast.Wrong(self.span(first))

    def parenthesised(self) -> ast.Expression:
        first = self.take("(")
        self.enter()
        inner = self.nested()
        self.depth -= 1
        if self.kinds[self.at] == ":=":
            raise self.fail("“)” (an assignment has no value)")
        self.take(")")
        return ast.Parenthesised(inner, self.span(first))

    def prefixed(self) -> ast.Expression:
        first = self.at
        prefix = self.prefix_name()
        kind = self.kinds[self.at]
        sign = 1
        if kind in ("+", "-") and self.kinds[self.at + 1] in (INTEGER, REAL):
            sign = -1 if kind == "-" else 1
            self.at += 1
            kind = self.kinds[self.at]
        if kind in (INTEGER, REAL):
            return self.number(prefix, sign, first)
        if kind in ("TRUE", "FALSE"):
            self.at += 1
            return ast.BoolLiteral(kind == "TRUE", prefix, self.span(first))
        if kind in (STRING, WIDE_STRING):
            return self.string(prefix, first)
        value = self.name("a literal or the name of a value")
        return ast.EnumLiteral((prefix,), value, self.span(first))

    def boolean(self) -> ast.Expression:
        at = self.at
        self.at += 1
        return ast.BoolLiteral(self.kinds[at] == "TRUE", None, self.span(at))

    def unreadable(self) -> ast.Expression:
        at = self.at
        self.at += 1
        return ast.Wrong(self.span(at))

    def text_literal(self) -> ast.Expression:
        return self.string(None, self.at)

    def string(self, prefix: ast.Name | None, first: int) -> ast.Expression:
        at = self.at
        is_wide = self.kinds[at] == WIDE_STRING
        self.at += 1
        try:
            value = literals.string(self.words[at][1:-1], is_wide=is_wide)
        except literals.Malformed as malformed:
            self.diagnostics.report("ST0105", self.span(at), str(malformed), mend="write $$ for a plain $")
            return ast.Wrong(self.span(first))
        return ast.StringLiteral(value, is_wide, prefix, self.span(first))

    def time(self) -> ast.Expression:
        at = self.at
        self.at += 1
        kind, value_of = _TIME_KINDS[self.kinds[at]]
        prefix, _, text = self.words[at].partition("#")
        span = self.span(at)
        is_long = prefix.upper().startswith("L")
        try:
            return ast.TimeLiteral(kind, value_of(text), is_long, span)
        except literals.Malformed as malformed:
            self.diagnostics.report(
                "ST0104",
                span,
                f"this is no {self.kinds[at]}: {malformed}",
                mend=f"write it like {EXAMPLES[self.kinds[at]]}",
            )
            return ast.Wrong(span)

    def global_use(self) -> ast.Expression:
        first = self.take(".")
        name = self.name()
        return ast.GlobalUse(name, self.span(first))


def _takes_members(declaration: ast.Declaration) -> bool:
    return isinstance(declaration, ast.Unit) and declaration.kind is not ast.UnitKind.FUNCTION


def _as_path(expression: ast.Expression) -> tuple[ast.Name, ...] | None:
    """The names of ``A.B.C``, where an expression is only that."""
    if isinstance(expression, ast.NameUse):
        return (expression.name,)
    if isinstance(expression, ast.Member):
        base = _as_path(expression.base)
        return None if base is None else (*base, expression.name)
    return None


_STATEMENTS: dict[str, Callable[[_Parser], ast.Statement]] = {
    "IF": _Parser.if_statement,
    "CASE": _Parser.case_statement,
    "FOR": _Parser.for_statement,
    "WHILE": _Parser.while_statement,
    "REPEAT": _Parser.repeat_statement,
    "EXIT": _Parser.exit_statement,
    "CONTINUE": _Parser.continue_statement,
    "RETURN": _Parser.return_statement,
}
_PRIMARIES: dict[str, Callable[[_Parser], ast.Expression]] = {
    "(": _Parser.parenthesised,
    PREFIX: _Parser.prefixed,
    "TRUE": _Parser.boolean,
    "FALSE": _Parser.boolean,
    STRING: _Parser.text_literal,
    WIDE_STRING: _Parser.text_literal,
    DURATION: _Parser.time,
    DATE: _Parser.time,
    TIME_OF_DAY: _Parser.time,
    DATE_AND_TIME: _Parser.time,
    ADDRESS: _Parser.direct_variable,
    WRONG: _Parser.unreadable,
    ".": _Parser.global_use,
}
