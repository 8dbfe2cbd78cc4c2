"""A chain of the tests: anvil on a free port of this machine, its contracts, and what a call did."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from historian.ledger.anchoring.rpc import Node
from historian.ledger.contracts.abi import Compiled, compiled, decode, encode, keccak
from historian.ledger.contracts.world import NAMES

HERE = Path(__file__).parent
PATIENCE_S = 60
GAS = 12_000_000
RICH = 10**24
FIRST_S = 1_795_262_400  # 2026-11-21T12:00:00Z


class Anvil:
    """The process. ``port`` 0 takes a free one; given again after a kill, the address stays."""

    def __init__(self, folder: Path, port: int = 0, *options: str) -> None:
        (binary,) = HERE.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")
        self._told = folder / "anvil.log"
        with self._told.open("wb") as told:
            arguments = [binary, "--port", str(port), "--gas-price", "0", "--base-fee", "0", *options]
            self._process = subprocess.Popen(arguments, stdout=told, stderr=subprocess.STDOUT)
        self.port = self._listening()
        self.url = f"http://127.0.0.1:{self.port}"
        self.node = Node(self.url, PATIENCE_S)

    def _listening(self) -> int:
        end = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"Listening on 127\.0\.0\.1:(\d+)", self._told.read_text())):
            assert self._process.poll() is None, self._told.read_text()
            assert time.monotonic() < end, self._told.read_text()
            time.sleep(0.05)
        return int(found[1])

    def end(self) -> None:
        """It is gone; with ``--state`` it has written what it knew."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Done:
    """What a transaction did: bytes given back (or refused with), logs, gas."""

    is_done: bool
    content: bytes
    logs: list[dict[str, Any]]
    gas: int
    to: str


class Chain:
    """Contracts on a node that signs for everybody (only a test's does)."""

    def __init__(self, node: Node, *more: Path) -> None:
        self.node = node
        self.contracts: dict[str, Compiled] = dict(compiled())
        for file in more:
            self.contracts |= compiled(file)
        self.addresses: dict[str, str] = {}

    def fund(self, address: bytes) -> None:
        """Enough money for all that a test does."""
        self.node.ask("anvil_setBalance", hexed(address), hex(RICH))

    def deploy(self, name: str, sender: bytes, types: list[str], values: list[Any]) -> int:
        """A contract with the arguments of its constructor; the gas."""
        done = self.send(sender, None, self.contracts[name].bytecode + encode(types, values))
        assert done.is_done, (name, done)
        self.addresses[name] = done.to
        return done.gas

    def deploy_all(self, operator: bytes) -> dict[str, list[int]]:
        """One of each contract, as a ledger has them; the gas."""
        gas = {
            f"{name} (deployed)": [self.deploy(name, operator, ["address"], [operator])]
            for name in NAMES
            if name != "Billing"
        }
        of = [operator, self.addresses["EnergyProduction"], self.addresses["EnergyConsumption"]]
        gas["Billing (deployed)"] = [self.deploy("Billing", operator, ["address"] * 3, of)]
        return gas

    def send(
        self, sender: bytes, to: str | None, content: bytes, value: int = 0, at_s: int | None = None
    ) -> Done:
        """A transaction in a block of its own, done or refused."""
        if at_s is not None:
            self.node.ask("evm_setNextBlockTimestamp", at_s)
        transaction = {"from": hexed(sender), "data": hexed(content), "value": hex(value), "gas": hex(GAS)}
        sent = self.node.ask("eth_sendTransaction", transaction | ({"to": to} if to else {}))
        receipt = self._receipt(sent)
        trace = self.node.ask("debug_traceTransaction", sent, {"tracer": "callTracer"})
        return Done(
            receipt["status"] == "0x1",
            bytes.fromhex(trace.get("output", "0x")[2:]),
            receipt["logs"],
            int(receipt["gasUsed"], 16),
            to or receipt["contractAddress"],
        )

    def _receipt(self, sent: str) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while (receipt := self.node.ask("eth_getTransactionReceipt", sent)) is None:
            assert time.monotonic() < end, sent
            time.sleep(0.002)
        return dict(receipt)

    def call(
        self,
        sender: bytes,
        name: str,
        operation: str,
        *arguments: Any,
        value: int = 0,
        at_s: int | None = None,
    ) -> Done:
        """An operation of a contract."""
        content = self.contracts[name].operations[operation].call(*arguments)
        return self.send(sender, self.addresses[name], content, value, at_s)

    def refusal(self, name: str, content: bytes) -> list[Any]:
        """The name and arguments of an error; nothing for one without a word."""
        if not content:
            return []
        errors = {"Panic": ("uint256",), **self.contracts[name].errors}
        for contract in self.contracts.values():
            errors |= contract.errors
        for error, types in errors.items():
            if keccak(f"{error}({','.join(types)})".encode())[:4] == content[:4]:
                return [error, *decode(types, content[4:])]
        raise AssertionError(content.hex())

    def events(self, done: Done) -> list[list[Any]]:
        """The name and arguments of each event, as the contract that told it declares them."""
        names = {address.lower(): name for name, address in self.addresses.items()}
        return [self._event(self.contracts[names[log["address"].lower()]], log) for log in done.logs]

    def _event(self, contract: Compiled, log: dict[str, Any]) -> list[Any]:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        for event, arguments in contract.events.items():
            types = [of for of, _ in arguments]
            if keccak(f"{event}({','.join(types)})".encode()) != topics[0]:
                continue
            rest = [of for of, is_topic in arguments if not is_topic]
            plain = iter(decode(rest, bytes.fromhex(log["data"][2:])))
            topic = iter(topics[1:])
            return [
                event,
                *(decode([of], next(topic))[0] if is_topic else next(plain) for of, is_topic in arguments),
            ]
        raise AssertionError(log)


def hexed(content: bytes) -> str:
    """As JSON-RPC has bytes."""
    return "0x" + content.hex()
