"""Where the found architecture stands among random ones."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from archgrad import report
from archgrad.report.comparison import comparison, ordinal, strip_plot
from archgrad.report.rundata import RunData


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )


def test_planted_trainings_are_ranked_and_drawn_once_each(plant: Callable[..., Path]) -> None:
    data = RunData.read(plant(found=0.97, random=(0.96, 0.98, 0.97, 0.95)))
    standing = data.standing
    assert standing is not None
    assert (standing.rank(0.97), standing.percentile(0.97), standing.best) == (2, 62.5, 0.98)
    body = comparison(data).body
    for width in ("on-wide", "on-narrow"):
        drawing = body.partition(f'<div class="{width}">')[2].partition("</svg>")[0]
        assert len(re.findall("<circle", drawing)) == 4
        assert drawing.count('class="found"') == 1
    ranks = re.findall(r'<td class="number">(\d+)</td><td><(?:span|strong) class="nowrap">([\w-]+)<', body)
    assert ranks[0] == ("1", "random-01")
    assert sorted(ranks[1:3]) == [("2", "found"), ("2", "random-02")]
    assert ranks[3:] == [("4", "random-00"), ("5", "random-03")]


@pytest.mark.parametrize("width", [340, 1040])
def test_dots_do_not_cover_each_other(plant: Callable[..., Path], width: float) -> None:
    data = RunData.read(plant(random=[0.96] * 6 + [0.961] * 5 + [0.99]))
    assert data.standing is not None
    drawing = strip_plot(data.compared, data.standing, data.primary, width)
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing)]
    assert len(dots) == 12
    gaps = [math.dist(a, b) for i, a in enumerate(dots) for b in dots[:i]]
    assert min(gaps) >= 12  # the diameter


def test_without_trainings_the_command_is_shown(plant: Callable[..., Path]) -> None:
    directory = plant(found=None, random=())
    assert f"archgrad train {directory} --random 10" in comparison(RunData.read(directory)).body


def test_a_training_in_progress_is_named_and_not_counted(plant: Callable[..., Path]) -> None:
    directory = plant(random=(0.96, 0.99))
    (directory / "train/random-01/result.json").unlink()
    data = RunData.read(directory)
    standing = data.standing
    assert standing is not None
    assert standing.random == (0.96,)
    assert "Without a test accuracy yet: random-01." in comparison(data).body


def told(score: float, validation: float | None = None, **config: object) -> dict[str, object]:
    """What a run is told of a network that another run trained."""
    held_out = None if validation is None else {"accuracy": validation}
    return {"config": {"genotype": "g", **config}, "result": {"test": {"accuracy": score}, "validation": held_out}}


def test_networks_of_other_searches_stand_beside(plant: Callable[..., Path]) -> None:
    directory = plant(found=0.97, random=(0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96))
    beside = {"found": {"two": told(0.975), "three": told(0.98)}, "random": {"random-00": told(0.99)}}
    (directory / "beside.json").write_text(json.dumps(beside))
    data = RunData.read(directory)
    assert data.standing is not None
    assert data.standing.found == (0.97, 0.975, 0.98)
    assert len(data.standing.random) == 7, "its own random networks, not those of another run"
    text = report.write(directory).read_text()
    first = text.partition("<main>")[2]
    assert re.match(r'<section id="result"><h2>Result</h2><p class="verdict">Better than chance: 3 found', first)
    assert "three (another run)" in text
    assert text.count('class="beside"') == 4, "two diamonds, on wide and on narrow pages"
    for name in ("random-00", "random-01", "random-02", "random-03", "random-04", "random-05", "random-06"):
        shutil.rmtree(directory / "train" / name)
    assert RunData.read(directory).standing.random == (0.99,)  # type: ignore[union-attr]


def test_only_networks_trained_the_same_way_are_compared(plant: Callable[..., Path]) -> None:
    directory = plant(found=0.97, random=(0.9, 0.99))
    config = directory / "train/random-01/config.yaml"
    config.write_text(config.read_text() + "recipe: {epochs: 600}\n")
    beside = {"found": {"two": told(0.99, recipe={"epochs": 600}), "three": told(0.96)}, "random": {}}
    (directory / "beside.json").write_text(json.dumps(beside))
    data = RunData.read(directory)
    assert data.standing is not None
    assert (data.standing.found, data.standing.random) == ((0.97, 0.96), (0.9,))
    assert "trained in another way than the found network: random-01." in comparison(data).body


def test_what_validation_would_have_chosen_is_told(plant: Callable[..., Path]) -> None:
    directory = plant(found=0.97, random=(0.9, 0.95))
    for name, score in (("found", 0.8), ("random-00", 0.85), ("random-01", 0.84)):
        path = directory / "train" / name / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "validation": {"accuracy": score}}))
    (directory / "beside.json").write_text(json.dumps({"found": {"two": told(0.96, 0.9)}, "random": {}}))
    body = comparison(RunData.read(directory)).body
    assert "the best found network is two (test accuracy 96.00 %)" in body
    assert "the best random one is random-00 (test accuracy 90.00 %)" in body


@pytest.mark.parametrize("damage", ["[]", '{"found": 3}', '{"found": {"a": {}}, "random": {}}', "{"])
def test_damage_in_what_was_told_is_named(plant: Callable[..., Path], damage: str) -> None:
    directory = plant()
    (directory / "beside.json").write_text(damage)
    assert re.search(r'class="note">Damaged: [^<]*beside.json', report.write(directory).read_text())
