"""When a tag is not as it should be, declared with the tag: the page, `tieline status` and whoever asks go by it.

What an operator is told has three parts: what is wrong, since when, and what to do or where to look. A part that adds
a tag which can go wrong says so where it declares the tag; nothing else keeps a list of what can go wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

Number = bool | int | float

VALUE: Final = "{value}"  # in `Alert.says`: the value, by its state's name where it has one
# Points by their names, and states by theirs: of every device, without a word in its template (docs/hmi.md).
_ODD_STATE: Final = re.compile(r"fault|trip|alarm|fail|error", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Alert:
    """Which values need a look, and what to say of them.

    ``values``: one of these; ``above``, ``below``: a number beyond; ``text_but``: a text, neither empty nor this.
    ``says`` goes on from the device's name, and ``do`` is a sentence. ``words`` is the last word of the tag beside
    this one that has the particulars. ``bad`` is said where the tag itself is Bad. ``after_s``: told once it has been
    so for this long. ``lasts_s``: the value is a count that only grows, and each step is told for this long; 0: it is
    told while it is so. ``in_status``: the site is not well by `tieline status`; false for what is the plant's
    matter, and for what `tieline status` tells in its own words.
    """

    says: str
    do: str = ""
    values: tuple[Number, ...] = ()
    above: float | None = None
    below: float | None = None
    text_but: str | None = None
    words: str = ""
    bad: str = ""
    after_s: float = 0.0
    lasts_s: float = 0.0
    in_status: bool = True

    def is_late_enough(self, since_ns: int | None, now_ns: int) -> bool:
        """Whether it is to be told now, where it has been so since then; None: for longer than anybody remembers."""
        if since_ns is None:
            return True
        age_s = (now_ns - since_ns) / 1e9
        return age_s >= self.after_s and not 0 < self.lasts_s < age_s

    def of(self, name: str) -> Alert:
        """The same of one of several things that share a device's name."""
        return replace(self, says=self.says and f"{name} {self.says}", bad=self.bad and f"{name} {self.bad}")

    def holds(self, value: Number | str | None) -> bool:
        """Whether this good value needs a look."""
        if isinstance(value, str):
            return self.text_but is not None and value not in ("", self.text_but)
        if value is None:
            return False
        return (
            value in self.values
            or (self.above is not None and value > self.above)
            or (self.below is not None and value < self.below)
        )

    def text(self, value: Number | str | None, states: Mapping[int, str], words: str) -> str:
        """What is wrong, with its particulars; a state alone in capitals."""
        if isinstance(value, bool | int) and int(value) in states:
            shown = states[int(value)].upper() if self.says == VALUE else states[int(value)]
        else:
            shown = f"{value:,}" if isinstance(value, int | float) else str(value)
        said = self.says.replace(VALUE, shown)
        return f"{said}: {words}" if words else said


def alert_of_point(name: str, is_bool: bool, states: Mapping[int, str]) -> Alert | None:
    """What holds for every device's point of that name; None where nothing is known of it."""
    if is_bool and name.endswith(".breaker_closed"):
        return Alert("breaker OPEN", values=(False,), in_status=False)
    if is_bool and name.endswith(".islanded"):
        return Alert("ISLANDED", values=(True,), in_status=False)
    odd = tuple(value for value, text in states.items() if _ODD_STATE.search(text))
    return Alert(VALUE, values=odd, in_status=False) if odd else None
