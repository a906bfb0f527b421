"""Which of several processes this one is, as their starter says, before they have joined or torch is there.

A problem may come before the processes have joined, so it is the environment that torchrun makes that tells.
"""

from __future__ import annotations

import os


def first_of_machine() -> bool:
    """Whether this process reports problems: one per machine, since what is missing may be missing on one of them."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def first_of_all() -> bool:
    """Whether this process is the one that prints results."""
    return os.environ.get("RANK", "0") == "0"
