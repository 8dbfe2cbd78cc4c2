"""Who and what takes part: participants, devices, feeders, meters; an operator lets them in. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import (
    Approval,
    Device,
    DeviceKind,
    Feeder,
    Join,
    MeterBinding,
    ParticipantKind,
    Status,
    StatusChange,
)

LONGEST_PARTICIPANT = 48  # leaves room for the purposes of its accounts in names of 64
MOST_WATTS = 10**9  # 1 GW; what is more is a slip of the unit, and 15 minutes of it still fit 64 bits by far
MOST_STORAGE_WH = 10**12
MOST_DEVICES_EACH = 1_000

# From which status to which the owner may go; an operator may go anywhere but back to APPLIED.
_OWNERS_CHANGES = {
    Status.ACTIVE: {Status.MAINTENANCE, Status.RETIRED},
    Status.MAINTENANCE: {Status.ACTIVE, Status.RETIRED},
    Status.APPLIED: {Status.RETIRED},
    Status.SUSPENDED: {Status.RETIRED},
    Status.RETIRED: set(),
}


@dataclass(frozen=True, slots=True)
class Author:
    """Who says a fact."""

    name: str
    is_operator: bool


@dataclass(frozen=True, slots=True)
class Participant:
    """One who takes part; its key is its author's in the ledger."""

    name: str
    kind: ParticipantKind
    location: str
    certificate: bytes
    status: Status = Status.APPLIED


@dataclass(frozen=True, slots=True)
class Registered:
    """A device, its owner, and where it stands."""

    owner: str
    manifest: Device
    status: Status = Status.APPLIED
    maintained_at_us: int = 0


class Registry:
    """All of them, after some facts. Each method refuses, or changes, never half."""

    def __init__(self) -> None:
        self.participants: dict[str, Participant] = {}
        self.devices: dict[str, Registered] = {}
        self.feeders: dict[str, Feeder] = {}
        self.meters: dict[str, MeterBinding] = {}
        self.mains: dict[str, list[str]] = {}  # participant: its meters that count

    def join(self, author: Author, fact: Join) -> None:
        """The author applies; what it was before, if it was retired, is gone."""
        known = self.participants.get(author.name)
        if known is not None and known.status is not Status.RETIRED:
            raise Refused(Reason.EXISTS, f"{author.name} has applied already: {known.status.name.lower()}")
        if len(author.name) > LONGEST_PARTICIPANT:
            raise Refused(
                Reason.MALFORMED, f"a participant's name has {LONGEST_PARTICIPANT} characters at most"
            )
        self.participants[author.name] = Participant(author.name, fact.kind, fact.location, fact.certificate)

    def add_device(self, author: Author, fact: Device) -> None:
        """A device of the author applies, or a known one of its own applies anew with another manifest."""
        if author.name not in self.participants:
            raise Refused(Reason.UNKNOWN, f"{author.name} has not joined")
        known = self.devices.get(fact.device)
        if known is not None and known.owner != author.name:
            raise Refused(Reason.NOT_ALLOWED, f"{fact.device} is {known.owner}'s")
        if known is not None and known.status is Status.SUSPENDED:
            raise Refused(Reason.NOT_ALLOWED, f"{fact.device} is suspended: an operator ends that")
        if known is not None and known.manifest.kind is not fact.kind:
            raise Refused(
                Reason.CONFLICT, f"{fact.device} is a {known.manifest.kind.name.lower()} and stays it"
            )
        if known is None and sum(d.owner == author.name for d in self.devices.values()) >= MOST_DEVICES_EACH:
            raise Refused(Reason.OVERSIZED, f"{author.name} has {MOST_DEVICES_EACH} devices already")
        for what, value, most in (
            ("max_export_w", fact.max_export_w, MOST_WATTS),
            ("max_import_w", fact.max_import_w, MOST_WATTS),
            ("storage_wh", fact.storage_wh, MOST_STORAGE_WH),
        ):
            if value < 0:
                raise Refused(Reason.NEGATIVE, f"{what} of {fact.device} is {value}")
            if value > most:
                raise Refused(Reason.OVERFLOW, f"{what} of {fact.device} is {value}: {most} at most")
        stores = fact.kind in (DeviceKind.STORAGE, DeviceKind.VEHICLE)
        if stores != (fact.storage_wh > 0):
            raise Refused(
                Reason.MALFORMED, f"{fact.device}, a {fact.kind.name.lower()}, stores {fact.storage_wh} Wh"
            )
        if fact.feeder not in self.feeders:
            raise Refused(Reason.UNKNOWN, f"no feeder {fact.feeder}")
        self.devices[fact.device] = Registered(
            author.name, fact, maintained_at_us=known.maintained_at_us if known else 0
        )

    def add_feeder(self, author: Author, fact: Feeder) -> None:
        """A feeder and its limits, new or changed."""
        needs_operator(author, "sets feeders")
        for value in (fact.max_export_w, fact.max_import_w):
            if not 0 <= value <= MOST_WATTS:
                raise Refused(Reason.OVERFLOW, f"a limit of {value} W: 0 to {MOST_WATTS}")
        self.feeders[fact.feeder] = fact

    def approve(self, author: Author, fact: Approval) -> None:
        """Who applied is in."""
        needs_operator(author, "approves")
        status, owner = self._of(fact.subject, is_device=fact.is_device)
        if status is not Status.APPLIED:
            raise Refused(Reason.EXISTS, f"{fact.subject} is {status.name.lower()}, it has not applied")
        if fact.is_device and self.participants[owner].status is not Status.ACTIVE:
            raise Refused(
                Reason.NOT_ALLOWED, f"{fact.subject} is of {owner}, who is not approved or not active"
            )
        self._set(fact.subject, Status.ACTIVE, is_device=fact.is_device)

    def change_status(self, author: Author, fact: StatusChange, now_us: int) -> None:
        """By the owner as far as the table says, by an operator otherwise."""
        status, owner = self._of(fact.subject, is_device=fact.is_device)
        if not author.is_operator:
            if owner != author.name:
                raise Refused(Reason.NOT_ALLOWED, f"{fact.subject} is {owner}'s")
            if fact.status is not status and fact.status not in _OWNERS_CHANGES[status]:
                raise Refused(
                    Reason.NOT_ALLOWED,
                    f"{fact.subject} is {status.name.lower()}: an operator makes it {fact.status.name.lower()}",
                )
        elif fact.status is Status.APPLIED or (status is Status.APPLIED and fact.status is Status.ACTIVE):
            raise Refused(Reason.NOT_ALLOWED, f"{fact.subject}: who applied is approved or retired")
        if not 0 <= fact.maintained_at_us <= now_us:
            raise Refused(Reason.EARLY, f"{fact.subject} was maintained in the future")
        self._set(fact.subject, fact.status, is_device=fact.is_device, maintained_at_us=fact.maintained_at_us)

    def bind_meter(self, author: Author, fact: MeterBinding) -> None:
        """The tags that are a meter's registers, and who reads them."""
        needs_operator(author, "binds meters")
        found = self.devices.get(fact.meter)
        if found is None or found.manifest.kind is not DeviceKind.METER:
            raise Refused(Reason.UNKNOWN, f"{fact.meter} is no registered meter")
        if found.status is not Status.ACTIVE:
            raise Refused(
                Reason.NOT_ALLOWED, f"{fact.meter} is {found.status.name.lower()}: approve it first"
            )
        tags = {fact.import_tag, fact.export_tag}
        for other in self.meters.values():
            taken = tags & {other.import_tag, other.export_tag} - {""}
            if other.meter != fact.meter and taken:
                raise Refused(Reason.EXISTS, f"{min(taken)} is a register of {other.meter}")
        if len(tags) != 2:
            raise Refused(Reason.CONFLICT, f"{fact.meter}: one tag for two registers")
        known = self.meters.get(fact.meter)
        if known is not None and known.is_main != fact.is_main:
            raise Refused(Reason.CONFLICT, f"{fact.meter} counts or does not; register another meter")
        self.meters[fact.meter] = fact
        if known is None and fact.is_main:
            self.mains.setdefault(found.owner, []).append(fact.meter)

    def known(self, name: str) -> Participant:
        """A participant who was approved once; ``Refused`` otherwise."""
        found = self.participants.get(name)
        if found is None or found.status is Status.APPLIED:
            raise Refused(Reason.UNKNOWN, f"no participant {name}")
        return found

    def trader(self, name: str) -> Participant:
        """A participant who may trade; ``Refused`` otherwise."""
        found = self.participants.get(name)
        if found is None:
            raise Refused(Reason.UNKNOWN, f"{name} has not joined")
        if found.status is not Status.ACTIVE:
            raise Refused(Reason.NOT_ALLOWED, f"{name} is {found.status.name.lower()}")
        return found

    def _of(self, subject: str, *, is_device: bool) -> tuple[Status, str]:
        found = self.devices.get(subject) if is_device else self.participants.get(subject)
        if found is None:
            raise Refused(Reason.UNKNOWN, f"no {'device' if is_device else 'participant'} {subject}")
        return found.status, found.owner if isinstance(found, Registered) else subject

    def _set(self, subject: str, status: Status, *, is_device: bool, maintained_at_us: int = 0) -> None:
        if is_device:
            device = self.devices[subject]
            maintained = max(maintained_at_us, device.maintained_at_us)
            self.devices[subject] = replace(device, status=status, maintained_at_us=maintained)
        else:
            self.participants[subject] = replace(self.participants[subject], status=status)


def needs_operator(author: Author, does: str) -> None:
    """``Refused`` for anybody else."""
    if not author.is_operator:
        raise Refused(Reason.NOT_ALLOWED, f"{author.name} is no operator: only one {does}")
