"""``tieline plc test``: every test of Structured Text, those in Python and those in ST, run by pytest."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plc.commands.common import USAGE, complain, print_json

if TYPE_CHECKING:
    import pytest

_COVERAGE_FOLDER = "coverage"
_NO_TESTS = 5  # pytest's exit status


def run_test(args: argparse.Namespace) -> int:
    """pytest's exit status: 0 all passed, 1 some failed, 2 and above it could not run; 5 there are no tests."""
    if find_spec("pytest") is None:
        complain("test", "this needs pytest", 'pip install "tieline[testing]"')
        return USAGE
    import pytest

    missing = [path for path in args.paths if not path.exists()]
    if missing:
        complain("test", f"{missing[0]}: there is no such file or folder")
        return USAGE
    results = _Results()
    arguments = _arguments(args)
    if args.format == "text":
        status = int(pytest.main(arguments))
        if status == _NO_TESTS:
            complain(
                "test",
                "there are no tests",
                "mark a FUNCTION_BLOCK {test}, or write test_*.py: docs/test-bench.md",
            )
        return status
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = int(pytest.main([*arguments, "-p", "no:cacheprovider"], plugins=[results]))
    if status not in (0, 1, _NO_TESTS):
        print(said.getvalue(), file=sys.stderr)
    print_json({"passed": status == 0, "tests": results.rows, "coverage": results.coverage})
    return status


def _arguments(args: argparse.Namespace) -> list[str]:
    found = ["-p", "plc.pytest_plugin", "--import-mode=importlib", *map(str, args.paths)]
    found += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of an editable install's own loader
    if args.only:
        found += ["-k", args.only]
    if args.stop:
        found.append("-x")
    if args.junit:
        found.append(f"--junit-xml={args.junit}")
    if args.coverage is not None:
        found.append("--plc-coverage")
    if args.coverage:
        folder = Path(args.coverage)
        found += [
            f"--plc-coverage-html={folder}",
            f"--plc-coverage-lcov={folder / 'lcov.info'}",
            f"--plc-coverage-json={folder / 'coverage.json'}",
        ]
    if args.fail_under is not None:
        found.append(f"--plc-coverage-fail-under={args.fail_under}")
    return found


class _Results:
    """A plugin that keeps what became of each test."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.coverage: dict[str, Any] | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            path, line, name = report.location
            self.rows.append(
                {
                    "test": report.nodeid,
                    "name": name,
                    "file": path,
                    "line": None if line is None else line + 1,
                    "outcome": report.outcome,
                    "seconds": round(report.duration, 4),
                    "why": None if report.outcome == "passed" else report.longreprtext,
                    "sections": dict(report.sections),
                }
            )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.rows.append({"test": report.nodeid, "outcome": "error", "why": report.longreprtext})

    def pytest_terminal_summary(self, config: pytest.Config) -> None:
        from plc.coverage.report import as_json
        from plc.pytest_plugin import RUN

        if config.stash[RUN].coverage:
            self.coverage = as_json(config.stash[RUN].files())
