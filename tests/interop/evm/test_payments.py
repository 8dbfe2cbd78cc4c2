"""Money that contracts on a chain pay out: to nobody twice, also when the receiver calls back or refuses."""

from __future__ import annotations

from pathlib import Path

from evm_chain import Anvil, Chain, hexed

from historian.ledger.contracts.abi import address_of, keccak


def test_who_calls_back_while_being_paid_gets_nothing_more(anvil: Anvil) -> None:
    chain = Chain(anvil.node, Path(__file__).parent / "compiled.json")
    operator = address_of("market")
    chain.fund(operator)
    chain.deploy("EnergyTrading", operator, ["address"], [operator])
    chain.deploy("Taker", operator, ["address"], [chain.addresses["EnergyTrading"]])
    taker = bytes.fromhex(chain.addresses["Taker"][2:])
    anvil.node.ask("anvil_setBalance", hexed(taker), hex(1000))
    assert chain.call(operator, "Taker", "put").is_done

    assert chain.call(operator, "Taker", "take", 400).is_done
    assert int(anvil.node.ask("eth_getBalance", hexed(taker), "latest"), 16) == 400
    assert int.from_bytes(chain.call(operator, "Taker", "tried").content, "big") == 1
    assert keccak(b"Reentered()")[:4] in chain.call(operator, "Taker", "refusedWith").content
    deposit = chain.call(operator, "EnergyTrading", "depositOf", taker).content
    assert int.from_bytes(deposit, "big") == 600

    assert chain.call(operator, "Taker", "close", True).is_done
    refused = chain.call(operator, "Taker", "take", 100)
    assert chain.refusal("EnergyTrading", refused.content) == ["PaymentFailed", taker]
    assert int.from_bytes(chain.call(operator, "EnergyTrading", "depositOf", taker).content, "big") == 600
