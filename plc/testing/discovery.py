"""Which files hold tests in Structured Text, and which sources are their program."""

from __future__ import annotations

import re
from glob import has_magic
from pathlib import Path

from plc.sources import NoSourcesError

SUFFIX = ".st"
_TEST = re.compile(rb"\{\s*test\s*\}", re.IGNORECASE)
_SOURCES = re.compile(r"\{\s*sources\s+'([^']*)'\s*\}", re.IGNORECASE)


def holds_tests(path: Path) -> bool:
    """Whether a file has a ``{test}``; one that can not be read has none."""
    if path.suffix.lower() != SUFFIX:
        return False
    try:
        return _TEST.search(path.read_bytes()) is not None
    except OSError:
        return False


def program_of(path: Path) -> list[Path]:
    """The files that are compiled with a test file: what its ``{sources '…'}`` names, else all of its folder.

    Raises NoSourcesError where a pattern finds nothing.
    """
    text = path.read_bytes().decode("utf-8", "replace")
    patterns = [one.strip() for match in _SOURCES.findall(text) for one in match.split(",") if one.strip()]
    folder = path.parent
    if not patterns:
        return sorted(one for one in folder.iterdir() if one.suffix.lower() == SUFFIX and one.is_file())
    found = {path.resolve(): path}
    for pattern in patterns:
        files = sorted(folder.glob(pattern)) if has_magic(pattern) else [folder / pattern]
        if not files or not all(one.is_file() for one in files):
            raise NoSourcesError(f"{path}: {{sources '{pattern}'}} finds no file")
        found |= {one.resolve(): one for one in files}
    return sorted(found.values())
