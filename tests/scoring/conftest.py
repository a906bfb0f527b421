"""The real data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def data(real_data: Callable[[str], Path]) -> Path:
    """The directory of real data."""
    return real_data("robustness").parent
