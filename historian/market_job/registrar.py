"""What the site's section says of the market, brought into its ledger: rules, members, devices, meters, tariffs.

What stands there already is not said again, and what was refused is not tried again in the same life: each try
would be an entry. A member that holds its own key applies for itself; the operator lets in what the section names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from gateway.config.market import (
    MarketDevice,
    MarketDunning,
    MarketMember,
    MarketReward,
    MarketSettings,
    MarketTariff,
)
from historian.ledger.bundle import Bundle, sign
from historian.ledger.coding import record_of
from historian.ledger.desk import Desk
from historian.ledger.entry import Account, Body, KeyAction, KeyChange, Role, transfer
from historian.ledger.facts import (
    NO_DIGEST,
    Approval,
    Device,
    DeviceKind,
    Fact,
    Feeder,
    Join,
    MeterBinding,
    ParticipantKind,
    Rules,
    Status,
    StatusChange,
    Tariff,
    Window,
)
from historian.ledger.market.price import ONE
from historian.ledger.metering import MICROS
from historian.ledger.payment_facts import Terms
from historian.ledger.pen import Pen
from historian.ledger.reward_facts import CertifiedSource, RewardKind, RewardRule
from historian.signing import SigningKey

CREDIT = "credit."  # an account for each member: what the operator has paid into its deposit
MOST_ROUNDS = 10  # what is brought in by one makes the next possible: applied, approved, bound, paid


def rules_of(settings: MarketSettings) -> Rules:
    """The market's rules as the section has them."""
    multipliers = [ONE, *(hours.multiplier for hours in settings.price.hours)]
    return Rules(
        currency=settings.currency,
        interval_s=settings.interval_s,
        gate_lead_s=settings.gate_lead_s,
        horizon_s=settings.horizon_s,
        price_low=settings.price_low,
        price_high=settings.price_high,
        max_order_wh=settings.max_order_wh,
        proven_share=settings.proven_share,
        proven_after=settings.proven_after,
        cover=settings.cover,
        community_fee=settings.community_fee,
        grid_fee=settings.grid_fee,
        loss_share=settings.loss_share,
        short_share=settings.short_share,
        long_share=settings.long_share,
        pay_as_bid=settings.pay_as_bid,
        demand_low=settings.price.demand[0],
        demand_high=settings.price.demand[1],
        stress_low=settings.price.stress[0],
        stress_high=settings.price.stress[1],
        time_low=min(multipliers),
        time_high=max(multipliers),
    )


def terms_of(dunning: MarketDunning) -> Terms:
    """What holds for bills issued from now on."""
    return Terms(
        dunning.due_s,
        dunning.warn_after_s,
        dunning.collect_after_s,
        dunning.reminder_fee,
        dunning.warning_fee,
        dunning.least_amount,
    )


def reward_of(reward: MarketReward) -> RewardRule:
    """What a kind earns from now on."""
    return RewardRule(
        RewardKind[reward.kind.name],
        reward.points,
        reward.most_each,
        reward.most_in_period,
        reward.period_s,
        reward.valid_s,
        reward.most_adjustment,
    )


def join_of(member: MarketMember) -> Join:
    """What a member says to take part."""
    return Join(ParticipantKind[member.kind.name], member.location, NO_DIGEST)


def devices_of(member: MarketMember) -> list[Device]:
    """What it says it has: what it trades, and its meters."""
    traded = [
        Device(
            each.name,
            DeviceKind[each.kind.name],
            each.model,
            member.location,
            NO_DIGEST,
            each.feeder,
            each.export_w,
            each.import_w,
            each.storage_wh,
        )
        for each in member.devices
    ]
    meters = [
        Device(
            each.name,
            DeviceKind.METER,
            "meter",
            member.location,
            NO_DIGEST,
            each.feeder,
            each.export_w,
            each.import_w,
            0,
        )
        for each in member.meters
    ]
    return traded + meters


class Registrar:
    """``keys`` are those of members that the site holds."""

    def __init__(
        self,
        settings: MarketSettings,
        desk: Desk,
        keys: Mapping[str, SigningKey],
        zone: tzinfo,
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._keys = keys
        self._zone = zone
        self._clock = clock
        self._tried: set[tuple[str, Body]] = set()  # by whom, and what: two may say the same of themselves
        self.troubles: list[str] = []

    def bring_up(self) -> None:
        """Until the ledger has all that can be had now; ``troubles`` are what cannot."""
        self.troubles = []
        for _ in range(MOST_ROUNDS):
            said = self._say(list(self._operators()))
            said |= self._apply()
            if not said:
                break
        self.troubles += self._unlike()

    def _say(self, bodies: Sequence[Body]) -> bool:
        operator = self._settings.operator
        new = [body for body in bodies if (operator, body) not in self._tried]
        if not new:
            return False
        outcomes = self._desk.post(*new)
        self._tried |= {(operator, body) for body in new}
        self.troubles += [str(outcome.refused) for outcome in outcomes if outcome.refused is not None]
        return True

    # ------------------------------------------------------------ what the operator says

    def _operators(self) -> Iterator[Body]:
        yield from map(record_of, self._market_facts())
        yield from self._enrolments()
        yield from map(record_of, self._approvals())
        yield from map(record_of, self._bindings())
        yield from self._credits()

    def _market_facts(self) -> Iterator[Fact]:
        community = self._desk.community
        if community.market.rules != (rules := rules_of(self._settings)):
            yield rules
        for feeder in self._settings.feeders:
            fact = Feeder(feeder.name, feeder.export_w, feeder.import_w)
            if community.registry.feeders.get(feeder.name) != fact:
                yield fact
        dunning = self._settings.dunning
        if dunning is not None and community.treasury.payments.terms != (terms := terms_of(dunning)):
            yield terms
        for reward in map(reward_of, self._settings.rewards):
            if community.treasury.rewards.rules.get(reward.kind) != reward:
                yield reward
        if community.market.rules is not None:
            for tariff in self._settings.tariffs:
                yield from self._tariff(tariff)

    def _tariff(self, tariff: MarketTariff) -> Iterator[Fact]:
        billing = self._desk.community.billing
        versions = billing.tariffs.get(tariff.name, [])
        zone = str(self._zone)
        rates = (
            tariff.base_rate,
            tariff.export_credit,
            tariff.demand_charge,
            tariff.standing_charge,
            tariff.incentive_rate,
        )
        windows = tuple(
            (w.months, w.weekdays, w.from_minute, w.to_minute, w.multiplier) for w in tariff.windows
        )
        if versions:
            last = versions[-1]
            known = (
                last.base_rate,
                last.export_credit,
                last.demand_charge,
                last.standing_charge,
                last.incentive_rate,
            )
            known_windows = tuple(
                (w.months, w.weekdays, w.from_minute, w.to_minute, w.multiplier)
                for w in billing.windows.get((tariff.name, last.valid_from_us), ())
            )
            if (known, last.time_zone, known_windows) == (rates, zone, windows):
                return
        from_us = self._valid_from(is_first=not versions)
        if versions and versions[-1].valid_from_us >= from_us:
            return  # another change of the same day: the day after
        yield Tariff(tariff.name, from_us, zone, *rates)
        for window in windows:
            yield Window(tariff.name, from_us, *window)

    def _valid_from(self, *, is_first: bool) -> int:
        """A tariff's first version: with the next interval; a change: with the next day."""
        now_us, interval_us = self._clock(), self._settings.interval_s * MICROS
        if not is_first:
            today = datetime.fromtimestamp(now_us / MICROS, UTC).astimezone(self._zone)
            midnight = (today + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            now_us = round(midnight.timestamp() * MICROS) - 1
        return (now_us // interval_us + 1) * interval_us

    def _enrolments(self) -> Iterator[Body]:
        authors = self._desk.book.state.authors
        for member in self._settings.members:
            author = authors.get(member.name)
            if author is None or author.key is None:
                yield KeyChange(KeyAction.ENROL, member.name, Role.MEMBER, self._public(member))

    def _public(self, member: MarketMember) -> bytes:
        held = self._keys.get(member.name)
        return held.public if held is not None else bytes.fromhex(member.public_key)

    def _approvals(self) -> Iterator[Fact]:
        """Whoever applied with no more than the section says is in; whoever it does not name is out."""
        registry = self._desk.community.registry
        named = {member.name: member for member in self._settings.members}
        for name, participant in registry.participants.items():
            member = named.get(name)
            if member is None:
                if participant.status in (Status.ACTIVE, Status.MAINTENANCE):
                    yield StatusChange(
                        name, False, Status.SUSPENDED, 0, "the site's section does not name it"
                    )
                continue
            if participant.status is Status.APPLIED and participant.kind is join_of(member).kind:
                yield Approval(name, is_device=False)
        for member in self._settings.members:
            applied = registry.participants.get(member.name)
            if applied is None or applied.status not in (Status.APPLIED, Status.ACTIVE):
                continue
            for wanted in devices_of(member):
                device = registry.devices.get(wanted.device)
                if device is None or device.status is not Status.APPLIED or device.owner != member.name:
                    continue
                if _is_within(device.manifest, wanted):
                    yield Approval(wanted.device, is_device=True)

    def _bindings(self) -> Iterator[Fact]:
        registry = self._desk.community.registry
        for member in self._settings.members:
            for meter in member.meters:
                device = registry.devices.get(meter.name)
                if device is None or device.status is not Status.ACTIVE or device.owner != member.name:
                    continue
                binding = MeterBinding(
                    meter.name, meter.import_tag, meter.export_tag, self._settings.operator, meter.is_main
                )
                if registry.meters.get(meter.name) != binding:
                    yield binding
            for source in member.devices:
                yield from self._certified(source)

    def _certified(self, source: MarketDevice) -> Iterator[Fact]:
        """A renewable source, once it and its meter stand in the ledger."""
        community = self._desk.community
        if source.renewable is None or source.renewable.meter not in community.registry.meters:
            return
        device = community.registry.devices.get(source.name)
        if device is None or device.status is not Status.ACTIVE:
            return
        of = source.renewable
        fact = CertifiedSource(source.name, of.meter, of.technology, of.valid_s)
        if community.treasury.certificates.sources.get(source.name) != fact:
            yield fact

    def _credits(self) -> Iterator[Body]:
        """What a member's credit lacks; more that was paid once stays."""
        accounts = self._desk.book.state.accounts
        for member in self._settings.members:
            account, deposit = CREDIT + member.name, f"{member.name}.deposit"
            if not member.credit or deposit not in accounts:
                continue
            known = accounts.get(account)
            if known is None:
                yield Account(account, self._settings.currency, self._settings.operator, may_be_negative=True)
            paid = -known.amount if known is not None else 0
            if paid < member.credit:
                yield transfer(
                    f"credit {member.credit}", account, deposit, self._settings.currency, member.credit - paid
                )

    # ------------------------------------------------------------ what members say whose keys the site holds

    def _apply(self) -> bool:
        bundles: list[Bundle] = []
        for member in self._settings.members:
            key = self._keys.get(member.name)
            author = self._desk.book.state.authors.get(member.name)
            if key is None or author is None or author.key != key.public:
                continue
            applications = map(record_of, self._applications(member))
            bodies = [body for body in applications if (member.name, body) not in self._tried]
            if bodies:
                pen = Pen(key, self._desk.book.id, self._clock)
                pen.follow(author.number)
                bundles.append(sign(key, [pen.statement(body) for body in bodies]))
                self._tried |= {(member.name, body) for body in bodies}
        for outcomes in self._desk.submit(bundles):
            self.troubles += [str(outcome.refused) for outcome in outcomes if outcome.refused is not None]
        return bool(bundles)

    def _applications(self, member: MarketMember) -> Iterator[Fact]:
        registry = self._desk.community.registry
        participant = registry.participants.get(member.name)
        if participant is None or participant.status is Status.RETIRED:
            yield join_of(member)
        elif participant.status is Status.SUSPENDED:
            return
        for wanted in devices_of(member):
            device = registry.devices.get(wanted.device)
            if device is None or device.manifest != wanted:
                yield wanted

    # ------------------------------------------------------------ what cannot be had

    def _unlike(self) -> Iterator[str]:
        """What of the ledger is not as the section says, and is not the operator's alone to change."""
        authors = self._desk.book.state.authors
        registry = self._desk.community.registry
        for member in self._settings.members:
            author = authors.get(member.name)
            if author is not None and author.key is not None and author.key != self._public(member):
                yield f"{member.name} has another key in the ledger than in the section: rotate it there"
            for wanted in devices_of(member):
                device = registry.devices.get(wanted.device)
                if device is None or device.status is Status.RETIRED:
                    continue
                if device.owner != member.name:
                    yield f"{wanted.device} is {device.owner}'s in the ledger, not {member.name}'s"
                elif not _is_within(device.manifest, wanted):
                    yield f"{wanted.device} stands in the ledger with more than the section says: apply for it anew"


def _is_within(said: Device, wanted: Device) -> bool:
    """Whether a device is said to be what the section names, and to do no more."""
    return (
        (said.kind, said.feeder) == (wanted.kind, wanted.feeder)
        and said.max_export_w <= wanted.max_export_w
        and said.max_import_w <= wanted.max_import_w
        and said.storage_wh <= wanted.storage_wh
    )
