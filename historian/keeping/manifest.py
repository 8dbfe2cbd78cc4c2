"""What a backup holds: its manifest (docs/formats/history.md, "Backup")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from historian.errors import HistoryError
from historian.keeping.copying import Stamp

NAME = "manifest.json"
FORMAT = 1
BESIDE = "beside"  # in a backup: files of the state folder that stand beside history, and belong to it
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


class NotABackup(HistoryError):  # noqa: N818 - reads as the claim it makes
    """A folder or file that is no backup, or not a whole one; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a backup. ``stamp`` is what its source looked like, None where it is to be copied every time."""

    size: int
    sha256: str
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """``begun_at`` and ``taken_at`` (UTC ns): every change acknowledged by then is in the files, by name."""

    begun_at: int
    taken_at: int
    instance: int
    positions: Mapping[str, int]
    files: Mapping[str, Kept]

    @property
    def size(self) -> int:
        return sum(kept.size for kept in self.files.values())


def encode(manifest: Manifest) -> bytes:
    return orjson.dumps({"format": FORMAT, **asdict(manifest)}, option=orjson.OPT_INDENT_2) + b"\n"


def decode(data: bytes, where: str) -> Manifest:
    """Raises NotABackup."""
    try:
        found = orjson.loads(data)
        if found["format"] != FORMAT:
            raise NotABackup(f"{where} is of version {found['format']}; this program reads version {FORMAT}")
        files = {
            name: Kept(one["size"], one["sha256"], Stamp(**one["stamp"]) if one["stamp"] else None)
            for name, one in found["files"].items()
        }
        manifest = Manifest(
            found["begun_at"], found["taken_at"], found["instance"], found["positions"], files
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise NotABackup(f"{where} is not a backup's manifest: {error}") from error
    for name in files:
        if not _SAFE_NAME.fullmatch(name) or ".." in name.split("/"):
            raise NotABackup(f"{where} names {name!r}, which is no file of a history folder")
    return manifest


def read(directory: Path) -> Manifest:
    """Raises NotABackup, OSError."""
    path = directory / NAME
    try:
        return decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise NotABackup(f"{directory} is no backup: it has no {NAME}") from None
