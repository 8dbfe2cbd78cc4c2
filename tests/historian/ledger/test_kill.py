"""A writer killed at any moment: what it promised is there, what it did not is there whole or not at all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from historian.ledger.book import Book
from historian.ledger.entry import Account
from historian.ledger.pen import Pen
from historian.ledger.verify import verify
from historian.signing import SigningKey

HERE = Path(__file__).parent
BATCH = 50  # of writer_process
SEEDS = int(os.environ.get("TIELINE_KILL_ROUNDS", "3"))
LIVES = 2  # of a writer, on the same ledger
DEADLINE_S = 60


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_promise_is_lost_and_no_batch_is_half(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    file, key = tmp_path / "l.db", SigningKey.generate()
    key.save(tmp_path / "key.pem")
    with Book.create(file, "demo", "market", key) as book:
        accounts = [Account("bank", "EUR", "market", True), Account("a", "EUR", "market")]
        book.append([Pen(key, book.id).sign(accounts)])
    batches = 0
    for _ in range(LIVES):
        promised = _life(file, tmp_path / "key.pem", batches, draw)
        with Book.open(file) as book:
            paid = book.state.balances()["a"]
            assert book.state.balances()["bank"] == -paid
        assert paid % BATCH == 0
        number, sequence, kept = promised
        verdict = verify(file, receipt=(sequence, kept), processes=1)
        assert verdict.is_sound, verdict.faults
        assert paid // BATCH in (number + 1, number + 2), "what was promised, and at most the batch under way"
        # The next life asks for the last promised batch again, as one does that does not know.
        batches = number
    assert batches > 0


def _life(file: Path, key: Path, first: int, draw: random.Random) -> tuple[int, int, bytes]:
    """The last batch that a writer promised before it was killed."""
    command = [sys.executable, str(HERE / "writer_process.py"), str(file), str(key), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        deadline = threading.Timer(DEADLINE_S, writer.kill)
        deadline.start()
        lines = [writer.stdout.readline() for _ in range(draw.randint(3, 12))]
        end = threading.Timer(draw.uniform(0, 0.03), writer.kill)  # SIGKILL, wherever the writer is by then
        end.start()
        lines += writer.stdout.readlines()
        end.cancel()
        deadline.cancel()
    whole = [line for line in lines if line.endswith("\n")]
    number, sequence, kept = whole[-1].split()
    return int(number), int(sequence), bytes.fromhex(kept)
