"""`tieline reload`, on the command line: asks the root of a running site, and prints what it answers."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import Any

from gateway.config.paths import RunPaths
from gateway.config.place import place_of
from gateway.node.reload import BUSY, DONE, FAULTY, PLANNED, UNCHANGED
from gateway.node.state import is_running, read_record

EXIT_FAULT = 1
ANSWER_PATIENCE_S = 900.0  # a check of up to 5 minutes, then every part in turn
READ_BYTES = 1 << 20


def run_reload(arguments: argparse.Namespace) -> int:
    """Exit status 0 where the site is now the one that runs (or could be, for a dry run), 1 where not, 2: usage."""
    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    record = read_record(paths)
    if record is None or not is_running(paths):
        print(f"no site runs in {paths.state}", file=sys.stderr)
        return EXIT_FAULT
    site = str(Path(arguments.site or record.file).absolute())
    try:
        answer = _ask(paths, {"site": site, "dry_run": arguments.dry_run})
    except (OSError, ValueError) as error:
        print(f"the site in {paths.state} does not answer: {error or 'it has ended'}", file=sys.stderr)
        return EXIT_FAULT
    is_well = answer["is"] in (DONE, UNCHANGED, PLANNED)
    if arguments.format == "json":
        print(json.dumps(answer, indent=1))
    else:
        print(answer["text"], end="", file=sys.stdout if is_well else sys.stderr)
        if answer["is"] in (FAULTY, BUSY):
            print("nothing was changed", file=sys.stderr)
    return 0 if is_well else EXIT_FAULT


def _ask(paths: RunPaths, request: dict[str, Any]) -> dict[str, Any]:
    """Raises OSError where the root cannot be reached, ValueError where it ends before it answered."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_PATIENCE_S)
        connection.connect(str(paths.node_socket))
        connection.sendall(json.dumps(request).encode() + b"\n")
        content = bytearray()
        while not content.endswith(b"\n"):
            piece = connection.recv(READ_BYTES)
            if not piece:
                raise ValueError("it ended before it answered")
            content += piece
    answer: dict[str, Any] = json.loads(content)
    return answer
