"""CAN frames as tables: where a signal lies, how to get it from the plant; what a command sets.

Bits are counted as a DBC counts them. The databases that describe these frames to others are in config/devices; a
test holds the two together with a decoder that is neither ours nor the drivers'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from gateway.simulator.devices.registers import Reading, Refusal, Source

COUNTER_BITS = 4


@dataclass(frozen=True, slots=True)
class Signal(Generic[Source]):
    """value = raw * scale + offset. ``read`` may give None: the device has no such value now; ``absent`` is sent."""

    start: int
    length: int
    read: Callable[[Source], Reading]
    write: Callable[[Source, float], Refusal | None] | None = None
    scale: float = 1.0
    offset: float = 0.0
    is_signed: bool = False
    is_big_endian: bool = False

    @property
    def absent(self) -> int:
        return (1 << self.length) - 1

    def raw(self, source: Source) -> int:
        """A number beyond what the signal holds is the nearest that it does hold."""
        value = self.read(source)
        if value is None:
            return self.absent
        assert not isinstance(value, str)
        low = -(1 << self.length - 1) if self.is_signed else 0
        high = (1 << self.length - self.is_signed) - 1
        raw = min(max(round((value - self.offset) / self.scale), low), high)
        return raw & (1 << self.length) - 1

    def put(self, payload: bytearray, raw: int) -> None:
        place, size = self._place(len(payload))
        order: str = "big" if self.is_big_endian else "little"
        whole = int.from_bytes(payload, order) | raw << place  # type: ignore[arg-type] # one of the two
        payload[:] = whole.to_bytes(size, order)  # type: ignore[arg-type]

    def value(self, payload: bytes) -> float:
        place, _ = self._place(len(payload))
        whole = int.from_bytes(payload, "big" if self.is_big_endian else "little")
        raw = whole >> place & (1 << self.length) - 1
        if self.is_signed and raw >> self.length - 1:
            raw -= 1 << self.length
        return raw * self.scale + self.offset

    def _place(self, size: int) -> tuple[int, int]:
        """Shift of the least significant bit in the whole payload as one number."""
        if not self.is_big_endian:
            return self.start, size
        from_top = 8 * (self.start // 8) + 7 - self.start % 8
        return 8 * size - from_top - self.length, size


@dataclass(frozen=True, slots=True, eq=False)
class Frame(Generic[Source]):
    """A message that a device sends every ``period_s``, or takes (``period_s`` 0).

    ``counter`` is the start bit of one of four bits; ``checksum`` the byte that has the CRC of the others.
    """

    id: int
    size: int
    signals: Sequence[Signal[Source]]
    period_s: float = 0.0
    counter: int | None = None
    checksum: int | None = None
    is_extended: bool = False

    def sealed(self, raws: Sequence[int], count: int) -> bytes:
        payload = bytearray(self.size)
        for signal, raw in zip(self.signals, raws, strict=True):
            signal.put(payload, raw)
        if self.counter is not None:
            payload[self.counter // 8] |= count % (1 << COUNTER_BITS) << self.counter % 8
        if self.checksum is not None:
            payload[self.checksum] = crc8(payload[: self.checksum] + payload[self.checksum + 1 :])
        return bytes(payload)

    def count(self, payload: bytes) -> int:
        """The counter of a message that came."""
        assert self.counter is not None
        return payload[self.counter // 8] >> self.counter % 8 & (1 << COUNTER_BITS) - 1

    def is_whole(self, payload: bytes) -> bool:
        if len(payload) != self.size:
            return False
        place = self.checksum
        return place is None or payload[place] == crc8(payload[:place] + payload[place + 1 :])


@dataclass(frozen=True, slots=True)
class FrameMap(Generic[Source]):
    """All that a device on a CAN bus says and hears."""

    sent: Sequence[Frame[Source]]
    taken: Sequence[Frame[Source]] = ()
    answered: Frame[Source] | None = None  # sent at once after a command


def crc8(octets: bytes | bytearray) -> int:
    """SAE J1850: polynomial 0x1D, start and final xor 0xFF."""
    value = 0xFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return value ^ 0xFF
