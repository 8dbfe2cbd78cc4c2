"""The data link and transport of one connection (IEEE 1815 clauses 8 and 9), by py1815's sans-io layers.

TCP keeps order and loses nothing, so user data goes unconfirmed (13.2.3); confirmed data from the master is
acknowledged, and a repeat of it is not taken twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from py1815 import crc
from py1815.link import (
    START,
    Broadcast,
    FrameReader,
    LinkFrame,
    PrimaryFunction,
    SecondaryFunction,
    build,
    control_byte,
    is_valid_address,
)
from py1815.transport import Reassembler, TransportError, segment

_SEQUENCES = 64
_HEADER_OCTETS = 5  # that a frame's length counts besides its user data: control and addresses
NO_CONFIRM = frozenset({Broadcast.NO_CONFIRM, Broadcast.OPTIONAL_CONFIRM})


@dataclass(frozen=True, slots=True)
class Fragment:
    """An application fragment from ``source``; ``broadcast`` is the address it went to, None for ours alone."""

    source: int
    data: bytes
    broadcast: Broadcast | None


@dataclass(frozen=True, slots=True)
class Reply:
    """Octets for the wire."""

    data: bytes


def _remainders() -> NDArray[np.uint16]:
    """Of each octet at each place of a block: a CRC is the exclusive or of those of its octets (8.2)."""
    zeros = crc.compute(bytes(_BLOCK))
    return np.array(
        [
            crc.compute(bytes(place) + bytes([octet]) + bytes(_BLOCK - 1 - place)) ^ zeros
            for place in range(_BLOCK)
            for octet in range(256)
        ],
        np.uint16,
    )


_BLOCK = 16
_FEW_OCTETS = 64  # up to these the one by one is quicker
_REMAINDERS = _remainders()
_PLACES = 256 * np.arange(_BLOCK)[:, np.newaxis]
_INVERTED = 0xFFFF  # as it goes on the wire


def frames(control: int, destination: int, source: int, segments: Sequence[bytes]) -> bytes:
    """Segments as frames: what py1815's `build` makes of them one by one, their checksums all at once."""
    if sum(map(len, segments)) <= _FEW_OCTETS:
        return b"".join(build(control, destination, source, one) for one in segments)
    blocks: list[bytes] = []
    for one in segments:
        blocks.append(struct.pack("<2sBBHH", START, len(one) + _HEADER_OCTETS, control, destination, source))
        blocks += [one[at : at + _BLOCK] for at in range(0, len(one), _BLOCK)]
    # Leading zeros leave a remainder as it is, so that all blocks can be of one length.
    padded = np.frombuffer(b"".join([one.rjust(_BLOCK, b"\0") for one in blocks]), np.uint8)
    places = padded.reshape(-1, _BLOCK).T + _PLACES
    found = np.bitwise_xor.reduce(_REMAINDERS.take(places), axis=0) ^ _INVERTED
    sums = found.astype("<u2").tobytes()
    parts: list[bytes] = []
    for place, one in enumerate(blocks):
        parts += (one, sums[2 * place : 2 * place + 2])
    return b"".join(parts)


class Link:
    """The outstation's end. ``address`` is ours; frames to others are not for us."""

    def __init__(self, address: int) -> None:
        self._address = address
        self._reader = FrameReader()
        self._reassembler = Reassembler()
        self._sequence = 0
        self._expected_fcb: bool | None = None  # None until the link is reset
        self.master: int | None = None  # whoever spoke first on this connection

    def receive(self, data: bytes) -> Iterator[Fragment | Reply]:
        """What octets from the wire bring. Frames of a second master on one connection are dropped."""
        for frame in self._reader.feed(data):
            if not frame.from_master or not is_valid_address(frame.source):
                continue
            if frame.destination != self._address and not frame.is_broadcast:
                continue
            if self.master is None:
                self.master = frame.source
            if frame.source != self.master:
                continue
            if frame.is_primary:
                yield from self._primary(frame)

    def send(self, fragment: bytes) -> bytes:
        """A fragment as frames."""
        assert self.master is not None, "the master has to speak first"
        control = control_byte(
            from_master=False, primary=True, function=PrimaryFunction.UNCONFIRMED_USER_DATA
        )
        segments = segment(fragment, first_sequence=self._sequence)
        self._sequence = (self._sequence + len(segments)) % _SEQUENCES
        return frames(control, self.master, self._address, segments)

    def ask_status(self) -> bytes:
        """A keep-alive: the master answers with its link status (13.2.2)."""
        assert self.master is not None, "the master has to speak first"
        control = control_byte(from_master=False, primary=True, function=PrimaryFunction.REQUEST_LINK_STATUS)
        return build(control, self.master, self._address)

    def _primary(self, frame: LinkFrame) -> Iterator[Fragment | Reply]:
        if frame.is_broadcast:
            if frame.function == PrimaryFunction.UNCONFIRMED_USER_DATA:
                yield from self._data(frame)
            return
        match frame.function:
            case PrimaryFunction.RESET_LINK_STATES:
                self._expected_fcb = True
                self._reassembler.reset()
                yield self._secondary(SecondaryFunction.ACK)
            case PrimaryFunction.REQUEST_LINK_STATUS:
                yield self._secondary(SecondaryFunction.LINK_STATUS)
            case PrimaryFunction.TEST_LINK_STATES:
                yield self._secondary(self._step_fcb(frame)[0])
            case PrimaryFunction.CONFIRMED_USER_DATA:
                answer, is_new = self._step_fcb(frame)
                yield self._secondary(answer)
                if is_new:
                    yield from self._data(frame)
            case PrimaryFunction.UNCONFIRMED_USER_DATA:
                yield from self._data(frame)
            case _:
                yield self._secondary(SecondaryFunction.NOT_SUPPORTED)

    def _step_fcb(self, frame: LinkFrame) -> tuple[SecondaryFunction, bool]:
        """The answer, and whether the frame is a new one: a repeat has the frame count bit of the one before."""
        if self._expected_fcb is None:
            return SecondaryFunction.NACK, False
        if frame.fcb != self._expected_fcb:
            return SecondaryFunction.ACK, False
        self._expected_fcb = not self._expected_fcb
        return SecondaryFunction.ACK, True

    def _secondary(self, function: SecondaryFunction) -> Reply:
        assert self.master is not None
        control = control_byte(from_master=False, primary=False, function=function)
        return Reply(build(control, self.master, self._address))

    def _data(self, frame: LinkFrame) -> Iterator[Fragment]:
        try:
            fragment = self._reassembler.add(frame.payload)
        except TransportError:
            return  # the series is given up; the master sends it again
        if fragment is not None:
            broadcast = Broadcast(frame.destination) if frame.is_broadcast else None
            yield Fragment(frame.source, fragment, broadcast)
