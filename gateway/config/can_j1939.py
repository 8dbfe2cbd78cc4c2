"""J1939 as typed values: who we are on a bus, whom we listen to, and the numbers of parameter groups.

An identifier of 29 bits (SAE J1939-21 5.2)::

    28..26     25   24   23..16       15..8          7..0
    priority   EDP  DP   PDU format   PDU specific   source address

Below PDU format 240 the PDU specific is the destination's address and no part of the parameter group number (PGN).
"""

from __future__ import annotations

from dataclasses import dataclass

GLOBAL = 255  # address: everybody
NOBODY = 254  # address: of one who has none
HIGHEST_ADDRESS = 253
HIGHEST_PGN = 0x3FFFF
MAX_BYTES = 1_785  # 255 packets of 7 (SAE J1939-21 5.10)
PDU2 = 240  # from this PDU format on a group goes to everybody
REQUEST, ACKNOWLEDGE, ADDRESS_CLAIMED = 0xEA00, 0xE800, 0xEE00
TRANSFER_CONTROL, TRANSFER_DATA = 0xEC00, 0xEB00
ACTIVE_FAULTS = 0xFECA  # DM1, SAE J1939-73 5.7.1
# What a transport or the network itself uses; a point of one of them would see its innards.
OWN_PGNS = frozenset({REQUEST, ACKNOWLEDGE, ADDRESS_CLAIMED, TRANSFER_CONTROL, TRANSFER_DATA})


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """What a message is on a J1939 bus. ``source`` None: whoever sends it. ``destination`` only of what we send."""

    pgn: int
    source: int | None
    priority: int
    destination: int | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: ``name`` is the NAME of 64 bits, by which addresses are fought for; the lower one wins."""

    address: int
    name: int
    is_arbitrary: bool  # takes another address when it loses its own


@dataclass(frozen=True, slots=True)
class J1939SystemTags:
    """Image indexes of what a J1939 device's own tags have beyond those of CAN."""

    own_address: int
    transfers: int
    transfers_broken: int
    faults: int
    fault_text: int
    lamp_malfunction: int
    lamp_stop: int
    lamp_warning: int
    lamp_protect: int


@dataclass(frozen=True, slots=True)
class J1939Link:
    """A device on a J1939 bus. ``identity`` None: we only listen. ``requests``: group and period in milliseconds."""

    source: int | None
    identity: Identity | None
    requests: tuple[tuple[int, int], ...]
    system: J1939SystemTags


def pgn_of(identifier: int) -> int:
    """The parameter group number in an identifier."""
    pgn = identifier >> 8 & HIGHEST_PGN
    return pgn if pgn >> 8 & 0xFF >= PDU2 else pgn & 0x3FF00


def is_addressed(pgn: int) -> bool:
    """Whether its messages bear the address of one destination."""
    return pgn >> 8 & 0xFF < PDU2


def destination_of(identifier: int) -> int:
    return identifier >> 8 & 0xFF if is_addressed(pgn_of(identifier)) else GLOBAL


def identifier_of(pgn: int, priority: int, source: int, destination: int) -> int:
    """The identifier of a message of one frame."""
    return priority << 26 | pgn << 8 | (destination << 8 if is_addressed(pgn) else 0) | source


def name_of(
    *, identity: int, manufacturer: int, function: int, instance: int, industry: int, is_arbitrary: bool
) -> int:
    """A NAME (SAE J1939-81 4.1.1) of a vehicle system and ECU instance 0."""
    return (
        int(is_arbitrary) << 63
        | industry << 60
        | function << 40
        | instance << 35
        | manufacturer << 21
        | identity
    )
