"""What integrators are told is what the server does."""

from __future__ import annotations

from pathlib import Path

import pytest
from asyncua.ua import status_codes

from gateway.config import pki
from gateway.config.site import OpcUaSettings, Trust
from gateway.servers.opcua import limits, sign_in, writes
from gateway.servers.opcua.server import _POLICIES, security_of
from gateway.tags.command import Refusal

PAGE = (Path(__file__).parents[4] / "docs" / "opcua.md").read_text()


@pytest.mark.parametrize("refusal", Refusal)
def test_every_status_of_a_refused_write_is_explained(refusal: Refusal) -> None:
    name, _ = status_codes.get_name_and_doc(writes._REFUSALS[refusal])
    assert name in PAGE


def test_every_setting_is_explained() -> None:
    assert all(f"trust: {choice}" in PAGE for choice in Trust)
    assert all(f"{policy}:SignAndEncrypt`" in PAGE for policy in _POLICIES)
    assert all(f"    {field}: " in PAGE for field in OpcUaSettings.__dataclass_fields__)
    assert security_of("None")[2] == 0


def test_the_limits_are_the_ones_in_force() -> None:
    assert f"| {limits.CONNECTIONS}, {limits.CONNECTIONS_PER_ADDRESS} |" in PAGE
    assert f"| {limits.SESSIONS}; {limits.SUBSCRIPTIONS}, {limits.SUBSCRIPTIONS_PER_SESSION} |" in PAGE
    assert f"| {limits.QUEUED_VALUES:,} values |" in PAGE
    nodes = (
        limits.NODES_PER_READ,
        limits.NODES_PER_BROWSE,
        limits.NODES_PER_WRITE,
        limits.NODES_PER_HISTORY_READ,
    )
    assert ", ".join(f"{number:,}" for number in nodes) in PAGE
    assert f"| {limits.PENDING_SLOW_REQUESTS} |" in PAGE
    assert f"{limits.MESSAGE_BYTES >> 20} MiB; {limits.SIGNED_OUT_MESSAGE_BYTES >> 10} KiB" in PAGE
    assert f"up to {limits.HISTORY_VALUES:,} values" in PAGE
    assert f"last {pki.REJECTED_CERTIFICATES}\nstrangers" in PAGE
    assert f"After {sign_in.FAILURES_OF_A_USER} failures" in PAGE
    assert f"{sign_in.FAILURES_OF_AN_ADDRESS} of an address" in PAGE
