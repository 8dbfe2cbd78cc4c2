"""NodeIds and paths of fields, as they are written and as they are."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.opcua_device import FIELD, NODE, NodeAddress, NodeKind, field_path, node_address

GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("i=2258", NodeAddress(0, NodeKind.NUMERIC, 2258)),
        ("ns=2;s=Genset.Power", NodeAddress(2, NodeKind.STRING, "Genset.Power")),
        ("ns=2;s=a;b=c;s=d", NodeAddress(2, NodeKind.STRING, "a;b=c;s=d")),
        ("s=ns=2;i=1", NodeAddress(0, NodeKind.STRING, "ns=2;i=1")),
        ("nsu=urn:maker:genset;s=Power", NodeAddress("urn:maker:genset", NodeKind.STRING, "Power")),
        ("nsu=http://maker.example/a;i=7", NodeAddress("http://maker.example/a", NodeKind.NUMERIC, 7)),
        (f"ns=3;g={GUID}", NodeAddress(3, NodeKind.GUID, uuid.UUID(GUID))),
        ("ns=3;b=AQI=", NodeAddress(3, NodeKind.OPAQUE, b"\x01\x02")),
    ],
)
def test_a_node_is_read_as_the_standard_writes_it(text: str, address: NodeAddress) -> None:
    assert re.fullmatch(NODE, text) is not None
    assert node_address(text) == address
    assert str(address) == text


@given(st.text())
def test_any_text_is_a_node_or_refused(text: str) -> None:
    if re.fullmatch(NODE, text) is not None:
        try:
            node_address(text)
        except ValueError as error:
            assert "beyond" in str(error) or "base64" in str(error)  # noqa: PT017 - any other is a bug


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("pressure", ("pressure",)),
        ("[2]", (2,)),
        ("oil.tanks[1].level", ("oil", "tanks", 1, "level")),
        ("[0][3]", (0, 3)),
    ],
)
def test_a_field_is_a_path(text: str, path: tuple[str | int, ...]) -> None:
    assert re.fullmatch(FIELD, text) is not None
    assert field_path(text) == path
