"""An OPC UA client of the running site: signed in and encrypted, it sees values move and sets one."""

import asyncio
import shutil
from datetime import timedelta

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from gateway.servers.opcua.certificates import own_identity
from gateway.servers.opcua.values import to_ns
from gateway.tags.quality import is_good
from historian.query import History

SETPOINT, MEASURED = "battery1.power_setpoint_kw", "battery1.power_kw"


async def test_a_client_sees_values_move_and_its_setpoint_followed(demo, region, tmp_path):
    identity = own_identity(tmp_path, "client", "127.0.0.1")
    own = tmp_path / "own"
    trusted = demo.paths.pki / "trusted"
    await asyncio.to_thread(shutil.copy, own / "certificate.der", trusted / "client.der")
    assert demo.site.opcua is not None
    client = Client(f"opc.tcp://127.0.0.1:{demo.site.opcua.port}/", timeout=10)
    client.application_uri = identity.application_uri
    client.set_user("operator")
    client.set_password(demo.passwords["operator"])
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        own / "certificate.der",
        own / "private_key.pem",
        None,
        demo.paths.pki / "own" / "certificate.der",
        ua.MessageSecurityMode.SignAndEncrypt,
    )
    async with client:
        measured, setpoint = (client.get_node(f"ns=2;s={name}") for name in (MEASURED, SETPOINT))
        for value in (30.0, -20.0):
            await setpoint.write_value(ua.DataValue(ua.Variant(value, ua.VariantType.Double)))
            async with asyncio.timeout(20):
                while abs(float(await measured.read_value()) - value) > 2:  # noqa: ASYNC110 - the plant sets no event
                    await asyncio.sleep(0.05)
        await setpoint.write_value(ua.DataValue(ua.Variant(0.0, ua.VariantType.Double)))
        seen = await measured.read_data_value()
        assert seen.SourceTimestamp is not None
        at, moment = to_ns(seen.SourceTimestamp), timedelta(microseconds=1)
        # With bounds, which this client always asks for: the one before, until this one is in history.
        span = (seen.SourceTimestamp, seen.SourceTimestamp + moment)
        told = await measured.read_raw_history(*span)
        async with asyncio.timeout(20):
            while seen.SourceTimestamp not in [
                one.SourceTimestamp for one in told
            ]:  # a flush sets no event here
                await asyncio.sleep(0.05)
                told = await measured.read_raw_history(*span)
        told = [one for one in told if one.SourceTimestamp == seen.SourceTimestamp]
        assert [one.Value for one in told] == [seen.Value]
        history = History(demo.paths.history)
        assert history.raw(MEASURED, at, at + 1).values.tolist() == [seen.Value.Value]
        history.close()
    assert is_good(region.sample(MEASURED).status)
