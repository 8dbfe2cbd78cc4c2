"""Calls of contracts as entries: what each brought about, and what of money is to be posted for it. Pure."""

from __future__ import annotations

from historian.ledger.chart import Chart, check_amount, moved
from historian.ledger.contract_facts import Call
from historian.ledger.entry import Body
from historian.ledger.errors import Reason, Refused
from historian.ledger.market.exchange import Exchange
from historian.ledger.settlement import account_of
from historian.ledger.state import Placed

MICROS = 1_000_000


class Calls:
    """All contracts after some entries. What ``World`` needs is loaded by the first call, not by every ledger."""

    def __init__(self, market: Exchange, chart: Chart) -> None:
        from historian.ledger.contracts.abi import address_of
        from historian.ledger.contracts.world import Returned, World

        self._market = market
        self._chart = chart
        self._address_of = address_of
        self.world = World(address_of(chart.operator))
        self.returned: dict[int, Returned] = {}  # by the entries that called
        self.balances: dict[str, int] = {}  # money that contracts hold

    def judge(self, placed: Placed, fact: Call) -> list[Body]:
        """Do a call; what is to be posted for it. ``Refused`` where it is void."""
        from historian.ledger.contracts.contract import Message

        author, contract, value = placed.author, fact.contract, fact.value
        opening: list[Body] = []
        account = f"contracts.{contract}"
        if value:
            check_amount("a call's money", value)
            free = self._market.available(author)
            if value > free:
                raise Refused(Reason.NEGATIVE, f"{author} has {free} of its deposit free, less than {value}")
            opening = self._chart.opening((account, self._market.in_force().currency, False))
        sender = self._address_of(author)
        message = Message(sender, placed.placed_at_us // MICROS, value)
        returned = self.world.call(contract, message, fact.content)
        self.returned[placed.sequence] = returned
        out = 0
        for to, amount in returned.payouts:
            assert to == sender, to.hex()  # money goes out to who asks for it, nobody else
            out += amount
        change = value - out
        if not change:
            return opening
        self.balances[contract] = self.balances.get(contract, 0) + change
        assert self.balances[contract] >= 0, contract
        self._market.deposits[author] -= change
        currency = self._market.in_force().currency
        amounts = {account_of(author, "deposit"): -change, account: change}
        bodies = [*opening, moved(f"contract {contract}", currency, amounts)]
        self._chart.opened(bodies)
        return bodies
