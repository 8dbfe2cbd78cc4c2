"""A desk killed while it trades, clears, settles, restates, bills and rewards ends where one that was not does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ledger_town import Town

from historian.ledger.book import Book
from historian.ledger.desk import Desk
from historian.ledger.verify import verify

HERE = Path(__file__).parent
SEEDS = int(os.environ.get("TIELINE_KILL_ROUNDS", "1"))
LIVES = 3  # before the one that is let to end
DEADLINE_S = 60


def life(file: Path, folder: Path, draw: random.Random | None) -> list[str]:
    """What a desk said until it was killed, or (without a draw) ended."""
    command = [sys.executable, str(HERE / "desk_process.py"), str(file), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as desk:
        assert desk.stdout is not None
        deadline = threading.Timer(DEADLINE_S, desk.kill)
        deadline.start()
        said = []
        if draw is not None:
            said = [desk.stdout.readline() for _ in range(draw.randint(1, 50))]
            end = threading.Timer(draw.uniform(0, 0.02), desk.kill)  # SIGKILL, wherever it is by then
            end.start()
            said += desk.stdout.readlines()
            end.cancel()
        else:
            said = desk.stdout.readlines()
        deadline.cancel()
    return said


def outcome(town: Town, file: Path) -> object:
    with Book.open(file, town.clock) as book:
        desk = Desk(book, town.key, town.clock)
        desk.start()
        community = desk.community
        assert not community.strays
        assert not community.owed
        settled = {at: (found.version, found.lines) for at, found in community.settled.items()}
        trades = [(t.interval_us, t.buyer, t.seller, t.wh, t.price, t.amount) for t in community.trades]
        bills = [bill for _, bill in community.billing.bills]
        return book.state.balances(), trades, settled, sorted(community.voids), bills


@pytest.fixture(scope="module")
def folder(built_town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, key in {**built_town.keys, "market": built_town.key}.items():
        key.save(folder / f"{name}.pem")
    return folder


@pytest.fixture(scope="module")
def undisturbed(built_town: Town, folder: Path) -> object:
    file = folder / "undisturbed.ledger"
    file.write_bytes(built_town.file.read_bytes())
    assert life(file, folder, None)[-1] == "done\n"
    found = outcome(built_town, file)
    balances, trades, settled, _, bills = found  # type: ignore[misc]  # a tuple
    assert {buyer is None for _, buyer, *_ in trades} == {True, False}, "both venues traded"
    assert {version for version, _ in settled.values()} == {1, 2}
    # Of 1000 for the batch two parts of three are home1's.
    assert balances["home1.current"] == -bills[2].amount + 1_000_001 + 667
    assert (balances["home1.staked"], balances["pv1.points"], balances["costs.network"]) == (
        100,
        250,
        -90_000,
    )
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_killed_desk_ends_where_an_undisturbed_one_does(
    built_town: Town, folder: Path, undisturbed: object, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    file = tmp_path / "l"
    file.write_bytes(built_town.file.read_bytes())
    for _ in range(LIVES):
        life(file, folder, draw)
    assert life(file, folder, None)[-1] == "done\n"
    assert outcome(built_town, file) == undisturbed
    assert verify(file, processes=1).is_sound
