"""``tieline plc``: what can be done with Structured Text from the command line.

Only arguments are here: what a subcommand does is imported when it runs, for a compiler takes time to load.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from gateway.config.place import add_place
from plc.editor.cli import add_lsp

Commands = argparse._SubParsersAction  # argparse has no public name for it
FILES_WORDS = "a file, or a folder of .st files"


def add_commands(subparsers: Commands[argparse.ArgumentParser]) -> None:
    """Add ``plc`` with its subcommands to ``tieline``'s parser."""
    plc = subparsers.add_parser("plc", help="Structured Text: check, test, run, watch, force, trace, change")
    commands = plc.add_subparsers(metavar="COMMAND", required=True)
    _add_offline(commands)
    _add_run(commands)
    _add_looking(commands)
    _add_acting(commands)
    add_lsp(commands)


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A function of plc.commands, imported when it is called."""

    def run(args: argparse.Namespace) -> int:
        status = getattr(import_module(f"plc.commands.{module}"), function)(args)
        assert isinstance(status, int)
        return status

    return run


def _add(commands: Commands[argparse.ArgumentParser], name: str, words: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words)
    parser.set_defaults(run=_later(name, f"run_{name}"))
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=FILES_WORDS)


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how it is printed")


# ── without a running program ────────────────────────────────────────────────────────────────────────────────────
def _add_offline(commands: Commands[argparse.ArgumentParser]) -> None:
    check = _add(commands, "check", "find every fault in Structured Text, all files as one program")
    _add_files(check)
    _add_format(check)
    fmt = _add(commands, "fmt", "give Structured Text its one layout, in place")
    _add_files(fmt)
    fmt.add_argument("--check", action="store_true", help="change nothing; exit with 1 where something would")
    test = _add(commands, "test", "run tests: test_*.py with pytest, and units marked {test} in .st files")
    test.add_argument("paths", type=Path, nargs="*", metavar="PATH", help="files or folders (default: here)")
    test.add_argument(
        "-k", metavar="EXPRESSION", dest="only", help="only tests whose names match, as in pytest"
    )
    test.add_argument("-x", "--stop", action="store_true", help="stop at the first that fails")
    coverage_words = "tell what ran; with a folder: pages, lcov.info and coverage.json in it"
    test.add_argument("--coverage", nargs="?", const="", metavar="DIR", help=coverage_words)
    test.add_argument("--fail-under", type=float, metavar="PERCENT", help="fail where fewer lines have run")
    test.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit's XML")
    _add_format(test)
    build = _add(commands, "compile", "make C, a shared object and the table of symbols")
    _add_files(build)
    build.add_argument(
        "-o", "--out", type=Path, default=Path("build"), metavar="DIR", help="where they go (default: build)"
    )
    build.add_argument(
        "--no-checks", action="store_true", help="leave the run-time checks out, to measure them"
    )
    _add_format(build)
    doc = _add(commands, "doc", "write documentation from the comments in Structured Text")
    _add_files(doc)
    doc.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="a .md or .html (default: Markdown, printed)"
    )
    doc.add_argument("--title", default="Reference", help="the page's heading")


def _add_run(commands: Commands[argparse.ArgumentParser]) -> None:
    run = _add(commands, "run", "run a program alone, in real time, and show its values")
    _add_files(run)
    run.add_argument("--for", type=float, metavar="SECONDS", dest="seconds", help="end after so long")
    run.add_argument(
        "--watch", action="append", default=[], metavar="PATH", help="a variable or block to show"
    )
    run.add_argument(
        "--every", type=float, metavar="SECONDS", help="a line of values each so often (no screen)"
    )
    run.add_argument("--cold", action="store_true", help="retained variables begin anew too")
    run.add_argument(
        "--watchdog-ms", type=int, default=1000, metavar="MS", help="longest scan (default: 1000)"
    )
    run.add_argument(
        "--priority", type=int, default=0, metavar="0..98", help="real-time priority (default: none)"
    )
    run.add_argument(
        "--state", type=Path, metavar="DIR", help="keep retained variables here, for the next run"
    )
    _add_format(run)


# ── with one ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _add_online(
    commands: Commands[argparse.ArgumentParser], name: str, words: str, *, is_dangerous: bool = False
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words)
    parser.set_defaults(run=_later("online", "run_online"), act=name)
    add_place(parser)
    if is_dangerous:
        parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _add_looking(commands: Commands[argparse.ArgumentParser]) -> None:
    _add_format(_add_online(commands, "status", "tell how the running program is"))
    watch = _add_online(commands, "watch", "show variables of the running program until Ctrl-C")
    watch.add_argument("paths", nargs="+", metavar="PATH", help="a variable, or a block, structure or array")
    watch.add_argument("--once", action="store_true", help="show them once")
    watch.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often (default: 1)")
    watch.add_argument("--for", type=float, metavar="SECONDS", dest="seconds", help="end after so long")
    _add_format(watch)
    _add_format(_add_online(commands, "forces", "list what is forced"))
    trace = _add_online(commands, "trace", "record variables after every scan, around a trigger")
    trace.add_argument("paths", nargs="+", metavar="PATH", help="up to 16 variables")
    trace.add_argument(
        "--trigger",
        metavar="CONDITION",
        help="'main.x > 0.5', '<', '<>' (either way), main.motor, '!main.motor'",
    )
    trace.add_argument(
        "--before", default="500ms", metavar="TIME", help="how much before it: 200ms, or scans"
    )
    trace.add_argument("--after", default="1500ms", metavar="TIME", help="how much from it on")
    trace.add_argument("--task", metavar="NAME", help="after whose scans (default: the fastest)")
    trace.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="longest wait (default: 60)"
    )
    out_words = ".csv, .png or .parquet; may be repeated"
    trace.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help=out_words)
    _add_format(trace)


def _add_acting(commands: Commands[argparse.ArgumentParser]) -> None:
    write = _add_online(
        commands, "write", "set variables once; the program may write over them", is_dangerous=True
    )
    write.add_argument(
        "values", nargs="+", metavar="PATH=VALUE", help="main.x=1.5 main.mode=Auto main.t=T#5s"
    )
    force = _add_online(commands, "force", "hold variables at values until unforce", is_dangerous=True)
    force.add_argument("values", nargs="+", metavar="PATH=VALUE", help="main.level=1.5")
    unforce = _add_online(commands, "unforce", "let forced variables go", is_dangerous=True)
    unforce.add_argument("paths", nargs="*", metavar="PATH")
    unforce.add_argument("--all", action="store_true", help="every one")
    change = _add_online(commands, "change", "go over to a changed program without a stop", is_dangerous=True)
    words = f"{FILES_WORDS}; of a site its own programs are taken"
    change.add_argument("files", nargs="*", type=Path, metavar="FILE", help=words)
    start = _add_online(commands, "start", "let a stopped program run", is_dangerous=True)
    start.add_argument("how", nargs="?", choices=("cold", "warm", "hot"), default="warm")
    _add_online(commands, "stop", "stop the program; its outputs take their safe values", is_dangerous=True)
