"""docs/devices.md lists every template that ships, as the files say; run this file to write its table anew."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEVICES = ROOT / "config" / "devices"
PAGE = ROOT / "docs" / "devices.md"
BEGIN, END = "<!-- the table: made by tests/config_devices/test_table.py -->\n", "<!-- end of the table -->\n"
STATUSES = ("published map", "checked on a device")
KINDS = (
    "PV inverter",
    "battery inverter",
    "meter",
    "genset controller",
    "EV charger",
    "protection relay",
    "weather station",
)
LEAST = {  # of each kind: what the common sites have
    "PV inverter": 5,
    "battery inverter": 3,
    "meter": 5,
    "genset controller": 2,
    "EV charger": 3,
    "protection relay": 2,
    "weather station": 2,
}


@dataclass(frozen=True, slots=True)
class Shipped:
    """A template and what the head of its file says."""

    file: str
    title: str
    kind: str
    source: str
    status: str
    body: dict

    @property
    def row(self) -> str:
        writable = sum("write" in point for point in self.body["points"].values())
        points = f"{len(self.body['points'])}" + (f", {writable} writable" if writable else "")
        name = self.file.removesuffix(".yaml")
        return f"| `{name}` | {self.title} | {points} | {self.source} | {self.status} |"


@cache
def shipped() -> list[Shipped]:
    """All files with a status: the others are the demo's, whose devices nobody makes."""
    found = []
    for path in sorted(DEVICES.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        head = text.partition("templates:")[0]
        if "# Status:" not in head:
            continue
        lines = re.sub(r"\n#   ", " ", head).splitlines()
        said = dict(re.findall(r"^# (Kind|Source|Status): (.*)$", "\n".join(lines), re.MULTILINE))
        [(name, body)] = yaml.load(text, yaml.CSafeLoader)["templates"].items()
        assert name == path.stem, f"{path.name} holds the template {name}"
        found.append(
            Shipped(
                path.name, lines[0].removeprefix("# "), said["Kind"], said["Source"], said["Status"], body
            )
        )
    return found


def table() -> str:
    """By kind."""
    parts = []
    for kind in KINDS:
        rows = [one.row for one in shipped() if one.kind == kind]
        head = "| template | device | points | source | status |\n| --- | --- | --- | --- | --- |"
        parts.append("\n".join([f"### {kind[0].upper()}{kind[1:]}s", "", head, *rows, ""]))
    return "\n" + "\n".join(parts) + "\n"


def test_the_page_has_the_table_of_what_ships() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table(), (
        "run python tests/config_devices/test_table.py"
    )


def test_there_are_enough_of_each_kind() -> None:
    kinds = [one.kind for one in shipped()]
    assert len(kinds) >= 25
    assert set(kinds) == set(KINDS)
    for kind, least in LEAST.items():
        assert kinds.count(kind) >= least


@pytest.mark.parametrize("one", shipped(), ids=lambda one: one.file.removesuffix(".yaml"))
def test_a_template_says_where_it_comes_from_and_each_point_what_it_is(one: Shipped) -> None:
    assert one.status in STATUSES
    assert len(one.source) > 30, "a document and its revision"
    assert one.body["description"]
    for name, point in one.body["points"].items():
        assert point.get("description"), name
        assert "write" not in point or point["table"] in ("coil", "holding"), name


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
