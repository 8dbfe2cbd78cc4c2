"""Keys of accounts on an EVM chain, in files that only their owner reads. They sign by eth-account, here."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from historian.ledger.errors import LedgerError
from historian.signing import KeyFileError, write_private

MISSING = "anchoring needs more than the ledger does: pip install 'tieline[chain]'"

try:
    from eth_account import Account
except ImportError as error:
    raise LedgerError(f"{MISSING} ({error})") from error

_HEX = re.compile(r"(0x)?([0-9a-fA-F]{64})")


class ChainKey:
    """A private key in memory; ``address`` is its account's."""

    __slots__ = ("_account", "address")

    def __init__(self, private: bytes) -> None:
        self._account = Account.from_key(private)
        self.address: str = self._account.address.lower()

    @classmethod
    def generate(cls) -> ChainKey:
        """A new key from the system's random numbers."""
        return cls(bytes(Account.create().key))

    @classmethod
    def load(cls, file: Path) -> ChainKey:
        """The key, 64 hexadecimal digits, in a file that nobody else may read; ``KeyFileError`` otherwise."""
        try:
            with file.open("rb") as opened:
                mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
                content = opened.read(1024)
        except OSError as error:
            raise KeyFileError(f"{file}: {error.strerror}") from error
        if mode & 0o077:
            raise KeyFileError(
                f"{file} has mode {mode:04o}: others may reach it; chmod 600, and use another key"
            )
        found = _HEX.fullmatch(content.decode("ascii", errors="replace").strip())
        if found is None or not int(found[2], 16):
            raise KeyFileError(f"{file} holds no key of a chain: 64 hexadecimal digits")
        try:
            return cls(bytes.fromhex(found[2]))
        except ValueError as error:  # above the order of the curve
            raise KeyFileError(f"{file} holds no key of a chain: {error}") from error

    def save(self, file: Path) -> None:
        """Into a new file of mode 0600, on disk when this returns; ``KeyFileError`` where it exists."""
        write_private(file, bytes(self._account.key).hex().encode() + b"\n")

    def sign(self, transaction: dict[str, Any]) -> bytes:
        """The signed bytes of a transaction."""
        return bytes(self._account.sign_transaction(transaction).raw_transaction)
