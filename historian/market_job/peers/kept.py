"""What a market keeps of other sites beside its ledger, as it is in no ledger: one JSON file, replaced whole.

``{"format": 1, "ledgers": {NAME: id in hex}, "waiting": [a `submit` line of formats/market.md, …]}``: the ledgers of
the others as they were first told, and members' acceptances that wait for another site's answer.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from historian.ledger.bundle import Bundle
from historian.market_job import wire
from historian.store.durable import set_aside, sync_directory

log = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """The file's content."""

    ledgers: Mapping[str, bytes]
    waiting: tuple[Bundle, ...]


def file_of(ledger: Path) -> Path:
    """Where it is."""
    return ledger.with_name(f"{ledger.name}.peers")


def recall(path: Path) -> Kept:
    """What was kept; nothing where there is no file, or none of ours: that is set aside. Raises OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, not {FORMAT}")
        ledgers = {str(name): bytes.fromhex(id) for name, id in content["ledgers"].items()}
        return Kept(ledgers, tuple(map(_bundle, content["waiting"])))
    except FileNotFoundError:
        return Kept({}, ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error(
            "%s cannot be read (%s): it is set aside. Acceptances that waited are to be said again",
            path,
            error,
        )
        set_aside(path)
        return Kept({}, ())


def keep(path: Path, ledgers: Mapping[str, bytes], waiting: Iterable[Bundle]) -> None:
    """Replace the file; it is on the disk when this returns. Raises OSError."""
    content = {
        "format": FORMAT,
        "ledgers": {name: id.hex() for name, id in sorted(ledgers.items())},
        "waiting": [wire.encode_request(wire.Submit("waiting", bundle)).decode() for bundle in waiting],
    }
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as opened:
        json.dump(content, opened)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(path)
    sync_directory(path.parent)


def _bundle(line: str) -> Bundle:
    try:
        request = wire.decode_request(line.encode())
    except wire.WireError as error:
        raise ValueError(error.why) from error
    if not isinstance(request, wire.Submit):
        raise ValueError("an acceptance that is no request to submit one")
    return request.bundle
