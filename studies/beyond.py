"""The second half of docs/studies/robustness.md: an ensemble fitted to one half of the cells, and networks of DARTS.

python studies/beyond.py score      # the 223 networks of the DARTS space by all proxies; continues, also elsewhere
python studies/beyond.py page       # scores and accuracies → the last two tables of the page

`studies/data/darts_space_advtrained_223.parquet` has the networks and what they reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from common import HERE, RESULTS, put, run, table, within
from jaxtyping import Bool, Float, Int
from robustness import CLASSES, PROXIES, SCORES, SIZE, TABLES, images, places
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
DRAWS = 500
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
    columns = {name: scores.values(name) for name in ensemble.PARTS}
    return np.stack([ensemble.raw({name: of[row] for name, of in columns.items()}) for row in range(len(scores))])


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


def correlations(columns: Mapping[str, Values], size: Values, targets: Mapping[str, Values]) -> str:
    """ρ and partial ρ given size of every score with every target, with 95 % bootstrap intervals over networks."""
    x, y = np.stack(list(columns.values())), np.stack(list(targets.values()))
    draws = statistics.resamples(x.shape[1], DRAWS, 0)
    plain = _intervals(statistics.spearman(x, y), [statistics.spearman(x[:, d], y[:, d]) for d in draws])
    partial = _intervals(
        statistics.partial_spearman(x, y, size),
        [statistics.partial_spearman(x[:, d], y[:, d], size[d]) for d in draws],
    )
    rows = [
        [target, name, plain[i, j], partial[i, j]]
        for j, target in enumerate(targets)
        for i, name in enumerate(columns)
    ]  # fmt: skip
    return table(("target", "score", "ρ (95 %)", "ρ given size (95 %)"), rows)


def _intervals(found: statistics.Correlations, drawn: Sequence[statistics.Correlations]) -> np.ndarray:
    low, high = np.nanpercentile(np.stack(drawn), (2.5, 97.5), axis=0)
    texts = [
        [
            "–" if np.isnan(found[i, j]) else within(found[i, j], low[i, j], high[i, j], ".2f")
            for j in range(found.shape[1])
        ]
        for i in range(len(found))
    ]
    return np.array(texts, dtype=object)


def halves(networks: int) -> Bool[np.ndarray, " networks"]:
    """Which networks the ensemble is fitted to: half of them, at random."""
    chosen = np.zeros(networks, dtype=bool)
    chosen[np.random.default_rng(0).permutation(networks)[: networks // 2]] = True
    return chosen


def page() -> None:
    """Write both tables, once all networks have their scores."""
    for file, number in ((SCORES, CLASSES), (DARTS_SCORES, len(networks()))):
        if not file.is_file() or len(tables.load(file)) < number:
            raise SystemExit(f"{file.name}: not all networks have scores: nothing is looked at before")
    scores, of = tables.load(SCORES), {}
    for kind, column in (("adversarial", "cifar10_pgd_eps8"), ("standard", "cifar10_*_s?")):
        accuracies = load_table(TABLES[kind])
        of[kind] = accuracies.values(column)[places(scores, accuracies)]
    fitted = halves(len(scores))
    refitted = Ensemble(scores, np.flatnonzero(fitted), list(of.values()))
    rest = ~fitted
    targets = {"PGD 8/255, adversarially trained": of["adversarial"], "corruptions, trained normally": of["standard"]}
    columns = {HALF: refitted(scores), **{name: scores.values(name) for name in (*ensemble.PARTS, "croze")}}
    put(
        PAGE,
        "half",
        correlations(
            {name: values[rest] for name, values in columns.items()},
            scores.values(SIZE)[rest],
            {name: values[rest] for name, values in targets.items()},
        ),
    )
    trained, others = networks(), tables.load(DARTS_SCORES)
    at = np.array([others.row(text) for text in trained.text])
    of_networks = {HALF: refitted(others)[at]} | {name: others.values(name)[at] for name in PROXIES}
    reached = {"PGD 8/255": trained.pgd_acc.to_numpy(float), "clean": trained.clean_acc.to_numpy(float)}
    put(PAGE, "darts", correlations(of_networks, others.values(SIZE)[at], reached))


if __name__ == "__main__":
    run(__doc__, score=lambda: print(f"{len(scored()):,} networks: {DARTS_SCORES}"), page=page)
