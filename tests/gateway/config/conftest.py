"""A way to write site files and load them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.fault import Fault, SiteFaults
from gateway.config.load import load_site
from gateway.config.site import Site

MINIMAL = """\
site: {name: plant}
areas: {grid: Tie}
devices:
  meter:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: int16, unit: kW}
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Site]:
    """Load a site from the text of its file, and of others by name."""

    def load_text(text: str | bytes, **others: str) -> Site:
        for name, other in others.items():
            (tmp_path / f"{name}.yaml").write_text(other, encoding="utf-8")
        path = tmp_path / "site.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_site(path)

    return load_text


@pytest.fixture
def faults_of(load: Callable[..., Site]) -> Callable[..., list[Fault]]:
    """The faults of a site that has some."""

    def faults(text: str | bytes, **others: str) -> list[Fault]:
        with pytest.raises(SiteFaults) as raised:
            load(text, **others)
        return list(raised.value.faults)

    return faults


@pytest.fixture
def minimal() -> str:
    """The text of a small good site."""
    return MINIMAL
