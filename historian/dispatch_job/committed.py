"""What agents of the market have traded by plans, as dispatch plans for it: a kWh off it costs what imbalance does.

The market pays less for what was not promised (`long_share` of its price), and takes more for what is missing
(`short_share`). What the energy itself is worth is in the tie's own prices, so a kWh off a commitment costs the part
of the market's price by which the two differ from it. With both shares 1 a commitment weighs nothing, and need not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.config.market import MarketSettings
from gateway.config.market_agents import ByPlan
from gateway.config.plant_time import speed_of
from gateway.config.site import Site
from historian.dispatch.model import Commitment
from historian.dispatch_job.binding import Read

ONE = 1_000_000  # of shares


@dataclass(frozen=True, slots=True)
class _Traded:
    """An agent's asset, and the tags of what it is to give in this interval and the next, with the market's price."""

    asset: str
    is_tie: bool
    tags: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """Of no asset, where no agent bids the plan: ``inputs`` are tags that have to be read."""

    inputs: tuple[int, ...] = ()
    made: Callable[[Read, datetime], tuple[Commitment, ...]] = lambda read, now: ()


def committed(site: Site) -> Committed:
    """Nothing where money is not the same in both sections, or the plant's time is not the market's."""
    market, dispatch = site.market, site.dispatch
    if market is None or dispatch is None or market.currency != dispatch.currency or speed_of(site) != 1.0:
        return Committed()
    own = market.tags
    traded = tuple(
        _Traded(
            agent.by.steered.name,
            agent.by.steered.is_drawn,
            ((tags.committed_kw, own.price), (tags.next_committed_kw, own.next_price)),
        )
        for agent, tags in zip(market.agents, market.agent_tags, strict=True)
        if isinstance(agent.by, ByPlan) and agent.by.steered is not None
    )
    inputs = sorted(
        {own.interval, *(tag for each in traded for pair in each.tags for tag in pair)} if traded else ()
    )
    return Committed(tuple(inputs), lambda read, now: _made(market, traded, read, now))


def _made(
    market: MarketSettings, traded: tuple[_Traded, ...], read: Read, now: datetime
) -> tuple[Commitment, ...]:
    interval = timedelta(seconds=market.interval_s)
    # By its word and not by the clock: it looks once a second, and plans are made right when intervals begin.
    begun_s = read(market.tags.interval)
    if begun_s is None:
        return ()
    begun = datetime.fromtimestamp(begun_s, UTC)
    found: list[Commitment] = []
    for each in traded:
        for count, (tag, price_tag) in enumerate(each.tags):
            given_kw, price = read(tag), read(price_tag)
            if given_kw is None or price is None:
                continue
            price = max(price, 0.0)
            short, long = price * (market.short_share / ONE - 1), price * (1 - market.long_share / ONE)
            start = begun + count * interval
            if start + interval <= now:
                continue
            # Import of the tie is positive in the plan: above it is short.
            found.append(
                Commitment(each.asset, start, start + interval, -given_kw, above_cost=short, below_cost=long)
                if each.is_tie
                else Commitment(
                    each.asset, start, start + interval, given_kw, above_cost=long, below_cost=short
                )
            )
    return tuple(found)
