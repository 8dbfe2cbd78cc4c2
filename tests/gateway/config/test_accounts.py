"""Passwords: kept hashed, verified in constant time, replaced whole."""

import json
import math
import multiprocessing
import time

import pytest

from gateway.config import accounts as accounts_module
from gateway.config.accounts import Accounts, AccountsError, new_password


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "accounts.json"


def test_the_right_password_and_no_other_is_verified(path):
    accounts = Accounts(path)
    accounts.set_password("olga", "correct horse")
    assert accounts.verify("olga", "correct horse")
    assert not accounts.verify("olga", "correct horse ")
    assert not accounts.verify("enno", "correct horse")
    assert not accounts.verify("olga", "")
    assert not accounts.verify("", "")


def test_nobody_signs_in_before_there_is_a_file(path):
    assert not Accounts(path).verify("olga", "correct horse")


def test_one_text_typed_in_two_ways_is_one_password(path):
    accounts = Accounts(path)
    accounts.set_password("olga", "Strom-fu\u0308r-alle")
    assert accounts.verify("olga", "Strom-f\u00fcr-alle")


def test_a_change_by_another_process_counts_at_once(path):
    one, other = Accounts(path), Accounts(path)
    one.set_password("olga", "correct horse")
    assert other.verify("olga", "correct horse")
    one.set_password("olga", "battery staple")
    assert other.verify("olga", "battery staple")
    assert not other.verify("olga", "correct horse")


def test_the_file_holds_no_password_and_is_for_this_user_only(path):
    accounts = Accounts(path)
    accounts.set_password("olga", "correct horse")
    assert b"horse" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    kept = json.loads(path.read_bytes())["users"]["olga"]
    assert kept["n"] >= 2**15
    assert sorted(each.name for each in path.parent.iterdir()) == ["accounts.json", "accounts.lock"]


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "ü" * 600])
def test_an_unfit_password_is_not_taken(path, password):
    accounts = Accounts(path)
    with pytest.raises(ValueError, match="a password has at"):
        accounts.set_password("olga", password)
    assert accounts.users_without_password(["olga"]) == ["olga"]


def test_users_without_password_are_told_in_their_order(path):
    accounts = Accounts(path)
    accounts.set_password("olga", "correct horse")
    assert accounts.users_without_password(["zoe", "olga", "adam"]) == ["zoe", "adam"]


def test_an_unknown_user_costs_as_much_time_as_a_known_one(path):
    accounts = Accounts(path)
    accounts.set_password("olga", "correct horse")

    def shortest(user: str) -> float:
        times = []
        for _ in range(5):
            begin = time.process_time()
            accounts.verify(user, "wrong password")
            times.append(time.process_time() - begin)
        return min(times)

    known, unknown = shortest("olga"), shortest("nobody")
    assert 0.5 < unknown / known < 2


def _set(path: str, user: str) -> None:
    from pathlib import Path

    Accounts(Path(path)).set_password(user, "correct horse")


def test_two_processes_that_set_passwords_do_not_lose_one(path):
    context = multiprocessing.get_context("spawn")
    users = [f"user{number}" for number in range(4)]
    processes = [context.Process(target=_set, args=(str(path), user)) for user in users]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert Accounts(path).users_without_password(users) == []


GOOD = {
    "scheme": "scrypt",
    "n": 32768,
    "r": 8,
    "p": 1,
    "salt": "AAAAAAAAAAAAAAAAAAAAAA==",
    "hash": "A" * 43 + "=",
}
BROKEN = [
    b"",
    b"\xff",
    b"[]",
    b'{"version":2,"users":{}}',
    b'{"version":1}',
    b'{"version":1,"users":[]}',
    *(
        json.dumps({"version": 1, "users": {"olga": {**GOOD, **change}}}).encode()
        for change in (
            {"scheme": "plain"}, {"n": 3}, {"n": 2**30}, {"n": None}, {"r": 0}, {"p": "1"}, {"salt": "!"},
            {"hash": ""},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_is_not_ours_is_an_error_not_an_open_door(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(AccountsError):
        Accounts(path).verify("olga", "correct horse")


def test_a_made_password_has_eighty_bits_and_can_be_read_aloud():
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    for password in passwords:
        assert [len(group) for group in password.split("-")] == [4, 4, 4, 4, 4]
        assert not set(password) & set("0o1li")
    assert 20 * math.log2(len(accounts_module._ALPHABET)) > 80
