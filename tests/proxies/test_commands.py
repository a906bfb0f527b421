"""The commands, and the benchmark, on small sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from archgrad import proxies, tables
from archgrad.errors import ArchgradError
from archgrad.proxies import commands, ensemble
from archgrad.runs import Run

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"channels": 4, "cells": 1, "progress": False}


def test_search_writes_a_run_that_can_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.search("croze", budget=6, out=str(tmp_path / "run"), **SMALL)
    said = capsys.readouterr().out
    assert "best of 6 scored" in said
    config = Run.open(tmp_path / "run").config
    assert config["command"] == "search"
    assert config["strategy"]["class"] == "WarmUpMove"
    assert (tmp_path / "run/report.html").is_file()
    commands.search("nwot+croze:pareto", budget=6, out=str(tmp_path / "front"), **SMALL)
    assert "on the Pareto front" in capsys.readouterr().out


def test_names_of_methods() -> None:
    assert commands.parse_method("croze") == (["croze"], "move")
    assert commands.parse_method("synflow:evolution") == (["synflow"], "evolution")
    assert commands.parse_method("nwot+croze") == (["nwot", "croze"], "pareto")
    assert commands.is_method("nwot+croze:pareto")
    assert commands.is_method("croze:evolutoin")  # … and is then refused by name, not as a method
    assert not commands.is_method("darts")
    with pytest.raises(ArchgradError, match="did you mean 'evolution'"):
        commands.parse_method("croze:evolutoin")
    with pytest.raises(ArchgradError, match="did you mean 'croze'"):
        commands.parse_method("crozee")


def test_score_and_correlate(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHGRAD_DATA", str(data))
    file = tmp_path / "scores.parquet"
    commands.score("snip,nwot", sample=12, out=str(file), **SMALL)
    assert "12 architectures" in capsys.readouterr().out
    assert list(tables.load(file).columns) == ["snip", "nwot", "params", "flops"]
    commands.correlate(scores=str(file), out=str(tmp_path / "a"), bootstrap=20)
    said = capsys.readouterr().out
    assert "12 cells" in said
    assert "aa_apgd-ce_eps1" in said
    rows = (tmp_path / "a/correlation.csv").read_text().splitlines()
    assert {row.split(",")[0].strip('"') for row in rows[1:]} == {"snip", "nwot", "params", "flops"}
    assert (tmp_path / "a/correlation.png").stat().st_size > 10_000
    commands.correlate("snip", "nasbench201-adversarial", 9, "digits", out=str(tmp_path / "b"), bootstrap=20, **SMALL)
    assert "autoattack" in capsys.readouterr().out
    assert len(tables.load(tmp_path / "b/scores.parquet")) == 9
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "nothing"))
    with pytest.raises(ArchgradError, match=r"of nb201_robustness, robustness; import .* archgrad table import"):
        commands.correlate(scores=str(file))


def test_the_benchmark_writes_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks/proxies.py"),
        "--cells-digits",
        "131313",
        "--proxies",
        "croze,snip",
    ]
    command += ["--channels", "4", "--cells", "1", "--rounds", "1", "--json", str(file)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert [(row["proxy"], row["cell"]) for row in json.loads(file.read_text())] == [
        ("croze", "131313"),
        ("snip", "131313"),
    ]


def test_the_ensemble_is_its_parts_by_its_formula(cell: Callable[..., nn.Module]) -> None:
    generator = torch.Generator().manual_seed(0)
    batch: tuple[Tensor, Tensor] = torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8)
    network = cell("333133", channels=16, cells=2)
    scores = {name: proxies.get(name)(network, batch) for name in ("jacob_cov", "nwot", "snip", "params")}
    model = ensemble.coefficients()
    z = ((ensemble.raw(scores) - model["mean"]) / model["std"]).clip(-3, 3).tolist()
    products = [z[i] * z[j] for i in range(4) for j in range(i, 4)]
    expected = model["intercept"] + sum(w * f for w, f in zip(model["weights"], [*z, *products], strict=True))
    assert proxies.robust_ensemble(network, batch) == pytest.approx(expected)
    more = torch.cat([batch[0], batch[0] * 2]), torch.cat([batch[1], batch[1]])
    assert proxies.robust_ensemble(network, more) == proxies.robust_ensemble(network, batch)  # the first eight images
    with pytest.raises(ArchgradError, match="needs 8 images, got 5"):
        proxies.robust_ensemble(network, (batch[0][:5], batch[1][:5]))


@pytest.mark.slow
def test_the_ensemble_predicts_robustness_of_cells_that_it_has_not_seen_beyond_their_size(data: Path) -> None:
    """60 classes with a batch and initialisation that were no part of the fit; measured on 200: see the page."""
    import numpy as np

    from archgrad import spaces
    from archgrad.proxies.correlation.statistics import partial_spearman
    from archgrad.proxies.scorer import Scorer
    from archgrad.tables import nasbench201

    space = spaces.get("nasbench201")
    classes = np.random.default_rng(0).permutation(np.unique(nasbench201.isomorphs()))[2000:2060]
    scorer = Scorer.of(space, "robust_ensemble,params", data / "images/cifar10", seed=2)
    found = [scorer(space.parse("".join(map(str, nasbench201.cells()[i])))) for i in classes]
    score, size = (np.array([f[name] for f in found]) for name in ("robust_ensemble", "params"))
    robust = tables.load(data / "robustness/nb201_robbench_advtrained.parquet").values("cifar10_pgd_eps8")
    corrupted = tables.load(data / "robustness/nb201_robustness.parquet").values("cifar10_*_s?")
    values = np.stack([robust[classes], corrupted[classes]])  # both tables hold all cells, by index
    pgd, corruptions = partial_spearman(score[None], values, size)[0]
    assert pgd > 0.5
    assert corruptions > 0.1
