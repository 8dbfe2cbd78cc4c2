"""Awards by the baselines of demand response, out of a ledger's own readings; made again by anyone who has the file.

The rule is that of ``TEN_OF_TEN`` (California ISO tariff, 4.13.4), the hours that move the baseline ending no later
than the event's announcement in the ledger: what is drawn in its knowledge moves nothing. What the announcement did
not tell of, a guess, is held by the rule's cap and the reward's ``most_adjustment``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from historian.ledger.community import Community
from historian.ledger.errors import Reason, Refused
from historian.ledger.market.price import ONE
from historian.ledger.metering import HOUR_S, MICROS
from historian.ledger.reward_facts import Award, RewardEvent, RewardKind
from historian.ledger.rewards import batch_evidence

_LOOK_BACK_US = 47 * 86_400 * MICROS  # the rule's 45 days, whatever the hour and the change of clocks


def award_for(community: Community, participant: str, kind: RewardKind, event: str) -> Award:
    """What the ledger's readings show; ``Refused`` where they do not tell. Needs ``tieline[analytics]``."""
    rewards = community.treasury.rewards
    if kind is RewardKind.RENEWABLE:
        known = community.treasury.certificates.batches.get(event)
        if known is None:
            raise Refused(Reason.UNKNOWN, f"no batch {event}")
        batch = known[1]
        return Award(participant, kind, event, 0, 0, batch.wh, batch_evidence(batch))
    found = rewards.events.get(event)
    if found is None:
        raise Refused(Reason.UNKNOWN, f"no event {event}")
    announced_us, call = found
    interval_us = community.market.in_force().interval_s * MICROS
    measured = rewards.measured(participant, kind, call, interval_us)
    unadjusted, baseline, proof = _baseline(community, participant, kind, announced_us, call, interval_us)
    return Award(participant, kind, event, unadjusted, baseline, measured, proof)


def _baseline(
    community: Community,
    participant: str,
    kind: RewardKind,
    announced_us: int,
    call: RewardEvent,
    interval_us: int,
) -> tuple[int, int, bytes]:
    # Where they are used: they need libraries that a ledger does without.
    from historian.demand_response import Adjustment, BadMeter, DayMatching, Event, Level, baseline
    from historian.libraries import load

    pandas: Any = load("pandas", "an award's baseline")
    zone = ZoneInfo(call.time_zone)
    rule = DayMatching(adjustment=Adjustment(before_notice=True))

    def event(announced: int, of: RewardEvent) -> Event:
        span = timedelta(microseconds=of.to_us - of.from_us)
        return Event(of.event, _at(of.from_us, zone), span, Level.HIGH, announced=_at(announced, zone))

    others = [
        event(at_us, other)
        for at_us, other in community.treasury.rewards.events.values()
        if other.event != call.event and other.from_us < call.to_us
    ]
    rows = list(_intervals(community, participant, kind, call, interval_us))
    index = pandas.DatetimeIndex([_at(at_us, UTC) for at_us, _ in rows]).tz_convert(zone)
    kw_of_wh = HOUR_S * MICROS / interval_us / 1_000
    load_kw = pandas.Series([wh * kw_of_wh for _, wh in rows], index=index, name=participant)
    try:
        made = baseline(load_kw, event(announced_us, call), rule, others=others)
    except BadMeter as error:
        raise Refused(Reason.UNKNOWN, str(error)) from None
    unadjusted, adjusted = (_counted(kind, kw, kw_of_wh) for kw in (made.unadjusted_kw, made.kw))
    proof = {
        "adjustment_cap_ppm": round(rule.adjustment.cap * ONE),
        "announced_us": announced_us,
        "baseline": adjusted,
        "days": [day.isoformat() for day in made.days],
        "event": [call.event, call.from_us, call.to_us, call.time_zone],
        "kind": kind.name,
        "others": sorted([other.name, other.start.isoformat()] for other in others),
        "participant": participant,
        "readings": rows,
        "rule": "ten of ten, hours before notice",
        "unadjusted": unadjusted,
    }
    return unadjusted, adjusted, sha256(orjson.dumps(proof, option=orjson.OPT_SORT_KEYS)).digest()


def _counted(kind: RewardKind, kw: Any, kw_of_wh: float) -> int:
    """A baseline as its kind counts it, to the nearest Wh or W."""
    return round(float(kw.max()) * 1_000) if kind is RewardKind.PEAK else round(float(kw.sum()) / kw_of_wh)


def _intervals(
    community: Community, participant: str, kind: RewardKind, call: RewardEvent, interval_us: int
) -> Iterator[tuple[int, int]]:
    """Measured intervals before the event's end, and their Wh: taken, or for stability taken less given."""
    mains = community.registry.mains.get(participant, [])
    times = {at_us for meter in mains for at_us in community.meters.times(meter)}
    for at_us in sorted(times):
        if not call.from_us - _LOOK_BACK_US <= at_us < call.to_us:
            continue
        energy = community.meters.of_participant(participant, at_us, at_us + interval_us, may_be_new=True)
        if energy is not None and not energy.is_estimated:
            yield at_us, -energy.net_export_wh if kind is RewardKind.STABILITY else energy.import_wh


def _at(at_us: int, zone: Any) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).astimezone(zone)


def check_awards(community: Community) -> Iterator[tuple[int, str]]:
    """The entries of awards that the ledger's readings do not give now, and why."""
    for awarded in community.treasury.rewards.awards:
        said = awarded.award
        try:
            made = award_for(community, said.participant, said.kind, said.event)
        except Refused as refused:
            yield awarded.entry, str(refused)
            continue
        if made != said:
            yield (
                awarded.entry,
                f"said {said.unadjusted}/{said.baseline}/{said.measured}, the readings give"
                f" {made.unadjusted}/{made.baseline}/{made.measured}, evidence {made.evidence.hex()}",
            )
