"""What each operation of the contracts costs on a chain: runs the vectors and writes the table of docs/contracts.md.

python tests/interop/evm/evm_gas.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from evm_chain import FIRST_S, Anvil, Chain
from evm_vectors import Vectors, plain, read

from historian.ledger.anchoring.rpc import Node
from historian.ledger.contracts.abi import address_of, decode

DOCS = Path(__file__).parents[3] / "docs" / "contracts.md"
BEGIN, END = "<!-- gas: begin -->\n", "<!-- gas: end -->\n"


def replayed(node: Node, vectors: Vectors) -> dict[str, list[int]]:
    """The vectors on a chain, each as they say; the gas of what was done, by operation."""
    chain = Chain(node)
    for actor in vectors.actors:
        chain.fund(address_of(actor))
    gas = chain.deploy_all(address_of(vectors.operator))
    for step in vectors.steps:
        sender = address_of(step.by)
        done = chain.call(
            sender, step.contract, step.operation, *step.arguments, value=step.value, at_s=step.at_s
        )
        assert done.is_done == (step.refused is None), (step, chain.refusal(step.contract, done.content))
        if step.refused is not None:
            assert plain(chain.refusal(step.contract, done.content)) == step.refused, step
            continue
        types = chain.contracts[step.contract].operations[step.operation].outputs
        assert plain(decode(types, done.content)) == step.gives, step
        assert plain(chain.events(done)) == step.tells, step
        gas.setdefault(f"{step.contract}.{step.operation}", []).append(done.gas)
    return gas


def table(gas: dict[str, list[int]]) -> str:
    """Least and most of each."""
    rows = [f"| `{name}` | {min(of):,} | {max(of):,} |\n" for name, of in sorted(gas.items())]
    return "".join(["| operation | least gas | most gas |\n| --- | ---: | ---: |\n", *rows])


def table_in_docs() -> str:
    """As it is there now."""
    text = DOCS.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder:
        anvil = Anvil(Path(folder), 0, "--auto-impersonate", "--timestamp", str(FIRST_S - 1000))
        try:
            measured = table(replayed(anvil.node, read()))
        finally:
            anvil.end()
    before, rest = DOCS.read_text().split(BEGIN)
    _, after = rest.split(END)
    DOCS.write_text(before + BEGIN + measured + END + after)


if __name__ == "__main__":
    main()
