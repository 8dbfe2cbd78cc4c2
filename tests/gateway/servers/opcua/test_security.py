"""Nobody gets in by a policy, a token, a certificate or a password that is not right."""

from __future__ import annotations

import asyncio
import logging
import stat
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import opcua_wire as wire
import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import (
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import (
    PASSWORD,
    Plant,
    make_identity,
    node_id,
    site_of,
    until,
)

from gateway.config.site import OpcUaSettings, Trust
from gateway.servers.opcua import limits, sign_in

Clients = Callable[..., Any]


async def token_of(plant: Plant) -> bytes:
    (token,) = plant.server.iserver._external_sessions
    return bytes(token.Identifier)


# Plaintext, by our own bytes


async def test_a_channel_without_security_tells_endpoints_and_nothing_else(plant: Plant) -> None:
    speaker = await wire.Speaker.connect(plant.server.port)
    await speaker.open_plain()
    speaker.request(wire.GET_ENDPOINTS, wire.get_endpoints())
    answer = await speaker.answer()
    assert (answer.type, answer.status) == (wire.GET_ENDPOINTS_RESPONSE, 0)
    assert answer.body[:4] == struct.pack("<i", 1), "one endpoint"
    assert wire.BASIC256SHA256.encode() in answer.body
    assert wire.NONE.encode() not in answer.body
    speaker.request(wire.CREATE_SESSION, wire.create_session())
    answer = await speaker.answer()
    assert (answer.type, answer.status) == (wire.SERVICE_FAULT, StatusCodes.BadSecurityPolicyRejected)
    assert plant.server.iserver.session_count == 0
    await speaker.close()


async def test_a_session_cannot_be_taken_over_on_a_channel_without_security(
    plant: Plant, client_of: Clients
) -> None:
    async with await client_of(plant):
        token = await token_of(plant)
        speaker = await wire.Speaker.connect(plant.server.port)
        await speaker.open_plain()
        for service, body in (
            (wire.ACTIVATE_SESSION, wire.activate_anonymously()),
            (wire.ACTIVATE_SESSION, wire.activate_with_password("operator", PASSWORD)),
            (wire.READ, struct.pack("<dIi", 0.0, 2, 0)),
            (wire.REGISTER_SERVER, b""),
        ):
            speaker.request(service, body, token)
            answer = await speaker.answer()
            assert (answer.type, answer.status) == (
                wire.SERVICE_FAULT,
                StatusCodes.BadSecurityPolicyRejected,
            )
        await speaker.close()


@pytest.mark.parametrize(
    ("policy", "mode", "code"),
    [
        (wire.NONE, 2, StatusCodes.BadSecurityPolicyRejected),
        (wire.NONE, 3, StatusCodes.BadSecurityPolicyRejected),
        (wire.NONE, 0, StatusCodes.BadSecurityPolicyRejected),
        ("urn:unheard-of", 1, None),
        (wire.BASIC256, 3, None),
    ],
)
async def test_a_channel_of_another_policy_is_refused_and_closed(
    plant: Plant, policy: str, mode: int, code: int | None
) -> None:
    speaker = await wire.Speaker.connect(plant.server.port)
    await speaker.greet()
    speaker.send(wire.open_channel(policy, mode, b"x" * 32 if policy != wire.NONE else None, bytes(32)))
    message = await speaker.expect()
    assert message.error & 0x8000_0000
    if code is not None:
        assert message.error == code
    await speaker.expect_end()
    await speaker.close()


async def test_tokens_of_sessions_are_256_bits_that_nobody_guesses(make_plant: Callable[..., Plant]) -> None:
    """On a site that allows plaintext, so that our own bytes see the token that the server gives."""
    plant = make_plant(site_of(settings=OpcUaSettings(port=0, security=("None",))))
    async with plant.running():
        tokens = []
        for _ in range(4):
            speaker = await wire.Speaker.connect(plant.server.port)
            await speaker.open_plain()
            speaker.request(wire.CREATE_SESSION, wire.create_session())
            answer = await speaker.answer()
            assert (answer.type, answer.status) == (wire.CREATE_SESSION_RESPONSE, 0)
            encoding, token = wire.session_token(answer)
            assert encoding == 5, "a ByteString, where the library gives numbers from 1001"
            assert len(token) == 32
            tokens.append(token)
            speaker.request(wire.ACTIVATE_SESSION, wire.activate_anonymously(), token)
            assert (await speaker.answer()).status == StatusCodes.BadIdentityTokenRejected
            speaker.request(wire.ACTIVATE_SESSION, wire.activate_with_password("operator", PASSWORD), token)
            assert (await speaker.answer()).status == StatusCodes.BadIdentityTokenInvalid, "not encrypted"
            speaker.request(wire.ACTIVATE_SESSION, wire.activate_anonymously(), bytes(32))
            assert (await speaker.answer()).status == StatusCodes.BadSessionIdInvalid
            await speaker.close()
        numbers = [int.from_bytes(token, "little") for token in tokens]
        assert min(abs(a - b) for i, a in enumerate(numbers) for b in numbers[:i]) > 1 << 200
        assert plant.passwords.asked == 0


# Bounds before sign-in


async def test_a_message_too_long_is_not_waited_for(plant: Plant) -> None:
    speaker = await wire.Speaker.connect(plant.server.port)
    await speaker.greet()
    speaker.send(b"MSGC" + struct.pack("<I", 1 << 30) + bytes(100))
    assert (await speaker.expect()).error == StatusCodes.BadTcpMessageTooLarge
    await speaker.expect_end()
    await speaker.close()


async def test_chunks_without_end_are_hung_up_on(plant: Plant) -> None:
    speaker = await wire.Speaker.connect(plant.server.port)
    await speaker.open_plain()
    for number in range(2, 2 + limits.SIGNED_OUT_CHUNKS + 1):
        content = struct.pack("<III", speaker._token, number, 7) + bytes(100)
        speaker.send(b"MSGC" + struct.pack("<II", 12 + len(content), speaker._channel) + content)
    assert (await speaker.expect()).error == StatusCodes.BadTcpMessageTooLarge
    await speaker.expect_end()
    await speaker.close()


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        wire.open_channel(wire.NONE, 1),
        wire.hello(size=100),
        wire.hello(url="x" * 5000),
        wire.hello() + wire.hello(),
        wire.hello() + b"OPNF" + struct.pack("<II", 20_012, 0) + bytes(20_000),
        wire.hello() + b"MSGF" + struct.pack("<II", 24, 0) + bytes(12),
        wire.hello() + b"OPNF" + struct.pack("<II", 24, 0) + b"\xff" * 12,
    ],
    ids=["http", "no hello", "small buffers", "long url", "two hellos", "long open", "no channel", "garbage"],
)
async def test_whoever_breaks_the_protocol_is_hung_up_on(plant: Plant, opening: bytes) -> None:
    speaker = await wire.Speaker.connect(plant.server.port)
    speaker.send(opening)
    async with asyncio.timeout(5):
        while (message := await speaker.expect()).kind == b"ACKF":
            pass
    assert message.error & 0x8000_0000
    await speaker.expect_end()
    await speaker.close()
    await until(lambda: not plant.server.bserver.clients)


# Policies, modes and identities, by the library's client


async def test_signing_alone_is_refused_where_encryption_is_required(
    plant: Plant, client_of: Clients
) -> None:
    client = await client_of(plant, mode=ua.MessageSecurityMode.Sign)
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        await client.connect()
    assert plant.passwords.asked == 0


async def test_every_policy_configured_signs_in(make_plant: Callable[..., Plant], client_of: Clients) -> None:
    security = ("Basic256Sha256:Sign", "Aes256_Sha256_RsaPss:SignAndEncrypt")
    plant = make_plant(site_of(settings=OpcUaSettings(port=0, security=security, trust=Trust.ALL)))
    async with plant.running():
        for policy, mode in (
            (SecurityPolicyBasic256Sha256, ua.MessageSecurityMode.Sign),
            (SecurityPolicyAes256Sha256RsaPss, ua.MessageSecurityMode.SignAndEncrypt),
        ):
            async with await client_of(plant, policy=policy, mode=mode) as client:
                node = client.get_node(node_id("battery1.power_kw/EURange"))
                assert (await node.read_value()).High == 60.0


async def test_nobody_signs_in_without_a_user(plant: Plant, client_of: Clients) -> None:
    client = await client_of(plant)
    client._username = client._password = None
    with pytest.raises(ua.UaStatusCodeError) as caught:
        await client.connect()
    assert caught.value.code == StatusCodes.BadIdentityTokenRejected


@pytest.mark.parametrize(("user", "password"), [("operator", "wrong"), ("nobody", PASSWORD)])
async def test_a_wrong_user_or_password_is_refused(
    plant: Plant, client_of: Clients, user: str, password: str
) -> None:
    with pytest.raises(ua.UaStatusCodeError) as caught:
        await (await client_of(plant, user, password)).connect()
    assert caught.value.code == StatusCodes.BadUserAccessDenied
    await until(lambda: plant.server.iserver.session_count == 0)


OAEP = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"


@pytest.mark.parametrize(
    ("nonce", "length", "algorithm", "blocks", "is_taken"),
    [
        (b"n" * 32, 0, OAEP, 1, True),
        (b"o" * 32, 0, OAEP, 1, False),
        (b"n" * 31, 0, OAEP, 1, False),
        (b"n" * 32, 1000, OAEP, 1, False),
        (b"n" * 32, 0, "http://www.w3.org/2001/04/xmlenc#rsa-1_5", 1, False),
        (b"n" * 32, 0, "", 1, False),
        (b"n" * 32, 0, OAEP, 9, False),
    ],
    ids=["right", "another session's", "short nonce", "wrong length", "weak", "plain", "too long"],
)
async def test_a_recorded_password_is_of_no_use(
    plant: Plant, nonce: bytes, length: int, algorithm: str, blocks: int, is_taken: bool
) -> None:
    """Length, password and the session's nonce, encrypted for the server (OPC 10000-4, 7.41.2.2)."""
    session = plant.server.iserver.create_session("test")
    session.nonce = b"n" * 32
    content = PASSWORD.encode() + nonce
    plain = struct.pack("<I", length or len(content)) + content
    key = plant.server.iserver.certificate.public_key()
    token = ua.UserNameIdentityToken(
        PolicyId="username",
        UserName="operator",
        Password=uacrypto.encrypt_rsa_oaep(key, plain) * blocks,
        EncryptionAlgorithm=algorithm,
    )
    if is_taken:
        assert session._password(token, OAEP) == PASSWORD
        return
    with pytest.raises(ServiceError) as caught:
        session._password(token, OAEP)
    assert caught.value.code == StatusCodes.BadIdentityTokenInvalid


async def test_guessing_a_password_ends_unheard(plant: Plant, client_of: Clients) -> None:
    for _ in range(sign_in.FAILURES_OF_A_USER):
        with pytest.raises(ua.UaStatusCodeError):
            await (await client_of(plant, password="wrong")).connect()
    asked = plant.passwords.asked
    with pytest.raises(ua.UaStatusCodeError):
        await (await client_of(plant)).connect()
    assert plant.passwords.asked == asked
    async with await client_of(plant, user="engineer"):
        pass  # another user's door stays open


async def test_a_request_needs_its_sessions_token(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client, await client_of(plant, user="viewer") as other:
        mine, theirs = client.uaclient, other.uaclient
        session = mine._session if hasattr(mine, "_session") else mine
        header = session.protocol.authentication_token
        session.protocol.authentication_token = theirs.protocol.authentication_token
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await client.nodes.objects.read_browse_name()
        assert caught.value.code == StatusCodes.BadSessionIdInvalid
        session.protocol.authentication_token = header
        await client.nodes.objects.read_browse_name()


async def test_a_channel_goes_on_with_new_keys(plant: Plant, client_of: Clients) -> None:
    client = await client_of(plant)
    client.secure_channel_timeout = 1
    async with client:
        assert client.secure_channel_timeout == limits.CHANNEL_LIFETIME_MS[0]
        (door,) = plant.server.bserver.clients
        channel = door.processor._connection
        first = channel.security_token.TokenId
        node = client.get_node(node_id("battery1.power_kw/EURange"))
        for renewals in range(1, 4):
            await client.open_secure_channel(renew=True)
            assert (await node.read_value()).High == 60.0
            assert channel.security_token.TokenId == first + renewals


async def test_a_channel_whose_keys_are_too_old_is_closed(
    plant: Plant, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await client_of(plant) as client:
        (door,) = plant.server.bserver.clients
        token = door.processor._connection.security_token
        token.CreatedAt -= timedelta(milliseconds=token.RevisedLifetime * 1.3)
        with pytest.raises((ua.UaError, ConnectionError, TimeoutError, asyncio.CancelledError)):
            await client.nodes.objects.read_browse_name()
        await until(lambda: not plant.server.bserver.clients)


# Certificates


@pytest.fixture
def strict(make_plant: Callable[..., Plant]) -> Plant:
    return make_plant(site_of(settings=OpcUaSettings(port=0)))


async def test_a_stranger_is_kept_in_rejected_and_let_in_when_moved(
    strict: Plant, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with strict.running():
        with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
            await (await client_of(strict)).connect()
        (kept,) = (strict.pki / "rejected").iterdir()
        assert str(kept) in caplog.text
        assert str(strict.pki / "trusted") in caplog.text
        kept.rename(strict.pki / "trusted" / kept.name)
        async with await client_of(strict) as client:
            await client.nodes.objects.read_browse_name()


async def test_an_expired_certificate_is_refused_though_it_is_trusted(
    strict: Plant, client_of: Clients, tmp_path: Any
) -> None:
    old = make_identity(tmp_path / "old", days=-1)
    async with strict.running():
        (strict.pki / "trusted" / "old.der").write_bytes(old.certificate.read_bytes())
        with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
            await (await client_of(strict, files=old)).connect()
        assert not list((strict.pki / "rejected").iterdir())


async def test_a_certificate_of_another_application_is_refused(plant: Plant, client_of: Clients) -> None:
    client = await client_of(plant)
    client.application_uri = "urn:somebody:else"
    with pytest.raises(ua.UaStatusCodeError) as caught:
        await client.connect()
    assert caught.value.code == StatusCodes.BadCertificateUriInvalid


async def test_the_servers_key_is_its_owners_alone_and_stays(make_plant: Callable[..., Plant]) -> None:
    plant = make_plant()
    async with plant.running():
        own = plant.pki / "own"
        assert stat.S_IMODE((own / "private_key.pem").stat().st_mode) == 0o600
        certificate = (own / "certificate.der").read_bytes()
    async with plant.running():
        assert (own / "certificate.der").read_bytes() == certificate


# Whose is what


async def test_a_session_sees_nothing_of_anothers_subscriptions(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as owner, await client_of(plant, user="viewer") as other:
        subscription = await owner.create_subscription(1000, None)
        id = subscription.subscription_id
        invalid = StatusCodes.BadSubscriptionIdInvalid
        assert [code.value for code in await other.uaclient.delete_subscriptions([id])] == [invalid]
        params = ua.TransferSubscriptionsParameters(SubscriptionIds=[id], SendInitialValues=False)
        (result,) = await other.uaclient.transfer_subscriptions(params)
        assert result.StatusCode.value == StatusCodes.BadUserAccessDenied
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await other.uaclient.modify_subscription(ua.ModifySubscriptionParameters(id, 100, 10, 10, 0, 0))
        assert caught.value.code == invalid
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await other.uaclient.create_monitored_items(ua.CreateMonitoredItemsParameters(id, 0, []))
        assert caught.value.code == invalid
        assert id in plant.server.iserver.subscriptions.subscriptions


async def test_republish_of_an_unknown_message_says_so(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant) as client:
        subscription = await client.create_subscription(1000, None)
        for id, code in (
            (subscription.subscription_id, StatusCodes.BadMessageNotAvailable),
            (4_000_000, StatusCodes.BadSubscriptionIdInvalid),
        ):
            with pytest.raises(ua.UaStatusCodeError) as caught:
                await client.uaclient.session.republish(id, 999)
            assert caught.value.code == code


async def test_clients_change_no_nodes(plant: Plant, client_of: Clients) -> None:
    async with await client_of(plant, user="engineer") as client:
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await client.nodes.objects.add_variable(ua.NodeId("mine", 2), "mine", 1)
        assert caught.value.code == StatusCodes.BadServiceUnsupported
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await client.delete_nodes([client.get_node(node_id("battery1.power_kw"))])
        assert caught.value.code == StatusCodes.BadServiceUnsupported


async def test_sessions_are_bounded(
    plant: Plant, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 2)
    async with await client_of(plant), await client_of(plant):
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await (await client_of(plant)).connect()
        assert caught.value.code == StatusCodes.BadTooManySessions
    await until(lambda: plant.server.iserver.session_count == 0)
    async with await client_of(plant):
        pass
