"""A batch reaches a target that refuses some of it, in few requests, and nobody else's points wait."""

from __future__ import annotations

import pytest
from historian_folder import Clock

from historian.forward.delivery import MAX_SPLITS, SUSPECT_NS, Delivery, Link
from historian.forward.lines import Encoded
from historian.forward.set_aside import SetAside
from historian.forward.target import Answer, Misconfigured, Refused, Taken, Unreachable, answer_of


class Picky:
    """A target that refuses a request with a line that says bad; like InfluxDB it takes the others."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.has: dict[str, str] = {}

    def write(self, lines: str) -> Answer:
        request = lines.splitlines()
        self.requests.append(request)
        for line in request:
            if "bad" not in line:
                head, _, time = line.rpartition(" ")
                self.has[f"{head.split()[0]} {time}"] = line
        return Refused("400: bad") if "bad" in lines else Taken()

    def incarnation(self) -> str | None:
        return ""

    def close(self) -> None:
        pass


class Bench:
    def __init__(self) -> None:
        self.target = Picky()
        self.link = Link()
        self.aside: list[str] = []
        self.clock = Clock()
        self.delivery = Delivery(
            self.target,
            self.link,
            lambda lines, why: self.aside.extend(lines),
            self.clock,
            lambda seconds: pytest.fail("nothing to wait for"),
            forgets=False,
        )

    def deliver(self, lines: list[str], tags: list[int]) -> int:
        """How many requests it took."""
        before = len(self.target.requests)
        self.delivery.deliver(Encoded(lines, tags, [], 0))
        return len(self.target.requests) - before


def batch(bad: set[int], tags: int = 50, each: int = 20) -> tuple[list[str], list[int]]:
    """Lines of every tag, one behind the other; ``bad`` are tags."""
    pairs = [(time, tag) for time in range(each) for tag in range(tags)]
    return [f"m{tag} value={'bad' if tag in bad else 1} {time}" for time, tag in pairs], [
        tag for _, tag in pairs
    ]


def test_one_bad_point_among_thousands_is_found_in_few_requests() -> None:
    bench = Bench()
    lines, tags = batch(set())
    lines[777] = lines[777].replace("=1", "=bad")
    assert bench.deliver(lines, tags) <= 24
    assert bench.aside == [lines[777]]
    assert len(bench.target.has) == 999
    assert bench.link.sent == 999


def test_a_tag_that_is_bad_throughout_costs_little_and_the_others_nothing() -> None:
    bench = Bench()
    first = bench.deliver(*batch({7}))
    assert first <= 1 + MAX_SPLITS
    assert len(bench.aside) == 20
    assert len(bench.target.has) == 49 * 20
    bench.target.requests.clear()
    bench.deliver(*batch({7}))
    usual, *apart = bench.target.requests
    assert len(usual) == 49 * 20, "the others go first, in one request"
    assert all(line.startswith("m7 ") for request in apart for line in request)
    bench.clock.now += SUSPECT_NS + 1
    assert bench.deliver(*batch(set())) == 1, "it is given another chance"


def test_however_many_are_bad_requests_have_an_end_and_every_point_is_somewhere() -> None:
    bench = Bench()
    lines, tags = batch(set(range(0, 50, 2)))
    assert bench.deliver(lines, tags) <= 2 + MAX_SPLITS
    for line in lines:
        head, _, time = line.rpartition(" ")
        assert line in bench.aside or bench.target.has[f"{head.split()[0]} {time}"] == line


def test_of_a_time_that_comes_twice_the_last_is_the_last_sent() -> None:
    bench = Bench()
    lines = [
        "m1 value=1 5",
        "m2 value=bad 5",
        "m1 value=2 5",
        "m1 value=3 6",
        "m3 value=bad 1",
        "m1 value=4 5",
    ]
    bench.deliver(lines, [1, 2, 1, 1, 3, 1])
    assert bench.target.has == {"m1 5": "m1 value=4 5", "m1 6": "m1 value=3 6"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, Taken),
        (200, Taken),
        (400, Refused),
        (413, Refused),
        (422, Refused),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (302, Misconfigured),
        (408, Unreachable),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
def test_statuses_mean_what_they_say(status: int, kind: type[Answer]) -> None:
    assert isinstance(answer_of(status, "why\nnot", None), kind)


def test_a_server_may_ask_to_be_left_alone_but_not_for_hours() -> None:
    assert answer_of(429, "", "7") == Unreachable("429", 7.0)
    assert answer_of(503, "", "86400") == Unreachable("503", 300.0)
    assert answer_of(503, "", "Fri, 31 Dec 1999 23:59:59 GMT") == Unreachable("503", 0.0)


def test_the_file_of_points_set_aside_has_an_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("historian.forward.set_aside.MAX_BYTES", 200)
    aside = SetAside(tmp_path / "plant.aside.lp")
    for n in range(10):
        aside.add([f"m value={n} {n}"], "400:\nno", 1_795_262_400 * 10**9)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["plant.aside.lp", "plant.aside.lp.1"]
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())
    assert "# 2026-11-21T12:00:00Z 400: no\nm value=9 9\n" in (tmp_path / "plant.aside.lp").read_text()
