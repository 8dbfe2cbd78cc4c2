"""Roots of closed periods on a real chain: each once and in order, through kills, reorganisations and stuck sends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from evm_chain import PATIENCE_S, RICH, Anvil

from gateway.config.load import load_site
from gateway.node.cli import main
from historian.ledger.anchoring.catching_up import Anchoring, Stage, closed_roots
from historian.ledger.anchoring.contract import Account, AnchorContract
from historian.ledger.anchoring.errors import ChainAway, ChainError, ChainRefused
from historian.ledger.anchoring.following import AnchorSettings, begin, follow
from historian.ledger.anchoring.keys import ChainKey
from historian.ledger.anchoring.rpc import Node
from historian.ledger.book import Book
from historian.ledger.contracts.abi import keccak
from historian.ledger.entry import Record
from historian.ledger.pen import Pen
from historian.market_job.anchor import start_anchoring
from historian.signing import KeyFileError, SigningKey

Tieline = Callable[..., tuple[int, str]]
SITE = """
site: {{name: town}}
areas: {{grid: All}}
devices:
  d:
    area: grid
    protocol: modbus
    connection: {{host: 192.0.2.1, port: 502}}
    groups: {{fast: {{period_ms: 100}}}}
    points:
      load_kw: {{table: input, address: 0, type: int16, unit: kW}}
      in_wh: {{table: input, address: 2, type: uint32, unit: Wh}}
      out_wh: {{table: input, address: 4, type: uint32, unit: Wh}}
market:
  area: grid
  ledger: site.ledger
  price_high_per_kwh: 1
  order_max_kwh: 50
  price: {{base_rate_per_kwh: 0.2, load: d.load_kw, rated_kw: 100}}
  feeders: {{f1: {{export_max_kw: 60, import_max_kw: 60}}}}
  participants:
    a:
      kind: consumer
      key: a.pem
      meters:
        m: {{import: d.in_wh, export: d.out_wh, feeder: f1, export_max_kw: 5, import_max_kw: 5}}
  anchor: {{url: "{url}", contract: "{contract}", confirmations: 0}}
"""


class Ledger:
    """One that closes periods; with a key and a contract on a chain."""

    def __init__(self, folder: Path, node: Node, tieline: Tieline) -> None:
        self.file, self.key_file = folder / "site.ledger", folder / "chain.key"
        self._key = SigningKey.generate()
        Book.create(self.file, "site", "market", self._key).close()
        self.close_periods(1)
        self.key = ChainKey.generate()
        self.key.save(self.key_file)
        node.ask("anvil_setBalance", self.key.address, hex(RICH))
        status, said = tieline("anchor-create", self.file, "--chain", node.url, "--key", self.key_file)
        assert status == 0, said
        self.node = node
        self.contract = AnchorContract(node, said.strip())

    def close_periods(self, count: int) -> None:
        with Book.open(self.file) as book:
            for number in range(count):
                book.append(
                    [Pen(self._key, book.id).sign([Record("note", bytes([number])) for _ in range(5)])]
                )
                book.close_period(self._key)

    def settings(self, confirmations: int = 0, patience_s: float = 3600) -> AnchorSettings:
        return AnchorSettings(
            self.node.url, self.contract.address, self.key_file, confirmations, patience_s=patience_s
        )

    def sent(self) -> int:
        return int(self.node.ask("eth_getTransactionCount", self.key.address, "latest"), 16)


@pytest.fixture
def tieline(capsys: pytest.CaptureFixture[str]) -> Tieline:
    def run(*arguments: Any) -> tuple[int, str]:
        status = main(["ledger", *map(str, arguments)])
        told = capsys.readouterr()
        return int(status or 0), told.out + told.err

    return run


@pytest.fixture
def ledger(tmp_path: Path, anvil: Anvil, tieline: Tieline) -> Ledger:
    return Ledger(tmp_path, anvil.node, tieline)


@pytest.fixture
def own_anvil(tmp_path: Path) -> Iterator[Callable[..., Anvil]]:
    running: list[Anvil] = []

    def start(port: int = 0) -> Anvil:
        running.append(Anvil(tmp_path, port, "--state", str(tmp_path / "chain.json")))
        return running[-1]

    yield start
    for chain in running:
        chain.end()


def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.02)


def steps_until(anchoring: Anchoring, ledger: Ledger, stage: Stage) -> None:
    roots = closed_roots(ledger.file)
    until(lambda: anchoring.step(roots).stage is stage, lambda: anchoring.step(roots))


def anchored(ledger: Ledger) -> list[Any]:
    return [ledger.contract.anchored(number + 1) for number in range(ledger.contract.last_period())]


def test_each_closed_period_is_anchored_once_and_again_changes_nothing(
    ledger: Ledger, tieline: Tieline
) -> None:
    ledger.close_periods(3)
    where = ("--chain", ledger.node.url, "--key", ledger.key_file, "--contract", ledger.contract.address)
    for _ in range(2):
        status, said = tieline("anchor", ledger.file, *where, "--confirmations", 0)
        assert (status, said) == (0, "4 of 4 closed periods are anchored and confirmed\n")
        assert anchored(ledger) == closed_roots(ledger.file)
        assert ledger.sent() == 1 + 4  # the contract, and each period
    status, said = tieline("anchor", ledger.file, *where, "--confirmations", 9, "--within", 0)
    assert (status, said) == (1, "4 of 4 closed periods are anchored, 0 confirmed\n")
    ledger.node.ask("anvil_mine", hex(9))
    assert tieline("anchor", ledger.file, *where, "--confirmations", 9)[0] == 0
    assert ledger.sent() == 5


def test_a_proof_holds_against_the_chain_and_a_forged_one_does_not(
    ledger: Ledger, tieline: Tieline, tmp_path: Path
) -> None:
    steps_until(begin(ledger.file, ledger.settings()), ledger, Stage.SURE)
    ledger.close_periods(1)
    where = ("--chain", ledger.node.url, "--contract", ledger.contract.address)
    _, said = tieline("prove", ledger.file, 3)
    proof = json.loads(said)
    file = tmp_path / "proof.json"

    def checked(**changed: Any) -> tuple[int, str]:
        file.write_text(json.dumps(proof | changed))
        return tieline("check", file, *where)

    assert checked()[0] == 0
    off, on = "the entry is not in the tree of the anchored root", "the contract does not find the entry"
    path = proof["path"]
    for forged in (
        {"entry": proof["entry"][:-2] + "ff"},
        {"index": proof["index"] - 1},
        {"path": ["00" * 32, *path[1:]]},
        {"path": path[:-1]},
        {"path": [*path, path[0]]},
    ):
        status, said = checked(**forged)
        assert status == 1, forged
        assert off in said, forged
        assert on in said, forged
    assert off in checked(size=proof["size"] + 1)[1]
    assert "period 9 is not anchored" in checked(period=9)[1]
    _, said = tieline("prove", ledger.file, 8)  # of the period that is closed since, and not anchored
    proof = json.loads(said)
    status, said = checked()
    assert (status, "period 2 is not anchored" in said) == (1, True)
    assert tieline("check", file)[0] == 2


def test_a_site_goes_on_while_the_chain_is_away_and_catches_up_in_order(
    tmp_path: Path, tieline: Tieline, own_anvil: Callable[..., Anvil]
) -> None:
    chain = own_anvil()
    ledger = Ledger(tmp_path, chain.node, tieline)
    told: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(
        target=follow,
        args=(ledger.file, ledger.settings(), stop, told.append),
        kwargs={"look_s": 0.02, "rest_s": 0.02},
    )
    thread.start()
    try:
        until(lambda: "1 of 1 closed periods are anchored and confirmed" in told, lambda: told)
        chain.end()
        until(lambda: "does not answer" in told[-1], lambda: told)
        ledger.close_periods(4)
        chain = own_anvil(chain.port)
        until(lambda: "5 of 5 closed periods are anchored and confirmed" in told, lambda: told)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert anchored(ledger) == closed_roots(ledger.file)
    assert ledger.sent() == 1 + 5
    logs = chain.node.ask("eth_getLogs", {"fromBlock": "0x0", "address": ledger.contract.address})
    event = "0x" + keccak(b"PeriodAnchored(uint256,bytes32,uint256)").hex()
    assert [int(log["topics"][1], 16) for log in logs if log["topics"][0] == event] == [1, 2, 3, 4, 5]


def test_a_site_with_a_chain_anchors_what_its_market_closes(ledger: Ledger, tmp_path: Path) -> None:
    site_file = tmp_path / "site.yaml"
    site_file.write_text(SITE.format(url=ledger.node.url, contract=ledger.contract.address))
    market = load_site(site_file).market
    assert market is not None
    stop = threading.Event()
    thread = start_anchoring(market, tmp_path, stop)
    assert thread is not None
    try:
        until(lambda: anchored(ledger) == closed_roots(ledger.file), lambda: anchored(ledger))
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def test_blocks_that_are_taken_back_are_anchored_again(
    tmp_path: Path, tieline: Tieline, own_anvil: Callable[..., Anvil]
) -> None:
    ledger = Ledger(tmp_path, own_anvil().node, tieline)
    ledger.node.ask("anvil_mine", hex(3))
    anchoring = begin(ledger.file, ledger.settings(confirmations=3))
    roots = closed_roots(ledger.file)
    until(lambda: anchoring.step(roots).anchored == 1, lambda: anchoring.step(roots))
    assert anchoring.step(roots).stage is Stage.WAITING
    ledger.node.ask("anvil_rollback", 1)
    assert ledger.contract.last_period() == 0
    until(lambda: anchoring.step(roots).anchored == 1, lambda: anchoring.step(roots))
    assert anchoring.step(roots).stage is Stage.WAITING
    ledger.node.ask("anvil_mine", hex(3))
    assert anchoring.step(roots).stage is Stage.SURE
    assert anchored(ledger) == roots


def test_what_waits_for_a_block_is_not_sent_twice_and_after_a_while_for_more(
    tmp_path: Path, tieline: Tieline, own_anvil: Callable[..., Anvil]
) -> None:
    ledger = Ledger(tmp_path, own_anvil().node, tieline)
    ledger.node.ask("evm_setAutomine", False)
    now = 0.0
    node, roots = ledger.node, closed_roots(ledger.file)

    def waiting() -> list[tuple[int, int]]:
        pool = node.ask("txpool_content")["pending"]
        ours = next((of for address, of in pool.items() if address.lower() == ledger.key.address), {})
        return [(int(tx["nonce"], 16), int(tx["maxFeePerGas"], 16)) for tx in ours.values()]

    def restarted() -> Anchoring:
        return Anchoring(ledger.contract, Account(node, ledger.key), lambda: now, 0, patience_s=60)

    assert restarted().step(roots).stage is Stage.SENT
    until(lambda: len(waiting()) == 1, waiting)
    ((nonce, fee),) = waiting()
    anchoring = restarted()  # it remembers nothing of the one before
    assert anchoring.step(roots).stage is Stage.WAITING
    now = 59.0
    assert anchoring.step(roots).stage is Stage.WAITING
    assert waiting() == [(nonce, fee)]
    now = 61.0
    assert anchoring.step(roots).stage is Stage.SENT
    until(lambda: waiting() != [(nonce, fee)], waiting)
    ((again, more),) = waiting()
    assert again == nonce
    assert more > fee
    node.ask("evm_mine")
    until(lambda: anchoring.step(roots).stage is Stage.SURE, lambda: anchoring.step(roots))
    assert ledger.sent() == 2
    assert anchored(ledger) == roots


def test_nobody_else_writes_and_no_other_ledger_is_written(
    ledger: Ledger, tmp_path: Path, tieline: Tieline
) -> None:
    other = ChainKey.generate()
    ledger.node.ask("anvil_setBalance", other.address, hex(RICH))
    (root,) = closed_roots(ledger.file)
    with pytest.raises(ChainRefused) as refused:
        Account(ledger.node, other).send(ledger.contract.address, ledger.contract.anchor_call(root), 0)
    assert refused.value.data[:4] == keccak(b"NotOperator(address)")[:4]
    other.save(tmp_path / "other.key")
    where = ("--chain", ledger.node.url, "--contract", ledger.contract.address, "--within", 0)
    status, said = tieline("anchor", ledger.file, *where, "--key", tmp_path / "other.key")
    assert (status, "this key is" in said) == (2, True)
    Book.create(tmp_path / "other.ledger", "other", "market", SigningKey.generate()).close()
    status, said = tieline("anchor", tmp_path / "other.ledger", *where, "--key", ledger.key_file)
    assert (status, "is for the ledger" in said) == (2, True)
    steps_until(begin(ledger.file, ledger.settings()), ledger, Stage.SURE)
    for late in (root, type(root)(3, root.root, root.size)):  # again, and one that is not the next
        with pytest.raises(ChainRefused):
            Account(ledger.node, ledger.key).send(
                ledger.contract.address, ledger.contract.anchor_call(late), ledger.sent()
            )


def test_a_ledger_that_differs_from_what_is_anchored_is_told(ledger: Ledger) -> None:
    anchoring = begin(ledger.file, ledger.settings())
    steps_until(anchoring, ledger, Stage.SURE)
    (root,) = closed_roots(ledger.file)
    with pytest.raises(ChainError, match=r"period 1 is anchored with the root"):
        anchoring.step([type(root)(1, bytes(32), root.size)])
    with pytest.raises(ChainError, match=r"period 1 is anchored, and the ledger has closed 0"):
        anchoring.step([])


def test_a_node_that_is_none_and_a_key_that_is_none_are_told(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ChainAway, match="does not answer"):
        Node("http://127.0.0.1:1").ask("eth_chainId")
    with pytest.raises(ChainError, match="no address of a node"):
        Node("ftp://chain.example")
    with pytest.raises(ChainError, match="no contract that anchors"):
        AnchorContract(ledger.node, "0x" + "12" * 20).check(bytes(32))
    with pytest.raises(ChainError, match="more than the 1 it may"):
        Account(ledger.node, ledger.key, most_fee=1).send(None, b"", ledger.sent())
    ledger.key_file.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may reach it"):
        ChainKey.load(ledger.key_file)
    ledger.key_file.chmod(0o600)
    assert ChainKey.load(ledger.key_file).address == ledger.key.address
    for content in ("", "00" * 32, "ff" * 32, "no key"):
        (tmp_path / "bad.key").write_text(content)
        (tmp_path / "bad.key").chmod(0o600)
        with pytest.raises(KeyFileError, match="holds no key of a chain"):
            ChainKey.load(tmp_path / "bad.key")
