"""HistoryRead: what is asked of which node, and who answers it (OPC 10000-4, 5.11.3; OPC 10000-11, 6.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Tag
from gateway.servers.opcua import history, modified, processed
from gateway.servers.opcua.encoding import Stamps
from gateway.servers.opcua.nodes import SiteSpace
from gateway.servers.opcua.processed import RefusedError
from gateway.tags.history import HistorySource

Work = Callable[[], ua.HistoryReadResult]


async def answer(
    params: ua.HistoryReadParameters,
    space: SiteSpace,
    tags: Sequence[Tag],
    source: HistorySource,
    readers: Executor,
) -> list[ua.HistoryReadResult]:
    """A result for each node. Raises ServiceError where the question is wrong for all."""
    asked = _Asked(params, space, tags, source)
    try:
        works = asked.works()
    except RefusedError as refused:
        raise ServiceError(refused.code) from None
    loop = asyncio.get_running_loop()
    results = []
    for work in works:
        try:
            results.append(await loop.run_in_executor(readers, work))
        except RefusedError as refused:
            results.append(history.refusal(refused.code))
    return results


@dataclass(frozen=True, slots=True)
class _Asked:
    params: ua.HistoryReadParameters
    space: SiteSpace
    tags: Sequence[Tag]
    source: HistorySource

    def works(self) -> list[Work]:
        """What is to be done for each node, off the loop. Raises RefusedError."""
        nodes, details = self.params.NodesToRead, self.params.HistoryReadDetails
        if isinstance(details, ua.ReadProcessedDetails):
            wishes = processed.wishes_of(details, len(nodes))
            return [partial(self._processed, node, wish) for node, wish in zip(nodes, wishes, strict=True)]
        if isinstance(details, ua.ReadAtTimeDetails):
            times, simple = processed.times_of(details), bool(details.UseSimpleBounds)
            return [partial(self._at_times, node, times, simple) for node in nodes]
        if isinstance(details, ua.ReadRawModifiedDetails):
            work = self._modified if details.IsReadModified else self._raw
            return [partial(work, node, details) for node in nodes]
        return [partial(self._unsupported, node) for node in nodes]

    def _tag(self, node: ua.HistoryReadValueId) -> tuple[int, Tag]:
        """The tag whose history is asked for and its place. Raises RefusedError."""
        place = self.space.tag_of(node.NodeId)
        if place is None:
            is_node = node.NodeId in self.space
            raise RefusedError(
                StatusCodes.BadHistoryOperationUnsupported if is_node else StatusCodes.BadNodeIdUnknown
            )
        tag = self.tags[place]
        if not tag.history:
            raise RefusedError(StatusCodes.BadHistoryOperationUnsupported)
        if self.params.TimestampsToReturn == Stamps.SERVER:
            raise RefusedError(StatusCodes.BadTimestampNotSupported)  # receipt times are not kept
        if node.IndexRange:
            raise RefusedError(StatusCodes.BadIndexRangeNoData)
        return place, tag

    def _unsupported(self, node: ua.HistoryReadValueId) -> ua.HistoryReadResult:
        self._tag(node)
        return history.refusal(StatusCodes.BadHistoryOperationUnsupported)

    def _raw(self, node: ua.HistoryReadValueId, details: ua.ReadRawModifiedDetails) -> ua.HistoryReadResult:
        place, tag = self._tag(node)
        if self.params.ReleaseContinuationPoints:
            return ua.HistoryReadResult()  # none is kept
        if node.ContinuationPoint:
            wish = history.wish_of_point(node.ContinuationPoint, place)
            if wish is None:
                return history.refusal(StatusCodes.BadContinuationPointInvalid)
        else:
            wish = history.wish_of(details, place)
            if wish is None:
                return history.refusal(StatusCodes.BadHistoryOperationInvalid)
        return history.read(wish, tag, self.source)

    def _modified(
        self, node: ua.HistoryReadValueId, details: ua.ReadRawModifiedDetails
    ) -> ua.HistoryReadResult:
        place, tag = self._tag(node)
        if self.params.ReleaseContinuationPoints:
            return ua.HistoryReadResult()
        return modified.read(details, node.ContinuationPoint or None, place, tag, self.source)

    def _processed(
        self, node: ua.HistoryReadValueId, wish: processed.Wish | RefusedError
    ) -> ua.HistoryReadResult:
        place, tag = self._tag(node)
        if self.params.ReleaseContinuationPoints:
            return ua.HistoryReadResult()
        if isinstance(wish, RefusedError):
            raise wish
        return processed.read(wish, node.ContinuationPoint or None, place, tag, self.source)

    def _at_times(
        self, node: ua.HistoryReadValueId, times: processed.Times, simple: bool
    ) -> ua.HistoryReadResult:
        place, tag = self._tag(node)
        if self.params.ReleaseContinuationPoints:
            return ua.HistoryReadResult()
        return processed.read_at(times, simple, node.ContinuationPoint or None, place, tag, self.source)
