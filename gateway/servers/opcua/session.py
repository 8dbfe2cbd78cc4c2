"""A client's session: whose it is, and the services it may ask for."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import struct
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from asyncua import ua
from asyncua.common.utils import ServiceError, create_nonce
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.config.site import Role, Tag
from gateway.servers.freshness import Freshness
from gateway.servers.opcua import history_read, limits, writes
from gateway.servers.opcua.encoding import Stamps
from gateway.servers.opcua.nodes import SiteSpace
from gateway.servers.opcua.sign_in import SignIn
from gateway.servers.opcua.subscriptions import Subscription, Subscriptions, demand_some, stamps_of
from gateway.servers.opcua.values import data_value, status
from gateway.tags.command import Commander
from gateway.tags.history import HistorySource
from gateway.tags.image import Region
from gateway.tags.sample import Sample, value_from_bits
from gateway.tags.tag import ValueType

if TYPE_CHECKING:
    from gateway.servers.opcua.channel import Connection

# How a password comes encrypted, by the policy that asks for it (OPC 10000-7, 6.6.161 to 6.6.165).
_DECRYPT = {
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep": uacrypto.decrypt_rsa_oaep,
    "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256": uacrypto.decrypt_rsa_oaep_sha256,
}
_PASSWORD_BLOCKS = 8  # of the server's key: room for the longest password that Accounts takes


@dataclass(slots=True)
class Plant:
    """What sessions serve: the site's tags, their present values, the way to devices, and what was."""

    tags: tuple[Tag, ...]
    region: Region
    freshness: Freshness
    commander: Commander
    history: HistorySource
    readers: ThreadPoolExecutor

    def present(self, tag: int) -> ua.DataValue:
        """A tag's value now."""
        return self.values([tag], Stamps.BOTH)[0]

    def values(self, places: list[int], stamps: Stamps) -> list[ua.DataValue]:
        """Values now, in the order asked."""
        now_ns = time.time_ns()
        samples = self.region.read(np.array(places, np.uint32))
        texts: dict[int, str] = {}
        for row, place in enumerate(places):
            if self.tags[place].type is ValueType.STRING:
                samples[row : row + 1], [texts[row]] = self.region.texts(samples["tag"][row : row + 1])
        self.freshness.mark(samples, now_ns)
        result = []
        for row, (place, code, bits, source_time, receipt_time) in enumerate(samples.tolist()):
            type = self.tags[place].type
            value = texts[row] if row in texts else value_from_bits(bits, type)
            result.append(data_value(Sample(value, code, source_time, receipt_time), type, stamps, now_ns))
        return result


class Session(InternalSession):
    """One session, on one connection at a time."""

    def __init__(
        self, server: Any, space: SiteSpace, subscriptions: Subscriptions, name: Any, plant: Plant
    ) -> None:
        super().__init__(server, space, subscriptions, name)
        self._space = space
        self._plant = plant
        self._subscriptions = subscriptions
        # The library counts both up from 1000, so that anybody can take a session over. 256 bits cannot be guessed;
        # OPC 10000-4, 7.36 asks for 32 bytes of randomness.
        self.auth_token = ua.NodeId(
            ua.ByteString(secrets.token_bytes(32)), ua.Int16(0), ua.NodeIdType.ByteString
        )
        self.session_id = ua.NodeId(cast("ua.Guid", uuid.uuid4()), ua.Int16(1), ua.NodeIdType.Guid)
        self.external = True
        self.iserver.register_external_session(self)
        self.connection: Connection | None = None
        self.certificate = b""  # of the client that made it; empty on a channel without security
        self.role = Role.VIEWER

    def is_token(self, given: ua.NodeId) -> bool:
        """Whether a request belongs to this session."""
        own = self.auth_token.Identifier
        assert isinstance(own, bytes), own
        return isinstance(given.Identifier, bytes) and hmac.compare_digest(given.Identifier, own)

    async def create_session(
        self, params: ua.CreateSessionParameters, sockname: tuple[str, int] | None = None
    ) -> ua.CreateSessionResult:
        result = await super().create_session(params, sockname)
        result.MaxRequestMessageSize = ua.UInt32(limits.MESSAGE_BYTES)
        return result

    async def activate(
        self,
        params: ua.ActivateSessionParameters,
        sign_in: SignIn,
        algorithm: str,
        address: str,
        is_new_channel: bool,
    ) -> ua.ActivateSessionResult:
        """Sign a user in (OPC 10000-4, 5.7.3). ``algorithm`` is how the password must be encrypted.

        Raises ServiceError; nothing has changed then.
        """
        token = params.UserIdentityToken
        if not isinstance(token, ua.UserNameIdentityToken) or not token.UserName:
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        if is_new_channel and self.state is SessionState.Activated and token.UserName != self.user.name:
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        password = self._password(token, algorithm)
        role = await sign_in.role_of(token.UserName, password, address)
        if role is None:
            raise ServiceError(StatusCodes.BadUserAccessDenied)
        if self.state is SessionState.Closed:
            raise ServiceError(StatusCodes.BadSessionClosed)
        self.user = User(UserRole.User, token.UserName)
        self.role = role
        self.nonce = create_nonce(limits.NONCE_BYTES)
        self.state = SessionState.Activated
        self.touch()
        self._start_timeout_watchdog()
        return ua.ActivateSessionResult(ServerNonce=ua.ByteString(self.nonce))

    def _password(self, token: ua.UserNameIdentityToken, algorithm: str) -> str:
        """The password of a token (OPC 10000-4, 7.41.2.2): length, password, server nonce, encrypted in blocks.

        It is always encrypted, and for this session: a recorded token proves nothing.
        """
        refused = ServiceError(StatusCodes.BadIdentityTokenInvalid)
        key = self.iserver.private_key
        assert isinstance(key, RSAPrivateKey), key
        assert self.nonce is not None, "a session is created before it is activated"
        size = key.key_size // 8
        secret = token.Password
        if token.EncryptionAlgorithm != algorithm or not isinstance(secret, bytes):
            raise refused
        if len(secret) % size or not 0 < len(secret) <= _PASSWORD_BLOCKS * size:
            raise refused
        decrypt = _DECRYPT[algorithm]
        try:
            plain = b"".join(decrypt(key, secret[at : at + size]) for at in range(0, len(secret), size))
            (length,) = struct.unpack_from("<I", plain)
            content = plain[4 : 4 + length]
            password = content[: -len(self.nonce)].decode()
        except (ValueError, struct.error):
            raise refused from None
        if len(content) != length or not hmac.compare_digest(content[-len(self.nonce) :], self.nonce):
            raise refused
        return password

    # Attributes

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        demand_some(params.NodesToRead, limits.NODES_PER_READ)
        stamps = stamps_of(params.TimestampsToReturn)
        if params.MaxAge < 0:
            raise ServiceError(StatusCodes.BadMaxAgeInvalid)
        results: list[ua.DataValue | None] = []
        rows: list[int] = []
        places: list[int] = []
        for row, wanted in enumerate(params.NodesToRead):
            tag = self._space.tag_of(wanted.NodeId)
            if tag is not None and wanted.AttributeId == AttributeIds.Value and not wanted.IndexRange:
                rows.append(row)
                places.append(tag)
                results.append(None)
            else:
                results.append(self._read_other(wanted, tag, stamps))
        for row, value in zip(rows, self._plant.values(places, stamps), strict=True):
            results[row] = value
        return cast("list[ua.DataValue]", results)

    def _read_other(self, wanted: ua.ReadValueId, tag: int | None, stamps: Stamps) -> ua.DataValue:
        if tag is not None and wanted.AttributeId == AttributeIds.UserAccessLevel:
            access = self._space.user_access_level(tag, self.role)
            return ua.DataValue(ua.Variant(access, ua.VariantType.Byte))
        if wanted.IndexRange and (tag is not None or wanted.AttributeId != AttributeIds.Value):
            return ua.DataValue(StatusCode=status(StatusCodes.BadIndexRangeNoData))
        found = self._space.read_attribute_value(wanted.NodeId, wanted.AttributeId)
        return ua.DataValue(
            found.Value,
            found.StatusCode,
            found.SourceTimestamp if stamps in (Stamps.BOTH, Stamps.SOURCE) else None,
            found.ServerTimestamp if stamps in (Stamps.BOTH, Stamps.SERVER) else None,
        )

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """Command the devices: those of different tags at once, those of one tag in the order given."""
        demand_some(params.NodesToWrite, limits.NODES_PER_WRITE)
        results = [ua.StatusCode()] * len(params.NodesToWrite)
        by_tag: dict[int, list[int]] = {}
        for row, wanted in enumerate(params.NodesToWrite):
            tag = self._space.tag_of(wanted.NodeId)
            if tag is not None and wanted.AttributeId == AttributeIds.Value:
                by_tag.setdefault(tag, []).append(row)
            elif wanted.NodeId not in self._space:
                results[row] = status(StatusCodes.BadNodeIdUnknown)
            else:
                results[row] = status(StatusCodes.BadNotWritable)
        user = self.user.name
        assert user is not None, "only a session that is signed in may write"

        async def command(tag: int, rows: list[int]) -> None:
            for row in rows:
                given = params.NodesToWrite[row]
                results[row] = await writes.write(given, self._plant.tags[tag], user, self._plant.commander)

        await asyncio.gather(*(command(tag, rows) for tag, rows in by_tag.items()))
        return results

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        demand_some(params.NodesToRead, limits.NODES_PER_HISTORY_READ)
        if stamps_of(params.TimestampsToReturn) is Stamps.NEITHER:
            raise ServiceError(StatusCodes.BadTimestampsToReturnInvalid)
        plant = self._plant
        return await history_read.answer(params, self._space, plant.tags, plant.history, plant.readers)

    # Nodes

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        demand_some(params.NodesToBrowse, limits.NODES_PER_BROWSE)
        results = await super().browse(params)
        for wanted, result in zip(params.NodesToBrowse, results, strict=True):
            if wanted.NodeId not in self._space:
                result.StatusCode = status(StatusCodes.BadNodeIdUnknown)
        return results

    async def translate_browsepaths_to_nodeids(
        self, params: list[ua.BrowsePath]
    ) -> list[ua.BrowsePathResult]:
        demand_some(params, limits.NODES_PER_TRANSLATE)
        results = []
        for path in params:
            if path.RelativePath.Elements:
                results.extend(await super().translate_browsepaths_to_nodeids([path]))
            else:
                results.append(ua.BrowsePathResult(status(StatusCodes.BadNothingToDo)))
        return results

    # Subscriptions: only a session's own (OPC 10000-4, 5.14.1.1).

    def _own(self, id: int) -> Subscription:
        found = self._subscriptions.subscriptions.get(id)
        if found is None or found.session_id != self.session_id:
            raise ServiceError(StatusCodes.BadSubscriptionIdInvalid)
        return found

    def _owns(self, id: int) -> bool:
        return id in self._subscriptions.of(self.session_id)

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        result = await super().create_subscription(params, callback, request_callback)
        self._own(result.SubscriptionId).user = self.user.name
        return result

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        self._own(params.SubscriptionId)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        self._own(params.SubscriptionId)
        demand_some(params.ItemsToModify, limits.ITEMS_PER_CALL)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        self._own(params.SubscriptionId)
        demand_some(params.MonitoredItemIds, limits.ITEMS_PER_CALL)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        self._own(params.SubscriptionId)
        demand_some(params.MonitoredItemIds, limits.ITEMS_PER_CALL)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        demand_some(params.SubscriptionIds, limits.SUBSCRIPTIONS)
        results = []
        for id in params.SubscriptionIds:
            if self._owns(id):
                await self._own(id).set_publishing_mode(params.PublishingEnabled)
            results.append(self._known(id))
        return results

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        self._own(params.SubscriptionId)
        return super().modify_subscription(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        results = [self._known(id) for id in ids]
        await super().delete_subscriptions([id for id in dict.fromkeys(ids) if self._owns(id)])
        return results

    def _known(self, id: int) -> ua.StatusCode:
        return ua.StatusCode() if self._owns(id) else status(StatusCodes.BadSubscriptionIdInvalid)

    def publish(
        self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None
    ) -> tuple[int, list[ua.StatusCode]]:
        own = self._subscriptions.of(self.session_id)
        if not own:
            raise ServiceError(StatusCodes.BadNoSubscription)
        results = []
        for ack in acks or ():
            if ack.SubscriptionId in own:
                results.append(own[ack.SubscriptionId].acknowledge(ack.SequenceNumber))
            else:
                results.append(status(StatusCodes.BadSubscriptionIdInvalid))
        return len(own), results

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        return self._own(params.SubscriptionId).republish(params.RetransmitSequenceNumber)

    async def transfer_subscriptions(  # type: ignore[override]  # the library's own differs from its interface, too
        self, params: ua.TransferSubscriptionsParameters, callback: Any
    ) -> list[ua.TransferResult]:
        """Take subscriptions over from another session of the same user (OPC 10000-4, 5.14.7)."""
        demand_some(params.SubscriptionIds, limits.SUBSCRIPTIONS)
        assert self.connection is not None, "a request comes on a connection"
        results = []
        for id in params.SubscriptionIds:
            found = self._subscriptions.subscriptions.get(id)
            if found is None:
                results.append(ua.TransferResult(status(StatusCodes.BadSubscriptionIdInvalid)))
                continue
            if found.user != self.user.name:
                results.append(ua.TransferResult(status(StatusCodes.BadUserAccessDenied)))
                continue
            found.session_id = self.session_id
            found.pub_result_callback = callback
            found.pub_request_callback = self.connection.publish_request_of
            kept = [ua.Counter(number) for number in found.kept_numbers]
            results.append(ua.TransferResult(ua.StatusCode(), kept))
            if params.SendInitialValues:
                found.items.send_present_values()
        return results
