"""Keys of ``health``: assets that are watched, and their upkeep."""

from __future__ import annotations

from gateway.config.health import HealthKind
from gateway.config.kinds import Integer, Key, Later, Named, Number, Section, When, choice
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION, TAG, WORD, WORD_GRAMMAR

_BATTERY_HEALTH = When("kind", frozenset({HealthKind.BATTERY}))
_PV_HEALTH = When("kind", frozenset({HealthKind.PV}))
_WIND_HEALTH = When("kind", frozenset({HealthKind.WIND}))
_GENSET_HEALTH = When("kind", frozenset({HealthKind.GENSET}))
UPKEEP = Section(
    "upkeep",
    (
        Key("every_h", Number(above=0), "After so many hours of running.", None),
        Key("every_starts", Integer(1, 1_000_000), "After so many starts.", None),
        Key("every_days", Number(above=0, high=36_500), "After so many days.", None),
        Key("description", DESCRIPTION, "The work, for people; its name unless given.", ""),
    ),
)

UPKEEPS = Named("upkeep", WORD, WORD_GRAMMAR, UPKEEP, 40)
HEALTH_ASSET = Section(
    "an asset's health",
    (
        Key("kind", choice(HealthKind), "What it is."),
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key("power", TAG, "Its power in kW; what feeds the bus is positive."),
        Key("window_days", Integer(1, 366, "days"), "Over how many days a value is made.", 30),
        Key("state_of_charge", TAG, "State of charge, %.", when=_BATTERY_HEALTH),
        Key("capacity_kwh", Number(above=0), "Nominal capacity.", when=_BATTERY_HEALTH),
        Key(
            "efficiency_pct",
            Number(above=0, high=100),
            "Of one way, from the terminals to the cells.",
            100.0,
            when=_BATTERY_HEALTH,
        ),
        Key(
            "least_swing_pct",
            Number(low=5, high=100),
            "The least change of the state of charge that capacity is measured by.",
            20.0,
            when=_BATTERY_HEALTH,
        ),
        Key("charged", TAG, "Counter of energy taken, kWh.", None, when=_BATTERY_HEALTH),
        Key("discharged", TAG, "Counter of energy given, kWh.", None, when=_BATTERY_HEALTH),
        Key("current", TAG, "Current of the string, A; positive discharges.", None, when=_BATTERY_HEALTH),
        Key("voltage", TAG, "Voltage of the string, V.", None, when=_BATTERY_HEALTH),
        Key("cell_lowest", TAG, "Voltage of the weakest cell, V.", None, when=_BATTERY_HEALTH),
        Key("cell_highest", TAG, "Voltage of the strongest cell, V.", None, when=_BATTERY_HEALTH),
        Key(
            "step_a",
            Number(above=0),
            "The least step of the current that resistance is measured by.",
            50.0,
            when=_BATTERY_HEALTH,
        ),
        Key("rest_a", Number(above=0), "Below this current its cells rest.", 5.0, when=_BATTERY_HEALTH),
        Key("resistance_mohm", Number(above=0), "Its resistance when new.", None, when=_BATTERY_HEALTH),
        Key(
            "health_min_pct",
            Number(above=0, high=99.9),
            "The state of health at which it is to be replaced.",
            80.0,
            when=_BATTERY_HEALTH,
        ),
        Key(
            "resistance_max_pct",
            Number(above=100),
            "Most resistance, of that when new.",
            150.0,
            when=_BATTERY_HEALTH,
        ),
        Key(
            "imbalance_max_mv", Number(above=0), "Most that cells differ at rest.", None, when=_BATTERY_HEALTH
        ),
        Key("irradiance", TAG, "In the plane of the modules, W/m².", when=_PV_HEALTH),
        Key(
            "rated_kw",
            Number(above=0),
            "Nameplate power.",
            when=When("kind", frozenset({HealthKind.PV, HealthKind.WIND})),
        ),
        Key("temperature", TAG, "Of the modules, °C.", None, when=_PV_HEALTH),
        Key(
            "per_k_pct",
            Number(low=-2, high=0),
            "What a kelvin takes of the power.",
            -0.4,
            when=_PV_HEALTH,
        ),
        Key(
            "limit",
            TAG,
            "The power it may make, kW; while it is held down it is not judged.",
            None,
            when=When("kind", frozenset({HealthKind.PV, HealthKind.WIND})),
        ),
        Key(
            "performance_min",
            Number(above=0, high=1.5),
            "Least performance ratio (corrected, where the temperature is known).",
            None,
            when=_PV_HEALTH,
        ),
        Key("wind", TAG, "Wind speed, m/s.", when=_WIND_HEALTH),
        Key(
            "learn_days",
            Integer(1, 366, "days"),
            "From its first days with wind its power curve is learned.",
            30,
            when=_WIND_HEALTH,
        ),
        Key(
            "energy_ratio_min",
            Number(above=0, high=1.5),
            "Least energy of what its own curve gives.",
            None,
            when=_WIND_HEALTH,
        ),
        Key("running", TAG, "Whether the engine runs.", when=_GENSET_HEALTH),
        Key("energy", TAG, "Counter of energy given, kWh.", None, when=_GENSET_HEALTH),
        Key("fuel", TAG, "Level of the tank, l or %.", None, when=_GENSET_HEALTH),
        Key("tank_l", Number(above=0), "What the tank holds.", None, when=_GENSET_HEALTH),
        Key("fuel_max_l_kwh", Number(above=0), "Most fuel for a kWh, l.", None, when=_GENSET_HEALTH),
        Key(
            "hours_before", Number(low=0), "Hours it had run before history began.", 0.0, when=_GENSET_HEALTH
        ),
        Key(
            "starts_before",
            Integer(0, 10_000_000),
            "Its starts before history began.",
            0,
            when=_GENSET_HEALTH,
        ),
        Key("upkeep", Later(UPKEEPS), "Work that comes round, by name.", None),
    ),
)

HEALTH = Named("an asset", WORD, WORD_GRAMMAR, HEALTH_ASSET, 40)
