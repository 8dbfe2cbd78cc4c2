"""What is physically possible: an order beyond what its device, storage, session, meter or feeder can do is refused.

Counted is all that is open or traded, each side for itself: what somebody else's opposite order would make room
for may never come. Only a storage's own traded energy of an earlier interval counts for its later ones.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import DeviceKind, Rules, Session, Side, Status
from historian.ledger.market.price import ONE
from historian.ledger.metering import HOUR_S, MICROS, Meters
from historian.ledger.registry import Registered, Registry


@dataclass(slots=True)
class Flow:
    """What a storage has promised in an interval."""

    sells: int = 0  # open and traded
    buys: int = 0
    sold: int = 0  # traded
    bought: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """What was in a storage, and when."""

    wh: int
    at_us: int


Place = tuple[Side, int, str]  # side, interval, and whose it is


class Limits:
    """What is promised so far, and what is known about devices."""

    def __init__(self, registry: Registry, meters: Meters) -> None:
        self._registry = registry
        self._meters = meters
        self._by_device: defaultdict[Place, int] = defaultdict(int)
        self._by_feeder: defaultdict[Place, int] = defaultdict(int)
        self._by_owner: defaultdict[Place, int] = defaultdict(int)
        self._flows: defaultdict[str, dict[int, Flow]] = defaultdict(dict)  # device, interval
        self.sessions: dict[str, Session] = {}
        self.levels: dict[str, Level] = {}
        self.forecasts: dict[tuple[str, int], int] = {}

    def owned(self, owner: str, device: str) -> Registered:
        """A device of somebody that may trade; ``Refused`` otherwise."""
        found = self._registry.devices.get(device)
        if found is None or found.owner != owner:
            raise Refused(Reason.UNKNOWN, f"{owner} has no device {device}")
        if found.status is not Status.ACTIVE:
            raise Refused(Reason.NOT_ALLOWED, f"{device} is {found.status.name.lower()}")
        if found.manifest.kind is DeviceKind.METER:
            raise Refused(Reason.NOT_ALLOWED, f"{device} is a meter: it neither gives nor takes")
        return found

    def check(self, device: Registered, side: Side, interval_us: int, wh: int, rules: Rules) -> None:
        """Whether so much more fits; ``Refused`` with what does not."""
        manifest, owner = device.manifest, device.owner
        name, is_sale = manifest.device, side is Side.SELL
        does = "gives" if is_sale else "takes"
        most = _wh(manifest.max_export_w if is_sale else manifest.max_import_w, rules)
        if is_sale and (forecast := self.forecasts.get((name, interval_us))) is not None:
            most = min(most, forecast)
        promised = self._by_device[side, interval_us, name]
        if promised + wh > most:
            raise _too_much(promised, wh, most, f"{name} {does}")
        feeder = self._registry.feeders[manifest.feeder]
        promised = self._by_feeder[side, interval_us, feeder.feeder]
        most = _wh(feeder.max_export_w if is_sale else feeder.max_import_w, rules)
        if promised + wh > most:
            raise _too_much(promised, wh, most, f"the feeder {feeder.feeder} carries")
        if rules.proven_share and self._meters.proofs.get(owner, 0) >= rules.proven_after:
            shown = self._meters.most_export_wh if is_sale else self._meters.most_import_wh
            promised = self._by_owner[side, interval_us, owner]
            most = shown.get(owner, 0) * rules.proven_share // ONE
            if promised + wh > most:
                raise _too_much(promised, wh, most, f"the meters of {owner} prove that it {does}")
        kind = manifest.kind
        if kind is DeviceKind.VEHICLE:
            self._check_session(name, side, interval_us, wh, rules)
        if kind is DeviceKind.STORAGE or kind is DeviceKind.VEHICLE:
            self._check_storage(device, side, interval_us, wh, rules)

    def _check_session(self, name: str, side: Side, interval_us: int, wh: int, rules: Rules) -> None:
        session = self.sessions.get(name)
        end_us = interval_us + rules.interval_s * MICROS
        if session is None or interval_us < session.from_us or end_us > session.to_us:
            raise Refused(Reason.NOT_ALLOWED, f"{name} has no session there")
        promised = sum(
            flow.sells if side is Side.SELL else flow.buys
            for start_us, flow in self._flows[name].items()
            if session.from_us <= start_us < session.to_us
        )
        most = session.export_wh if side is Side.SELL else session.import_wh
        if promised + wh > most:
            raise _too_much(promised, wh, most, f"the session of {name} allows")

    def _check_storage(self, device: Registered, side: Side, interval_us: int, wh: int, rules: Rules) -> None:
        """Along all promised intervals: never less than nothing in it, never more than it holds."""
        name, capacity = device.manifest.device, device.manifest.storage_wh
        level = self.levels.get(name)
        if level is None:
            if device.manifest.kind is DeviceKind.VEHICLE:
                return  # its session says what it may give and take
            if side is Side.SELL:
                raise Refused(Reason.UNKNOWN, f"what is in {name} is not known")
            level = Level(0, 0)
        least = most = level.wh
        flows = self._flows[name]
        for start_us in sorted({*flows, interval_us}):
            if start_us + rules.interval_s * MICROS <= level.at_us:
                continue  # it is in the level already
            flow = flows.get(start_us, Flow())
            more = wh if start_us == interval_us else 0
            least -= flow.sells + (more if side is Side.SELL else 0)
            most += flow.buys + (more if side is Side.BUY else 0)
            if least < 0 and side is Side.SELL:
                raise Refused(Reason.NEGATIVE, f"{name} would be {-least} Wh short of what it sells")
            if most > capacity and side is Side.BUY:
                raise Refused(Reason.OVERFLOW, f"{name} would hold {most} Wh, {capacity} at most")
            least = min(least + flow.bought, capacity)
            most = max(most - flow.sold, 0)

    def promise(self, owner: str, device: str, feeder: str, side: Side, interval_us: int, wh: int) -> None:
        """So much more (or less) is open or traded."""
        self._by_device[side, interval_us, device] += wh
        self._by_feeder[side, interval_us, feeder] += wh
        self._by_owner[side, interval_us, owner] += wh
        flows = self._flows[device]
        flow = flows.get(interval_us)
        if flow is None:
            flow = flows[interval_us] = Flow()
        if side is Side.SELL:
            flow.sells += wh
        else:
            flow.buys += wh

    def trade(self, device: str, side: Side, interval_us: int, wh: int) -> None:
        """So much of what was promised is traded."""
        flow = self._flows[device][interval_us]
        if side is Side.SELL:
            flow.sold += wh
        else:
            flow.bought += wh

    def promised(self, device: str, side: Side, interval_us: int) -> int:
        """What of a device is open or traded."""
        return self._by_device.get((side, interval_us, device), 0)

    def set_level(self, device: str, level: Level, interval_us: int) -> None:
        """What is in a storage now; what went in and out before it is in it."""
        self.levels[device] = level
        session = self.sessions.get(device)
        flows = self._flows[device]
        for start_us in list(flows):
            if start_us + interval_us <= level.at_us and (session is None or start_us < session.from_us):
                del flows[start_us]

    def forget(self, before_us: int) -> None:
        """What is promised of intervals that are over binds nothing."""
        for table in (self._by_device, self._by_feeder, self._by_owner):
            for place in [place for place in table if place[1] < before_us]:
                del table[place]
        for at in [at for at in self.forecasts if at[1] < before_us]:
            del self.forecasts[at]


def _wh(watts: int, rules: Rules) -> int:
    return watts * rules.interval_s // HOUR_S


def _too_much(promised: int, wh: int, most: int, what: str) -> Refused:
    return Refused(
        Reason.OVERFLOW,
        f"{what} {most} Wh an interval at most; {promised} are promised, and {wh} more asked",
    )
