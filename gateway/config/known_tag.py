"""Finding the tag that a section names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gateway.config.fault import FaultLog, Place, quote, suggestion

Found = TypeVar("Found")

_MEND = "see `tieline tags`"


def known_tag(
    name: str, known: Mapping[str, Found], place: Place, faults: FaultLog, *, is_unsure: bool
) -> Found | None:
    """What ``known`` has under the name of a tag; else a fault is added at ``place``.

    ``is_unsure``: faults elsewhere may be why the tag is not there, so nothing is said.
    """
    found = known.get(name)
    if found is None and not is_unsure:
        mend = _MEND if faults.is_full else suggestion(name, known, _MEND)
        faults.add(place, f"the unknown tag {quote(name)}", mend)
    return found
