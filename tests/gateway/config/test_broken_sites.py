"""Every file in broken/ says at its end which faults it must give, all of them, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.fault import Fault, SiteFaults
from gateway.config.load import load_site

BROKEN = Path(__file__).parent / "broken"
SITES = sorted([*BROKEN.glob("*.yaml"), *BROKEN.glob("*/site.yaml")])


def as_expected(fault: Fault, site: Path) -> str:
    file = "" if fault.file == site else f"{fault.file}:"
    context = f" ({fault.context})" if fault.context else ""
    return f"{file}{fault.line}:{fault.column} {fault.found}{context}: {fault.mend}"


def test_there_are_enough_of_them() -> None:
    assert len(SITES) >= 120


@pytest.mark.parametrize("path", SITES, ids=lambda path: str(path.relative_to(BROKEN).with_suffix("")))
def test_broken_site_gives_exactly_these_faults(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = re.findall(r"(?m)^# expect: (.*)$", path.read_text(encoding="utf-8"))
    monkeypatch.chdir(path.parent)
    site = Path(path.name)
    with pytest.raises(SiteFaults) as raised:
        load_site(site)
    assert [as_expected(fault, site) for fault in raised.value.faults] == expected
    assert expected
