"""``tieline plc lsp``: the language server for editors."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

USAGE = 2  # exit status


def add_lsp(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lsp`` to the subcommands of ``tieline plc``."""
    lsp = subparsers.add_parser(
        "lsp", help="serve an editor over the Language Server Protocol, on stdin and stdout"
    )
    lsp.add_argument("--stdio", action="store_true", help="the only way there is; editors like to say it")
    lsp.set_defaults(run=run_lsp)


def run_lsp(args: argparse.Namespace) -> int:
    """Until the editor says so, or goes away."""
    if find_spec("pygls") is None:
        print('tieline plc lsp: this needs more: pip install "tieline[editor]"', file=sys.stderr)
        return USAGE
    from plc.editor.server import make_server  # an optional part, and slow to import

    make_server().start_io()
    return 0
