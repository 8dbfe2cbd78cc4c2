"""Keys of ``dispatch``: assets, groups, reserves."""

from __future__ import annotations

from gateway.config.dispatch import CIVIL_DAY_S, AssetKind
from gateway.config.kinds import Boolean, Integer, Key, Later, Named, Number, Section, Text, When, choice
from gateway.config.site_keys.tariffs import TARIFFS
from gateway.config.site_keys.values import AREA_PATH, TAG, WORD, WORD_GRAMMAR

_STORES = frozenset({"battery", "vehicle"})
DISPATCH_ASSET = Section(
    "an asset of dispatch",
    (
        Key("kind", choice(AssetKind), "What it is."),
        Key(
            "for",
            Text("devices, * for any letters", r"[a-z*][a-z0-9_*?\[\]-]*", 64),
            "Devices that are each such an asset, named after it; tags call the device `device`.",
            None,
        ),
        Key("group", Text("the name of a group", WORD, 64), "The group that it is in.", None),
        Key(
            "power",
            TAG,
            "Its measured power in kW: sources feed with +, loads and deferrables draw with +.",
        ),
        Key("state_of_charge", TAG, "Its state of charge, %.", when=When("kind", _STORES)),
        Key("connected", TAG, "Whether a vehicle is there.", when=When("kind", frozenset({"vehicle"}))),
        Key("capacity_kwh", Number(above=0), "What it holds.", when=When("kind", _STORES)),
        Key("charge_max_kw", Number(low=0), "Most that it takes.", when=When("kind", _STORES)),
        Key("discharge_max_kw", Number(low=0), "Most that it gives.", when=When("kind", _STORES)),
        Key(
            "charge_efficiency_pct",
            Number(above=0, high=100),
            "What arrives in it.",
            95.0,
            when=When("kind", _STORES),
        ),
        Key(
            "discharge_efficiency_pct",
            Number(above=0, high=100),
            "What arrives from it.",
            95.0,
            when=When("kind", _STORES),
        ),
        Key(
            "soc_min_pct",
            Number(low=0, high=100),
            "It gives nothing below.",
            10.0,
            when=When("kind", _STORES),
        ),
        Key(
            "soc_max_pct",
            Number(low=0, high=100),
            "It is charged no further.",
            100.0,
            when=When("kind", frozenset({"battery"})),
        ),
        Key(
            "wear_cost_per_kwh",
            Number(low=0),
            "What a kWh given costs in wear.",
            0.0,
            when=When("kind", _STORES),
        ),
        Key(
            "end_value_per_kwh",
            Number(low=0),
            "What a kWh in it is worth when the horizon ends.",
            0.0,
            when=When("kind", frozenset({"battery"})),
        ),
        Key(
            "target_pct",
            Number(low=0, high=100),
            "State of charge wanted at departure.",
            80.0,
            when=When("kind", frozenset({"vehicle"})),
        ),
        Key(
            "stay_h",
            Number(above=0, high=168),
            "How long it stays from plugging in.",
            8.0,
            when=When("kind", frozenset({"vehicle"})),
        ),
        Key(
            "stay",
            TAG,
            "A tag that says so, in h; `stay_h` while it is Bad.",
            None,
            when=When("kind", frozenset({"vehicle"})),
        ),
        Key(
            "priority",
            Integer(1, 3),
            "Of its need where not all can be met; 3 is the highest.",
            1,
            when=When("kind", frozenset({"vehicle", "deferrable"})),
        ),
        Key(
            "firm",
            Boolean(),
            "Its need must be met: else there is no plan.",
            False,
            when=When("kind", frozenset({"vehicle", "deferrable"})),
        ),
        Key(
            "power_min_kw",
            Number(low=0),
            "Least that it gives while it runs.",
            when=When("kind", frozenset({"genset"})),
        ),
        Key(
            "power_max_kw",
            Number(above=0),
            "Most that it gives, or takes.",
            when=When("kind", frozenset({"genset", "deferrable"})),
        ),
        Key("fuel_cost_per_kwh", Number(low=0), "Its fuel.", when=When("kind", frozenset({"genset"}))),
        Key(
            "no_load_cost_per_h",
            Number(low=0),
            "Its fuel while it gives nothing.",
            0.0,
            when=When("kind", frozenset({"genset"})),
        ),
        Key("start_cost", Number(low=0), "Of a start.", 0.0, when=When("kind", frozenset({"genset"}))),
        Key(
            "min_up_min",
            Number(low=0, high=1_440),
            "Shortest run, minutes.",
            0.0,
            when=When("kind", frozenset({"genset"})),
        ),
        Key(
            "min_down_min",
            Number(low=0, high=1_440),
            "Shortest pause, minutes.",
            0.0,
            when=When("kind", frozenset({"genset"})),
        ),
        Key("import_max_kw", Number(low=0), "Most import.", when=When("kind", frozenset({"tie"}))),
        Key("export_max_kw", Number(low=0), "Most export.", when=When("kind", frozenset({"tie"}))),
        Key(
            "import_tariff",
            Text("the name of a tariff", WORD, 64),
            "What import costs; this, or `import_price`.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "export_tariff",
            Text("the name of a tariff", WORD, 64),
            "What export earns; nothing unless given.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "import_price",
            TAG,
            "A tag that tells what a kWh of import costs now, in `currency`/kWh; foreseen by history.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "export_price",
            TAG,
            "The same of what export earns.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "import_limit",
            TAG,
            "A tag that lowers `import_max_kw`: the peak limit in force.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "import_margin_kw",
            Number(low=0),
            "How far below its limit import is planned: room for what comes otherwise than foreseen.",
            0.0,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "closed",
            TAG,
            "Its breaker; while it is open the site is planned as an island for an hour.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "demand_charge_per_kw",
            Number(low=0),
            "Of the highest mean import of a step.",
            0.0,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "critical",
            Boolean(),
            "The reserve must carry it.",
            True,
            when=When("kind", frozenset({"load"})),
        ),
        Key(
            "shed_cost_per_kwh",
            Number(low=0),
            "What a kWh not served costs; unless given, it is never shed.",
            None,
            when=When("kind", frozenset({"load"})),
        ),
        Key(
            "curtailable",
            Boolean(),
            "It can be told to feed less.",
            True,
            when=When("kind", frozenset({"renewable"})),
        ),
        Key(
            "forecast",
            Text("the name of a forecast", WORD, 64),
            "Which of `forecasts` tells its power ahead; by history unless given.",
            None,
            when=When("kind", frozenset({"load", "renewable"})),
        ),
        Key(
            "from_h",
            Number(low=0, high=24),
            "From this hour of the day on.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "to_h",
            Number(low=0, high=24),
            "It is done by this one; where it is not later, of the next day.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "energy_kwh",
            Number(above=0),
            "Of each day. These three, or the three tags that follow.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "energy",
            TAG,
            "A tag that tells the energy of its window, kWh.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "opens_in",
            TAG,
            "A tag that tells how long until its window opens, s; 0 or less once it has.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "closes_in",
            TAG,
            "A tag that tells how long until it has to be done, s; 0 or less while it is not wanted.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "margin_s",
            Number(low=0, high=86_400),
            "How long before its end it is planned to be done.",
            0.0,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "done",
            TAG,
            "A tag that tells how much of it has been since its window opened, kWh.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
    ),
)

DISPATCH_ASSETS = Named("an asset", WORD, WORD_GRAMMAR, DISPATCH_ASSET)
DISPATCH_GROUP = Section(
    "a group of dispatch",
    (
        Key("draw_max_kw", Number(low=0), "Most that its assets draw together."),
        Key("feed_max_kw", Number(low=0), "Most that they feed together."),
        Key("parent", Text("the name of a group", WORD, 64), "The group that it is in.", None),
    ),
)

DISPATCH_GROUPS = Named("a group", WORD, WORD_GRAMMAR, DISPATCH_GROUP)
DISPATCH_RESERVE = Section(
    "a reserve of dispatch",
    (
        Key(
            "ride_through_h",
            Number(low=0, high=48),
            "Hours that critical loads are carried without the grid.",
        ),
        Key("margin_kw", Number(low=0), "Power above them.", 0.0),
        Key("renewable_share", Number(low=0, high=1), "Share of sun and wind that is counted on.", 0.0),
        Key("firm", Boolean(), "It must be held: else there is no plan.", False),
    ),
)

DISPATCH = Section(
    "dispatch",
    (
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key("assets", Later(DISPATCH_ASSETS), "What is planned, by name."),
        Key("tariffs", Later(TARIFFS), "Prices, by name.", None),
        Key("groups", Later(DISPATCH_GROUPS), "Feeders and connectors with a limit, by name.", None),
        Key("reserve", DISPATCH_RESERVE, "What is held back for an island.", None),
        Key("step_min", Integer(1, 60, "min"), "Length of a step; a divisor of an hour.", 15),
        Key("step_s", Integer(1, 1_800, "s"), "The same in seconds, in place of `step_min`.", None),
        Key("horizon_h", Integer(1, 336, "h"), "How far it looks ahead.", 48),
        Key("horizon_s", Integer(10, 1_209_600, "s"), "The same in seconds, in place of `horizon_h`.", None),
        Key(
            "day_s",
            Integer(60, CIVIL_DAY_S, "s"),
            "Length of a day: costs are summed by it, and history looks back by it. Other than of 24 h, days are"
            " counted from 1970 on, UTC.",
            CIVIL_DAY_S,
        ),
        Key("ends_with_day", Boolean(), "Plans look no further than to the end of the day.", False),
        Key(
            "past_days",
            Integer(1, 60, "days"),
            "What history foresees is the mean of so many days before; unless given, of a day and a week before.",
            None,
        ),
        Key("period_s", Integer(5, 86_400, "s"), "How often it plans anew, by the clock.", 900),
        Key(
            "wait_s",
            Number(low=0, high=60),
            "How long after that it plans: until tags tell of the step that has begun.",
            0.0,
        ),
        Key("deadline_s", Number(above=0, high=600), "How long the solver may take.", 10.0),
        Key("gap_pct", Number(low=0, high=50), "How far from the best a plan may be.", 0.5),
        Key(
            "keep_h",
            Number(above=0, high=48),
            "How long the last plan is followed while there is no newer one.",
            24.0,
        ),
        Key("currency", Text("a currency such as EUR", r"[A-Z]{3}", 3), "Of all prices and costs.", "EUR"),
        Key(
            "shortfall_cost_per_kwh",
            Number(above=0),
            "What a kWh weighs that a need of priority 1 misses; above the dearest kWh.",
            100.0,
        ),
    ),
)
