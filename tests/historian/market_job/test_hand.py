"""A key at work in two processes: what was overtaken is signed anew, and placed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from market_bench import FIRST_US

from historian.ledger.coding import record_of
from historian.ledger.peer_facts import PeerTerms
from historian.ledger.pen import client_id
from historian.market_job import wire
from historian.market_job.client import Hand, MarketClient

FACT = PeerTerms("home", FIRST_US, 1, 1)  # which is judged, and void: home is no other site


class Near(MarketClient):
    """The market without its socket; it says something of its own before it looks at the first request."""

    def __init__(self, bench: Any) -> None:
        super().__init__(Path("near"))
        self._bench = bench
        self._overtakes = [bench.office.desk.say]

    def _ask(self, request: wire.Request) -> Any:
        if isinstance(request, wire.Submit):
            for say in self._overtakes:
                say(FACT)
            self._overtakes.clear()
        return self._bench.ask(request)


def test_a_statement_that_another_process_overtook_is_signed_anew(bench: Any) -> None:
    """As the market itself does with the operator's key, between an operator's signature and its receipt."""
    bench.look()
    hand = Hand(Near(bench), bench.office.signing, bench.clock)
    outcome, bundle = hand.place(client_id("mine"), record_of(FACT))
    assert (outcome.sequence is None, outcome.reason) == (False, "unknown")
    assert hand.client.submit(bundle) == (outcome,), "what was placed is what was signed last"
