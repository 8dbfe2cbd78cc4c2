"""Source files and places in them: offsets everywhere, lines and columns only when somebody reads them."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class Position(NamedTuple):
    """A place as people count it: both from 1, columns in characters."""

    line: int
    column: int


class Source:
    """One text with the name it is reported under. Identity is what makes two sources the same.

    ``library``: the name of the library that it is part of, empty for the program itself. ``is_lenient``: written for
    a vendor's compiler that allows more than the standard; what it relies on is a warning, not an error. ``drawn``:
    from where to where a body stands that is drawn and so not in the text.
    """

    __slots__ = ("_line_starts", "drawn", "is_lenient", "library", "path", "text")

    def __init__(
        self,
        path: str,
        text: str,
        *,
        library: str = "",
        is_lenient: bool = False,
        drawn: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.path = path
        self.text = text
        self.library = library
        self.is_lenient = is_lenient
        self.drawn = drawn
        self._line_starts: list[int] | None = None

    def __repr__(self) -> str:
        return f"Source({self.path!r}, {len(self.text)} characters)"

    def position(self, offset: int) -> Position:
        """Where an offset is; offsets past the end are the end."""
        starts = self._starts()
        line = bisect_right(starts, min(offset, len(self.text)))
        return Position(line, min(offset, len(self.text)) - starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """The text of a line counted from 1, without its end."""
        starts = self._starts()
        start = starts[number - 1]
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def _starts(self) -> list[int]:
        if self._line_starts is None:
            starts = [0]
            found = self.text.find("\n")
            while found >= 0:
                starts.append(found + 1)
                found = self.text.find("\n", found + 1)
            self._line_starts = starts
        return self._line_starts


class Span(NamedTuple):
    """A piece of a source, from ``start`` up to but not including ``end``."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The piece itself."""
        return self.source.text[self.start : self.end]

    @property
    def position(self) -> Position:
        """Where it starts."""
        return self.source.position(self.start)

    def to(self, other: Span) -> Span:
        """From the start of this one to the end of the other."""
        return Span(self.source, self.start, other.end)
