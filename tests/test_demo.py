"""The demo: its network, the commands that it runs, and what its measurement counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from programs import program

from archgrad import Supernet, demo
from archgrad.standing import Standing


def test_the_network_has_six_free_choices_among_operations_that_keep_the_shape():
    supernet = Supernet(demo.SignalNet())
    operations = ("skip", "pool", "conv1", "conv3", "conv7", "dilated")
    assert [group.operations for group in supernet.groups.values()] == [operations] * 6
    x = torch.randn(4, demo.CHANNELS, 32)
    for name, candidate in demo.candidates().items():
        assert candidate(x).shape == x.shape, name
    genotype = supernet.random(torch.Generator().manual_seed(0))
    assert supernet.settle(genotype)(torch.randn(4, 1, 64)).shape == (4, 10)


def test_the_demo_runs_its_commands_and_ends_with_those_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    quick = "--epochs 1 --batch_size 32 --limit 80 --device cpu --progress false"
    monkeypatch.setattr(demo, "SEARCH", f"--method random_genotype {quick}")
    monkeypatch.setattr(demo, "TRAIN", f"--random 2 {quick} --validation 0.2")
    monkeypatch.setattr(demo, "SEARCHES", 2)
    demo.main(["--seed", "3"])
    printed = capsys.readouterr().out
    commands = [line.split()[2] for line in printed.splitlines() if line.startswith("$ archgrad ")]
    assert commands == ["search", "search", "train", "evaluate", "export"]
    for part in ("--seed 6 --out runs/demo/search-0", "--seed 7 --out runs/demo/search-1", "from chance: 2 found"):
        assert part in printed
    assert printed.count("test input") == 5
    assert "outputs of onnxruntime differ" in printed
    last = printed.rpartition("What one would type next:\n")[2].splitlines()
    assert [line.split()[:2] for line in last] == [["archgrad", name] for name in ("predict", "search", "list")]
    assert len(list(Path("runs/demo").glob("search-*/model.onnx"))) == 1


def test_the_measurement_counts_what_it_says():
    measurement = program("benchmarks/demo.py")
    cloud = tuple(0.7 + i / 100 for i in range(10))  # its mean is 0.745, its best 0.79
    demos = [
        measurement.Demo(0, Standing((0.85, 0.86, 0.87), cloud), 0.86),
        measurement.Demo(1, Standing((0.78, 0.70, 0.77), cloud), 0.77),
        measurement.Demo(2, Standing((0.70, 0.70, 0.70), cloud), 0.70),
    ]
    assert measurement.row(demos[0]) == "| 0 | 85.0, 86.0, 87.0 | 86.0 | 74.5 ± 3.0 | 79.0 | 0.003 | 1.00 |"
    assert measurement.summary(demos)[:4] == [
        "chosen network at least 2 points above the random mean: 2 of 3",
        "mean of the found networks at least 2 points above the random mean: 1 of 3",
        "chosen network better than the best random one: 1 of 3",
        "report says better than chance (p ≤ 0.05): 1 of 3",
    ]
