"""What every request must pass before a route sees it, and what every answer carries.

- Host: a name that another site could have pointed at this machine is refused (DNS rebinding).
- Origin: a WebSocket and everything that changes something must come from this very page (RFC 6455 10.2, RFC 6454).
- Headers: nothing is loaded from elsewhere, no inline script, no frames, no caching of what is behind the sign-in.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD"})
HTTP_SCHEME = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not no-referrer: with it a browser sends `Origin: null` from the sign-in form (Fetch, "origin header")
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                _add_headers(scope, message)
            await send(message)

        why = refusal(scope, self._host)
        if why is not None:
            await PlainTextResponse(f"{why}\n", 403)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def refusal(scope: Scope, own_host: str) -> str | None:
    """Why this request is not one of ours, or None."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not is_own_name(_hostname(host), own_host):
        return "This name is not one of this machine's: use its address, its host name or localhost."
    origin = headers.get("origin")
    is_safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
    if origin is None:
        return None if is_safe else "A request that may change something must carry an Origin."
    if origin.lower() != f"{HTTP_SCHEME[scope['scheme']]}://{host}".lower():
        return "The request comes from another origin."
    return None


def is_own_name(name: str, own_host: str) -> bool:
    """An address, localhost, the configured host or the machine's own name: none of them can be another site's."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        machine = socket.gethostname().lower()
        own = {
            "localhost",
            own_host.lower(),
            machine,
            f"{machine.partition('.')[0]}.local",
        }  # .local: RFC 6762
        return name.lower() in own
    return True


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _add_headers(scope: Scope, message: MutableMapping[str, Any]) -> None:
    message.setdefault("headers", [])
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    # static files hold no secrets: keep them, but ask each time whether they changed
    headers["cache-control"] = "no-cache" if scope["path"].startswith("/static/") else "no-store"
