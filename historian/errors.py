"""What can go wrong with history.

HistoryError
├── DirectoryInUse    another historian has this folder
├── UnknownFormat     a file says it is of another version, or is no file of ours
├── NotASegment       a file of the journal whose first bytes are damaged
├── DamagedColumn     a blob whose CRC or shape is wrong
└── DamagedBlock      the same, with the file and the block it is in
"""

from __future__ import annotations

from pathlib import Path


class HistoryError(Exception):
    """Root of this package's exceptions."""


class DirectoryInUse(HistoryError):  # noqa: N818 - reads as the claim it makes
    """Another historian has this folder."""

    def __init__(self, directory: Path, holder: str) -> None:
        super().__init__(f"{directory} is in use by another historian: process {holder}")


class UnknownFormat(HistoryError):  # noqa: N818
    """A file says it is of another version, or is no file of ours."""


class NotASegment(HistoryError):  # noqa: N818
    """A file of the journal whose first bytes are damaged."""


class DamagedColumn(HistoryError):  # noqa: N818
    """A blob whose CRC or shape is wrong."""


class DamagedBlock(HistoryError):  # noqa: N818
    """A block that cannot be read; ``block`` is 0 where the whole file cannot be."""

    def __init__(self, file: Path, block: int, first_time: int, last_time: int, why: str) -> None:
        where = f"{file}, block {block}" if block else str(file)
        super().__init__(f"{where}: {why}")
        self.file = file
        self.block = block
        self.first_time = first_time
        self.last_time = last_time
