"""One master's conversation with the outstation, without I/O and without a clock of its own (IEEE 1815 clause 4).

`receive`, `tick` and `complete` return what is to be done: fragments to send, commands to give. Times are seconds of
a monotonic clock. The states:

    solicited    idle ──response with events or more to come──► awaits confirm ──confirm──► next fragment, or idle
                                                                └─no confirm in time, new request, lost link──► idle,
                                                                  the events pending again
    unsolicited  restarted ──null response, confirmed──► idle ──events of enabled classes──► awaits confirm ─► idle
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from gateway.config.dnp3 import Outstation, OutstationMaster
from gateway.servers.dnp3.application import (
    MAX_FRAGMENT,
    Control,
    FragmentError,
    Function,
    HeaderError,
    Indication,
    Qualifier,
    Request,
    decode_request,
    encode_response,
    read_headers,
)
from gateway.servers.dnp3.control import ControlPoints, Status, Wish, answer
from gateway.servers.dnp3.database import Database, Event
from gateway.servers.dnp3.events import CLASSES, LAST, EventBuffer, Wanted
from gateway.servers.dnp3.objects import (
    Kind,
)
from gateway.servers.dnp3.reading import CLASS_OF, Items, Reading
from gateway.servers.dnp3.response import ObjectBuilder
from gateway.servers.dnp3.written import Written

_HEAD = 4  # of a response
_ROOM = MAX_FRAGMENT - _HEAD
_NOTHING = Indication(0)
_SEQUENCES = 16
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
    rest: Items | None


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
        self._reading = Reading(database, self.events, self._indications, wall_ms)
        database.follow(self._note)
        self._confirm_s = config.confirm_timeout_ms / 1000
        self.written = Written(config, master, database, wall_ms)
        self._broadcast: Broadcast | None = None
        self._awaited: _Awaited | None = None
        self._selected: _Selected | None = None
        self._operating: _Operating | None = None
        self._token = 0
        self._last: tuple[bytes, bytes] | None = None  # request and response
        self._waiting: bytes | None = None  # a request that came meanwhile
        self._enabled: set[int] = set()
        self._unsolicited: _Unsolicited | None = None
        self._unsolicited_sequence = 0
        self._has_announced = False
        self._quiet_until = 0.0
        self._hold_since: float | None = None
        self._is_linked = False

    @property
    def clock_offset_ms(self) -> int | None:
        """What the master's last time says of ours; None before it has told one."""
        return self.written.clock_offset_ms

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
        self.written.forget_time()

    def _note(self, event: Event) -> None:
        """A change, of the class that this master has given the point, or else of the point's own."""
        own = event.event_class
        event_class = self.written.classes.get((event.point.kind, event.point.index), own)
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
                    self.written.write(request.objects)
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
                    self.written.record_time()
                    return self._respond(request)
                case Function.ASSIGN_CLASS:
                    self.written.assign(request.objects)
                    return self._respond(request)
                case _ if function in _FREEZES:
                    self.written.freeze(function, request.objects)
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
                self.written.write(request.objects)
            elif request.function in (Function.IMMED_FREEZE_NR, Function.FREEZE_CLEAR_NR):
                self.written.freeze(Function(request.function), request.objects)
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
        if self.written.is_restarted:
            found |= Indication.DEVICE_RESTART
        if self.written.needs_time:
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
        rest, indication = self._reading.items(request.objects)
        return self._send_next(request.control.sequence, rest, now, is_first=True, indication=indication)

    def _send_next(
        self,
        sequence: int,
        rest: Items,
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

    def _switch_unsolicited(self, function: Function, objects: bytes, now: float) -> None:
        classes: set[int] = set()
        for header in read_headers(objects):
            if header.group != 60 or header.variation not in CLASS_OF:
                raise HeaderError("unsolicited responses are switched by class", Indication.OBJECT_UNKNOWN)
            classes.add(CLASS_OF[header.variation])
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
