"""Days looked at once, what they tell together, and items that outlive a restart."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from historian.health.maintenance import Urgency
from historian.health_job.rounds import Rounds, over
from historian.health_job.store import HealthStore, NoItem

NOON = sys.modules["historian_folder"].NOON
HOUR = 3_600 * 10**9
DAY = 24 * HOUR


def all_due(rounds: Rounds, now: int) -> list[Any]:
    due = rounds.due(now)
    for each in due:
        rounds.look(each)
    return due


def values(assessments: Any) -> dict[str, float | None]:
    return {f"{one.asset}.{each.name}": each.value for one in assessments for each in one.readings}


@pytest.mark.parametrize("counters", ["charged: a.in_kwh, discharged: a.out_kwh,", ""])
def test_history_tells_what_the_plant_was_made_with(plant, tmp_path, counters):
    here = plant(counters)
    with HealthStore.to_write(tmp_path / "health.sqlite") as store:
        rounds = Rounds(here.site.health, here.history, store)
        all_due(rounds, NOON)
        found = values(rounds.assess(NOON))
    assert found["battery.capacity_kwh"] == pytest.approx(480, rel=0.005)
    assert found["battery.state_of_health_pct"] == pytest.approx(96, rel=0.005)
    assert found["battery.full_cycles"] == pytest.approx(0.8, rel=0.01)
    assert found["battery.resistance_mohm"] == pytest.approx(30, rel=0.01)
    assert found["battery.imbalance_mv"] == pytest.approx(20, rel=0.01)
    assert found["sun.performance_ratio"] == pytest.approx(0.9, rel=0.01)
    assert found["sun.performance_corrected"] == pytest.approx(1.0, rel=0.01)
    assert found["mill.energy_ratio"] == pytest.approx(0.8, rel=0.01)
    assert found["genset.run_hours"] == pytest.approx(103, abs=0.1)
    assert found["genset.starts"] == 2
    assert found["genset.specific_fuel_l_kwh"] == pytest.approx(0.3, rel=0.02)
    assert found["genset.hours_to_service"] == pytest.approx(-0.5, abs=0.1)
    # A trend is not made of two days.
    assert {name for name, value in found.items() if value is None} == {
        f"battery.{name}"
        for name in ("loss_pct_a_year", "end_days", "end_earliest_days", "end_latest_days", "knee")
    }


def test_a_day_is_looked_at_until_it_has_settled_and_then_never_again(plant, tmp_path):
    here = plant()
    with HealthStore.to_write(tmp_path / "health.sqlite") as store:
        rounds = Rounds(here.site.health, here.history, store)
        first = all_due(rounds, NOON)
        assert len(first) == 4 * 3
        assert rounds.due(NOON + HOUR // 10) == []
        assert len(all_due(rounds, NOON + HOUR)) == 4  # today, as it goes on
        assert len(all_due(rounds, NOON + 13 * HOUR)) == 2 * 4  # yesterday anew, as late samples came; today
        assert len(all_due(rounds, NOON + 14 * HOUR)) == 4
        assert {due.start for due in all_due(rounds, NOON + 2 * DAY)} == {NOON + 12 * HOUR, NOON + 36 * HOUR}


def test_items_bear_evidence_and_what_people_did_outlives_a_restart(plant, tmp_path):
    here, path = plant(), tmp_path / "health.sqlite"
    with HealthStore.to_write(path) as store:
        rounds = Rounds(here.site.health, here.history, store)
        all_due(rounds, NOON)
        rounds.assess(NOON)
        found = {kept.item.work: kept for kept in store.items()}
        assert {(kept.item.asset, kept.item.urgency) for kept in found.values()} == {
            ("battery", Urgency.OVERDUE),  # 30 of 15 mOhm when new, 150 % at most
            ("mill", Urgency.OVERDUE),
            ("genset", Urgency.OVERDUE),
        }
        oil = found["Change the oil"]
        (evidence,) = oil.item.evidence
        assert (evidence.value, evidence.limit, evidence.unit) == (pytest.approx(3, abs=0.1), 2.5, "h")
        assert oil.is_unseen
        assert not store.acknowledge(oil.id, "ada", "on Monday", NOON).is_unseen
    with HealthStore.to_write(path) as store:
        rounds = Rounds(here.site.health, here.history, store)
        rounds.assess(NOON + 1)
        kept = {each.id: each for each in store.items()}[oil.id]
        assert (kept.acknowledged_by, kept.note, kept.opened, kept.is_unseen) == (
            "ada",
            "on Monday",
            NOON,
            False,
        )
        store.finish(oil.id, "bob", "5W-30", NOON + 2, 103.0, 2)
        readings = values(rounds.assess(NOON + 3))
        assert readings["genset.hours_to_service"] == pytest.approx(2.5, abs=0.1)
        again = next(each for each in store.items() if each.item.work == "Change the oil")
        assert again.id != oil.id
        assert again.item.urgency is not Urgency.OVERDUE
        with pytest.raises(NoItem, match="closed: 5W-30"):
            store.acknowledge(oil.id, "ada", "", NOON + 4)
        with pytest.raises(NoItem, match="there is no item 999"):
            store.acknowledge(999, "ada", "", NOON + 4)


def test_an_acknowledged_item_that_gets_worse_is_unseen_again(plant, tmp_path):
    here = plant()
    with HealthStore.to_write(tmp_path / "health.sqlite") as store:
        rounds = Rounds(here.site.health, here.history, store)
        all_due(rounds, NOON)
        (genset,) = [asset for asset in here.site.health if asset.name == "genset"]
        (item,) = next(one for one in rounds.assess(NOON) if one.asset == genset.name).items
        soon = type(item)(*(item.asset, item.work, Urgency.SOON, None, None, None, item.evidence))
        store.put_items("genset", [soon], NOON)
        (kept,) = [each for each in store.items() if each.item.asset == "genset"]
        assert not store.acknowledge(kept.id, "ada", "", NOON).is_unseen
        store.put_items("genset", [item], NOON)
        (kept,) = [each for each in store.items() if each.item.asset == "genset"]
        assert kept.is_unseen
        store.put_items("genset", [], NOON)
        assert [each.closing for each in store.items(closed=True) if each.id == kept.id] == [
            "its reason has passed"
        ]


def test_a_report_over_history_keeps_nothing_and_says_the_same(plant, tmp_path):
    here = plant()
    (sun,) = [asset for asset in here.site.health if asset.name == "sun"]
    known = over(sun, here.history, 0, NOON)
    assert len(known.days) == 3
    assert sum(day.estimates["expected_kwh"].value for day in known.days) == pytest.approx(
        150 * 0.5 * 20, rel=0.01
    )
