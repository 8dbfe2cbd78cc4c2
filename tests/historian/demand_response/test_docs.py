"""The example of docs/demand-response.md gives what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "demand-response.md").read_text(encoding="utf-8")


def test_the_example_gives_what_its_last_line_says() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    exec(example[1], names)  # noqa: S102 - the page's own words
    table = names["found"].frame
    assert table["verdict"].to_dict() == {"mill": "delivered", "shop": "short"}
    assert table.loc["mill", "reduction_kwh"] == pytest.approx(60.0)
    assert table.loc["shop", "reduction_kw"] == pytest.approx(0.0)
