"""Proxy searches as runs: resume, constraints, reports, and the supernet's candidates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from archgrad import data, proxies, scoring, spaces
from archgrad.errors import ArchgradError
from archgrad.report.proxies import proxy_scores
from archgrad.report.rundata import RunData
from archgrad.runs import Run
from archgrad.scoring.scorer import Scorer
from archgrad.scoring.strategies import ParetoEvolution, RegularisedEvolution, WarmUpMove

pytest.importorskip("moocore")  # the extra `pareto`

SPACE = spaces.get("nasbench201", channels=4, cells=1)


def records(directory: Path) -> list[dict[str, object]]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


class KilledError(Exception):
    """What interrupts a search in these tests."""


@pytest.mark.parametrize("strategy", [WarmUpMove(5), RegularisedEvolution(6, 2), ParetoEvolution(6)])
def test_an_interrupted_search_ends_as_if_it_had_not_been(
    strategy: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ["nwot", "synflow"] if isinstance(strategy, ParetoEvolution) else "nwot"
    options = {"strategy": strategy, "budget": 16, "progress": False}
    whole = scoring.search(SPACE, proxy, out=tmp_path / "whole", **options)
    log, calls = Run.log, []

    def dying(run: Run, record: dict[str, object]) -> None:
        calls.append(1)
        if len(calls) == 9:
            with open(run.directory / "metrics.jsonl", "ab") as file:
                file.write(b'{"epoch": 8, "geno')  # killed in the middle of a line
            raise KilledError
        log(run, record)

    monkeypatch.setattr(Run, "log", dying)
    with pytest.raises(KilledError):
        scoring.search(SPACE, proxy, out=tmp_path / "cut", **options)
    monkeypatch.setattr(Run, "log", log)
    resumed = scoring.search(SPACE, proxy, out=tmp_path / "cut", **options)
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    assert resumed.scored == whole.scored
    assert (resumed.genotype, resumed.scores) == (whole.genotype, whole.scores)
    again = scoring.search(SPACE, proxy, out=tmp_path / "cut", **options)  # nothing is left to do
    assert again.scored == whole.scored
    with pytest.raises(ArchgradError, match="other settings"):
        scoring.search(SPACE, proxy, out=tmp_path / "cut", **{**options, "budget": 17})


def test_the_best_of_all_that_were_scored_is_the_result(tmp_path: Path) -> None:
    result = scoring.search(SPACE, "synflow", strategy="move", budget=60, out=tmp_path, progress=False)
    scorer = Scorer.of(spaces.get("nasbench201", channels=4, cells=1), "synflow")
    assert result.scores == scorer(result.genotype)
    assert result.scores["synflow"] == max(c.scores[0] for c in result.scored)
    written = json.loads((tmp_path / "result.json").read_text())
    assert spaces.get("nasbench201").parse(written["genotype"]) == result.genotype
    assert written["scored"] == 60
    network = result.build()
    assert sum(p.numel() for p in network.parameters()) == written["parameters"]
    assert proxies.get("synflow")(network, scorer.batch) == result.scores["synflow"]


def test_a_score_follows_from_genotype_and_seed_alone() -> None:
    space = spaces.get("nasbench201")
    a, b = (Scorer.of(replace(space, channels=4, cells=1), "croze,nwot", seed=3) for _ in range(2))
    first = a(space.parse("123431"))
    b(space.parse("333333"))
    assert b(space.parse("123431")) == first
    assert Scorer.of(replace(space, channels=4, cells=1), "croze,nwot", seed=4)(space.parse("123431")) != first


def test_limits_of_parameters_and_flops_are_kept() -> None:
    shape = {"classes": 10, "in_channels": 1, "image_size": 8, "unreached": False}
    result = scoring.search(SPACE, "params", budget=30, max_parameters=9000, max_flops=40_000, progress=False)
    costs = [SPACE.cost(c.genotype, **shape) for c in result.scored]
    assert max(c.parameters for c in costs) <= 9000
    assert max(c.flops for c in costs) <= 40_000
    assert result.scores["params"] == max(c.parameters for c in costs)
    with pytest.raises(ArchgradError, match="no architecture of nasbench201 with parameters ≤ 10"):
        scoring.search(SPACE, "params", budget=3, max_parameters=10, progress=False)


def test_a_front_of_two_proxies_and_cost(tmp_path: Path) -> None:
    result = scoring.search(SPACE, ["nwot", "croze"], strategy="pareto", budget=25, out=tmp_path, progress=False)
    assert all(len(c.scores) == 3 for c in result.scored)
    for one in result.front:
        for other in result.scored:
            beats = all(a >= b for a, b in zip(other.scores, one.scores, strict=True)) and other.scores != one.scores
            assert not beats
    assert result.genotype in [c.genotype for c in result.front]
    assert len(json.loads((tmp_path / "front.json").read_text())) == len(result.front)


def test_other_spaces_and_paths_of_a_supernet() -> None:
    space = spaces.get("darts", channels=4, cells=3)
    result = scoring.search(space, "croze", budget=3, strategy="random", progress=False)
    space.check(result.genotype)
    supernet = SPACE.supernet(in_channels=1)
    found = scoring.search(SPACE, "croze", supernet=supernet, budget=4, strategy="random", progress=False)
    batch = Scorer.of(SPACE, "croze").batch
    normalisation = data.load("digits").train.normalisation
    assert found.scores["croze"] == proxies.get("croze")(supernet, batch, found.genotype, normalisation)


def test_the_report_shows_the_scores(tmp_path: Path) -> None:
    scoring.search(SPACE, "synflow", budget=12, strategy="random", out=tmp_path, progress=False)
    section = proxy_scores(RunData.read(tmp_path))
    assert section is not None
    assert "12 architectures were scored" in section.body
    assert "best so far" in section.body
    from archgrad import report

    assert "nor_conv" in report.write(tmp_path).read_text()


def test_mistakes() -> None:
    with pytest.raises(ArchgradError, match="follows one proxy"):
        scoring.search(SPACE, ["nwot", "croze"], strategy="move", progress=False)
    with pytest.raises(ArchgradError, match="budget must be a number above 0"):
        scoring.search(SPACE, "nwot", budget=0, progress=False)
