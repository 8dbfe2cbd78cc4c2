"""Joining, devices, feeders, meters: an operator lets in, an owner minds its own, and what is unfit is void."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_town import Town

from historian.ledger.entry import Account, KeyAction, KeyChange, Role
from historian.ledger.errors import Reason
from historian.ledger.facts import (
    NO_DIGEST,
    Approval,
    Device,
    DeviceKind,
    Feeder,
    Join,
    MeterBinding,
    ParticipantKind,
    Side,
    Status,
    StatusChange,
)
from historian.ledger.pen import Pen
from historian.signing import SigningKey

DEVICE = Device("pv1.new", DeviceKind.SOURCE, "X1", "roof", NO_DIGEST, "f1", 5_000, 0, 0)


def newcomer(town: Town, name: str = "pv3") -> None:
    town.keys[name] = SigningKey.generate()
    town.post(KeyChange(KeyAction.ENROL, name, Role.MEMBER, town.keys[name].public))
    town.pens[name] = Pen(town.keys[name], town.book.id, town.clock)


def test_who_joins_waits_for_an_operator_and_then_has_accounts(town: Town) -> None:
    newcomer(town)
    town.must("pv3", Join(ParticipantKind.PRODUCER, "street 3", NO_DIGEST))
    assert town.community.registry.participants["pv3"].status is Status.APPLIED
    assert "pv3.deposit" not in town.book.state.accounts
    town.refused("pv3", Approval("pv3", is_device=False), Reason.NOT_ALLOWED, "only one approves")
    town.refused("pv3", town.order("pv3", Side.SELL, 1, 100_000), Reason.NOT_ALLOWED, "applied")
    town.desk.demand(Approval("pv3", is_device=False))
    assert town.community.registry.participants["pv3"].status is Status.ACTIVE
    accounts = town.book.state.accounts
    assert not accounts["pv3.deposit"].may_be_negative
    assert (accounts["pv3.current"].may_be_negative, accounts["pv3.wh"].unit) == (True, "Wh")
    assert accounts["pv3.deposit"].owner == "market", "only the market takes from what secures trades"


def test_nobody_joins_twice_or_is_approved_twice(town: Town) -> None:
    town.refused("pv1", Join(ParticipantKind.PRODUCER, "x", NO_DIGEST), Reason.EXISTS)
    town.refused("market", Approval("pv1", is_device=False), Reason.EXISTS)
    town.refused("market", Approval("nobody", is_device=False), Reason.UNKNOWN)


def test_who_retired_may_join_again_with_the_accounts_it_has(town: Town) -> None:
    town.must("pv1", StatusChange("pv1", False, Status.RETIRED, 0, ""))
    town.must("pv1", Join(ParticipantKind.PRODUCER, "street 9", NO_DIGEST))
    town.desk.demand(Approval("pv1", is_device=False))
    assert town.community.registry.participants["pv1"].location == "street 9"
    assert town.community.market.deposits["pv1"] == 100_000_000


def test_accounts_that_somebody_opened_before_are_not_taken_over(town: Town) -> None:
    newcomer(town)
    town.must("pv3", Join(ParticipantKind.PRODUCER, "street 3", NO_DIGEST))
    town.post(Account("pv3.deposit", "EUR", "pv3", may_be_negative=True))
    town.refused("market", Approval("pv3", is_device=False), Reason.EXISTS, "not by approval")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"max_export_w": -1}, Reason.NEGATIVE),
        ({"max_import_w": 10**10}, Reason.OVERFLOW),
        ({"storage_wh": 5}, Reason.MALFORMED),
        ({"kind": DeviceKind.STORAGE}, Reason.MALFORMED),
        ({"feeder": "f9"}, Reason.UNKNOWN),
        ({"device": "pv2.dev"}, Reason.NOT_ALLOWED),
        ({"device": "pv1.meter"}, Reason.CONFLICT),
    ],
)
def test_a_manifest_that_cannot_be_is_void(town: Town, change: dict[str, object], reason: Reason) -> None:
    town.refused("pv1", replace(DEVICE, **change), reason)  # type: ignore[arg-type]  # fields of a device


def test_a_device_trades_once_it_is_approved_and_anew_after_a_new_manifest(town: Town) -> None:
    order = replace(town.order("pv1", Side.SELL, 100, 200_000), device="pv1.new")
    town.refused("pv1", order, Reason.UNKNOWN, "no device")
    town.must("pv1", DEVICE)
    town.refused("pv1", order, Reason.NOT_ALLOWED, "applied")
    town.desk.demand(Approval("pv1.new", is_device=True))
    town.must("pv1", order)
    town.must("pv1", replace(DEVICE, max_export_w=50_000))
    assert not town.community.market.orders, "what rested on the old manifest is cancelled"
    town.refused("pv1", order, Reason.NOT_ALLOWED, "applied")


def test_an_owner_minds_its_own_and_only_as_far_as_the_table_says(town: Town) -> None:
    at = town.now_us
    town.must("pv1", StatusChange("pv1.dev", True, Status.MAINTENANCE, at, "cleaned"))
    town.must("pv1", StatusChange("pv1.dev", True, Status.ACTIVE, 0, ""))
    assert town.community.registry.devices["pv1.dev"].maintained_at_us == at
    town.refused("pv2", StatusChange("pv1.dev", True, Status.RETIRED, 0, ""), Reason.NOT_ALLOWED, "pv1's")
    town.refused("pv1", StatusChange("pv1.dev", True, Status.ACTIVE, 2**62, ""), Reason.EARLY)
    town.desk.demand(StatusChange("pv1.dev", True, Status.SUSPENDED, 0, "unsafe"))
    town.refused("pv1", StatusChange("pv1.dev", True, Status.ACTIVE, 0, ""), Reason.NOT_ALLOWED, "operator")
    town.refused("pv1", replace(DEVICE, device="pv1.dev"), Reason.NOT_ALLOWED, "suspended")
    town.desk.demand(StatusChange("pv1.dev", True, Status.ACTIVE, 0, "repaired"))


def test_an_operator_approves_and_does_not_slip_in(town: Town) -> None:
    town.must("pv1", DEVICE)
    town.refused("market", StatusChange("pv1.new", True, Status.ACTIVE, 0, ""), Reason.NOT_ALLOWED)


@pytest.mark.parametrize(
    ("binding", "reason"),
    [
        (MeterBinding("pv1.dev", "a", "b", "market", True), Reason.UNKNOWN),
        (MeterBinding("none", "a", "b", "market", True), Reason.UNKNOWN),
        (MeterBinding("pv1.meter", "a", "a", "market", True), Reason.CONFLICT),
        (MeterBinding("pv1.meter", "pv2.in_wh", "b", "market", True), Reason.EXISTS),
        (MeterBinding("pv1.meter", "a", "b", "market", False), Reason.CONFLICT),
    ],
)
def test_a_meter_is_bound_to_two_tags_of_its_own(town: Town, binding: MeterBinding, reason: Reason) -> None:
    town.refused("market", binding, reason)


def test_meters_without_a_register_of_export_share_no_tag_by_that(town: Town) -> None:
    town.desk.demand(MeterBinding("pv1.meter", "pv1.in_wh", "", "market", True))
    town.desk.demand(MeterBinding("pv2.meter", "pv2.in_wh", "", "market", True))


def test_only_an_operator_sets_feeders_and_binds_meters(town: Town) -> None:
    town.refused("pv1", Feeder("f1", 1, 1), Reason.NOT_ALLOWED)
    town.refused("market", Feeder("f1", -1, 1), Reason.OVERFLOW)
    binding = MeterBinding("pv1.meter", "pv1.in_wh", "pv1.out_wh", "pv1", True)
    town.refused("pv1", binding, Reason.NOT_ALLOWED)
