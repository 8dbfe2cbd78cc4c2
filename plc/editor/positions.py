"""Places as the protocol counts them: lines from 0, columns in the code units that both sides agreed on."""

from __future__ import annotations

import re
from bisect import bisect_right

from lsprotocol import types as lsp

from plc.language.source import Span

_LINE_END = re.compile(r"\r\n|\n|\r")  # only these three end a line (LSP 3.17, "Text Documents")


class Text:
    """A text with its lines. ``encoding`` is ``utf-8``, ``utf-16`` (the protocol's default) or ``utf-32``."""

    def __init__(self, text: str, encoding: str) -> None:
        self.text = text
        self.encoding = encoding
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        self._ends = [*(match.start() for match in _LINE_END.finditer(text)), len(text)]
        self._is_plain = text.isascii() or encoding == "utf-32"

    def position(self, offset: int) -> lsp.Position:
        """Where an offset is; offsets past the end are the end."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset) - 1
        return lsp.Position(line, self._units(self.text[self._starts[line] : offset]))

    def range(self, span: Span) -> lsp.Range:
        """From the start of a span to its end."""
        return lsp.Range(self.position(span.start), self.position(span.end))

    def offset(self, position: lsp.Position) -> int:
        """The offset of a place; a place past a line's end is its end, inside of a character its start."""
        if position.line >= len(self._starts):
            return len(self.text)
        start, end = self._starts[position.line], self._ends[position.line]
        if self._is_plain:
            return min(start + position.character, end)
        units = 0
        for offset in range(start, end):
            units += self._units(self.text[offset])
            if units > position.character:
                return offset
        return end

    def _units(self, piece: str) -> int:
        if self._is_plain:
            return len(piece)
        if self.encoding == "utf-8":
            return len(piece.encode("utf-8", "surrogatepass"))
        return len(piece.encode("utf-16-le", "surrogatepass")) // 2


def moved(offset: int, now: str, then: str) -> int:
    """Where an offset of the text as it is now was in an earlier state of it.

    Typing changes one place: what is before the place stays, what is behind it is shifted, what is in it was there
    where the change begins.
    """
    if now == then:
        return offset
    shorter = min(len(now), len(then))
    same_before = _common(now, then, shorter)
    if offset <= same_before:
        return offset
    same_after = _common(now[::-1], then[::-1], shorter - same_before)
    if offset >= len(now) - same_after:
        return offset - len(now) + len(then)
    return same_before


def _common(left: str, right: str, most: int) -> int:
    """How many characters are the same from the start on: halving, for slices compare fast."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
