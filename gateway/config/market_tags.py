"""The tags by which a market tells of itself, and of its members, feeds, agents and other sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings
from gateway.config.market import FeedTags, MarketStatus, MarketTags, MemberTags, PeerTags
from gateway.config.market_agents import AgentTags
from gateway.config.market_agents_section import AGENT_STATES, AGENT_TAGS
from gateway.config.market_alerts import alert_of_market
from gateway.config.site import Tag
from gateway.config.system import MARKET_OWNER
from gateway.tags.tag import ValueType

FOLDER = "market"
TEXT_BYTES = 200  # of the head: a sequence and 64 digits; of an error: one line
# Told when they change, and every 20 s; three missed, and the part is taken for hung by who uses them.
STALE_AFTER_MS = 60_000

# name, type, unit, decimals, description; "money" is the currency
_TAGS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("market.status", ValueType.UINT64, None, None, "Whether the market trades"),
    ("market.price", ValueType.DOUBLE, None, 4, "The tariff's price of this interval, {money} a kWh"),
    ("market.price_buy", ValueType.DOUBLE, None, 4, "What a kWh taken unplanned costs now, {money}"),
    ("market.price_sell", ValueType.DOUBLE, None, 4, "What a kWh given unplanned brings now, {money}"),
    (
        "market.cleared_price",
        ValueType.DOUBLE,
        None,
        4,
        "The auction's price of this interval, {money} a kWh",
    ),
    ("market.volume_kwh", ValueType.DOUBLE, "kWh", 3, "What was traded of this interval"),
    (
        "market.next_price",
        ValueType.DOUBLE,
        None,
        4,
        "The same as market.price of the next interval; Uncertain until its gate",
    ),
    ("market.next_price_buy", ValueType.DOUBLE, None, 4, "market.price_buy of the next interval"),
    ("market.next_price_sell", ValueType.DOUBLE, None, 4, "market.price_sell of the next interval"),
    ("market.next_cleared_price", ValueType.DOUBLE, None, 4, "market.cleared_price of the next interval"),
    ("market.next_volume_kwh", ValueType.DOUBLE, "kWh", 3, "market.volume_kwh of the next interval"),
    ("market.best_buy", ValueType.DOUBLE, None, 4, "Best bid of the interval traded next, {money} a kWh"),
    ("market.best_sell", ValueType.DOUBLE, None, 4, "Best offer of the interval traded next, {money} a kWh"),
    ("market.orders", ValueType.UINT64, None, 0, "Open orders"),
    ("market.refused", ValueType.UINT64, None, 0, "Requests that were refused since the start"),
    ("ledger.entries", ValueType.UINT64, None, 0, "Entries in the ledger"),
    ("ledger.head", ValueType.STRING, None, None, "Number and hash of its last entry"),
    ("market.last_error", ValueType.STRING, None, None, "What went wrong last"),
    (
        "market.interval",
        ValueType.UINT64,
        "s",
        0,
        "When the interval began that the others call this one, UTC since 1970",
    ),
)
_MEMBER_TAGS: tuple[tuple[str, str | None, int, str], ...] = (
    ("pos_kwh", "kWh", 3, "What it is to give of this interval, by its trades; negative: to take"),
    ("next_pos_kwh", "kWh", 3, "The same of the next interval"),
    ("deposit", None, 2, "What of its deposit is free, {money}"),
    ("owed", None, 2, "What it owes that is not billed yet or not paid, {money}"),
)
assert [name.rpartition(".")[2] for name, *_ in _TAGS[:15]] == [field.name for field in fields(MarketTags)][
    :15
]
_FEED_TAGS: tuple[tuple[str, ValueType, int | None, str], ...] = (
    ("import_price", ValueType.DOUBLE, 4, "what a kWh taken costs now, {money}"),
    ("export_price", ValueType.DOUBLE, 4, "what a kWh given brings now, {money}"),
    ("state", ValueType.STRING, None, "whether it is used, or why not"),
)
_PEER_TAGS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("link", ValueType.BOOL, None, None, "whether it can be reached"),
    ("waiting", ValueType.UINT64, None, 0, "settled intervals that it has not told yet"),
    ("disputed", ValueType.UINT64, None, 0, "intervals that it settled in another way"),
    ("agreed_kwh", ValueType.DOUBLE, "kWh", 3, "what it gave of the last interval agreed on; negative: took"),
    ("state", ValueType.STRING, None, None, "how the link is, or what is wrong"),
)
assert [name for name, *_ in _PEER_TAGS] == [field.name for field in fields(PeerTags)]
assert [name for name, *_ in _FEED_TAGS] == [field.name for field in fields(FeedTags)]
assert [name for name, *_ in _MEMBER_TAGS] == [field.name for field in fields(MemberTags)]


class DeclaringMarket:
    """Puts the tags of a market behind ``tags``."""

    def __init__(self, settings: Settings, tags: list[Tag], faults: FaultLog) -> None:
        self._s = settings
        self._tags = tags
        self._faults = faults
        self._known = {tag.name for tag in tags if tag.name}

    def market(self, members: Sequence[str]) -> tuple[MarketTags, tuple[MemberTags, ...]]:
        """The market's own, and each member's."""
        money = self._s["currency"] or ""
        own = [self._put(row, money) for row in _TAGS]
        each = tuple(
            MemberTags(
                *(
                    self._put(
                        (f"{FOLDER}.{member}.{name}", ValueType.DOUBLE, unit, decimals, f"{member}: {text}"),
                        money,
                    )
                    for name, unit, decimals, text in _MEMBER_TAGS
                )
            )
            for member in members
        )
        return MarketTags(*own), each

    def feeds(self, feeds: Sequence[str]) -> tuple[FeedTags, ...]:
        """Each feed's."""
        money = self._s["currency"] or ""
        return tuple(
            FeedTags(
                *(
                    self._put(
                        (f"{FOLDER}.feeds.{feed}.{name}", type, None, decimals, f"{feed}: {text}"), money
                    )
                    for name, type, decimals, text in _FEED_TAGS
                )
            )
            for feed in feeds
        )

    def agents(self, agents: Sequence[str]) -> tuple[AgentTags, ...]:
        """Each agent's."""
        money = self._s["currency"] or ""
        return tuple(
            AgentTags(
                *(
                    self._put(
                        (f"{FOLDER}.agent.{agent}.{name}", type, unit, decimals, f"{agent}: {text}"), money
                    )
                    for name, type, unit, decimals, text in AGENT_TAGS
                )
            )
            for agent in agents
        )

    def peers(self, peers: Sequence[str]) -> tuple[PeerTags, ...]:
        """Each other site's."""
        return tuple(
            PeerTags(
                *(
                    self._put((f"{FOLDER}.peers.{peer}.{name}", type, unit, decimals, f"{peer}: {text}"), "")
                    for name, type, unit, decimals, text in _PEER_TAGS
                )
            )
            for peer in peers
        )

    def _put(self, row: tuple[str, ValueType, str | None, int | None, str], money: str) -> int:
        name, type, unit, decimals, text = row
        if name in self._known:
            found = f"the tag {quote(name)} is there already, and Tieline makes it"
            self._faults.add(self._s.place, found, "rename yours")
        self._tags.append(
            Tag(
                name=name,
                type=type,
                owner=MARKET_OWNER,
                area=self._s["area"] or "",
                device=name.partition(".")[0],
                description=text.format(money=money),
                unit=unit,
                decimals=decimals,
                stale_after_ms=STALE_AFTER_MS,
                string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
                states={status.value: status.text for status in MarketStatus}
                if name == "market.status"
                else AGENT_STATES
                if name.startswith(f"{FOLDER}.agent.") and name.endswith(".state")
                else {},
                alert=alert_of_market(name),
            )
        )
        return len(self._tags) - 1
