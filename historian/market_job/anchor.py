"""The roots of the market's ledger go to a chain, beside the market and never in its way."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from gateway.config.market import MarketSettings
from historian.ledger.errors import LedgerError

log = logging.getLogger(__name__)


def start_anchoring(settings: MarketSettings, state: Path, stop: threading.Event) -> threading.Thread | None:
    """A thread that anchors what is closed until ``stop``, or the process ends; None where no chain is named."""
    anchor = settings.anchor
    if anchor is None:
        return None
    try:
        from historian.ledger.anchoring.following import AnchorSettings, follow  # what it needs is an option
    except LedgerError as missing:
        log.error("ANCHORING: %s", missing)
        return None
    where = AnchorSettings(
        anchor.url, anchor.contract, state / anchor.key, anchor.confirmations, anchor.most_fee
    )

    def work() -> None:
        follow(state / settings.ledger, where, stop, lambda said: log.info("ANCHORING: %s", said))

    thread = threading.Thread(target=work, name="anchoring", daemon=True)
    thread.start()
    return thread
