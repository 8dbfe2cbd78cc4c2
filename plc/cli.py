"""``tieline plc``: what can be done with Structured Text from the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from plc.editor.cli import add_lsp
from plc.language import twincat
from plc.language.analysis import analyse, read_source
from plc.language.diagnostics import Diagnostic, Diagnostics, as_json, as_text
from plc.language.formatter import format_source
from plc.language.parser import parse
from plc.language.problems import Severity
from plc.language.source import Source

CLEAN, FAULTY, USAGE = 0, 1, 2  # exit statuses
PLAIN = (".st",)  # the suffixes that a folder is searched for
READABLE = (*PLAIN, *twincat.SUFFIXES)


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``plc`` with its subcommands to ``tieline``'s parser."""
    plc = subparsers.add_parser("plc", help="check, format and edit Structured Text")
    commands = plc.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="find every fault in Structured Text, all files as one program")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file, or a folder of .st files")
    check.add_argument("--format", choices=("text", "json"), default="text", help="how problems are printed")
    check.set_defaults(run=run_check)
    fmt = commands.add_parser("fmt", help="give Structured Text its one layout, in place")
    fmt.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file, or a folder of .st files")
    fmt.add_argument("--check", action="store_true", help="change nothing; exit with 1 where something would")
    fmt.set_defaults(run=run_fmt)
    add_lsp(commands)


def run_check(args: argparse.Namespace) -> int:
    """Exit status 0 without errors (warnings may be), 1 with some, 2 where a file can not be read."""
    sources = _read(args.files, "check", READABLE)
    if sources is None:
        return USAGE
    program = analyse(sources)
    if args.format == "json":
        _print_json(
            {"files": [one.path for one in sources], "problems": list(map(as_json, program.diagnostics))}
        )
    else:
        _print_problems(program.diagnostics)
        print(_summary(program.diagnostics, len(sources)))
    return FAULTY if program.has_errors else CLEAN


def run_fmt(args: argparse.Namespace) -> int:
    """Exit status 1 where a file has faults and so stays as it is, or with ``--check`` where one would change."""
    sources = _read(args.files, "fmt", PLAIN)
    if sources is None:
        return USAGE
    wrapped = [one.path for one in sources if Path(one.path).suffix.lower() in twincat.SUFFIXES]
    if wrapped:
        print(f"tieline plc fmt: {wrapped[0]}: this is XML, only plain text is formatted", file=sys.stderr)
        return USAGE
    status = CLEAN
    for source in sources:
        diagnostics = Diagnostics()
        parsed = parse(source, diagnostics)
        if diagnostics.has_errors:
            errors = [one for one in diagnostics.found if one.severity is Severity.ERROR]
            _print_problems(errors, file=sys.stderr)
            status = FAULTY
            continue
        text = format_source(parsed)
        if text == source.text:
            continue
        print(f"{source.path}: {'would change' if args.check else 'formatted'}")
        if args.check:
            status = FAULTY
        else:
            Path(source.path).write_text(text, encoding="utf-8", newline="\n")
    return status


def _read(paths: list[Path], command: str, suffixes: tuple[str, ...]) -> list[Source] | None:
    sources: list[Source] = []
    for path in paths:
        try:
            found = (
                [one for one in path.rglob("*") if one.suffix.lower() in suffixes]
                if path.is_dir()
                else [path]
            )
            sources.extend(read_source(one) for one in sorted(found))
        except OSError as error:
            print(f"tieline plc {command}: {error.filename}: {error.strerror}", file=sys.stderr)
            return None
    if not sources:
        print(f"tieline plc {command}: there are no .st files in {paths[0]}", file=sys.stderr)
        return None
    return sources


def _print_problems(problems: list[Diagnostic] | tuple[Diagnostic, ...], file: Any = None) -> None:
    out = sys.stdout if file is None else file
    for one in problems:
        print(as_text(one, colour=out.isatty()), file=out)


def _summary(problems: tuple[Diagnostic, ...], files: int) -> str:
    errors = sum(one.severity is Severity.ERROR for one in problems)
    return f"{_count(files, 'file')}: {_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print_json(report: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()
