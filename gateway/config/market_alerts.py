"""What of the market's tags an operator should see first."""

from __future__ import annotations

from typing import Final

from gateway.config.alert import VALUE, Alert
from gateway.config.market import MarketStatus
from gateway.config.market_agents import AgentState

_LOG: Final = "logs/market.log"
# Of the market itself, by the tag's name.
_OWN: Final = {
    "market.status": Alert(
        f"is {VALUE}",
        f"Nothing is traded or billed. Is the disk full, or its folder not writable? See {_LOG}.",
        values=tuple(status.value for status in MarketStatus if status is not MarketStatus.OPEN),
        bad="does not answer",
        after_s=15,  # it opens its ledger first
    ),
    "market.last_error": Alert(VALUE, f"See {_LOG}.", text_but="", after_s=15),
}
# Of what it has by name, by the group and the last word: market.peers.north.link.
_NAMED: Final = {
    ("peers", "link"): Alert(
        "cannot be reached",
        "Is the other site up, and the way to it open? `tieline market peers` tells more.",
        values=(False,),
        after_s=60,  # a first connection takes its time
    ),
    ("peers", "disputed"): Alert(
        f"settled intervals of the last week in another way: {VALUE}",
        "Compare both sites' figures with `tieline market peers`; one of them corrects a meter and restates.",
        above=0,
    ),
    ("peers", "state"): Alert(VALUE, f"See {_LOG}.", text_but="connected", after_s=60),
    ("feeds", "state"): Alert(
        VALUE, "The market uses what it has; see docs/market.md, prices.", text_but="used", after_s=60
    ),
    ("agent", "state"): Alert(
        f"does not bid: {VALUE}",
        "Look at its words; nothing is lost but trades.",
        values=(
            *(AgentState.NO_FORECAST.value, AgentState.NO_PRICE.value),
            *(AgentState.NO_LEVEL.value, AgentState.REFUSED.value),
        ),
        words="words",
        after_s=1_800,  # two intervals: forecasts and prices come when they come
        in_status=False,
    ),
}


def alert_of_market(name: str) -> Alert | None:
    """Of the tag of that name; None where nothing of it can be wrong."""
    if name in _OWN:
        return _OWN[name]
    folder, _, rest = name.partition(".")
    group, _, rest = rest.partition(".")
    found = _NAMED.get((group, rest.rpartition(".")[2]))
    return found.of(rest.rpartition(".")[0]) if found is not None and folder == "market" else None
