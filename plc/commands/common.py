"""What the subcommands share: reading sources, telling problems, exit statuses."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from plc.compiler.refusals import Refusal
from plc.language.diagnostics import Diagnostic, as_json, as_text
from plc.language.source import Source
from plc.sources import READABLE, NoSourcesError, read_program

CLEAN, FAULTY, USAGE = 0, 1, 2  # exit statuses
Problem = Diagnostic | Refusal


def read(paths: list[Path], command: str, suffixes: tuple[str, ...] = READABLE) -> list[Source] | None:
    """The sources and what they use of the library; ``None`` where that can not be read, which is said."""
    try:
        return read_program(paths, suffixes)
    except OSError as error:
        complain(command, f"{error.filename}: {error.strerror}")
    except NoSourcesError as error:
        complain(command, str(error))
    return None


def complain(command: str, why: str, mend: str | None = None) -> None:
    """An error on stderr: where, what, how to mend it."""
    print(f"tieline plc {command}: {why}", file=sys.stderr)
    if mend is not None:
        print(f"  mend: {mend}", file=sys.stderr)


def print_problems(problems: Sequence[Problem], file: Any = None) -> None:
    """Each with its line and a caret."""
    out = sys.stdout if file is None else file
    for one in problems:
        print(as_text(cast(Diagnostic, one), colour=out.isatty()), file=out)  # a refusal is shaped as one


def problems_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [as_json(cast(Diagnostic, one)) for one in problems]


def summary(problems: Sequence[Problem], files: int) -> str:
    """``2 files: 0 errors, 1 warning``."""
    errors = sum(one.severity == "error" for one in problems)
    return f"{count(files, 'file')}: {count(errors, 'error')}, {count(len(problems) - errors, 'warning')}"


def count(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def print_json(report: object) -> None:
    """A report as JSON on stdout."""
    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()
