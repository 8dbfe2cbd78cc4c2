"""Keys of ``market``."""

from __future__ import annotations

from gateway.config.kinds import Boolean, Integer, Key, Later, Number, Section, Text, choice
from gateway.config.market import BillEvery
from gateway.config.site_keys.market.agents import MARKET_AGENTS
from gateway.config.site_keys.market.feeds import MARKET_FEEDS
from gateway.config.site_keys.market.links import MARKET_ANCHOR, MARKET_LISTEN, MARKET_PEERS
from gateway.config.site_keys.market.members import MARKET_FEEDERS, MARKET_PARTICIPANTS
from gateway.config.site_keys.market.prices import MARKET_PRICE, MARKET_TARIFFS
from gateway.config.site_keys.market.rewards import MARKET_REWARDS
from gateway.config.site_keys.market.values import PRICE, SHARE, STATE_FILE, WHOLE_DAY_MIN
from gateway.config.site_keys.values import AREA_PATH, WORD

MARKET_DUNNING = Section(
    "the dunning of a market",
    (
        Key("due_days", Integer(0, 366, "days"), "A bill is due so long after it was issued.", 14),
        Key("warn_after_days", Integer(0, 366, "days"), "A warning follows the reminder after so long.", 14),
        Key(
            "collect_after_days",
            Integer(0, 366, "days"),
            "Collection follows the warning after so long.",
            14,
        ),
        Key("reminder_fee", Number(0, 1_000), "What a reminder costs.", 0.0),
        Key("warning_fee", Number(0, 1_000), "What a warning costs.", 0.0),
        Key("least_amount", Number(0, 1_000), "Nothing is done about a bill of which less is open.", 1.0),
    ),
)

MARKET = Section(
    "the market",
    (
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key(
            "ledger",
            STATE_FILE,
            "The ledger's file, relative to the state folder; begun at the first start.",
            "market.ledger",
        ),
        Key("operator", Text("a name", WORD, 40), "Who runs the ledger, as it calls its author.", "market"),
        Key(
            "key",
            STATE_FILE,
            "The file with the operator's key, relative to the state folder; made with a new ledger.",
            "market.pem",
        ),
        Key(
            "currency",
            Text("a currency such as EUR", r"[A-Z]{3}", 3),
            "Of all prices; for a ledger's life.",
            "EUR",
        ),
        Key(
            "interval_min",
            Integer(1, WHOLE_DAY_MIN, "min"),
            "What is traded; divides a day; for a ledger's life.",
            15,
        ),
        Key("interval_s", Integer(5, 86_400, "s"), "The same in seconds, in place of `interval_min`.", None),
        Key(
            "gate_lead_min",
            Integer(0, WHOLE_DAY_MIN, "min"),
            "So long before an interval its trading ends.",
            5,
        ),
        Key(
            "gate_lead_s", Integer(0, 86_400, "s"), "The same in seconds, in place of `gate_lead_min`.", None
        ),
        Key("horizon_h", Integer(1, 336, "h"), "How far ahead is traded.", 48),
        Key("price_low_per_kwh", PRICE, "Least price of an order.", 0.0),
        Key("price_high_per_kwh", PRICE, "Greatest price of an order."),
        Key("order_max_kwh", Number(above=0, high=1_000_000), "Most energy of an order."),
        Key(
            "proven_share",
            SHARE,
            "Orders of an interval are at most this share of what its author's meters have shown; 0: not asked.",
            0.0,
        ),
        Key("proven_after", Integer(0, 1_000_000), "That once so many intervals were measured.", 96),
        Key("cover_per_kwh", PRICE, "What is held of a seller's deposit until settlement.", 0.0),
        Key("community_fee_per_kwh", PRICE, "A kWh traded.", 0.0),
        Key("grid_fee_per_kwh", PRICE, "A kWh taken through the meters.", 0.0),
        Key("loss_share", Number(low=0, high=1), "Of what is bought, lost on the way.", 0.0),
        Key(
            "short_share",
            Number(low=1, high=10),
            "Of the price, for what was not given or taken unplanned.",
            1.5,
        ),
        Key("long_share", Number(low=0, high=1), "Of the price, for what was given unplanned.", 0.5),
        Key("pay_as_bid", Boolean(), "In the auction each has its own limit as its price.", False),
        Key(
            "settle_delay_min",
            Integer(0, WHOLE_DAY_MIN, "min"),
            "An interval is settled so long after its end at the latest, by estimates where readings are missing.",
            15,
        ),
        Key(
            "correct_h",
            Integer(0, 336, "h"),
            "So long after, a measured reading takes an estimate's place, and the interval is settled anew.",
            48,
        ),
        Key(
            "bill",
            choice(BillEvery),
            "How often who has a tariff is billed, in the site's time zone.",
            BillEvery.NEVER,
        ),
        Key("dunning", MARKET_DUNNING, "What is done about bills that are not paid; absent, nothing.", None),
        Key(
            "rewards",
            MARKET_REWARDS,
            "What earns points, by kind: in events of `demand_response`, for participants of the same name in both.",
            None,
        ),
        Key("price", MARKET_PRICE, "How the price is made of tags."),
        Key("feeders", Later(MARKET_FEEDERS), "What carries the energy, by name."),
        Key("tariffs", Later(MARKET_TARIFFS), "What is billed beside the market, by name.", None),
        Key("feeds", Later(MARKET_FEEDS), "Prices from outside the community, by name.", None),
        Key("participants", Later(MARKET_PARTICIPANTS), "Who may trade, by name."),
        Key("agents", Later(MARKET_AGENTS), "Who trades by itself for a participant, by name.", None),
        Key("anchor", MARKET_ANCHOR, "An EVM chain that keeps the roots of the ledger's periods.", None),
        Key("listen", MARKET_LISTEN, "Where other sites reach this one.", None),
        Key(
            "peers",
            Later(MARKET_PEERS),
            "Other sites to trade with, by their names among the participants.",
            None,
        ),
    ),
)
