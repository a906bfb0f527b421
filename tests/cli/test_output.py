"""Results on standard output, for people or as one JSON document; everything else is the log on standard error."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archgrad
from archgrad import console, progress, spaces
from archgrad.cli import arguments, main
from archgrad.cli.program import COMMANDS, loaded
from archgrad.method import ROLES
from archgrad.runs import Run

TINY = ["--channels", "2", "--cells", "1", "--device", "cpu"]
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
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "data"))
    (tmp_path / "mine_to_show.py").write_text(OWN)
    return tmp_path


def table() -> None:
    """A table of three cells among the user's data."""
    Path("data").mkdir()
    rows = ["ops,cifar10_test_200", "333333,93.0", "333133,94.0", "000000,10.0"]
    Path("data/known.csv").write_text("\n".join(rows) + "\n")


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What a command prints with --json, which is one document and nothing else."""
    main([*words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found
    return found


def test_every_command_that_prints_a_result_prints_one_document(capsys: pytest.CaptureFixture[str]):
    quick = ["--epochs", "1", "--progress", "false"]
    found = document(capsys, "search", *TINY, *quick, "--out", "run")
    assert found["genotype"] == Run.open("run").read_json("genotype.json")["text"]
    assert found["choices"]["cell"] == Run.open("run").read_json("genotype.json")["choices"]["cell"]
    assert found["parameters"] > 0
    assert found["decision"]["edges"] == 6
    trained = document(capsys, "train", "run", "--random", "2", *quick, "--device", "cpu")
    assert (
        trained["found"]["test"]["accuracy"] == Run.open("run/train/found").read_json("result.json")["test"]["accuracy"]
    )
    assert len(trained["random"]) == 2
    assert 0 <= trained["better"] <= 2
    evaluated = document(capsys, "evaluate", "run", "--device", "cpu")
    assert evaluated["accuracy"] == trained["found"]["test"]["accuracy"]
    assert document(capsys, "show", "run")["genotype"] == found["genotype"]
    assert document(capsys, "report", "run")["report"].endswith("report.html")
    assert "darts" in document(capsys, "list", "spaces")["spaces"]
    np.save("one.npy", np.zeros((8, 8), np.uint8))
    answers = document(capsys, "predict", "run", "one.npy")["answers"]
    assert answers[0]["input"] == "one.npy"
    assert document(capsys, "export", "run", "--format", "safetensors")["file"] == "run/model.safetensors"
    scored = document(capsys, "score", "--proxy", "params", "--sample", "3", *TINY[:4], "--progress", "false")
    assert scored["proxies"]["params"]["most"] >= scored["proxies"]["params"]["least"]
    searched = document(capsys, "search", "--method", "params", "--budget", "4", *TINY[:4], "--progress", "false")
    assert searched["scored"] == 4
    assert searched["scores"]["params"] > 0
    table()
    assert document(capsys, "table", "best", "--table", "known")["best"][0]["value"] == 94
    assert document(capsys, "table", "show", "333133", "--table", "known")["values"]["cifar10_test_200"]["rank"] == 1
    steps = document(capsys, "show", "--cost", "--batch_size", "1", *TINY[:4])["step"]
    assert steps["seconds"] > 0


def test_a_mistake_with_json_prints_no_document(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["show", "33", "--json"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.startswith("archgrad: nasbench201: '33' must be six digits")


def test_plain_data_of_everything_that_commands_give():
    @dataclasses.dataclass
    class Thing:
        path: Path
        share: float

    given = {"a": np.float32(0.5), "b": math.nan, 3: (1, {2}), "t": torch.ones(2), "d": Thing(Path("x"), math.inf)}
    expected = {"a": 0.5, "b": None, "3": [1, [2]], "t": [1.0, 1.0], "d": {"path": "x", "share": None}}
    assert console.plain(given) == expected
    assert json.loads(json.dumps(console.plain(given), allow_nan=False)) == expected


# The end of a search


def test_the_end_of_a_search_says_what_how_good_how_sure_and_what_next(capsys: pytest.CaptureFixture[str]):
    table()
    main(["search", *TINY, "--epochs", "2", "--progress", "false", "--out", "my run"])
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert re.fullmatch(r"  cell: 0→1 \w+, 0→2 \w+, 1→2 \w+, 0→3 \w+, 1→3 \w+, 2→3 \w+", lines[1])
    result = Run.open("my run").read_json("result.json")
    assert lines[2] == result["genotype"]
    assert f"accuracy of the supernet {100 * result['validation_accuracy']:.2f} % on the validation part" in out
    assert f"ahead of the runner-up by {result['decision']['margin']:.3g} in weight" in out
    assert f"{result['parameters']:,} parameters, " in out
    assert " FLOPs per input, at the size of the search; searched in " in out
    start = lines.index("next:") + 1
    commands = [shlex.split(line, comments=True) for line in lines[start:]]
    assert [words[:3] for words in commands] == [
        ["archgrad", verb, "my run"] for verb in ("train", "predict", "export")
    ]
    main([*commands[0][1:3], "--epochs", "1", "--progress", "false", "--device", "cpu"])
    assert "next: archgrad predict 'my run' FILES; archgrad export 'my run'" in capsys.readouterr().out


def test_a_search_that_heeds_latency_says_that_of_what_it_found(capsys: pytest.CaptureFixture[str]):
    latency = ["--regularisers+=Cost", "--regularisers.kind=latency"]
    main(["search", *TINY, *latency, "--epochs", "1", "--progress", "false", "--out", "run"])
    milliseconds = Run.open("run").read_json("result.json")["latency_ms"]
    assert 0 < milliseconds < 1000
    assert f", {milliseconds:.3g} ms per input on cpu, at the size of the search" in capsys.readouterr().out


def test_what_a_table_knows_of_the_found_cell_is_said(capsys: pytest.CaptureFixture[str]):
    from archgrad.report.tabular import known_accuracy

    table()
    space = spaces.get("nasbench201")
    known = known_accuracy(space.format(space.parse("333333")), {"space": "nasbench201", "data": "digits"})
    assert known is not None
    assert (known["value"], known["rank"], known["of"], known["table"]) == (93.0, 2, 3, "known")
    assert known_accuracy("anything", {"space": "darts"}) is None


def test_the_next_commands_of_ones_own_network_name_it_and_its_data(capsys: pytest.CaptureFixture[str]):
    own = ["--space", "mine_to_show:Net", "--data", "mine_to_show:points", "--batch_size", "8"]
    main(["search", *own, "--epochs", "1", "--device", "cpu", "--progress", "false", "--out", "run"])
    out = capsys.readouterr().out
    assert re.search(r"^  \w+: (line|skip)$", out, re.MULTILINE)
    assert "archgrad train run --random 10 --space mine_to_show:Net --trust" in out
    assert "archgrad predict run FILES --space mine_to_show:Net" in out


# The log


def test_off_a_terminal_there_is_a_start_line_a_line_a_minute_and_an_end_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    main(["search", *TINY, "--epochs", "2", "--limit", "320", "--out", "run"])
    err = capsys.readouterr().err.splitlines()
    steps = len(err) - 2
    assert err[0] == f"archgrad: search beta_darts: 2 epochs of {steps // 2} steps"
    assert re.fullmatch(r"archgrad: search beta_darts: epoch 1 of 2, 1 of \d+ steps: loss \d.*, about .+ left", err[1])
    assert re.fullmatch(r"archgrad: search beta_darts: done in .+: loss \d\.\d+, accuracy \d+\.\d+%", err[-1])
    for words in (
        ["train", "run", "--epochs", "1", "--device", "cpu"],
        ["evaluate", "run", "--device", "cpu"],
        ["score", "--proxy", "params", "--sample", "2", *TINY[:4]],
        ["search", "--method", "params", "--budget", "2", *TINY[:4]],
    ):
        main(words)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) >= 3, words
        assert ": done in " in lines[-1]
        main([*words, "--quiet"])
        assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("default::archgrad.errors.ArchgradWarning")
def test_a_search_that_goes_on_says_where(capsys: pytest.CaptureFixture[str]):
    main(["search", *TINY, "--epochs", "1", "--out", "run", "--quiet"])
    main(["search", *TINY, "--epochs", "2", "--out", "run", "--extend"])
    steps = Run.open("run").history()
    assert len(steps) == 2
    assert re.search(r"search beta_darts: 2 epochs of (\d+) steps, \1 steps of them done", capsys.readouterr().err)


def test_verbose_and_quiet_exclude_each_other_and_verbose_says_more(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["list", "datasets", "--verbose", "--quiet"])
    assert capsys.readouterr().err == "archgrad: --verbose and --quiet exclude each other\n"
    words = ["search", *TINY, "--epochs", "1", "--progress", "false"]
    main([*words, "--out", "one"])
    assert capsys.readouterr().err == ""
    main([*words, "--out", "two", "--verbose"])
    err = capsys.readouterr().err
    assert "archgrad: two: checkpoint " in err
    assert "archgrad: search beta_darts: epoch 0: " in err


def test_importing_installs_no_handler_and_the_command_leaves_none(capsys: pytest.CaptureFixture[str]):
    handlers = "logging.getLogger('archgrad').handlers, logging.root.handlers"
    program = f"import logging, archgrad; archgrad.search; print({handlers})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
    logger = logging.getLogger("archgrad")
    before = logger.handlers[:], logger.level
    main(["list", "datasets", "--verbose"])
    assert (logger.handlers, logger.level) == before


def test_a_librarys_user_sees_the_same_lines_by_logging(caplog: pytest.LogCaptureFixture):
    space = spaces.get("nasbench201", channels=2, cells=1)
    with caplog.at_level(logging.INFO, logger="archgrad"):
        archgrad.search(space, "darts", "digits", limit=320, epochs=1, device="cpu")
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("search darts: ")
    assert any(text.startswith("search darts: done in ") for text in said)


# Help and completion


def test_what_is_known_before_anything_is_imported_is_true(capsys: pytest.CaptureFixture[str]):
    assert tuple(ROLES) == arguments.ROLES
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, entry in COMMANDS.items():
        assert f"{name} {entry.help}" in shown
        assert loaded(entry)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_options_and_names(shell: str, capsys: pytest.CaptureFixture[str], workplace: Path):
    pytest.importorskip("shtab")
    main(["completion", shell])
    script = capsys.readouterr().out
    assert all(
        word in script for word in ("search", "bench", "landscape", "genotype", "pdarts", "nasbench201", "quiet")
    )
    if shell != "bash":
        return
    (workplace / "complete.sh").write_text(script)
    typed = {
        ("archgrad", "sea"): "search",
        ("archgrad", "train", "--geno"): "--genotype",
        ("archgrad", "bench", "pl"): "plan",
    }
    for words, completed in typed.items():
        line = " ".join(words)
        call = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; COMP_POINT={len(line)}"
        program = f"source complete.sh; {call}; _shtab_archgrad; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        assert completed in done.stdout.split()


def test_the_command_and_the_function_train_with_the_same_recipe():
    from archgrad import comparison
    from archgrad.cli.train import train

    functions = (train, archgrad.train, comparison.train_genotype, comparison.train_own, comparison.train_found)
    assert {inspect.signature(function).parameters["recipe"].default for function in functions} == {"quick"}
