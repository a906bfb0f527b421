"""Starting the server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from archgrad.errors import ArchgradError, require_whole

HEADERS = 1 << 20
"""Bytes of a request's line and headers: an address may name a thousand runs."""


def serve(
    directory: Path | str = ".",
    *,
    host: str = "127.0.0.1",
    port: int = 8642,
    trainings: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Show all runs below a directory on one local page, until interrupted.

    Nothing is written, and nothing outside the directory is read. Whoever reaches ``host`` can see the runs: by default
    this machine alone. ``port``: 0 takes a free one. ``trainings``: list those within searches, too. ``say``: told
    where the page is. Raises ArchgradError where the port is taken, or Starlette and uvicorn are not installed.
    """
    require_whole("serve", 0, 65535, port=port)
    try:
        import uvicorn

        from archgrad.follow.serve.app import application
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "starlette"):
            raise
        raise ArchgradError("serve needs Starlette and uvicorn: pip install 'archgrad[serve]'") from None
    app = application(directory, host, trainings, over=lambda: server.should_exit)
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    say(f"http://{shown}:{listening.getsockname()[1]}/ shows the runs in {directory} (Ctrl-C ends it)")
    if not _is_loopback(host):
        say(f"whoever can reach {host} can see them")
    config = uvicorn.Config(
        app,
        http="h11",
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        h11_max_incomplete_event_size=HEADERS,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ArchgradError(f"serve: cannot listen on {host}, port {port}: {error.strerror or error}") from None


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
