"""The real data."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"


@pytest.fixture
def data() -> Path:
    """The directory of real data, or the test is skipped."""
    if not DATA.is_dir():
        pytest.skip("the real data are not here")
    return DATA
