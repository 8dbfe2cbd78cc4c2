"""Calls, results and ids as bytes: the contract ABI by eth-abi, Keccak-256 by its hash; ours is only this module.

What operations, events and errors there are is read from what the Solidity compiler said of the twins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from historian.ledger.contracts.words import Reverted
from historian.ledger.errors import LedgerError

COMPILED = Path(__file__).parent / "solidity" / "compiled.json"
MISSING = "contracts need more than the ledger does: pip install 'tieline[chain]'"

try:
    from eth_abi.abi import decode as _decode
    from eth_abi.abi import encode as _encode
    from eth_abi.exceptions import DecodingError, EncodingError
    from eth_hash.auto import keccak as _keccak
except ImportError as error:
    raise LedgerError(f"{MISSING} ({error})") from error


@dataclass(frozen=True, slots=True)
class Operation:
    """One function of a contract."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_payable: bool
    is_view: bool

    @property
    def selector(self) -> bytes:
        """The first bytes of a call of it."""
        return keccak(f"{self.name}({','.join(self.inputs)})".encode())[:4]

    def call(self, *arguments: Any) -> bytes:
        """The bytes of a call; ``LedgerError`` where an argument has no encoding."""
        return self.selector + encode(self.inputs, arguments)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A contract as its compiler says it is."""

    name: str
    bytecode: bytes
    operations: dict[str, Operation]
    events: dict[str, tuple[tuple[str, bool], ...]]  # the type of each argument, and whether it is a topic
    errors: dict[str, tuple[str, ...]]


def keccak(content: bytes) -> bytes:
    """Keccak-256, which is not SHA3-256."""
    return bytes(_keccak(content))


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Values one after the other."""
    try:
        return bytes(_encode([_kept(of) for of in types], values))
    except (EncodingError, TypeError, ValueError) as error:
        raise LedgerError(f"{values} are no ({', '.join(types)}): {error}") from error


def decode(types: Sequence[str], content: bytes) -> tuple[Any, ...]:
    """What ``encode`` made; ``Reverted`` for any other bytes. Texts stay bytes, as contracts keep them."""
    as_kept = [_kept(of) for of in types]
    try:
        values = _decode(as_kept, content)
        again = _encode(as_kept, values)
    except (DecodingError, EncodingError, OverflowError, ValueError):
        raise Reverted("") from None
    if again != content:  # other bytes for the same values would be another statement that says the same
        raise Reverted("")
    return tuple(
        bytes.fromhex(value[2:]) if of == "address" else value
        for of, value in zip(types, values, strict=True)
    )


def _kept(of: str) -> str:
    return of.replace("string", "bytes")  # of one encoding, and a text on a chain may be any bytes


def id_of(what: str, *parts: int | bytes) -> bytes:
    """The id of something new: of its kind and what sets it apart. Addresses (20 bytes) fill a word as numbers do."""
    words = [keccak(f"tieline.{what}".encode())]
    words += [(p if isinstance(p, bytes) else p.to_bytes(32, "big")).rjust(32, b"\0") for p in parts]
    return keccak(b"".join(words))


def address_of(author: str) -> bytes:
    """Where an author's calls come from: of its name, which stays when its keys change."""
    return keccak(f"tieline.author {author}".encode())[12:]


@cache
def compiled(file: Path = COMPILED) -> dict[str, Compiled]:
    """All contracts of the Solidity sources."""
    return {name: _contract(name, said) for name, said in json.loads(file.read_bytes())["contracts"].items()}


def _contract(name: str, said: dict[str, Any]) -> Compiled:
    operations = {
        item["name"]: Operation(
            item["name"],
            _types(item["inputs"]),
            _types(item["outputs"]),
            item["stateMutability"] == "payable",
            item["stateMutability"] in ("view", "pure"),
        )
        for item in said["abi"]
        if item["type"] == "function"
    }
    events = {
        item["name"]: tuple((_type(of), bool(of["indexed"])) for of in item["inputs"])
        for item in said["abi"]
        if item["type"] == "event"
    }
    errors = {item["name"]: _types(item["inputs"]) for item in said["abi"] if item["type"] == "error"}
    return Compiled(name, bytes.fromhex(said["bytecode"]), operations, events, errors)


def _types(items: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(map(_type, items))


def _type(item: dict[str, Any]) -> str:
    of: str = item["type"]
    if of.startswith("tuple"):
        return f"({','.join(_types(item['components']))}){of[len('tuple') :]}"
    return of
