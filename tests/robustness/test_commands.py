"""archgrad robustness RUN: a trained network in, a file, two figures and tables out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from archgrad import ArchgradError, data, search, spaces
from archgrad.comparison import train_found, train_genotype
from archgrad.recipes import Recipe
from archgrad.report import robustness as sections
from archgrad.report.rundata import RunData
from archgrad.report.section import Section
from archgrad.robustness import commands

RECIPE = Recipe(epochs=1, batch_size=16, lr=0.05)
QUIET = {"device": "cpu", "progress": False}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    train_genotype(
        spaces.get("nasbench201", channels=2, cells=1), cell, "digits", recipe=RECIPE, out=tmp_path / "run", **QUIET
    )
    return tmp_path / "run"


def test_a_training_is_evaluated_and_its_report_shows_it(run: Path, capsys: pytest.CaptureFixture[str]):
    options = {"attacks": "fgsm,pgd-3", "epsilons": "4,16", "corruptions": "fog,pixelate", "images": 40}
    commands.robustness(str(run), **options, **QUIET)
    found = json.loads((run / "robustness.json").read_text())
    assert list(found["attacks"]) == ["fgsm", "pgd-3"]
    assert found["attacks"]["fgsm"]["epsilons"] == pytest.approx([4 / 255, 16 / 255])
    assert [len(row) for row in found["corruptions"].values()] == [5, 5]
    assert found["images"] == 40
    for name in ("robustness.svg", "corruptions.svg"):
        assert (run / name).read_text().lstrip().startswith("<?xml")
    printed = capsys.readouterr().out
    assert "clean accuracy" in printed
    assert "pgd-3" in printed
    assert f"{found['corruptions']['fog'][4]:.2%}" in printed
    section = sections.robustness(RunData.read(run))
    assert isinstance(section, Section)
    assert "pgd-3" in section.body
    assert f"{100 * found['attacks']['pgd-3']['accuracies'][0]:.2f} %" in section.body
    assert "pixelate" in section.body


def test_of_a_search_the_found_network_is_evaluated(tmp_path: Path):
    few = data.load("digits")
    part = few.train.take(torch.arange(64))
    images = data.from_tensors(part.inputs, part.targets, part.inputs, part.targets, classes=10, name="few digits")
    out = tmp_path / "search"
    search(spaces.get("nasbench201", channels=2, cells=1), "random_genotype", images, batch_size=16, out=out, **QUIET)
    with pytest.raises(ArchgradError, match="has not been trained yet"):
        commands.robustness(str(out), **QUIET)
    assert sections.robustness(RunData.read(out)) is None
    train_found(out, recipe=RECIPE, data=images, **QUIET)
    commands.robustness(str(out), data="digits", attacks="none", corruptions="contrast", images=20, **QUIET)
    assert (out / "train" / "found" / "robustness.json").is_file()
    assert "contrast" in sections.robustness(RunData.read(out)).body


def test_a_damaged_file_is_a_note_in_the_report(run: Path):
    for text in ("{", "[]", '{"attacks": {"a": 3}, "corruptions": []}'):
        (run / "robustness.json").write_text(text)
        section = sections.robustness(RunData.read(run))
        assert isinstance(section, Section)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilons": "1,x"}, "numbers from 0 to 255"),
        ({"attacks": "foo"}, "unknown attack 'foo'"),
        ({"corruptions": "smog"}, "unknown corruption 'smog'"),
    ],
)
def test_mistakes_are_one_line(options, message: str, run: Path):
    with pytest.raises(ArchgradError, match=message):
        commands.robustness(str(run), **options, **QUIET)
