"""``tieline plc check``: every fault of a program."""

from __future__ import annotations

import argparse

from plc.commands.common import (
    CLEAN,
    FAULTY,
    USAGE,
    print_json,
    print_problems,
    problems_json,
    read,
    summary,
)
from plc.language.analysis import analyse
from plc.library import FILES
from plc.sources import files_in


def run_check(args: argparse.Namespace) -> int:
    """Exit status 0 without errors (warnings may be), 1 with some, 2 where a file can not be read."""
    sources = read(args.files, "check")
    if sources is None:
        return USAGE
    program = analyse(sources)
    named = {str(path) for path in files_in(args.files)}
    library = {str(path) for path in FILES} - named
    own = [one for one in sources if one.path not in library]
    problems = [
        one for one in program.diagnostics if one.span.source.path not in library or one.severity == "error"
    ]
    if args.format == "json":
        print_json({"files": [one.path for one in own], "problems": problems_json(problems)})
    else:
        print_problems(problems)
        print(summary(problems, len(own)))
    return FAULTY if program.has_errors else CLEAN
