"""Appends batches of transfers to a ledger and says each receipt it has. Arguments: ledger, key, first batch."""

import sys
from pathlib import Path

from historian.ledger.book import Book
from historian.ledger.bundle import sign
from historian.ledger.entry import transfer
from historian.ledger.pen import Pen, client_id
from historian.signing import SigningKey

BATCH = 50
PERIOD = 4  # batches

key = SigningKey.load(Path(sys.argv[2]))
with Book.open(Path(sys.argv[1])) as book:
    pen = Pen(key, book.id)
    number = int(sys.argv[3])
    while True:
        bodies = [(f"{number}/{i}", transfer(str(number), "bank", "a", "EUR", 1)) for i in range(BATCH)]
        bundle = sign(key, [pen.statement(body, client_id(name)) for name, body in bodies])
        last = book.append([bundle])[-1]
        print(number, last.sequence, last.hash.hex(), flush=True)
        number += 1
        if number % PERIOD == 0:
            book.close_period(key)
