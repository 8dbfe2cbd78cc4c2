"""Tags that `tieline status` looks at, as the record of a run keeps them: of the site that runs, not of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.alert import Alert
from gateway.config.site import Site


@dataclass(frozen=True, slots=True)
class Watched:
    """A tag of the site that runs, and when something is wrong with it."""

    tag: str
    alert: Alert
    states: Mapping[int, str]

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Watched:
        """Out of what `dataclasses.asdict` made. Raises KeyError, TypeError, ValueError, AttributeError."""
        alert = dict(fields["alert"])
        alert["values"] = tuple(alert["values"])
        states = {int(value): str(text) for value, text in fields["states"].items()}
        return cls(str(fields["tag"]), Alert(**alert), states)


def watched_of(site: Site) -> tuple[Watched, ...]:
    """The tags that `tieline status` looks at."""
    return tuple(
        Watched(tag.name, alert, tag.states)
        for tag in site.tags
        if (alert := tag.attention) is not None and alert.in_status
    )
