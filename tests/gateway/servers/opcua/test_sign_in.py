"""Passwords are checked off the loop, and not for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.config.site import Role, User
from gateway.servers.opcua import sign_in
from gateway.servers.opcua.sign_in import SignIn

USERS = (User("operator", Role.OPERATOR),)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Door:
    """Passwords that open for "right", when the gate is open."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def verify(self, user: str, password: str) -> bool:
        assert self.gate.wait(5)
        self.asked += 1
        return password == "right"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def checker(door: Door, clock: Clock) -> SignIn:
    return SignIn(USERS, door, clock)


async def test_only_a_user_of_the_site_with_the_right_password_has_a_role(
    checker: SignIn, door: Door
) -> None:
    assert await checker.role_of("operator", "right", "a") is Role.OPERATOR
    assert await checker.role_of("operator", "wrong", "a") is None
    assert await checker.role_of("stranger", "right", "a") is None
    assert door.asked == 3, "a stranger waits as long as everybody"


async def test_a_guesser_locks_himself_out_and_nobody_else(checker: SignIn, clock: Clock) -> None:
    for _ in range(sign_in.FAILURES_OF_A_USER):
        assert await checker.role_of("operator", "wrong", "bad") is None
    assert await checker.role_of("operator", "right", "bad") is None
    assert await checker.role_of("operator", "right", "good") is Role.OPERATOR
    clock.now += sign_in.WINDOW_S + 1
    assert await checker.role_of("operator", "right", "bad") is Role.OPERATOR


async def test_trying_many_names_ends_too(checker: SignIn, door: Door) -> None:
    for n in range(sign_in.FAILURES_OF_AN_ADDRESS):
        assert await checker.role_of(f"user{n}", "right", "bad") is None
    asked = door.asked
    assert await checker.role_of("operator", "right", "bad") is None
    assert door.asked == asked


async def test_guesses_sent_at_once_are_counted_one_by_one(checker: SignIn, door: Door) -> None:
    answers = await asyncio.gather(*(checker.role_of("operator", f"guess {n}", "bad") for n in range(40)))
    assert set(answers) == {None}
    assert door.asked == sign_in.FAILURES_OF_A_USER


async def test_many_right_ones_at_once_are_all_let_in(checker: SignIn) -> None:
    answers = await asyncio.gather(*(checker.role_of("operator", "right", "a") for _ in range(40)))
    assert set(answers) == {Role.OPERATOR}


async def test_the_loop_goes_on_while_a_password_is_checked(checker: SignIn, door: Door) -> None:
    door.gate.clear()
    checking = asyncio.create_task(checker.role_of("operator", "right", "a"))
    for _ in range(10):
        await asyncio.sleep(0.001)
    assert not checking.done()
    door.gate.set()
    assert await checking is Role.OPERATOR


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    count = sign_in.FailureCount(clock)
    for n in range(sign_in.REMEMBERED + 10):
        count.add(str(n))
    assert count.of("0") == 0
    assert count.of(str(sign_in.REMEMBERED)) == 1
    assert len(count._failures) == sign_in.REMEMBERED
