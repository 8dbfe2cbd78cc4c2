"""Settlement of an interval: what was metered against what was traded, as postings. Pure.

Of each participant, by the rules in force at the interval's gate and the tariff's price of the interval:

    imbalance   = metered net export - traded net export
    short, < 0  : it pays  the price × short_share  for what it did not give, or took unplanned, rounded up
    long,  > 0  : it gets  the price × long_share   for what it gave, or did not take, rounded down
    community fee on all that it traded, grid fee on all that its meters took, losses on what it bought
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from historian.ledger.entry import Posting, Transfer, balanced
from historian.ledger.facts import Price, Rules
from historian.ledger.market.exchange import Position
from historian.ledger.market.price import ONE, amount_down, amount_up
from historian.ledger.metering import Energy

ESCROW = "market.escrow"  # paid by buyers at the gate, until sellers get it at settlement
SURPLUS = "market.surplus"  # what buyers pay more than sellers get: by rounding, or as they bid
POOL_WH = "market.pool-wh"  # the market between buyer and seller
IMBALANCE = "market.imbalance"  # who is short pays into it, who is long is paid out of it
COMMUNITY_FEES = "fees.community"
GRID_FEES = "fees.grid"
LOSSES = "fees.losses"
TARIFF = "fees.tariff"
METERED_WH = "energy.metered-wh"  # taken through meters, less what was given
GRID_WH = "energy.grid-wh"  # given to the grid beyond what was traded, less what was taken from it
LOST_WH = "energy.lost-wh"

MONEY_ACCOUNTS = (
    (ESCROW, False),
    (SURPLUS, False),
    (IMBALANCE, True),
    (COMMUNITY_FEES, True),
    (GRID_FEES, True),
    (LOSSES, True),
    (TARIFF, True),
)
ENERGY_ACCOUNTS = ((POOL_WH, True), (METERED_WH, True), (GRID_WH, True), (LOST_WH, True))


def account_of(participant: str, purpose: str) -> str:
    """The name of a participant's account for ``deposit``, ``current`` or ``wh``."""
    return f"{participant}.{purpose}"


@dataclass(frozen=True, slots=True)
class Line:
    """One participant's settlement of one interval. Money: what it gets, or (negative) gives."""

    participant: str
    traded_wh: int
    metered_wh: int
    imported_wh: int
    is_estimated: bool
    sale: int
    imbalance: int
    community_fee: int
    grid_fee: int
    losses: int
    lost_wh: int

    @property
    def imbalance_wh(self) -> int:
        """Given beyond what was traded; negative: short."""
        return self.metered_wh - self.traded_wh

    @property
    def current(self) -> int:
        """What its current account gets."""
        return self.sale + self.imbalance - self.community_fee - self.grid_fee - self.losses


def settle(participant: str, position: Position, energy: Energy, price: Price, rules: Rules) -> Line:
    """The line of one participant."""
    traded, metered = position.net_export_wh, energy.net_export_wh
    imbalance_wh = metered - traded
    if imbalance_wh < 0:
        imbalance = -amount_up(-imbalance_wh, -(-price.price * rules.short_share // ONE))
    else:
        imbalance = amount_down(imbalance_wh, price.price * rules.long_share // ONE)
    lost_wh = -(-position.bought_wh * rules.loss_share // ONE)
    return Line(
        participant=participant,
        traded_wh=traded,
        metered_wh=metered,
        imported_wh=energy.import_wh,
        is_estimated=energy.is_estimated,
        sale=position.earns,
        imbalance=imbalance,
        community_fee=amount_up(position.bought_wh + position.sold_wh, rules.community_fee),
        grid_fee=amount_up(energy.import_wh, rules.grid_fee),
        losses=amount_up(lost_wh, price.price),
        lost_wh=lost_wh,
    )


def between_sites(line: Line, imbalance_price: int) -> Line:
    """The line of another site: no fees, and one price either way, rounded alike: its line of us is the mirror."""
    money = amount_down(abs(line.imbalance_wh), imbalance_price)
    return replace(
        line,
        imbalance=-money if line.imbalance_wh < 0 else money,
        community_fee=0,
        grid_fee=0,
        losses=0,
        lost_wh=0,
    )


def owed_by(line: Line) -> dict[str, int]:
    """What the line's participant owes, by what for; negative: what it is owed."""
    return {
        "market: sales": -line.sale,
        "market: imbalance": -line.imbalance,
        "market: community fee": line.community_fee,
        "market: grid fee": line.grid_fee,
        "market: losses": line.losses,
    }


def tariff_transfer(participant: str, charges: int, currency: str, reference: str) -> Transfer | None:
    """What a bill's tariff charges."""
    current = account_of(participant, "current")
    return _transfer(reference, currency, {current: -charges, TARIFF: charges}, {})


def gate_transfer(participant: str, position: Position, currency: str, reference: str) -> Transfer | None:
    """A participant's trades of an interval: what it pays is in escrow, and it is owed (or owes) energy."""
    net = position.net_export_wh
    return _transfer(
        reference,
        currency,
        {account_of(participant, "deposit"): -position.pays, ESCROW: position.pays},
        {account_of(participant, "wh"): -net, POOL_WH: net},
    )


def surplus_transfer(surplus: int, currency: str, reference: str) -> Transfer | None:
    """What an interval's buyers paid more than its sellers get."""
    return _transfer(reference, currency, {ESCROW: -surplus, SURPLUS: surplus}, {})


def line_transfer(line: Line, currency: str, reference: str) -> Transfer | None:
    """A line as postings: the participant's energy account is even again as to this interval."""
    return _transfer(
        reference,
        currency,
        {
            account_of(line.participant, "current"): line.current,
            ESCROW: -line.sale,
            IMBALANCE: -line.imbalance,
            COMMUNITY_FEES: line.community_fee,
            GRID_FEES: line.grid_fee,
            LOSSES: line.losses,
        },
        {
            account_of(line.participant, "wh"): line.traded_wh,
            METERED_WH: -line.metered_wh,
            GRID_WH: line.imbalance_wh - line.lost_wh,
            LOST_WH: line.lost_wh,
        },
    )


def reversed_transfer(transfer: Transfer, reference: str) -> Transfer:
    """The same the other way round."""
    return Transfer(reference, tuple(Posting(p.account, p.unit, -p.amount) for p in transfer.postings))


def _transfer(reference: str, currency: str, money: dict[str, int], wh: dict[str, int]) -> Transfer | None:
    postings = [Posting(account, currency, amount) for account, amount in money.items() if amount]
    postings += [Posting(account, "Wh", amount) for account, amount in wh.items() if amount]
    return balanced(reference, postings) if postings else None
