"""Where history is forwarded to, as typed values (docs/forwarding.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

MAX_KEPT = 10**9  # a day at 2,000 changes/s
MAX_SECRET_BYTES = 64 << 10  # a token is some hundred characters; whoever names a log file by mistake is told


class ForwardKind(StrEnum):
    """What a target is: how it is written to, and what it can hold."""

    INFLUXDB1 = "influxdb1"
    INFLUXDB2 = "influxdb2"
    INFLUXDB3 = "influxdb3"
    VICTORIAMETRICS = "victoriametrics"


class Label(StrEnum):
    """What of a tag goes into a series' tag set."""

    SITE = "site"
    TAG = "tag"
    AREA = "area"
    DEVICE = "device"
    UNIT = "unit"


class SecretError(Exception):
    """A token or password that cannot be had; the text is for an operator and never holds it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a token or password is: in a file, or in an environment variable. Never in the site file."""

    file: Path | None = None
    variable: str | None = None

    def read(self) -> str:
        """It, without the white space around it. Raises SecretError."""
        if self.variable is not None:
            found = os.environ.get(self.variable, "")
            where = f"the environment variable {self.variable}"
        else:
            assert self.file is not None, "one of the two is given"
            where = f"the file {self.file}"
            try:
                with self.file.open("rb") as file:
                    found = file.read(MAX_SECRET_BYTES + 1).decode()
            except OSError as error:
                raise SecretError(f"{where} cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise SecretError(f"{where} is no text") from None
        found = found.strip()
        if not found or len(found) > MAX_SECRET_BYTES or not found.isprintable():
            raise SecretError(f"{where} holds no token or password")
        return found


@dataclass(frozen=True, slots=True)
class SeriesNames:
    """How a tag is named at the target: texts in which ``{tag}``, ``{device}`` and so on are replaced."""

    measurement: str = "{tag}"
    labels: tuple[Label, ...] = (Label.SITE, Label.TAG, Label.UNIT)
    field: str = "value"
    status_field: str = "status"


@dataclass(frozen=True, slots=True)
class ForwardSystemTags:
    """Image indexes of the tags that tell of a target."""

    connected: int
    lag_s: int
    sent: int
    set_aside: int
    last_error: int


@dataclass(frozen=True, slots=True)
class ForwardTarget:
    """A store that history is forwarded to.

    ``database`` is the bucket where there are buckets. ``authorities`` are whom its certificate must be signed by
    (None: those of the machine); ``certificate`` and ``key`` are ours, where it asks for them. ``tags`` are patterns
    of those forwarded. ``samples_per_s`` bounds what is sent, 0: no bound. ``max_kept`` bytes of the journal are kept
    for it.
    """

    name: str
    kind: ForwardKind
    url: str
    database: str = ""
    organisation: str = ""
    username: str = ""
    secret: Secret | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    names: SeriesNames = field(default_factory=SeriesNames)
    tags: tuple[str, ...] = ("*",)
    batch_samples: int = 5_000
    interval_ms: int = 1_000
    timeout_ms: int = 10_000
    samples_per_s: int = 50_000
    max_kept: int = MAX_KEPT
    system: ForwardSystemTags = ForwardSystemTags(0, 0, 0, 0, 0)
