"""The worked examples of tasks: each runs whole, and finds what its first lines promise."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TASKS = Path(__file__).resolve().parents[2] / "examples/tasks"

SMALL: dict[str, dict[str, int]] = {
    "images_to_onnx": {"count": 48},
    "multi_label": {"count": 100},
    "regression": {},
    "segmentation": {"count": 50},
    "signals": {"count": 100},
    "size_limit": {"count": 80},
    "text": {"count": 100},
    "transformer": {"count": 100},
}
"""What makes an example a matter of a second, beside one epoch of everything and one random network."""


def main_of(name: str) -> Callable[..., dict[str, Any]]:
    found: Callable[..., dict[str, Any]] = runpy.run_path(str(TASKS / f"{name}.py"))["main"]
    return found


def test_every_example_is_tested() -> None:
    assert {path.stem for path in TASKS.glob("*.py")} == set(SMALL) == set(WHOLE)


@pytest.mark.parametrize("name", SMALL)
def test_it_runs_in_small(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = main_of(name)(epochs=1, training=1, random=1, **SMALL[name])
    assert found
    assert len(capsys.readouterr().out.splitlines()) > 2


def size_limit(found: dict[str, Any]) -> None:
    points, front = found["points"], found["front"]
    for point in points:
        better = [p for p in points if p.parameters <= point.parameters and p.accuracy >= point.accuracy and p != point]
        equal = [p for p in better if (p.parameters, p.accuracy) == (point.parameters, point.accuracy)]
        assert (point in front) == (not better) or equal
    of_weight = {point.weight: point.parameters for point in points if point.weight is not None}
    assert of_weight[max(of_weight)] < of_weight[0.0], "a weight on the size makes it smaller"
    assert found["chosen"].parameters <= 1_500


WHOLE: dict[str, Callable[[dict[str, Any]], bool | None]] = {
    "images_to_onnx": lambda found: found["found"] > 80 and found["same"] == 1,
    "multi_label": lambda found: found["found"] > found["usual"] + 20,
    "regression": lambda found: found["found"] < 0.8 * found["mean"],
    "segmentation": lambda found: found["found"] > found["background"] + 0.2,
    "signals": lambda found: found["found"] > found["nearest"] + 30,
    "size_limit": size_limit,
    "text": lambda found: found["found"] > found["bag"] + 30,
    "transformer": lambda found: found["best"] < found["found"] < 0.7 * found["blind"],
}
"""What must be true of the whole example: it learns what its baseline cannot. Not that it beats chance."""


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SMALL)
def test_it_finds_what_it_promises(name: str) -> None:
    assert WHOLE[name](main_of(name)()) is not False
