"""The web server of the page: sign-in, session, the feed's WebSocket, health, and static files.

GET  /             the page, or on to /sign-in
GET  /sign-in      the form; POST signs in
POST /sign-out     ends the session and cuts off its pages
GET  /api/session  who is signed in (401: nobody)
GET  /api/since    since when ?tag= has been as it is, by history (401: nobody, 404: no such alert)
WS   /api/feed     the live feed (401: nobody, 503: too many pages)
GET  /health       200 while the region is live and the feed turns, else 503; needs no session, tells no more
GET  /static/      style and modules
"""

from __future__ import annotations

import asyncio
import html
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Protocol
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.config.accounts import AccountsError
from gateway.config.alert import Alert
from gateway.config.site import Role, Site
from historian.errors import HistoryError
from historian.query.history import History
from historian.since import since
from hmi.feed import Feed, Page
from hmi.guard import Guard
from hmi.messages import NANOSECONDS_A_MS
from hmi.sessions import LIFETIME_S, Session, Sessions
from hmi.throttle import Throttle

STATIC = Path(__file__).parent / "static"
FORM_BYTES = 4_096  # a name and a password, percent-encoded
VERIFY_AT_ONCE = 2  # scrypt takes 50 ms and 16 MiB each: more at once would only starve the other parts
SINCE_AT_ONCE = 2  # questions to history: it answers one after the other anyway
FEED_MESSAGE_BYTES = 1_024  # a page has nothing to say

log = logging.getLogger(__name__)

CLOSE_SESSION_ENDED = 4401
CLOSE_NOT_UNDERSTOOD = 1003  # RFC 6455 7.4.1: it sent what we do not accept


class PasswordCheck(Protocol):
    """Who knows the passwords; `gateway.config.accounts.Accounts` in a real run. May block for 50 ms."""

    def verify(self, user: str, password: str) -> bool: ...


class Web:
    """The routes, and what they share."""

    def __init__(
        self, site: Site, feed: Feed, sessions: Sessions, accounts: PasswordCheck, history: History
    ) -> None:
        assert site.hmi is not None
        self._history = history
        self._watched = _watched(site)
        self._asking = asyncio.Semaphore(SINCE_AT_ONCE)
        self._feed = feed
        self._sessions = sessions
        self._accounts = accounts
        self._roles: Mapping[str, Role] = _roles_of(site)
        self._host = site.hmi.host
        # cookies know no ports (RFC 6265 8.5): two sites on one machine must not sign each other out
        self._cookie = f"tieline_{site.hmi.port}"
        self._throttle = Throttle(time.monotonic)
        self._verifying = asyncio.Semaphore(VERIFY_AT_ONCE)
        self._sign_in_page = Template((STATIC / "sign-in.html").read_text())

    def follow(self, site: Site) -> None:
        """Go on with another site that has the same door: pages stay, those of users who are no more do not."""
        self._roles = _roles_of(site)
        self._watched = _watched(site)
        self._sessions.keep(self._roles.keys())
        self._feed.follow(site, self._roles)

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/sign-in", self.sign_in_form),
                Route("/sign-in", self.sign_in, methods=["POST"]),
                Route("/sign-out", self.sign_out, methods=["POST"]),
                Route("/api/session", self.session),
                Route("/api/since", self.since),
                WebSocketRoute("/api/feed", self.live_feed),
                Route("/health", self.health),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(Guard, host=self._host)],
        )

    async def page(self, request: Request) -> Response:
        if self._session_of(request) is None:
            return RedirectResponse("/sign-in", 303)
        return FileResponse(STATIC / "page.html")

    async def sign_in_form(self, request: Request) -> Response:
        if self._session_of(request) is not None:
            return RedirectResponse("/", 303)
        return self._form("", 200)

    async def sign_in(self, request: Request) -> Response:
        form = await _form_of(request)
        if form is None:
            return self._form("That was no sign-in form.", 400)
        user, password = form.get("user", "").strip(), form.get("password", "")
        known = user if user in self._roles else ""  # all unknown names share a bucket: the table stays small
        tries = (f"address:{request.client.host if request.client else ''}", f"user:{known}")
        wait_s = self._throttle.take(tries)
        if wait_s > 0:
            again_s = math.ceil(wait_s)
            answer = self._form(f"Too many failed tries. Wait {again_s} s, then try again.", 429, user)
            answer.headers["retry-after"] = str(again_s)
            return answer
        try:
            async with self._verifying:
                is_right = await asyncio.to_thread(self._accounts.verify, user, password)
        except AccountsError as error:
            log.error("nobody can sign in: %s", error)
            return self._form("The accounts file cannot be read: see the log.", 503, user)
        if not (is_right and known):
            return self._form("The user name or the password is wrong.", 401, user)
        self._throttle.give_back(tries)
        welcome = RedirectResponse("/", 303)
        welcome.set_cookie(
            self._cookie,
            self._sessions.open(user),
            max_age=int(LIFETIME_S),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return welcome

    async def sign_out(self, request: Request) -> Response:
        token = request.cookies.get(self._cookie)
        if token is not None:
            self._sessions.end(token)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return answer

    async def session(self, request: Request) -> Response:
        session = self._session_of(request)
        if session is None:
            return JSONResponse({"signed_in": False}, 401)
        return JSONResponse(
            {
                "signed_in": True,
                "user": session.user,
                "role": self._roles[session.user],
                "expires_at_ms": int(session.expires_at * 1000),
            }
        )

    async def since(self, request: Request) -> Response:
        if self._session_of(request) is None:
            return JSONResponse({"signed_in": False}, 401)
        tag = request.query_params.get("tag", "")
        alert = self._watched.get(tag)
        value = None if alert is None else self._feed.value_of(tag)
        if alert is None or value is None:
            return JSONResponse({"since_ms": None}, 404)
        try:
            async with self._asking:
                found = await asyncio.to_thread(since, self._history, tag, alert, value, time.time_ns())
        except (HistoryError, OSError) as error:
            log.error("since when %s is %s is not known: %s", tag, value, error)
            return JSONResponse({"since_ms": None}, 503)
        return JSONResponse({"since_ms": None if found is None else found // NANOSECONDS_A_MS})

    async def health(self, request: Request) -> Response:
        is_live = self._feed.is_live
        return JSONResponse({"live": is_live}, 200 if is_live else 503)

    async def live_feed(self, socket: WebSocket) -> None:
        session = self._session_of(socket)
        if session is None:
            await socket.send_denial_response(JSONResponse({"signed_in": False}, 401))
            return
        if self._feed.is_full:
            await socket.send_denial_response(JSONResponse({"full": True}, 503))
            return
        page = self._feed.join(session.user, self._roles[session.user])
        try:
            await socket.accept()
            await _serve(socket, page, session)
        finally:
            self._feed.leave(page)

    def _session_of(self, connection: HTTPConnection) -> Session | None:
        try:
            return self._sessions.find(connection.cookies.get(self._cookie))
        except AccountsError as error:
            log.error("nobody is signed in: %s", error)
            return None

    def _form(self, message: str, status: int, user: str = "") -> HTMLResponse:
        page = self._sign_in_page.substitute(message=html.escape(message), user=html.escape(user))
        return HTMLResponse(page, status)


def _watched(site: Site) -> dict[str, Alert]:
    return {tag.name: tag.attention for tag in site.tags if tag.attention is not None}


def _roles_of(site: Site) -> dict[str, Role]:
    return {user.name: user.role for user in site.users}


async def _serve(socket: WebSocket, page: Page, session: Session) -> None:
    """Send until the page leaves, speaks out of turn, or its session is over."""
    sending = asyncio.create_task(_send(socket, page))
    receiving = asyncio.create_task(socket.receive())
    ending = asyncio.create_task(session.ended.wait())
    tasks = {sending, receiving, ending}
    left_s = max(session.expires_at - time.time(), 0.0)
    try:
        done, _ = await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if sending in done or (receiving in done and receiving.result()["type"] == "websocket.disconnect"):
        return
    code, why = (
        (CLOSE_NOT_UNDERSTOOD, "a page only listens")
        if receiving in done
        else (CLOSE_SESSION_ENDED, "signed out")
    )
    await socket.close(code, why)


async def _send(socket: WebSocket, page: Page) -> None:
    try:
        while True:
            await socket.send_text(await page.next())
    except WebSocketDisconnect:
        return


async def _form_of(request: Request) -> dict[str, str] | None:
    """The fields of a urlencoded form, or None where it is something else or too long."""
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return None
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=8, errors="strict")
    except ValueError:  # not UTF-8, or too many fields
        return None
    return {name: values[0] for name, values in fields.items()}
