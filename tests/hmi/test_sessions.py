"""Sessions and the throttle on a clock that the test turns."""

from __future__ import annotations

import stat

import pytest

from hmi.sessions import LIFETIME_S, MAX_SESSIONS, Sessions
from hmi.throttle import MAX_KEYS, REFILL_S, TRIES, Throttle


class Turned:
    def __init__(self):
        self.s = 1_000_000.0

    def __call__(self):
        return self.s


def seal_of(user):
    return f"the password of {user}"


def test_a_session_ends_with_its_shift(tmp_path):
    clock = Turned()
    sessions = Sessions(tmp_path / "sessions.json", clock, seal_of)
    token = sessions.open("operator")
    clock.s += LIFETIME_S - 1
    assert sessions.find(token).user == "operator"
    clock.s += 2
    assert sessions.find(token) is None


def test_a_changed_password_ends_the_sessions_that_rest_on_the_old_one(tmp_path):
    passwords = {"operator": "old", "viewer": "old"}
    sessions = Sessions(tmp_path / "sessions.json", Turned(), passwords.__getitem__)
    token, other = sessions.open("operator"), sessions.open("viewer")
    session = sessions.find(token)
    passwords["operator"] = "new"
    assert sessions.find(token) is None
    sessions.sweep()
    assert session.ended.is_set()
    assert sessions.find(other).user == "viewer"
    again = Sessions(tmp_path / "sessions.json", Turned(), passwords.__getitem__)
    again.load({"operator", "viewer"})
    assert again.find(token) is None
    assert again.find(other).user == "viewer"


def test_tokens_are_256_bits_and_only_their_hash_is_kept(tmp_path):
    file = tmp_path / "sessions.json"
    sessions = Sessions(file, Turned(), seal_of)
    tokens = {sessions.open("operator") for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) == 43 for token in tokens)  # ceil(256 / 6) characters of base64
    assert not any(token in file.read_text() for token in tokens)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_disk_that_takes_nothing_keeps_nobody_out_or_in(tmp_path, caplog):
    sessions = Sessions(tmp_path / "no such folder" / "sessions.json", Turned(), seal_of)
    token = sessions.open("operator")
    session = sessions.find(token)
    assert session.user == "operator"
    sessions.end(token)
    assert session.ended.is_set()
    assert sessions.find(token) is None
    assert "sessions are not saved" in caplog.text


def test_sessions_outlive_a_restart_of_the_part_but_not_of_their_user(tmp_path):
    clock = Turned()
    before = Sessions(tmp_path / "sessions.json", clock, seal_of)
    token, other, ended = before.open("operator"), before.open("former"), before.open("operator")
    before.end(ended)
    after = Sessions(tmp_path / "sessions.json", clock, seal_of)
    after.load({"operator"})
    assert after.find(token).user == "operator"
    assert after.find(other) is None
    assert after.find(ended) is None


def test_the_oldest_session_makes_room(tmp_path):
    sessions = Sessions(tmp_path / "sessions.json", Turned(), seal_of)
    first = sessions.open("operator")
    oldest = sessions.find(first)
    second = sessions.open("operator")
    for _ in range(MAX_SESSIONS - 1):
        sessions.open("operator")
    assert sessions.find(first) is None
    assert oldest.ended.is_set()
    assert sessions.find(second) is not None


@pytest.mark.parametrize("content", ["{half", "[]", '{"a": 1}', '{"a": ["operator", 2e9]}'])
def test_unreadable_sessions_are_no_sessions(tmp_path, content):
    (tmp_path / "sessions.json").write_text(content)
    sessions = Sessions(tmp_path / "sessions.json", Turned(), seal_of)
    sessions.load({"operator"})
    assert sessions.find("anything") is None


def test_tries_run_out_and_come_back_slowly():
    clock = Turned()
    throttle = Throttle(clock)
    assert [throttle.take(["a"]) for _ in range(TRIES)] == [0.0] * TRIES
    assert throttle.take(["a"]) == REFILL_S
    clock.s += REFILL_S
    assert throttle.take(["a"]) == 0
    assert throttle.take(["a"]) > 0


def test_a_try_counts_for_the_address_and_for_the_user():
    throttle = Throttle(Turned())
    for n in range(TRIES):
        assert throttle.take([f"address:{n}", "user:operator"]) == 0
    assert throttle.take(["address:new", "user:operator"]) > 0
    assert throttle.take(["address:new", "user:other"]) == 0


def test_the_right_password_costs_nothing():
    throttle = Throttle(Turned())
    for _ in range(10 * TRIES):
        assert throttle.take(["a"]) == 0
        throttle.give_back(["a"])


def test_the_throttle_remembers_a_bounded_number_of_addresses():
    throttle = Throttle(Turned())
    for n in range(2 * MAX_KEYS):
        throttle.take([f"address:{n}"])
    assert len(throttle._buckets) == MAX_KEYS
