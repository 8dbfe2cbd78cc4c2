"""``tieline plc compile``: a program as C, a shared object and its table of symbols, in a folder."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from plc.commands.common import (
    CLEAN,
    FAULTY,
    USAGE,
    Problem,
    complain,
    print_json,
    print_problems,
    problems_json,
    read,
    summary,
)
from plc.compiler.build import Built, NoCompilerError, Options, build
from plc.compiler.refusals import CompileFault
from plc.language.analysis import analyse
from plc.language.source import Source
from plc.library import FILES


def run_compile(args: argparse.Namespace) -> int:
    """Exit status 1 where the program has errors, 2 where a file can not be read or written, or there is no cc."""
    sources = read(args.files, "compile")
    if sources is None:
        return USAGE
    built, problems = built_or_told(sources, "compile", Options(checks=not args.no_checks))
    written: dict[str, str] = {}
    if built is not None:
        try:
            written = _copied(built, args.out)
        except OSError as error:
            complain("compile", f"{error.filename}: {error.strerror}", "choose another folder with --out")
            return USAGE
    if args.format == "json":
        report = {
            "files": [one.path for one in sources],
            "problems": problems_json(problems),
            "written": written,
            "digest": built.digest if built else None,
            "tasks": built.symbols.tasks if built else [],
            "state_bytes": built.symbols.state_bytes if built else 0,
        }
        print_json(report)
    else:
        print_problems(problems, file=sys.stdout if built else sys.stderr)
        print(summary(problems, len(sources)))
        for path in written.values():
            print(path)
    if built is None:
        return FAULTY if problems else USAGE
    return CLEAN


def built_or_told(
    sources: list[Source], command: str, options: Options | None = None
) -> tuple[Built | None, list[Problem]]:
    """The built program and its warnings; ``None`` with the errors. A missing C compiler is said on stderr."""
    program = analyse(sources)
    library = {str(path) for path in FILES}
    problems: list[Problem] = [
        one for one in program.diagnostics if one.span.source.path not in library or one.severity == "error"
    ]
    if program.has_errors:
        return None, problems
    try:
        return build(sources, options), problems
    except CompileFault as fault:
        return None, [*problems, *fault.diagnostics]
    except NoCompilerError as error:
        complain(command, str(error))
        return None, []


def _copied(built: Built, folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "c": built.c,
        "shared_object": built.shared_object,
        "symbols": built.shared_object.with_name("symbols.json"),
    }
    return {key: str(shutil.copy(path, folder / path.name)) for key, path in files.items()}
