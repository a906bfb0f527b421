"""Where the planted runs and the browser are; a server, and a browser where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import PROGRAM, Browser
from serving import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of an empty directory."""
    started = Server(tmp_path_factory.mktemp("served"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium."""
    if PROGRAM is None:
        pytest.skip("needs Chromium on the path")
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
