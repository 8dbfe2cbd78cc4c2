"""An operator's own OPC UA client (node-opcua) on the running demo.

It signs in encrypted, finds its way by browsing, sees values move, sets the power of the battery and sees it
followed, and reads back from history what it saw.
"""

import asyncio
import time

MEASURED, SETPOINT = "ns=2;s=battery1.power_kw", "ns=2;s=battery1.power_setpoint_kw"
FOLLOWED_KW = 2.0  # the inverter's power wanders about its setpoint by less


async def test_an_operators_client_browses_watches_commands_and_reads_history(demo, region, node_client):
    port = demo.site.opcua.port
    options = {"user": "operator", "password": demo.passwords["operator"]}
    async with node_client(f"opc.tcp://127.0.0.1:{port}/", **options) as client:
        signed_in = await client.expect("signed in")
        assert signed_in["mode"] == "SignAndEncrypt"
        assert signed_in["policy"].endswith("#Basic256Sha256")

        areas = await client.wish("browse", node="i=85")
        assert {"grid", "generation", "storage", "loads", "ev"} <= {found["name"] for found in areas["found"]}
        found = await client.wish("translate", path="/2:storage/2:battery1/2:power_kw")
        assert found["node"] == MEASURED

        begin_ms = int(time.time() * 1000)
        await client.wish("watch", node=MEASURED, queue=1000)
        await client.until_changes(1)  # the present value; at rest nothing follows it

        for wanted_kw in (42.0, -30.0, 0.0):
            written = await client.wish("write", node=SETPOINT, type="Double", value=wanted_kw)
            assert written["status"] == "Good"
            while (
                abs(client.changes[-1]["value"] - wanted_kw) > FOLLOWED_KW
            ):  # until_changes gives up after 30 s
                await client.until_changes(len(client.changes) + 1)
            assert (await client.wish("read", node=SETPOINT))["value"] == wanted_kw
        too_much = await client.wish("write", node=SETPOINT, type="Double", value=9e9)
        assert too_much["status"] == "BadOutOfRange"

        seen = [change for change in client.changes if change["source"] >= begin_ms]
        assert all(change["status"] == "Good" for change in seen)
        assert len({change["value"] for change in seen}) >= 3

        window = {"start": seen[0]["source"], "end": seen[-1]["source"] + 1, "page": 2}
        stored: set[tuple[int, float]] = set()
        async with asyncio.timeout(10):  # the last samples are there within a flush, 250 ms
            while not {(change["source"], change["value"]) for change in seen} <= stored:
                history = await client.wish("history", node=MEASURED, **window)
                assert history["status"] == "Good"
                stored = {(at, value) for at, value, status in history["values"] if status == "Good"}
        assert history["pages"] > 1
