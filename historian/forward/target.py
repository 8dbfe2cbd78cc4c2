"""A store that samples are sent to, and what it may answer.

The senders below are thin: lines in, an `Answer` out. Which answer means what is said once, here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MOST_RETRY_AFTER_S = 300.0  # what a server asks for is honoured so far; hours would be a mistake
WHY_CHARACTERS = 160  # of an answer's text in a message


@dataclass(frozen=True, slots=True)
class Taken:
    """All of them."""


@dataclass(frozen=True, slots=True)
class Refused:
    """At least one of them is not, and never will be, whatever the others are."""

    why: str


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Nothing is taken until somebody mends a setting here or there."""

    why: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing is taken now. ``after_s``: how long it asks to be left alone, 0: it did not say."""

    why: str
    after_s: float = 0.0


Answer = Taken | Refused | Misconfigured | Unreachable


class Target(Protocol):
    """Blocking, bounded by the target's timeout; one thread's."""

    def write(self, lines: str) -> Answer:
        """Send lines, which end with a line feed each."""
        ...

    def incarnation(self) -> str | None:
        """What changes when the store's process is started again; "" where it does not tell, None: no answer."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class SettingError(Exception):
    """A target that cannot be spoken to as it is configured; the text is for an operator."""


def answer_of(status: int, text: str, retry_after: str | None) -> Answer:
    """What an HTTP status means for a batch of samples.

    InfluxDB answers 400 and 422 for a point it cannot hold (having taken the others, or not), 413 for too many at
    once: both end by sending fewer. 401 and 403 are about the token, 404 about the database or the path.
    """
    why = f"{status}: {' '.join(text.split())[:WHY_CHARACTERS]}".rstrip(": ")
    if 200 <= status < 300:
        return Taken()
    if status in (400, 413, 422):
        return Refused(why)
    if status in (408, 429) or status >= 500:
        return Unreachable(why, _seconds(retry_after))
    return Misconfigured(why + _HINTS.get(status, ""))


_HINTS = {
    401: " (is the token or password right?)",
    403: " (may this token or user write there?)",
    404: " (is there such a database, and is the kind of target right?)",
}


def _seconds(text: str | None) -> float:
    """Retry-After (RFC 9110, 10.2.3) in its usual form; a date counts as not said."""
    return min(float(text), MOST_RETRY_AFTER_S) if text is not None and text.isdecimal() else 0.0
