"""From a search to answers and to a file for other programs, on the command line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from archgrad import data, load
from archgrad.cli import main

TINY = ["--channels", "2", "--cells", "1", "--epochs", "1", "--device", "cpu", "--progress", "false"]

OWN = """
import torch
from torch import nn
from archgrad import Choice, data

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = Choice({"line": nn.Linear(6, 6), "skip": nn.Identity()})
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.body(x))

def points():
    x = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
    return data.from_tensors(x, (x[:, 0] > 0).long(), classes=["low", "high"])
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_images_are_answered_and_the_network_is_exported(
    workplace: Path, capsys: pytest.CaptureFixture[str], digits: data.Dataset
):
    main(["train", "--genotype", "010203", "--out", "run", *TINY])
    (workplace / "new").mkdir()
    for number in range(3):
        Image.fromarray(digits.test.inputs[number, 0].numpy()).save(workplace / "new" / f"{number}.png")
    np.save("several.npy", digits.test.inputs[:2, 0].numpy())
    capsys.readouterr()
    main(["predict", "run", "new", "several.npy", "--json", "--top", "2"])
    found = json.loads(capsys.readouterr().out)["answers"]
    inputs = [str(Path("new") / f"{number}.png") for number in range(3)]
    assert [record["input"] for record in found] == [*inputs, "several.npy[0]", "several.npy[1]"]
    assert found[0]["probabilities"] == pytest.approx(found[3]["probabilities"], abs=1e-6)
    assert all(len(record["probabilities"]) == 2 for record in found)
    main(["predict", "run", "new/0.png"])
    line = capsys.readouterr().out
    assert line.startswith(f"{inputs[0]}: {found[0]['answer']} (")
    assert ", then " in line

    main(["export", "run", "--preprocessing"])
    assert capsys.readouterr().out.startswith(f"{Path('run') / 'model.onnx'}: outputs of onnxruntime differ by ")
    session = onnxruntime.InferenceSession("run/model.onnx", providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {"input": digits.test.inputs[:1].numpy()})
    assert str(int(outputs.argmax())) == found[0]["answer"]
    with pytest.raises(SystemExit):
        main(["predict", "run"])
    assert "FILES is missing" in capsys.readouterr().err


def test_a_network_of_ones_own_goes_the_whole_way(workplace: Path, capsys: pytest.CaptureFixture[str]):
    (workplace / "mine_to_use.py").write_text(OWN)
    own = ["--space", "mine_to_use:Net"]
    main(["search", *own, "--data", "mine_to_use:points", "--batch_size", "8", "--out", "run", *TINY[4:]])
    main(["train", "run", *own, "--trust", "--random", "1", "--batch_size", "8", *TINY[4:]])
    assert "1 random genotype: " in capsys.readouterr().out
    np.save("one.npy", np.ones(6, np.float32))
    main(["predict", "run", "one.npy", *own])
    assert capsys.readouterr().out.startswith(("one.npy: low (", "one.npy: high ("))
    main(["export", "run", *own, "--format", "torch", "--out", "mine.pt2"])
    assert capsys.readouterr().out.startswith("mine.pt2: outputs of the loaded program differ by ")
    with pytest.raises(SystemExit):
        main(["predict", "run", "one.npy"])
    assert "--space PACKAGE.MODULE:NAME" in capsys.readouterr().err
    assert "mine_to_use" in sys.modules


def test_several_searches_are_compared_and_the_best_answers_for_its_test_inputs(capsys: pytest.CaptureFixture[str]):
    for seed in ("0", "1"):
        main(["search", *TINY, "--method", "random_genotype", "--seed", seed, "--out", f"s{seed}"])
    capsys.readouterr()
    quick = ["--epochs", "1", "--device", "cpu", "--progress", "false"]
    main(["train", "s0", "s1", "--channels", "2", "--cells", "1", "--random", "2", "--validation", "0.2", *quick])
    printed = capsys.readouterr().out
    for part in ("found by s0: ", "found by s1: ", "2 random genotypes: ", "from chance: 2 found networks"):
        assert part in printed
    best = re.search("best on what the trainings held out: (s[01])", printed)[1]
    assert printed.count("report.html") == 2
    assert f"next: archgrad predict {best} FILES" in printed
    main(["evaluate", best, "--show", "3", "--json", "--device", "cpu"])
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert [answer["is"] for answer in answers] == [str(int(y)) for y in data.load("digits").test.targets[:3]]
    model = load(best)
    assert [answer["answer"] for answer in answers] == [
        model.predict(x).answer for x in data.load("digits").test.inputs[:3]
    ]
    main(["evaluate", best, "--show", "1", "--device", "cpu"])
    assert re.search(r"\ntest input 0, which is \d: \d \(\d", capsys.readouterr().out)


def test_of_several_that_inherit_weights_the_best_is_told_as_well(capsys: pytest.CaptureFixture[str]):
    for seed in ("0", "1"):
        main(["search", *TINY, "--batch_size", "256", "--diagnose", "0", "--seed", seed, "--out", f"s{seed}"])
    capsys.readouterr()
    quick = ["--epochs", "1", "--device", "cpu", "--progress", "false"]
    main(["train", "s0", "s1", "--inherit", "--validation", "0.2", "--json", *quick])
    told = json.loads(capsys.readouterr().out)
    first, second = (one["validation"]["accuracy"] for one in (told["found"], *told["beside"]))
    assert told["best"] == ("s1" if second > first else "s0")
