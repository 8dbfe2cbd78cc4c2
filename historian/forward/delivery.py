"""One batch brought to a target: sent until it is taken, but for the points that the target will never take.

A refused batch is halved until the bad points are alone. Lines of one tag lie together in it, as what is wrong is
mostly wrong with a tag (InfluxDB keeps the type that a field had first); a tag that was refused once is sent apart
for a while, so that it costs the others nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from historian.forward.lines import Encoded
from historian.forward.target import Misconfigured, Refused, Taken, Target, Unreachable

FIRST_BACK_OFF_S, LAST_BACK_OFF_S = 1.0, 60.0
MISCONFIGURED_S = 60.0  # between tries where somebody has to mend something first
SUSPECT_NS = 600 * 10**9  # so long after a refusal a tag's lines are sent apart
MAX_SPLITS = 64  # requests to find the bad points of one batch; what is left then is set aside as a whole

Wait = Callable[[float], bool]  # seconds; True where it was ended early, to stop


class Stopped(Exception):  # noqa: N818 - reads as the claim it makes
    """The wait was ended, to stop; nothing is known of the batch."""


class ConnectionLost(Exception):  # noqa: N818
    """The target did not answer: what it took shortly before may be lost with it. ``after_s`` to leave it alone."""

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s


@dataclass(slots=True)
class Link:
    """How it goes with a target, for those who watch it."""

    is_connected: bool = False
    last_error: str = ""
    sent: int = 0
    back_off_s: float = 0.0
    suspects: dict[int, int] = field(default_factory=dict)  # tag → until when


class Delivery:
    """Batches to one target, one after the other."""

    def __init__(
        self,
        target: Target,
        link: Link,
        set_aside: Callable[[list[str], str], None],
        clock: Callable[[], int],
        wait: Wait,
        *,
        forgets: bool,
    ) -> None:
        """``forgets``: the target may lose what it took when it crashes: a failure is more than to try again."""
        self._target = target
        self._link = link
        self._set_aside = set_aside
        self._clock = clock
        self._wait = wait
        self._forgets = forgets

    def deliver(self, batch: Encoded) -> None:
        """Return when all are taken or set aside. Raises Stopped, ConnectionLost; OSError where the file fails."""
        if batch.unsendable:
            self._set_aside(batch.unsendable, "no form for these at this kind of target")
        now = self._clock()
        suspects = self._link.suspects
        for tag in [tag for tag, until in suspects.items() if until < now]:
            del suspects[tag]
        usual = [i for i, tag in enumerate(batch.tags) if tag not in suspects]
        apart = [i for i, tag in enumerate(batch.tags) if tag in suspects]
        for group in (usual, apart):
            if group:
                self._deliver(batch, group)

    def _deliver(self, batch: Encoded, group: list[int]) -> None:
        lines, tags = batch.lines, batch.tags
        answer = self._send([lines[i] for i in group])
        if isinstance(answer, Taken):
            self._link.sent += len(group)
            return
        work = [(_by_tag(group, batch), answer.why)]
        refused: dict[str, list[int]] = {}
        requests = 0
        while work:
            part, why = work.pop()
            if len(part) == 1 or requests >= MAX_SPLITS:
                refused.setdefault(why, []).extend(part)
                continue
            middle = _middle(part, tags)
            for half in (part[:middle], part[middle:]):
                requests += 1
                match self._send([lines[i] for i in half]):
                    case Taken():
                        self._link.sent += len(half)
                    case Refused(why=why):
                        work.append((half, why))
        until = self._clock() + SUSPECT_NS
        for why, places in refused.items():
            self._set_aside([lines[i] for i in places], why)
            self._link.suspects.update(dict.fromkeys((tags[i] for i in places), until))

    def _send(self, lines: list[str]) -> Taken | Refused:
        """Try until it is taken or refused."""
        text = "".join(f"{line}\n" for line in lines)
        while True:
            answer = self._target.write(text)
            match answer:
                case Taken() | Refused():
                    self._link.is_connected = True
                    self._link.back_off_s = 0.0
                    if isinstance(answer, Refused):
                        self._link.last_error = answer.why
                    return answer
                case Misconfigured() | Unreachable():
                    after = self._fail(answer)
                    if self._forgets and isinstance(answer, Unreachable):
                        raise ConnectionLost(after)
                    if self._wait(after):
                        raise Stopped

    def _fail(self, answer: Misconfigured | Unreachable) -> float:
        """Note it; how long to wait until the next try: twice as long each time, and never all targets at once."""
        link = self._link
        link.is_connected = False
        link.last_error = answer.why
        if isinstance(answer, Misconfigured):
            return MISCONFIGURED_S
        link.back_off_s = min(max(link.back_off_s * 2, FIRST_BACK_OFF_S), LAST_BACK_OFF_S)
        return max(answer.after_s, link.back_off_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def _by_tag(group: list[int], batch: Encoded) -> list[int]:
    """Places by tag, and of lines of one tag and time only the last: halves are sent again in another order."""
    newest: dict[tuple[int, str], int] = {}
    for i in group:
        newest[batch.tags[i], batch.lines[i].rpartition(" ")[2]] = i
    return sorted(newest.values(), key=batch.tags.__getitem__)


def _middle(part: list[int], tags: list[int]) -> int:
    """Where to halve it: between two tags, if it holds more than one."""
    middle = len(part) // 2
    if tags[part[0]] == tags[part[-1]]:
        return middle
    tag = tags[part[middle]]
    first = next(i for i, place in enumerate(part) if tags[place] == tag)
    if first:
        return first
    return next(i for i, place in enumerate(part) if tags[place] != tag)
