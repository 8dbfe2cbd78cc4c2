"""What is done to a running program by hand goes into the site's audit trail, through the command router.

A program alone has no trail; neither has a site whose router does not answer, which is said and stops nobody: the
program must be mendable when the gateway is not.
"""

from __future__ import annotations

import getpass
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.config.paths import RunPaths
from plc.runtime.client import ScanError

PATIENCE_S = 5.0  # the router answers once the line is on the disk
_ANSWER_BYTES = 65_536
_OUTCOME_CHARACTERS = 500  # docs/formats/commands.md


@contextmanager
def noted(paths: RunPaths, did: str, values: Mapping[str, str]) -> Iterator[None]:
    """Note what is about to be done; where it fails, note that too."""
    _note(paths, did, values, "")
    try:
        yield
    except ScanError as error:
        _note(paths, did, values, f"failed: {error}")
        raise


def _note(paths: RunPaths, did: str, values: Mapping[str, str], outcome: str) -> None:
    if not paths.audit.exists():
        return  # a program alone
    note = {"user": _user(), "did": did, "values": dict(values), "outcome": outcome[:_OUTCOME_CHARACTERS]}
    why = _sent(paths, note)
    if why:
        print(f"this is not in the audit trail: {why}", file=sys.stderr)


def _sent(paths: RunPaths, note: dict[str, Any]) -> str:
    """Why it is not noted; empty where it is."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(paths.command_socket))
            connection.sendall(json.dumps({"note": note}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n") and len(answer) < _ANSWER_BYTES:
                piece = connection.recv(_ANSWER_BYTES)
                if not piece:
                    return "the command router ended the connection"
                answer += piece
        said = json.loads(answer)
        return str(said["noted"]["why"]) if "noted" in said else str(said)
    except (OSError, ValueError, KeyError) as error:
        return f"no command router answers at {paths.command_socket} ({error})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
