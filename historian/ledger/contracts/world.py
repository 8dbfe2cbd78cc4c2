"""All contracts of a ledger, and how the bytes of a call find their operation. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from functools import cache
from typing import Any, get_type_hints

from historian.ledger.contracts.abi import Operation, compiled, decode, encode
from historian.ledger.contracts.balance import GridBalance
from historian.ledger.contracts.billing import Billing
from historian.ledger.contracts.consumption import EnergyConsumption
from historian.ledger.contracts.contract import Contract, Event, Message
from historian.ledger.contracts.devices import DeviceRegistry
from historian.ledger.contracts.production import EnergyProduction
from historian.ledger.contracts.rewards import RewardSystem
from historian.ledger.contracts.trading import EnergyTrading
from historian.ledger.contracts.words import Reverted
from historian.ledger.errors import Reason, Refused

NAMES = (
    "EnergyProduction",
    "EnergyConsumption",
    "GridBalance",
    "Billing",
    "EnergyTrading",
    "DeviceRegistry",
    "RewardSystem",
)


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call gave back, told, and paid out."""

    content: bytes
    events: tuple[Event, ...] = ()
    payouts: tuple[tuple[bytes, int], ...] = ()


class World:
    """One of each contract, of one operator."""

    def __init__(self, operator: bytes) -> None:
        production, consumption = EnergyProduction(operator), EnergyConsumption(operator)
        self.contracts: dict[str, Contract] = {
            contract.name: contract
            for contract in (
                production,
                consumption,
                GridBalance(operator),
                Billing(operator, production, consumption),
                EnergyTrading(operator),
                DeviceRegistry(operator),
                RewardSystem(operator),
            )
        }

    def call(self, name: str, message: Message, content: bytes) -> Returned:
        """Do it; ``Refused`` (``Reverted`` by the contract) where nothing was done."""
        contract = self.contracts.get(name)
        if contract is None:
            raise Refused(Reason.UNKNOWN, f"no contract {name[:64]}: there are {', '.join(NAMES)}")
        operation = _by_selector(name).get(content[:4])
        if operation is None or (message.value and not operation.is_payable):
            raise Reverted("")
        arguments = decode(operation.inputs, content[4:])
        result = _bound(contract, operation)(message, arguments)
        values = () if not operation.outputs else _plain(result)
        if len(operation.outputs) == 1:
            values = (values,)
        return Returned(encode(operation.outputs, values), tuple(message.events), tuple(message.payouts))


def snake(name: str) -> str:
    """A method's name by that of an operation."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def operation(contract: str, name: str) -> Operation:
    """An operation by its name; ``Refused`` where there is none."""
    if contract not in NAMES:
        raise Refused(Reason.UNKNOWN, f"no contract {contract[:64]}: there are {', '.join(NAMES)}")
    known = compiled()[contract].operations
    if name not in known:
        raise Refused(Reason.UNKNOWN, f"no operation {name[:64]} of {contract}: {', '.join(sorted(known))}")
    return known[name]


@cache
def _by_selector(name: str) -> dict[bytes, Operation]:
    return {operation.selector: operation for operation in compiled()[name].operations.values()}


def _bound(contract: Contract, operation: Operation) -> Callable[[Message, tuple[Any, ...]], Any]:
    if operation.name.isupper():
        return lambda message, arguments: getattr(contract, operation.name)
    name = snake(operation.name)
    method = getattr(contract, name)
    choices = _choices(getattr(type(contract), name))

    def run(message: Message, arguments: tuple[Any, ...]) -> Any:
        chosen = [_chosen(of, value) for of, value in zip(choices, arguments, strict=True)]
        return method(message, *chosen)

    return run


def _chosen(of: type[IntEnum] | None, value: Any) -> Any:
    if of is None:
        return value
    try:
        return of(value)
    except ValueError:
        raise Reverted("") from None


@cache
def _choices(method: Callable[..., Any]) -> tuple[type[IntEnum] | None, ...]:
    """The enumeration of each argument that is one's choice."""
    hints = get_type_hints(method)
    hints.pop("return", None)
    return tuple(
        hint if isinstance(hint, type) and issubclass(hint, IntEnum) else None
        for name, hint in hints.items()
        if hint is not Message
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return tuple(_plain(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return value
