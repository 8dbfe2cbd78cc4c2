"""How symbols are shown: their declaration as Structured Text, and what the author wrote beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from plc.editor import words
from plc.editor.cursor import Known
from plc.editor.index import Index, Meaning, declaration
from plc.language.source import Span
from plc.language.standard import Conversion, StandardFunction
from plc.language.symbols import (
    Block,
    EnumMember,
    Namespace,
    PropertySymbol,
    Routine,
    Section,
    TypeName,
    Variable,
)
from plc.language.types import NOTHING, Elementary, Enumeration, Family, StringOf, Structure

MOST_MEMBERS = 40  # lines of a structure or enumeration that a hover shows
_UNIT = re.compile(r"attribute\s+'unit'\s*:=\s*'([^']*)'", re.IGNORECASE)
_COMMENT_MARKS = re.compile(r"^\s*(?://+|\(\*+|/\*+|\*+(?!\)|/))?[ \t]?|[ \t]*(?:\*+\)|\*+/)?\s*$")
_WHOLE = (Family.SIGNED, Family.UNSIGNED)


@dataclass(frozen=True, slots=True)
class Signature:
    """A callable as shown: every parameter's text is a part of the label."""

    label: str
    names: tuple[str, ...]
    parameters: tuple[str, ...]
    words: str | None


def declared(symbol: Meaning) -> str:
    """A symbol's declaration in Structured Text."""
    if isinstance(symbol, Variable):
        return _variable(symbol)
    if isinstance(symbol, EnumMember):
        return f"{symbol.type.name}#{symbol.name} := {symbol.value}"
    if isinstance(symbol, PropertySymbol):
        return f"PROPERTY {symbol.owner.name}.{symbol.name} : {symbol.type}"
    if isinstance(symbol, Namespace):
        return f"NAMESPACE {symbol.name}"
    if isinstance(symbol, TypeName):
        return _type(symbol)
    if isinstance(symbol, Block):
        return _block(symbol)
    kind = "" if symbol.kind in ("GET", "SET") else f"{symbol.kind} "
    found = signature(symbol)
    return f"{kind}{symbol.qualified if found is None else found.label}"


def _variable(variable: Variable) -> str:
    target = variable.target or variable
    qualifiers = "".join(f" {one}" for one in sorted(variable.qualifiers))
    location = f" AT {target.location}" if target.location else ""
    section = "" if variable.section is Section.FIELD else f"{variable.section}{qualifiers}\n    "
    return f"{section}{variable.name}{location} : {variable.type}{_initial(target)};"


def _initial(variable: Variable) -> str:
    if variable.constant is not None and variable.initial is not None:
        written, value = variable.initial.span.text, constant_text(variable)
        return f" := {written}" if written == value else f" := {written}; // {value}".removesuffix(";")
    if variable.initial is None or "\n" in variable.initial.span.text:
        return ""
    return f" := {variable.initial.span.text}"


def constant_text(variable: Variable) -> str | None:
    """A constant's value."""
    constant = (variable.target or variable).constant
    if constant is None:
        return None
    value = constant.value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return f"'{value}'"
    if (
        isinstance(value, int)
        and isinstance(constant.type, Elementary)
        and constant.type.family is Family.DURATION
    ):
        return f"{constant.type}#{value / 1e6:g}ms"
    if isinstance(constant.type, Enumeration):
        names = (name for key, name in constant.type.spelling.items() if constant.type.values[key] == value)
        return f"{constant.type}#{next(names, value)}"
    return str(value)


def _type(name: TypeName) -> str:
    type_ = name.type
    if isinstance(type_, Structure) and type_.name == name.name:
        lines = [f"    {field.name} : {field.type};" for field in type_.fields.values()]
        return "\n".join((f"TYPE {name.name} : STRUCT", *_cut(lines), "END_STRUCT"))
    if isinstance(type_, Enumeration) and type_.name == name.name:
        lines = [f"    {type_.spelling[key]} := {value}," for key, value in type_.values.items()]
        return "\n".join((f"TYPE {name.name} : (", *_cut(lines), f") {type_.base}"))
    return f"TYPE {name.name} : {type_}"


def _block(block: Block) -> str:
    extends = f" EXTENDS {block.base.name}" if block.base else ""
    lines = [f"    {one.section.removeprefix('VAR_')} {one.name} : {one.type};" for one in block.parameters()]
    return "\n".join((f"{block.kind} {block.qualified}{extends}", *_cut(lines)))


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST_MEMBERS else [*lines[:MOST_MEMBERS], "    …"]


def elementary_words(type_: Elementary) -> str:
    """What an elementary type holds."""
    if type_.family in _WHOLE:
        return f"{type_.bits} bits, {type_.low} … {type_.high}"
    if type_.family in (Family.BIT, Family.REAL, Family.CHARACTER):
        return f"{type_.bits} bit{'' if type_.bits == 1 else 's'}"
    return f"{type_.bits} bits, nanoseconds"


def signature(known: Known) -> Signature | None:
    """What can be called, with its parameters; a variable stands for its block."""
    if isinstance(known, Variable) and isinstance(known.type, Block):
        known = known.type
    if isinstance(known, (Block, Routine)):
        name = known.name
        texts = [(one.name, f"{_arrow(one)}{one.name} : {one.type}") for one in known.parameters()]
        result = known.result if isinstance(known, Routine) else NOTHING
        ending = "" if result is NOTHING else f" : {result}"
        about = block_words(known) if isinstance(known, Block) else None
    elif isinstance(known, StandardFunction):
        name, about = known.name, words.FUNCTIONS.get(known.name)
        texts = [(one.name, f"{one.name} : {known.generics.get(one.type, one.type)}") for one in known.inputs]
        texts += [(one.name, f"=> {one.name} : {one.type}") for one in known.outputs]
        if known.is_extensible:
            texts.append(("", "…"))
        ending = "" if known.result == "nothing" else f" : {known.generics.get(known.result, known.result)}"
    elif isinstance(known, Conversion):
        name, ending, about = known.name, f" : {known.target}", conversion_words(known)
        texts = [("IN", f"IN : {known.source or 'ANY_ELEMENTARY'}")]
    else:
        return None
    shown = tuple(text for _, text in texts)
    return Signature(f"{name}({', '.join(shown)}){ending}", tuple(one for one, _ in texts), shown, about)


def _arrow(variable: Variable) -> str:
    return {Section.OUTPUT: "=> ", Section.IN_OUT: "VAR_IN_OUT "}.get(variable.section, "")


def block_words(block: Block) -> str | None:
    """What a block of the language does."""
    return words.block_words(block.name) if block.is_standard else None


def conversion_words(conversion: Conversion) -> str:
    """How a conversion treats what does not fit."""
    target = conversion.target
    if conversion.way == "trunc":
        return "The whole part: what is behind the point is cut."
    if isinstance(target, Elementary) and target.family in _WHOLE and conversion.way == "convert":
        return "Reals are rounded to the nearest integer, ties to even; times are in milliseconds."
    if isinstance(target, StringOf):
        return "The value as text."
    return {"from bcd": "From binary coded decimal.", "to bcd": "To binary coded decimal."}.get(
        conversion.way, "The value in another type."
    )


def beside(symbol: Meaning, index: Index) -> str | None:
    """The comment above a declaration or behind it on its line, and the unit that a pragma gives."""
    parts: list[str] = []
    if isinstance(symbol, Variable):
        for pragma in (symbol.target or symbol).pragmas:
            match = _UNIT.search(pragma.text)
            if match:
                parts.append(f"Unit: {match[1]}")
    span = declaration(symbol)
    if isinstance(symbol, Block) and symbol.is_standard:
        return block_words(symbol)
    if span is not None and span.source.path in index.sources:
        comment = _comment(span, index)
        if comment:
            parts.append(comment)
    return "\n\n".join(parts) or None


def _comment(span: Span, index: Index) -> str | None:
    source = span.source
    text = source.text
    trivia = [one for one in index.parsed(source.path).tokens.trivia if not one.is_pragma]
    line_start = text.rfind("\n", 0, span.start) + 1
    line_end = text.find("\n", span.end)
    line_end = len(text) if line_end < 0 else line_end
    behind = [one for one in trivia if span.end <= one.start < line_end]
    if behind:
        return _bare(text[behind[0].start : behind[0].end])
    above: list[str] = []
    limit = line_start
    for one in reversed([one for one in trivia if one.end <= line_start]):
        between = text[one.end : limit]
        gap = re.sub(r"\{[^}]*\}", "", between)  # a pragma may stand between a comment and what it is about
        if gap.strip() or gap.count("\n") > between.count("{") + 1:
            break
        own_line_start = text.rfind("\n", 0, one.start) + 1
        if text[own_line_start : one.start].strip():
            break  # it is behind something else
        above.append(_bare(text[one.start : one.end]))
        limit = own_line_start
    return "\n".join(reversed(above)) or None


def _bare(comment: str) -> str:
    lines = [_COMMENT_MARKS.sub("", line) for line in comment.splitlines()]
    return "\n".join(lines).strip()
