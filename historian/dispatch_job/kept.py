"""What lasts over a restart: the plan that is followed, its sequence, the shadow, and since when vehicles are there.

One JSON file, replaced whole: ``{"format": 1, "sequence": …, "followed": {…}, "memory": {…}, "shadow": {…}}``. A file
that cannot be read is set aside: dispatch begins anew, and says so.
"""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from historian.dispatch.plan import Costs, Plan, Status
from historian.dispatch_job.binding import Memory
from historian.dispatch_job.course import Followed
from historian.dispatch_job.measured import Measured
from historian.dispatch_job.shadow import Day, Shadow
from historian.dispatch_job.shadow_rule import Rule
from historian.dispatch_job.windows import Window
from historian.store.durable import set_aside

log = logging.getLogger(__name__)

FILE = "dispatch.json"  # in the state folder
FORMAT = 1


@dataclass(slots=True)
class Kept:
    sequence: int = 0
    followed: Followed | None = None
    memory: Memory = field(default_factory=Memory)
    shadow: Shadow = field(default_factory=Shadow)


def keep(path: Path, kept: Kept) -> None:
    """Replace the file. Raises OSError."""
    content = {
        "format": FORMAT,
        "sequence": kept.sequence,
        "followed": None if kept.followed is None else _of_followed(kept.followed),
        "memory": {
            "plugged": {name: time.isoformat() for name, time in kept.memory.plugged.items()},
            "soc_pct": kept.memory.soc_pct,
            "running": {name: [on, since.isoformat()] for name, (on, since) in kept.memory.running.items()},
        },
        "shadow": asdict(kept.shadow) | {"steps": [_of_step(step) for step in kept.shadow.steps]},
    }
    beside = path.with_suffix(".new")
    try:
        with beside.open("wb") as file:
            file.write(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)  # where the disk is full, what it takes is somebody else's
        raise


def recall(path: Path) -> Kept:
    """What was kept; nothing where there is no file, or none that can be read."""
    try:
        content = orjson.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return _read(content)
    except FileNotFoundError:
        return Kept()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s cannot be read (%s): it is set aside, dispatch begins anew", path, error)
        if os.path.lexists(path):
            set_aside(path)
        return Kept()


def followed_in(path: Path) -> Followed | None:
    """The plan that is followed, for who only looks. Raises OSError, ValueError where the file cannot be read."""
    content = orjson.loads(path.read_bytes())
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return None if content["followed"] is None else _to_followed(content["followed"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no plan: {error}") from None


def _read(content: dict[str, Any]) -> Kept:
    memory, shadow = content["memory"], content["shadow"]
    return Kept(
        sequence=int(content["sequence"]),
        followed=None if content["followed"] is None else _to_followed(content["followed"]),
        memory=Memory(
            plugged={name: datetime.fromisoformat(time) for name, time in memory["plugged"].items()},
            soc_pct=dict(memory["soc_pct"]),
            running={
                name: (on, datetime.fromisoformat(since)) for name, (on, since) in memory["running"].items()
            },
        ),
        shadow=_to_shadow(shadow),
    )


def _to_shadow(kept: dict[str, Any]) -> Shadow:
    today, yesterday = _to_day(kept["today"]), _to_day(kept["yesterday"])
    if "rule" not in kept:  # of a version that reckoned otherwise: its days stand, and the rule begins anew
        return Shadow(today=today, yesterday=yesterday)
    steps = [_to_step(step) for step in kept["steps"]]
    return Shadow(Rule(**kept["rule"]), steps, kept["booked"], dict(kept["ran"]), today, yesterday)


def _of_step(step: Measured) -> dict[str, Any]:
    return asdict(step) | {"step": step.step.total_seconds()}


def _to_step(kept: dict[str, Any]) -> Measured:
    time = datetime.fromisoformat
    windows = {
        name: Window(**(each | {"start": time(each["start"]), "end": time(each["end"])}))
        for name, each in kept["windows"].items()
    }
    since = {name: time(each) for name, each in kept["vehicles"].items()}
    again = {"start": time(kept["start"]), "step": timedelta(seconds=kept["step"])}
    return Measured(**(kept | again | {"vehicles": since, "windows": windows}))


def _to_day(kept: dict[str, Any] | None) -> Day | None:
    return None if kept is None else Day(**kept)


def _of_followed(followed: Followed) -> dict[str, Any]:
    plan = followed.plan
    return {
        "start": plan.start.astimezone(UTC).isoformat(),
        "step_s": plan.step.total_seconds(),
        "horizon": plan.horizon,
        "status": plan.status.value,
        "powers_kw": dict(plan.powers_kw),
        "energies_kwh": dict(plan.energies_kwh),
        "running": {name: on.tolist() for name, on in plan.running.items()},
        "costs": asdict(plan.costs),
        "gap": plan.gap,
        "solver_s": plan.solver_s,
        "made": followed.made.astimezone(UTC).isoformat(),
        "naive_cost": followed.naive_cost,
        "is_shortened": followed.is_shortened,
        "reserve_pct": followed.reserve_pct,
    }


def _to_followed(kept: dict[str, Any]) -> Followed:
    plan = Plan(
        datetime.fromisoformat(kept["start"]),
        timedelta(seconds=kept["step_s"]),
        kept["horizon"],
        Status(kept["status"]),
        powers_kw={name: np.array(values, dtype=np.float64) for name, values in kept["powers_kw"].items()},
        energies_kwh={
            name: np.array(values, dtype=np.float64) for name, values in kept["energies_kwh"].items()
        },
        running={name: np.array(on, dtype=bool) for name, on in kept["running"].items()},
        costs=Costs(**kept["costs"]),
        gap=kept["gap"],
        solver_s=kept["solver_s"],
    )
    reserve = kept["reserve_pct"]
    return Followed(
        plan,
        datetime.fromisoformat(kept["made"]),
        kept["naive_cost"],
        kept["is_shortened"],
        None if reserve is None else np.array(reserve, dtype=np.float64),
    )
