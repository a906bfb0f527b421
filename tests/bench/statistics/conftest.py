"""The published runs; and the planted campaigns can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archgrad.bench.results import Results

sys.path.insert(0, str(Path(__file__).parent))

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "data" / "benchsuite" / "published_runs.csv"


@pytest.fixture(scope="session")
def published() -> Results:
    if not PUBLISHED.is_file():
        pytest.skip(f"{PUBLISHED} is not here")
    return Results.load(PUBLISHED)
