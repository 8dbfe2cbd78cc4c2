"""Who has control of an area: one at a time, taken and released by commands, on disk before it counts.

A hold is a seat (local, remote, ...) and a user. Whoever may take control from whom is in the site file; control that
has run out is nobody's. What is not in an area under control is everybody's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.commands.kept import ControlFile, Hold, KeptError
from gateway.config.control import NOBODY, ControlArea, ControlSettings, Seat, seat_of
from gateway.config.site import Tag, User
from gateway.tags.command import Command, Done, Refusal, Refused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Control:
    """An area and who has control of it now; None: nobody."""

    area: ControlArea
    hold: Hold | None


class Arbitration:
    """`open` it before the first command."""

    def __init__(
        self,
        settings: ControlSettings,
        tags: Sequence[Tag],
        users: Sequence[User],
        kept: ControlFile,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._users = {user.name for user in users}
        self._names = {area.take: tags[area.take].name for area in settings.areas}
        self._kept = kept
        self._now_ns = now_ns
        self._areas = {area.path: area for area in settings.areas}
        self._of_point = {tag: area for area in settings.areas for tag in area.points}
        self._by_take = {area.take: area for area in settings.areas}
        self._holds: dict[str, Hold] = {}
        self._taking = asyncio.Lock()

    async def open(self) -> None:
        """Know who had control before. Where that cannot be read nobody has it, and it is taken anew."""
        try:
            holds = await asyncio.to_thread(self._kept.load)
        except KeptError as error:
            log.error("who had control before is not known, so nobody has: %s", error)
            return
        now_ns = self._now_ns()
        for path, hold in holds.items():
            area = self._areas.get(path)
            if area is None or hold.user not in self._users:
                continue
            # No hold is longer than it may be now, where the clock was set back or the site file changed.
            latest_ns = now_ns + area.hold_s * 1_000_000_000 if area.hold_s else 0
            until_ns = min(hold.until_ns, latest_ns) if hold.until_ns and latest_ns else latest_ns
            self._holds[path] = Hold(hold.seat, hold.user, hold.origin, until_ns)

    def controls(self) -> list[Control]:
        """All areas, with who has control of them now."""
        return [Control(area, self._holder(area)) for area in self._settings.areas]

    def is_take(self, tag: int) -> bool:
        """Whether a command of this tag takes or releases control."""
        return tag in self._by_take

    def area_of_take(self, tag: int) -> str:
        """The path of the area that it takes."""
        return self._by_take[tag].path

    def why_not(self, tag: int, command: Command) -> str | None:
        """Why whoever asks may not command the tag now, as long as others have control; None where they may."""
        area = self._of_point.get(tag)
        if area is None:
            return None
        seat = seat_of(command.origin)
        hold = self._holder(area)
        if hold is None:
            if area.default is seat:
                return None
            return f"nobody has control of {area.path}; {self._how(area, seat, None)}"
        if (hold.seat, hold.user) == (seat, command.user):
            return None
        return f"{self._told(area, hold)}; {self._how(area, seat, hold.seat)}"

    def why_not_take(self, tag: int, command: Command, take: bool) -> str | None:
        """Why whoever asks may not take the area of the tag, or not release it; None where they may."""
        area = self._by_take[tag]
        seat, hold = seat_of(command.origin), self._holder(area)
        if hold is None:
            if not take or seat in self._settings.priority:
                return None
            return f"{seat} may take control of nothing (`priority`)"
        if (hold.seat, hold.user) == (seat, command.user) or self._settings.may_take(seat, hold.seat):
            return None
        return f"{self._told(area, hold)}; {seat} may not take it from {hold.seat}"

    async def take(self, tag: int, command: Command, take: bool) -> Done | Refused:
        """Take or release; it counts once it is on disk."""
        async with self._taking:
            why = self.why_not_take(tag, command, take)  # who has it may be another one by now
            if why is not None:
                return Refused(Refusal.NOT_IN_CONTROL, why)
            area = self._by_take[tag]
            now_ns = self._now_ns()
            holds = {
                path: hold for path in self._areas if (hold := self._holder(self._areas[path])) is not None
            }
            holds.pop(area.path, None)
            if take:
                until_ns = now_ns + area.hold_s * 1_000_000_000 if area.hold_s else 0
                holds[area.path] = Hold(seat_of(command.origin), command.user, command.origin, until_ns)
            try:
                await asyncio.to_thread(self._kept.save, holds)
            except KeptError as error:
                return Refused(Refusal.AUDIT_UNAVAILABLE, f"who has control cannot be written down: {error}")
            self._holds = holds
            return Done(take, self._now_ns())

    def _holder(self, area: ControlArea) -> Hold | None:
        hold = self._holds.get(area.path)
        if hold is None or (hold.until_ns and hold.until_ns <= self._now_ns()):
            return None
        return hold

    def _told(self, area: ControlArea, hold: Hold) -> str:
        until = ""
        if hold.until_ns:
            until = f" until {datetime.fromtimestamp(hold.until_ns // 1_000_000_000, UTC):%H:%M:%S} UTC"
        return f"{hold.user} ({hold.seat}, {hold.origin}) has control of {area.path}{until}"

    def _how(self, area: ControlArea, seat: Seat, holder: Seat | None) -> str:
        may = seat in self._settings.priority if holder is None else self._settings.may_take(seat, holder)
        if not may:
            return f"{seat} may not take it from {holder or NOBODY}"
        return f"to take it write true to {self._names[area.take]}, or `tieline control take {area.path}`"
