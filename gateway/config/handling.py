"""What a point's `write` says beyond role and limits: select, second person, pauses, emergency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings, describe
from gateway.config.site import Handling, WriteLimits
from gateway.tags.tag import ValueType

SELECT_MS = 30_000  # for a person who looks once more
CONFIRM_MS = 120_000  # for a second person who has to be asked

# What an emergency passes: to ask for it as well would say two things.
_PASSED = ("select", "second_person", "interval_ms")


def handled(
    limits: WriteLimits | None,
    write: Settings | None,
    value_type: ValueType,
    states: Mapping[int, str] | None,
    faults: FaultLog,
) -> WriteLimits | None:
    """``limits`` with what ``write`` asks besides; None where it is faulty."""
    if limits is None or write is None:
        return None
    before = len(faults)
    for switch, time in (("select", "select_timeout_ms"), ("second_person", "confirm_timeout_ms")):
        if time in write and not write[switch] and write.is_sound(switch):
            faults.add(write.key_at(time), f"{quote(time)} without {quote(switch)}", f"add '{switch}: true'")
    value = _emergency_value(limits, write, value_type, states, faults)
    if write["emergency"] and "emergency_value" not in write:
        for key in _PASSED:
            if write[key]:
                faults.add(
                    write.key_at(key),
                    f"{quote(key)} of an emergency, which passes it",
                    "remove one, or say by 'emergency_value' which value is the emergency",
                )
    if len(faults) > before or not write.is_sound("interval_ms", "settle_s"):
        return None
    handling = Handling(
        select_ms=(write["select_timeout_ms"] or SELECT_MS) if write["select"] else 0,
        confirm_ms=(write["confirm_timeout_ms"] or CONFIRM_MS) if write["second_person"] else 0,
        interval_ms=write["interval_ms"],
        settle_ms=write["settle_s"] * 1000,
        is_emergency=bool(write["emergency"]),
        emergency_value=value,
    )
    return replace(limits, handling=handling)


def _emergency_value(
    limits: WriteLimits,
    write: Settings,
    value_type: ValueType,
    states: Mapping[int, str] | None,
    faults: FaultLog,
) -> bool | int | float | None:
    value = write["emergency_value"]
    if value is None:
        return None
    if not write["emergency"]:
        if write.is_sound("emergency"):
            faults.add(
                write.key_at("emergency_value"),
                "'emergency_value' of a point without 'emergency'",
                "add 'emergency: true'",
            )
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, bool) is not (value_type is ValueType.BOOL) or not (
        is_number or value_type is ValueType.BOOL
    ):
        wanted = {
            ValueType.BOOL: "write true or false",
            ValueType.STRING: "a text is no emergency: remove it",
        }
        faults.add(
            write.at("emergency_value"),
            f"'emergency_value' is {describe(value)}",
            wanted.get(value_type, "write a number"),
        )
        return None
    is_outside = (limits.low is not None and value < limits.low) or (
        limits.high is not None and value > limits.high
    )
    if is_outside or (states and int(value) not in states):
        faults.add(
            write.at("emergency_value"),
            f"'emergency_value' is {describe(value)}, which the point does not take",
            "write a value that may be commanded",
        )
        return None
    known: bool | int | float = value
    return known
