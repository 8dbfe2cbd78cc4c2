"""Keys of ``simulator``."""

from __future__ import annotations

from gateway.config.kinds import Boolean, Integer, Key, Number, Section, When, choice
from gateway.config.site import SimulatedPlant, SimulatorSettings
from gateway.config.site_keys.values import HOST

_SIMULATOR = SimulatorSettings()
_OF_MICROGRID = When("plant", frozenset({"microgrid"}))
SIMULATOR = Section(
    "the simulator",
    (
        Key("plant", choice(SimulatedPlant), "What is simulated (docs/simulator.md).", _SIMULATOR.plant),
        Key("seed", Integer(0, 2**32 - 1), "Same seed, same day.", _SIMULATOR.seed),
        Key("speed", Number(above=0, high=1_000), "Simulated seconds a second.", _SIMULATOR.speed),
        Key("host", HOST, "Address its devices listen on.", _SIMULATOR.host),
        Key("base_port", Integer(1, 65_000), "Port of its first device.", _SIMULATOR.base_port),
        Key(
            "ev_chargers",
            Integer(0, 200),
            "Chargers it has.",
            _SIMULATOR.ev_chargers,
            when=_OF_MICROGRID,
        ),
        Key(
            "ev_stay_h",
            Number(above=0, high=168),
            "How long each vehicle stays, in hours of the plant; unless given, half an hour to three.",
            _SIMULATOR.ev_stay_h,
            when=_OF_MICROGRID,
        ),
        Key("feeders", Integer(0, 10), "Load feeders it has.", _SIMULATOR.feeders, when=_OF_MICROGRID),
        Key(
            "start_hour",
            Number(low=0, high=24),
            "Hour of the day it starts at.",
            _SIMULATOR.start_hour,
            when=_OF_MICROGRID,
        ),
        Key(
            "nominal_hz",
            Number(low=45, high=65),
            "Frequency it is built for.",
            _SIMULATOR.nominal_hz,
            when=_OF_MICROGRID,
        ),
        Key(
            "nominal_v",
            Number(low=100, high=1_000),
            "Its voltage, line to line.",
            _SIMULATOR.nominal_v,
            when=_OF_MICROGRID,
        ),
        Key(
            "remote",
            Boolean(),
            "Relays and inverter come back only when commanded; false: by themselves.",
            _SIMULATOR.remote,
            when=_OF_MICROGRID,
        ),
    ),
)
