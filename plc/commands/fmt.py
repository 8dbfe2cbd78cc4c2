"""``tieline plc fmt``: the one layout of Structured Text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plc.commands.common import CLEAN, FAULTY, USAGE, complain, print_problems
from plc.language import twincat
from plc.language.analysis import read_source
from plc.language.diagnostics import Diagnostics
from plc.language.formatter import format_source
from plc.language.parser import parse
from plc.language.problems import Severity
from plc.sources import PLAIN, NoSourcesError, files_in


def run_fmt(args: argparse.Namespace) -> int:
    """Exit status 1 where a file has faults and so stays as it is, or with ``--check`` where one would change."""
    try:
        sources = [read_source(one) for one in files_in(args.files, PLAIN)]
    except OSError as error:
        complain("fmt", f"{error.filename}: {error.strerror}")
        return USAGE
    except NoSourcesError as error:
        complain("fmt", str(error))
        return USAGE
    wrapped = [one.path for one in sources if Path(one.path).suffix.lower() in twincat.SUFFIXES]
    if wrapped:
        complain("fmt", f"{wrapped[0]}: this is XML, only plain text is formatted")
        return USAGE
    status = CLEAN
    for source in sources:
        diagnostics = Diagnostics()
        parsed = parse(source, diagnostics)
        if diagnostics.has_errors:
            errors = [one for one in diagnostics.found if one.severity is Severity.ERROR]
            print_problems(errors, file=sys.stderr)
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
