"""What an editor asks for: a checked program and a place in, values of the protocol out. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lsprotocol import types as lsp

from plc.editor import cursor, wording, words
from plc.editor.cursor import Cursor, Known
from plc.editor.fixes import fix_of, page_of
from plc.editor.index import Index, Meaning, declaration
from plc.editor.positions import Text, moved
from plc.language import ast, standard
from plc.language.analysis import Program
from plc.language.diagnostics import Diagnostic, Diagnostics
from plc.language.formatter import format_source
from plc.language.parser import parse
from plc.language.problems import Severity
from plc.language.scope import Scope
from plc.language.source import Source, Span
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
from plc.language.types import ELEMENTARY, Enumeration, Structure

_NEEDLESS = frozenset({"ST0801", "ST0802"})  # unused, never reached: editors grey these out
_WORD = re.compile(r"\w+")
_HIDDEN = frozenset({"PRIVATE", "PROTECTED", "INTERNAL"})
_OUTSIDE = frozenset({Section.INPUT, Section.OUTPUT, Section.IN_OUT})

_Kind = lsp.CompletionItemKind


@dataclass(frozen=True, slots=True)
class View:
    """A checked program as an editor sees it. ``uri`` gives the name that the editor knows a file by."""

    program: Program
    index: Index
    encoding: str
    uri: Callable[[str], str]
    texts: dict[str, Text]

    def location(self, span: Span) -> lsp.Location | None:
        """A place in a file; none in what the language brings."""
        text = self.texts.get(span.source.path)
        return None if text is None else lsp.Location(self.uri(span.source.path), text.range(span))


def view(program: Program, encoding: str, uri: Callable[[str], str]) -> View:
    """Everything that is worked out once for a program."""
    texts = {source.path: Text(source.text, encoding) for source in program.sources}
    return View(program, Index(program), encoding, uri, texts)


# ── problems ───────────────────────────────────────────────────────────────────────────────────────────────────
def problems(seen: View) -> dict[str, list[lsp.Diagnostic]]:
    """What is wrong, by file; every file is there."""
    found: dict[str, list[lsp.Diagnostic]] = {path: [] for path in seen.texts}
    for one in seen.program.diagnostics:
        found[one.span.source.path].append(_problem(one, seen))
    return found


def _problem(one: Diagnostic, seen: View) -> lsp.Diagnostic:
    related = [
        lsp.DiagnosticRelatedInformation(place, other.message)
        for other in one.related
        if (place := seen.location(other.span)) is not None
    ]
    return lsp.Diagnostic(
        range=seen.texts[one.span.source.path].range(one.span),
        severity=lsp.DiagnosticSeverity.Error
        if one.severity is Severity.ERROR
        else lsp.DiagnosticSeverity.Warning,
        code=one.code,
        code_description=None if (page := page_of(one.code)) is None else lsp.CodeDescription(page),
        source="tieline",
        message=one.message if one.mend is None else f"{one.message}\nmend: {one.mend}",
        tags=[lsp.DiagnosticTag.Unnecessary] if one.code in _NEEDLESS else None,
        related_information=related or None,
    )


def code_actions(seen: View, path: str, wanted: lsp.Range) -> list[lsp.CodeAction]:
    """What can be done about the problems of a place: the nearest right name, the word that was meant."""
    text = seen.texts[path]
    start, end = text.offset(wanted.start), text.offset(wanted.end)
    actions: list[lsp.CodeAction] = []
    for one in seen.program.diagnostics:
        span = one.span
        if span.source.path != path or span.start > end or span.end < start:
            continue
        fix = fix_of(one)
        if fix is None:
            continue
        edit = lsp.TextEdit(text.range(span), fix.text)
        actions.append(
            lsp.CodeAction(
                title=fix.title,
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[_problem(one, seen)],
                is_preferred=fix.is_sure,
                edit=lsp.WorkspaceEdit(changes={seen.uri(path): [edit]}),
            )
        )
    return actions


# ── what a name means ──────────────────────────────────────────────────────────────────────────────────────────
def hover(seen: View, path: str, position: lsp.Position) -> lsp.Hover | None:
    """The declaration of what is pointed at, with what its author or the language says about it."""
    text = seen.texts[path]
    offset = text.offset(position)
    found = seen.index.at(path, offset)
    if found is not None:
        span, symbol = found
        return lsp.Hover(
            _markdown(wording.declared(symbol), wording.beside(symbol, seen.index)), text.range(span)
        )
    word = _word_at(seen.index.sources[path], offset)
    if word is None:
        return None
    key = word.text.upper()
    known = standard.FUNCTIONS.get(key) or standard.conversion(key)
    shown = wording.signature(known) if known is not None else None
    if shown is not None and not _is_operator(key, word):
        return lsp.Hover(_markdown(shown.label, shown.words), text.range(word))
    if key in standard.QUERIES:
        return lsp.Hover(_markdown(f"{key}(…)", words.FUNCTIONS[key]), text.range(word))
    if key in ELEMENTARY:
        return lsp.Hover(_markdown(key, wording.elementary_words(ELEMENTARY[key])), text.range(word))
    return None


def _is_operator(key: str, word: Span) -> bool:
    following = word.source.text[word.end : word.end + 1]
    return key in ("AND", "OR", "XOR", "MOD") and following != "("


def _word_at(source: Source, offset: int) -> Span | None:
    line_start = source.text.rfind("\n", 0, offset) + 1
    line_end = source.text.find("\n", offset)
    line = source.text[line_start : line_end if line_end >= 0 else len(source.text)]
    before = cursor.read(source.text[:offset])
    if before is None:
        return None  # in a comment or a string
    for match in _WORD.finditer(line):
        if line_start + match.start() <= offset <= line_start + match.end():
            return Span(source, line_start + match.start(), line_start + match.end())
    return None


def _markdown(code: str, about: str | None) -> lsp.MarkupContent:
    shown = f"```iecst\n{code}\n```"
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, f"{shown}\n\n{about}" if about else shown)


def definition(seen: View, path: str, position: lsp.Position) -> lsp.Location | None:
    """Where what is pointed at is declared."""
    found = seen.index.at(path, seen.texts[path].offset(position))
    span = declaration(found[1]) if found is not None else None
    return seen.location(span) if span is not None else None


def references(
    seen: View, path: str, position: lsp.Position, *, with_declaration: bool
) -> list[lsp.Location]:
    """Everywhere that what is pointed at is named."""
    found = seen.index.at(path, seen.texts[path].offset(position))
    if found is None:
        return []
    declared = declaration(found[1])
    places = sorted(seen.index.places(found[1]), key=lambda span: (span.source.path, span.start))
    return [
        place
        for span in places
        if (with_declaration or declared is None or span != declared)
        and (place := seen.location(span)) is not None
    ]


# ── what a file declares ───────────────────────────────────────────────────────────────────────────────────────
def document_symbols(seen: View, path: str) -> list[lsp.DocumentSymbol]:
    """The file's outline."""
    return list(_outline(seen.index.parsed(path).file.declarations, seen.texts[path]))


_UNIT_KINDS = {
    ast.UnitKind.PROGRAM: lsp.SymbolKind.Module,
    ast.UnitKind.FUNCTION: lsp.SymbolKind.Function,
    ast.UnitKind.FUNCTION_BLOCK: lsp.SymbolKind.Class,
    ast.UnitKind.CLASS: lsp.SymbolKind.Class,
    ast.UnitKind.INTERFACE: lsp.SymbolKind.Interface,
    ast.UnitKind.METHOD: lsp.SymbolKind.Method,
}


def _outline(nodes: Iterable[object], text: Text) -> Iterator[lsp.DocumentSymbol]:
    for node in nodes:
        match node:
            case ast.Unit():
                inner: list[object] = [*node.blocks, *node.members]
                if isinstance(node.body, ast.Chart):
                    inner.extend(node.body.steps)
                yield _entry(node.name, node.span, _UNIT_KINDS[node.kind], str(node.kind), inner, text)
            case ast.VariableBlock():
                for variable in node.variables:
                    for name in variable.names:
                        kind = (
                            lsp.SymbolKind.Constant
                            if "CONSTANT" in node.qualifiers
                            else lsp.SymbolKind.Variable
                        )
                        detail = f"{node.section} {variable.type.span.text}".split("\n")[0]
                        span = variable.span if len(variable.names) == 1 else name.span
                        yield _entry(name, span, kind, detail, (), text)
            case ast.VariableDeclaration():
                for name in node.names:
                    yield _entry(
                        name, name.span, lsp.SymbolKind.Field, node.type.span.text.split("\n")[0], (), text
                    )
            case ast.TypeBlock():
                yield from _outline(node.types, text)
            case ast.TypeDeclaration():
                yield _type_entry(node, text)
            case ast.Property():
                yield _entry(node.name, node.span, lsp.SymbolKind.Property, node.type.span.text, (), text)
            case ast.Action() | ast.Step():
                yield _entry(
                    node.name, node.span, lsp.SymbolKind.Event, type(node).__name__.upper(), (), text
                )
            case ast.Namespace():
                name = node.path[-1]
                yield _entry(name, node.span, lsp.SymbolKind.Namespace, "", node.declarations, text)
            case ast.Configuration():
                parts = [*node.blocks, *node.resources]
                yield _entry(node.name, node.span, lsp.SymbolKind.Package, "CONFIGURATION", parts, text)
            case ast.Resource():
                inside = [*node.blocks, *node.tasks, *node.programs]
                if node.name is None:
                    yield from _outline(inside, text)
                else:
                    yield _entry(node.name, node.span, lsp.SymbolKind.Package, "RESOURCE", inside, text)
            case ast.Task():
                yield _entry(node.name, node.span, lsp.SymbolKind.Event, "TASK", (), text)
            case ast.ProgramInstance():
                yield _entry(node.name, node.span, lsp.SymbolKind.Object, "PROGRAM", (), text)


def _type_entry(node: ast.TypeDeclaration, text: Text) -> lsp.DocumentSymbol:
    if isinstance(node.type, ast.StructType):
        return _entry(node.name, node.span, lsp.SymbolKind.Struct, "STRUCT", node.type.fields, text)
    if isinstance(node.type, ast.EnumType):
        entry = _entry(node.name, node.span, lsp.SymbolKind.Enum, "", (), text)
        entry.children = [
            _entry(one.name, one.span, lsp.SymbolKind.EnumMember, "", (), text) for one in node.type.values
        ]
        return entry
    return _entry(
        node.name, node.span, lsp.SymbolKind.TypeParameter, node.type.span.text.split("\n")[0], (), text
    )


def _entry(
    name: ast.Name, span: Span, kind: lsp.SymbolKind, detail: str, inside: Iterable[object], text: Text
) -> lsp.DocumentSymbol:
    whole = Span(span.source, min(span.start, name.span.start), max(span.end, name.span.end))
    children = list(_outline(inside, text))
    return lsp.DocumentSymbol(
        name=name.text or "?",  # an empty name is refused by editors; half-typed text has some
        kind=kind,
        range=text.range(whole),
        selection_range=text.range(name.span),
        detail=detail,
        children=children or None,
    )


# ── typing ─────────────────────────────────────────────────────────────────────────────────────────────────────
def completion(seen: View, path: str, now: Text, position: lsp.Position) -> list[lsp.CompletionItem]:
    """What can be written at a place. ``now`` is the text as it is; the program may have seen an earlier state."""
    offset = now.offset(position)
    before = cursor.read(now.text[:offset])
    if before is None:
        return []
    scope = _scope(seen, path, now, offset)
    if before.enumeration is not None:
        return _enum_items(scope, before.enumeration)
    if before.last == ".":
        known = cursor.follow(before.base, scope) if before.base else None
        is_own = bool(before.base) and before.base[0] in ("THIS", "SUPER")  # type: ignore[index]  # it is not empty
        return [] if known is None else _member_items(known, seen, is_own=is_own)
    if before.is_at_type:
        return _type_items(scope, seen)
    items: list[lsp.CompletionItem] = []
    call = before.call
    if call is not None and call.is_at_name:
        items.extend(_parameter_items(cursor.follow(call.callee, scope)))
    if not before.is_in_section or before.last in (":=", "(", "[", ".."):
        items.extend(_scope_items(scope, seen))
    items.extend(_keyword(word) for word in words.KEYWORDS)
    return items


def _scope(seen: View, path: str, now: Text, offset: int) -> Scope:
    return seen.index.scope_at(path, moved(offset, now.text, seen.texts[path].text))


def _keyword(word: str) -> lsp.CompletionItem:
    return lsp.CompletionItem(word, kind=_Kind.Keyword, sort_text=f"9{word}")


def _item(symbol: Meaning, seen: View, rank: int) -> lsp.CompletionItem:
    about = wording.beside(symbol, seen.index) if isinstance(symbol, Variable) else None
    return lsp.CompletionItem(
        symbol.name,
        kind=_kind(symbol),
        detail=_detail(symbol),
        documentation=lsp.MarkupContent(lsp.MarkupKind.PlainText, about) if about else None,
        sort_text=f"{rank}{symbol.name}",
    )


def _detail(symbol: Meaning) -> str:
    if isinstance(symbol, (Variable, PropertySymbol)):
        return str(symbol.type)
    if isinstance(symbol, EnumMember):
        return f"{symbol.type.name} {symbol.value}"
    shown = wording.signature(symbol)
    return shown.label if shown is not None else wording.declared(symbol).split("\n")[0]


def _kind(symbol: Meaning) -> lsp.CompletionItemKind:
    match symbol:
        case Variable():
            return _Kind.Constant if symbol.is_constant else _Kind.Variable
        case Routine():
            return _Kind.Function if symbol.owner is None else _Kind.Method
        case Block():
            return _Kind.Interface if symbol.is_interface else _Kind.Class
        case TypeName():
            return _Kind.Enum if isinstance(symbol.type, Enumeration) else _Kind.Struct
        case PropertySymbol():
            return _Kind.Property
        case EnumMember():
            return _Kind.EnumMember
        case Namespace():
            return _Kind.Module


def _scope_items(scope: Scope, seen: View) -> list[lsp.CompletionItem]:
    names: dict[str, lsp.CompletionItem] = {}

    def add(symbols: Iterable[Meaning], rank: int) -> None:
        for symbol in symbols:
            names.setdefault(symbol.name.upper(), _item(symbol, seen, rank))

    if scope.routine is not None:
        add(scope.routine.variables.values(), 1)
    if scope.block is not None:
        for block in scope.block.lineage():
            add((*block.variables.values(), *block.steps.values()), 1)
            add((*block.methods.values(), *block.properties.values(), *block.actions.values()), 2)
    namespace: Namespace | None = scope.namespace
    while namespace is not None:
        add(namespace.symbols.values(), 3)
        add((one for members in namespace.enum_members.values() for one in members), 4)
        namespace = namespace.parent
    for using in scope.usings:
        add(using.symbols.values(), 3)
    add(scope.standard_blocks.values(), 6)
    for function in standard.FUNCTIONS.values():
        shown = wording.signature(function)
        assert shown is not None
        item = lsp.CompletionItem(
            function.name, kind=_Kind.Function, detail=shown.label, sort_text=f"5{function.name}"
        )
        item.documentation = shown.words
        names.setdefault(function.name, item)
    return list(names.values())


def _type_items(scope: Scope, seen: View) -> list[lsp.CompletionItem]:
    items = [
        lsp.CompletionItem(
            name, kind=_Kind.Keyword, detail=wording.elementary_words(type_), sort_text=f"3{name}"
        )
        for name, type_ in ELEMENTARY.items()
    ]
    spelt = ("STRING", "WSTRING", "ARRAY", "REF_TO", "POINTER TO", "REFERENCE TO")
    items.extend(lsp.CompletionItem(word, kind=_Kind.Keyword, sort_text=f"4{word}") for word in spelt)
    for name in dict.fromkeys(scope.type_names()):
        found = scope.find_outside(name.upper())
        if isinstance(found, (TypeName, Block)):
            items.append(_item(found, seen, 2 if isinstance(found, Block) and found.is_standard else 1))
    items.extend(
        _item(one, seen, 1) for one in scope.namespace.symbols.values() if isinstance(one, Namespace)
    )
    return items


def _enum_items(scope: Scope, name: str) -> list[lsp.CompletionItem]:
    found = scope.find_outside(name)
    if not isinstance(found, TypeName) or not isinstance(found.type, Enumeration):
        return []
    values = found.type.values
    return [
        lsp.CompletionItem(spelt, kind=_Kind.EnumMember, detail=str(values[key]), sort_text=f"{place:05}")
        for place, (key, spelt) in enumerate(found.type.spelling.items())
    ]


def _member_items(known: Known, seen: View, *, is_own: bool) -> list[lsp.CompletionItem]:
    if isinstance(known, Namespace):
        return [_item(symbol, seen, 1) for symbol in known.symbols.values()]
    type_ = cursor.type_of(known)
    if isinstance(known, TypeName):
        return _enum_items_of(type_)
    if isinstance(type_, Structure):
        return [_item(field, seen, 1) for field in type_.fields.values()]
    if not isinstance(type_, Block):
        return []
    items: dict[str, lsp.CompletionItem] = {}
    for block in (*type_.lineage(), *type_.all_interfaces()):
        for variable in block.variables.values():
            if is_own or variable.section in _OUTSIDE or "PUBLIC" in variable.qualifiers:
                items.setdefault(variable.name.upper(), _item(variable, seen, 1))
        reachable: tuple[Routine | PropertySymbol, ...] = (
            *block.methods.values(),
            *block.properties.values(),
        )
        for one in reachable:
            if is_own or _HIDDEN.isdisjoint(one.modifiers):
                items.setdefault(one.name.upper(), _item(one, seen, 2))
        for action in block.actions.values():
            items.setdefault(action.name.upper(), _item(action, seen, 2))
    return list(items.values())


def _enum_items_of(type_: object) -> list[lsp.CompletionItem]:
    if not isinstance(type_, Enumeration):
        return []
    return [lsp.CompletionItem(name, kind=_Kind.EnumMember) for name in type_.spelling.values()]


def _parameter_items(known: Known | None) -> list[lsp.CompletionItem]:
    shown = wording.signature(known) if known is not None else None
    if shown is None:
        return []
    return [
        lsp.CompletionItem(
            f"{name} {'=>' if text.startswith('=>') else ':='} ",
            kind=_Kind.Field,
            detail=text,
            filter_text=name,
            sort_text=f"0{place:03}",
        )
        for place, (name, text) in enumerate(zip(shown.names, shown.parameters, strict=True))
        if name
    ]


def signature_help(seen: View, path: str, now: Text, position: lsp.Position) -> lsp.SignatureHelp | None:
    """The call that is being typed, with the parameter that is next."""
    offset = now.offset(position)
    before = cursor.read(now.text[:offset])
    call = before.call if isinstance(before, Cursor) else None
    if call is None:
        return None
    known = cursor.follow(call.callee, _scope(seen, path, now, offset))
    shown = wording.signature(known) if known is not None else None
    if shown is None:
        return None
    upper = [name.upper() for name in shown.names]
    active = upper.index(call.name) if call.name in upper else min(call.argument, max(0, len(upper) - 1))
    return lsp.SignatureHelp(
        signatures=[
            lsp.SignatureInformation(
                shown.label,
                documentation=shown.words,
                parameters=[lsp.ParameterInformation(text) for text in shown.parameters],
            )
        ],
        active_signature=0,
        active_parameter=active,
    )


def formatting(path: str, now: Text) -> list[lsp.TextEdit] | None:
    """The edit that gives a text its one layout: only the lines that change. None where it has errors."""
    diagnostics = Diagnostics()
    parsed = parse(Source(path, now.text), diagnostics)
    if diagnostics.has_errors:
        return None
    new = format_source(parsed)
    if new == now.text:
        return []
    old_lines, new_lines = now.text.splitlines(keepends=True), new.splitlines(keepends=True)
    most = min(len(old_lines), len(new_lines))
    first = next((at for at in range(most) if old_lines[at] != new_lines[at]), most)
    last = next((at for at in range(most - first) if old_lines[-1 - at] != new_lines[-1 - at]), most - first)
    start = sum(map(len, old_lines[:first]))
    end = len(now.text) - sum(map(len, old_lines[len(old_lines) - last :]))
    changed = "".join(new_lines[first : len(new_lines) - last])
    return [lsp.TextEdit(lsp.Range(now.position(start), now.position(end)), changed)]
