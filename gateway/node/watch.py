"""What `tieline status` tells of tags that are not as they should be, where their alert calls it its matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from gateway.node.watched import Watched
from gateway.tags.image import Region
from gateway.tags.quality import Quality, is_bad, is_good
from gateway.tags.sample import Sample
from historian.errors import HistoryError
from historian.query.history import History
from historian.since import since

_CODE = 0xFFFF_0000  # the low 16 bits of a StatusCode are flags (OPC 10000-4 7.39)
_NOTHING_WRONG = (Quality.BAD_NO_DATA, Quality.BAD_WAITING_FOR_INITIAL_DATA, Quality.BAD_NOT_SUPPORTED)
_SYSTEM = "_system."


def alert_troubles(region: Region, watched: Sequence[Watched], history: Path, now_ns: int) -> Iterator[str]:
    """A sentence for each that is wrong: what, since when, what to do."""
    with closing(History(history)) as past:
        for each in watched:
            try:
                sample = region.sample(each.tag)
            except KeyError:
                continue  # a reload takes it away just now
            found = _wrong(region, each, sample, past, now_ns)
            if found is not None:
                device = each.tag.removeprefix(_SYSTEM).partition(".")[0]
                yield f"{device} {found}{'. ' + each.alert.do if each.alert.do else ''}"


def _wrong(region: Region, each: Watched, sample: Sample, past: History, now_ns: int) -> str | None:
    alert = each.alert
    if alert.bad and is_bad(sample.status) and sample.status & _CODE not in _NOTHING_WRONG:
        return alert.bad
    if not is_good(sample.status) or not alert.holds(sample.value):
        return None
    try:
        since_ns = since(past, each.tag, alert, sample.value, now_ns)
    except (HistoryError, OSError):
        since_ns = None  # that history is unwell is told elsewhere
    if not alert.is_late_enough(since_ns, now_ns):
        return None
    words = ""
    if alert.words:
        words = str(region.sample(f"{each.tag.rpartition('.')[0]}.{alert.words}").value)
    told = alert.text(sample.value, each.states, words)
    if since_ns is None:
        return told
    return f"{told}, since {datetime.fromtimestamp(since_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
