"""The front end as one function: sources in, a checked and typed program with all its problems out.

What the code generator reads of a ``Program``: ``types`` (structures, enumerations), ``globals``, ``blocks`` (each
with its variables, methods, properties, actions and typed body; bases come as ``block.base``), ``functions``, and
``configurations``. All names are resolved, all conversions explicit, all constants folded (see ``typed``). Standard
functions appear as ``typed.StandardCall`` and ``typed.Convert``; standard blocks as blocks with ``is_standard``.
``references`` tells what every name in the text means, for editors. A program with errors is for reading only.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plc.language import ast, twincat
from plc.language.configuration import Configuration, Setting, check_configuration, check_settings
from plc.language.declare import Declarations, UnitScope, standard_blocks
from plc.language.diagnostics import Diagnostic, Diagnostics, in_reading_order
from plc.language.flow import check_program
from plc.language.inheritance import check_block
from plc.language.parser import Parsed, parse
from plc.language.scope import Found
from plc.language.source import Source, Span
from plc.language.statements import BodyChecker
from plc.language.symbols import Block, EnumMember, Namespace, Routine, TypeName, Variable
from plc.language.twincat import drawn_bodies, structured_text


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in the text and what it means."""

    span: Span
    symbol: Found | EnumMember


@dataclass(frozen=True, slots=True)
class Program:
    """Everything that the sources declare, in the order of the text."""

    sources: tuple[Source, ...]
    files: tuple[Parsed, ...]
    root: Namespace
    types: tuple[TypeName, ...]
    globals: tuple[Variable, ...]
    blocks: tuple[Block, ...]
    functions: tuple[Routine, ...]
    configurations: tuple[Configuration, ...]
    settings: tuple[Setting, ...]  # of programs that no configuration runs
    references: tuple[Reference, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def has_errors(self) -> bool:
        """Whether it can not be compiled."""
        return any(one.severity == "error" for one in self.diagnostics)

    @property
    def programs(self) -> list[Block]:
        """The PROGRAM units."""
        return [block for block in self.blocks if block.kind is ast.UnitKind.PROGRAM]


def analyse(sources: Iterable[Source]) -> Program:
    """Read, declare and check all sources as one program."""
    with _without_collection():
        return _analyse(tuple(sources))


def analyse_files(paths: Iterable[Path]) -> Program:
    """The same for files; raises OSError where one can not be read. Bytes that are no UTF-8 count as Latin-1."""
    return analyse(read_source(path) for path in paths)


def read_source(path: Path, library: str = "") -> Source:
    """A file's text; old tools wrote Latin-1, TwinCAT writes XML."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return source_of(str(path), text, library)


def source_of(path: str, text: str, library: str = "") -> Source:
    """A text as the suffix of its path says that it is to be read."""
    if not path.lower().endswith(twincat.SUFFIXES):
        return Source(path, text, library=library)
    return Source(path, structured_text(text), library=library, is_lenient=True, drawn=drawn_bodies(text))


@contextmanager
def _without_collection() -> Iterator[None]:
    """A tree is all growth and no garbage: the collector would walk it again and again (half of the time)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _analyse(sources: tuple[Source, ...]) -> Program:
    diagnostics = Diagnostics()
    files = tuple(parse(source, diagnostics) for source in sources)
    declarations = Declarations(diagnostics, standard_blocks())
    declarations.declare(parsed.file for parsed in files)
    declarations.settle_initials()
    declarations.link_externals()
    for unit_scope in declarations.units:
        _check_body(unit_scope, declarations)
    for block in declarations.blocks:
        check_block(block, diagnostics)
    loose = tuple(syntax for syntax, _ in declarations.settings)
    configurations = tuple(
        check_configuration(syntax, scope, declarations, () if number else loose)
        for number, (syntax, scope) in enumerate(declarations.configurations)
    )
    settings: tuple[Setting, ...] = ()
    if loose and not configurations:
        programs = tuple(one for one in declarations.blocks if one.kind is ast.UnitKind.PROGRAM)
        settings = check_settings(loose, programs, declarations.settings[0][1], declarations)
    check_program(declarations)
    return Program(
        sources,
        files,
        declarations.root,
        tuple(declarations.types),
        tuple(declarations.globals),
        tuple(declarations.blocks),
        tuple(declarations.functions),
        configurations,
        settings,
        tuple(Reference(span, symbol) for span, symbol in declarations.uses),
        tuple(in_reading_order(diagnostics.found, sources)),
    )


def _check_body(unit_scope: UnitScope, declarations: Declarations) -> None:
    unit = unit_scope.unit
    checker = BodyChecker(declarations, unit_scope.scope)
    syntax = unit.syntax
    assert syntax is not None
    unit.body = checker.body(syntax.body)
