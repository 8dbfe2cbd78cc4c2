"""``tieline plc doc``: documentation from comments."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from plc.commands.common import CLEAN, USAGE, complain
from plc.documentation import as_html, as_markdown, entries
from plc.language.analysis import read_source
from plc.sources import NoSourcesError, files_in


def run_doc(args: argparse.Namespace) -> int:
    """Exit status 2 where a file can not be read or written."""
    try:
        sources = [read_source(one) for one in files_in(args.files)]
        root = os.path.commonpath([Path(one.path).resolve().parent for one in sources])
        found = [(os.path.relpath(Path(one.path).resolve(), root), entries(one)) for one in sources]
        is_html = args.out is not None and args.out.suffix.lower() in (".html", ".htm")
        text = (as_html if is_html else as_markdown)(args.title, found)
        if args.out is None:
            sys.stdout.write(text)
        else:
            args.out.write_text(text, encoding="utf-8")
            print(args.out)
    except OSError as error:
        complain("doc", f"{error.filename}: {error.strerror}")
        return USAGE
    except NoSourcesError as error:
        complain("doc", str(error))
        return USAGE
    return CLEAN
