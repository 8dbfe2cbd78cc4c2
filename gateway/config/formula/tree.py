"""What a formula says, as a tree: plain data, so that a site that holds formulas goes from process to process.

Leaves name tags by their place in `Formula.tags`; nothing else in a tree is a reference.
"""

from __future__ import annotations

from dataclasses import dataclass

COMMANDED = -1  # in place of a tag: the value that is commanded, which comes last in the values


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, true or false."""

    value: bool | int | float


@dataclass(frozen=True, slots=True)
class Input:
    """A tag's value."""

    at: int


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a tag besides its value: ``good``, ``bad``, ``uncertain``, ``age``, ``previous``, ``rate``.

    ``latched`` is a bool's value whatever its quality, for what holds itself.
    """

    what: str
    at: int


@dataclass(frozen=True, slots=True)
class Joined:
    """``and`` or ``or`` of two parts or more."""

    word: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Inverse:
    """``not``."""

    of: Node


@dataclass(frozen=True, slots=True)
class Compared:
    """``a < b <= c``: each sign between two neighbours."""

    parts: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reckoned:
    """``+ - * / **``."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative:
    """A minus sign before something."""

    of: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of numbers."""

    name: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """``if condition then one else other``."""

    condition: Node
    one: Node
    other: Node


Node = Constant | Input | Told | Joined | Inverse | Compared | Reckoned | Negative | Call | Choice


@dataclass(frozen=True, slots=True)
class Formula:
    """A text that was read and checked. ``tags`` are image indexes, each once, in their order of naming.

    ``is_timed``: its value changes though no tag does, because it asks for an age.
    """

    text: str
    tags: tuple[int, ...]
    root: Node
    is_bool: bool
    is_timed: bool = False
