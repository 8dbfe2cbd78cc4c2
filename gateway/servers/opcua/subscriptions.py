"""Subscriptions whose monitored tags are fed bytes, not objects; all else of them is the library's.

The library copies each value deeply for each item and keeps no account of dropped ones; here a change is compared
by its bits, queued as encoded bytes, and a full queue says Overflow (OPC 10000-4, 5.13.1.5).
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Tag
from gateway.servers.opcua import limits
from gateway.servers.opcua.encoding import Stamps, overflowed, trimmed
from gateway.servers.opcua.feed import Content, Feed
from gateway.servers.opcua.nodes import SiteSpace, range_of
from gateway.servers.opcua.values import status
from gateway.tags.sample import value_from_bits
from gateway.tags.tag import ValueType

_HANDLE = struct.Struct("<I")
_COUNT = struct.Struct("<i")
_NO_DIAGNOSTICS = b"\xff\xff\xff\xff"
_NOTIFICATION = ua.NodeId(ua.Int32(ObjectIds.DataChangeNotification_Encoding_DefaultBinary))
_NUMBERS = (ValueType.INT64, ValueType.UINT64, ValueType.DOUBLE)


@dataclass(frozen=True, slots=True)
class Filter:
    """What counts as a change (OPC 10000-4, 7.22.2); ``deadband`` is in the tag's unit, None for every change."""

    trigger: ua.DataChangeTrigger = ua.DataChangeTrigger.StatusValue
    deadband: float | None = None


class Watch:
    """A monitored item on a tag's value: what it last reported, and what waits to be published."""

    __slots__ = (
        "_content",
        "_is_first",
        "_is_lossy",
        "_source_time",
        "_status",
        "_type",
        "_wake",
        "discards_oldest",
        "filter",
        "handle",
        "id",
        "mode",
        "queue",
        "queue_size",
        "stamps",
        "tag",
    )

    def __init__(
        self, id: int, tag: int, type: ValueType, stamps: Stamps, wake: Callable[[Watch], None]
    ) -> None:
        """``wake`` is called when a value waits that should be published."""
        self.id = id
        self.tag = tag
        self.stamps = stamps
        self.handle = 0
        self.filter = Filter()
        self.mode = ua.MonitoringMode.Reporting
        self.queue: deque[bytes] = deque()
        self.queue_size = 1
        self.discards_oldest = True
        self._type = type
        self._wake = wake
        self._is_first = True
        self._is_lossy = False
        self._content: Content = None
        self._status = 0
        self._source_time = 0

    def offer(self, content: Content, status: int, source_time: int, encoded: bytes) -> None:
        """A change, or the present sample: queued if it differs from the last one by this item's filter."""
        if self.mode == ua.MonitoringMode.Disabled:
            return
        if not self._is_first and not self._differs(content, status, source_time):
            return
        self._is_first = False
        self._content, self._status, self._source_time = content, status, source_time
        if self._is_lossy:
            self._is_lossy = False
            if self.queue_size > 1:
                encoded = overflowed(encoded)
        self._append(encoded)

    def lost(self) -> None:
        self._is_lossy = True

    def repeat(self) -> None:
        """Forget what was reported, so that the next value offered is."""
        self._is_first = True

    def resize(self, size: int) -> None:
        """Change the queue's length; what does not fit is dropped from the end the client chose."""
        self.queue_size = size
        while len(self.queue) > size:
            self.queue.popleft() if self.discards_oldest else self.queue.pop()

    def _differs(self, content: Content, status: int, source_time: int) -> bool:
        if status != self._status:
            return True
        trigger = self.filter.trigger
        if trigger == ua.DataChangeTrigger.Status:
            return False
        if content != self._content:
            return self._leaves_deadband(content)
        return trigger == ua.DataChangeTrigger.StatusValueTimestamp and source_time != self._source_time

    def _leaves_deadband(self, content: Content) -> bool:
        deadband, before = self.filter.deadband, self._content
        if deadband is None or not isinstance(content, int) or not isinstance(before, int):
            return True
        change = abs(value_from_bits(content, self._type) - value_from_bits(before, self._type))
        return change > deadband or math.isnan(change)

    def _append(self, encoded: bytes) -> None:
        if len(self.queue) < self.queue_size:
            self.queue.append(encoded)
        elif self.queue_size == 1:
            self.queue[0] = encoded
        elif self.discards_oldest:
            self.queue.popleft()
            self.queue[0] = overflowed(self.queue[0])
            self.queue.append(encoded)
        else:
            self.queue[-1] = overflowed(encoded)
        if self.mode == ua.MonitoringMode.Reporting:
            self._wake(self)


class Items(MonitoredItemService):
    """Monitored items of one subscription: `Watch`es on tags, the library's own on all else."""

    def __init__(self, subscription: Subscription, space: SiteSpace, feed: Feed) -> None:
        super().__init__(subscription, space)
        self._subscription = subscription
        self._space = space
        self._feed = feed
        self._watches: dict[int, Watch] = {}

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        demand_some(params.ItemsToCreate, limits.ITEMS_PER_CALL)
        stamps = stamps_of(params.TimestampsToReturn)
        results = []
        for item in params.ItemsToCreate:
            wanted = item.ItemToMonitor
            tag = self._space.tag_of(wanted.NodeId) if wanted.AttributeId == AttributeIds.Value else None
            if len(self._watches) + len(self._monitored_items) >= limits.MONITORED_ITEMS:
                results.append(ua.MonitoredItemCreateResult(status(StatusCodes.BadTooManyMonitoredItems)))
            elif tag is not None:
                results.append(self._watch(item, tag, stamps))
            elif wanted.AttributeId == AttributeIds.EventNotifier:
                results.append(self._create_events_monitored_item(item))
            else:
                results.append(await self._create_data_change_monitored_item(item))
        return results

    def delete_all_monitored_items(self) -> None:
        super().delete_all_monitored_items()
        for watch in self._watches.values():
            self._feed.unwatch(watch)
        self._watches.clear()

    def send_present_values(self) -> None:
        """Report each tag's value once more, changed or not."""
        for watch in self._watches.values():
            watch.repeat()
            self._feed.refresh(watch)

    def _watch(
        self, item: ua.MonitoredItemCreateRequest, tag: int, stamps: Stamps
    ) -> ua.MonitoredItemCreateResult:
        wanted = item.RequestedParameters
        refused = _refused(item.ItemToMonitor)
        if refused:
            return ua.MonitoredItemCreateResult(status(refused))
        filter = _filter_of(wanted.Filter, self._space.tags[tag])
        if isinstance(filter, int):
            return ua.MonitoredItemCreateResult(status(filter))
        self._monitored_item_counter += 1
        watch = Watch(
            self._monitored_item_counter,
            tag,
            self._space.tags[tag].type,
            stamps,
            self._subscription.has_values,
        )
        watch.handle = wanted.ClientHandle
        watch.filter = filter
        watch.mode = item.MonitoringMode
        watch.discards_oldest = wanted.DiscardOldest
        watch.queue_size = _queue_size(wanted.QueueSize)
        self._watches[watch.id] = watch
        self._feed.watch(watch)
        return ua.MonitoredItemCreateResult(
            MonitoredItemId=ua.UInt32(watch.id),
            RevisedSamplingInterval=ua.Double(0),  # by exception: each change counts
            RevisedQueueSize=ua.UInt32(watch.queue_size),
        )

    def _modify_monitored_item(self, params: ua.MonitoredItemModifyRequest) -> ua.MonitoredItemModifyResult:
        watch = self._watches.get(params.MonitoredItemId)
        if watch is None:
            if params.MonitoredItemId not in self._monitored_items:
                return ua.MonitoredItemModifyResult(status(StatusCodes.BadMonitoredItemIdInvalid))
            return super()._modify_monitored_item(params)
        wanted = params.RequestedParameters
        filter = _filter_of(wanted.Filter, self._space.tags[watch.tag])
        if isinstance(filter, int):
            return ua.MonitoredItemModifyResult(status(filter))
        watch.handle = wanted.ClientHandle
        watch.filter = filter
        watch.discards_oldest = wanted.DiscardOldest
        watch.resize(_queue_size(wanted.QueueSize))
        return ua.MonitoredItemModifyResult(
            RevisedSamplingInterval=ua.Double(0), RevisedQueueSize=ua.UInt32(watch.queue_size)
        )

    async def _set_monitoring_mode(self, mode: ua.MonitoringMode, mid: int) -> ua.StatusCode:
        watch = self._watches.get(mid)
        if watch is None:
            return await super()._set_monitoring_mode(mode, mid)
        before, watch.mode = watch.mode, mode
        if mode == ua.MonitoringMode.Disabled:
            watch.queue.clear()
            watch.repeat()
        elif before == ua.MonitoringMode.Disabled:
            self._feed.refresh(watch)
        elif mode == ua.MonitoringMode.Reporting and watch.queue:
            self._subscription.has_values(watch)
        return ua.StatusCode()

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        watch = self._watches.pop(mid, None)
        if watch is None:
            return super()._delete_monitored_items(mid)
        self._feed.unwatch(watch)
        watch.queue.clear()
        return ua.StatusCode()


class Subscription(InternalSubscription):
    """A client's subscription; `has_values` is how its watches ask to be published."""

    def __init__(self, *args: Any, space: SiteSpace, feed: Feed, most: int, **more: Any) -> None:
        """``most``: notifications in a message."""
        super().__init__(*args, **more)
        self.items = self.monitored_item_srv = Items(self, space, feed)
        self._most = most
        self._waiting: dict[Watch, None] = {}  # in the order their first value came
        self.user: str | None = None  # who made it; only he may take it over in another session

    def has_values(self, watch: Watch) -> None:
        self._waiting[watch] = None

    def has_published_results(self) -> bool:
        if self._publishing_enabled and self._waiting:
            return True
        return super().has_published_results()

    async def _subscription_loop(self) -> None:
        """Publish at the interval, which the client may modify meanwhile."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._closing:
            await self.publish_results()
            due = max(due + self.data.RevisedPublishingInterval / 1000, loop.time())
            await asyncio.sleep(due - loop.time())

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Publish what waits, in as many messages as it takes and the client has asked for."""
        sent = await super().publish_results(requestdata)
        more = sent
        while more and self._publishing_enabled and self._waiting:
            more = await super().publish_results()
        return sent

    def republish(self, nb: int) -> ua.NotificationMessage:
        """A message once more; only its acknowledgement drops it (OPC 10000-4, 5.14.6)."""
        result = self._not_acknowledged_results.get(nb)
        if result is None:
            raise ServiceError(StatusCodes.BadMessageNotAvailable)
        message: ua.NotificationMessage = result.NotificationMessage
        return message

    def acknowledge(self, number: int) -> ua.StatusCode:
        if self._not_acknowledged_results.pop(number, None) is None:
            return status(StatusCodes.BadSequenceNumberUnknown)
        return ua.StatusCode()

    @property
    def kept_numbers(self) -> list[int]:
        """Sequence numbers that Republish can give."""
        return sorted(self._not_acknowledged_results)

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        super()._pop_triggered_datachanges(result)
        parts: list[bytes] = []
        while self._waiting and len(parts) < 2 * self._most:
            watch = next(iter(self._waiting))
            handle = _HANDLE.pack(watch.handle)
            while watch.queue and len(parts) < 2 * self._most:
                parts.append(handle)
                parts.append(trimmed(watch.queue.popleft(), watch.stamps))
            if not watch.queue:
                del self._waiting[watch]
        if parts:
            body = _COUNT.pack(len(parts) // 2) + b"".join(parts) + _NO_DIAGNOSTICS
            result.NotificationMessage.NotificationData.append(
                ua.ExtensionObject(_NOTIFICATION, Body=ua.ByteString(body))
            )

    def _pop_publish_result(self) -> ua.PublishResult:
        result = super()._pop_publish_result()
        result.MoreNotifications = bool(self._publishing_enabled and self._waiting)
        return result


class Subscriptions(SubscriptionService):
    """All subscriptions of the server."""

    subscriptions: dict[int, Subscription]  # type: ignore[assignment]  # all are made here

    def __init__(self, space: SiteSpace, feed: Feed) -> None:
        super().__init__(space)
        self._space = space
        self._feed = feed

    def of(self, session_id: ua.NodeId) -> dict[int, Subscription]:
        """Those of one session, by id."""
        return {id: found for id, found in self.subscriptions.items() if found.session_id == session_id}

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        if (
            len(self.subscriptions) >= limits.SUBSCRIPTIONS
            or len(self.of(session_id)) >= limits.SUBSCRIPTIONS_PER_SESSION
        ):
            raise ServiceError(StatusCodes.BadTooManySubscriptions)
        self._sub_id_counter += 1
        result = ua.CreateSubscriptionResult(SubscriptionId=ua.UInt32(self._sub_id_counter))
        revise(result, params)
        id = int(result.SubscriptionId)
        subscription = Subscription(
            result,
            self.aspace,
            callback,
            session_id,
            request_callback=request_callback,
            delete_callback=lambda: self.subscriptions.pop(id, None),
            no_acks_limit=limits.UNACKNOWLEDGED_MESSAGES,
            max_queue_size=limits.QUEUED_VALUES,
            publishing_enabled=params.PublishingEnabled,
            space=self._space,
            feed=self._feed,
            most=min(
                params.MaxNotificationsPerPublish or limits.NOTIFICATIONS_PER_PUBLISH,
                limits.NOTIFICATIONS_PER_PUBLISH,
            ),
        )
        await subscription.start()
        self.subscriptions[id] = subscription
        return result

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        data = self.subscriptions[params.SubscriptionId].data
        revise(data, params)
        return ua.ModifySubscriptionResult(
            data.RevisedPublishingInterval, data.RevisedLifetimeCount, data.RevisedMaxKeepAliveCount
        )


def revise(
    data: ua.CreateSubscriptionResult,
    wanted: ua.CreateSubscriptionParameters | ua.ModifySubscriptionParameters,
) -> None:
    """Put what a client wants of a subscription within bounds (OPC 10000-4, 5.14.2.2)."""
    interval = wanted.RequestedPublishingInterval
    least, most = limits.PUBLISHING_MS
    data.RevisedPublishingInterval = ua.Double(min(max(interval, least), most) if interval > 0 else least)
    alive = min(max(int(wanted.RequestedMaxKeepAliveCount), 1), limits.KEEP_ALIVE_COUNT)
    data.RevisedMaxKeepAliveCount = ua.UInt32(alive)
    lifetime = min(max(int(wanted.RequestedLifetimeCount), 3 * alive), limits.LIFETIME_COUNT)
    data.RevisedLifetimeCount = ua.UInt32(lifetime)


def demand_some(asked: list[Any] | None, most: int) -> None:
    """An operation asks for at least one thing, and at most ``most`` (OPC 10000-4, 7.38.2)."""
    if not asked:
        raise ServiceError(StatusCodes.BadNothingToDo)
    if len(asked) > most:
        raise ServiceError(StatusCodes.BadTooManyOperations)


def stamps_of(wanted: int) -> Stamps:
    """The times asked for. Raises ServiceError: BadTimestampsToReturnInvalid."""
    try:
        return Stamps(wanted)
    except ValueError:
        raise ServiceError(StatusCodes.BadTimestampsToReturnInvalid) from None


def _refused(wanted: ua.ReadValueId) -> int:
    """Why the value cannot be had that way: tags are scalars in the default encoding. 0 if it can."""
    if wanted.IndexRange:
        return StatusCodes.BadIndexRangeNoData
    if wanted.DataEncoding is not None and wanted.DataEncoding.Name not in (None, "", "Default Binary"):
        return StatusCodes.BadDataEncodingUnsupported
    return 0


def _queue_size(wanted: int) -> int:
    return min(max(int(wanted), 1), limits.QUEUED_VALUES)


def _filter_of(wanted: Any, tag: Tag) -> Filter | int:
    """A client's filter as ours, or the StatusCode that refuses it (OPC 10000-4, 7.22.2; OPC 10000-8, 7.2)."""
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and wanted.Body is None):
        return Filter()
    if not isinstance(wanted, ua.uaprotocol_auto.DataChangeFilter):
        return StatusCodes.BadMonitoredItemFilterUnsupported
    match wanted.DeadbandType:
        case ua.DeadbandType.None_:
            return Filter(wanted.Trigger)
        case ua.DeadbandType.Absolute | ua.DeadbandType.Percent if tag.type not in _NUMBERS:
            return StatusCodes.BadFilterNotAllowed
        case ua.DeadbandType.Absolute if wanted.DeadbandValue >= 0:
            return Filter(wanted.Trigger, wanted.DeadbandValue)
        case ua.DeadbandType.Percent:
            limits = range_of(tag)
            if limits is None:
                return StatusCodes.BadMonitoredItemFilterUnsupported
            if not 0 <= wanted.DeadbandValue <= 100:
                return StatusCodes.BadDeadbandFilterInvalid
            return Filter(wanted.Trigger, wanted.DeadbandValue / 100 * (limits[1] - limits[0]))
    return StatusCodes.BadDeadbandFilterInvalid
