"""What can be wrong with what is asked about demand response.

DemandResponseError
├── BadEvent    an event, an opt-out, a participant or a rule that cannot be
└── BadMeter    measurements that a baseline cannot be made from
"""

from __future__ import annotations


class DemandResponseError(ValueError):
    """Root of this package's exceptions."""


class BadEvent(DemandResponseError):  # noqa: N818 - reads as the claim it makes
    """The message names the event, participant or rule, what was found and what is expected."""


class BadMeter(DemandResponseError):  # noqa: N818
    """The message names what is missing and how much of it is needed."""
