"""The second half of docs/studies/robustness.md: an ensemble fitted to one half of the cells, and networks of DARTS.

python studies/beyond.py score      # the 223 networks of the DARTS space by all proxies; continues, also elsewhere
python studies/beyond.py page       # scores and accuracies → the last two tables of the page

`studies/data/darts_space_advtrained_223.parquet` has the networks and what they reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from common import HERE, RESULTS, put, run, table, within
from jaxtyping import Bool, Float, Int
from ranks import correlation
from robustness import AIMS, CLASSES, PROXIES, SCORES, SIZE, TABLES, images, places, targets
from scipy.stats import norm, rankdata

from archgrad import spaces, tables
from archgrad.proxies import ensemble
from archgrad.scoring.commands import load_table
from archgrad.scoring.correlation import statistics
from archgrad.scoring.scores import score
from archgrad.tables import Table

PAGE = "robustness.md"
NETWORKS = HERE / "data" / "darts_space_advtrained_223.parquet"
DARTS_SCORES = RESULTS / "robustness_darts_scores.parquet"
HALF = "fitted to half"
RIDGE = 1.0
"""The penalty of the regression, on standardised features."""
Values = Float[np.ndarray, " networks"]


class Ensemble:
    """The regression of `archgrad.proxies.ensemble`, fitted anew: the same features, the same target."""

    def __init__(self, scores: Table, rows: Int[np.ndarray, " fitted"], targets: Sequence[Values]):
        features = _features(scores)[rows]
        self.mean, self.std = features.mean(0), features.std(0)
        x = self._expanded(features)
        y = np.mean([norm.ppf(rankdata(target[rows]) / (len(rows) + 1)) for target in targets], axis=0)
        self.centre, self.intercept = x.mean(0), y.mean()
        x = x - self.centre
        self.weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y - self.intercept))

    def __call__(self, scores: Table) -> Values:
        found: Values = self.intercept + (self._expanded(_features(scores)) - self.centre) @ self.weights
        return found

    def _expanded(self, features: Float[np.ndarray, "networks parts"]) -> Float[np.ndarray, "networks features"]:
        return np.stack([ensemble.expanded(z) for z in np.clip((features - self.mean) / self.std, -3, 3)])


def _features(scores: Table) -> Float[np.ndarray, "networks parts"]:
    """What is standardised; a network without a number, such as an NWOT of −∞, has the least of the others."""
    columns = {name: scores.values(name) for name in ensemble.PARTS}
    found = np.stack([ensemble.raw({name: of[row] for name, of in columns.items()}) for row in range(len(scores))])
    known = np.isfinite(found)
    return np.where(known, found, np.min(found, axis=0, where=known, initial=np.inf))


def networks() -> pd.DataFrame:
    """The trained networks: what they are (``text``), and what they reach."""
    frame = pd.read_parquet(NETWORKS)
    cells = (
        f"Genotype(normal={normal}, normal_concat=[2,3,4,5], reduce={reduction}, reduce_concat=[2,3,4,5])"
        for normal, reduction in zip(frame.normal, frame.reduce, strict=True)
    )
    return frame.assign(text=list(cells))


def scored() -> Table:
    """Scores of the networks at the size in which they were trained, one batch of eight images."""
    space = spaces.get("darts", channels=16, cells=8)
    return score(
        space, PROXIES, images(), architectures=[space.parse(text) for text in networks().text], out=DARTS_SCORES
    )


def correlations(scores: Mapping[str, Values], size: Values, targets: Mapping[str, Values]) -> str:
    """ρ of every score with every target, and what is left of it given size, over the networks that have the score."""
    y, rows = np.stack(list(targets.values())), []
    for name, values in scores.items():
        known = ~np.isnan(values)
        x, of = values[None, known], y[:, known]
        found = correlation(x, of), correlation(x, of, statistics.explained_by(size[known]))
        for j, target in enumerate(targets):
            cells = ("–" if np.isnan(one.value[0, j]) else within(*(end[0, j] for end in one), ".2f") for one in found)
            rows.append([target, name, *cells])
    rows.sort(key=lambda row: list(targets).index(row[0]))
    return table(("target", "score", "ρ (95 %)", "ρ given size (95 %)"), rows)


def halves(networks: int) -> Bool[np.ndarray, " networks"]:
    """Which networks the ensemble is fitted to: half of them, at random."""
    chosen = np.zeros(networks, dtype=bool)
    chosen[np.random.default_rng(0).permutation(networks)[: networks // 2]] = True
    return chosen


def _values(scores: Table, names: Iterable[str]) -> dict[str, Values]:
    return {name: scores.values(name) for name in names}


def page() -> None:
    """Write both tables, once all networks have their scores."""
    for file, number in ((SCORES, CLASSES), (DARTS_SCORES, len(networks()))):
        if not file.is_file() or len(tables.load(file)) < number:
            raise SystemExit(f"{file.name}: not all networks have scores: nothing is looked at before")
    scores, goals = tables.load(SCORES), {}
    for title, (kind, target) in AIMS.items():
        accuracies = load_table(TABLES[kind])
        goals[title] = targets(accuracies, places(scores, accuracies))[target]
    fitted = halves(len(scores))
    refitted, rest = Ensemble(scores, np.flatnonzero(fitted), list(goals.values())), ~fitted
    names = (*ensemble.PARTS, "croze")
    of_rest = {name: values[rest] for name, values in {HALF: refitted(scores), **_values(scores, names)}.items()}
    put(PAGE, "half", correlations(of_rest, scores.values(SIZE)[rest], {k: v[rest] for k, v in goals.items()}))
    trained, others = networks(), tables.load(DARTS_SCORES)
    at = np.array([others.row(text) for text in trained.text])
    every = {HALF: refitted(others), **_values(others, (*PROXIES, SIZE, "flops"))}
    of_networks = {name: values[at] for name, values in every.items()}
    reached = {"PGD 8/255": trained.pgd_acc.to_numpy(float), "clean": trained.clean_acc.to_numpy(float)}
    put(PAGE, "darts", correlations(of_networks, others.values(SIZE)[at], reached))


if __name__ == "__main__":
    run(__doc__, score=lambda: print(f"{len(scored()):,} networks: {DARTS_SCORES}"), page=page)
