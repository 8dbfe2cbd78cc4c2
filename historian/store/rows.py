"""Samples of many tags in the order they were written: what a journal frame holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROW_BYTES = 24


@dataclass(frozen=True, slots=True)
class Rows:
    """Arrays of shape (n,); ``tags`` are catalogue ids, ``values`` raw bits (0 for a string).

    ``text_rows`` (m,), ascending, says which rows are strings; ``texts`` holds those.
    """

    tags: NDArray[np.uint32]
    statuses: NDArray[np.uint32]
    times: NDArray[np.int64]
    values: NDArray[np.uint64]
    text_rows: NDArray[np.uint32]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tags)

    @property
    def size(self) -> int:
        """Bytes it takes, near enough for a limit."""
        return len(self) * ROW_BYTES + sum(map(len, self.texts))

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows for which ``keep``, of shape (n,), is true."""
        texts = keep[self.text_rows]
        numbers = np.cumsum(keep) - 1
        return Rows(
            self.tags[keep],
            self.statuses[keep],
            self.times[keep],
            self.values[keep],
            numbers[self.text_rows[texts]].astype(np.uint32),
            tuple(text for text, is_kept in zip(self.texts, texts.tolist(), strict=True) if is_kept),
        )

    def texts_at(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The strings of ``rows``, all of which are strings."""
        out = np.empty(len(rows), object)
        for i, place in enumerate(np.searchsorted(self.text_rows, rows).tolist()):
            out[i] = self.texts[place]
        return out


NO_ROWS = Rows(
    np.empty(0, np.uint32),
    np.empty(0, np.uint32),
    np.empty(0, np.int64),
    np.empty(0, np.uint64),
    np.empty(0, np.uint32),
    (),
)


def join(pieces: Sequence[Rows]) -> Rows:
    """All rows in order."""
    if not pieces:
        return NO_ROWS
    if len(pieces) == 1:
        return pieces[0]
    starts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    return Rows(
        np.concatenate([piece.tags for piece in pieces]),
        np.concatenate([piece.statuses for piece in pieces]),
        np.concatenate([piece.times for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
        np.concatenate(
            [piece.text_rows + np.uint32(start) for piece, start in zip(pieces, starts, strict=True)]
        ),
        tuple(text for piece in pieces for text in piece.texts),
    )
