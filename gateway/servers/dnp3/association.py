"""One master's conversation with the outstation, without I/O and without a clock of its own (IEEE 1815 clause 4).

`receive`, `tick` and `complete` return what is to be done: fragments to send, commands to give. Times are seconds of
a monotonic clock. The states:

    solicited    idle ──response with events or more to come──► awaits confirm ──confirm──► next fragment, or idle
                                                                └─no confirm in time, new request, lost link──► idle,
                                                                  the events pending again
    unsolicited  restarted ──null response, confirmed──► idle ──events of enabled classes──► awaits confirm ─► idle
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from gateway.config.dnp3 import Outstation, OutstationMaster
from gateway.servers.dnp3.application import (
    MAX_FRAGMENT,
    Control,
    FragmentError,
    Function,
    Header,
    HeaderError,
    Indication,
    Qualifier,
    Request,
    decode_request,
    encode_response,
    read_header,
    read_headers,
)
from gateway.servers.dnp3.attributes import GROUP as ATTRIBUTE_GROUP
from gateway.servers.dnp3.attributes import Attributes
from gateway.servers.dnp3.control import ControlPoints, Status, Wish, answer
from gateway.servers.dnp3.database import Database, Event, Point
from gateway.servers.dnp3.events import CLASSES, LAST, EventBuffer, Wanted
from gateway.servers.dnp3.objects import (
    EVENTS,
    KIND_OF_EVENT,
    KIND_OF_STATIC,
    STATIC,
    Kind,
    decode_time,
    encode_time,
)
from gateway.servers.dnp3.response import ObjectBuilder
from gateway.servers.dnp3.settings import (
    DEADBAND_FORMS,
    DEADBAND_GROUP,
    DEADBAND_VARIATION,
    encode_deadband,
    read_classes,
    read_deadbands,
)

_HEAD = 4  # of a response
_ROOM = MAX_FRAGMENT - _HEAD
_NOTHING = Indication(0)
_RESTART_BIT = 7  # index in g80v1
_SEQUENCES = 16
_COUNTS = frozenset({int(Qualifier.COUNT_8), int(Qualifier.COUNT_16)})
_CLASS_OF = {2: 1, 3: 2, 4: 3}  # variations of group 60
_CLASS_INDICATION = {
    1: Indication.CLASS_1_EVENTS,
    2: Indication.CLASS_2_EVENTS,
    3: Indication.CLASS_3_EVENTS,
}
_FREEZES = frozenset(
    {Function.IMMED_FREEZE, Function.IMMED_FREEZE_NR, Function.FREEZE_CLEAR, Function.FREEZE_CLEAR_NR}
)
_WITHOUT_RESPONSE = frozenset(
    {Function.DIRECT_OPERATE_NR, Function.IMMED_FREEZE_NR, Function.FREEZE_CLEAR_NR}
)


@dataclass(frozen=True, slots=True)
class Send:
    """A fragment for the master."""

    fragment: bytes


@dataclass(frozen=True, slots=True)
class Operate:
    """Give these commands, or select them; `Association.complete` wants their statuses, by this token."""

    token: int
    wishes: tuple[Wish, ...]
    is_select: bool = False


Effect = Send | Operate


class Broadcast(Enum):
    """To whom a request went, where not to this outstation alone; the value: whether a confirm has to come."""

    NO_CONFIRM = False
    CONFIRM = True


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A response that waits for its confirm; ``rest`` is what is still to be sent."""

    sequence: int
    until: float
    rest: _Items | None


@dataclass(slots=True)
class _Unsolicited:
    """The unsolicited response under way."""

    fragment: bytes
    sequence: int
    until: float
    retries: int
    is_null: bool


@dataclass(frozen=True, slots=True)
class _Selected:
    sequence: int
    objects: bytes
    until: float


@dataclass(frozen=True, slots=True)
class _Operating:
    token: int
    request: Request
    wishes: tuple[Wish, ...]
    operated: tuple[int, ...]  # which of the wishes were given
    statuses: tuple[Status, ...]
    selected_until: float | None = None  # of a select


@dataclass(frozen=True, slots=True)
class _Item:
    """Something to put into a fragment; ``put`` is False where there is no room for it, or for what is left of it."""

    put: Callable[[ObjectBuilder], bool]


@dataclass(slots=True)
class _Items:
    """What a response tells, over as many fragments as it takes."""

    rest: Iterator[_Item]
    left: _Item | None = None  # that had no room

    def fill(self, builder: ObjectBuilder) -> bool:
        """Put in what there is room for; whether that was all."""
        while (item := self.left or next(self.rest, None)) is not None:
            if not item.put(builder):
                self.left = item
                return False
            self.left = None
        return True


class Association:
    """``wall_ms`` is the UTC clock in ms."""

    def __init__(
        self,
        config: Outstation,
        master: OutstationMaster,
        database: Database,
        controls: ControlPoints,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._config = config
        self._master = master
        self._database = database
        self._controls = controls
        self._wall_ms = wall_ms
        self.events = EventBuffer(config.events)
        self._classes: dict[tuple[Kind, int], int] = {}  # that this master has assigned
        self._attributes = Attributes(database)
        database.follow(self._note)
        self.clock_offset_ms: int | None = None  # what the master's last time says of ours
        self._confirm_s = config.confirm_timeout_ms / 1000
        self._is_restarted = True
        self._needs_time = config.needs_time
        self._broadcast: Broadcast | None = None
        self._awaited: _Awaited | None = None
        self._selected: _Selected | None = None
        self._operating: _Operating | None = None
        self._token = 0
        self._last: tuple[bytes, bytes] | None = None  # request and response
        self._recorded_ms: tuple[int, float] | None = None  # wall and monotonic, of RECORD_CURRENT_TIME
        self._waiting: bytes | None = None  # a request that came meanwhile
        self._enabled: set[int] = set()
        self._unsolicited: _Unsolicited | None = None
        self._unsolicited_sequence = 0
        self._has_announced = False
        self._quiet_until = 0.0
        self._hold_since: float | None = None
        self._is_linked = False

    # ── the link ───────────────────────────────────────────────────────────────────────────────────────────────
    def link_up(self, now: float) -> list[Effect]:
        """The master is there (again): nothing of the conversation before holds."""
        self.link_down()
        self._is_linked = True
        self._quiet_until = now
        return self.tick(now)

    def link_down(self) -> None:
        """Whatever was not confirmed will be told again."""
        self.events.take_back()
        self._is_linked = False
        self._awaited = self._unsolicited = self._selected = None
        self._last = self._waiting = self._operating = None
        self._hold_since = None
        self._recorded_ms = None

    def _note(self, event: Event) -> None:
        """A change, of the class that this master has given the point, or else of the point's own."""
        own = event.event_class
        event_class = own
        if self._classes:
            event_class = self._classes.get((event.point.kind, event.point.index), own)
        if event_class:
            self.events.add(event if event_class == own else event._replace(event_class=event_class))

    # ── what comes ─────────────────────────────────────────────────────────────────────────────────────────────
    def receive(self, fragment: bytes, now: float, broadcast: Broadcast | None = None) -> list[Effect]:
        """A fragment from the master. What can not be a request is dropped."""
        try:
            request = decode_request(fragment)
        except FragmentError:
            return []
        if request.function == Function.CONFIRM:
            return self._confirm(request.control, now)
        if broadcast is not None:
            self._broadcast = broadcast
            self._silently(request)
            return []
        if self._operating is not None or (
            self._unsolicited is not None and request.function == Function.READ
        ):
            # A command is under way; or, 4.1.3.2: a read waits until the unsolicited response is settled.
            if self._operating is None or fragment != self._operating_fragment():
                self._waiting = fragment
            return []
        return self._request(fragment, request, now)

    def _operating_fragment(self) -> bytes:
        assert self._operating is not None
        request = self._operating.request
        return bytes((request.control.encode(), request.function)) + request.objects

    def _request(self, fragment: bytes, request: Request, now: float) -> list[Effect]:
        if self._awaited is not None:
            self.events.take_back()  # 4.3.2: a new request instead of the confirm
            self._awaited = None
        if self._last is not None and self._last[0] == fragment and request.function != Function.READ:
            return [Send(self._last[1])]  # a retry: answered again, never done again
        self._last = None
        effects = self._answer(request, now)
        for effect in effects:
            if isinstance(effect, Send):
                self._last = fragment, effect.fragment
        return effects

    def _answer(self, request: Request, now: float) -> list[Effect]:
        try:
            function = Function(request.function)
        except ValueError:
            return self._respond(request, indication=Indication.NO_FUNC_CODE_SUPPORT)
        try:
            match function:
                case Function.READ:
                    return self._read(request, now)
                case Function.WRITE:
                    self._write(request.objects, now)
                    return self._respond(request)
                case (
                    Function.SELECT | Function.OPERATE | Function.DIRECT_OPERATE | Function.DIRECT_OPERATE_NR
                ):
                    return self._control(function, request, now)
                case Function.ENABLE_UNSOLICITED | Function.DISABLE_UNSOLICITED:
                    self._switch_unsolicited(function, request.objects, now)
                    return self._respond(request)
                case Function.DELAY_MEASURE:
                    return self._respond(request, bytes((52, 2, Qualifier.COUNT_8, 1, 0, 0)))
                case Function.RECORD_CURRENT_TIME:
                    self._recorded_ms = self._wall_ms(), now
                    return self._respond(request)
                case Function.ASSIGN_CLASS:
                    self._assign(request.objects)
                    return self._respond(request)
                case _ if function in _FREEZES:
                    self._freeze(function, request.objects)
                    return [] if function in _WITHOUT_RESPONSE else self._respond(request)
                case _:
                    return self._respond(request, indication=Indication.NO_FUNC_CODE_SUPPORT)
        except HeaderError as error:
            return (
                [] if function in _WITHOUT_RESPONSE else self._respond(request, indication=error.indication)
            )

    def _silently(self, request: Request) -> None:
        """A broadcast. Commands are not taken that way: nobody could be told what became of them."""
        try:
            if request.function == Function.WRITE:
                self._write(request.objects, 0.0)
            elif request.function in (Function.IMMED_FREEZE_NR, Function.FREEZE_CLEAR_NR):
                self._freeze(Function(request.function), request.objects)
        except HeaderError:
            return

    # ── responses ──────────────────────────────────────────────────────────────────────────────────────────────
    def _indications(self) -> Indication:
        found = Indication(0)
        for one in CLASSES:
            if self.events.pending((one,)):
                found |= _CLASS_INDICATION[one]
        if self.events.is_overflown:
            found |= Indication.EVENT_BUFFER_OVERFLOW
        if self._is_restarted:
            found |= Indication.DEVICE_RESTART
        if self._needs_time:
            found |= Indication.NEED_TIME
        if self._broadcast is not None:
            found |= Indication.BROADCAST
        return found

    def _respond(
        self, request: Request, objects: bytes = b"", indication: Indication = _NOTHING
    ) -> list[Effect]:
        """A response of one fragment without events."""
        control = Control(request.control.sequence, confirm=self._broadcast is Broadcast.CONFIRM)
        fragment = encode_response(control, self._indications() | indication, objects)
        if self._broadcast is Broadcast.NO_CONFIRM:
            self._broadcast = None
        return [Send(fragment)]

    def _read(self, request: Request, now: float) -> list[Effect]:
        indication = Indication(0)
        items: list[Iterable[_Item]] = []
        events = Wanted()  # of all headers together: they are told in the order in which they happened
        for header in read_headers(request.objects):
            is_first = not events.spans
            found = self._wanted(header, events)
            if isinstance(found, Indication):
                indication |= found
            else:
                items.append(found)
            if is_first and events.spans:
                items.append((_Item(lambda builder: self.events.write(events, builder)),))
        rest = _Items(item for group in items for item in group)
        return self._send_next(request.control.sequence, rest, now, is_first=True, indication=indication)

    def _send_next(
        self,
        sequence: int,
        rest: _Items,
        now: float,
        *,
        is_first: bool,
        indication: Indication = _NOTHING,
    ) -> list[Effect]:
        """The next fragment of a response to a READ."""
        builder = ObjectBuilder(_ROOM)
        is_final = rest.fill(builder)
        needs_confirm = not is_final or self.events.has_written or self._broadcast is Broadcast.CONFIRM
        control = Control(sequence, is_first, is_final, confirm=needs_confirm)
        fragment = encode_response(control, self._indications() | indication, builder.take())
        if self._broadcast is Broadcast.NO_CONFIRM:
            self._broadcast = None
        if needs_confirm:
            self._awaited = _Awaited(sequence, now + self._confirm_s, None if is_final else rest)
        return [Send(fragment)]

    def _wanted(self, header: Header, events: Wanted) -> Iterable[_Item] | Indication:
        """What one header of a READ asks for; events are added to ``events``."""
        group, variation = header.group, header.variation
        if group == 60:
            return self._of_class(header, events)
        if group in KIND_OF_STATIC:
            return self._static(KIND_OF_STATIC[group], header)
        if group in KIND_OF_EVENT:
            kind = KIND_OF_EVENT[group]
            if variation and variation not in EVENTS[kind]:
                return Indication.OBJECT_UNKNOWN
            if header.start is not None:
                return Indication.PARAMETER_ERROR
            self.events.want(events, [(one, kind) for one in CLASSES], variation, _limit(header))
            return ()
        if group == DEADBAND_GROUP:
            return self._deadbands(header)
        if group == ATTRIBUTE_GROUP:
            return self._of_itself(header)
        if (group, variation) == (50, 1):
            return (_Item(lambda builder: builder.raw(bytes((50, 1, 7, 1)) + encode_time(self._wall_ms()))),)
        if (group, variation) == (80, 1):
            bits = int(self._indications())
            return (_Item(lambda builder: builder.raw(struct.pack("<BBBBBH", 80, 1, 0, 0, 15, bits))),)
        return Indication.OBJECT_UNKNOWN

    def _of_class(self, header: Header, events: Wanted) -> Iterable[_Item] | Indication:
        if header.start is not None:
            return Indication.PARAMETER_ERROR
        if header.variation == 1:
            if header.qualifier in _COUNTS:
                return Indication.PARAMETER_ERROR
            return (_static_item(point, point.static_variation) for point in self._database.all())
        wanted = _CLASS_OF.get(header.variation)
        if wanted is None:
            return Indication.OBJECT_UNKNOWN
        self.events.want(events, [(wanted, kind) for kind in Kind], limit=_limit(header))
        return ()

    def _static(self, kind: Kind, header: Header) -> Iterable[_Item] | Indication:
        variation = header.variation
        if variation and variation not in STATIC[kind] and kind is not Kind.OCTET_STRING:
            return Indication.OBJECT_UNKNOWN
        if header.qualifier in _COUNTS:
            return Indication.PARAMETER_ERROR
        points = self._database.between(kind, header.start, header.stop)
        if header.start is not None and not points:
            return Indication.PARAMETER_ERROR
        chosen = 0 if kind is Kind.OCTET_STRING else variation
        return (_static_item(point, chosen or point.static_variation) for point in points)

    def _deadbands(self, header: Header) -> Iterable[_Item] | Indication:
        variation = header.variation or DEADBAND_VARIATION
        if variation not in DEADBAND_FORMS:
            return Indication.OBJECT_UNKNOWN
        points = self._database.between(Kind.ANALOG, header.start, header.stop)
        if header.qualifier in _COUNTS or (header.start is not None and not points):
            return Indication.PARAMETER_ERROR
        return [_raw_item(_deadband_object(point, variation)) for point in points]

    def _of_itself(self, header: Header) -> Iterable[_Item] | Indication:
        if header.qualifier in _COUNTS or header.start not in (None, 0):
            return Indication.PARAMETER_ERROR
        found = self._attributes.read(header.variation)
        return [_raw_item(one) for one in found] if found else Indication.OBJECT_UNKNOWN

    # ── confirms ───────────────────────────────────────────────────────────────────────────────────────────────
    def _confirm(self, control: Control, now: float) -> list[Effect]:
        if control.unsolicited:
            return self._confirm_unsolicited(control, now)
        awaited = self._awaited
        if awaited is None or control.sequence != awaited.sequence:
            return []
        self._awaited = None
        self._broadcast = None
        self.events.confirm()
        if awaited.rest is None:
            return self.tick(now)
        following = (awaited.sequence + 1) % _SEQUENCES
        return self._send_next(following, awaited.rest, now, is_first=False)

    def _confirm_unsolicited(self, control: Control, now: float) -> list[Effect]:
        running = self._unsolicited
        if running is None or control.sequence != running.sequence:
            return []
        self._unsolicited = None
        self._broadcast = None
        if running.is_null:
            self._has_announced = True
        else:
            self.events.confirm()
        return self._after_unsolicited(now)

    def _after_unsolicited(self, now: float) -> list[Effect]:
        if self._waiting is not None:
            fragment, self._waiting = self._waiting, None
            return self._request(fragment, decode_request(fragment), now)
        return self.tick(now)

    # ── time ───────────────────────────────────────────────────────────────────────────────────────────────────
    def deadline(self) -> float | None:
        """When `tick` has something to do, at the latest; None: not before something comes."""
        times = [
            self._awaited.until if self._awaited else None,
            self._unsolicited.until if self._unsolicited else None,
        ]
        if self._wants_unsolicited():
            hold = self._hold_since
            due = self._quiet_until
            if self._has_announced and hold is not None and not self._is_full():
                due = max(due, hold + self._config.unsolicited_hold_ms / 1000)
            times.append(due)
        return min((one for one in times if one is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        """What is due: confirms that did not come, events that nobody asked for."""
        if self._awaited is not None and now >= self._awaited.until:
            self._awaited = None
            self.events.take_back()
        if not self.events.pending(self._enabled):
            self._hold_since = None
        elif self._hold_since is None:
            self._hold_since = now
        if self._unsolicited is not None and now >= self._unsolicited.until:
            return self._not_confirmed(now)
        if not self._wants_unsolicited() or now < self._quiet_until:
            return []
        if not self._has_announced:
            return self._announce(now)
        assert self._hold_since is not None
        if now < self._hold_since + self._config.unsolicited_hold_ms / 1000 and not self._is_full():
            return []
        return self._tell_unasked(now)

    def _is_full(self) -> bool:
        """As many events wait as a fragment takes: holding them brings no more of them along."""
        return self.events.octets(self._enabled) >= _ROOM

    def _wants_unsolicited(self) -> bool:
        if not self._is_linked or not self._master.unsolicited or self._unsolicited is not None:
            return False
        if self._awaited is not None or self._operating is not None:
            return False
        return not self._has_announced or bool(self.events.pending(self._enabled))

    def _announce(self, now: float) -> list[Effect]:
        """The null response that tells of the restart: nothing else goes before it is confirmed."""
        return self._send_unsolicited(b"", now, is_null=True)

    def _tell_unasked(self, now: float) -> list[Effect]:
        builder = ObjectBuilder(_ROOM)
        wanted = Wanted({(one, kind): [(LAST, 0)] for one in self._enabled for kind in Kind})
        self.events.write(wanted, builder)
        if not self.events.pending(self._enabled):
            self._hold_since = None  # else what had no room has waited already, and goes after the confirm
        return self._send_unsolicited(builder.take(), now, is_null=False)

    def _send_unsolicited(self, objects: bytes, now: float, *, is_null: bool) -> list[Effect]:
        sequence = self._unsolicited_sequence
        self._unsolicited_sequence = (sequence + 1) % _SEQUENCES
        control = Control(sequence, confirm=True, unsolicited=True)
        fragment = encode_response(control, self._indications(), objects)
        self._unsolicited = _Unsolicited(fragment, sequence, now + self._confirm_s, 0, is_null)
        return [Send(fragment)]

    def _not_confirmed(self, now: float) -> list[Effect]:
        running = self._unsolicited
        assert running is not None
        if self._waiting is not None:  # 4.1.3.2: the read goes first, the events with it
            self._unsolicited = None
            self.events.take_back()
            return self._after_unsolicited(now)
        if running.retries < self._config.unsolicited_retries:
            running.retries += 1
            running.until = now + self._confirm_s
            return [Send(running.fragment)]  # the same again, so that the master sees a repeat
        self._unsolicited = None
        self.events.take_back()
        self._quiet_until = now + self._config.unsolicited_pause_ms / 1000
        return []

    # ── what is written ────────────────────────────────────────────────────────────────────────────────────────
    def _write(self, objects: bytes, now: float) -> None:
        deadbands: list[tuple[Point, float]] = []
        at = 0
        while at < len(objects):
            header, at = read_header(objects, at)
            if (header.group, header.variation) == (80, 1):
                at = self._write_indications(header, objects, at)
            elif header.group == 50 and header.variation in (1, 3):
                at = self._write_time(header, objects, at, now)
            elif header.group == DEADBAND_GROUP:
                if self._master.user is None:  # they are all masters' deadbands
                    raise HeaderError("a master that may change nothing")
                found, at = read_deadbands(header, objects, at, self._database)
                deadbands += found
            else:
                raise HeaderError(
                    f"g{header.group}v{header.variation} is not written", Indication.OBJECT_UNKNOWN
                )

        for point, deadband in deadbands:
            point.deadband = deadband

    def _assign(self, objects: bytes) -> None:
        wanted = read_classes(objects, self._database)
        self._classes |= wanted
        for (kind, index), event_class in wanted.items():
            if event_class:
                self._database.follow_point(kind, index)

    def _write_indications(self, header: Header, objects: bytes, at: int) -> int:
        """Only the restart bit is for the master to clear."""
        if header.start is None or header.stop is None:
            raise HeaderError("indications are written by their range")
        end = at + (header.stop - header.start) // 8 + 1
        if (
            end > len(objects)
            or (header.start, header.stop) != (_RESTART_BIT, _RESTART_BIT)
            or objects[at] & 1
        ):
            raise HeaderError("of the indications only IIN1.7 is written, with 0")
        self._is_restarted = False
        return end

    def _write_time(self, header: Header, objects: bytes, at: int, now: float) -> int:
        if header.count != 1 or at + 6 > len(objects):
            raise HeaderError("one time is written at once")
        theirs_ms = decode_time(objects[at:])
        if header.variation == 1:
            ours_ms = self._wall_ms()
        elif self._recorded_ms is None:
            raise HeaderError("no time was recorded to set")
        else:
            ours_ms = self._recorded_ms[0]
        self.clock_offset_ms = theirs_ms - ours_ms
        self._needs_time = False
        return at + 6

    def _freeze(self, function: Function, objects: bytes) -> None:
        points: list[Point] = []
        for header in read_headers(objects):
            if header.group != 20 or header.variation != 0 or header.qualifier in _COUNTS:
                raise HeaderError("only counters are frozen", Indication.OBJECT_UNKNOWN)
            points += self._database.between(Kind.COUNTER, header.start, header.stop)
        if function in (Function.FREEZE_CLEAR, Function.FREEZE_CLEAR_NR):
            raise HeaderError(
                "counters are the site's own and are not cleared", Indication.NO_FUNC_CODE_SUPPORT
            )
        self._database.freeze(points, self._wall_ms())

    def _switch_unsolicited(self, function: Function, objects: bytes, now: float) -> None:
        classes: set[int] = set()
        for header in read_headers(objects):
            if header.group != 60 or header.variation not in _CLASS_OF:
                raise HeaderError("unsolicited responses are switched by class", Indication.OBJECT_UNKNOWN)
            classes.add(_CLASS_OF[header.variation])
        if function is Function.ENABLE_UNSOLICITED:
            self._enabled |= classes
            self._quiet_until = min(self._quiet_until, now)
        else:
            self._enabled -= classes

    # ── commands ───────────────────────────────────────────────────────────────────────────────────────────────
    def _control(self, function: Function, request: Request, now: float) -> list[Effect]:
        wishes = self._controls.read(request.objects)
        if self._master.user is None:
            return self._refuse(request, wishes, Status.NOT_AUTHORIZED)
        statuses = tuple(wish.status for wish in wishes)
        is_whole = all(status is Status.SUCCESS for status in statuses)
        if function is Function.SELECT:
            until = now + self._config.select_timeout_ms / 1000
            asked = tuple(
                place for place, wish in enumerate(wishes) if wish.point is not None and wish.point.select
            )
            if is_whole and asked:
                self._selected = None
                return self._give(request, wishes, asked, statuses, until)
            self._selected = _Selected(request.control.sequence, request.objects, until) if is_whole else None
            return self._respond(request, answer(wishes, statuses))
        if function is Function.OPERATE:
            selected, self._selected = self._selected, None
            status = _select_status(selected, request, now)
            if status is not Status.SUCCESS:
                return self._refuse(request, wishes, status)
        operated = tuple(place for place, status in enumerate(statuses) if status is Status.SUCCESS)
        if not operated:
            return (
                []
                if function is Function.DIRECT_OPERATE_NR
                else self._respond(request, answer(wishes, statuses))
            )
        return self._give(request, wishes, operated, statuses)

    def _give(
        self,
        request: Request,
        wishes: tuple[Wish, ...],
        given: tuple[int, ...],
        statuses: tuple[Status, ...],
        selected_until: float | None = None,
    ) -> list[Effect]:
        self._token += 1
        self._operating = _Operating(self._token, request, wishes, given, statuses, selected_until)
        is_select = selected_until is not None
        return [Operate(self._token, tuple(wishes[place] for place in given), is_select)]

    def _refuse(self, request: Request, wishes: tuple[Wish, ...], status: Status) -> list[Effect]:
        if request.function == Function.DIRECT_OPERATE_NR:
            return []
        return self._respond(request, answer(wishes, (status,) * len(wishes)))

    def complete(self, token: int, statuses: tuple[Status, ...], now: float) -> list[Effect]:
        """The commands of an `Operate` have ended; of one whose link is gone nobody hears."""
        operating = self._operating
        if operating is None or operating.token != token:
            return []
        self._operating = None
        final = list(operating.statuses)
        for place, status in zip(operating.operated, statuses, strict=True):
            final[place] = status
        if operating.selected_until is not None and all(status is Status.SUCCESS for status in final):
            request = operating.request
            self._selected = _Selected(request.control.sequence, request.objects, operating.selected_until)
        effects: list[Effect] = []
        if operating.request.function != Function.DIRECT_OPERATE_NR:
            effects = self._respond(operating.request, answer(operating.wishes, tuple(final)))
            request = operating.request
            sent = effects[0]
            assert isinstance(sent, Send)
            self._last = (
                bytes((request.control.encode(), request.function)) + request.objects,
                sent.fragment,
            )
        if self._waiting is not None and self._unsolicited is None:
            fragment, self._waiting = self._waiting, None
            return effects + self._request(fragment, decode_request(fragment), now)
        return effects + self.tick(now)


def _select_status(selected: _Selected | None, request: Request, now: float) -> Status:
    """Whether an OPERATE is the one that was selected: next in sequence, the same octets, in time (4.4.4.3)."""
    if selected is None or selected.objects != request.objects:
        return Status.NO_SELECT
    if request.control.sequence != (selected.sequence + 1) % _SEQUENCES:
        return Status.NO_SELECT
    return Status.SUCCESS if now <= selected.until else Status.TIMEOUT


def _limit(header: Header) -> int | None:
    return header.count if header.qualifier in _COUNTS else None


def _deadband_object(point: Point, variation: int) -> bytes:
    head = struct.pack("<BBBHH", DEADBAND_GROUP, variation, Qualifier.RANGE_16, point.index, point.index)
    return head + encode_deadband(point, variation)


def _raw_item(data: bytes) -> _Item:
    return _Item(lambda builder: builder.raw(data))


def _static_item(point: Point, variation: int) -> _Item:
    return _Item(lambda builder: builder.static(point, variation))
