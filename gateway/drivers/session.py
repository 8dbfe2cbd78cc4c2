"""A device seen over time, whatever it speaks: is it there, when to try again, when to poll, when a value is stale.

Nothing here does I/O or reads a clock: times come in as seconds of one monotonic clock, so that every protocol's
driver, and every test, can use it with its own.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from enum import Enum, auto

FIRST_RETRY_S = 0.5  # a device that was just reset is back within a second or two
GROWTH = 2.0
JITTER = (
    0.5  # a retry comes at 50..100 % of its delay: a hundred devices behind one switch must not return as one
)


class State(Enum):
    """What the driver knows of a device."""

    DOWN = auto()  # no connection; waits for its next try
    CONNECTING = auto()
    PROBING = auto()  # connected, but it has not answered yet
    UP = auto()
    DOUBTFUL = auto()  # did not answer the last request


class Event(Enum):
    """What happened to it."""

    RETRY_DUE = auto()
    OPENED = auto()
    REFUSED = auto()  # no connection could be made
    ANSWERED = auto()  # whatever the answer says: an error answer is a sign of life
    SILENT = auto()  # a request got no answer in time
    LOST = auto()  # connection closed, reset, or given up because what came over it was no answer


# A device that accepts connections but never answers stays in the back-off: only an answer resets it. One missed
# answer is forgiven, since serial lines behind a gateway lose a frame now and then; two in a row are not.
TRANSITIONS: dict[State, dict[Event, State]] = {
    State.DOWN: {
        Event.RETRY_DUE: State.CONNECTING,
    },
    State.CONNECTING: {
        Event.OPENED: State.PROBING,
        Event.REFUSED: State.DOWN,
    },
    State.PROBING: {
        Event.ANSWERED: State.UP,
        Event.SILENT: State.DOWN,
        Event.LOST: State.DOWN,
    },
    State.UP: {
        Event.ANSWERED: State.UP,
        Event.SILENT: State.DOUBTFUL,
        Event.LOST: State.DOWN,
    },
    State.DOUBTFUL: {
        Event.ANSWERED: State.UP,
        Event.SILENT: State.DOWN,
        Event.LOST: State.DOWN,
    },
}

CONNECTED = frozenset({State.UP, State.DOUBTFUL})
OPEN = frozenset({State.PROBING, State.UP, State.DOUBTFUL})


@dataclass(slots=True)
class Backoff:
    """Delays that double from ``first_s`` to ``cap_s``, each shortened at random by up to half."""

    cap_s: float
    chance: random.Random
    first_s: float = FIRST_RETRY_S
    failures: int = 0

    def next_s(self) -> float:
        """The delay before the next try, after one more failure."""
        exponent = min(self.failures, 64)  # 2^64 first delays is past any cap, and still a float
        self.failures += 1
        ceiling = min(self.cap_s, self.first_s * GROWTH**exponent)
        return ceiling * (1.0 - JITTER * self.chance.random())

    def reset(self) -> None:
        self.failures = 0


@dataclass(slots=True)
class Session:
    """One device's state. Feed it events; while `state` is DOWN, wait `retry_s()` before RETRY_DUE."""

    backoff: Backoff
    state: State = State.DOWN
    connections: int = 0  # over which the device answered

    def on(self, event: Event) -> State:
        """Take the transition. An event that the state has no use for is a bug."""
        if event is Event.ANSWERED and self.state is State.UP:
            return (
                self.state
            )  # all but a few; the look-up would cost more than the rest of a poll's bookkeeping
        following = TRANSITIONS[self.state].get(event)
        assert following is not None, f"{event} in {self.state}"
        if following is State.UP and self.state is not State.UP:
            self.backoff.reset()
            self.connections += self.state is State.PROBING
        self.state = following
        return following

    @property
    def is_connected(self) -> bool:
        """True while the device answers, one missed answer forgiven."""
        return self.state in CONNECTED

    @property
    def is_open(self) -> bool:
        """True while requests may be sent."""
        return self.state is State.UP or self.state in OPEN

    def retry_s(self) -> float:
        """How long to stay DOWN this time."""
        return self.backoff.next_s()


@dataclass(slots=True)
class Schedule:
    """Due times at ``start_s + k * period_s``: no drift, and periods missed are skipped, never made up."""

    period_s: float
    start_s: float
    next_s: float = field(init=False)
    _periods: int = 0  # from the start to `next_s`: counted, so that rounding does not add up

    def __post_init__(self) -> None:
        self.next_s = self.start_s

    def advance(self, now_s: float) -> None:
        """Set the next due time: the first one after both ``now_s`` and the present one."""
        self._periods += 1
        self.next_s = self.start_s + self._periods * self.period_s
        if self.next_s <= now_s:
            periods = math.floor((now_s - self.start_s) / self.period_s) + 1
            if self.start_s + periods * self.period_s <= now_s:  # the division rounded down
                periods += 1
            self._periods = periods
            self.next_s = self.start_s + periods * self.period_s


@dataclass(slots=True)
class Freshness:
    """How long what was read together stays current: ``stale_after_s`` from the last good answer."""

    stale_after_s: float
    until_s: float  # at start: so long may the first answer take
    is_stale: bool = False

    def refresh(self, now_s: float) -> None:
        self.until_s = now_s + self.stale_after_s
        self.is_stale = False

    def expire(self, now_s: float) -> bool:
        """True once, when the time is up."""
        if self.is_stale or now_s < self.until_s:
            return False
        self.is_stale = True
        return True
