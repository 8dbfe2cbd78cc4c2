"""The vectors: calls by named actors at named times, and what each must give, tell, or be refused with.

In their arguments and results ``@name`` is an actor's address and ``$name`` an id of the file's table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from historian.ledger.contracts.abi import address_of

FILE = Path(__file__).parent / "vectors.json"


@dataclass(frozen=True, slots=True)
class Step:
    """A call and what it must bring about; ``refused`` is None where it must be done."""

    number: int
    story: str
    at_s: int
    by: str
    contract: str
    operation: str
    arguments: tuple[Any, ...]
    value: int
    gives: list[Any]
    tells: list[list[Any]]
    refused: list[Any] | None

    def __str__(self) -> str:
        return f"step {self.number}: {self.by} {self.contract}.{self.operation}, {self.story}"


@dataclass(frozen=True, slots=True)
class Vectors:
    """All of them, in their order."""

    operator: str
    actors: tuple[str, ...]
    steps: tuple[Step, ...]


def read(file: Path = FILE) -> Vectors:
    """The file, names in it replaced by what they stand for."""
    said = json.loads(file.read_text())
    names = {f"${name}": bytes.fromhex(value[2:]) for name, value in said["ids"].items()}
    names |= {f"@{actor}": address_of(actor) for actor in said["actors"]}
    names["@nobody"] = bytes(20)

    def meant(value: Any) -> Any:
        if isinstance(value, list):
            return [meant(one) for one in value]
        if isinstance(value, str):
            return names[value] if value in names else _number_or_text(value)
        return value

    def named(value: list[Any]) -> list[Any]:
        return [*value[:1], *meant(value[1:])]

    steps = []
    at_s = said["from_s"]
    story = ""
    for number, step in enumerate(said["steps"]):
        at_s += step.get("after_s", 1)
        story = step.get("story", story)
        contract, operation = step["call"].split(".")
        steps.append(
            Step(
                number,
                story,
                at_s,
                step["by"],
                contract,
                operation,
                tuple(meant(step.get("with", []))),
                step.get("value", 0),
                meant(step.get("gives", [])),
                [named(event) for event in step.get("tells", [])],
                named(step["refused"]) if "refused" in step else None,
            )
        )
    return Vectors(said["operator"], tuple(said["actors"]), tuple(steps))


def _number_or_text(value: str) -> int | bytes:
    """Numbers too great for every reader of JSON are texts of digits; 0x begins bytes."""
    if value.startswith("0x"):
        return bytes.fromhex(value[2:])
    return int(value) if value.isdigit() else value.encode()


def plain(value: Any) -> Any:
    """A result as the file has it: sequences as lists, addresses as bytes, choices as numbers."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
