"""Files of keys, and ``tieline ledger`` from a new key to a checked proof."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from historian.ledger import cli
from historian.ledger.book import Book
from historian.ledger.entry import Account, transfer
from historian.ledger.pen import Pen
from historian.signing import KeyFileError, SigningKey


def test_a_key_comes_back_from_its_file_which_is_its_owners_only(tmp_path: Path) -> None:
    key = SigningKey.generate()
    key.save(tmp_path / "k.pem")
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(tmp_path / "k.pem").public == key.public
    with pytest.raises(KeyFileError, match=r"exists"):
        SigningKey.generate().save(tmp_path / "k.pem")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_reach_is_refused(tmp_path: Path, mode: int) -> None:
    SigningKey.generate().save(tmp_path / "k.pem")
    (tmp_path / "k.pem").chmod(mode)
    with pytest.raises(KeyFileError, match=r"chmod 600"):
        SigningKey.load(tmp_path / "k.pem")


def test_a_file_that_holds_no_ed25519_key_is_refused(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (b"", b"garbage", other):
        (tmp_path / "k.pem").write_bytes(content)
        (tmp_path / "k.pem").chmod(0o600)
        with pytest.raises(KeyFileError):
            SigningKey.load(tmp_path / "k.pem")
    with pytest.raises(KeyFileError, match=r"No such file"):
        SigningKey.load(tmp_path / "none.pem")


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["ledger", *map(str, words)])
    status = args.run(args)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_from_a_key_to_a_checked_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, file, proof_file = tmp_path / "k.pem", tmp_path / "l.db", tmp_path / "proof.json"
    status, public, _ = run(capsys, "key", key)
    assert (status, public.strip()) == (0, SigningKey.load(key).public.hex())
    status, ledger, _ = run(capsys, "create", file, "--name", "demo", "--operator", "market", "--key", key)
    assert status == 0
    with Book.open(file) as book:
        assert ledger.strip() == book.id.hex()
        pen = Pen(SigningKey.load(key), book.id)
        accounts = [Account("bank", "EUR", "market", True), Account("a", "EUR", "market")]
        book.append([pen.sign([*accounts, transfer("pay in", "bank", "a", "EUR", 250_000)])])
        old_root, root = None, book.state.close_now().root
        close = book.close_period(SigningKey.load(key))

    status, text, _ = run(capsys, "verify", file, "--ledger", ledger.strip(), "--processes", "1")
    assert status == 0
    assert f"receipt {close.sequence}:{close.hash.hex()}" in text
    status, text, _ = run(capsys, "verify", file, "--ledger", "00" * 32)
    assert (status, "NOT sound" in text) == (1, True)
    status, text, _ = run(capsys, "verify", file, "--receipt", f"{close.sequence + 1}:{'00' * 32}")
    assert (status, "the ledger was cut" in text) == (1, True)

    status, text, _ = run(capsys, "prove", file, "3")
    proof_file.write_text(text)
    status, text, _ = run(capsys, "check", proof_file, "--root", root.hex())
    assert (status, '"reference": "pay in"' in text) == (0, True)
    status, text, _ = run(capsys, "check", proof_file, "--root", "00" * 32)
    assert (status, "not in the tree" in text) == (1, True)

    _, text, _ = run(capsys, "prove", file, "--period", "1", "--from", "2")
    proof_file.write_text(text)
    old_root = json.loads(text)["old_root"]
    assert run(capsys, "check", proof_file, "--root", root.hex(), "--old-root", old_root)[0] == 0
    assert run(capsys, "check", proof_file, "--root", root.hex(), "--old-root", "00" * 32)[0] == 1

    status, text, _ = run(capsys, "show", file)
    assert [line.split() for line in text.splitlines()] == [
        ["a", "250000", "EUR", "market"],
        ["bank", "-250000", "EUR", "market"],
    ]
    assert json.loads(run(capsys, "show", file, "3")[1])["postings"][0]["amount"] == 250_000
    assert run(capsys, "export", file, "--output", tmp_path / "all.jsonl")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["genesis", "account", "account", "transfer", "period"]
    assert lines[-1]["root"] == root.hex()


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "none.db"],
        ["prove", "l.db", "99"],
        ["prove", "l.db"],
        ["prove", "l.db", "0", "--size", "7"],
        ["prove", "l.db", "--period", "2", "--from", "1"],
        ["prove", "l.db", "--period", "1", "--from", "2"],
        ["show", "l.db", "99"],
        ["export", "l.db", "--output", "l.db"],
        ["check", "k.pem", "--root", "00" * 32],
        ["create", "l.db", "--name", "x", "--operator", "y", "--key", "k.pem"],
        ["create", "m.db", "--name", "no name", "--operator", "y", "--key", "k.pem"],
        ["key", "k.pem"],
    ],
)
def test_a_wrong_question_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    key = SigningKey.generate()
    key.save(Path("k.pem"))
    Book.create(Path("l.db"), "demo", "market", key).close()
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith("tieline ledger: ")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"proof": "inclusion", "entry": 7}', '{"proof": []}', "1", "[" * 2000]
)
def test_garbage_is_no_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tmp_path / "p.json").write_text(content)
    status, _, err = run(capsys, "check", tmp_path / "p.json", "--root", "00" * 32)
    assert status == 2
    assert "no" in err
