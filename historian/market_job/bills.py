"""Bills issued once a day or month is settled, in the site's time zone, and dunned where they are not paid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from gateway.config.market import BillEvery, MarketSettings
from historian.ledger.desk import Desk
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import BillIssue
from historian.ledger.metering import MICROS

PAUSE_US = 60 * MICROS


class Biller:
    """Bills who has a tariff, one period after another; takes the steps of dunning that are due."""

    def __init__(self, settings: MarketSettings, desk: Desk, zone: tzinfo) -> None:
        self._settings = settings
        self._desk = desk
        self._zone = zone
        self._interval_us = settings.interval_s * MICROS
        self._looked_us = -PAUSE_US
        self._refused: set[tuple[str, int]] = set()
        self._not_dunned = ""  # why no more is dunned in this life: each try would be an entry
        self.troubles: list[str] = []

    def look(self, now_us: int, settled_to_us: int) -> None:
        """All intervals before ``settled_to_us`` are settled: bill the periods that are over by then."""
        if 0 <= now_us - self._looked_us < PAUSE_US:
            return
        self._looked_us = now_us
        self.troubles = []
        for member in self._settings.members:
            if member.tariff and self._settings.bill is not BillEvery.NEVER:
                try:
                    self._bill(member.name, member.tariff, min(settled_to_us, now_us))
                except Refused as refused:
                    self.troubles.append(f"{member.name} is not billed: {refused.why}")

        self._dun()

    def _dun(self) -> None:
        if self._settings.dunning is not None and not self._not_dunned:
            refused = [outcome.refused for outcome in self._desk.dun() if outcome.refused is not None]
            self._not_dunned = f"bills are not dunned: {refused[0].why}" if refused else ""
        if self._not_dunned:
            self.troubles.append(self._not_dunned)

    def _bill(self, name: str, tariff: str, until_us: int) -> None:
        from_us = self._from(name, tariff)
        while from_us is not None:
            to_us = self._end(from_us, tariff)
            if to_us > until_us or (name, to_us) in self._refused:
                return
            outcome = self._desk.bill(name, tariff, from_us, to_us)
            if outcome.refused is not None:
                self._refused.add((name, to_us))
                raise outcome.refused
            from_us = to_us

    def bill_to(self, name: str, until_us: int) -> BillIssue:
        """The bill that there would be if its period ended at ``until_us``, or where its tariff changes before.

        ``Refused`` where nothing can be billed.
        """
        tariff = next((member.tariff for member in self._settings.members if member.name == name), None)
        if not tariff:
            raise Refused(Reason.UNKNOWN, f"{name[:40]!r} is nobody who has a tariff here")
        from_us = self._from(name, tariff)
        to_us = until_us // self._interval_us * self._interval_us
        if from_us is None or from_us >= to_us:
            raise Refused(Reason.EARLY, f"nothing of {name} is settled that was not billed")
        to_us = min(to_us, self._end(from_us, tariff))
        made = self._desk.community.billing.reckon(name, tariff, from_us, to_us, self._interval_us)
        return BillIssue(name, tariff, from_us, to_us, made.amount, made.digest)

    def _from(self, name: str, tariff: str) -> int | None:
        """Where its next period begins: where the last ended, or with its first settled interval by this tariff."""
        community = self._desk.community
        billed_us = community.billing.billed_to_us.get(name)
        if billed_us is not None:
            return billed_us
        versions = community.billing.tariffs.get(tariff, [])
        settled = [at for at, done in community.settled.items() if name in done.lines]
        if not versions or not settled:
            return None
        return max(min(settled), versions[0].valid_from_us)

    def _end(self, from_us: int, tariff: str) -> int:
        """The next midnight or first of a month, or where the tariff changes before."""
        local = datetime.fromtimestamp(from_us / MICROS, UTC).astimezone(self._zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if self._settings.bill is BillEvery.DAY:
            edge = midnight + timedelta(days=1)
        else:
            edge = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
        edge_us = -(-round(edge.timestamp() * MICROS) // self._interval_us) * self._interval_us
        changes = [version.valid_from_us for version in self._desk.community.billing.tariffs[tariff]]
        return min([edge_us, *(at for at in changes if from_us < at < edge_us)])
