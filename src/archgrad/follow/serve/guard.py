"""What every request has to pass, and what every answer says."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    # Scripts come from the server's own file alone; attributes of drawings have styles.
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def names_of(host: str) -> frozenset[str]:
    """By which names a server that listens on ``host`` may be called; an empty name stands for every IP address.

    A page of somebody else may let its own name lead to this machine and ask in its name (DNS rebinding): names that
    the server does not have are therefore refused. An address is no name, and cannot be led elsewhere.
    """
    if host in LOOPBACK or host.startswith("127."):
        return LOOPBACK | {host}
    everywhere = {"", socket.gethostname().lower()} if host in ("0.0.0.0", "::") else set()
    return LOOPBACK | {host.lower()} | everywhere


def host_of(header: str) -> str:
    """The name in a Host header, without its port: ``[::1]:80`` is ``::1``."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    name, _, port = header.partition(":")
    return name.lower() if port.isdecimal() or not port else ""


class Guard:
    """Lets GET and HEAD of the server's own names through, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, names: frozenset[str]):
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *raw]}
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._known(host_of(hosts[0])):
            return PlainTextResponse("This server has another name.\n", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Runs can only be read here.\n", 405, {"allow": "GET, HEAD"})
        return None

    def _known(self, name: str) -> bool:
        if not name:
            return False
        return name in self.names or ("" in self.names and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
