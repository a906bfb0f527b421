"""The addresses of the server, and what is answered there. A name in an address is looked up and is never a path."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import archgrad.bench.statistics.results  # noqa: F401  # for the first comparison, which then need not wait for it
from archgrad.errors import ArchgradError
from archgrad.follow import listing
from archgrad.follow.serve import pages
from archgrad.follow.serve.board import INTERVAL, Board, Entry
from archgrad.follow.serve.guard import Guard, names_of

HEARTBEAT = 15
"""Looks without news after which an empty line is sent, so that connections that are gone are noticed."""

LISTENERS = 64
"""Pages that are kept up to date at the same time."""


def application(
    directory: Path | str,
    host: str = "127.0.0.1",
    trainings: bool = False,
    over: Callable[[], bool] = lambda: False,
) -> Starlette:
    """The application of a server that listens on ``host``; ``over``: whether it is about to end."""
    board = Board(directory, trainings)
    board.refresh()
    site = Site(board, over)
    routes = [
        Route("/", site.index),
        Route("/charts", site.charts),
        Route("/run/{name:path}", site.run),
        Route("/compare", site.compare),
        Route("/runs.json", site.runs),
        Route("/events", site.events),
        Route("/style.css", lambda _: Response(pages.style(), media_type="text/css")),
        Route("/page.js", lambda _: Response(pages.script(), media_type="text/javascript")),
    ]
    guard = Middleware(Guard, names=names_of(host))
    return Starlette(routes=routes, middleware=[guard], exception_handlers={404: _no_such_page})


async def _no_such_page(_: Request, __: Exception) -> Response:
    return HTMLResponse(pages.problem("There is no such page here."), 404)


def _event(mark: str, news: dict[str, Any]) -> str:
    return f"id: {mark}\ndata: {json.dumps(news)}\n\n"


class Site:
    """The answers; each looks at the disk first, in a thread of its own."""

    def __init__(self, board: Board, over: Callable[[], bool]):
        self.board, self.over = board, over
        self.listeners = 0

    async def index(self, _: Request) -> Response:
        """All runs."""
        return await self._page(lambda: pages.index(self.board))

    async def charts(self, _: Request) -> Response:
        """The charts of all runs, as a part of the page."""
        return await self._page(lambda: pages.charts(self.board.entries()))

    async def run(self, request: Request) -> Response:
        """One run, or with ``?part`` what of its page may have changed."""
        name, part = request.path_params["name"], "part" in request.query_params

        def page() -> str | None:
            mark, entry = self.board.mark, self.board.entry(name)
            if entry is None:
                return None
            return pages.inside_of_run(entry) if part else pages.run(entry, mark)

        return await self._page(page)

    async def compare(self, request: Request) -> Response:
        """The runs that are named in the address, or that a filter leaves."""
        names, filter = request.query_params.getlist("run"), request.query_params.get("filter")

        def page() -> str:
            entries = self.board.entries()
            if filter is not None:
                chosen = self._filtered(entries, filter)
            else:
                wanted = set(names)
                chosen = [entry for entry in entries if entry.name in wanted]
            return pages.compare(chosen)

        return await self._page(page)

    def _filtered(self, entries: list[Entry], filter: str) -> list[Entry]:
        holds = listing.conditions(filter)
        return [entry for entry in entries if holds(entry.run)]

    async def runs(self, _: Request) -> Response:
        """All runs as JSON."""

        def records() -> list[dict[str, Any]]:
            with suppress(ArchgradError):
                self.board.refresh()
            return [{**entry.run.record(), "run": entry.name} for entry in self.board.entries()]

        return JSONResponse(await anyio.to_thread.run_sync(records))

    async def events(self, request: Request) -> Response:
        """What happens from now on: of all runs, or of one."""
        if self.listeners >= LISTENERS:
            return PlainTextResponse("Too many pages are open.\n", 503)
        name = request.query_params.get("run")
        mark = request.headers.get("last-event-id", request.query_params.get("version", ""))
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return StreamingResponse(self._stream(mark, name), media_type="text/event-stream")

    async def _stream(self, mark: str, name: str | None) -> AsyncIterator[str]:
        self.listeners += 1
        try:
            boot, _, before = mark.partition(".")
            if mark and (boot != self.board.boot or not before.isdecimal() or len(before) > 9):
                yield _event(self.board.mark, {"again": True})  # the page is one of a server that was here before
                return
            version, quiet = (
                int(before or 0),
                -1,
            )  # something is sent at once, so that the browser sees that we are here
            while not self.over():
                version, news = await anyio.to_thread.run_sync(self._news, version, name)
                quiet = -1 if news is not None else quiet + 1
                if news is not None:
                    yield _event(f"{boot or self.board.boot}.{version}", news)
                elif quiet % HEARTBEAT == 0:
                    yield ":\n\n"
                await anyio.sleep(INTERVAL)
        finally:
            self.listeners -= 1

    def _news(self, version: int, name: str | None) -> tuple[int, dict[str, Any] | None]:
        with suppress(ArchgradError):  # a directory that is gone for a moment
            self.board.refresh()
        now, changed, gone = self.board.since(version)
        if name is not None:
            touched = name in gone or any(entry.name == name for entry in changed)
            return now, {"changed": True} if touched else None
        if not changed and not gone:
            return now, None
        return now, {
            "rows": {entry.name: pages.row(entry) for entry in changed},
            "gone": gone,
            "counts": self.board.counts(),
        }

    async def _page(self, make: Callable[[], str | None]) -> Response:
        def made() -> Response:
            try:
                self.board.refresh()
                text = make()
            except ArchgradError as error:
                return HTMLResponse(pages.problem(str(error)), 400)
            if text is None:
                return HTMLResponse(pages.problem("There is no such run here."), 404)
            return HTMLResponse(text)

        return await anyio.to_thread.run_sync(made)
