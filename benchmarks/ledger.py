"""The ledger: entries signed, signed entries appended durably, and a ledger verified.

With a hundred statements to a signature, and with one.

Beside it in the same run: Ed25519 alone, which bounds any ledger that uses it. A core's time beside the wall's, as
the machine may be shared. Usage: python benchmarks/ledger.py [ENTRIES]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from historian.ledger.book import Book
from historian.ledger.entry import Account, transfer
from historian.ledger.pen import Pen
from historian.ledger.verify import verify
from historian.signing import SigningKey

ENTRIES = 100_000
ACCOUNTS = 100
SIGNATURES = 2_000


def cpu_s() -> float:
    """Of this process and those it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


class Watch:
    """Adds up the time of what is done ``with`` it."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0

    def __enter__(self) -> None:
        self.cpu_s -= cpu_s()
        self.wall_s -= time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter()
        self.cpu_s += cpu_s()

    def tell(self, what: str, count: int) -> None:
        """Print entries a second, by the wall and by one core's time."""
        wall, cpu = count / self.wall_s, count / self.cpu_s
        print(f"{what:<72} {wall:>9,.0f}/s   {cpu:>9,.0f}/s of a core's time")


def measure(what: str, count: int, do: Callable[[], object]) -> None:
    """One thing done ``count`` times."""
    watch = Watch()
    with watch:
        do()
    watch.tell(what, count)


def alone() -> None:
    """Ed25519 and nothing else."""
    key = Ed25519PrivateKey.generate()
    public, message = key.public_key(), bytes(250)
    signature = key.sign(message)
    measure("Ed25519 alone: sign", SIGNATURES, lambda: [key.sign(message) for _ in range(SIGNATURES)])
    measure(
        "Ed25519 alone: verify",
        SIGNATURES,
        lambda: [public.verify(signature, message) for _ in range(SIGNATURES)],
    )


def ledger(folder: Path, entries: int, batch: int, to_signature: int) -> None:
    """Fill one with batches, each made durable at once, and verify it."""
    entries = -(-entries // batch) * batch
    key = SigningKey.generate()
    of = f"{to_signature} to a signature"
    file = folder / f"{batch}-{to_signature}.ledger"
    with Book.create(file, "bench", "market", key) as book:
        pen = Pen(key, book.id)
        book.append([pen.sign([Account(f"a{i}", "EUR", "market", True) for i in range(ACCOUNTS)])])

        signing, appending, both = Watch(), Watch(), Watch()
        with both:
            for first in range(0, entries, batch):
                bodies = [
                    transfer("trade", f"a{i % ACCOUNTS}", f"a{(i + 1) % ACCOUNTS}", "EUR", 1 + i)
                    for i in range(first, first + batch)
                ]
                with signing:
                    some = [pen.sign(bodies[i : i + to_signature]) for i in range(0, batch, to_signature)]
                with appending:
                    book.append(some)
        signing.tell(f"sign, as authors do, {of}", entries)
        appending.tell(f"append signed entries, durable, batches of {batch:,}, {of}", entries)
        both.tell("both, one after the other in one process", entries)
        book.close_period(key)
    print(f"    {file.stat().st_size / entries:.0f} bytes an entry on disk")

    def check() -> None:
        verdict = verify(file)
        assert verdict.is_sound, verdict.faults

    measure(f"verify on {os.cpu_count()} cores, {of}", entries, check)


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    load = os.getloadavg()[0]
    print(f"{entries:,} entries, {os.cpu_count()} cores, load {load:.1f} before it")
    alone()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TIELINE_BENCH_DIR")) as folder:
        ledger(Path(folder), entries, 1_000, 100)
        ledger(Path(folder), entries, 10_000, 100)
        ledger(Path(folder), entries // 10, 1_000, 1)


if __name__ == "__main__":
    main()
