"""One output of the logic over time: who has the say over its point, what the device is to get, and when.

Pure: times come in as seconds of one monotonic clock, and whoever writes to the device tells how it went.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from gateway.tags.sample import Value

FIRST_RETRY_S = 0.1  # most failures are a lost answer
LONGEST_RETRY_S = 5.0  # a device that refuses a value is asked no more often than that


class State(Enum):
    """Who has the say over a point."""

    FREE = auto()  # people
    HELD = auto()  # the logic
    UNSAFE = auto()  # the logic is gone, and the device has not taken the safe value yet
    SAFE = auto()  # the logic is gone and the device took the safe value; people may command it
    OVERRIDDEN = auto()  # an emergency took it from the logic, which does not get it back by itself


class Event(Enum):
    """What happened to it."""

    DEMANDED = auto()  # the logic holds it
    RELEASED = auto()  # the logic runs and does not hold it
    GONE = auto()  # the program stopped, failed, or is not heard of
    TAKEN = auto()  # the device took what this state wanted it to
    COMMANDED = auto()  # a person's command goes to the device
    OVERRIDDEN = auto()  # a person's emergency command goes to the device
    RECONNECTED = auto()  # the device was away and may have forgotten


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.FREE: {Event.DEMANDED: State.HELD},
    # COMMANDED: a command that was let through just before goes on; the logic's value follows it.
    State.HELD: {
        Event.RELEASED: State.FREE,
        Event.GONE: State.UNSAFE,
        Event.OVERRIDDEN: State.OVERRIDDEN,
    },
    State.UNSAFE: {
        Event.DEMANDED: State.HELD,
        Event.RELEASED: State.FREE,
        Event.TAKEN: State.SAFE,
        Event.COMMANDED: State.FREE,
        Event.OVERRIDDEN: State.OVERRIDDEN,
    },
    State.SAFE: {
        Event.DEMANDED: State.HELD,
        Event.RELEASED: State.FREE,
        Event.COMMANDED: State.FREE,
        Event.OVERRIDDEN: State.OVERRIDDEN,
        Event.RECONNECTED: State.UNSAFE,
    },
    # A person's next ordinary command gives it back: whoever ends an emergency does so on purpose. A program that
    # is gone for a moment and demands the same again ends none.
    State.OVERRIDDEN: {Event.RELEASED: State.FREE, Event.COMMANDED: State.FREE},
}  # what is not here changes nothing


class Attempt(Enum):
    """How a write to the device went."""

    TAKEN = auto()
    NOT_SENT = auto()  # there was no connection
    REFUSED = auto()  # the device said no
    UNANSWERED = auto()  # it may or may not have acted


@dataclass(slots=True)
class Holding:
    """``safe``: what the device gets when the logic is gone, None to leave it. ``refresh_s`` 0: on change only.

    A value on change is sent at most once for each change, since it may make the device act: where no answer comes
    it is not repeated, and `sent` tells what was sent, also to the next run.
    """

    safe: Value | None
    refresh_s: float
    state: State = State.FREE
    wanted: Value | None = None  # what the device is to hold; None: nothing is to be written
    sent: Value | None = None
    next_s: float = math.inf  # when to write `wanted`
    is_refused: bool = False  # by the device, the last time it answered
    _failures: int = 0
    _began_s: float = 0.0

    def on(self, event: Event, now_s: float) -> bool:
        """Take the transition; True if the state is another one now."""
        following = TRANSITIONS[self.state].get(event, self.state)
        if following is State.UNSAFE and self.safe is None:
            following = State.FREE
        if following is self.state:
            if event is Event.RECONNECTED and self.wanted is not None and not self._is_done:
                self._want(self.wanted, now_s)
            return False
        self.state = following
        self.sent = None
        match following:
            case State.UNSAFE:
                assert self.safe is not None
                self._want(self.safe, now_s)
            case State.SAFE:
                self.next_s = math.inf
            case State.HELD | State.FREE | State.OVERRIDDEN:
                self.wanted = None  # `demand` says what the device is to get
                self.next_s = math.inf
        return True

    def demand(self, value: Value, now_s: float) -> None:
        """While HELD: the logic wants ``value``."""
        assert self.state is State.HELD, self.state
        if value == self.wanted:
            return
        self._want(value, now_s)
        if self._is_done:
            self.next_s = math.inf

    def want_nothing(self) -> None:
        """While HELD: what the logic wants is nothing that may be written."""
        self.wanted = None
        self.next_s = math.inf

    def begin(self, now_s: float) -> Value:
        """A write of the value that is returned begins; one at a time."""
        assert self.wanted is not None
        self._began_s = now_s
        self.next_s = math.inf  # unless something changes meanwhile
        self.sent = self.wanted
        return self.wanted

    def end(self, value: Value, state: State, attempt: Attempt, now_s: float) -> bool:
        """The write of ``value``, begun in ``state``, is over; True if the state is another one now."""
        self.is_refused = attempt is Attempt.REFUSED
        if state is not self.state:
            return False  # it is of the past; what is due now is due already
        if attempt is Attempt.TAKEN:
            self._failures = 0
            if value != self.wanted:
                return False  # a newer one is due
            if self.state is State.HELD:
                self.next_s = self._began_s + self.refresh_s if self.refresh_s else math.inf
            return self.on(Event.TAKEN, now_s)
        if attempt is not Attempt.UNANSWERED:
            self.sent = None
        if value == self.wanted:
            self.next_s = math.inf if self._is_done else now_s + self._retry_s()
        self._failures += 1
        return False

    @property
    def _is_done(self) -> bool:
        """Nothing is to be sent again: on change only, and this value was."""
        return self.state is State.HELD and not self.refresh_s and self.sent == self.wanted

    def _want(self, value: Value, now_s: float) -> None:
        self.wanted = value
        self.next_s = now_s
        self._failures = 0

    def _retry_s(self) -> float:
        return float(min(FIRST_RETRY_S * 2 ** min(self._failures, 16), LONGEST_RETRY_S))
