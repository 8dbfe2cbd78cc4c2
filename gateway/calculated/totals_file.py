"""Where all totals stand, in a file that is whole or not there: written aside, synced, renamed.

It says up to which position of the shared journal they are reckoned. Whoever goes on from there, on the same region,
sees every sample once more that came since, and none before.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.calculated.totals import PeriodState, State
from gateway.config.totals import Total

FORMAT = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """``instance`` of the region that ``positions`` mean something in; ``states`` by the totals' names."""

    instance: int = 0
    positions: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)


def write(path: Path, totals: Sequence[Total], standing: Standing) -> None:
    """Durable when this returns. Raises OSError; then the file is what it was."""
    content = {
        "format": FORMAT,
        "instance": standing.instance,
        "positions": dict(standing.positions),
        "totals": {
            total.name: {"is": _identity(total), "of": total.of_name, **asdict(standing.states[total.name])}
            for total in totals
        },
    }
    draft = path.with_name(path.name + ".draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path, totals: Sequence[Total]) -> Standing:
    """What was written last; nothing where there is no file. One that makes no sense is set aside. Raises OSError."""
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        known = {total.name: total for total in totals}
        states = {
            name: _state(known[name], one)
            for name, one in content["totals"].items()
            if name in known and one["is"] == _identity(known[name])
        }
        return Standing(int(content["instance"]), content["positions"], states)
    except FileNotFoundError:
        return Standing()
    except (ValueError, KeyError, TypeError) as error:
        aside = path.with_name(path.name + ".damaged")
        path.replace(aside)
        log.error("TOTALS BEGIN ANEW: %s cannot be read (%s); it is kept as %s", path, error, aside.name)
        return Standing()


def _identity(total: Total) -> str:
    """What a sum is of: where it is another one, the sum begins anew."""
    return f"{total.kind} {total.sign} {total.unit} {total.numerator}/{total.denominator}"


def _state(total: Total, one: dict[str, Any]) -> State:
    fields = {key: value for key, value in one.items() if key not in ("is", "of", "periods")}
    wanted = {tags.period.value for tags in total.periods}
    periods = {name: PeriodState(**period) for name, period in one["periods"].items() if name in wanted}
    state = State(**fields, periods=periods)
    if one["of"] == total.of_name and periods.keys() == wanted:
        return state
    # Of another tag, or other periods: the sum goes on, from the next sample.
    return State(
        sum=state.sum,
        unmeasured=state.unmeasured,
        resets=state.resets,
        rollovers=state.rollovers,
        implausible=state.implausible,
    )
