"""Options are obeyed or refused and never ignored; directories do not collide; runs are extended on request."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archgrad
from archgrad import ArchgradError, data, methods, search, spaces
from archgrad.cli import main
from archgrad.comparison import load, train_found, train_genotype
from archgrad.context import Context
from archgrad.recipes import Recipe, quick
from archgrad.roles import Schedule
from archgrad.runs import Run
from archgrad.schedules import ProgressivePruning
from archgrad.state import State
from archgrad.train import train

QUIET = ["--device", "cpu", "--progress", "false"]
TINY = ["--channels", "2", "--cells", "1", "--epochs", "1", *QUIET]
SPACE = spaces.get("nasbench201", channels=2, cells=1)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def few() -> data.Dataset:
    """So few digits that an epoch is a few steps."""
    train = data.load("digits").train.take(torch.arange(96))
    return data.from_tensors(train.inputs, train.targets, train.inputs, train.targets, classes=10, name="few")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_options_that_would_be_ignored_are_refused(capsys: pytest.CaptureFixture[str]):
    main(["search", *TINY, "--method", "random_genotype", "--out", "run"])
    main(["train", "--genotype", "333333", *TINY, "--out", "trained"])
    capsys.readouterr()
    for line, option in {
        "train --genotype 333333 --random 3": "--random is for the run of a search",
        "train --genotype 333333 --inherit": "--inherit is for the run of a search",
        "train --genotype 333333 --extend --epochs 2": "extend needs the run directory",
        "train --genotype 333333 --epochs 3 --extend --out new": "new holds no run that could be extended",
        "train run --out there": "--out is for --genotype",
        "train run --space darts": "--space is for --genotype",
        "train run --inherit --random 2": "leave out random genotypes",
        "train run --inherit --channels 4": "leave out other fields of the space",
        "show run --space darts": "--space is for a genotype",
        "show 333333 --batch_size 4": "--batch_size is that of the step that --cost measures",
        "correlate --scores x.parquet --sample 10": "--sample is for scoring",
        "correlate --scores x.parquet --data digits": "--data is for scoring",
        "correlate --scores x.parquet --channels 4": "--channels is for scoring",
        "correlate --sample -5": "correlate: sample must be a whole number, 1 or more, got -5",
        "correlate --bootstrap 0": "correlate: bootstrap must be a whole number, 1 or more, got 0",
        "table best --count -1": "table best: count must be a whole number, 1 or more, got -1",
        "landscape optima --count -1": "landscape optima: count must be a whole number, 1 or more, got -1",
        "landscape optima --method tsne": "--method is that of the map, which --out names",
        "landscape neighbourhood --radii 0": "radii must be a whole number, 1 or more, got 0",
        "bench plan x.yaml --probe false --device cpu": "--device is where a step is timed",
        "score --batch_size -1": "batch size must be at least 1, got -1",
        "search --batch_size -1": "batch_size must be a whole number, 1 or more, got -1",
        "search --method croze --budget -1": "budget must be a number above 0, got -1",
        "search --image_size -1": "image_size must be a whole number, 1 or more, got -1",
        "train run --epochs -1": "epochs must be a number above 0, got -1",
        "train run --batch_size 0": "batch_size must be a number above 0, got 0",
        "train run --random -1": "random must be a whole number, 0 or more, got -1",
        "search --extend --epochs 9 --method random_genotype": "holds no run that could be extended",
    }.items():
        assert option in refused(capsys, *line.split()), line
    assert not Path("new").exists()


def test_what_is_there_takes_no_options_of_loading(few: data.Dataset):
    with pytest.raises(ArchgradError, match="few: image_size is for data that are loaded"):
        search(SPACE, "darts", few, image_size=16, progress=False)
    with pytest.raises(ArchgradError, match="executor 'native' is for spaces"):
        search(torch.nn.Linear(2, 2), "darts", few, batch_size=16, executor="native", progress=False)
    with pytest.raises(ArchgradError, match="checkpoint_cells is for spaces"):
        search(torch.nn.Linear(2, 2), "darts", few, batch_size=16, checkpoint_cells=True, progress=False)


def test_a_run_is_shown_in_its_own_size(capsys: pytest.CaptureFixture[str]):
    main(
        [
            "search",
            "--space",
            "darts",
            *TINY[:2],
            "--cells",
            "3",
            *TINY[4:],
            "--method",
            "random_genotype",
            "--out",
            "run",
        ]
    )
    found = Run.open("run").read_json("result.json")
    capsys.readouterr()
    main(["show", "run"])
    shown = capsys.readouterr().out
    assert f"{found['parameters']:,} parameters, {found['flops'] / 1e6:,.2f} M FLOPs per image of the run" in shown
    assert "(channels 2, cells 3)" in shown
    main(["train", "--genotype", "333333", *TINY, "--out", "trained"])
    count = sum(p.numel() for p in load("trained").parameters())
    capsys.readouterr()
    main(["show", "trained"])
    assert f"{count:,} parameters" in capsys.readouterr().out


def test_a_search_in_published_size_is_shown_so(capsys: pytest.CaptureFixture[str]):
    """Of DARTS the supernet is smaller than the network that is trained afterwards."""
    space, run = spaces.get("darts"), Run.start("run", {"command": "search", **spaces.record(spaces.get("darts"))})
    genotype = space.random(torch.Generator().manual_seed(0))
    run.write_json("genotype.json", {**genotype.to_dict(), "text": space.format(genotype)})
    count = space.as_searched().parameters(genotype)
    run.write_json("result.json", {"parameters": count, "flops": space.as_searched().flops(genotype)})
    main(["show", "run"])
    shown = capsys.readouterr().out
    assert f"{count:,} parameters" in shown
    assert "(channels 16, cells 8)" in shown


def test_directories_by_default_do_not_collide(capsys: pytest.CaptureFixture[str]):
    name = "runs/nasbench201-random_genotype-digits-0"
    for options, expected in (
        (["--channels", "2"], name), (["--channels", "3"], f"{name}-2"), (["--channels", "4"], f"{name}-3"),
        (["--channels", "3"], f"{name}-2"), (["--channels", "2"], name),
    ):  # fmt: skip
        main(["search", "--cells", "1", "--epochs", "1", *QUIET, "--method", "random_genotype", *options])
        assert f"run: {expected}   report: " in capsys.readouterr().out
    for budget, expected in (("3", ""), ("4", "-2"), ("3", "")):
        main(["search", "--method", "params", "--budget", budget, "--progress", "false"])
        assert f"run: runs/nasbench201-params-digits-0{expected}   " in capsys.readouterr().out
    Path("runs/other").mkdir()
    Path("runs/other/file").touch()
    assert Run.start("runs/other", {"a": 1}, numbered=True).directory == Path("runs/other-2")
    assert "epochs: 1 → 2" in refused(
        capsys, "search", "--cells", "1", "--channels", "2", "--epochs", "2", *QUIET, "--method", "random_genotype",
        "--out", name,
    )  # fmt: skip


def test_a_training_is_extended_as_one_of_so_many_epochs(few: data.Dataset, workplace: Path):
    """After three epochs of a run of three, the next ones have the learning rates of a run of five."""

    def trained(epochs: int, extend: bool = False, out: str = "run"):
        options = {"recipe": quick(), "epochs": epochs, "batch_size": 32, "device": "cpu", "progress": False}
        return train_genotype(SPACE, "333333", few, out=out, extend=extend, **options)

    trained(3)
    with pytest.raises(ArchgradError, match=r"recipe.epochs: 3 → 5"):
        trained(5)
    with pytest.raises(ArchgradError, match=r"recipe.epochs cannot be extended from 3 to 2"):
        trained(2, extend=True)
    with pytest.warns(UserWarning, match="run is extended from 3 to 5 epochs: from epoch 3 on its learning rate"):
        extended = trained(5, extend=True)
    whole = trained(5, out="whole")
    assert [record["epoch"] for record in extended.history] == [0, 1, 2, 3, 4]
    assert [r["lr"] for r in extended.history[3:]] == [r["lr"] for r in whole.history[3:]]
    assert Run.open("run").read_json("extended.json") == [{"recipe.epochs": [3, 5]}]
    assert Run.open("run").config["recipe"]["epochs"] == 5
    assert len(Run.open("run").history()) == 5
    again = trained(5)  # the longer run is found finished
    assert again.history == extended.history
    with pytest.raises(ArchgradError, match=r"recipe.epochs: 5 → 3"):
        trained(3)


@dataclass(frozen=True)
class Enough(Schedule):
    """Ends a search after its first epoch."""

    def epoch_end(self, state: State, context: Context) -> None:
        state.stop = "it is enough"


def searched(few: data.Dataset, out: str, epochs: int, *schedules: Schedule, **options: Any) -> archgrad.SearchResult:
    method = replace(methods.get("darts", "nasbench201"), schedules=schedules)
    given = {"epochs": epochs, "batch_size": 16, "device": "cpu", "progress": False, "diagnose": 0}
    return search(SPACE, method, few, out=out, **given | options)


def test_a_search_is_extended_as_one_of_so_many_epochs(few: data.Dataset):
    searched(few, "run", 2)
    with pytest.warns(UserWarning, match="run is extended from 2 to 4 epochs"):
        extended = searched(few, "run", 4, extend=True)
    whole = searched(few, "whole", 4)
    assert [r["weight_lr"] for r in extended.history[2:]] == [r["weight_lr"] for r in whole.history[2:]]
    assert extended.alphas["cell"].shape[0] == 5
    assert searched(few, "run", 4).genotype == extended.genotype


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (ProgressivePruning(at=(0.5,), keep=(0.5,)), "was pruned by a schedule"),
        (Enough(), r"was stopped \(it is enough\) by a schedule"),
    ],
)
def test_a_search_is_not_extended_beyond_what_cannot_be_undone(few: data.Dataset, schedule: Schedule, message: str):
    before = searched(few, "run", 2, schedule)
    kept = Path("run/config.yaml").read_bytes()
    with pytest.raises(ArchgradError, match=message):
        searched(few, "run", 6, schedule, extend=True)
    assert Path("run/config.yaml").read_bytes() == kept
    assert not Path("run/extended.json").exists()
    assert searched(few, "run", 2, schedule).genotype == before.genotype


def test_a_search_by_proxies_is_extended(capsys: pytest.CaptureFixture[str]):
    options = ["search", "--method", "params", "--progress", "false", "--out"]
    main([*options, "run", "--budget", "3"])
    main([*options, "run", "--budget", "6", "--extend"])
    main([*options, "whole", "--budget", "6"])

    def genotypes(run: str) -> list[str]:
        return [record["genotype"] for record in Run.open(run).history()]

    assert len(genotypes("run")) == 6
    assert genotypes("run") == genotypes("whole")


def test_the_found_network_starts_from_the_weights_of_the_supernet(
    few: data.Dataset, capsys: pytest.CaptureFixture[str]
):
    result = search(SPACE, "darts", few, epochs=1, batch_size=16, out="run", device="cpu", progress=False)
    inherited = result.build(inherit=True)
    state, names = result.supernet.network.state_dict(), dict(inherited.named_parameters())
    assert torch.equal(names["stem.0.weight"], state["stem.0.weight"])
    assert not torch.equal(result.build().stem[0].weight, state["stem.0.weight"])
    x = few.train.take(torch.arange(8)).inputs.float()
    mixture = result.supernet.one_hot(result.genotype)
    result.supernet.train(), inherited.train()
    assert torch.allclose(result.supernet(x, mixture), inherited(x), atol=1e-5)

    (found,) = trained_on("run", few, lr=1e-30)
    assert found.directory == Path("run/train/inherited")
    for name, weight in found.network.named_parameters():
        assert torch.allclose(weight, names[name], atol=1e-7), "trained from there by steps of no length"
    loaded = load("run/train/inherited").network.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in found.network.state_dict().items())
    Path("run/inherited.safetensors").unlink()
    with pytest.raises(ArchgradError, match=r"inherited.safetensors: no such weights file"):
        trained_on("run", few, lr=0.1)


def trained_on(run: str, few: data.Dataset, lr: float):
    recipe = Recipe(epochs=1, batch_size=32, lr=lr, momentum=0.0)
    return train_found(run, inherit=True, data=few, recipe=recipe, device="cpu", progress=False)


@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_numbers_of_numpy_are_numbers(few: data.Dataset, kind: type):
    """In every setting that is recorded, and with the same random numbers."""
    method = methods.get("darts", "nasbench201")

    def run(whole: type, real: type, out: str) -> archgrad.SearchResult:
        chosen = replace(method, alpha_optimiser=replace(method.alpha_optimiser, lr=real(3e-4)))
        space = spaces.get("nasbench201", channels=whole(2), cells=whole(1))
        options = {"epochs": whole(1), "batch_size": whole(16), "seed": whole(3), "train_fraction": real(0.5)}
        return search(space, chosen, few, out=out, device="cpu", progress=False, **options)

    ours, theirs = run(int, float, "python"), run(kind, np.float64, "numpy")
    assert (ours.alphas["cell"] == theirs.alphas["cell"]).all()
    assert Run.open("python").config == Run.open("numpy").config
    assert run(int, float, "numpy").genotype == ours.genotype, "and is the same run"
    options = {"recipe": quick(), "epochs": kind(1), "batch_size": kind(32), "seed": kind(1)}
    trained = train_genotype(
        SPACE, "333333", few, out="trained", validation=np.float64(0.25), device="cpu", progress=False, **options
    )
    assert trained.directory == Path("trained")


def test_lost_metrics_come_back_from_the_checkpoint(few: data.Dataset):
    def trained() -> None:
        recipe = quick()
        train_genotype(
            SPACE, "333333", few, recipe=recipe, epochs=2, batch_size=32, out="it", device="cpu", progress=False
        )

    for again, out in ((lambda: searched(few, "run", 2), "run"), (trained, "it")):
        again()
        file = Path(out) / "metrics.jsonl"
        whole = [{k: v for k, v in r.items() if k != "seconds"} for r in Run.open(out).history()]
        for damage in (file.unlink, lambda file=file: file.write_bytes(file.read_bytes().split(b"\n")[0] + b"\n")):
            damage()
            again()
            assert [{k: v for k, v in r.items() if k != "seconds"} for r in Run.open(out).history()] == whole


def test_lost_metrics_of_a_search_by_proxies_are_scored_again():
    options = ["search", "--method", "params", "--progress", "false", "--out", "run", "--budget", "4"]
    main(options)
    file = Path("run/metrics.jsonl")
    whole = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in file.read_text().splitlines()]
    file.unlink()
    main(options)
    again = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in file.read_text().splitlines()]
    assert again == whole


@pytest.mark.parametrize("kind", ["search", "train"])
def test_a_run_knows_how_many_processes_began_it(few: data.Dataset, kind: str):
    if kind == "search":
        search(SPACE, "random_genotype", few, batch_size=16, out="run", device="cpu", progress=False)
    else:
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        train(network, few, recipe=quick(), epochs=1, batch_size=32, out="run", device="cpu", progress=False)
    config = Run.open("run").config
    assert config["processes"] == 1
    with pytest.raises(ArchgradError, match="processes: 1 → 2"):
        Run.start("run", config | {"processes": 2})
