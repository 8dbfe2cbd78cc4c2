"""Rewards: events of demand response announced in the ledger as they are given, and awards once they are over.

What is on record is asked of the ledger, and each event and award has a client id of its own: neither restarts nor a
part that was killed between two of them say one twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.config.demand_response import DemandResponseSettings
from gateway.config.market import MarketSettings
from historian.demand_response_job.store import Call, Calls
from historian.errors import HistoryError
from historian.ledger.desk import Desk
from historian.ledger.errors import Reason, Refused
from historian.ledger.evidence import award_for
from historian.ledger.metering import MICROS
from historian.ledger.reward_facts import Expiry, RewardEvent, RewardKind

log = logging.getLogger(__name__)

PAUSE_US = 5 * MICROS  # an event's notice counts from when it is in the ledger
AGAIN_US = 300 * MICROS  # what cannot be awarded yet, as a reading is missing, is looked at again so often
MOST_AWARDS = 4  # of a look: each takes a baseline of 45 days, and members are served between looks
TAIL_US = 86_400 * MICROS  # beyond the time in which readings may still be replaced
NANOS = 1_000
Wanted = tuple[str, RewardKind, str]  # participant, kind, event or batch


class Rewarding:
    """``events`` is the site's section of demand response, ``path`` the file of the events that were given."""

    def __init__(
        self,
        settings: MarketSettings,
        desk: Desk,
        zone: ZoneInfo,
        events: DemandResponseSettings | None,
        path: Path | None,
    ) -> None:
        self._desk = desk
        self._zone = zone
        self._events = events
        self._path = path
        self._interval_us = settings.interval_s * MICROS
        self._window_us = settings.correct_s * MICROS + TAIL_US
        self._members = {member.name for member in settings.members}
        kinds = [RewardKind[reward.kind.name] for reward in settings.rewards]
        self._by_event = [kind for kind in kinds if kind is not RewardKind.RENEWABLE]
        self._by_batch = RewardKind.RENEWABLE in kinds
        self._looked_us = -PAUSE_US
        self._done: set[Wanted] = set()  # in this life: awarded, or nothing to award
        self._again_us: dict[Wanted, int] = {}
        self._waits: dict[str, str] = {}  # by what: why it is not on record
        self.troubles: list[str] = []

    def look(self, now_us: int, settled_to_us: int) -> None:
        """Say what is due; all intervals before ``settled_to_us`` are settled. Raises LedgerError."""
        is_idle = not self._by_event and not self._by_batch
        if is_idle or 0 <= now_us - self._looked_us < PAUSE_US:
            return
        self._looked_us = now_us
        calls = self._calls() if self._by_event else ()
        for call in calls:
            self._announce(call, now_us)
        left = MOST_AWARDS
        for wanted in [
            *self._wanted_of_events(calls, now_us, settled_to_us),
            *self._wanted_of_batches(now_us),
        ]:
            if left and wanted not in self._done and self._again_us.get(wanted, 0) <= now_us:
                left -= 1
                self._award(wanted, now_us)
        self._expire(now_us)
        self.troubles = list(self._waits.values())

    # ------------------------------------------------------------ events

    def _calls(self) -> Sequence[Call]:
        """Those whose programme has a participant here; what cannot be read is told, and looked for again."""
        if self._events is None or self._path is None or not self._path.exists():
            return ()
        try:
            with Calls.to_read(self._path) as calls:
                known = calls.all()
        except (sqlite3.Error, OSError, HistoryError) as error:
            self._waits["calls"] = f"events are not rewarded: {error}"
            return ()
        self._waits.pop("calls", None)
        return [call for call in known if self._asked(call)]

    def _asked(self, call: Call) -> list[str]:
        """Members that its programme asks, and who did not leave it."""
        programme = None if self._events is None else self._events.programme(call.programme)
        left = {each.participant for each in call.left}
        return [
            name
            for name in (() if programme is None else programme.participants)
            if name in self._members and name not in left
        ]

    def _announce(self, call: Call, now_us: int) -> None:
        known = self._desk.community.treasury.rewards.events
        if call.name in known or call.is_void or call.start // NANOS <= now_us:
            return
        from_us, to_us = call.start // NANOS, call.until // NANOS
        if from_us % self._interval_us or to_us % self._interval_us:
            self._waits[call.name] = (
                f"event {call.name} is not rewarded: it is no whole intervals of the market"
            )
            return
        try:
            event = RewardEvent(call.name, from_us, to_us, self._zone.key)
            refused = self._desk.say_once(f"event {call.name} {from_us} {to_us}", event)
        except Refused as malformed:
            refused = malformed
        if refused is not None:
            self._waits[call.name] = f"event {call.name} is not rewarded: {refused.why}"

    # ------------------------------------------------------------ awards

    def _wanted_of_events(self, calls: Sequence[Call], now_us: int, settled_to_us: int) -> Iterator[Wanted]:
        """Of events that are over, but not those that were called off: by less than all of one nobody is judged."""
        announced = self._desk.community.treasury.rewards.events
        for call in calls:
            known = announced.get(call.name)
            if known is None or call.cancelled is not None:
                continue
            to_us = known[1].to_us
            if to_us <= min(now_us, settled_to_us) and now_us < to_us + self._window_us:
                yield from ((name, kind, call.name) for name in self._asked(call) for kind in self._by_event)

    def _wanted_of_batches(self, now_us: int) -> Iterator[Wanted]:
        community = self._desk.community
        for _, batch in community.treasury.certificates.batches.values() if self._by_batch else ():
            if now_us < batch.to_us + self._window_us:
                yield community.registry.devices[batch.device].owner, RewardKind.RENEWABLE, batch.batch

    def _award(self, wanted: Wanted, now_us: int) -> None:
        name, kind, event = wanted
        what = f"award {name} {kind.name} {event}"
        rewards = self._desk.community.treasury.rewards
        if self._desk.has_said(what):
            self._done.add(wanted)
            return
        try:
            award = award_for(self._desk.community, name, kind, event)
            # What earns nothing is no entry.
            rewards.worth(award, now_us, self._interval_us)
            refused = self._desk.say_once(what, award)
        except Refused as why:
            refused = why
        except ImportError as error:
            self._again_us[wanted] = now_us + AGAIN_US
            self._waits[event] = f"event {event} is not rewarded: {error}"
            return
        if refused is not None and refused.reason in (Reason.UNKNOWN, Reason.CONFLICT, Reason.NOT_ALLOWED):
            # A reading that is missing or estimated, a member that is suspended: it may yet be known.
            self._again_us[wanted] = now_us + AGAIN_US
            self._waits[what] = f"{name} is not rewarded for {event} yet: {refused.why}"
            return
        self._done.add(wanted)
        self._waits.pop(what, None)
        if refused is not None:
            log.info("%s is not rewarded for %s (%s): %s", name, event, kind.name.lower(), refused.why)

    def _expire(self, now_us: int) -> None:
        rewards = self._desk.community.treasury.rewards
        due = [Expiry(name) for name in sorted(self._members) if rewards.expired(name, now_us)]
        if due:
            self._desk.say(*due)
