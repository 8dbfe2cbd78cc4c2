"""Documentation of a program from its own words: the comments above units and behind variables.

A comment counts as Markdown. What follows a line ``Example:`` is shown as code.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from plc.language import ast
from plc.language.diagnostics import Diagnostics
from plc.language.parser import Parsed, parse
from plc.language.source import Source, Span

SECTIONS = {
    "VAR_INPUT": "Input",
    "VAR_IN_OUT": "In and out",
    "VAR_OUTPUT": "Output",
    "VAR_GLOBAL": "Global",
    "STRUCT": "Field",
}
_UNIT = re.compile(r"attribute\s+'unit'\s*:=\s*'([^']*)'", re.IGNORECASE)
_MARKS = re.compile(r"^\s*(?://+|\(\*+|/\*+|\*+(?!\)|/))? ?|\s*(?:\*+\)|\*+/)?\s*$")
_CODE = re.compile(r"`([^`]+)`")
_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1d2329, #d9dee4); --paper: light-dark(#fff, #14181d);
  --rule: light-dark(#dfe3e8, #2b323a); --code: light-dark(#f3f5f7, #1d232a); }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; font: 15px/1.55 system-ui, sans-serif;
  background: var(--paper); color: var(--ink); }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--rule); } small { font-weight: 400; opacity: .75; }
table { border-collapse: collapse; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
td { border-top: 1px solid var(--rule); } code, pre { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--code); padding: .75rem; overflow-x: auto; }
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A variable or a value of an enumeration."""

    name: str
    type: str
    initial: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A unit, type or list of globals. ``tables`` are its variables by heading; ``level`` is 1 inside a unit."""

    kind: str
    name: str
    result: str
    text: str
    example: str
    tables: tuple[tuple[str, tuple[Row, ...]], ...]
    level: int = 0


def entries(source: Source) -> list[Entry]:
    """All that a file declares, in its order; text with errors gives what could be read."""
    parsed = parse(source, Diagnostics())
    return list(_entries(parsed, parsed.file.declarations, "", 0))


def _entries(parsed: Parsed, nodes: Iterable[object], prefix: str, level: int) -> Iterator[Entry]:
    for node in nodes:
        match node:
            case ast.Namespace():
                name = ".".join(one.text for one in node.path)
                yield from _entries(parsed, node.declarations, f"{prefix}{name}.", level)
            case ast.Unit():
                if _is_hidden(node.modifiers):
                    continue
                text, example = _split(_comment_above(parsed, node.span))
                result = "" if node.result is None else node.result.span.text
                tables = _tables(parsed, node.blocks)
                yield Entry(str(node.kind), prefix + node.name.text, result, text, example, tables, level)
                yield from _entries(parsed, node.members, f"{prefix}{node.name.text}.", level + 1)
            case ast.Property():
                if not _is_hidden(node.modifiers):
                    text, example = _split(_comment_above(parsed, node.span))
                    yield Entry(
                        "PROPERTY", prefix + node.name.text, node.type.span.text, text, example, (), level
                    )
            case ast.TypeBlock():
                for type_ in node.types:
                    yield _type(parsed, type_, prefix)
            case ast.VariableBlock() if node.section == "VAR_GLOBAL":
                text, example = _split(_comment_above(parsed, node.span))
                yield Entry(
                    "VAR_GLOBAL",
                    Path(parsed.tokens.source.path).stem,
                    "",
                    text,
                    example,
                    _tables(parsed, [node]),
                )


def _type(parsed: Parsed, node: ast.TypeDeclaration, prefix: str) -> Entry:
    text, example = _split(_comment_above(parsed, node.span))
    if isinstance(node.type, ast.StructType):
        rows = tuple(_rows(parsed, node.type.fields))
        return Entry("STRUCT", prefix + node.name.text, "", text, example, (("Field", rows),))
    if isinstance(node.type, ast.EnumType):
        values = tuple(
            Row(one.name.text, "", "", _comment_behind(parsed, one.span)) for one in node.type.values
        )
        return Entry("ENUMERATION", prefix + node.name.text, "", text, example, (("Value", values),))
    return Entry("TYPE", prefix + node.name.text, node.type.span.text, text, example, ())


def _is_hidden(modifiers: frozenset[str]) -> bool:
    return not modifiers.isdisjoint({"PRIVATE", "INTERNAL"})


def _tables(parsed: Parsed, blocks: Iterable[ast.VariableBlock]) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    found: dict[str, list[Row]] = {}
    for block in blocks:
        if block.section in SECTIONS:
            found.setdefault(SECTIONS[block.section], []).extend(_rows(parsed, block.variables))
    return tuple((heading, tuple(rows)) for heading, rows in found.items() if rows)


def _rows(parsed: Parsed, variables: Iterable[ast.VariableDeclaration]) -> Iterator[Row]:
    for one in variables:
        initial = "" if one.initial is None else " ".join(one.initial.span.text.split())
        units = [match[1] for pragma in one.pragmas if (match := _UNIT.search(pragma.text))]
        meaning = _comment_behind(parsed, one.span)
        if units:
            meaning = f"{meaning} ({units[0]})".strip()
        for name in one.names:
            yield Row(name.text, " ".join(one.type.span.text.split()), initial, meaning)


# ── comments ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _comment_above(parsed: Parsed, span: Span) -> list[str]:
    """The lines of the comments right above a declaration, pragmas between them left out."""
    text = parsed.tokens.source.text
    lines: list[str] = []
    limit = span.start
    for one in reversed([one for one in parsed.tokens.trivia if one.end <= span.start]):
        if text[one.end : limit].strip() or text.count("\n", one.end, limit) > 1:
            break
        line_start = text.rfind("\n", 0, one.start) + 1
        if text[line_start : one.start].strip():
            break  # it is behind something else
        if not one.is_pragma:
            lines = [*_bare(text[one.start : one.end]), *lines]
        limit = one.start if one.is_pragma else line_start
    return lines


def _comment_behind(parsed: Parsed, span: Span) -> str:
    text = parsed.tokens.source.text
    line_end = text.find("\n", span.end)
    line_end = len(text) if line_end < 0 else line_end
    for one in parsed.tokens.trivia:
        if span.end <= one.start < line_end and not one.is_pragma:
            return " ".join(_bare(text[one.start : one.end])).strip()
    return ""


def _bare(comment: str) -> list[str]:
    return [_MARKS.sub("", line) for line in comment.splitlines()]


def _split(lines: list[str]) -> tuple[str, str]:
    text, _, example = "\n".join(lines).partition("\nExample:\n")
    return text.strip("\n"), textwrap.dedent(example).strip("\n")


# ── as pages ─────────────────────────────────────────────────────────────────────────────────────────────────────
def as_markdown(title: str, found: Iterable[tuple[str, list[Entry]]]) -> str:
    """One page; ``found`` are entries by file."""
    lines = [f"# {title}", ""]
    for file, its in found:
        if its:
            lines += [f"## {file}", ""]
        for one in its:
            lines += [f"###{'#' * one.level} {one.name}", "", f"{_kind(one)}", ""]
            lines += [one.text, ""] if one.text else []
            for heading, rows in one.tables:
                has_types = any(row.type for row in rows)
                columns = [heading, "Type", "Default", "Meaning"] if has_types else [heading, "Meaning"]
                lines += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
                for row in rows:
                    initial = f"`{row.initial}`" if row.initial else ""
                    cells = (
                        [f"`{row.name}`", row.type, initial, row.meaning]
                        if has_types
                        else [f"`{row.name}`", row.meaning]
                    )
                    lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
                lines.append("")
            lines += ["```iecst", one.example, "```", ""] if one.example else []
    return "\n".join(lines).rstrip() + "\n"


def as_html(title: str, found: Iterable[tuple[str, list[Entry]]]) -> str:
    """The same as a page that needs nothing from elsewhere."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for file, its in found:
        if its:
            parts.append(f"<h2>{escape(file)}</h2>")
        for one in its:
            parts.append(
                f'<h3 id="{escape(one.name)}">{escape(one.name)} <small>{escape(_kind(one))}</small></h3>'
            )
            parts += _blocks(one.text)
            for heading, rows in one.tables:
                has_types = any(row.type for row in rows)
                head = [heading, "Type", "Default", "Meaning"] if has_types else [heading, "Meaning"]
                parts.append("<table><tr>" + "".join(f"<th>{one_}</th>" for one_ in head) + "</tr>")
                for row in rows:
                    cells = [f"<code>{escape(row.name)}</code>"]
                    cells += [escape(row.type), f"<code>{escape(row.initial)}</code>"] if has_types else []
                    cells.append(_inline(row.meaning))
                    parts.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
                parts.append("</table>")
            if one.example:
                parts.append(f"<pre>{escape(one.example)}</pre>")
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>\n{body}\n</body></html>\n"
    )


def _kind(one: Entry) -> str:
    return f"{one.kind} : {one.result}" if one.result else one.kind


def _blocks(text: str) -> list[str]:
    """Paragraphs, and indented ones as they are."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if not block.strip():
            continue
        is_drawing = all(line.startswith("    ") for line in block.split("\n"))
        found.append(
            f"<pre>{escape(textwrap.dedent(block))}</pre>" if is_drawing else f"<p>{_inline(block)}</p>"
        )
    return found


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
