"""``tieline ledger call``: contracts by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evm_vectors import read

from gateway.node.cli import main
from historian.ledger.book import Book
from historian.ledger.contracts.abi import address_of
from historian.ledger.entry import KeyAction, KeyChange, Role
from historian.ledger.pen import Pen
from historian.signing import SigningKey


def test_a_source_is_registered_approved_and_asked_for_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "site.ledger"
    keys = {name: SigningKey.generate() for name in ("market", "pv1")}
    for name, key in keys.items():
        key.save(tmp_path / name)
    with Book.create(file, "site", "market", keys["market"]) as book:
        enrol = KeyChange(KeyAction.ENROL, "pv1", Role.MEMBER, keys["pv1"].public)
        book.append([Pen(keys["market"], book.id).sign([enrol])])

    def call(*arguments: Any, by: str | None = None) -> tuple[int, str]:
        key = ["--key", str(tmp_path / by)] if by else []
        status = main(["ledger", "call", str(file), *map(str, arguments), *key])
        told = capsys.readouterr()
        return status, told.out if status == 0 else told.out + told.err

    status, said = call("EnergyProduction.registerSource", "solar", 5000, by="pv1")
    assert status == 0, said
    (source,) = json.loads(said)["gives"]
    (told,) = json.loads(said)["tells"]
    assert told["arguments"][1:] == ["0x" + address_of("pv1").hex(), "solar", 5000]
    (first,) = (step for step in read().steps if step.number == 0)
    assert (
        source == "0x" + first.gives[0].hex()
    )  # the same source has the same id in every ledger, and on a chain

    status, said = call("EnergyProduction.updateSourceStatus", source, 1, by="pv1")
    assert (status, "void: not_allowed: WrongStatus" in said) == (1, True)
    assert call("EnergyProduction.updateSourceStatus", source, 1, by="market")[0] == 0
    ((owned,),) = [json.loads(call("EnergyProduction.sourceOf", source)[1])["gives"]]
    assert owned == [source, "0x" + address_of("pv1").hex(), "solar", 5000, 0, 1]
    assert json.loads(call("RewardSystem.balanceOf", "pv1")[1])["gives"] == [0]

    for arguments, why in (
        (("EnergyProduction.registerSource", "solar", 5000), "whose --key?"),
        (("EnergyProduction.sourceOf",), "has the arguments (bytes32)"),
        (("EnergyProduction.sourceOf", "pv1"), "'pv1' is no bytes32"),
        (("EnergyProduction.getSource", source), "no operation getSource of EnergyProduction"),
        (("Energy.getSource", source), "no contract Energy"),
        (("GridBalance.manageStorage", source, 1, "yes"), "'yes' is no bool"),
    ):
        status, said = call(*arguments)
        assert (status, why in said) == (2, True), (arguments, said)
