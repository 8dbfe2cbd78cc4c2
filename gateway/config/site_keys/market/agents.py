"""Keys of ``market: agents``."""

from __future__ import annotations

from gateway.config.kinds import Choice, Key, ListOf, Named, Number, Pair, Section, Text, When, choice
from gateway.config.market_agents import AgentKind
from gateway.config.site_keys.market.values import KW, PRICE, SHARE, WHOLE_DAY_MIN
from gateway.config.site_keys.values import TAG, WORD, WORD_GRAMMAR

_OF_PROSUMER, _OF_ARBITRAGE, _OF_PLAN = (When("kind", frozenset({kind})) for kind in AgentKind)
_BY_FORESIGHT = When("kind", frozenset({AgentKind.PROSUMER, AgentKind.PLAN}))
_OF_STORAGE = When("kind", frozenset({AgentKind.ARBITRAGE, AgentKind.PLAN}))
_DEVICE = Text("the name of a device", WORD, 64)
_FORECAST = Text("the name of a forecast", WORD, 64)
MARKET_AGENT_LIMITS = Section(
    "the limits of an agent",
    (
        Key("order_kwh", Number(above=0, high=1_000_000), "Most energy of an order."),
        Key("kwh_a_day", KW, "Most that it buys and sells together of a day's intervals."),
        Key(
            "spend_a_day",
            Number(low=0, high=1_000_000_000),
            "Most that its purchases of a day cost, without fees.",
        ),
        Key("price_low", PRICE, "It sells no kWh for less."),
        Key("price_high", PRICE, "It buys no kWh for more."),
    ),
)

MARKET_AGENTS = Named(
    "an agent",
    WORD,
    WORD_GRAMMAR,
    Section(
        "an agent of the market",
        (
            Key(
                "kind",
                choice(AgentKind),
                "By what it bids: forecasts of a prosumer, a storage's arbitrage, or the plan of `dispatch`.",
            ),
            Key(
                "member", Text("the name of a participant", WORD, 64), "Whom it trades for; its `key` signs."
            ),
            Key("limits", MARKET_AGENT_LIMITS, "What it may do."),
            Key("venue", Choice(("auction", "continuous")), "Where it bids.", "auction"),
            Key(
                "lead_min",
                Number(above=0, high=WHOLE_DAY_MIN),
                "It bids for an interval so long before its gate, once.",
                5.0,
            ),
            Key("enable", TAG, "A bool: it bids only while that is Good and true.", None),
            Key(
                "quotes",
                Text("the name of a feed", WORD, 64),
                "A prosumer and a plan are bid between its export and import price (and need it); arbitrage expects "
                "the middle of the two, and without it the last day's cleared prices.",
                None,
            ),
            Key(
                "asset",
                Text("the name of an asset", WORD, 64),
                "The asset of `dispatch` whose plan it bids: the tie, a battery, a load or a renewable.",
                None,
                when=_OF_PLAN,
            ),
            Key(
                "assets",
                ListOf(Text("the name of an asset", WORD, 64), "a list of assets"),
                "Instead: loads and renewables of `dispatch`; it bids what they together leave over, or lack.",
                None,
                when=_OF_PLAN,
            ),
            Key(
                "followed",
                TAG,
                "A bool: whether the plan is gone by. It bids only while that is Good and true.",
                when=_OF_PLAN,
            ),
            Key("source", _DEVICE, "What it sells from.", None, when=_BY_FORESIGHT),
            Key("consumer", _DEVICE, "What it buys for.", None, when=_BY_FORESIGHT),
            Key("production", _FORECAST, "The forecast of what is given, in kW.", None, when=_OF_PROSUMER),
            Key("consumption", _FORECAST, "The forecast of what is taken, in kW.", None, when=_OF_PROSUMER),
            Key("production_share", SHARE, "Its share of that forecast.", 1.0, when=_OF_PROSUMER),
            Key("consumption_share", SHARE, "Its share of that forecast.", 1.0, when=_OF_PROSUMER),
            Key(
                "quantile",
                Number(above=0, high=0.5),
                "How cautious it is: it sells this quantile of production less the opposite one of consumption, and "
                "buys the other way round.",
                0.5,
                when=_OF_PROSUMER,
            ),
            Key(
                "max_age_min",
                Number(above=0, high=10_080),
                "By a forecast or a plan that was made longer ago it does not bid.",
                120.0,
                when=_BY_FORESIGHT,
            ),
            Key(
                "edge",
                Number(low=0, high=0.5),
                "The part of what lies between export and import price that it wants for itself.",
                0.05,
                when=_BY_FORESIGHT,
            ),
            Key(
                "storage",
                _DEVICE,
                "What it buys into and sells out of: for arbitrage, with a `level`, and for the plan of a battery.",
                None,
                when=_OF_STORAGE,
            ),
            Key(
                "efficiency",
                Number(above=0, high=1),
                "What comes out of a kWh that was taken.",
                0.9,
                when=_OF_ARBITRAGE,
            ),
            Key("wear_per_kwh", PRICE, "What a kWh given costs in wear.", 0.02, when=_OF_ARBITRAGE),
            Key(
                "profit_per_kwh",
                PRICE,
                "A spread pays where so much is left of it, after losses and wear.",
                0.01,
                when=_OF_ARBITRAGE,
            ),
            Key("level_pct", Pair(), "It keeps the storage between these.", (10.0, 90.0), when=_OF_ARBITRAGE),
            Key(
                "look_ahead_h",
                Number(above=0, high=48),
                "How far ahead it looks for a spread.",
                24.0,
                when=_OF_ARBITRAGE,
            ),
        ),
    ),
    40,
)
