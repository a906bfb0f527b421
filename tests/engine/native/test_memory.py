"""Memory that is used again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from archgrad.engine import native

LIMITED = """
import resource
from archgrad.engine.native.memory import memory
million = 2**20
before = memory(32 * million)
where = before.data_ptr()
del before
again = memory(32 * million)
assert again.data_ptr() == where
del again  # 128 MiB wait for their next use
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + 16 * million
resource.setrlimit(resource.RLIMIT_AS, (most, most))
memory(33 * million)
"""


@pytest.mark.skipif(native.available() is not None, reason="needs native kernels")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_waits_is_given_up_where_a_process_may_not_grow() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
