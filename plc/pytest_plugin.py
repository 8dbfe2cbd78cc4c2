"""The pytest plugin (docs/test-bench.md): fixtures, tests in Structured Text, coverage, and what to see of a failure.

It is loaded by every pytest on the machine, so all that takes time to import comes when it is needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plc.testing.discovery import holds_tests, program_of

if TYPE_CHECKING:
    from plc.bench import Bench
    from plc.coverage.record import FileCoverage

Load = Callable[..., "Bench"]


@dataclass(slots=True)
class Run:
    """One run of pytest: every program that was loaded in it."""

    coverage: bool
    benches: list[Bench] = field(default_factory=list)
    programs: dict[tuple[Path, ...], Bench] = field(default_factory=dict)

    def load(self, *what: Any, **options: Any) -> Bench:
        """As `plc.load`, counted where the run counts."""
        from plc.bench import load

        bench = load(*what, **{"coverage": self.coverage, **options})
        if bench.symbols.coverage:
            self.benches.append(bench)
        return bench

    def program(self, files: list[Path]) -> Bench:
        """The program of test files, once for all of them."""
        key = tuple(files)
        if key not in self.programs:
            self.programs[key] = self.load(files)
        return self.programs[key]

    def files(self) -> list[FileCoverage]:
        """What ran of the user's own files."""
        from plc.coverage.record import merged
        from plc.library import FILES

        library = {str(path) for path in FILES}
        return [one for one in merged(bench.coverage() for bench in self.benches) if one.path not in library]


RUN = pytest.StashKey[Run]()
BENCHES = pytest.StashKey[list["Bench"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tieline", "coverage of Structured Text")
    group.addoption(
        "--plc-coverage", action="store_true", help="count what runs of Structured Text, and tell"
    )
    group.addoption("--plc-coverage-html", metavar="DIR", help="write pages with the lines marked")
    group.addoption("--plc-coverage-lcov", metavar="FILE", help="write LCOV's tracefile")
    group.addoption("--plc-coverage-json", metavar="FILE", help="write JSON")
    group.addoption(
        "--plc-coverage-fail-under", metavar="PERCENT", type=float, help="fail where fewer lines have run"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "plc(*sources, watch=(), **options): the program of the fixture `bench`, and what to trace in it",
    )
    wanted = ("plc_coverage", "plc_coverage_html", "plc_coverage_lcov", "plc_coverage_json")
    is_wanted = any(config.getoption(one) for one in wanted)
    config.stash[RUN] = Run(is_wanted or config.getoption("plc_coverage_fail_under") is not None)


# ── fixtures ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def plc_load(request: pytest.FixtureRequest) -> Load:
    """`plc.load`: paths count from the test's own folder, coverage is counted, watched variables are told on failure.

    ``watch``: paths of variables whose last changes are shown where the test fails.
    """
    folder = request.path.parent
    run = request.config.stash[RUN]
    benches = request.node.stash.setdefault(BENCHES, [])

    def beside(one: Any) -> Any:
        if isinstance(one, str) and ("\n" in one or ";" in one):
            return one
        if isinstance(one, (str, os.PathLike)):
            return folder / one if (folder / one).exists() else one
        return [beside(each) for each in one]

    def load(*what: Any, watch: tuple[str, ...] | list[str] = (), **options: Any) -> Bench:
        bench = run.load(*(beside(one) for one in what), **options)
        bench.watch(*watch)
        benches.append(bench)
        return bench

    return load


@pytest.fixture
def bench(request: pytest.FixtureRequest, plc_load: Load) -> Bench:
    """The program of the nearest ``@pytest.mark.plc("pump.st", watch=["main.motor"])``, started cold."""
    marker = request.node.get_closest_marker("plc")
    if marker is None:
        raise pytest.UsageError('the fixture `bench` needs a program: @pytest.mark.plc("pump.st")')
    return plc_load(*marker.args, **marker.kwargs)


# ── tests in Structured Text ─────────────────────────────────────────────────────────────────────────────────────
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return StructuredTextFile.from_parent(parent, path=file_path) if holds_tests(file_path) else None


class StructuredTextFile(pytest.File):
    """A file with ``{test}``."""

    def collect(self) -> Iterator[pytest.Item]:
        run = self.config.stash[RUN]
        bench = run.program(program_of(self.path))
        files = [Path(one).resolve() for one in bench.symbols.files]
        for test in bench.symbols.tests:
            if files[test["file"]] == self.path.resolve():
                yield StructuredTextTest.from_parent(self, name=test["name"], bench=bench, line=test["line"])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]  # as pytest's own collectors have it
        from plc.compiler.refusals import CompileFault
        from plc.language.diagnostics import Diagnostic, as_text
        from plc.sources import NoSourcesError

        if isinstance(excinfo.value, CompileFault):
            problems = [one for one in excinfo.value.diagnostics if one.severity == "error"]
            return "\n".join(as_text(one) if isinstance(one, Diagnostic) else str(one) for one in problems)
        if isinstance(excinfo.value, NoSourcesError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class StructuredTextTest(pytest.Item):
    """One ``{test}``."""

    def __init__(self, *, bench: Bench, line: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.bench = bench
        self.line = line
        self.funcargs: dict[
            str, Any
        ] = {}  # plugins look for it (pytest-lsp breaks without), as every test has it

    def runtest(self) -> None:
        self.bench.run_test(self.name)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from plc.bench import RunTimeFault
        from plc.testing.words import fault_text

        if isinstance(excinfo.value, RunTimeFault):
            return fault_text(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, self.name


# ── what to see of a failure ─────────────────────────────────────────────────────────────────────────────────────
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]  # a wrapper's yield gives the result
    if report.failed:
        from plc.bench import RunTimeFault
        from plc.testing.words import fault_text, trace_text

        error = None if call.excinfo is None else call.excinfo.value
        if isinstance(error, RunTimeFault) and not isinstance(item, StructuredTextTest):
            report.sections.append(("Structured Text", fault_text(error)))
        for bench in item.stash.get(BENCHES, []):
            trace = trace_text(bench.trace())
            if trace:
                report.sections.append(("trace of the watched variables", trace))
    return report  # type: ignore[return-value]  # likewise


# ── coverage ─────────────────────────────────────────────────────────────────────────────────────────────────────
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    least = session.config.getoption("plc_coverage_fail_under")
    if least is not None and exitstatus == pytest.ExitCode.OK and _line_percent(session.config) < least:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    run = config.stash[RUN]
    if not run.coverage:
        return
    files = run.files()
    terminalreporter.section("coverage of Structured Text")
    if not files:
        terminalreporter.line("no program was loaded by plc_load, bench or a {test}")
        return
    from plc.coverage.report import as_table

    terminalreporter.line(as_table(files))
    for line in written_reports(files, config):
        terminalreporter.line(line)
    least = config.getoption("plc_coverage_fail_under")
    if least is not None and _line_percent(config) < least:
        terminalreporter.line(
            f"{_line_percent(config):.1f} % of the lines have run, {least:g} % are wanted", red=True
        )


def written_reports(files: list[FileCoverage], config: pytest.Config) -> Iterator[str]:
    """Write what was asked for; a line for each."""
    from plc.coverage.html import write_html
    from plc.coverage.report import as_json, as_lcov

    html, lcov, plain = (config.getoption(f"plc_coverage_{one}") for one in ("html", "lcov", "json"))
    if html:
        yield f"pages: {write_html(files, Path(html))}"
    if lcov:
        Path(lcov).write_text(as_lcov(files), encoding="utf-8")
        yield f"LCOV: {lcov}"
    if plain:
        Path(plain).write_text(json.dumps(as_json(files), indent=1) + "\n", encoding="utf-8")
        yield f"JSON: {plain}"


def _line_percent(config: pytest.Config) -> float:
    from plc.coverage.record import rate

    files = config.stash[RUN].files()
    return 100 * rate(sum(one.lines_run for one in files), sum(len(one.lines) for one in files))
