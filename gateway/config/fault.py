"""What is wrong in a site file: where it is, what was found there, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

MAX_FAULTS = 1_000  # more than anybody reads in one go; one slip in a template can be found 100,000 times
MAX_SPELLED = 64  # characters of a word for which a near one is sought: the search is quadratic
MAX_QUOTED = 40  # characters of a found value that a message repeats
NEAREST_CUTOFF = 0.6  # difflib's own default: one wrong letter in three is still recognised


class Place(NamedTuple):
    """A spot in a file; ``line`` and ``column`` count from 1, in characters. A tuple: a large site has millions."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend. ``found`` is a clause, ``mend`` an instruction, ``context`` says which device if any."""

    file: Path
    line: int
    column: int
    found: str
    mend: str
    context: str = ""

    def __str__(self) -> str:
        where = f" ({self.context})" if self.context else ""
        return f"{self.file}:{self.line}:{self.column}: {self.found}{where}: {self.mend}"


class SiteFaults(Exception):  # noqa: N818 - it is not one error but all of them
    """A site that cannot be used. ``faults`` is sorted by file, line and column; ``more`` were left out."""

    def __init__(self, faults: tuple[Fault, ...], more: int = 0) -> None:
        super().__init__(faults, more)
        self.faults = faults
        self.more = more

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults]
        if self.more:
            lines.append(f"and {self.more} more")
        return "\n".join(lines)


class FaultLog:
    """Collects faults so that one pass finds them all; the same words at the same place count once.

    ``unsure`` is set where part of the site could not be read at all: what refers to something unknown then
    may well be right, so it is not reported.
    """

    def __init__(self) -> None:
        self.unsure = False
        self._faults: dict[tuple[Place, str, str], Fault] = {}
        self._more = 0
        self._context = ""

    def __len__(self) -> int:
        return len(self._faults) + self._more

    @property
    def is_full(self) -> bool:
        """Whether further faults are only counted, so that no care need be spent on their words."""
        return len(self._faults) >= MAX_FAULTS

    def add(self, place: Place, found: str, mend: str) -> None:
        """Note a fault."""
        key = (place, found, mend)
        if key in self._faults:
            return
        if self.is_full:
            self._more += 1
            return
        self._faults[key] = Fault(place.file, place.line, place.column, found, mend, self._context)

    @contextmanager
    def within(self, context: str) -> Iterator[None]:
        """Faults added inside belong to ``context``, e.g. ``device ev3``."""
        before, self._context = self._context, context
        try:
            yield
        finally:
            self._context = before

    def sorted(self, files: Iterable[Path]) -> SiteFaults:
        """All of them, in the order of ``files`` and then of lines and columns."""
        order = {file: i for i, file in enumerate(files)}
        return SiteFaults(
            tuple(
                sorted(
                    self._faults.values(),
                    key=lambda f: (
                        order.get(f.file, len(order)),
                        str(f.file),
                        f.line,
                        f.column,
                        f.found,
                        f.mend,
                    ),
                )
            ),
            self._more,
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was most likely meant to be, if there is a likely one."""
    if len(word) > MAX_SPELLED:
        return None
    plain = {name.lower().replace("-", "_"): name for name in known}
    matches = get_close_matches(word.lower().replace("-", "_"), plain, n=1, cutoff=NEAREST_CUTOFF)
    return plain[matches[0]] if matches else None


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """An instruction: the nearest right word where there is one, else ``otherwise`` and what is known."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f"write '{near}'"
    if not names:
        return otherwise
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{otherwise}; known are: {shown}"


def quote(text: str) -> str:
    """``text`` in quotes, shortened, with nothing in it that could upset a terminal."""
    shown = text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 3] + "..."
    return "'" + "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown) + "'"
