"""What was typed before the cursor, read backwards token by token: text that is not finished has no tree yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from plc.language import standard
from plc.language.diagnostics import Diagnostics
from plc.language.lexer import lex
from plc.language.scope import Found, Scope
from plc.language.source import Source
from plc.language.standard import Conversion, StandardFunction
from plc.language.symbols import Block, Namespace, PropertySymbol, Routine, TypeName, Variable
from plc.language.tokens import NAME, PREFIX, RESERVED, Tokens
from plc.language.types import ArrayOf, Reference, Structure, Type

Known: TypeAlias = "Found | Type | StandardFunction | Conversion"

_INDEX, _DEREFERENCE, _CALL = "[]", "^", "()"  # steps that are no names
_OPENERS = {")": "(", "]": "["}
_CALLABLE_ENDS = frozenset({NAME, "]", "^"})
# No call reaches over these: the parenthesis before them was never closed.
_ENDS_CALL = frozenset({";", "THEN", "DO", "ELSE", "ELSIF", "END_VAR"}) | {
    word for word in RESERVED if word.startswith(("END_", "VAR"))
}
_SECTIONS = frozenset(word for word in RESERVED if word.startswith("VAR")) | {"STRUCT"}
_SECTION_ENDS = frozenset({"END_VAR", "END_STRUCT", "END_UNION"})
_TYPED_HEADS = frozenset({"FUNCTION", "METHOD", "PROPERTY"})
_BEFORE_TYPE = frozenset({":", "OF", "TO", "EXTENDS", "IMPLEMENTS", "REF_TO"})


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose parenthesis is open at the cursor. ``argument`` counts commas, ``name`` is before a ``:=``."""

    callee: tuple[str, ...]
    argument: int
    name: str | None
    is_at_name: bool  # nothing of the argument is typed but perhaps its first word


@dataclass(frozen=True, slots=True)
class Cursor:
    """The tokens before the cursor. ``word`` is what of a name is already typed."""

    tokens: Tokens
    count: int  # tokens before the word
    word: str

    @property
    def last(self) -> str:
        """The kind of the token before the word."""
        return self.tokens.kinds[self.count - 1] if self.count else ""

    @property
    def enumeration(self) -> str | None:
        """The name before a ``#``."""
        return self.tokens.words[self.count - 1] if self.last == PREFIX else None

    @property
    def is_in_section(self) -> bool:
        """Whether variables or fields are being declared."""
        for kind in reversed(self.tokens.kinds[: self.count]):
            if kind in _SECTIONS:
                return True
            if kind in _SECTION_ENDS:
                return False
        return False

    @property
    def is_at_type(self) -> bool:
        """Whether a type has to follow."""
        word = self.tokens.words[self.count - 1] if self.count else ""
        if word not in _BEFORE_TYPE:
            return False
        if word in ("EXTENDS", "IMPLEMENTS", "REF_TO"):
            return True
        head = self.tokens.words[max(0, self.count - 4) : self.count - 1]
        return self.is_in_section or (word == ":" and not _TYPED_HEADS.isdisjoint(head))

    @property
    def base(self) -> tuple[str, ...] | None:
        """The steps of what stands before a dot, as ``("FB", "VALUES", "[]")``; none where there is no dot."""
        return self._chain(self.count - 2) if self.last == "." else None

    @property
    def call(self) -> OpenCall | None:
        """The innermost call that the cursor is in."""
        kinds = self.tokens.kinds
        at, commas, first = self.count - 1, 0, self.count
        while at >= 0:
            kind = kinds[at]
            if kind in _OPENERS:
                at = self._opener(at)
            elif kind == "," and not commas:
                commas, first = 1, at + 1
            elif kind == ",":
                commas += 1
            elif kind in _ENDS_CALL:
                return None
            elif kind == "(" and at and kinds[at - 1] in _CALLABLE_ENDS:
                callee = self._chain(at - 1)
                start = first if commas else at + 1
                is_named = start + 1 < self.count and kinds[start + 1] in (":=", "=>")
                name = self.tokens.words[start] if is_named else None
                return OpenCall(callee, commas, name, start == self.count) if callee else None
            elif kind in ("(", "["):
                commas, first = 0, self.count
            at -= 1
        return None

    def _opener(self, closer: int) -> int:
        depth = 0
        kinds = self.tokens.kinds
        for at in range(closer, -1, -1):
            if kinds[at] in (")", "]"):
                depth += 1
            elif kinds[at] in ("(", "["):
                depth -= 1
                if not depth:
                    return at
        return -1

    def _chain(self, at: int) -> tuple[str, ...] | None:
        kinds, words = self.tokens.kinds, self.tokens.words
        steps: list[str] = []
        while at >= 0:
            kind = kinds[at]
            if kind == NAME:
                steps.append(words[at])
                if at and kinds[at - 1] == ".":
                    at -= 2
                    continue
                return tuple(reversed(steps))
            if kind == "^":
                steps.append(_DEREFERENCE)
            elif kind in _OPENERS:
                steps.append(_INDEX if kind == "]" else _CALL)
                at = self._opener(at)
            else:
                return None
            at -= 1
        return None


def read(text: str) -> Cursor | None:
    """The text before the cursor; nothing where it is in a comment, a string or a pragma."""
    diagnostics = Diagnostics()
    tokens = lex(Source("", text), diagnostics)
    if any(one.code in ("ST0101", "ST0102") for one in diagnostics.found):
        last_line = text.rfind("\n")
        if any(one.code == "ST0101" or one.span.start > last_line for one in diagnostics.found):
            return None
    comment = tokens.trivia[-1] if tokens.trivia else None
    if comment is not None and "\n" not in text[comment.start :] and text.startswith("//", comment.start):
        return None
    count = len(tokens) - 1
    at = count - 1
    is_word = (
        at >= 0
        and tokens.ends[at] == len(text)
        and (tokens.kinds[at] == NAME or tokens.kinds[at] in RESERVED)
    )
    if is_word:
        return Cursor(tokens, at, text[tokens.starts[at] :])
    return Cursor(tokens, count, "")


def follow(steps: tuple[str, ...], scope: Scope) -> Known | None:
    """What a chain of names, indices, calls and dereferences means, as far as it is known."""
    found = _first(steps[0], scope)
    for step in steps[1:]:
        if found is None:
            return None
        if step == _CALL:
            found = called(found)
        elif step == _INDEX:
            type_ = type_of(found)
            found = type_.element if isinstance(type_, ArrayOf) else _target(type_)
        elif step == _DEREFERENCE:
            type_ = type_of(found, follow_references=False)
            found = type_ if isinstance(type_, Block) else _target(type_)
        else:
            found = member(found, step)
    return found


def _first(key: str, scope: Scope) -> Known | None:
    if key == "THIS":
        return scope.block
    if key == "SUPER":
        return scope.block.base if scope.block is not None else None
    return scope.find(key) or standard.FUNCTIONS.get(key) or standard.conversion(key)


def called(known: Known) -> Type | None:
    """What a call of it gives."""
    if isinstance(known, Routine):
        return known.result
    return known.target if isinstance(known, Conversion) else None


def type_of(known: Known | None, *, follow_references: bool = True) -> Type | None:
    """The type of a value, or the type that a name stands for."""
    if known is None or isinstance(known, (Routine, Namespace, StandardFunction, Conversion)):
        return None
    type_ = known.type if isinstance(known, (Variable, PropertySymbol, TypeName)) else known
    if follow_references and isinstance(type_, Reference) and type_.kind == "REFERENCE TO":
        return type_.target
    return type_


def _target(type_: Type | None) -> Type | None:
    return type_.target if isinstance(type_, Reference) else None


def member(known: Known, key: str) -> Known | None:
    """What a name after a dot means."""
    if isinstance(known, Namespace):
        return known.symbols.get(key)
    type_ = type_of(known)
    if isinstance(type_, Structure):
        return type_.fields.get(key)
    if isinstance(type_, Block):
        return type_.find_variable(key) or type_.find_method(key) or type_.find_property(key)
    return None
