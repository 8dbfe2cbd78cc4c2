"""The contracts: one file of calls gives the same in Python over a ledger and in Solidity on a chain."""

from __future__ import annotations

import json
import pickle
from hashlib import sha256
from pathlib import Path

from evm_chain import Anvil
from evm_gas import replayed, table, table_in_docs
from evm_site import DEPOSIT, Site
from evm_vectors import Step, plain, read
from hypothesis import given
from hypothesis import strategies as st

from historian.ledger.contracts.abi import COMPILED, compiled, decode
from historian.ledger.contracts.contract import Message
from historian.ledger.contracts.trading import EnergyTrading
from historian.ledger.contracts.words import REASONS, Reverted
from historian.ledger.contracts.world import NAMES, World, operation, snake
from historian.ledger.market.price import MOST_RATE, ONE, energy_price
from historian.ledger.verify import verify

VECTORS = read()


def do(site: Site, step: Step) -> None:
    outcome = site.call(step)
    if step.refused is not None:
        assert isinstance(outcome.refused, Reverted), (step, outcome)
        said = [outcome.refused.error, *outcome.refused.arguments] if outcome.refused.error else []
        assert plain(said) == step.refused, step
        return
    assert outcome.refused is None, (step, outcome.refused)
    assert outcome.receipt is not None
    returned = site.calls.returned[outcome.receipt.sequence]
    types = operation(step.contract, step.operation).outputs
    assert plain(decode(types, returned.content)) == step.gives, step
    assert plain([[event.name, *event.arguments] for event in returned.events]) == step.tells, step


def test_a_ledger_does_what_the_vectors_say_and_its_money_adds_up(tmp_path: Path) -> None:
    site = Site(tmp_path / "site.ledger", VECTORS)
    before = b""
    for step in VECTORS.steps:
        do(site, step)
        after = pickle.dumps(site.calls.world.contracts)
        assert step.refused is None or not before or after == before, (
            f"a refused call changed something: {step}"
        )
        before = after
    held = {name: site.balance(f"contracts.{name}") for name in ("Billing", "EnergyTrading")}
    assert held == {name: site.calls.balances[name] for name in held}
    members = [name for name in VECTORS.actors if name != VECTORS.operator]
    assert sum(site.balance(f"{name}.deposit") for name in members) + sum(held.values()) == DEPOSIT * len(
        members
    )
    assert not site.desk.community.owed
    assert not site.desk.community.strays
    site.book.close()
    site.open()  # the state is what the entries make, and nothing else
    assert pickle.dumps(site.calls.world.contracts) == before
    site.book.close()
    assert verify(site.file, processes=1).is_sound


def test_a_chain_does_what_the_vectors_say_and_the_docs_have_its_gas(anvil: Anvil) -> None:
    assert table(replayed(anvil.node, VECTORS)) == table_in_docs(), "run tests/interop/evm/evm_gas.py"


def test_every_operation_of_a_twin_is_one_of_the_module_and_in_the_vectors() -> None:
    world = World(bytes(20))
    called = {f"{step.contract}.{step.operation}" for step in VECTORS.steps}
    handover = {"operator", "heir", "offerOperator", "acceptOperator"}
    for name in NAMES:
        assert compiled()[name].errors.keys() <= {*REASONS, "Reentered", "PaymentFailed"}
        for said in compiled()[name].operations:
            if said.isupper():
                assert isinstance(getattr(world.contracts[name], said), int)
            else:
                assert callable(getattr(world.contracts[name], snake(said)))
                assert f"{name}.{said}" in called or said in handover, (name, said)


def test_what_is_shipped_was_compiled_from_the_sources_beside_it() -> None:
    for file in (COMPILED, Path(__file__).parent / "compiled.json"):
        sources = json.loads(file.read_text())["sources"]
        assert sources == {
            source.name: sha256(source.read_bytes()).hexdigest() for source in file.parent.glob("*.sol")
        }, "run make contracts"


@given(st.integers(0, MOST_RATE), *[st.integers(0, 100 * ONE)] * 3)
def test_the_contracts_price_is_the_markets(rate: int, demand: int, stress: int, time_of_day: int) -> None:
    message = Message(bytes(20), 0)
    price = EnergyTrading(bytes(20)).energy_price(message, rate, demand, stress, time_of_day)
    assert price == energy_price(rate, demand, stress, time_of_day)
