"""The report on a phone and on a desk, as a browser lays it out: nothing is cut off, and letters can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from archgrad import report

Plant = Callable[..., Path]
Pages = Callable[[str], Path]
MARGIN = 16  # of the page's body on a phone, in pixels


def proxy_run(plant: Plant) -> Path:
    """A search by one proxy, as `archgrad search --method croze` writes it: thirty scored cells, nothing trained."""
    directory = plant(name="croze", found=None, random=())
    (directory / "alphas.npz").unlink()
    genotype = json.loads((directory / "genotype.json").read_text())["text"]
    records = [
        {
            "epoch": i,
            "genotype": genotype,
            "scores": {"croze": 3.0 + i % 7},
            "parameters": 1e5,
            "flops": 1e7,
            "seconds": i,
        }
        for i in range(30)
    ]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    config = {"command": "search", "space": "nasbench201", "method": "croze", "proxies": {"croze": {}}, "budget": 30}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    result = json.loads((directory / "result.json").read_text())
    kept = {key: result[key] for key in ("genotype", "space", "groups", "seconds")}
    (directory / "result.json").write_text(json.dumps({**kept, "method": "croze", "scored": 30}))
    return directory


@pytest.fixture(params=["nasbench201", "darts", "Net", "proxy", "extreme"])
def page(request: pytest.FixtureRequest, plant: Plant) -> str:
    """A report of every kind, and one whose scores lie at the ends of their axis."""
    if request.param == "proxy":
        directory = proxy_run(plant)
    elif request.param == "extreme":
        directory = plant(found=1.0, random=(0.8125, *[0.99] * 12), epochs=2000)
    else:
        directory = plant(request.param, random=[0.95 + i / 500 for i in range(10)])
    return report.write(directory).read_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_and_letters_have_the_size_of_letters(page: str, width: int, browser: Any) -> None:
    found = browser.measured(page, width)
    assert found["width"] == width
    assert found["scroll"] <= width, "the page scrolls sideways"
    assert found["svgs"]
    for svg in found["svgs"]:
        left, top, right, bottom = svg["box"]
        if "Cell" not in svg["told"] or width < 600:  # a large graph scrolls in its own place
            assert left >= MARGIN - 1, svg["told"]
            assert right <= width - MARGIN + 1, svg["told"]
        for text in svg["texts"]:
            a, b, c, d = text["box"]
            inside = a >= left - 1 and b >= top - 1 and c <= right + 1 and d <= bottom + 1
            assert inside, f"{text['text']!r} leaves {svg['told']}"
            size = text["size"] * svg["scale"]
            assert 8.5 <= size <= 17, f"{text['text']!r} of {svg['told']} is {size:.1f} pixels high"
    for value in found["values"]:
        assert not value["wide"], value["text"]
        assert value["box"][2] <= width - MARGIN + 1, value["text"]


def test_a_search_by_proxies_says_what_it_did(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = proxy_run(plant)
    monkeypatch.chdir(directory.parent)
    text = report.write("croze").read_text()
    assert "30 architectures scored" in text
    assert "epoch" not in text.partition("Configuration")[0].lower()
    for absent in ("Architecture weights", "Losses and accuracies", "alphas.npz", "metrics.jsonl"):
        assert absent not in text


@pytest.mark.parametrize(
    ("place", "space", "wanted"),
    [
        ("runs/croze", "nasbench201", "archgrad train runs/croze --random 10"),
        ("runs/my run", "nasbench201", "archgrad train 'runs/my run' --random 10"),
        ("runs/own", "Net", "archgrad train runs/own --space PACKAGE.MODULE:Net --random 10"),
    ],
)
def test_the_command_is_the_one_that_works_here(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, space: str, wanted: str
) -> None:
    (tmp_path / "runs").mkdir()
    directory = plant(space, name=place, found=None, random=())
    monkeypatch.chdir(tmp_path)
    assert wanted in report.write(place).read_text()
    monkeypatch.chdir(directory)
    assert "archgrad train . " in report.write(".").read_text()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert str(directory) in report.write(directory).read_text()
