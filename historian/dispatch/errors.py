"""What can be wrong with what is asked of dispatch.

DispatchError
├── BadAsset    one field of an asset, group, event or reserve
└── BadSite     how they fit together, or a series that does not fit the horizon
"""

from __future__ import annotations


class DispatchError(ValueError):
    """Root of this package's exceptions."""


class BadAsset(DispatchError):  # noqa: N818 - reads as the claim it makes
    """A field that cannot be; the message names asset, field, what was found and what is expected."""

    def __init__(self, kind: str, name: str, field: str, found: object, expected: str) -> None:
        super().__init__(f"{kind} {name!r}: {field} is {found}: it must be {expected}")
        self.name = name
        self.field = field


class BadSite(DispatchError):  # noqa: N818
    """Assets, groups or series that do not fit together."""
