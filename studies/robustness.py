"""Results and tables of docs/studies/robustness.md.

python studies/robustness.py score      # all 6,466 networks of NAS-Bench-201 by all proxies; continues, also elsewhere
python studies/robustness.py seeds      # 100 of them by 20 initialisations and batches; continues
python studies/robustness.py page       # scores and both robustness tables → the tables of the page

The tables are imported once, from nb201_robustness.parquet and nb201_robbench_advtrained.parquet.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
from common import (
    HERE,
    RESULTS,
    difference_test,
    differences,
    drawn,
    keep,
    kept,
    mean_interval,
    put,
    run,
    table,
    within,
)
from jaxtyping import Float, Int
from ranks import correlation
from scipy.stats import kendalltau

from archgrad import data, proxies, spaces, tables
from archgrad.proxies import ensemble
from archgrad.robustness.corruptions import GROUPS
from archgrad.scoring.commands import load_table
from archgrad.scoring.correlation import statistics
from archgrad.scoring.scores import score
from archgrad.tables import Table

PAGE = "robustness.md"
SCORES = RESULTS / "robustness_scores.parquet"
PROXIES = [name for name in proxies.names() if name not in ("robust_ensemble", "params", "flops")]
FAST = [name for name in PROXIES if name not in ("croze_official", "croze_flat", "grasp")]
"""Those that are scored once more by other initialisations: the others are in double precision, or of second order."""
SIZE, CLEAN, CROZE = "params", "clean", "croze"
TABLES = {"adversarial": "nasbench201-adversarial", "standard": "nasbench201-robustness"}
SHOWN = {
    "adversarial": ("clean", "pgd_eps8", "autoattack"),
    "standard": ("clean", "pgd_eps1", "aa_apgd-ce_eps1", "corruptions"),
}
AIMS = {"PGD 8/255": ("adversarial", "pgd_eps8"), "corruptions": ("standard", "corruptions")}
"""What the hypotheses are about: a table and one of its targets."""
CLASSES = 6466
SAME = 0.1
"""A target is left out if so large a share of the networks has one and the same accuracy."""
SOME, SEEDS = 100, 20
SEARCHES, BUDGET = 1000, 100
Rows = Int[np.ndarray, " classes"]
"""Where the networks of the scores stand in a table of accuracies."""
Values = Float[np.ndarray, " classes"]


def images() -> data.Dataset:
    """What proxies see; the file does not say that it is CIFAR-10."""
    return replace(data.load(HERE / "data" / "cifar10"), name="cifar10")


def cells() -> list[str]:
    """A cell of every isomorphism class."""
    classes = tables.load("nasbench201")
    return [classes.text(int(row)) for row in np.unique(classes.class_rows)]


def scored() -> Table:
    """The scores of every isomorphism class by one batch of eight images and one initialisation."""
    space = spaces.get("nasbench201")
    RESULTS.mkdir(exist_ok=True)
    return score(space, PROXIES, images(), architectures=[space.parse(cell) for cell in cells()], out=SCORES)


def rescored() -> None:
    """Keep the scores of some networks by other initialisations and batches."""
    space, every = spaces.get("nasbench201"), cells()
    some = [every[row] for row in np.random.default_rng(0).permutation(len(every))[:SOME]]
    for seed in range(1, SEEDS + 1):
        out = HERE / "runs" / "robustness_seeds" / f"{seed}.parquet"
        out.parent.mkdir(parents=True, exist_ok=True)
        found = score(space, FAST, images(), architectures=[space.parse(cell) for cell in some], seed=seed, out=out)
        names = [found.text(row) for row in range(len(found))]
        frame = pd.DataFrame({"seed": seed, "cell": names, **{name: found.values(name) for name in (*FAST, SIZE)}})
        print(keep(frame, "robustness_seeds", ("seed", "cell")), seed, flush=True)


def places(scores: Table, accuracies: Table) -> Rows:
    """Where the networks of the scores stand in a table of accuracies."""
    return np.array([accuracies.row(scores.genotype(row)) for row in range(len(scores))])


def targets(accuracies: Table, rows: Rows) -> dict[str, Values]:
    """Clean accuracy, every attack at every ε, and the mean accuracy under each group of corruptions and under all.

    Left out is what is the same for many networks, as under attacks that leave nothing.
    """
    columns = {name.removeprefix("cifar10_"): name for name in accuracies.columns if name.startswith("cifar10_")}
    corrupted = [name for name in columns.values() if name[-3:-1] == "_s"]
    found = {short: accuracies.values(name) for short, name in columns.items() if name not in corrupted}
    if corrupted:
        every = tuple(itertools.chain.from_iterable(GROUPS.values()))
        for group, members in {**GROUPS, "corruptions": every}.items():
            found[group] = np.mean([accuracies.values(f"cifar10_{member}_s?") for member in members], axis=0)
    found = {name: values[rows] for name, values in found.items()}
    return {
        name: values
        for name, values in found.items()
        if Counter(values.tolist()).most_common(1)[0][1] < SAME * len(rows)
    }


def columns(scores: Table) -> dict[str, Values]:
    """The scores by all proxies, and those that follow from them: size, and the regression, which has seen labels."""
    found = {name: scores.values(name) for name in (*PROXIES, SIZE, "flops")}
    parts = ({name: float(found[name][row]) for name in ensemble.PARTS} for row in range(len(scores)))
    return found | {"robust_ensemble": np.array([ensemble.predict(part) for part in parts])}


def correlations(scores: dict[str, Values], goals: dict[str, Values]) -> pd.DataFrame:
    """ρ, τ, and what is left of ρ given size and given clean accuracy, of every proxy with every target."""
    x, y = np.stack(list(scores.values())), np.stack(list(goals.values()))
    found = {
        "rho": correlation(x, y),
        "size": correlation(x, y, statistics.explained_by(scores[SIZE])),
        "clean": correlation(x, y, statistics.explained_by(goals[CLEAN])),
    }
    rows = [
        {
            "proxy": name,
            "target": target,
            "tau": kendalltau(x[i], y[j]).statistic,
            **{
                f"{kind}{end}": of[k][i, j] for kind, of in found.items() for k, end in enumerate(("", "_low", "_high"))
            },
        }
        for j, target in enumerate(goals)
        for i, name in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def shown(frame: pd.DataFrame, chosen: tuple[str, ...]) -> str:
    """The correlations with some targets, the best proxy first."""
    rows = [
        [row.target, row.proxy, _cell(row, "rho"), f"{row.tau:.2f}", _cell(row, "size"), _cell(row, "clean")]
        for target in chosen
        for row in frame[frame.target == target].sort_values("rho", ascending=False).itertuples()
    ]
    return table(("target", "proxy", "ρ (95 %)", "τ", "ρ given size", "ρ given clean accuracy"), rows)


def picked(frame: pd.DataFrame, target: str, of: str) -> dict[str, tuple[float, float, float]]:
    """One correlation of every proxy with a target, the best first."""
    chosen = frame[(frame.target == target) & frame[of].notna()].sort_values(of, ascending=False)
    return {row.proxy: tuple(getattr(row, of + end) for end in ("", "_low", "_high")) for row in chosen.itertuples()}


def _cell(row: object, kind: str) -> str:
    value, low, high = (getattr(row, kind + end) for end in ("", "_low", "_high"))
    return "–" if np.isnan(value) else within(value, low, high, ".2f")


def means(frame: pd.DataFrame) -> str:
    """Each proxy's correlation averaged over all targets of a table, as CRoZe's paper reports it."""
    of = frame.groupby("proxy")[["rho", "tau", "size", "clean"]].mean().sort_values("rho", ascending=False)
    rows = ([name, *("–" if np.isnan(value) else f"{value:.2f}" for value in row)] for name, *row in of.itertuples())
    return table((f"proxy, mean over {frame.target.nunique()} targets", "ρ", "τ", "given size", "given clean"), rows)


def advantage(scores: dict[str, Values], goals: dict[str, Values]) -> str:
    """By how much CRoZe's mean ρ over all targets of a table exceeds that of the number of parameters."""
    x, y = np.stack([scores[CROZE], scores[SIZE]]), np.stack(list(goals.values()))

    def difference(some: Int[np.ndarray, " cells"]) -> float:
        mean = statistics.spearman(x[:, some], y[:, some]).mean(1)
        return float(mean[0] - mean[1])

    draws = [difference(some) for some in statistics.resamples(x.shape[1], 500, 0)]
    interval = difference(np.arange(x.shape[1])), *np.percentile(draws, (2.5, 97.5))
    return f"Mean ρ of `{CROZE}` less that of the number of parameters: {within(*interval, '+.3f')}."


def over_seeds(frame: pd.DataFrame, goals: dict[str, dict[str, float]]) -> str:
    """ρ and ρ given size by each of many initialisations and batches: the mean, and the range."""
    rows = []
    for title, of in goals.items():
        for name in (*FAST, SIZE):
            each = []
            for _, part in frame.groupby("seed"):
                x, y = part[name].to_numpy()[None], part.cell.map(of).to_numpy()[None]
                explained = statistics.explained_by(part[SIZE].to_numpy())
                each.append((statistics.spearman(x, y).item(), statistics.given(x, y, explained).item()))
            rows.append([title, name, *(_range(found) for found in zip(*each, strict=True))])
    return table(("target", "proxy", "ρ, mean (range)", "given size"), rows)


def _range(found: tuple[float, ...]) -> str:
    return "–" if np.isnan(found).any() else within(float(np.mean(found)), min(found), max(found), ".2f")


def spread(values: Float[np.ndarray, " networks"]) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"


def searches(scores: dict[str, Values], goals: dict[str, Values]) -> str:
    """What the best of `BUDGET` random classes by each proxy is worth, over `SEARCHES` draws, the same for all."""
    rng, count = np.random.default_rng(0), len(scores[SIZE])
    drawn = rng.permuted(np.tile(np.arange(count), (SEARCHES, 1)), axis=1)[:, :BUDGET]
    rows = []
    for name, of_proxy in scores.items():
        values = np.nan_to_num(of_proxy, nan=-np.inf)
        best = drawn[np.arange(SEARCHES), values[drawn].argmax(1)]
        rows.append([name, *(spread(of[best]) for of in goals.values())])
    rows.append(["any cell", *(spread(of) for of in goals.values())])
    return table((f"best of {BUDGET} by", *goals), rows)


def searched(frame: pd.DataFrame, goals: dict[str, dict[str, float]]) -> str:
    """What searches by proxies found, each seed with cells, an initialisation and a batch of its own; CRoZe's tested.

    ``frame``: those of the study of what a search is worth. ``goals``: target → accuracy by the cell's class.
    """
    classes = tables.load("nasbench201")
    found = {
        name: {title: np.array([of[_class(classes, text)] for text in part.genotype]) for title, of in goals.items()}
        for name, part in frame.groupby("method")
    }
    rows = ([name, *(within(*mean_interval(v), ".1f") for v in of.values())] for name, of in found.items())
    mine = next(name for name in found if name.startswith(CROZE))
    tests = {
        f"{title}: less {other}": difference_test(found[mine][title], found[other][title])
        for title in goals
        for other in found
        if other != mine
    }
    return table(("search", *goals), rows) + "\n\n" + differences(tests, mine, "points (95 %)")


def _class(classes: Table, text: str) -> str:
    return classes.text(int(classes.class_rows[classes.row(text)]))


def page() -> None:
    """Write the tables of the page, once every class has its scores."""
    again = kept("robustness_seeds")
    if not SCORES.is_file() or len(scores := tables.load(SCORES)) < CLASSES or len(again) < SOME * SEEDS:
        raise SystemExit("not all classes have scores: nothing is looked at before")
    by_proxy, goals, panels = columns(scores), {}, {}
    for kind, name in TABLES.items():
        accuracies = load_table(name)
        goals[kind] = targets(accuracies, places(scores, accuracies))
        found = correlations(by_proxy, goals[kind])
        found.round(4).to_csv(RESULTS / f"robustness_{kind}.csv", index=False)
        put(PAGE, kind, shown(found, SHOWN[kind]))
        panels |= {f"{title}, {name}": picked(found, target, of) for title, (table_of, target) in AIMS.items()
                   if table_of == kind for of, name in (("rho", "ρ"), ("size", "ρ given size"))}  # fmt: skip
        put(PAGE, f"{kind} means", f"{means(found)}\n\n{advantage(by_proxy, goals[kind])}")
    put(
        PAGE,
        "searches",
        searches(by_proxy, {f"{kind}, {name}": goals[kind][name] for kind in SHOWN for name in SHOWN[kind]}),
    )
    put(PAGE, "figure", drawn("robustness", "What proxies know", panels))
    names = [scores.text(row) for row in range(len(scores))]
    aims = {title: dict(zip(names, goals[kind][name], strict=True)) for title, (kind, name) in AIMS.items()}
    put(PAGE, "seeds", over_seeds(again, aims))
    proxy_searches = kept("search_worth")
    proxy_searches = proxy_searches[(proxy_searches.campaign == "proxies") & (proxy_searches.benchmark == "cifar10")]
    put(PAGE, "searched", searched(proxy_searches, aims))


if __name__ == "__main__":
    run(__doc__, score=lambda: print(f"{len(scored()):,} networks: {SCORES}"), seeds=rescored, page=page)
