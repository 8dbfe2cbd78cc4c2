"""Who may sign in: a user of the site with a password, not guessed at.

Failures are counted by address, and by address and user, so that a guesser locks out himself and not the operator
whose name he tries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from weakref import WeakValueDictionary

from gateway.config.site import Role, User

log = logging.getLogger(__name__)

FAILURES_OF_A_USER = 5  # from one address, within the window: typing errors, not a search
FAILURES_OF_AN_ADDRESS = 20  # whatever the user
WINDOW_S = 60.0  # 20 guesses a minute are 10 million a year: nothing against the 80 bits of a made password
REMEMBERED = 4_096  # addresses and users; the oldest are forgotten first
WAITING = 64  # hashes take 0.1 s each, two at once: a control room that comes back after an outage


class Passwords(Protocol):
    """What is asked of `gateway.config.accounts.Accounts`; it blocks."""

    def verify(self, user: str, password: str) -> bool: ...


class FailureCount:
    """Failures within the last window, by key; bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, key: str) -> None:
        failures = self._failures.setdefault(key, deque(maxlen=FAILURES_OF_AN_ADDRESS))
        failures.append(self._clock())
        self._failures.move_to_end(key)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def clear(self, key: str) -> None:
        self._failures.pop(key, None)

    def of(self, key: str) -> int:
        since = self._clock() - WINDOW_S
        return sum(at > since for at in self._failures.get(key, ()))


class SignIn:
    """Checks passwords off the loop. `close` ends its threads."""

    def __init__(
        self, users: tuple[User, ...], passwords: Passwords, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._roles = {user.name: user.role for user in users}
        self._passwords = passwords
        self._failures = FailureCount(clock)
        self._threads = ThreadPoolExecutor(2, "opcua-sign-in")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = 0

    async def role_of(self, user: str, password: str, address: str) -> Role | None:
        """The role of who proves to be ``user``; None where that fails or too much has failed before."""
        pair = f"{address} {user}"
        if self._waiting >= WAITING:
            log.warning("sign-in of %.80r from %s refused unheard: too many at once", user, address)
            return None
        turn = self._turns.setdefault(pair, asyncio.Lock())
        self._waiting += 1
        try:
            async with turn:  # one after the other, so that guesses sent at once are counted like any
                return await self._checked(user, password, address, pair)
        finally:
            self._waiting -= 1

    async def _checked(self, user: str, password: str, address: str, pair: str) -> Role | None:
        if (
            self._failures.of(address) >= FAILURES_OF_AN_ADDRESS
            or self._failures.of(pair) >= FAILURES_OF_A_USER
        ):
            log.warning("sign-in of %.80r from %s refused unheard: too many failures", user, address)
            return None
        loop = asyncio.get_running_loop()
        is_known = await loop.run_in_executor(self._threads, self._passwords.verify, user, password)
        role = self._roles.get(user)
        if not is_known or role is None:
            self._failures.add(address)
            self._failures.add(pair)
            log.warning("sign-in of %.80r from %s failed", user, address)
            return None
        self._failures.clear(pair)
        log.info("%s (%s) signed in from %s", user, role, address)
        return role

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
