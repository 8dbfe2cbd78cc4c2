"""What of a ledger is not traded: payments, fees and costs, certificates, points; and who judges which fact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from historian.ledger import payment_facts as p
from historian.ledger import reward_facts as r
from historian.ledger.billing import Billing
from historian.ledger.certificates import Certificates
from historian.ledger.chart import Chart
from historian.ledger.entry import Body
from historian.ledger.finance import Finance
from historian.ledger.market.exchange import Exchange
from historian.ledger.metering import MICROS, Meters
from historian.ledger.payments import Payments
from historian.ledger.registry import Author, Registry
from historian.ledger.rewards import Rewards
from historian.ledger.state import Placed


class Treasury:
    """All of it, after some facts."""

    def __init__(
        self, registry: Registry, meters: Meters, billing: Billing, market: Exchange, chart: Chart
    ) -> None:
        self._chart = chart
        self._market = market
        self.payments = payments = Payments(registry, billing, market, chart)
        self.certificates = certificates = Certificates(registry, meters, chart)
        self.finance = finance = Finance(registry, billing, market, certificates, chart)
        self.rewards = rewards = Rewards(registry, meters, certificates, chart)
        self._do: dict[type[Any], Callable[[Author, Any, int, int], list[Body]]] = {
            p.Terms: lambda author, fact, entry, now: payments.set_terms(author, fact),
            p.Payment: payments.pay,
            p.Refund: payments.refund,
            p.Payout: payments.pay_out,
            p.Dunning: payments.dun,
            p.Fee: lambda author, fact, entry, now: finance.set_fee(author, fact, now),
            p.Charge: finance.charge,
            p.Cost: finance.cost,
            p.Correction: lambda author, fact, entry, now: finance.correct(author, fact, entry),
            p.Share: lambda author, fact, entry, now: finance.share(author, fact),
            p.Revenue: lambda author, fact, entry, now: finance.earn(author, fact, entry),
            p.Distribution: lambda author, fact, entry, now: finance.distribute(author, fact, entry),
            r.CertifiedSource: lambda author, fact, entry, now: certificates.certify(author, fact, now),
            r.Batch: certificates.add_batch,
            r.CertificateTransfer: certificates.give,
            r.Retirement: certificates.retire,
            r.RewardRule: lambda author, fact, entry, now: rewards.set_rule(author, fact),
            r.StakeRule: lambda author, fact, entry, now: rewards.set_staking(author, fact),
            r.RewardEvent: lambda author, fact, entry, now: rewards.announce(
                author, fact, now, self._interval_us()
            ),
            r.Award: lambda author, fact, entry, now: rewards.award(
                author, fact, entry, now, self._interval_us()
            ),
            r.PointTransfer: rewards.give,
            r.Stake: rewards.stake,
            r.Release: rewards.release,
            r.Slash: lambda author, fact, entry, now: rewards.slash(author, fact, entry),
            r.Expiry: rewards.expire,
        }

    def knows(self) -> tuple[type[Any], ...]:
        """The facts that it judges."""
        return tuple(self._do)

    def judge(self, placed: Placed, author: Author, fact: Any) -> list[Body]:
        """What is to be posted for a fact; ``Refused`` where it is void."""
        bodies = self._do[type(fact)](author, fact, placed.sequence, placed.placed_at_us)
        self._chart.opened(bodies)
        return bodies

    def _interval_us(self) -> int:
        return self._market.in_force().interval_s * MICROS
