"""A session with one server. asyncua is known here and in `discover` only: it makes channel and session, and asks.

Exceptions::

    ConnectError              there is no session; the text is for an operator
    ServiceFault              the server answered a request as a whole with a Bad status
    LostError                 the connection went away while an answer was awaited
    TimeoutError              no answer in time
    WireError                 an answer that is none (gateway.drivers.opcua.wire)
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from asyncua import ua as _ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.ua.status_codes import get_name_and_doc
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from gateway.config.opcua_device import NodeAddress, OpcUaDevice
from gateway.config.pki import Identity, TrustList, Untrusted, first_of_chain
from gateway.drivers.opcua import wire
from gateway.drivers.opcua.tapped import TappedConnection
from gateway.drivers.opcua.wire import Argument, NodeKey, Published, Reading, StructureDefinition, WireError
from gateway.drivers.trace import Ring

# What the library lets through, of its own and of the modules below it; an answer that it cannot read closes the
# socket there, and is a LostError here.
_LIBRARY_ERRORS = (
    UaError,
    OSError,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    InvalidSignature,
)
_POLICIES: Mapping[str, Any] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_NO_SECURITY = "None"
DEFAULT_PORT = 4840
SESSION_MS = 60_000  # a session that we lost is gone after so long, with its subscriptions
CHANNEL_MS = 600_000
RENEW_AT = 0.75  # of the channel's life (OPC 10000-4, 5.5.2)
CALL_ITEMS = 1_000  # in one request, where the server names no limit of its own or a larger one
WINDOW = 1_000  # requests that the latencies look back on
CLOSE_S = 1.0  # for a polite end

BAD_TIMEOUT, BAD_TOO_MANY_PUBLISH_REQUESTS = 0x800A_0000, 0x8078_0000
# A request, or what would answer it, is too large: BadTooManyOperations, BadEncodingLimitsExceeded,
# BadRequestTooLarge, BadResponseTooLarge. Many servers announce no limit and have one.
_TOO_LARGE = frozenset({0x8010_0000, 0x8008_0000, 0x80B8_0000, 0x80B9_0000})
_NAMESPACES: NodeKey = (0, 2255)
_LIMITS = {"read": 11705, "write": 11707, "monitor": 11714}  # of Server.ServerCapabilities.OperationLimits
HIERARCHICAL: NodeKey = (0, 33)  # reference types
_HAS_ENCODING: NodeKey = (0, 38)
_HAS_SUBTYPE: NodeKey = (0, 45)
HAS_PROPERTY: NodeKey = (0, 46)
VALUE, DATA_TYPE, VALUE_RANK, ACCESS_LEVEL, DESCRIPTION, DATA_TYPE_DEFINITION = (
    13,
    14,
    15,
    17,
    5,
    23,
)  # attributes

ua: Any = _ua  # its annotations ask for its own kinds of integer, which nothing needs

log = logging.getLogger(__name__)
T = TypeVar("T")
_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")


class ConnectError(Exception):
    """There is no session; the text is for an operator."""


class ServiceFault(Exception):  # noqa: N818 - the standard's word
    """The server refused a request as a whole."""

    def __init__(self, status: int) -> None:
        super().__init__(status_name(status))
        self.status = status


class LostError(Exception):
    """The connection is gone."""


@dataclass(slots=True)
class Counts:
    """What is told of a device in its system tags, since the start."""

    requests: int = 0
    timeouts: int = 0
    refusals: int = 0
    losses: int = 0
    garbled: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))


@dataclass(frozen=True, slots=True)
class Wish:
    """A monitored item to be. ``handle`` comes back with its values."""

    handle: int
    node: NodeKey
    sampling_ms: float
    queue: int
    absolute: float | None
    percent: float | None


@dataclass(frozen=True, slots=True)
class Item:
    """What became of a `Wish`: the server's status and the sampling interval that it chose."""

    handle: int
    status: int
    sampling_ms: float


@dataclass(frozen=True, slots=True)
class Reference:
    """A node that another refers to."""

    node: NodeKey
    name: str
    node_class: int  # 1 object, 2 variable, 4 method
    type: NodeKey


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as the server made it."""

    id: int
    publishing_s: float
    keep_alive_s: float  # it tells that it lives at least so often


def status_name(status: int) -> str:
    """The standard's name of a StatusCode."""
    name: str = get_name_and_doc(status & 0xFFFF_0000)[0]
    return name


def is_bad(status: int) -> bool:
    return bool(status & 0x8000_0000)


class Connection:
    """A session; make one by `connect`. Requests may be made side by side."""

    def __init__(self, client: Client, timeout_s: float, counts: Counts) -> None:
        """Not for callers: use `connect`."""
        self._client = client
        self._timeout_s = timeout_s
        self._counts = counts
        self._namespaces: list[str] = []
        self._limits = dict.fromkeys(_LIMITS, CALL_ITEMS)

    @classmethod
    async def connect(
        cls,
        config: OpcUaDevice,
        identity: Identity | None,
        trust: TrustList,
        counts: Counts,
        ring: Ring | None = None,
    ) -> Connection:
        """Open channel and session and learn what is asked later. Raises ConnectError.

        ``identity`` is ours; only without security it may be None. ``ring`` is told of what goes over the channel.
        """
        timeout_s = config.timeout_ms / 1000
        client = Client(_whole_url(config.url), timeout=timeout_s)
        client.name = client.description = "Tieline"
        client.session_timeout = SESSION_MS
        client.secure_channel_timeout = CHANNEL_MS
        made = cls(client, timeout_s, counts)
        try:
            async with asyncio.timeout(
                timeout_s * 3
            ):  # endpoints, channel and session, each within its own time
                await cancelled_plainly(made._open(config, identity, trust, ring))
        except (TimeoutError, *_LIBRARY_ERRORS) as error:
            made.abort()
            raise ConnectError(_why(error)) from error
        except BaseException:
            made.abort()
            raise
        return made

    async def _open(
        self, config: OpcUaDevice, identity: Identity | None, trust: TrustList, ring: Ring | None
    ) -> None:
        client = self._client
        if identity is not None:
            client.application_uri = identity.application_uri
        if config.security != _NO_SECURITY:
            assert identity is not None, "security needs a certificate of ours"
            await self._secure(config.security, identity, trust)
        if config.user is not None:
            client.set_user(config.user)
            client.set_password(_password(config))
        await client.connect_socket()
        if ring is not None:
            protocol = client.uaclient.protocol
            assert protocol is not None, "the socket is connected"
            protocol._connection = TappedConnection(protocol._connection, ring)
            ring.note("connected")
        await client.send_hello()
        await client.open_secure_channel()
        session = await client.create_session()
        if config.user is not None:
            self._demand_secrecy(session, trust)
        await client.activate_session(username=config.user, password=client._password)
        await self._learn()

    async def _secure(self, security: str, identity: Identity, trust: TrustList) -> None:
        """Take the endpoint of this policy and mode, if its certificate is trusted."""
        name, _, mode_name = security.partition(":")
        policy, mode = _POLICIES[name], ua.MessageSecurityMode[mode_name]
        offered = await self._client.connect_and_get_server_endpoints()
        fitting = [one for one in offered if one.SecurityPolicyUri == policy.URI and one.SecurityMode == mode]
        if not fitting:
            names = ", ".join(sorted({_security_name(one) for one in offered})) or "nothing"
            raise ConnectError(f"the server does not offer {security}; it offers {names}")
        der = first_of_chain(fitting[0].ServerCertificate or b"")
        try:
            certificate = trust.judge(der, datetime.now(UTC))
        except Untrusted as error:
            raise ConnectError(str(error)) from error
        chosen = policy(certificate, identity.certificate, identity.key, mode)
        self._client.security_policy = chosen
        self._client.uaclient.set_security(chosen)

    def _demand_secrecy(self, session: Any, trust: TrustList) -> None:
        """No password goes to a stranger, or in the clear."""
        client = self._client
        if client.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt:
            return
        uri = client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        if not uri or uri == security_policies.SecurityPolicyNone.URI:
            raise ConnectError("the server wants the password in the clear; use a 'security' that encrypts")
        try:
            trust.judge(first_of_chain(session.ServerCertificate or b""), datetime.now(UTC))
        except Untrusted as error:
            raise ConnectError(str(error)) from error

    async def _learn(self) -> None:
        """Namespaces and limits."""
        nodes: list[NodeKey] = [_NAMESPACES, *((0, number) for number in _LIMITS.values())]
        try:
            spaces, *limits = await self.read(nodes)
        except (ServiceFault, LostError, WireError) as error:
            raise ConnectError(f"it does not tell its namespaces: {error}") from error
        if isinstance(spaces.value, list):
            self._namespaces = [str(one) for one in spaces.value]
        for name, limit in zip(_LIMITS, limits, strict=True):
            if isinstance(limit.value, int) and limit.value > 0:
                self._limits[name] = min(limit.value, CALL_ITEMS)

    def node(self, address: NodeAddress) -> NodeKey | None:
        """A node of this server; None where it has no such namespace."""
        if isinstance(address.namespace, int):
            return address.namespace, address.identifier
        if address.namespace in self._namespaces:
            return self._namespaces.index(address.namespace), address.identifier
        return None

    @property
    def namespaces(self) -> list[str]:
        """The server's namespaces by index."""
        return self._namespaces

    @property
    def patience_s(self) -> float:
        """The server ends a session that is silent for so long."""
        return float(self._client.session_timeout) / 1000

    async def keep(self) -> None:
        """Renew the channel in time, until cancelled. Raises LostError, TimeoutError."""
        while True:
            await asyncio.sleep(self._client.secure_channel_timeout / 1000 * RENEW_AT)
            await self._guard(self._client.open_secure_channel(renew=True))
            self._client.uaclient.revolve_security_token()

    async def close(self) -> None:
        """End session and connection, politely where that is quick."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await cancelled_plainly(self._client.uaclient.close_session(True))
                await cancelled_plainly(self._client.close_secure_channel())
        except (TimeoutError, *_LIBRARY_ERRORS) as error:
            log.debug("a session was not ended: %s", error)
        finally:
            self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        protocol = self._client.uaclient.protocol
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()
        self._client.disconnect_socket()

    # ── services ───────────────────────────────────────────────────────────────────────────────────────────────
    async def read(
        self, nodes: Sequence[NodeKey], attribute: int = VALUE, index: int | None = None
    ) -> list[Reading]:
        """An attribute of nodes, or an element of it, in order; asked of the devices behind, not of a cache.

        Raises ServiceFault, LostError, TimeoutError, WireError.
        """
        return await self._in_parts("read", nodes, lambda some: self._read(some, attribute, index))

    async def _read(self, nodes: Sequence[NodeKey], attribute: int, index: int | None) -> list[Reading]:
        request = ua.ReadRequest()
        request.Parameters.MaxAge = 0.0
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(
                NodeId=_node_of(node),
                AttributeId=ua.AttributeIds(attribute),
                IndexRange=None if index is None else str(index),
            )
            for node in nodes
        ]
        result, values = wire.read_response(await self._ask(request))
        if is_bad(result):
            raise self._refused(result)
        if len(values) != len(nodes):
            self._counts.garbled += 1
            raise WireError(f"{len(values)} values for {len(nodes)} nodes")
        return values

    async def _in_parts(
        self, limit: str, items: Sequence[_Asked], ask: Callable[[Sequence[_Asked]], Awaitable[list[_Told]]]
    ) -> list[_Told]:
        """Ask for many things in requests that the server bears; one that is too large is halved, for good."""
        found: list[_Told] = []
        while len(found) < len(items):
            some = items[len(found) : len(found) + self._limits[limit]]
            try:
                found += await ask(some)
            except ServiceFault as fault:
                if fault.status not in _TOO_LARGE or len(some) == 1:
                    raise
                self._limits[limit] = len(some) // 2
        return found

    async def write(self, node: NodeKey, value: object, type: int, index: int | None) -> int:
        """Write a value, or the element ``index`` of an array, as a built-in type; returns the node's status.

        Raises as `read` does, and ValueError where the value is none of that type.
        """
        variant = _variant_of(value if index is None else [value], type)
        wish = ua.WriteValue(
            NodeId=_node_of(node), AttributeId=ua.AttributeIds.Value, Value=ua.DataValue(variant)
        )
        if index is not None:
            wish.IndexRange = str(index)
        session = self._client.uaclient.session
        results = await self._guard(session.write(ua.WriteParameters([wish])))
        return int(results[0].value)

    async def call(
        self, object: NodeKey, method: NodeKey, arguments: Sequence[tuple[object, int]]
    ) -> tuple[int, list[int]]:
        """Call a method with values and their built-in types; returns its status and those of its arguments.

        Raises as `write` does.
        """
        inputs = [_variant_of(value, type) for value, type in arguments]
        wish = ua.CallMethodRequest(
            ObjectId=_node_of(object), MethodId=_node_of(method), InputArguments=inputs
        )
        result = (await self._guard(self._client.uaclient.session.call([wish])))[0]
        return int(result.StatusCode.value), [int(one.value) for one in result.InputArgumentResults or []]

    async def arguments(self, method: NodeKey) -> list[Argument]:
        """A method's input arguments; none where it has none. Raises as `read` does."""
        path = ua.BrowsePath(StartingNode=_node_of(method))
        path.RelativePath = ua.RelativePath(
            [
                ua.RelativePathElement(
                    _node_of(HAS_PROPERTY), False, True, ua.QualifiedName("InputArguments", 0)
                )
            ]
        )
        session = self._client.uaclient.session
        found = (await self._guard(session.translate_browsepaths_to_nodeids([path])))[0]
        if not found.Targets:
            return []
        told = (await self.read([_key_of(found.Targets[0].TargetId)]))[0].value
        return [wire.argument(one) for one in told] if isinstance(told, list) else []

    async def definition(self, data_type: NodeKey) -> StructureDefinition | None:
        """How a structure is made; None where it is none, or the server does not say. Raises as `read` does."""
        return wire.structure_definition((await self.read([data_type], DATA_TYPE_DEFINITION))[0].value)

    async def data_type_of(self, encoding: NodeKey) -> NodeKey | None:
        """The data type that an encoding is of. Raises as `read` does."""
        return await self._inverse(encoding, _HAS_ENCODING)

    async def supertype_of(self, data_type: NodeKey) -> NodeKey | None:
        """Raises as `read` does."""
        return await self._inverse(data_type, _HAS_SUBTYPE)

    async def _inverse(self, node: NodeKey, reference: NodeKey) -> NodeKey | None:
        found = await self.browse(node, reference, forward=False)
        return found[0].node if found else None

    async def browse(self, node: NodeKey, reference: NodeKey, *, forward: bool = True) -> list[Reference]:
        """A node's references of a type and its subtypes, all of them. Raises as `read` does."""
        session = self._client.uaclient.session
        wish = ua.BrowseDescription(
            NodeId=_node_of(node),
            BrowseDirection=ua.BrowseDirection.Forward if forward else ua.BrowseDirection.Inverse,
            ReferenceTypeId=_node_of(reference),
            IncludeSubtypes=True,
            NodeClassMask=ua.NodeClass.Unspecified,
            ResultMask=ua.BrowseResultMask.All,
        )
        result: Any = (await self._guard(session.browse(ua.BrowseParameters(NodesToBrowse=[wish]))))[0]
        found = list(result.References or [])
        while result.ContinuationPoint:
            more = ua.BrowseNextParameters(ContinuationPoints=[result.ContinuationPoint])
            result = (await self._guard(session.browse_next(more)))[0]
            found += result.References or []
        return [
            Reference(
                _key_of(one.NodeId),
                str(one.BrowseName.Name),
                int(one.NodeClass),
                _key_of(one.TypeDefinition),
            )
            for one in found
            if not getattr(
                one.NodeId, "ServerIndex", 0
            )  # what stands on another server is no node of this one
        ]

    # ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────
    async def subscribe(self, publishing_s: float, keep_alives: int, lifetimes: int) -> Subscription:
        """Make a subscription. Raises as `read` does."""
        params = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=publishing_s * 1000,
            RequestedLifetimeCount=lifetimes,
            RequestedMaxKeepAliveCount=keep_alives,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
            Priority=0,
        )
        request = ua.CreateSubscriptionRequest()
        request.Parameters = params
        answer = await self._typed(request, ua.CreateSubscriptionResponse)
        told = answer.Parameters
        interval_s = told.RevisedPublishingInterval / 1000
        return Subscription(
            told.SubscriptionId, interval_s, interval_s * max(told.RevisedMaxKeepAliveCount, 1)
        )

    async def monitor(self, subscription: Subscription, wishes: Sequence[Wish]) -> list[Item]:
        """Make monitored items. Raises as `read` does."""
        return await self._in_parts("monitor", wishes, lambda some: self._monitor(subscription, some))

    async def _monitor(self, subscription: Subscription, wishes: Sequence[Wish]) -> list[Item]:
        request = ua.CreateMonitoredItemsRequest()
        request.Parameters.SubscriptionId = subscription.id
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ItemsToCreate = [_monitored(wish) for wish in wishes]
        answer = await self._typed(request, ua.CreateMonitoredItemsResponse)
        if len(answer.Results) != len(wishes):
            self._counts.garbled += 1
            raise WireError(f"{len(answer.Results)} results for {len(wishes)} monitored items")
        return [
            Item(wish.handle, int(result.StatusCode.value), result.RevisedSamplingInterval)
            for wish, result in zip(wishes, answer.Results, strict=True)
        ]

    async def publish(self, confirmed: Iterable[tuple[int, int]]) -> Published:
        """Wait for the next that any subscription has to tell. ``confirmed`` are subscriptions and their messages.

        Raises ServiceFault, LostError, WireError.
        """
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=subscription, SequenceNumber=message)
            for subscription, message in confirmed
        ]
        # no request of ours that waits: the server answers when it has something to tell
        body = await self._lost_or(self._client.uaclient._send_request(request, timeout=0))
        result, published = wire.publish_response(body.read(len(body)))
        if published is None:
            raise ServiceFault(result)
        return published

    # ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def _ask(self, request: Any) -> bytes:
        body = await self._guard(self._client.uaclient._send_request(request))
        return bytes(body.read(len(body)))

    async def _typed(self, request: Any, response: Any) -> Any:
        """Ask, and read the answer as the library does."""
        body = await self._guard(self._client.uaclient._send_request(request))
        try:
            answer = ua.ua_binary.struct_from_binary(response, body)
        except _LIBRARY_ERRORS as error:
            self._counts.garbled += 1
            raise WireError(f"no {response.__name__}: {error}") from error
        result = int(answer.ResponseHeader.ServiceResult.value)
        if is_bad(result):
            raise self._refused(result)
        return answer

    async def _guard(self, asking: Awaitable[T]) -> T:
        """Count a request, and give its failure our names."""
        self._counts.requests += 1
        begun = time.monotonic()
        try:
            answer = await self._lost_or(asking)
        except TimeoutError:
            self._counts.timeouts += 1
            raise
        except ServiceFault as fault:
            if fault.status == BAD_TIMEOUT:
                self._counts.timeouts += 1
                raise TimeoutError from fault
            self._counts.refusals += 1
            raise
        self._counts.latencies.append((time.monotonic() - begun) * 1000)
        return answer

    async def _lost_or(self, asking: Awaitable[T]) -> T:
        try:
            return await cancelled_plainly(asking)
        except TimeoutError:
            raise
        except UaStatusCodeError as error:
            raise ServiceFault(int(error.code)) from error
        except _LIBRARY_ERRORS as error:
            raise LostError(_why(error)) from error

    def _refused(self, status: int) -> ServiceFault:
        self._counts.refusals += 1
        return ServiceFault(status)


async def cancelled_plainly(asking: Awaitable[T]) -> T:
    """Await something of the library's, whose end by cancelling is a class of its own where an answer came meanwhile.

    `asyncio.timeout` and `asyncio.TaskGroup` know only the plain one: the first would let it through as if the task
    of the device had been ended, the second would take it for a failure.
    """
    try:
        return await asking
    except asyncio.CancelledError as error:
        if type(error) is asyncio.CancelledError:
            raise
        raise asyncio.CancelledError from error


def _variant_of(value: object, type: int) -> Any:
    """A value as a built-in type."""
    if type == wire.LOCALIZED_TEXT:
        value = ua.LocalizedText(str(value))
    return ua.Variant(value, ua.VariantType(type), is_array=isinstance(value, list))


def _key_of(node: Any) -> NodeKey:
    """A NodeId as our decoder gives it."""
    return node.NamespaceIndex, node.Identifier


def _node_of(key: NodeKey) -> Any:
    """A NodeId as the library has it."""
    return ua.NodeId(key[1], key[0])


def _monitored(wish: Wish) -> Any:
    filter: Any = None
    if wish.absolute is not None or wish.percent is not None:
        kind = ua.DeadbandType.Absolute if wish.absolute is not None else ua.DeadbandType.Percent
        filter = ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue,
            DeadbandType=kind,
            DeadbandValue=wish.absolute if wish.absolute is not None else wish.percent,
        )
    params = ua.MonitoringParameters(
        ClientHandle=wish.handle,
        SamplingInterval=wish.sampling_ms,
        Filter=filter,
        QueueSize=wish.queue,
        DiscardOldest=True,
    )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=_node_of(wish.node), AttributeId=ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=params,
    )


def _whole_url(url: str) -> str:
    """With the port that is meant where none is given (OPC 10000-6, 7.1.1)."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if ":" not in host.rpartition("]")[2]:
        host = f"{host}:{DEFAULT_PORT}"
    return f"{scheme}://{host}{slash}{path}"


def _security_name(endpoint: Any) -> str:
    policy = endpoint.SecurityPolicyUri.rpartition("#")[2]
    return policy if policy == _NO_SECURITY else f"{policy}:{endpoint.SecurityMode.name.rstrip('_')}"


def _password(config: OpcUaDevice) -> str:
    """Raises ConnectError."""
    if config.password_variable is not None:
        password = os.environ.get(config.password_variable)
        if password is None:
            raise ConnectError(
                f"the environment has no {config.password_variable}, where the password should be"
            )
        return password
    assert config.password_file is not None, "the site file was checked for this"
    try:
        return config.password_file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConnectError(f"the password file {config.password_file}: {why}") from error


def _why(error: BaseException) -> str:
    """An error for an operator."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, UaStatusCodeError):
        return f"the server answered {status_name(int(error.code))}"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
