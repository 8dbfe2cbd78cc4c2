"""A client's connection: what it may say at which stage, and how much.

====================  ==============================================================================
a connection that     may
====================  ==============================================================================
has said nothing      say Hello
has said Hello        open a secure channel: of a configured policy and mode with a trusted certificate,
                      or one without security, to discover the server's endpoints
discovers             FindServers, GetEndpoints
is secure             create and activate a session too
is signed in          use the other services, with the session's token
====================  ==============================================================================

All else is refused. Whoever breaks the protocol is told so and hung up on (OPC 10000-6, 7.1.5).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from asyncua import ua
from asyncua.common.connection import MessageChunk, SecureConnection, TransportLimits
from asyncua.common.utils import Buffer, ServiceError
from asyncua.crypto import security_policies, uacrypto
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, uatcp_to_binary
from asyncua.ua.uaerrors import UaError
from cryptography.exceptions import InvalidSignature

from gateway.config.pki import application_uris
from gateway.servers.opcua import limits
from gateway.servers.opcua.certificates import TrustList, Untrusted
from gateway.servers.opcua.session import Session
from gateway.servers.opcua.sign_in import SignIn
from gateway.servers.opcua.values import status

if TYPE_CHECKING:
    from gateway.servers.opcua.server import SiteServer

log = logging.getLogger(__name__)

DISCOVERY = frozenset(
    (
        ObjectIds.FindServersRequest_Encoding_DefaultBinary,
        ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary,
    )
)
CREATE_SESSION = ObjectIds.CreateSessionRequest_Encoding_DefaultBinary
ACTIVATE_SESSION = ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary
CLOSE_SESSION = ObjectIds.CloseSessionRequest_Encoding_DefaultBinary
SIGNED_IN = frozenset(
    (
        ObjectIds.ReadRequest_Encoding_DefaultBinary,
        ObjectIds.WriteRequest_Encoding_DefaultBinary,
        ObjectIds.HistoryReadRequest_Encoding_DefaultBinary,
        ObjectIds.BrowseRequest_Encoding_DefaultBinary,
        ObjectIds.TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary,
        ObjectIds.RegisterNodesRequest_Encoding_DefaultBinary,
        ObjectIds.UnregisterNodesRequest_Encoding_DefaultBinary,
        ObjectIds.CreateSubscriptionRequest_Encoding_DefaultBinary,
        ObjectIds.ModifySubscriptionRequest_Encoding_DefaultBinary,
        ObjectIds.SetPublishingModeRequest_Encoding_DefaultBinary,
        ObjectIds.DeleteSubscriptionsRequest_Encoding_DefaultBinary,
        ObjectIds.TransferSubscriptionsRequest_Encoding_DefaultBinary,
        ObjectIds.PublishRequest_Encoding_DefaultBinary,
        ObjectIds.RepublishRequest_Encoding_DefaultBinary,
        ObjectIds.CreateMonitoredItemsRequest_Encoding_DefaultBinary,
        ObjectIds.ModifyMonitoredItemsRequest_Encoding_DefaultBinary,
        ObjectIds.SetMonitoringModeRequest_Encoding_DefaultBinary,
        ObjectIds.DeleteMonitoredItemsRequest_Encoding_DefaultBinary,
    )
)
# Answered when they are done; what comes behind them on the connection does not wait.
SLOW = frozenset(
    (ObjectIds.WriteRequest_Encoding_DefaultBinary, ObjectIds.HistoryReadRequest_Encoding_DefaultBinary)
)

# What the library raises on bytes that are no message. All of it is the peer's doing.
GARBAGE = (
    UaError,
    struct.error,
    InvalidSignature,
    uacrypto.InvalidSignature,  # type: ignore[attr-defined]  # one of its own, besides
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)

# The least that a password is encrypted with on a channel without security.
PASSWORD_POLICY = security_policies.SecurityPolicyBasic256Sha256


class Policy(security_policies.SecurityPolicyFactory):
    """A policy and mode that the site allows, for clients that it trusts."""

    def __init__(
        self, kind: Any, mode: ua.MessageSecurityMode, certificate: Any, key: Any, trust: TrustList
    ) -> None:
        super().__init__(kind, mode, certificate, key)
        self._trust = trust

    def create(self, peer_certificate: bytes | None) -> Any:
        if self.cls is not security_policies.SecurityPolicyNone:
            self._trust.demand(peer_certificate or b"", datetime.now(UTC))
        return super().create(peer_certificate)


class Channel(SecureConnection):
    """A secure channel that takes little until someone has signed in."""

    def __init__(self, bounds: TransportLimits) -> None:
        super().__init__(security_policies.SecurityPolicyNone(), bounds)
        self.is_signed_in = False

    def open(self, params: Any, server: Any) -> ua.OpenSecureChannelResult:
        least, most = limits.CHANNEL_LIFETIME_MS
        params.RequestedLifetime = min(max(params.RequestedLifetime, least), most)
        return super().open(params, server)

    def _check_sym_header(self, security_hdr: ua.SymmetricAlgorithmHeader) -> None:
        super()._check_sym_header(security_hdr)
        token = self.security_token
        # OPC 10000-4, 5.6.2.1: messages are taken for a quarter of the lifetime beyond its end.
        if datetime.now(UTC) > token.CreatedAt + timedelta(milliseconds=token.RevisedLifetime * 1.25):
            raise ServiceError(StatusCodes.BadSecureChannelTokenUnknown)

    def _receive(self, msg: MessageChunk) -> ua.Message | None:
        if not self.is_signed_in and (
            self._incoming_size + len(msg.Body) > limits.SIGNED_OUT_MESSAGE_BYTES
            or len(self._incoming_parts) >= limits.SIGNED_OUT_CHUNKS
        ):
            raise ServiceError(StatusCodes.BadTcpMessageTooLarge)
        return super()._receive(msg)


class Connection(UaProcessor):
    """One client's requests, each let through only where the table above allows it."""

    _connection: Channel
    iserver: SiteServer
    session: Session | None

    def __init__(
        self,
        server: SiteServer,
        transport: asyncio.Transport,
        bounds: TransportLimits,
        policies: list[Policy],
        sign_in: SignIn,
    ) -> None:
        super().__init__(server, transport, bounds)
        self._connection = Channel(self._limits)
        self._allowed = {(policy.cls.URI, policy.mode) for policy in policies}
        self._sign_in = sign_in
        self._has_greeted = False
        self._slow: set[asyncio.Task[bool | None]] = set()
        self.address = str(self.name[0]) if self.name else ""
        self.set_policies(policies)

    # Messages

    async def process(self, header: Any, body: Buffer) -> bool:
        try:
            self._demand_order(header, body)
            return bool(await super().process(header, body))
        except Untrusted as error:
            log.warning("%s refused: %s", self.address, error)
            self.hang_up(error.code)
        except GARBAGE as error:
            code = getattr(error, "code", None)
            log.warning("%s hung up on: %s", self.address, error if code is None else status(code).name)
            self.hang_up(StatusCodes.BadSecurityChecksFailed if code is None else code)
        return False

    def hang_up(self, code: int) -> None:
        """Tell the client why, and close."""
        error = ua.ErrorMessage(status(code))
        self._transport.write(uatcp_to_binary(ua.MessageType.Error, error))  # type: ignore[arg-type]  # bytes there
        self._transport.close()

    def _demand_order(self, header: Any, body: Buffer) -> None:
        kind = header.MessageType
        if kind == ua.MessageType.Hello:
            if self._has_greeted:
                raise ServiceError(StatusCodes.BadTcpMessageTypeInvalid)
            hello = struct_from_binary(ua.Hello, body.copy(header.body_size))
            if min(hello.ReceiveBufferSize, hello.SendBufferSize) < limits.LEAST_BUFFER_BYTES:
                raise ServiceError(StatusCodes.BadConnectionRejected)
            if len(hello.EndpointUrl or "") > limits.ENDPOINT_URL_BYTES:
                raise ServiceError(StatusCodes.BadTcpEndpointUrlInvalid)
            self._has_greeted = True
        elif not self._has_greeted or kind not in (
            ua.MessageType.SecureOpen,
            ua.MessageType.SecureMessage,
            ua.MessageType.SecureClose,
        ):
            raise ServiceError(StatusCodes.BadTcpMessageTypeInvalid)
        elif kind == ua.MessageType.SecureOpen:
            if header.packet_size > limits.OPEN_MESSAGE_BYTES:
                raise ServiceError(StatusCodes.BadTcpMessageTooLarge)
        elif not self._connection.is_open():
            raise ServiceError(StatusCodes.BadTcpSecureChannelUnknown)

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Buffer) -> None:
        """OPC 10000-4, 5.6.2. A channel without security is for discovery, unless the site allows more."""
        wanted = struct_from_binary(ua.OpenSecureChannelRequest, body.copy()).Parameters
        policy = self._connection.security_policy
        uri, mode = algohdr.SecurityPolicyURI, wanted.SecurityMode
        is_plain = (uri, mode) == (security_policies.SecurityPolicyNone.URI, ua.MessageSecurityMode.None_)
        if not is_plain and (uri, mode) not in self._allowed:
            known = any(uri == allowed for allowed, _ in self._allowed)
            raise ServiceError(
                StatusCodes.BadSecurityModeRejected if known else StatusCodes.BadSecurityPolicyRejected
            )
        if not is_plain and len(wanted.ClientNonce or b"") != limits.NONCE_BYTES:
            raise ServiceError(StatusCodes.BadNonceInvalid)
        renews = wanted.RequestType == ua.SecurityTokenRequestType.Renew
        if renews != self._connection.is_open():
            raise ServiceError(StatusCodes.BadRequestTypeInvalid)
        if renews and (
            (uri, mode) != (policy.URI, policy.Mode)
            or (algohdr.SenderCertificate or b"") != (policy.peer_certificate or b"")
        ):
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)
        super().open_secure_channel(algohdr, seqhdr, body)

    def send_response(
        self, requesthandle: Any, seqhdr: Any, response: Any, msgtype: Any = ua.MessageType.SecureMessage
    ) -> None:
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > limits.SEND_BACKLOG_BYTES:
            log.warning("%s hung up on: it takes none of its answers", self.address)
            self._transport.abort()
            return
        super().send_response(requesthandle, seqhdr, response, msgtype)

    def publish_request_of(self, subscription: int) -> Any:
        """A Publish request that a subscription may answer; None where the client has sent none."""
        return self.get_publish_request(ua.IntegerId(subscription))

    # Requests

    async def process_message(self, seqhdr: Any, body: Buffer) -> bool | None:
        service = nodeid_from_binary(body.copy()).Identifier
        if service not in SLOW:
            return bool(await super().process_message(seqhdr, body) is not False)
        if len(self._slow) >= limits.PENDING_SLOW_REQUESTS:
            request = body.copy()
            nodeid_from_binary(request)
            fault = ua.ServiceFault()
            fault.ResponseHeader.ServiceResult = status(StatusCodes.BadTooManyOperations)
            header = struct_from_binary(ua.RequestHeader, request)
            self.send_response(header.RequestHandle, seqhdr, fault)
            return True
        task = asyncio.create_task(super().process_message(seqhdr, body))
        self._slow.add(task)
        task.add_done_callback(self._slow.discard)
        return True

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Buffer) -> bool:
        service = typeid.Identifier
        if service in DISCOVERY:
            return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))
        self._demand_security()
        if service == CREATE_SESSION:
            await self._create_session(typeid, requesthdr, seqhdr, body)
            return True
        if service == ACTIVATE_SESSION:
            await self._activate_session(requesthdr, seqhdr, body)
            return True
        if service != CLOSE_SESSION and service not in SIGNED_IN:
            raise ServiceError(StatusCodes.BadServiceUnsupported)
        if self.session is None or not self.session.is_token(requesthdr.AuthenticationToken):
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        return bool(await super()._process_message(typeid, requesthdr, seqhdr, body))

    def _demand_security(self) -> None:
        policy = self._connection.security_policy
        if (policy.URI, policy.Mode) not in self._allowed:
            raise ServiceError(StatusCodes.BadSecurityPolicyRejected)

    async def _create_session(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Buffer) -> None:
        """OPC 10000-4, 5.7.2: the client must be who opened the channel."""
        params = struct_from_binary(ua.CreateSessionParameters, body.copy())
        policy = self._connection.security_policy
        certificate = policy.peer_certificate or b""
        if certificate:
            if len(params.ClientNonce or b"") < limits.NONCE_BYTES:
                raise ServiceError(StatusCodes.BadNonceInvalid)
            claimed = uacrypto.x509_from_der(params.ClientCertificate)
            if claimed is None or uacrypto.der_from_x509(claimed) != certificate:
                raise ServiceError(StatusCodes.BadCertificateInvalid)
            if params.ClientDescription.ApplicationUri not in application_uris(claimed):
                raise ServiceError(StatusCodes.BadCertificateUriInvalid)
        if self.session is not None and self.iserver.session_of(self.session.auth_token):
            raise ServiceError(StatusCodes.BadTooManySessions)  # one on a connection
        if self.iserver.session_count >= limits.SESSIONS:
            raise ServiceError(StatusCodes.BadTooManySessions)
        await super()._process_message(typeid, requesthdr, seqhdr, body)
        assert self.session is not None, "the library has made one"
        self.session.connection = self
        self.session.certificate = certificate

    async def _activate_session(self, requesthdr: Any, seqhdr: Any, body: Buffer) -> None:
        """OPC 10000-4, 5.7.3: on the channel of its creation, or on a new one of the same client and user."""
        params = struct_from_binary(ua.ActivateSessionParameters, body)
        policy = self._connection.security_policy
        session = self.session
        is_other = session is None or not session.is_token(requesthdr.AuthenticationToken)
        if is_other:
            session = self.iserver.session_of(requesthdr.AuthenticationToken)
        if session is None or (is_other and not session.is_activated()):
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        if session.certificate != (policy.peer_certificate or b""):
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)
        assert session.nonce is not None, "a session is created with one"
        signed = (policy.host_certificate or b"") + session.nonce
        try:
            policy.asymmetric_cryptography.verify(signed, params.ClientSignature.Signature)
        except (InvalidSignature, ValueError, TypeError):
            raise ServiceError(StatusCodes.BadApplicationSignatureInvalid) from None
        asked = policy if policy.peer_certificate else PASSWORD_POLICY
        result = await session.activate(
            params, self._sign_in, asked.AsymmetricEncryptionURI, self.address, is_other
        )
        if is_other:
            self._take_over(session)
        self._connection.is_signed_in = True
        response = ua.ActivateSessionResponse()
        response.Parameters = result
        self.send_response(requesthdr.RequestHandle, seqhdr, response)

    def _take_over(self, session: Session) -> None:
        """Go on with a session whose connection was lost, or is about to be."""
        before = session.connection
        if before is not None and before is not self:
            before.session = None
            before.hang_up(StatusCodes.BadSecureChannelClosed)
        self.session = session
        session.connection = self
        self._closing = False
        self._session_watchdog_task = asyncio.create_task(self._session_watchdog_loop())
        for subscription in self.iserver.subscriptions.of(session.session_id).values():
            subscription.pub_result_callback = self.forward_publish_response
            subscription.pub_request_callback = self.publish_request_of

    async def end(self) -> None:
        """Give up what is under way; the router goes on with commands it has."""
        for task in self._slow:
            task.cancel()
        await asyncio.gather(*self._slow, return_exceptions=True)


class Door(OPCUAProtocol):
    """One TCP connection's bytes into messages, none longer than allowed."""

    processor: Connection | None

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            listener.server, listener.policies, listener.clients, listener.closing_tasks, listener.limits
        )
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        near = Counter(client.peer_name[0] for client in self.clients if client.peer_name)
        if near[address] >= limits.CONNECTIONS_PER_ADDRESS:
            log.warning("%s refused: it has %d connections", address, near[address])
            transport.close()
            return
        super().connection_made(transport)
        if self.processor is not None:
            stream = cast(asyncio.Transport, transport)  # uvloop's transports are none by descent
            self.processor = Connection(
                self._listener.server, stream, self.limits, self._listener.policies, self._listener.sign_in
            )

    def connection_lost(self, ex: BaseException | None) -> None:
        if self.processor is None:
            return  # refused at once
        super().connection_lost(ex)

    def data_received(self, data: bytes) -> None:
        if self.processor is None or self.transport is None or self.transport.is_closing():
            return
        super().data_received(data)
        if len(self._buffer) >= 8:
            # What is left is the begin of a message. One that is too long is not waited for.
            (size,) = struct.unpack_from("<I", self._buffer, 4)
            if size > limits.CHUNK_BYTES:
                log.warning("%s hung up on: a message of %d bytes", self.processor.address, size)
                self._buffer = b""
                self.processor.hang_up(StatusCodes.BadTcpMessageTooLarge)


class Listener(BinaryServer):
    """Takes connections."""

    def __init__(
        self, server: SiteServer, host: str, port: int, policies: list[Policy], sign_in: SignIn
    ) -> None:
        super().__init__(
            server,
            host,
            port,
            TransportLimits(limits.CHUNK_BYTES, limits.CHUNK_BYTES, limits.CHUNKS, limits.MESSAGE_BYTES),
        )
        self.server = server
        self.policies = policies
        self.sign_in = sign_in

    def _make_protocol(self) -> Door:
        return Door(self)

    async def stop(self) -> None:
        for client in list(self.clients):
            if isinstance(client, Door) and client.processor is not None:
                await client.processor.end()
        await super().stop()
