"""Link frames out of the library's log, which tells each as lines of hexadecimal octets, into a ring. Pure.

05 64 0A 44 01 00 0A 00 6E 25          the head: the third octet says how long the frame is
C1 C0 81 90 00 9D 0F                   up to 16 octets and their CRC a line
"""

from __future__ import annotations

from gateway.drivers.trace import Ring, Way

_START = b"\x05\x64"
_HEAD, _COUNTED, _BLOCK, _CRC = (
    10,
    5,
    16,
    2,
)  # octets: a head, those of it that its length counts, data, a CRC


def frame_size(head: bytes) -> int:
    """Of the frame with this head."""
    data = max(head[2] - _COUNTED, 0)
    return _HEAD + data + _CRC * -(-data // _BLOCK)


class FrameLog:
    """One channel's. One thread calls: the library's."""

    __slots__ = ("_frames", "_note", "ring")

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._frames = {Way.SENT: b"", Way.RECEIVED: b""}  # as far as told
        self._note = ""

    def line(self, way: Way, text: str) -> None:
        """A line of octets."""
        try:
            octets = bytes.fromhex(text)
        except ValueError:
            return self.note(text)
        is_head = len(octets) == _HEAD and octets.startswith(_START)
        frame = self._frames[way] + octets
        if is_head and len(frame) != frame_size(frame):
            frame = octets  # a new one, whatever became of the one before
        if not frame.startswith(_START) or len(frame) < _HEAD:
            return None
        if len(frame) < frame_size(frame):
            self._frames[way] = frame
            return None
        self._frames[way] = b""
        self._note = ""
        return (self.ring.sent if way is Way.SENT else self.ring.received)(frame)

    def note(self, text: str) -> None:
        """Of what is said again and again, as of a device that is away, the first only."""
        if text != self._note:
            self._note = text
            self.ring.note(text)
