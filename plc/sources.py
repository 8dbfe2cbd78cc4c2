"""The sources of a program as people name them: files, folders, and the blocks of the library that they use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from plc.language import ast, twincat
from plc.language.analysis import read_source
from plc.language.diagnostics import Diagnostics
from plc.language.parser import parse
from plc.language.source import Source
from plc.library import FILES

PLAIN = (".st",)  # the suffixes that a folder is searched for
READABLE = (*PLAIN, *twincat.SUFFIXES)
_WORD = re.compile(r"[A-Za-z_]\w*")
_UNIT = re.compile(
    r"\b(?:FUNCTION_BLOCK|FUNCTION|PROGRAM|CLASS|INTERFACE)\s+(?:(?:ABSTRACT|FINAL|INTERNAL)\s+)*(\w+)",
    re.IGNORECASE,
)
_TYPES = re.compile(r"\bTYPE\b(.*?)\bEND_TYPE\b", re.IGNORECASE | re.DOTALL)
_FIELDS = re.compile(r"\b(STRUCT|UNION)\b.*?\bEND_\1\b", re.IGNORECASE | re.DOTALL)
_TYPE = re.compile(r"(\w+)\s*:(?!=)")


class NoSourcesError(ValueError):
    """There is nothing to read where somebody pointed."""


def files_in(paths: Iterable[Path], suffixes: tuple[str, ...] = READABLE) -> list[Path]:
    """Files as they are, folders as the files in them, sorted. Raises NoSourcesError, OSError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                one for one in path.rglob("*") if one.suffix.lower() in suffixes and one.is_file()
            )
            if not inside:
                raise NoSourcesError(f"there are no {suffixes[0]} files in {path}")
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def read_program(paths: Iterable[Path], suffixes: tuple[str, ...] = READABLE) -> list[Source]:
    """The files of a program, and what they use of the library. Raises NoSourcesError, OSError."""
    return with_library([read_source(one) for one in files_in(paths, suffixes)])


def with_library(sources: list[Source]) -> list[Source]:
    """The sources, with every file of the library before them whose blocks or types they name.

    What the sources declare themselves is theirs: the library's unit of that name stays away.
    """
    present = {Path(one.path).resolve() for one in sources}
    own = {name.upper() for one in sources for name in _declared(one.text)}
    waiting = {word.upper() for one in sources for word in _WORD.findall(one.text)} - own
    added: dict[Path, Source] = {}
    while waiting:
        files = {path for name in waiting for path in (_places().get(name),) if path is not None}
        new = sorted(path for path in files if path not in added and path.resolve() not in present)
        waiting = set()
        for path in new:
            added[path] = read_source(path)
            waiting |= {word.upper() for word in _WORD.findall(added[path].text)} - own
    return [*(added[path] for path in sorted(added)), *sources]


def _declared(text: str) -> list[str]:
    """The units and types that a text declares, without reading it properly: a program may have 10,000 lines."""
    types = [name for block in _TYPES.findall(text) for name in _TYPE.findall(_FIELDS.sub("", block))]
    return [*_UNIT.findall(text), *types]


@cache
def _places() -> dict[str, Path]:
    """The file of the library that declares a name in upper case."""
    found: dict[str, Path] = {}
    for path in FILES:
        for one in parse(read_source(path), Diagnostics()).file.declarations:
            match one:
                case ast.Unit():
                    found[one.name.key] = path
                case ast.TypeBlock():
                    found |= {type_.name.key: path for type_ in one.types}
    return found
