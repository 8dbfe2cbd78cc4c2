"""Keys of ``market: rewards``."""

from __future__ import annotations

from gateway.config.kinds import Integer, Key, Number, Section

MARKET_REWARD = Section(
    "a reward",
    (
        Key("points", Integer(1, 1_000_000), "For each kWh, kW or event, as the kind counts."),
        Key("most_each", Integer(1, 1_000_000_000), "Most points of an award.", 1_000),
        Key("most_in_period", Integer(1, 1_000_000_000), "Most points of a participant in a period.", 10_000),
        Key("period_days", Integer(1, 3_660), "How long a period is.", 30),
        Key("valid_days", Integer(1, 3_660), "When points expire.", 365),
        Key(
            "most_adjustment",
            Number(low=0, high=1),
            "By what share the day itself may raise a baseline; one that is raised further earns nothing.",
            0.2,
        ),
    ),
)

MARKET_REWARDS = Section(
    "the rewards of a market",
    (
        Key("saving", MARKET_REWARD, "Of kWh taken less than the baseline in an event.", None),
        Key("peak", MARKET_REWARD, "Of kW that the greatest interval is below the baseline's.", None),
        Key("stability", MARKET_REWARD, "Of kWh given beyond the baseline.", None),
        Key("renewable", MARKET_REWARD, "Of kWh in production batches.", None),
        Key("participation", MARKET_REWARD, "Of events in which less was taken than the baseline.", None),
    ),
)
