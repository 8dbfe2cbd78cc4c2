"""The example of docs/dispatch.md runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[3] / "docs" / "dispatch.md").read_text(encoding="utf-8")


def test_the_example_gives_a_plan_cheaper_than_the_rule() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    exec(example[1], names)  # noqa: S102 - the page's own words
    plan = names["plan"]
    assert plan.is_usable
    assert plan.costs.total < names["naive"](names["site"], names["start"], names["step"], 12).costs.total
