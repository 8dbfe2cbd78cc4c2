"""Another site while pages are open: a new table and a whole picture, on the connection that they have."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.config.accounts import Accounts
from gateway.config.part import Reload
from gateway.config.site import NO_TAG, Role, Site, Tag, User
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from hmi.part import run
from hmi.server import CLOSE_SESSION_ENDED

WAIT_S = 20.0
PASSWORD = "correct horse battery staple"
NEW = Tag("ev99.power_kw", ValueType.DOUBLE, "drivers", "ev", "ev99", unit="kW")
GONE = "pv1.power_kw"


def changed(stand: Any) -> Site:
    """A tag less, one more."""
    gone = stand.region.index_of(GONE)
    tags = [NO_TAG if place == gone else tag for place, tag in enumerate(stand.site.tags)]
    stand.region.change([NEW.spec()], [gone])
    return replace(stand.site, tags=(*tags, NEW), digest="another")


async def next_of(socket: Any, *kinds: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] in kinds:
                return message


async def test_an_open_page_gets_the_new_table_and_picture_and_goes_on(make_stand):
    async with make_stand() as stand:
        context = stand.context
        part = asyncio.create_task(run(context))
        async with asyncio.timeout(WAIT_S):
            await context.ready.wait()
        cookie = await stand.sign_in()
        async with connect(
            f"ws://127.0.0.1:{stand.port}/api/feed",
            additional_headers={"cookie": cookie, "origin": stand.origin},
        ) as socket:
            assert GONE in {row[1] for row in (await next_of(socket, "hello"))["tags"]}
            await next_of(socket, "snapshot")
            reload = Reload(changed(stand), asyncio.get_running_loop().create_future())
            context.reloads.put_nowait(reload)
            async with asyncio.timeout(WAIT_S):
                await reload.done
            hello = await next_of(socket, "hello")
            assert hello["site"]["digest"] == "another"
            names = {row[1]: row[0] for row in hello["tags"]}
            assert GONE not in names
            assert names["ev99.power_kw"] == stand.region.index_of("ev99.power_kw")
            snapshot = await next_of(socket, "snapshot", "changes")
            assert snapshot["type"] == "snapshot"
            assert names["ev99.power_kw"] in snapshot["tags"]
            tags = np.array([names["ev99.power_kw"]], np.uint32)
            now = time.time_ns()
            stand.scene.writers["drivers"].write(
                tags, to_bits(np.array([4.5]), ValueType.DOUBLE), 0, now, now
            )
            while 4.5 not in (await next_of(socket, "changes"))["values"]:
                pass
        stand.stop.set()
        await part


async def test_pages_of_a_user_who_is_no_more_are_cut_off_and_roles_are_new(make_stand):
    async with make_stand() as stand:
        users = (User("operator", Role.OPERATOR), User("viewer", Role.VIEWER))
        stand.site = replace(stand.site, users=users)
        Accounts(stand.paths.accounts).set_password("viewer", PASSWORD)
        context = stand.context
        part = asyncio.create_task(run(context))
        async with asyncio.timeout(WAIT_S):
            await context.ready.wait()
        sockets = [
            await connect(
                f"ws://127.0.0.1:{stand.port}/api/feed",
                additional_headers={"cookie": await stand.sign_in(user), "origin": stand.origin},
            )
            for user in ("operator", "viewer")
        ]
        for socket in sockets:
            await next_of(socket, "snapshot")
        other = replace(stand.site, users=(User("operator", Role.ENGINEER),))
        reload = Reload(other, asyncio.get_running_loop().create_future())
        context.reloads.put_nowait(reload)
        async with asyncio.timeout(WAIT_S):
            await reload.done
        assert (await next_of(sockets[0], "hello"))["role"] == "engineer"
        with pytest.raises(ConnectionClosed) as closed:
            await next_of(sockets[1], "none that comes")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CLOSE_SESSION_ENDED
        answer = await stand.request("POST", "/sign-in", form={"user": "viewer", "password": PASSWORD})
        assert answer.status == 401
        await sockets[0].close()
        stand.stop.set()
        await part
