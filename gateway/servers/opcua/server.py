"""The OPC UA server put together: the library's, with our address space, sessions, subscriptions and door."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlparse

import numpy as np
from asyncua import ua
from asyncua.common.node import Node
from asyncua.crypto import security_policies
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import (
    AttributeService,
    MethodService,
    NodeManagementService,
    ViewService,
)
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds

from gateway.config.pki import Identity
from gateway.config.site import Site
from gateway.servers.freshness import Freshness
from gateway.servers.opcua import limits
from gateway.servers.opcua.certificates import TrustList
from gateway.servers.opcua.channel import PASSWORD_POLICY, Listener, Policy
from gateway.servers.opcua.feed import Feed
from gateway.servers.opcua.nodes import NAMESPACE, SiteSpace
from gateway.servers.opcua.session import Plant, Session
from gateway.servers.opcua.sign_in import SignIn
from gateway.servers.opcua.subscriptions import Subscriptions
from gateway.tags.aggregate import Aggregate
from gateway.tags.command import Commander
from gateway.tags.history import HistorySource
from gateway.tags.image import Region

log = logging.getLogger(__name__)

_MODES = {"Sign": ua.MessageSecurityMode.Sign, "SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt}
_POLICIES = {
    "Basic256Sha256": (security_policies.SecurityPolicyBasic256Sha256, 50),
    "Aes128_Sha256_RsaOaep": (security_policies.SecurityPolicyAes128Sha256RsaOaep, 55),
    "Aes256_Sha256_RsaPss": (security_policies.SecurityPolicyAes256Sha256RsaPss, 60),
}
_ENCRYPTION_LEVEL = 20  # an endpoint that encrypts ranks above all that only sign

_ANNOUNCED = {
    f"OperationLimits_{name}": most
    for name, most in (
        ("MaxNodesPerRead", limits.NODES_PER_READ),
        ("MaxNodesPerWrite", limits.NODES_PER_WRITE),
        ("MaxNodesPerHistoryReadData", limits.NODES_PER_HISTORY_READ),
        ("MaxNodesPerBrowse", limits.NODES_PER_BROWSE),
        ("MaxNodesPerRegisterNodes", limits.NODES_PER_REGISTER),
        ("MaxNodesPerTranslateBrowsePathsToNodeIds", limits.NODES_PER_TRANSLATE),
        ("MaxMonitoredItemsPerCall", limits.ITEMS_PER_CALL),
    )
}


_AGGREGATE_FOLDERS = (
    ObjectIds.Server_ServerCapabilities_AggregateFunctions,
    ObjectIds.HistoryServerCapabilities_AggregateFunctions,
)


def security_of(name: str) -> tuple[Any, ua.MessageSecurityMode, int]:
    """Policy, mode and level of what a site file writes, e.g. ``Basic256Sha256:SignAndEncrypt``."""
    if name == "None":
        return security_policies.SecurityPolicyNone, ua.MessageSecurityMode.None_, 0
    policy, _, mode = name.partition(":")
    kind, level = _POLICIES[policy]
    return kind, _MODES[mode], level + (_ENCRYPTION_LEVEL if mode == "SignAndEncrypt" else 0)


class SiteServer(InternalServer):
    """What all sessions share."""

    def __init__(self, site: Site, region: Region, commander: Commander, history: HistorySource) -> None:
        super().__init__()
        self.readers = ThreadPoolExecutor(limits.HISTORY_READERS, "opcua-history")
        freshness = Freshness(region, site.tags)
        self.plant = Plant(site.tags, region, freshness, commander, history, self.readers)
        self.space = SiteSpace(site, self.plant.present, time.time_ns())
        self.feed = Feed(region, freshness)
        self.method_service.stop()
        # The library has made all of these on an address space of its own.
        self.aspace = self.space
        self.attribute_service = AttributeService(self.space)
        self.view_service = ViewService(self.space)
        self.method_service = MethodService(self.space)
        self.node_mgt_service = NodeManagementService(self.space)
        self.subscriptions = Subscriptions(self.space, self.feed)
        self.subscription_service = self.subscriptions
        self.isession = InternalSession(
            self, self.space, self.subscriptions, "Internal", user=User(role=UserRole.Admin)
        )
        self.current_time_node = Node(
            self.isession, ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_CurrentTime))
        )
        self.server_status_node = Node(self.isession, ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus)))
        self.supported_tokens = (ua.UserNameIdentityToken,)  # type: ignore[assignment]  # a tuple of any length there
        self.min_session_timeout_ms, self.max_session_timeout_ms = limits.SESSION_TIMEOUT_MS
        self.max_pending_messages_per_connection = limits.PENDING_MESSAGES
        self.max_connections = limits.CONNECTIONS
        self.max_pending_activation_seconds = limits.SIGN_IN_SECONDS

    @property
    def session_count(self) -> int:
        return len(self._external_sessions)

    def session_of(self, token: ua.NodeId) -> Session | None:
        """The open session of this token."""
        found = self.lookup_external_session(token)
        assert found is None or isinstance(found, Session), found
        return found

    def create_session(self, name: str, user: User = User(), external: bool = False) -> Session:  # noqa: B008 - as the library declares it
        return Session(self, self.space, self.subscriptions, name, self.plant)

    async def stop(self) -> None:
        if self.time_task is not None:  # which would take its second first
            self.time_task.cancel()
            with suppress(asyncio.CancelledError):
                await self.time_task
            self.time_task = None
        await super().stop()
        self.readers.shutdown(wait=False, cancel_futures=True)


class OpcUaServer(Server):
    """The server of one site. `open` it, then `start` and `stop`; `follow` its journal meanwhile."""

    iserver: SiteServer

    def __init__(
        self,
        site: Site,
        region: Region,
        commander: Commander,
        history: HistorySource,
        identity: Identity,
        trust: TrustList,
        sign_in: SignIn,
    ) -> None:
        assert site.opcua is not None, "the site has no OPC UA server"
        super().__init__(SiteServer(site, region, commander, history))
        self._site = site
        self._settings = site.opcua
        self._identity = identity
        self._trust = trust
        self._sign_in = sign_in
        self.name = f"Tieline {site.name}"
        self.manufacturer_name = "Tieline"
        self.product_uri = "urn:tieline"
        self.application_type = ua.ApplicationType.Server
        self._application_uri = identity.application_uri
        self.iserver.certificate = identity.certificate
        self.iserver.private_key = identity.key
        host = site.opcua.host
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        self.endpoint = urlparse(f"opc.tcp://{shown}:{site.opcua.port}/")

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        assert self.bserver is not None, "not started"
        return int(self.bserver.port)

    async def open(self) -> None:
        """Load the standard's nodes and hang the site's below them. 1 to 2 s."""
        await self.init()
        namespace = await self.register_namespace(f"urn:tieline:{self._site.name}")
        assert namespace == NAMESPACE, namespace
        self.iserver.space.attach()
        for name, value in _ANNOUNCED.items():
            node = getattr(ObjectIds, f"Server_ServerCapabilities_{name}")
            await self._set(node, ua.Variant(value, ua.VariantType.UInt32))
        for node, variant in (
            (ObjectIds.HistoryServerCapabilities_AccessHistoryDataCapability, ua.Variant(True)),
            (
                ObjectIds.HistoryServerCapabilities_MaxReturnDataValues,
                ua.Variant(limits.HISTORY_VALUES, ua.VariantType.UInt32),
            ),
        ):
            await self._set(node, variant)
        self._list_aggregates()

    def _list_aggregates(self) -> None:
        """Hang the standard's nodes of aggregates into the folders that say which are offered (OPC 10000-13, 4.4)."""
        space = self.iserver.space
        organizes = ua.NodeId(ua.Int32(ObjectIds.Organizes))
        for folder in _AGGREGATE_FOLDERS:
            references = space[ua.NodeId(ua.Int32(folder))].references
            listed = {reference.NodeId.Identifier for reference in references}
            for aggregate in Aggregate:
                if aggregate not in listed:
                    target = ua.NodeId(ua.Int32(int(aggregate)))
                    references.append(space.reference(organizes, True, target))

    async def _set(self, node: int, value: ua.Variant) -> None:
        await self.get_node(ua.NodeId(ua.Int32(node))).write_value(value)

    async def start(self) -> None:
        policies = []
        for name in self._settings.security:
            kind, mode, level = security_of(name)
            self._set_endpoints(kind, mode, level)
            policies.append(Policy(kind, mode, self._identity.certificate, self._identity.key, self._trust))
            if mode is not ua.MessageSecurityMode.SignAndEncrypt:
                log.warning("security %s is allowed: whoever is on the network reads along", name)
        for endpoint in self.iserver.endpoints:
            plain = endpoint.SecurityMode == ua.MessageSecurityMode.None_
            for token in endpoint.UserIdentityTokens:
                # Passwords are encrypted, whatever the channel does: each token is for one session only.
                token.SecurityPolicyUri = ua.String(
                    PASSWORD_POLICY.URI if plain else endpoint.SecurityPolicyUri
                )
        await self.iserver.start()
        host = self._settings.host
        self.bserver = Listener(self.iserver, host, self._settings.port, policies, self._sign_in)
        await self.bserver.start()
        log.info(
            "listening on opc.tcp://%s:%d/, security %s", host, self.port, ", ".join(self._settings.security)
        )

    def take(self, site: Site) -> None:
        """Serve another site with the same door: sessions and subscriptions go on."""
        server = self.iserver
        before = server.space.tags
        server.plant.region.refresh()
        gone = [place for place, tag in enumerate(before) if tag.name and not site.tags[place].name]
        server.plant.tags = site.tags
        server.plant.freshness.follow(site.tags)
        server.space.follow(site, time.time_ns())
        server.feed.follow(np.array(gone, np.uint32))
        self._site = site

    async def follow(self) -> None:
        """Feed subscriptions from the journal, and watch the age of values, until cancelled."""
        await asyncio.gather(self.iserver.feed.run(), self.iserver.feed.watch_age())
