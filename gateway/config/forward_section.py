"""The `forward` section of the historian to targets, each with the tags that tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from gateway.config.fault import FaultLog, quote
from gateway.config.file_setting import file_of
from gateway.config.forward import (
    MAX_KEPT,
    ForwardKind,
    ForwardSystemTags,
    ForwardTarget,
    Secret,
    SeriesNames,
)
from gateway.config.kinds import Reading, Settings
from gateway.config.series import clash
from gateway.config.site import Tag
from gateway.config.site_keys.forward import FORWARD, FORWARD_TARGET
from gateway.config.system import forward_tags

_TAGS = len(fields(ForwardSystemTags))
_GIVEN = tuple(key.name for key in FORWARD_TARGET.keys)


def read_forward(
    historian: Settings | None, tags: Sequence[Tag], site: str, faults: FaultLog
) -> tuple[list[Tag], tuple[ForwardTarget, ...]]:
    """The tags that are added behind ``tags``, and the targets; of no use where faults were added."""
    if historian is None or historian["forward"] is None:
        return [], ()
    is_unsure = faults.unsure or len(faults) > 0
    added: list[Tag] = []
    targets: list[ForwardTarget] = []
    reading = Reading(faults)
    for key, node in FORWARD.entries(historian["forward"], "forward", reading):
        with faults.within(f"forwarding to {key.text}"):
            settings = FORWARD.value.read(node, key.text, reading)
            if not isinstance(settings, Settings):
                continue
            first = len(tags) + len(added)
            added += forward_tags(key.text)
            target = _target(key.text, settings, first, faults)
            if target is None:
                continue
            targets.append(target)
            if not is_unsure and (why := clash(tags, target, site)) is not None:
                faults.add(settings.key_at("measurement"), *why)
    return added, tuple(targets)


def _target(name: str, s: Settings, first: int, faults: FaultLog) -> ForwardTarget | None:
    before = len(faults)
    secret = _secret(s, faults)
    files = {key: _file(s, key, faults) for key in ("authorities", "certificate", "key")}
    if (files["certificate"] is None) != (files["key"] is None) and len(faults) == before:
        given = "certificate" if files["key"] is None else "key"
        faults.add(s.at(given), f"{quote(given)} alone", "name a certificate and its key")
    if (
        len(faults) > before
        or not s.is_sound("kind", "url")
        or not s.is_sound(*(key for key in _GIVEN if key in s))
    ):
        return None
    if s["username"] is not None and secret is None:
        faults.add(s.at("username"), "'username' without a password", "add 'secret_file: ...'")
    if s["kind"] is ForwardKind.INFLUXDB1 and secret is not None and s["username"] is None:
        faults.add(s.place, "a password without 'username'", "add 'username: ...'")
    if s["field"] == s["status_field"]:
        faults.add(s.at("status_field"), "'status_field' is what 'field' is", "give it another name")
    if not s["tags"]:
        faults.add(s.at("tags"), "'tags' is empty", "name patterns, or leave it out for all tags")
    return ForwardTarget(
        name=name,
        kind=s["kind"],
        url=s["url"],
        database=s["database"] or "",
        organisation=s["organisation"] or "",
        username=s["username"] or "",
        secret=secret,
        authorities=files["authorities"],
        certificate=files["certificate"],
        key=files["key"],
        names=SeriesNames(s["measurement"], s["labels"], s["field"], s["status_field"]),
        tags=s["tags"],
        batch_samples=s["batch_samples"],
        interval_ms=s["interval_ms"],
        timeout_ms=s["timeout_ms"],
        samples_per_s=s["samples_per_s"],
        max_kept=MAX_KEPT if s["max_kept"] is None else s["max_kept"],
        system=ForwardSystemTags(*range(first, first + _TAGS)),
    )


def _secret(s: Settings, faults: FaultLog) -> Secret | None:
    """Where it is; it is read when it is used, by the part."""
    if "secret_file" in s and "secret_variable" in s:
        faults.add(
            s.key_at("secret_variable"), "'secret_variable' beside 'secret_file'", "remove one of the two"
        )
        return None
    if s["secret_variable"] is not None:
        return Secret(variable=s["secret_variable"])
    file = _file(s, "secret_file", faults)
    return None if file is None else Secret(file=file)


def _file(s: Settings, key: str, faults: FaultLog) -> Path | None:
    return None if s[key] is None else file_of(s, key, faults)
