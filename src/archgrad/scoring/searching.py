"""Searches by proxies: no network is trained, and a run is its list of scored architectures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from archgrad import spaces
from archgrad.callbacks import Callback, Started, followed
from archgrad.data import Dataset
from archgrad.errors import ArchgradError, require_positive
from archgrad.foreign import layout
from archgrad.genotype import Genotype
from archgrad.identity import require_way
from archgrad.progress import Progress
from archgrad.proxies.proxy import Proxy
from archgrad.runs import METRICS, Run
from archgrad.scoring import strategies
from archgrad.scoring.scorer import Scorer
from archgrad.scoring.strategies import ParetoEvolution, Scored, Strategy
from archgrad.scoring.strategies.pareto import points
from archgrad.scoring.strategies.strategy import finite
from archgrad.spaces import Space
from archgrad.supernet import Supernet
from archgrad.tracking import callbacks as followers


@dataclass(frozen=True)
class ProxySearchResult:
    """What a search by proxies found: the best genotype ever scored, and all that were, in order.

    ``front``: of a search with several scores, those that none dominates; else the best alone.
    """

    genotype: Genotype
    scores: dict[str, float]
    scored: list[Scored]
    front: list[Scored]
    directory: Path | None
    build: Callable[[], nn.Module] = field(repr=False)


def search(
    space: str | Space = "nasbench201",
    proxy: str | Iterable[str] | Mapping[str, Proxy] = "croze",
    data: str | Path | Dataset = "digits",
    *,
    strategy: str | Strategy = "move",
    budget: int = 100,
    image_size: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    max_parameters: float | None = None,
    max_flops: float | None = None,
    supernet: Supernet | None = None,
    out: Path | str | None = None,
    unreadable: str = "refuse",
    numbered: bool = False,
    resume: bool = True,
    changed: str = "refuse",
    extend: bool = False,
    progress: bool = True,
    track: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> ProxySearchResult:
    """Search the architecture with the highest score of a proxy among ``budget`` that are scored.

    ``proxy``: a proxy, or several for a Pareto front, to which the strategy ``"pareto"`` adds few multiply-accumulates
    as a last aim; its result is the member of the front with the best mean rank over the proxies.
    ``strategy``: move, evolution, random or pareto, or a `Strategy`. ``max_parameters``, ``max_flops``: architectures
    above are not scored; both are those of the network by formula. ``supernet``: score its paths, with its weights.
    ``unreadable``: as `archgrad.data.load`. ``out``: run directory; a search that was interrupted there is continued
    exactly, with the same images and supernet, unless ``changed`` is ``"accept"``. None writes nothing. ``numbered``:
    where another run is there, the directory with the next number is taken. ``extend``: the search there had a smaller
    budget, and goes on to this one. ``track``, ``callbacks`` as `archgrad.search`: every architecture is an epoch.
    """
    require_way(changed)
    following = followers(callbacks, track)
    chosen = strategies.get(strategy) if isinstance(strategy, str) else strategy
    shown: Any = {"image_size": image_size, "batch_size": batch_size, "unreadable": unreadable}
    scorer = Scorer.of(space, proxy, data, seed=seed, supernet=supernet, **shown)
    require_positive("search", budget=budget, **_given(max_parameters=max_parameters, max_flops=max_flops))
    if len(scorer.proxies) > 1 and not isinstance(chosen, ParetoEvolution):
        raise ArchgradError(f"search: {type(chosen).__name__} follows one proxy, got {', '.join(scorer.proxies)}")
    sizes = {"parameters": max_parameters, "flops": max_flops}
    limits = {f"max_{name}": value for name, value in sizes.items()}
    config = _settings(scorer, chosen, data, image_size=image_size, budget=budget, batch_size=batch_size, **limits)
    run = _started(out, config, resume, extend, numbered)
    with run or nullcontext():
        if run:
            run.bind(scorer.identity(), changed == "accept")
        searching = _Search(scorer, chosen, run, sizes)
        started = Started(searching.title, config, run.directory if run else None, budget, 1, searching.records[:])
        with followed(following, started) as searching.callbacks:
            return searching.go(budget, progress)


def _settings(scorer: Scorer, strategy: Strategy, data: str | Path | Dataset, **given: Any) -> dict[str, Any]:
    """What a run records of a search; ``given``: settings that are recorded as they are."""
    return {
        "command": "search",
        **spaces.record(scorer.space),
        "data": str(data) if isinstance(data, str | Path) else data.name,
        "seed": scorer.seed,
        "method": "+".join(scorer.proxies),
        "proxies": {name: _described(proxy) for name, proxy in scorer.proxies.items()},
        "strategy": _described(strategy),
        "supernet": scorer.supernet is not None,
        **given,
    }


def _started(
    out: Path | str | None, config: Mapping[str, Any], resume: bool, extend: bool, numbered: bool
) -> Run | None:
    if out is None:
        if extend:
            raise ArchgradError("search: extend needs the run directory that is to be extended")
        return None
    run = Run.start(out, config, resume, longer=("budget",) if extend else (), numbered=numbered)
    run.extended()
    return run


class _Search:
    """One search. The run's metrics hold all that it knows, one record per architecture."""

    def __init__(self, scorer: Scorer, strategy: Strategy, run: Run | None, limits: Mapping[str, float | None]):
        self.scorer, self.strategy, self.run, self.limits = scorer, strategy, run, limits
        self.space, self.title = scorer.space, f"search by {'+'.join(scorer.proxies)}"
        self.callbacks: tuple[Callback, ...] = ()
        self.records: list[dict[str, Any]] = run.history() if run else []
        with layout.expected(str(run.directory / METRICS) if run else "records"):
            self.seen = [self._scored(record) for record in self.records]
            self.seconds = float(self.records[-1]["seconds"]) if self.records else 0.0

    def go(self, budget: int, progress: bool) -> ProxySearchResult:
        seen = self.seen
        new = strategies.explore(
            self.space,
            self._score,
            self.strategy,
            budget,
            seed=self.scorer.seed,
            allowed=self._allowed,
            seen=tuple(seen),
        )
        with Progress(self.title, 1, budget, progress, unit="architectures", done=len(seen)) as bar:
            for scored in new:
                seen.append(scored)
                bar.at(0, len(seen), lambda: {"best": strategies.best(seen).scores[0]})
        if not seen:
            limits = ", ".join(f"{name} ≤ {value:,.0f}" for name, value in self.limits.items() if value is not None)
            raise ArchgradError(f"search: no architecture of {self.space.name} with {limits} was found: allow more")
        return self._finish(seen)

    def _score(self, genotype: Genotype) -> tuple[float, ...]:
        started = time.monotonic()
        scores, cost = self.scorer(genotype), self.scorer.cost(genotype)
        self.seconds += time.monotonic() - started
        record = {
            "epoch": len(self.records),
            "genotype": self.space.format(genotype),
            "scores": {name: finite(value) for name, value in scores.items()},
            "parameters": cost.parameters,
            "flops": cost.flops,
            "seconds": self.seconds,
        }
        self.records.append(record)
        if self.run:
            self.run.log(record)
        for callback in self.callbacks:
            callback.on_epoch_end(dict(record))
        return self._scored(record).scores

    def _scored(self, record: Mapping[str, Any]) -> Scored:
        scores = [finite(record["scores"].get(name)) for name in self.scorer.proxies]
        if isinstance(self.strategy, ParetoEvolution):
            scores.append(-float(record["flops"]))
        return Scored(self.space.parse(record["genotype"]), tuple(scores))

    def _allowed(self, genotype: Genotype) -> bool:
        if all(limit is None for limit in self.limits.values()):
            return True
        cost = self.scorer.cost(genotype)._asdict()
        return all(limit is None or cost[name] <= limit for name, limit in self.limits.items())

    def _finish(self, seen: list[Scored]) -> ProxySearchResult:
        if isinstance(self.strategy, ParetoEvolution):
            chosen = strategies.front(seen)
            found = chosen[_best_mean_rank(points(chosen)[:, :-1])]
        else:
            found = strategies.best(seen)
            chosen = [found]
        number = seen.index(found)
        record = self.records[number]
        result = ProxySearchResult(
            found.genotype,
            dict(zip(self.scorer.proxies, found.scores, strict=False)),
            seen,
            chosen,
            self.run.directory if self.run else None,
            lambda: self.scorer.network(found.genotype),
        )
        summary = {
            "genotype": record["genotype"],
            "space": self.space.name,
            "method": "+".join(self.scorer.proxies),
            "parameters": record["parameters"],
            "flops": record["flops"],
            "scores": result.scores,
            "scored": len(seen),
            "ahead": None if isinstance(self.strategy, ParetoEvolution) else _ahead(found, seen),
            "found_at": number + 1,
            "seconds": self.seconds,
        }
        if self.run:
            text = record["genotype"]
            front = [self.records[seen.index(one)] for one in chosen]
            self.run.write_json("front.json", front)
            self.run.write_json("genotype.json", {**found.genotype.to_dict(), "text": text})
            self.run.write_json("result.json", {**summary, "data": self.run.config["data"]})
        for callback in self.callbacks:
            callback.on_end(summary)
        return result


def _ahead(found: Scored, seen: list[Scored]) -> float | None:
    """By how much the score exceeds that of the runner-up; None where there is none."""
    others = [one.scores[0] for one in seen if one.genotype != found.genotype]
    margin = found.scores[0] - max(others) if others else math.nan
    return margin if math.isfinite(margin) else None


def _best_mean_rank(values: np.ndarray[Any, Any]) -> int:
    from scipy.stats import rankdata

    return int(rankdata(values, axis=0).mean(1).argmax())


def _described(component: Any) -> dict[str, Any]:
    """The class and its settings, as plain data."""
    settings = asdict(component) if is_dataclass(component) and not isinstance(component, type) else {}
    return {"class": type(component).__name__, **settings}


def _given(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
