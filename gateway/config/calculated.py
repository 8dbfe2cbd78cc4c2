"""Tags that are calculated from other tags, as typed values."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.formula.tree import Formula

REFRESH_MS = 1_000


@dataclass(frozen=True, slots=True)
class CalculatedTag:
    """``tag`` is its image index. ``period_ms`` 0: reckoned when one of its tags was written.

    A value that stays is written again after ``refresh_ms`` while its tags are written.
    """

    tag: int
    formula: Formula
    period_ms: int = 0
    refresh_ms: int = REFRESH_MS


@dataclass(frozen=True, slots=True)
class Calculated:
    """All of them, each after those that it is made of."""

    tags: tuple[CalculatedTag, ...]
