"""One object read or written by SDO, without I/O or clock (CiA 301 7.2.4.3)::

read     40 index(2) sub 0000        →  4f|4b|47|43 index sub data     1, 2, 3 or 4 bytes
                                        41 index sub size(4)           more: in segments
         60, 70, 60 ...              →  t<<4 | unused<<1 | last, seven bytes
write    2f|2b|27|23 index sub data  →  60 index sub
         21 index sub size(4)        →  60 index sub
         t<<4 | unused<<1 | last, 7  →  20, 30, 20 ...
either                               →  80 index sub code(4)           abort

read of 0x1017: 40 17 10 00 00 00 00 00  →  4b 17 10 00 e8 03 00 00    1000
"""

from __future__ import annotations

MAX_BYTES = 4_096  # of one object; a tag holds far less
SEGMENT = 7
TOGGLE, TIMED_OUT, BAD_COMMAND, OUT_OF_MEMORY = 0x05030000, 0x05040000, 0x05040001, 0x05040005
READ_WRITE_ONLY, WRITE_READ_ONLY, NO_OBJECT, NO_SUBINDEX = 0x06010001, 0x06010002, 0x06020000, 0x06090011
# CiA 301, table 22
ABORTS = {
    TOGGLE: "the toggle bit did not alternate",
    TIMED_OUT: "it waited too long",
    BAD_COMMAND: "the command is unknown to it",
    0x05040002: "the block size is invalid",
    0x05040003: "the sequence number is invalid",
    0x05040004: "the checksum is wrong",
    OUT_OF_MEMORY: "it is out of memory",
    0x06010000: "the object can not be accessed so",
    READ_WRITE_ONLY: "the object can only be written",
    WRITE_READ_ONLY: "the object can only be read",
    NO_OBJECT: "it has no such object",
    0x06040041: "the object can not be mapped to a PDO",
    0x06040042: "the mapped objects do not fit a PDO",
    0x06040043: "the parameters do not go together",
    0x06040047: "it is incompatible inside",
    0x06060000: "its hardware failed",
    0x06070010: "the object has another length",
    0x06070012: "the object is shorter",
    0x06070013: "the object is longer",
    NO_SUBINDEX: "the object has no such subindex",
    0x06090030: "the value is out of range",
    0x06090031: "the value is too high",
    0x06090032: "the value is too low",
    0x06090036: "the maximum is less than the minimum",
    0x060A0023: "a resource is not there",
    0x08000000: "a general error",
    0x08000020: "it can not be stored or transferred",
    0x08000021: "it is under local control",
    0x08000022: "the state of the device does not allow it",
    0x08000023: "it has no object dictionary",
    0x08000024: "there is no data",
}


def abort_text(code: int) -> str:
    """Why a node refused, for an operator."""
    return f"{ABORTS.get(code, 'for a reason of its own')} (abort 0x{code:08X})"


def abort_of(index: int, subindex: int, code: int) -> bytes:
    """What ends a transfer."""
    return b"\x80" + index.to_bytes(2, "little") + bytes((subindex,)) + code.to_bytes(4, "little")


class _Transfer:
    """What reading and writing have in common. ``abort`` is set when it failed, ``is_done`` when it did not."""

    def __init__(self, index: int, subindex: int) -> None:
        self._place = index.to_bytes(2, "little") + bytes((subindex,))
        self.index, self.subindex = index, subindex
        self.is_done = False
        self.abort: int | None = None
        self._toggle = 0

    @property
    def is_open(self) -> bool:
        return not self.is_done and self.abort is None

    def cancel(self, code: int = TIMED_OUT) -> bytes:
        """Give up; what tells the node."""
        self.abort = code
        return abort_of(self.index, self.subindex, code)

    def _aborted(self, data: bytes) -> bool:
        """Whether the node gave up; an abort of another object is a late one, and none of ours."""
        if data[0] != 0x80:
            return False
        if data[1:4] == self._place:
            self.abort = int.from_bytes(data[4:8], "little")
        return True

    def _segment_header(self) -> int:
        return self._toggle << 4


class Upload(_Transfer):
    """An object is read."""

    def __init__(self, index: int, subindex: int) -> None:
        super().__init__(index, subindex)
        self.data = b""
        self._size: int | None = None
        self._in_segments = False

    def start(self) -> bytes:
        return b"\x40" + self._place + bytes(4)

    def on_answer(self, data: bytes) -> bytes | None:
        """An answer of the node; the next request, or None: nothing (yet), or it is over."""
        if len(data) != 8 or not self.is_open or self._aborted(data):
            return None
        if self._in_segments:
            return self._segment(data)
        if data[0] >> 5 != 2:
            return self.cancel(BAD_COMMAND)
        if data[1:4] != self._place:
            return None  # late, of one that we gave up
        has_size = data[0] & 1
        if data[0] & 2:
            self.data = data[4 : 8 - (data[0] >> 2 & 3) if has_size else 8]
            self.is_done = True
            return None
        if has_size:
            self._size = int.from_bytes(data[4:8], "little")
            if self._size > MAX_BYTES:
                return self.cancel(OUT_OF_MEMORY)
        self._in_segments = True
        return b"\x60" + bytes(7)

    def _segment(self, data: bytes) -> bytes | None:
        if data[0] >> 5 != 0:
            return self.cancel(BAD_COMMAND)
        if data[0] >> 4 & 1 != self._toggle:
            return self.cancel(TOGGLE)
        self.data += data[1 : 8 - (data[0] >> 1 & 7)]
        if len(self.data) > MAX_BYTES:
            return self.cancel(OUT_OF_MEMORY)
        if data[0] & 1:
            if self._size is not None and len(self.data) != self._size:
                return self.cancel(0x06070010)
            self.is_done = True
            return None
        self._toggle ^= 1
        return bytes((0x60 | self._segment_header(),)) + bytes(7)


class Download(_Transfer):
    """An object is written."""

    def __init__(self, index: int, subindex: int, data: bytes) -> None:
        super().__init__(index, subindex)
        assert 0 < len(data) <= MAX_BYTES, len(data)
        self._left = data
        self._is_begun = False

    def start(self) -> bytes:
        size = len(self._left)
        if size <= 4:
            head = bytes((0x23 | 4 - size << 2,)) + self._place + self._left.ljust(4, b"\0")
            self._left = b""
            return head
        return b"\x21" + self._place + size.to_bytes(4, "little")

    def on_answer(self, data: bytes) -> bytes | None:
        """An answer of the node; the next request, or None: nothing (yet), or it is over."""
        if len(data) != 8 or not self.is_open or self._aborted(data):
            return None
        if not self._is_begun:
            if data[0] >> 5 != 3:
                return self.cancel(BAD_COMMAND)
            if data[1:4] != self._place:
                return None  # late, of one that we gave up
            self._is_begun = True
            return self._next()
        if data[0] >> 5 != 1:
            return self.cancel(BAD_COMMAND)
        if data[0] >> 4 & 1 != self._toggle:
            return self.cancel(TOGGLE)
        self._toggle ^= 1
        return self._next()

    def _next(self) -> bytes | None:
        if not self._left:
            self.is_done = True
            return None
        part, self._left = self._left[:SEGMENT], self._left[SEGMENT:]
        head = self._segment_header() | SEGMENT - len(part) << 1 | (not self._left)
        return bytes((head,)) + part.ljust(SEGMENT, b"\0")
