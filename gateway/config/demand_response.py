"""The `demand_response` section of a site as typed values (docs/demand-response.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class BaselineRule(StrEnum):
    """By what a baseline is made."""

    TEN_OF_TEN = "ten-of-ten"
    HIGH_FIVE_OF_TEN = "high-five-of-ten"
    REGRESSION = "regression"


class DemandLevel(StrEnum):
    """As OpenADR 2.0b's SIMPLE signal counts from 1."""

    MODERATE = "moderate"
    HIGH = "high"
    SPECIAL = "special"

    @property
    def number(self) -> int:
        return list(DemandLevel).index(self) + 1


LEVELS: Final = {0: "normal", **{level.number: level.value for level in DemandLevel}}


@dataclass(frozen=True, slots=True)
class DemandParticipant:
    """``power`` names the tag of its demand in kW, drawn positive; ``committed_kw`` are of levels 1 to 3."""

    name: str
    power: str
    committed_kw: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class DemandTags:
    """Of the event that runs or comes next; in the order in which they are declared."""

    level: int
    remaining_s: int
    starts_in_s: int
    target_kw: int
    import_max_kw: int
    event: int
    reduction_kw: int
    short: int


@dataclass(frozen=True, slots=True)
class DemandProgramme:
    """What may be called for, and whom. ``import_max_kw``: what dispatch plans the tie for meanwhile."""

    name: str
    participants: tuple[str, ...]
    import_max_kw: float | None
    notice_min: float
    longest_h: float
    most_a_month: int | None
    tags: DemandTags


@dataclass(frozen=True, slots=True)
class DemandResponseSettings:
    """``holidays``: the ISO 3166 code whose holidays are no business days, None: there are none."""

    rule: BaselineRule
    interval_min: int
    holidays: str | None
    participants: tuple[DemandParticipant, ...]
    programmes: tuple[DemandProgramme, ...]

    def programme(self, name: str) -> DemandProgramme | None:
        return next((one for one in self.programmes if one.name == name), None)
