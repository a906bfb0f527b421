"""The command line: every command end to end, configuration files, own components, and mistakes in one line."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

import archgrad
from archgrad import Method, methods, spaces
from archgrad.cli import listing, main
from archgrad.cli.listing import _entries
from archgrad.cli.program import COMMANDS, Elsewhere
from archgrad.errors import LONGEST
from archgrad.runs import Run

TINY = ["--channels", "2", "--cells", "1", "--epochs", "1", "--device", "cpu", "--progress", "false"]

MODULE = '''
from dataclasses import dataclass
from torch import nn
from archgrad import Choice, Mixture
from archgrad.roles import Relaxation

@dataclass(frozen=True)
class MyRelaxation(Relaxation):
    """Softmax of scaled alphas."""

    scale: float = 2.0

    def __call__(self, alphas, sites, context=None):
        return Mixture({g: (self.scale * a).softmax(-1).expand(sites[g], -1, -1) for g, a in alphas.items()})

def network():
    body = Choice({"three": nn.Conv2d(3, 3, 3, padding=1), "skip": nn.Identity()}, group="body")
    return nn.Sequential(nn.Conv2d(1, 3, 3), body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))

def number():
    return 3
'''


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a user's package in it."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "__init__.py").write_text("")
    (tmp_path / "mypkg" / "parts.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command line adds the working directory
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "data"))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        del sys.modules[name]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on standard error with which arguments are refused."""
    with pytest.raises(SystemExit) as stop:
        main([*arguments])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("archgrad: ")
    return err.removeprefix("archgrad: ").rstrip("\n")


def test_search_train_evaluate_report_show(capsys: pytest.CaptureFixture[str], workplace: Path):
    main(["search", *TINY, "--out", "run"])
    run = Run.open("run")
    found = run.read_json("genotype.json")["text"]
    assert "run: run   report: " in capsys.readouterr().out
    expected = {"config.yaml", "metrics.jsonl", "alphas.npz", "genotype.json", "result.json", "report.html"}
    assert expected | {"checkpoints"} <= {entry.name for entry in Path("run").iterdir()}
    assert len(list(Path("run/checkpoints").glob("*.ckpt"))) == 2

    with pytest.raises(SystemExit):
        main(["evaluate", "run"])
    assert "the found network has not been trained yet: archgrad train run" in capsys.readouterr().err

    (workplace / "run" / "report.html").unlink()
    main(["train", "run", "--random", "2", "--epochs", "1", "--device", "cpu", "--progress", "false"])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("found: test accuracy ")
    assert out[1].startswith("2 random genotypes: ")
    assert out[2].startswith("Too few searches to be told from chance: ")
    assert out[3].startswith("report: ")
    assert Path("run/report.html").is_file()
    assert sorted(entry.name for entry in Path("run/train").iterdir()) == ["found", "random-00", "random-01"]
    accuracy = Run.open("run/train/found").read_json("result.json")["test"]["accuracy"]
    assert f"found: test accuracy {accuracy:.2%}" in out[0]

    main(["evaluate", "run", "--device", "cpu"])
    main(["evaluate", "run/train/found", "--split", "train", "--device", "cpu"])
    test, train = capsys.readouterr().out.splitlines()
    assert test.startswith(f"test: accuracy {accuracy:.2%}, top-5 ")
    assert train.startswith("train: accuracy ")

    main(["report", "run"])
    assert Path(capsys.readouterr().out.strip()).read_text().startswith("<!doctype html>")
    main(["show", "run"])
    shown = capsys.readouterr().out
    assert found in shown.splitlines()
    assert "(channels 2, cells 1)" in shown, "of the run"
    main(["show", "run", "--cells", "2"])
    assert "(channels 2, cells 2)" in capsys.readouterr().out

    before = (workplace / "run" / "metrics.jsonl").read_bytes()
    main(["search", *TINY, "--out", "run"])  # a finished run is found finished
    assert (workplace / "run" / "metrics.jsonl").read_bytes() == before
    capsys.readouterr()
    assert "epochs: 1 → 2" in refused(capsys, "search", *TINY, "--out", "run", "--epochs", "2")


def test_a_genotype_is_trained_without_a_search(capsys: pytest.CaptureFixture[str]):
    main(["train", "--genotype", "010000", "--out", "alone", *TINY])
    assert capsys.readouterr().out.startswith("test accuracy ")
    assert Run.open("alone").config["genotype"].startswith("|none~0|+|skip_connect~0|none~1|")
    assert "not the run of a search" in refused(capsys, "train", "alone")
    assert "give either the run directory" in refused(capsys, "train")
    assert "give either the run directory" in refused(capsys, "train", "alone", "--genotype", "010000")


def test_every_field_of_a_space_is_an_option(capsys: pytest.CaptureFixture[str], workplace: Path):
    darts = ["--space", "darts", "--stem", "imagenet", "--candidates", "[skip_connect, nor_conv_1x1]", "--cells", "3"]
    main(["search", *darts, *TINY[:2], *TINY[4:], "--image_size", "16", "--method", "random_genotype", "--out", "run"])
    fields = {"stem": "imagenet", "candidates": ["skip_connect", "nor_conv_1x1"], "channels": 2, "cells": 3}
    assert Run.open("run").config["space_fields"] == fields
    main(["train", "run", "--channels", "4", "--epochs", "1", "--device", "cpu", "--progress", "false"])
    assert Run.open("run/train/found").config["space_fields"] == fields | {"channels": 4}
    space, found = spaces.recorded(Run.open("run/train/found").config), Run.open("run").read_json("genotype.json")
    assert space == spaces.get("darts", **fields | {"channels": 4})
    loaded = archgrad.load("run")
    count = space.parameters(space.parse(found["text"]), in_channels=1)
    assert sum(p.numel() for p in loaded.parameters()) == count
    (workplace / "run.yaml").write_text("space: darts\nstem: imagenet\n")
    capsys.readouterr()
    main(["search", "--config", "run.yaml", "--method", "random_genotype", *TINY, "--cells", "3", "--out", "two"])
    assert Run.open("two").config["space_fields"] == {"stem": "imagenet", "channels": 2, "cells": 3}
    with pytest.raises(SystemExit):
        main(["search", "--space", "darts", "--help"])
    assert "--auxiliary_skip" in capsys.readouterr().out


def test_show_cost_measures_a_step(capsys: pytest.CaptureFixture[str]):
    main(["show", "--cost", "--batch_size", "2"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("search step of nasbench201, batch 2, 32×32 images (channels 16, cells 5): ")
    assert re.search(r"\d\.\d\d s, peak memory \d+ MiB beside \d\.\d MiB of weights$", line)


def test_show_tells_the_published_cost(capsys: pytest.CaptureFixture[str]):
    main(["show", "333333"])
    out = capsys.readouterr().out
    assert "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+" in out
    assert "1,531,546 parameters" in out  # 73,306 + 6 · 243,040 with the classifier of 10 classes
    assert f"{7.78305 + 6 * 35.38944:.2f} M FLOPs" in out
    main(["show", "333333", "--channels", "8", "--cells", "1"])
    genotype = spaces.get("nasbench201").parse("333333")
    count = spaces.get("nasbench201", channels=8, cells=1).parameters(genotype, unreached=False)
    assert f"{count:,} parameters" in capsys.readouterr().out


def test_list_names_all_there_is(capsys: pytest.CaptureFixture[str]):
    main(["list"])
    out = capsys.readouterr().out
    for name in ("nasbench201", "darts_second_order", "archgrad.relaxation.Softmax", "archgrad.schedules.WarmUp"):
        assert name in out
    main(["list", "datasets"])
    out = capsys.readouterr().out
    assert "digits" in out
    assert "nasbench201" not in out
    main(["--version"])
    assert capsys.readouterr().out.strip() == archgrad.__version__


def test_every_space_is_listed_in_its_own_words_with_its_size():
    texts = dict(_entries("spaces"))
    assert list(texts) == list(spaces.SPACES)
    assert not [name for name, text in texts.items() if "partial" in text or not text.endswith(" genotypes.")]
    assert texts["nasbench201"].endswith(" 15,625 genotypes.")
    assert texts["darts"].endswith(" 1.077e+18 genotypes.")
    assert texts["robust_darts_s2"].startswith("S1 … S4: ")
    suite = [texts[f"{s}-{o}"] for s in ("wide", "deep", "single_cell") for o in ("regular", "no_skip", "all_skip")]
    assert len(set(suite)) == 9
    assert texts["wide-no_skip"].startswith("The suite's wide subspace: four cells of 18 channels. ")
    assert "without skip connections" in texts["wide-no_skip"]


def test_methods_and_components_are_listed_with_a_sentence(monkeypatch: pytest.MonkeyPatch):
    class Plugin(NamedTuple):
        name: str
        made: Any
        value: str = "stranger:made"

        def load(self) -> Any:
            if self.made is None:
                raise ImportError("no stranger")
            return self.made

    def mine() -> Method:
        """Of somebody else."""
        return Method("mine")

    monkeypatch.setattr(methods, "entry_points", lambda group: [Plugin("mine", mine), Plugin("broken", None)])
    texts = dict(_entries("methods"))
    assert texts["random_search"] == "Random search with weight sharing, at the budget of a search."
    assert texts["mine"] == "Of somebody else."
    assert texts["broken"].endswith("its plug-in stranger:made cannot be imported (ImportError: no stranger)")
    warm_up = dict(_entries("components"))["archgrad.schedules.WarmUp"]
    assert warm_up.startswith("Train only the weights for the first `epochs` epochs")


def test_what_stands_in_brackets_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(listing, "_entries", lambda section: [("it", "of shape [edges]")])
    main(["list", "datasets"])
    assert "of shape [edges]" in capsys.readouterr().out


def test_a_printed_configuration_gives_the_same_run(capsys: pytest.CaptureFixture[str], workplace: Path):
    options = [*TINY, "--seed", "3", "--relaxation", "Softmax", "--relaxation.temperature", "0.5"]
    with pytest.raises(SystemExit) as stop:
        main(["search", *options, "--print_config"])
    assert stop.value.code in (0, None)
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["relaxation"]["init_args"] == {"temperature": 0.5}
    (workplace / "run.yaml").write_text(printed)
    main(["search", *options, "--out", "one"])
    main(["search", "--config", "run.yaml", "--out", "two"])
    one, two = Run.open("one"), Run.open("two")
    assert one.config == two.config
    assert one.config["method"]["init_args"]["relaxation"]["init_args"] == {"temperature": 0.5}
    assert (one.read_arrays("alphas.npz")["cell"] == two.read_arrays("alphas.npz")["cell"]).all()


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        (["--relaxation", "mypkg.parts.MyRelaxation"], 2.0),
        (["--relaxation.class_path", "mypkg.parts.MyRelaxation", "--relaxation.scale", "3"], 3.0),
    ],
)
def test_a_users_own_relaxation_is_found_in_the_working_directory(options: list[str], scale: float):
    main(["search", *TINY, *options, "--out", "run"])
    recorded = Run.open("run").config["method"]["init_args"]["relaxation"]
    assert recorded == {"class_path": "mypkg.parts.MyRelaxation", "init_args": {"scale": scale}}


def test_components_of_a_list_are_added_one_by_one():
    more = ["--schedules+=WarmUp", "--schedules.epochs=1", "--order", "weights-first"]
    main(["search", *TINY, *more, "--out", "run"])
    method = Run.open("run").config["method"]["init_args"]
    assert method["schedules"] == [{"class_path": "archgrad.schedules.warm_up.WarmUp", "init_args": {"epochs": 1}}]
    assert method["order"] == "weights-first"
    alphas = Run.open("run").read_arrays("alphas.npz")["cell"]
    assert (alphas[0] == alphas[1]).all()


def test_a_users_own_network_is_searched_from_the_seed(capsys: pytest.CaptureFixture[str]):
    options = ["--space", "mypkg.parts:network", "--epochs", "1", "--device", "cpu", "--progress", "false"]
    main(["search", *options])
    main(["search", *options, "--out", "again"])
    first = Run.open("runs/mypkg.parts_network-beta_darts-digits-0").read_arrays("alphas.npz")["body"]
    assert (first == Run.open("again").read_arrays("alphas.npz")["body"]).all()
    capsys.readouterr()
    main(["show", "again"])
    assert capsys.readouterr().out.startswith(("Genotype\n  body: three", "Genotype\n  body: skip"))
    assert "a network of your own was searched" in refused(capsys, "train", "again")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give a command: search, train, evaluate, predict, export, push, report, runs, compare, "),
        ("serch", "unknown command 'serch': did you mean 'search' or"),
        ("search --method dart", "unknown method 'dart': did you mean 'darts'"),
        ("search --config croze.yaml --epochs 3", "search: unknown option --epochs: "),
        ("search --method croz", "unknown method 'croz': did you mean 'croze'"),
        ("search --space nasbench", "unknown space 'nasbench': did you mean 'nasbench"),
        ("search --data digit", "unknown dataset 'digit': did you mean 'digits'?"),
        ("search --epochz 3", "search: unknown option --epochz: did you mean --epochs? (archgrad search --help)"),
        ("search --zzz=3", "search: unknown option --zzz: it has no such option (archgrad search --help)"),
        ("search here", "search: unexpected argument 'here'"),
        ("search --epochs x", "--epochs: expected a whole number, got 'x'"),
        ("search --channels=4.5", "--channels: expected a whole number, got '4.5'"),
        ("search --cells 0", "nasbench201: cells must be a whole number, from 1 to 10,000, got 0"),
        ("search --space darts --stemm x", "search: unknown option --stemm: did you mean --stem or --steps?"),
        ("search --space darts --stem imagnet", "unknown stem 'imagnet': did you mean 'imagenet'?"),
        ("search --stem imagenet", "search: unknown option --stem: "),
        ("search --space mypkg.parts:network --channels 3", "search: unknown option --channels: "),
        ("score --chanels 3", "score: unknown option --chanels: did you mean --channels"),
        ("correlate --chanels 3", "correlate: unknown option --chanels: did you mean --channels"),
        ("search --train_fraction half", "--train_fraction: expected a number, got 'half'"),
        ("search --progress=maybe", "--progress: expected true or false, got 'maybe'"),
        ("search --seed", "--seed: expected a value"),
        ("search --epochs -1", "method 'beta_darts': epochs must be a whole number, 0 or more, got -1"),
        ("search --order first", "method 'beta_darts': order must be 'alphas-first' or 'weights-first', got 'first'"),
        ("search --train_fraction 2", "split: fraction must lie between 0 and 1, got 2.0"),
        ("search --mixed_precision bf61", "unknown mixed precision 'bf61': did you mean 'bf16'?"),
        ("search --relaxation Sofmax", "--relaxation: unknown relaxation 'Sofmax': did you mean 'Softmax'"),
        ("search --relaxation nope.No", "--relaxation: No module named 'nope'"),
        ("search --relaxation Softmax --relaxation.temperature x", "--relaxation.temperature: expected a number, got"),
        ("search --relaxation Softmax --relaxation.temperature -1", "Softmax: "),
        ("search --relaxation Softmax --relaxation.heat 1", "--relaxation: unknown setting of Softmax 'heat'"),
        ("search --relaxation Softmax --relaxation.heet 1", "--relaxation: unknown setting of Softmax"),
        ("search --modifiers+=PartialChannels --modifiers.sharee=3", "--modifiers: unknown setting of Partial"),
        ("search --alpha_lr high", "--alpha_lr: expected a number or auto, got 'high'"),
        ("search --space darts --candidates none", "--candidates: expected a list such as [a, b], got 'none'"),
        ("search --channels 100000", "nasbench201: channels must be a whole number, from 1 to 10,000, got 100000"),
        ("search --space darts --steps -1", "darts: steps must be a whole number, from 1 to 50, got -1"),
        ("train --genotype 333333 --cells -1", "nasbench201: cells must be a whole number, from 1 to 10,000, got -1"),
        ("show 333333 --channels -4", "nasbench201: channels must be a whole number, from 1 to 10,000, got -4"),
        ("score --channels -4", "nasbench201: channels must be a whole number, from 1 to 10,000, got -4"),
        ("show --cost --batch_size -1", "step_cost: batch_size must be a whole number, 1 or more, got -1"),
        ("--sources x", "unknown option --sources: give a command first (archgrad --help)"),
        ("bench --sources x", "bench: unknown option --sources: give a command first (archgrad bench --help)"),
        ("bench merge a b --source c", "bench merge: unknown option --source: did you mean SOURCES? (archgrad b"),
        ("bench merge a --sources b", "bench merge: write SOURCES without --sources: archgrad bench merge SOURCES"),
        ("evaluate --runs missing", "evaluate: unknown option --runs: did you mean RUN or --trust? (archgrad evaluate"),
        ("search --schedules WarmUp", "--schedules: there may be several: write --schedules+=WarmUp"),
        ("search --schedules+=WarmUpp", "--schedules: unknown schedule 'WarmUpp': did you mean 'WarmUp'?"),
        ("search --schedules+=WarmUp --schedules.epochs=x", "--schedules.epochs: expected a whole number, got 'x'"),
        ("search --config none.yaml", "--config: cannot read none.yaml: there is no such file"),
        ("search --config wrong.yaml", "search: unknown option --epochz: did you mean --epochs?"),
        ("search --config typed.yaml", "--epochs: expected a whole number, got 'many'"),
        ("search --space nopkg:network", "space: nopkg:network cannot be imported (No module named 'nopkg')"),
        ("search --space mypkg.parts:net", "unknown name in mypkg.parts 'net': did you mean 'network'?"),
        ("search --space mypkg.parts:number", "space 'mypkg.parts:number': expected a function that returns a"),
        ("train missing", "missing is not a run directory: it has no config.yaml"),
        ("train --random x", "--random: expected a whole number, got 'x'"),
        ("train --run missing", "train: write RUN without --run: archgrad train RUN"),
        ("report one two", "report: unexpected argument 'two'"),
        ("train --random 1 missing", "missing is not a run directory"),
        ("show --cost=maybe", "--cost: expected true or false, got 'maybe'"),
        ("evaluate", "evaluate: RUN is missing"),
        ("evaluate missing", "missing is not a run directory"),
        ("show", "show: give a genotype or a run directory, or --cost"),
        ("show 33", "nasbench201: '33' must be six digits from 0 to 4"),
        ("list space", "unknown section 'space': did you mean 'spaces'?"),
        ("table", "table: give a command: import, show, best; archgrad table COMMAND --help tells its options"),
        ("table shwo", "unknown table command 'shwo': did you mean 'show'?"),
        ("table show", "table show: ARCHITECTURE is missing"),
        ("table show 333133 --table tabel", "no table 'tabel': "),
        ("table best --cuont 3", "table best: unknown option --cuont: did you mean --count"),
        ("table best --count x", "--count: expected a whole number, got 'x'"),
        ("table import missing.csv", "missing.csv: no such file or directory"),
        ("landscape neighborhood", "unknown landscape command 'neighborhood': did you mean 'neighbourhood'?"),
        ("landscape path 1", "landscape path: give both ends, or none for the published pairs"),
        ("landscape path 1 2 3", "landscape path: unexpected argument '3'"),
        ("landscape optima --merge=maybe", "--merge: expected true or false, got 'maybe'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], workplace: Path, arguments: str, message: str):
    (workplace / "wrong.yaml").write_text("epochz: 3\n")
    (workplace / "typed.yaml").write_text("epochs: many\n")
    (workplace / "croze.yaml").write_text("method: croze\n")
    assert refused(capsys, *arguments.split()).startswith(message)
    assert not (workplace / "runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["LONG"], ["search", "LONG"], ["search", "--LONG"], ["bench", "--LONG"], ["train", "LONG"], ["list", "LONG"],
        ["search", "--method", "LONG"], ["search", "--space", "LONG"], ["search", "--data", "LONG"],
        ["search", "--epochs", "LONG"], ["search", "--channels", "9" * 10**5], ["search", "--relaxation", "LONG"],
        ["search", "--config", "LONG"], ["search", "--out", "LONG", "--epochs", "0"], ["evaluate", "LONG"],
        ["search", "--relaxation", "Softmax", "--relaxation.temperature", "LONG"], ["score", "--proxy", "LONG"],
        ["show", "LONG"], ["show", "LONG", "--space", "darts"], ["report", "LONG"], ["robustness", "LONG"],
        ["bench", "plan", "LONG"], ["train", "--genotype", "LONG"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_message_repeats_what_is_long(capsys: pytest.CaptureFixture[str], arguments: list[str]):
    message = refused(capsys, *(argument.replace("LONG", "x" * 10**5) for argument in arguments))
    assert len(message) <= LONGEST


def test_full_memory_is_said_in_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def search(*args: Any, **options: Any) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(archgrad, "search", search)
    message = refused(capsys, "search")
    assert message == f"search: out of memory (asked for {4 * 2**60} bytes): try a smaller batch or network"


def test_a_group_of_commands_explains_itself(capsys: pytest.CaptureFixture[str]):
    for arguments, shown in {
        ("--help",): ["table", "Import tabular benchmarks, and look architectures up."],
        ("table", "--help"): ["usage: archgrad table", "import", "show", "best"],
        ("landscape", "path", "--help"): ["usage: archgrad landscape", "--metric METRIC", "the other end"],
    }.items():
        with pytest.raises(SystemExit) as stop:
            main([*arguments])
        assert stop.value.code in (0, None)
        out = capsys.readouterr().out
        assert all(text in out for text in shown)


def test_commands_elsewhere_are_imported_when_they_are_asked_for():
    heavy = [entry.place.partition(":")[0] for entry in COMMANDS.values() if isinstance(entry, Elsewhere)]
    assert "archgrad.landscape.commands" in heavy
    program = f"import sys, archgrad.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if isinstance(entry, Elsewhere)])
def test_every_command_elsewhere_is_there(name: str):
    entry = COMMANDS[name]
    assert isinstance(entry, Elsewhere)
    loaded = entry.load()
    assert all(callable(command) for command in loaded.values()) if isinstance(loaded, dict) else callable(loaded)


def commands(entries: Mapping[str, Any] = COMMANDS, path: str = "") -> dict[str, Any]:
    """Every command by what is typed, those of groups too."""
    found = {}
    for name, entry in entries.items():
        loaded = entry.load() if isinstance(entry, Elsewhere) else entry
        inner = commands(loaded, f"{path}{name} ") if isinstance(loaded, dict) else {f"{path}{name}": loaded}
        found |= inner
    return found


@pytest.mark.parametrize(("name", "command"), commands().items(), ids=[*commands()])
def test_every_option_is_explained(name: str, command: Any):
    """Those too that a command takes over from a function of the library."""
    explained = re.findall(r"^    (\w+): \S", inspect.cleandoc(command.__doc__), re.MULTILINE)
    assert sorted(explained) == sorted(option for option in inspect.signature(command).parameters if option != "fields")


def test_warnings_are_lines_and_the_programs_own_ones_come_back(capsys: pytest.CaptureFixture[str]):
    import warnings

    shown = warnings.showwarning
    main(["search", *TINY, "--epochs", "2", "--out", "run"])
    newest = max(Path("run/checkpoints").glob("*.ckpt"))
    newest.write_bytes(b"damaged")
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        main(["search", *TINY, "--epochs", "2", "--out", "run"])
    err: Any = capsys.readouterr().err
    assert err.startswith("archgrad: run/checkpoints: damaged checkpoint")
    assert err.count("\n") == 1
    assert warnings.showwarning is shown


def test_the_program_itself():
    def archgrad_program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "archgrad", *arguments], capture_output=True, text=True)

    done = archgrad_program("search", *TINY, "--out", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Genotype nasbench201\n")
    wrong = archgrad_program("search", "--method", "dart")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("archgrad: unknown method 'dart'")
