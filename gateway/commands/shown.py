"""Who has control and what is selected, as tags: written when it changes, and again before it would be stale."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np

from gateway.commands.arbitrate import Arbitration
from gateway.commands.selections import Selections
from gateway.config.control import HOLDER_STATES, Seat
from gateway.config.control_section import SELECT_SUFFIX
from gateway.config.site import Tag
from gateway.tags.image import Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType

LOOK_S = 0.1
REFRESH_S = 5.0  # a third of what a system tag may be old

_NUMBER_OF = {name: number for number, name in HOLDER_STATES.items()}
_Shown = tuple[Value, int]  # with its quality


class Shown:
    """`run` it. ``writer`` owns the tags."""

    def __init__(
        self,
        tags: Sequence[Tag],
        control: Arbitration | None,
        selections: Selections,
        writer: Writer,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tags = tags
        self._control = control
        self._selections = selections
        self._writer = writer
        self._now_ns = now_ns
        points = {tag.name for tag in tags if tag.write is not None and tag.write.handling.select_ms}
        self._selects = {
            place: tag.name.removesuffix(SELECT_SUFFIX)
            for place, tag in enumerate(tags)
            if tag.name.endswith(SELECT_SUFFIX) and tag.name.removesuffix(SELECT_SUFFIX) in points
        }

    async def run(self) -> None:
        """Until cancelled."""
        if self._control is None and not self._selects:
            return
        loop = asyncio.get_running_loop()
        shown: dict[int, _Shown] = {}
        refresh_s = loop.time()
        while True:
            now = self._now(loop.time())
            if loop.time() >= refresh_s:
                refresh_s = loop.time() + REFRESH_S
                shown = {}
            for tag, (value, status) in now.items():
                if shown.get(tag) != (value, status):
                    self._write(tag, value, status)
            shown = now
            await asyncio.sleep(LOOK_S)

    def _now(self, now_s: float) -> dict[int, _Shown]:
        now: dict[int, _Shown] = {}
        for control in [] if self._control is None else self._control.controls():
            area, hold = control.area, control.hold
            now[area.take] = hold is not None, Quality.GOOD
            now[area.holder] = 0 if hold is None else _number_of(hold.seat), Quality.GOOD
            now[area.user] = "" if hold is None else hold.user, Quality.GOOD
            now[area.until] = 0 if hold is None else hold.until_ns, Quality.GOOD
        for tag, point in self._selects.items():
            found = self._selections.of(point, now_s)
            nothing = "" if self._tags[tag].type is ValueType.STRING else 0
            now[tag] = (nothing, Quality.BAD_NO_DATA) if found is None else (found.value, Quality.GOOD)
        return now

    def _write(self, tag: int, value: Value, status: int) -> None:
        stamp = self._now_ns()
        at = np.array([tag], np.uint32)
        if isinstance(value, str):
            self._writer.write_texts(at, [value], status, stamp, stamp)
        else:
            self._writer.write(at, to_bits(np.array([value]), self._tags[tag].type), status, stamp, stamp)


def _number_of(seat: Seat) -> int:
    return _NUMBER_OF[seat.value]
