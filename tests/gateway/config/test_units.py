"""The table of units."""

from __future__ import annotations

import pytest

from gateway.config.units import NO_UNIT_ID, SPELLINGS, UNITS, unit_of, unit_of_name


def test_unit_id_is_that_of_the_specification() -> None:
    # OPC 10000-8, 5.6.3: the worked example there is C81 (radian) = 4405297.
    assert UNITS["rad"].unit_id == 4405297
    assert UNITS["°C"].unit_id == 4408652
    assert UNITS["Hz/s"].unit_id == NO_UNIT_ID


def test_codes_suffixes_and_typed_forms_are_each_one_unit() -> None:
    for values in (
        [unit.unece_code for unit in UNITS.values() if unit.unece_code],
        [unit.suffix for unit in UNITS.values() if unit.suffix],
        [unit.typed for unit in UNITS.values() if unit.typed],
    ):
        assert len(values) == len(set(values))


def test_wrong_spellings_lead_to_a_unit_and_are_none_themselves() -> None:
    assert all(right in UNITS for right in SPELLINGS.values())
    assert not any(unit_of(wrong) for wrong in SPELLINGS)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("power_kw", "kW"), ("irradiance_w_m2", "W/m²"), ("wind_speed_m_s", "m/s"), ("state_of_charge_pct", "%"),
        ("frequency_hz", "Hz"), ("rocof_hz_s", "Hz/s"), ("speed_rpm", "r/min"), ("power_min", None),
        ("state", None), ("kw", None),
    ],
)  # fmt: skip
def test_names_carry_their_unit_at_the_end(name: str, symbol: str | None) -> None:
    unit = unit_of_name(name)
    assert (unit.symbol if unit else None) == symbol
