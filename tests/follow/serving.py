"""``archgrad serve`` for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class Server:
    """``archgrad serve`` in a process of its own, of a directory that tests fill."""

    def __init__(self, directory: Path):
        self.directory = directory
        command = [sys.executable, "-m", "archgrad", "serve", str(directory), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.address = self.said.split("/ ")[0]
        self.port = int(self.address.rpartition(":")[2])

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.communicate()
