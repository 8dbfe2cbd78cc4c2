"""The server as a stranger, a browser, a hostile page and a stalled client meet it: real HTTP and WebSocket bytes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.config.site import Tag
from gateway.tags.image import RegionError
from gateway.tags.tag import ValueType
from hmi.part import run
from hmi.throttle import TRIES

PASSWORD = "correct horse battery staple"


def feed_of(stand, cookie, origin=None):
    headers = {"Cookie": cookie} if cookie else {}
    return connect(
        f"ws://127.0.0.1:{stand.port}/api/feed",
        origin=stand.origin if origin is None else origin,
        additional_headers=headers,
        compression=None,
        max_size=None,
        proxy=None,
    )


async def messages(feed, *wanted):
    """The next message of each type of ``wanted``, in that order."""
    found = []
    async with asyncio.timeout(10):
        for kind in wanted:
            while (message := json.loads(await feed.recv()))["type"] != kind:
                pass
            found.append(message)
    return found


async def test_a_stranger_is_sent_to_the_sign_in_page_and_gets_nothing_else(stand):
    answer = await stand.request("GET", "/")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    assert (await stand.request("GET", "/api/session")).status == 401
    assert b"demo" not in (await stand.request("GET", "/sign-in")).body
    with pytest.raises(InvalidStatus) as refused:
        await feed_of(stand, None).__aenter__()
    assert refused.value.response.status_code == 401


async def test_signing_in_gives_a_cookie_no_script_can_read_and_no_other_site_can_send(stand):
    answer = await stand.request("POST", "/sign-in", form={"user": "operator", "password": PASSWORD})
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    assert (await stand.request("GET", "/", cookie=cookie)).status == 200
    session = json.loads((await stand.request("GET", "/api/session", cookie=cookie)).body)
    assert (session["user"], session["role"]) == ("operator", "operator")


@pytest.mark.parametrize("forgery", [None, "", "0" * 43, "truncated"])
async def test_while_somebody_is_signed_in_a_stranger_still_gets_nothing(stand, forgery):
    answer = await stand.request("POST", "/sign-in", form={"user": "operator", "password": PASSWORD})
    name, _, token = answer.headers["set-cookie"].split("; ")[0].partition("=")
    cookie = None if forgery is None else f"{name}={token[:-1] if forgery == 'truncated' else forgery}"
    assert (await stand.request("GET", "/", cookie=cookie)).status == 303
    assert (await stand.request("GET", "/api/session", cookie=cookie)).status == 401
    with pytest.raises(InvalidStatus) as refused:
        await feed_of(stand, cookie).__aenter__()
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(
    "form",
    [
        {"user": "operator", "password": "wrong horse battery staple"},
        {"user": "nobody", "password": PASSWORD},
        {"user": "visitor", "password": ""},
        {"user": "", "password": ""},
        {},
    ],
)
async def test_wrong_names_and_passwords_are_told_the_same(stand, form):
    answer = await stand.request("POST", "/sign-in", form=form)
    assert answer.status == 401
    assert b"The user name or the password is wrong." in answer.body
    assert "set-cookie" not in answer.headers


async def test_a_guesser_has_to_wait_even_with_the_right_password(stand):
    for n in range(TRIES):
        wrong = await stand.request("POST", "/sign-in", form={"user": "operator", "password": f"guess {n}"})
        assert wrong.status == 401
    answer = await stand.request("POST", "/sign-in", form={"user": "operator", "password": PASSWORD})
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= 30


async def test_guesses_at_once_count_like_guesses_in_turn(stand):
    guesses = [{"user": "operator", "password": f"guess {n}"} for n in range(3 * TRIES)]
    answers = await asyncio.gather(*(stand.request("POST", "/sign-in", form=guess) for guess in guesses))
    assert sorted(answer.status for answer in answers) == [401] * TRIES + [429] * 2 * TRIES


async def test_what_a_user_types_is_shown_as_text_never_as_markup(stand):
    answer = await stand.request(
        "POST", "/sign-in", form={"user": '"><script>alert(1)</script>', "password": "x" * 8}
    )
    assert b"<script>" not in answer.body
    assert b"&lt;script&gt;" in answer.body


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"user=operator&password=" + b"x" * 5000, "application/x-www-form-urlencoded"),
        (b"user=%ff&password=%fe", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=b" for _ in range(100)), "application/x-www-form-urlencoded"),
        (b'{"user": "operator"}', "application/json"),
    ],
)
async def test_what_is_no_sign_in_form_is_refused(stand, body, content_type):
    answer = await stand.request("POST", "/sign-in", body=body, content_type=content_type)
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1", ""])
async def test_another_origin_can_neither_sign_in_nor_out(stand, path, origin):
    answer = await stand.request("POST", path, form={"user": "operator", "password": PASSWORD}, origin=origin)
    assert answer.status == 403


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://localhost:1"])
async def test_another_origin_cannot_open_the_feed_even_with_the_cookie(stand, origin):
    cookie = await stand.sign_in()
    with pytest.raises(InvalidStatus) as refused:
        await feed_of(stand, cookie, origin).__aenter__()
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:8080", "127.0.0.1.rebound.example", "[", "a b"]
)
async def test_a_name_that_may_be_another_sites_is_refused(stand, host):
    assert (await stand.request("GET", "/sign-in", host=host)).status in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", socket.gethostname()])
async def test_this_machines_own_names_are_taken(stand, host):
    assert (await stand.request("GET", "/sign-in", host=f"{host}:{stand.port}")).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/health", "/api/session", "/static/page/main.js", "/nowhere"]
)
async def test_every_answer_forbids_foreign_code_frames_and_sniffing(stand, path):
    headers = (await stand.request("GET", path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "server" not in headers


async def test_static_files_stay_in_their_folder(stand):
    for path in (
        "/static/../part.py",
        "/static/%2e%2e/part.py",
        "/static/..%2fpart.py",
        "/static//etc/passwd",
    ):
        assert (await stand.request("GET", path)).status == 404


async def test_the_feed_says_hello_shows_everything_and_then_what_changes(stand):
    async with feed_of(stand, await stand.sign_in()) as feed:
        hello, snapshot, changes, heartbeat = await messages(
            feed, "hello", "snapshot", "changes", "heartbeat"
        )
    assert (hello["protocol"], hello["user"], hello["role"]) == (1, "operator", "operator")
    tags = [dict(zip(hello["columns"], row, strict=True)) for row in hello["tags"]]
    assert [tag["name"] for tag in tags] == [tag.name for tag in stand.site.tags]
    breaker = next(tag for tag in tags if tag["name"] == "pcc.breaker_closed")
    assert breaker["states"] == {"0": "open", "1": "closed"}
    assert snapshot["tags"] == list(range(len(tags)))
    assert changes["server_time_ms"] >= snapshot["server_time_ms"]
    assert heartbeat["uptime_ms"] >= snapshot["uptime_ms"]
    assert hello["statuses"]["2147811328"] == "Bad_CommunicationError"


async def test_signing_out_cuts_off_the_open_page(stand):
    cookie = await stand.sign_in()
    async with feed_of(stand, cookie) as feed:
        await messages(feed, "snapshot")
        assert (await stand.request("POST", "/sign-out", cookie=cookie)).status == 303
        with pytest.raises(ConnectionClosed) as closed:
            await messages(feed, "never")
    assert closed.value.rcvd.code == 4401
    assert (await stand.request("GET", "/api/session", cookie=cookie)).status == 401


async def test_a_page_that_speaks_is_cut_off(stand):
    async with feed_of(stand, await stand.sign_in()) as feed:
        await feed.send("set pcc.breaker_close_command 0")
        with pytest.raises(ConnectionClosed) as closed:
            await messages(feed, "never")
    assert closed.value.rcvd.code == 1003


async def test_twenty_pages_all_see_the_same_change(stand):
    cookie = await stand.sign_in()
    feeds = [feed_of(stand, cookie) for _ in range(20)]
    open_feeds = await asyncio.gather(*(feed.__aenter__() for feed in feeds))
    try:
        await asyncio.gather(*(messages(feed, "snapshot") for feed in open_feeds))
        stand.scene.overrides["ev3.vehicle_id"] = "VEH-NEW"
        index = stand.region.index_of("ev3.vehicle_id")

        async def sees(feed):
            while True:
                (changes,) = await messages(feed, "changes")
                if dict(zip(changes["tags"], changes["values"], strict=True)).get(index) == "VEH-NEW":
                    return True

        async with asyncio.timeout(10):
            assert all(await asyncio.gather(*(sees(feed) for feed in open_feeds)))
    finally:
        await asyncio.gather(*(feed.close() for feed in open_feeds))


async def test_a_stalled_page_is_given_a_fresh_snapshot_when_it_reads_again(make_stand, serve, play):
    """6 MB/s of changes at a page that reads nothing: what reaches it later is little, and then the present."""
    extra = tuple(Tag(f"bulk.n{i}", ValueType.DOUBLE, "drivers", "bulk", "bulk") for i in range(6000))
    async with make_stand(extra=extra) as stand, serve(stand), play(stand):
        bulk = {tag.name: 1e300 / 3 for tag in extra}
        stand.scene.overrides |= bulk
        cookie = await stand.sign_in()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", stand.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET /api/feed HTTP/1.1",
            f"Host: 127.0.0.1:{stand.port}",
            f"Origin: {stand.origin}",
            f"Cookie: {cookie}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        )
        await loop.sock_sendall(client, "\r\n".join((*lines, "", "")).encode())
        await asyncio.sleep(
            7
        )  # the stall itself: longer than the queue's 3 s of ticks and the kernel's buffers
        stand.scene.overrides["ev3.vehicle_id"] = "VEH-NEW"
        received = bytearray()
        async with asyncio.timeout(20):
            while b"VEH-NEW" not in received:
                received += await loop.sock_recv(client, 1 << 20)
        client.close()
    kinds = [
        kind for _, kind in sorted((i, k) for k in ("snapshot", "changes") for i in _places(received, k))
    ]
    first, again = [i for i, kind in enumerate(kinds) if kind == "snapshot"][:2]
    assert first == 0
    assert again <= 40  # the queue and what was in the buffers, of 70 ticks missed


def _places(received: bytearray, kind: str) -> list[int]:
    places, i = [], received.find(f'"type":"{kind}"'.encode())
    while i >= 0:
        places.append(i)
        i = received.find(f'"type":"{kind}"'.encode(), i + 1)
    return places


async def test_health_needs_no_session_and_tells_nothing_but_whether_it_is_live(stand):
    answer = await stand.request("GET", "/health")
    assert (answer.status, answer.body) == (200, b'{"live":true}')


async def test_the_part_ends_when_the_region_goes_away(make_stand, serve):
    async with make_stand() as stand, serve(stand) as part:
        stand.region.close()
        with pytest.raises(RegionError):
            await asyncio.wait_for(asyncio.shield(part), 5)


async def test_the_part_stops_in_time_although_a_page_is_stalled(make_stand, serve, play):
    async with make_stand() as stand, serve(stand) as part, play(stand):
        feed = await feed_of(stand, await stand.sign_in())
        await messages(feed, "snapshot")
        feed.transport.pause_reading()
        stand.stop.set()
        await asyncio.wait_for(asyncio.shield(part), 3)
        feed.transport.abort()


async def test_a_taken_port_is_an_error_of_ours_not_an_exit(make_stand, serve):
    async with make_stand() as stand, serve(stand):
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            await run(stand.context)


async def test_sessions_outlive_a_killed_part(make_stand, part_process):
    async with make_stand() as stand, part_process(stand) as part:
        cookie = await stand.sign_in()
        await part.kill()
        await part.start()
        assert (await stand.request("GET", "/api/session", cookie=cookie)).status == 200
        assert await part.end() == 0
