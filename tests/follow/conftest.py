"""Where the planted runs and the browser are; a server, and a browser where there is one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import PROGRAM, Browser


class Server:
    """``archgrad serve`` in a process of its own, of a directory that tests fill."""

    def __init__(self, directory: Path):
        self.directory = directory
        command = [sys.executable, "-m", "archgrad", "serve", str(directory), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = self.said.split("/ ")[0]
        self.port = int(self.address.rpartition(":")[2])

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


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
