"""What a plan does with each kind of asset, and what is said where none exists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from dispatch_checker import Checker
from dispatch_instances import site_of

from historian.dispatch import (
    Asset,
    BadAsset,
    BadSite,
    Battery,
    Deferrable,
    DemandResponse,
    DispatchError,
    ElectricVehicle,
    Genset,
    GridTie,
    Group,
    Load,
    Plan,
    Renewable,
    Reserve,
    Site,
    Status,
    naive,
    solve,
)

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def grid(most: object = 100.0, **more: object) -> GridTie:
    return GridTie("grid", 0.30, 0.05, most, most, **more)


def battery(**more: object) -> Battery:
    return Battery("battery", 40.0, 20.0, 20.0, 20.0, **more)


def vehicle(name: str, **more: object) -> ElectricVehicle:
    return ElectricVehicle(name, 50.0, 10.0, START, START + 4 * HOUR, 30.0, 11.0, **more)


def plan_of(*assets: Asset, horizon: int = 6, deadline_s: float = 60.0, **more: object) -> Plan:
    site = Site(assets, **more)
    plan = solve(site, START, HOUR, horizon, gap=0.0, deadline_s=deadline_s)
    if plan.is_usable:
        assert Checker(site, plan).broken == []
    return plan


def test_a_battery_buys_where_it_is_cheap_and_never_does_both_to_burn_what_is_paid_for() -> None:
    """At prices below zero a store would charge and discharge at once: that is forbidden, there alone."""
    prices = [-0.2, -0.2, 0.1, 0.4, 0.4, 0.1]
    tie = GridTie("grid", prices, -1.0, 30.0, 0.0)
    plan = plan_of(Load("house", 5.0), battery(charge_efficiency=0.8), tie)
    power = plan.powers_kw["battery"]
    assert plan.status is Status.OPTIMAL
    assert (plan.rounds, plan.exclusive_steps) == (1, 2), (
        "where drawing is paid for it is forbidden from the start"
    )
    assert power[0] + power[1] == pytest.approx(-20.0 / 0.8)
    assert plan.energies_kwh["battery"][1] == pytest.approx(40.0)
    assert power[3:5] == pytest.approx([5.0, 5.0])


def test_what_has_to_be_burnt_is_not_burnt_by_charging_and_discharging_at_once() -> None:
    """No price tells: only a solution that does it. Sun that cannot be told to feed less fills the store first."""
    sun = Renewable("sun", [30.0, 30.0, 2.0, 2.0], curtailable=False)
    tie = GridTie("grid", 0.2, -0.1, 30.0, 30.0)
    plan = plan_of(Load("house", 5.0), battery(charge_efficiency=0.8), sun, tie, horizon=4)
    assert plan.status is Status.OPTIMAL
    assert plan.rounds > 1
    assert plan.exclusive_steps > 0


def test_the_higher_priority_is_charged_where_not_all_can_be() -> None:
    feeder = Group("feeder", 8.0, 0.0)
    plan = plan_of(
        *(vehicle("taxi", group="feeder"), vehicle("ambulance", priority=3, group="feeder"), grid()),
        groups=(feeder,),
    )
    assert plan.status is Status.OPTIMAL
    assert "ambulance" not in plan.shortfall_kwh
    assert plan.energies_kwh["ambulance"][3] == pytest.approx(30.0)
    assert plan.shortfall_kwh["taxi"] == pytest.approx(40.0 - 4 * 8.0 * 0.92)


def test_a_vehicle_gives_back_at_the_dear_hour_and_still_leaves_with_its_need() -> None:
    tie = GridTie("grid", [0.1, 1.0, 0.1, 0.1, 0.1, 0.1], 0.0, 100.0, 100.0)
    plan = plan_of(Load("house", 6.0), vehicle("car", discharge_max_kw=10.0), tie)
    assert plan.powers_kw["car"][1] == pytest.approx(6.0)
    assert plan.energies_kwh["car"][3] == pytest.approx(30.0)


def test_an_island_runs_its_genset_no_shorter_than_it_may() -> None:
    genset = Genset("genset", 10.0, 40.0, 0.5, start_cost=5.0, min_up=3 * HOUR, min_down=2 * HOUR)
    tie = grid([0.0, 0.0, 0.0, 100.0, 100.0, 100.0])
    plan = plan_of(
        Load("house", [0.0, 15.0, 0.0, 5.0, 5.0, 5.0]), genset, tie, Renewable("pv", 0.0), battery()
    )
    assert plan.status is Status.OPTIMAL
    assert not plan.running["genset"].any()
    small = Battery("battery", 40.0, 5.0, 20.0, 20.0)
    plan = plan_of(Load("house", [0.0, 15.0, 0.0, 5.0, 5.0, 5.0]), genset, tie, small)
    on = np.flatnonzero(plan.running["genset"])
    assert len(on) >= 3
    assert 1 in on


def test_a_block_runs_whole_and_energy_waits_for_the_sun() -> None:
    sun = Renewable("pv", [0.0, 0.0, 8.0, 12.0, 6.0, 0.0])
    wash = Deferrable("wash", START, START + 6 * HOUR, block_kw=(3.0, 5.0, 1.0))
    pump = Deferrable("pump", START + HOUR, START + 5 * HOUR, energy_kwh=12.0, power_max_kw=7.0, firm=True)
    plan = plan_of(sun, wash, pump, grid())
    assert plan.powers_kw["wash"] == pytest.approx([0.0, 0.0, 3.0, 5.0, 1.0, 0.0])
    assert plan.costs.imports == pytest.approx(0.0, abs=1e-6)


def test_the_peak_is_shaved_to_what_it_saves() -> None:
    tie = GridTie("grid", 0.2, 0.0, 100.0, 0.0, demand_charge_per_kw=10.0, peak_so_far_kw=12.0)
    plan = plan_of(Load("house", [5.0, 30.0, 5.0, 5.0, 5.0, 5.0]), battery(), tie)
    assert plan.powers_kw["grid"].max() == pytest.approx(30.0 - 0.96 * 20.0, abs=1.3)
    assert naive(Site((Load("h", 30.0), tie)), START, HOUR, 2).costs.peak == pytest.approx(180.0)


@pytest.mark.parametrize(("cost", "out"), [(0.5, ("event",)), (50.0, ()), (None, ())])
def test_an_event_is_followed_unless_leaving_it_is_cheaper(cost: float | None, out: tuple[str, ...]) -> None:
    event = DemandResponse("event", "grid", START + HOUR, START + 2 * HOUR, 4.0, cost)
    load = Load("house", 10.0, shed_cost_per_kwh=1.0)
    plan = plan_of(load, grid(), events=(event,))
    assert plan.opted_out == out
    assert plan.powers_kw["grid"][1] == pytest.approx(10.0 if out else 4.0)


def test_reserve_holds_energy_back_and_says_where_it_cannot() -> None:
    load, tie = Load("house", 4.0), GridTie("grid", [0.1, 0.1, 9.0, 9.0, 9.0, 9.0], 0.0, 50.0, 0.0)
    kept = plan_of(load, tie, battery(), reserve=Reserve(3 * HOUR, firm=True))
    assert min(kept.energies_kwh["battery"]) == pytest.approx(12.0 / 0.96)
    assert min(plan_of(load, tie, battery()).energies_kwh["battery"]) == pytest.approx(0.0, abs=1e-6)
    small = Battery("battery", 8.0, 8.0, 3.0, 3.0, 1.0, 1.0)
    short = plan_of(load, tie, small, reserve=Reserve(3 * HOUR))
    assert short.reserve_short_kwh == pytest.approx(np.full(6, 4.0))
    assert short.reserve_short_kw == pytest.approx(np.full(6, 1.0))


def test_a_phase_carries_no_more_than_it_may_and_three_share_alike() -> None:
    """Two cars on phase 1 and one on all three, which loads each by a third, where a phase has 7 kW."""
    cars = [vehicle("a", phase=1), vehicle("b", phase=1), vehicle("c"), grid()]
    plan = plan_of(*cars, groups=(Group("chargers", 50.0, 0.0, phase_max_kw=7.0),))
    assert plan.shortfall_kwh == {}  # no car lies in the group
    within = [
        vehicle("a", phase=1, group="g"),
        vehicle("b", phase=1, group="g"),
        vehicle("c", group="g"),
        grid(),
    ]
    plan = plan_of(*within, groups=(Group("g", 50.0, 0.0, phase_max_kw=7.0),))
    first = plan.powers_kw["a"] + plan.powers_kw["b"] + plan.powers_kw["c"] / 3
    assert -first.min() == pytest.approx(7.0)
    assert set(plan.shortfall_kwh) & {"a", "b"}


def test_a_phase_or_a_part_kept_that_conflicts_is_named() -> None:
    car = vehicle("car", phase=1, group="g", firm=True)
    weak = plan_of(car, grid(), groups=(Group("g", 50.0, 0.0, phase_max_kw=2.0),))
    assert {str(each).split(" (")[0] for each in weak.conflicts} == {
        "car: leaves with 30 kWh",
        "g: loads phase 1 with at most 2 kW",
    }
    kept = plan_of(car, grid(), groups=(Group("g", 9.0, 0.0, kept_kw=7.0),))
    assert "g: keeps 7 kW for vehicles of priority 3" in {str(each).split(" (")[0] for each in kept.conflicts}
    with pytest.raises(BadAsset, match=r"kept_kw is 9\.0: it must be at most draw_max_kw, 5"):
        Group("g", 5.0, 0.0, kept_kw=9.0)
    with pytest.raises(BadAsset, match=r"phase is 4: it must be 1, 2 or 3, or None"):
        vehicle("car", phase=4)


def test_hours_are_hours_over_the_night_the_clocks_go_forward() -> None:
    """In Vienna 29 March 2026 has 23 hours: a car from 0 h to 6 h on the wall is there for five."""
    vienna = ZoneInfo("Europe/Vienna")
    start = datetime(2026, 3, 29, 0, tzinfo=vienna)
    car = ElectricVehicle("car", 90.0, 0.0, start, start.replace(hour=6), 90.0, 10.0, 0.0, 1.0)
    plan = solve(Site((car, grid())), start, HOUR, 8, gap=0.0, deadline_s=60.0)
    assert plan.powers_kw["car"] == pytest.approx([-10.0] * 5 + [0.0] * 3)
    assert plan.times[5] == start.replace(hour=6)
    assert plan.times[5].utcoffset() == 2 * HOUR


def test_what_conflicts_is_named_with_its_times_and_amount() -> None:
    plan = plan_of(
        *(Load("house", [5.0, 20.0, 20.0, 5.0, 5.0, 5.0]), Load("idle", 0.0), battery(), grid(12.0)),
        vehicle("car", firm=True),
    )
    assert plan.status is Status.INFEASIBLE
    assert not plan.powers_kw
    named = {conflict.asset for conflict in plan.conflicts}
    assert {"bus", "car", "grid"} <= named
    needs = next(
        conflict for conflict in plan.conflicts if conflict.asset == "car" and "leaves" in conflict.constraint
    )
    assert needs.first == START + 3 * HOUR
    assert "leaves with 30 kWh" in str(needs)
    assert "from 2026-06-01 15:00 to 2026-06-01 16:00" in str(needs)


def test_without_any_one_of_the_named_constraints_there_is_a_plan() -> None:
    """Three are named, and each is needed: what is left out makes the rest hold."""
    house, tie = Load("house", 10.0), grid(10.0)
    plan = plan_of(house, tie, battery(end_energy_min_kwh=30.0))
    assert {each.asset for each in plan.conflicts} == {"bus", "grid", "battery"}
    end = next(each for each in plan.conflicts if "at the end" in each.constraint)
    assert end.amount == pytest.approx(10.0)
    assert plan_of(house, tie, battery(end_energy_min_kwh=20.0)).is_usable
    assert plan_of(house, grid(15.0), battery(end_energy_min_kwh=30.0)).is_usable
    assert plan_of(Load("house", 5.0), tie, battery(end_energy_min_kwh=30.0)).is_usable


def test_whole_numbers_can_be_what_conflicts() -> None:
    """3 kW lie below the genset's least, though half a genset could give them."""
    genset = Genset("genset", 10.0, 20.0, 0.3)
    plan = plan_of(Load("house", 3.0), genset)
    assert plan.status is Status.INFEASIBLE
    assert any("10 kW or more while it runs" in each.constraint for each in plan.conflicts)


def test_no_time_gives_no_plan_and_says_so() -> None:
    plan = solve(site_of(5), START, timedelta(minutes=30), 24, deadline_s=1e-4)
    assert plan.status is Status.LATE
    assert not plan.is_usable
    assert "0.0001 s" in plan.words


def test_the_previous_plan_is_a_start_and_changes_no_optimum() -> None:
    site = site_of(35, 16)
    step = timedelta(minutes=30)
    start = datetime(2026, 3, 28, 17, tzinfo=UTC)
    first = solve(site, start, step, 16, gap=0.0005, deadline_s=60)
    again = solve(site, start, step, 16, gap=0.0005, deadline_s=60, previous=first)
    assert first.running
    assert again.costs.total == pytest.approx(first.costs.total, rel=0.002, abs=0.01)


def test_a_field_that_cannot_be_is_named() -> None:
    with pytest.raises(
        BadAsset, match=r"Battery 'b': energy_kwh is 50.0: it must be 0 to the capacity, 40 kWh"
    ):
        Battery("b", 40.0, 50.0, 1.0, 1.0)
    with pytest.raises(BadAsset, match=r"charge_efficiency is 1.2"):
        Battery("b", 40.0, 5.0, 1.0, 1.0, 1.2)
    with pytest.raises(BadAsset, match=r"departure"):
        ElectricVehicle("car", 50.0, 10.0, START, START, 30.0, 11.0)
    with pytest.raises(BadAsset, match=r"power_kw is nan at step 1"):
        Load("house", [1.0, float("nan")])
    with pytest.raises(BadAsset, match=r"power_min_kw is 9.0: it must be at most power_max_kw, 8"):
        Genset("g", 9.0, 8.0, 0.1)
    with pytest.raises(BadAsset, match=r"zone"):
        Deferrable("d", datetime(2026, 1, 1), START, 1.0, 1.0)
    with pytest.raises(BadAsset, match=r"block_kw is given beside"):
        Deferrable("d", START, START + HOUR, 1.0, 1.0, block_kw=[1.0])


def test_a_site_whose_parts_do_not_fit_is_refused() -> None:
    with pytest.raises(BadSite, match=r"house is there more than once"):
        Site((Load("house", 1.0), Load("house", 2.0)))
    with pytest.raises(BadSite, match=r"there is no group 'north'"):
        Site((Load("house", 1.0, group="north"),))
    with pytest.raises(BadSite, match=r"a in b in a"):
        Site((), groups=(Group("a", 1.0, 1.0, "b"), Group("b", 1.0, 1.0, "a")))
    with pytest.raises(BadSite, match=r"power_kw has 2 values for 6 steps"):
        plan_of(Load("house", [1.0, 2.0]), grid())
    with pytest.raises(BadSite, match=r"is no grid tie"):
        Site((), events=(DemandResponse("event", "grid", START, START + HOUR, 1.0),))
    with pytest.raises(DispatchError, match=r"deadline_s"):
        plan_of(grid(), deadline_s=0.0)


def test_a_site_in_which_nothing_can_be_chosen_has_a_plan_or_a_reason() -> None:
    sun = Renewable("pv", 5.0, curtailable=False)
    assert plan_of(sun, Load("house", 5.0)).status is Status.OPTIMAL
    dark = plan_of(sun, Load("house", [5.0, 5.0, 7.0, 5.0, 5.0, 5.0]))
    assert [str(each) for each in dark.conflicts] == [
        "bus: power balance (alone it would have to give way by up to 2 kW"
        " from 2026-06-01 14:00 to 2026-06-01 15:00)"
    ]
