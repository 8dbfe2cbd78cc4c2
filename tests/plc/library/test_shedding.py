"""Under-frequency stages, contingency shedding and restoration."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9
MS = 10**6
NOTHING = [False] * 8


def flags(*numbers: int) -> list[bool]:
    """Eight flags with these on."""
    return [number in numbers for number in range(1, 9)]


# ── UFLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def ufls(block: Blocks) -> Any:
    ufls = block("UFLS")
    ufls.at(0, frequency_hz=60.0, stage_of_load=[0, 3, 2, 1, 1, 4, 9, -1])
    return ufls


@pytest.mark.parametrize("period_s", [0.001, 0.004, 0.02])
@pytest.mark.parametrize(
    ("frequency_hz", "open_loads"), [(59.49, (4, 5)), (58.99, (3, 4, 5)), (58.59, (2, 3, 4, 5))]
)
def test_stages_act_after_150_ms(
    ufls: Any, period_s: float, frequency_hz: float, open_loads: tuple[int, ...]
) -> None:
    ufls.at(1.0, frequency_hz=frequency_hz)
    acted_s = ufls.when("shed", period_s, 2.0, becomes=flags(*open_loads))
    assert -1e-9 <= acted_s - 1.15 < period_s


def test_a_dip_shorter_than_the_delay_sheds_nothing(ufls: Any) -> None:
    ufls.at(1.0, frequency_hz=58.0)
    ufls.at(1.149)
    ufls.at(1.15, frequency_hz=59.6)
    ufls.run(3.0, 0.01)
    assert ufls["shed"] == NOTHING


def test_shedding_is_latched_until_reset_with_frequency_back(ufls: Any) -> None:
    ufls.at(1.0, frequency_hz=59.4)
    ufls.at(1.2, reset=True)
    assert ufls["shed"] == flags(4, 5)
    ufls.at(1.3, reset=False, frequency_hz=60.0)
    assert ufls["shed"] == flags(4, 5)
    ufls.at(1.4, reset=True)
    assert ufls["shed"] == NOTHING


@pytest.mark.parametrize("hindrance", [{"is_good": False}, {"is_blocked": True}])
def test_bad_frequency_or_a_dead_bus_sheds_nothing_more_and_restores_nothing(
    ufls: Any, hindrance: dict[str, bool]
) -> None:
    ufls.at(1.0, frequency_hz=59.4)
    ufls.at(1.2)
    ufls.at(2.0, frequency_hz=0.0, **hindrance)
    ufls.run(5.0, 0.01, reset=True)
    assert ufls["shed"] == flags(4, 5)


def test_a_stage_without_frequency_never_acts(ufls: Any) -> None:
    ufls.at(1.0, frequency_hz=0.0)
    ufls.at(2.0)
    assert ufls["has_acted"] == [True, True, True, False]


# ── CONTINGENCY_SHED ─────────────────────────────────────────────────────────────────────────────────────────────
LOADS = [30.0, 20.0, 25.0, 40.0, 0.0, 10.0, 10.0, 5.0]
ORDER = [0, 1, 2, 3, 4, 5, 5, -1]  # 5 goes first; block 5 has no load, 1 and 8 never go


@pytest.fixture
def contingency(block: Blocks) -> Any:
    shed = block("CONTINGENCY_SHED")
    shed.set(load_kw=LOADS, shed_order=ORDER, margin_kw=5.0, reserve_kw=40.0, memory=500 * MS)
    return shed


@pytest.mark.parametrize(
    ("import_kw", "expected"),
    [
        (-50.0, ()),
        (35.0, ()),  # 35 + 5 - 40: nothing is missing
        (36.0, (7,)),
        (45.0, (7,)),
        (46.0, (7, 6)),
        (56.0, (7, 6, 4)),
        (95.0, (7, 6, 4)),
        (96.0, (7, 6, 4, 3)),
        (121.0, (7, 6, 4, 3, 2)),
    ],
)
def test_blocks_cover_what_would_be_missing_in_their_order(
    contingency: Any, import_kw: float, expected: tuple[int, ...]
) -> None:
    contingency.at(0, import_kw=import_kw)
    assert contingency["armed"] == flags(*expected)
    assert contingency["shed"] == NOTHING
    contingency.at(1, is_islanding=True)
    assert contingency["shed"] == flags(*expected)
    assert not contingency["is_insufficient"]


def test_it_tells_when_all_that_may_go_is_not_enough(contingency: Any) -> None:
    contingency.at(0, import_kw=141.0)
    assert contingency["armed"] == flags(2, 3, 4, 6, 7)
    assert contingency["is_insufficient"]
    assert (contingency["missing_kw"], contingency["armed_kw"]) == (106.0, 105.0)


@pytest.mark.parametrize("period_s", [0.001, 0.02, 0.2])
def test_what_meters_show_in_the_moment_of_the_loss_does_not_count(contingency: Any, period_s: float) -> None:
    contingency.at(0, import_kw=60.0)
    contingency.run(10.0, period_s)
    # 300 ms before the loss is detected import is gone and loads sag.
    contingency.run(10.3, period_s, import_kw=0.0, load_kw=[1.0] * 8)
    contingency.run(10.3 + period_s, period_s, is_islanding=True)
    assert contingency["shed"] == flags(4, 6, 7)


def test_the_set_follows_the_import_within_twice_the_memory(contingency: Any) -> None:
    contingency.at(0, import_kw=0.0)
    contingency.run(5.0, 0.02)
    contingency.set(import_kw=60.0)
    armed_s = contingency.when("armed", 0.02, 8.0, becomes=flags(4, 6, 7))
    assert 0.5 <= armed_s - 5.0 <= 1.05


def test_bad_inputs_keep_the_last_good_set_armed(contingency: Any) -> None:
    contingency.at(0, import_kw=60.0)
    contingency.run(3.0, 0.1, is_good=False, import_kw=0.0)
    contingency.run(3.1, 0.1, is_islanding=True)
    assert contingency["shed"] == flags(4, 6, 7)


def test_shedding_stays_until_reset_and_not_while_islanding(contingency: Any) -> None:
    contingency.at(0, import_kw=60.0)
    contingency.at(1, is_islanding=True)
    contingency.at(2, reset=True, import_kw=0.0)
    assert contingency["shed"] == flags(4, 6, 7)
    contingency.at(3, reset=False, is_islanding=False)
    assert contingency["shed"] == flags(4, 6, 7)
    contingency.at(4, reset=True)
    assert contingency["shed"] == NOTHING


def test_random_sets_always_suffice_where_they_can_and_hold_no_block_too_many(contingency: Any) -> None:
    random = Random(5)
    for step in range(300):
        loads = [random.choice([0.0, random.uniform(1, 60)]) for _ in range(8)]
        order = [random.randint(-1, 5) for _ in range(8)]
        import_kw = random.uniform(-50, 250)
        contingency.set(memory=0)
        for scan in range(3):
            contingency.at(
                step + scan * 0.1,
                import_kw=import_kw,
                load_kw=loads,
                shed_order=order,
            )
        missing, armed = contingency["missing_kw"], contingency["armed"]
        taken = [(order[i], i, loads[i]) for i in range(8) if armed[i]]
        may_go = [(order[i], i, loads[i]) for i in range(8) if order[i] > 0 and loads[i] > 0]
        assert taken == sorted(taken, key=lambda one: one[1])
        assert set(taken) <= set(may_go)
        by_order = sorted(may_go, reverse=True)
        assert sorted(taken, reverse=True) == by_order[: len(taken)]
        total = sum(kw for *_, kw in taken)
        assert total >= missing - 1e-3 or len(taken) == len(may_go)
        if taken:
            assert total - min(taken)[2] < missing + 1e-3


# ── RESTORATION ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def restoration(block: Blocks) -> Any:
    restoration = block("RESTORATION")
    restoration.set(
        is_shed=flags(2, 3, 4),
        load_kw=[0.0, 10.0, 20.0, 30.0, 0.0, 0.0, 0.0, 0.0],
        shed_order=[0, 3, 1, 2, 0, 0, 0, 0],
        reserve_kw=100.0,
        is_allowed=True,
        delay=30 * SECOND,
        confirm_time=5 * SECOND,
    )
    return restoration


@pytest.mark.parametrize("period_s", [0.01, 0.1, 0.7])
def test_blocks_come_back_one_at_a_time_the_most_important_first(restoration: Any, period_s: float) -> None:
    restoration.at(0)
    is_shed, last_s = flags(2, 3, 4), 0.0
    for number in (3, 4, 2):
        called_s = restoration.when("close", period_s, 200, becomes=flags(number))
        assert -1e-9 <= called_s - last_s - 30.0 < period_s + 1e-6
        is_shed[number - 1] = False
        restoration.run(restoration.time_s + period_s, period_s, is_shed=is_shed)
        assert restoration["close"] == NOTHING
        last_s = restoration.time_s
    assert restoration["next_load"] == 0
    restoration.run(300.0, 1.0)
    assert restoration["close"] == NOTHING


def test_cold_load_pickup_and_margin_have_to_be_covered_for_the_whole_delay(restoration: Any) -> None:
    restoration.at(0, reserve_kw=49.0)  # 2 * 20 + 10 = 50
    assert (restoration["needed_kw"], restoration["is_short"]) == (50.0, True)
    restoration.run(60.0, 1.0)
    assert restoration["close"] == NOTHING
    restoration.run(80.0, 1.0, reserve_kw=50.0)
    restoration.run(81.0, 1.0, reserve_kw=49.0)
    restoration.set(reserve_kw=50.0)
    assert restoration.when("close", 1.0, 200, becomes=flags(3)) == 112.0


def test_a_lesser_block_never_overtakes(restoration: Any) -> None:
    restoration.run(120.0, 1.0, reserve_kw=35.0)  # block 2 needs 30 kW, but block 3 comes first
    assert restoration["close"] == NOTHING
    assert restoration["next_load"] == 3


@pytest.mark.parametrize("hindrance", [{"is_allowed": False}, {"is_good": False}])
def test_the_call_is_withdrawn(restoration: Any, hindrance: dict[str, bool]) -> None:
    restoration.run(31.0, 1.0)
    assert restoration["close"] == flags(3)
    restoration.run(32.0, 1.0, **hindrance)
    assert restoration["close"] == NOTHING
    restoration.run(300.0, 1.0)
    assert restoration["close"] == NOTHING


def test_a_block_that_does_not_close_is_given_up_until_reset(restoration: Any) -> None:
    restoration.run(31.0, 1.0)
    assert restoration["close"] == flags(3)
    restoration.run(36.0, 1.0)
    assert restoration["close"] == NOTHING
    assert restoration["has_failed"] == flags(3)
    assert restoration.when("close", 1.0, 200, becomes=flags(4)) == 66.0
    restoration.run(67.0, 1.0, is_shed=flags(2, 3), reset=True)
    restoration.set(reset=False)
    assert restoration.when("close", 1.0, 300, becomes=flags(3)) == 97.0
