"""The key `alert` of a tag that the site file declares: when an operator should see it."""

from __future__ import annotations

from gateway.config.alert import Alert
from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings, describe
from gateway.tags.tag import ValueType

_CRITERIA = ("when", "above", "below")


def read_alert(s: Settings | None, type: ValueType, faults: FaultLog) -> Alert | None:
    """The alert of a tag of that type; None where there is none, or a fault was added."""
    if s is None:
        return None
    given = [key for key in _CRITERIA if key in s]
    if not given:
        faults.add(s.place, "an alert without a value", "add 'when: ...', or 'above: ...' or 'below: ...'")
        return None
    for key in given:
        if key == "when" and type is ValueType.DOUBLE:
            faults.add(s.key_at(key), "'when' of a number with decimals", "write 'above' or 'below'")
            return None
        if key != "when" and type is ValueType.BOOL:
            faults.add(s.key_at(key), f"{quote(key)} of a bool, which is no number", "write 'when'")
            return None
    value = s["when"]
    if value is not None:
        is_right = (
            isinstance(value, bool)
            if type is ValueType.BOOL
            else isinstance(value, int) and not isinstance(value, bool)
        )
        if not is_right:
            right = "true or false" if type is ValueType.BOOL else "a whole number"
            faults.add(s.at("when"), f"'when' is {describe(value)}", f"write {right}")
            return None
    return Alert(
        says=s["says"] or "",
        do=s["do"] or "",
        values=() if value is None else (value,),
        above=s["above"],
        below=s["below"],
        after_s=s["after_s"] or 0.0,
        in_status=False,
    )
