"""Results and tables of docs/studies/together.md.

python studies/together.py proxies      # the Pareto searches by proxies, 20 seeds → studies/results/together.parquet
python studies/together.py collect      # the campaign → studies/results/together.parquet
python studies/together.py page         # that file → the tables of the page
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from common import (
    HERE,
    best_first,
    difference_test,
    differences,
    drawn,
    keep,
    keep_found,
    kept_whole,
    mean_interval,
    p_value,
    put,
    run,
    table,
    within,
)
from scipy.stats import rankdata

from archgrad import data, tables
from archgrad.bench import Campaign
from archgrad.bench.protocol.lookup import from_table
from archgrad.genotype import Genotype
from archgrad.scoring import searching
from archgrad.scoring.strategies import Scored

NAME, PAGE = "together", "together.md"
BASE, ALL = "darts", "together"
PARTS = ("a2m", "lambda", "adversarial", "cost")
FRONT, PROXIES, BUDGET = "croze+synflow:pareto", ("croze", "synflow"), 100
TITLES = {
    "clean": "clean, %",
    "pgd": "PGD, %",
    "corruptions": "corruptions, %",
    "flops": "MFLOPs",
    "all_round": "all-round",
}
AIMS = {"clean": 0.5, "pgd": 0.0, "corruptions": 0.0, "flops": 0.0}
"""What hypothesis 1 allows `ALL` to lose against `BASE`."""


def by_proxies() -> None:
    """Keep what the Pareto searches by proxies find, a run directory for each seed."""
    dataset = data.load(HERE / "data" / "cifar10", image_size=16)
    found = []
    for seed in Campaign.load(HERE / f"{NAME}.yaml").seeds:
        out = HERE / "runs" / "together_proxies" / f"seed-{seed}"
        result = searching.search("nasbench201", PROXIES, dataset, strategy="pareto", budget=BUDGET, seed=seed, out=out)
        found.append((FRONT, seed, all_round(result.front)))
    frame = from_table("nasbench201", {"cifar10": "cifar10_test_200"}, found).frame.drop(columns="extra")
    print(keep(frame.assign(campaign=NAME), NAME))


def all_round(front: list[Scored]) -> Genotype:
    """The member of a front that ranks best on average over all its aims; one with ``none`` only where all have it."""
    without = [one for one in front if not any("none" in names for names in one.genotype.choices["cell"])] or front
    ranks = rankdata([one.scores for one in without], axis=0).mean(1)
    return without[int(ranks.argmax())].genotype


def measures() -> pd.DataFrame:
    """What every different cell of the space is worth, a row for each class of alike cells (of several, their mean).

    ``all_round``: the mean of its percentiles in clean accuracy, PGD, corruptions and few FLOPs among all of them.
    """
    sizes, standard, adversarial = (
        tables.load(name) for name in ("nasbench201", "nb201_robustness", "nb201_robbench_advtrained")
    )
    rows = np.unique(sizes.class_rows)
    cells = [sizes.genotype(int(row)) for row in rows]
    of_standard, of_adversarial = (np.array([t.row(cell) for cell in cells]) for t in (standard, adversarial))
    frame = pd.DataFrame(
        {
            "clean": pd.Series(sizes.values("cifar10_test_200")).groupby(sizes.class_rows).mean().loc[rows].to_numpy(),
            "pgd": adversarial.values("cifar10_pgd_eps8")[of_adversarial],
            "corruptions": standard.values("cifar10_*_s?")[of_standard],
            "flops": sizes.values("flops_m")[rows],
        },
        index=rows,
    )
    better = frame.assign(flops=-frame.flops)
    return frame.assign(all_round=100 * better.rank(pct=True).mean(axis=1))


def looked_up(frame: pd.DataFrame) -> pd.DataFrame:
    """The found cells with what they are worth; a search that failed found the worst of everything."""
    of, sizes = measures(), tables.load("nasbench201")
    worst = of.min().to_dict() | {"flops": of.flops.max()}
    found = [
        of.loc[sizes.class_rows[sizes.row(text)]].to_dict() if isinstance(text, str) else worst
        for text in frame.genotype
    ]
    return pd.concat([frame[["method", "seed"]].reset_index(drop=True), pd.DataFrame(found)], axis=1)


def arms(found: pd.DataFrame) -> str:
    """The mean of every measure, the best all-round arm first."""
    order = found.groupby("method").all_round.mean().sort_values(ascending=False).index
    rows = []
    for method in order:
        mine = found[found.method == method]
        rows.append([method, *(within(*mean_interval(mine[name]), ".1f") for name in TITLES)])
    return table(("arm", *TITLES.values()), rows)


def at_once(found: pd.DataFrame) -> str:
    """Hypothesis 1: one-sided tests of `ALL` against `BASE` in every measure, of which all have to reject."""
    mine, base = (found[found.method == name] for name in (ALL, BASE))
    rows = []
    for name, margin in AIMS.items():
        sign = -1 if name == "flops" else 1
        gain, low, high, p = difference_test(sign * mine[name].to_numpy() + margin, sign * base[name].to_numpy())
        one_sided = p / 2 if gain > 0 else 1 - p / 2
        rows.append(
            [TITLES[name], f"{sign * (gain - margin):+.2f} ({_interval(sign, low - margin, high - margin)})",
             f"{margin:g}", p_value(one_sided)]
        )  # fmt: skip
    return table(("measure", f"{ALL} − {BASE} (95 %)", "may lose", "p, one-sided"), rows)


def _interval(sign: int, low: float, high: float) -> str:
    ends = sorted((sign * low, sign * high))
    return f"{ends[0]:+.2f} … {ends[1]:+.2f}"


def against(found: pd.DataFrame) -> str:
    """Hypothesis 2: the all-round score of `ALL` against every other arm, p-values corrected by Holm."""
    of = {name: part.all_round.to_numpy() for name, part in found.groupby("method")}
    tests = {name: difference_test(of[ALL], of[name]) for name in (BASE, *PARTS, FRONT)}
    return differences(tests, "against", "all-round, difference (95 %)")


def page() -> None:
    """Write the tables of the page from the kept results, once all of them are there."""
    frame = kept_whole(NAME)
    if (frame.method == FRONT).sum() < frame[frame.method == ALL].seed.nunique():
        raise SystemExit(f"{FRONT} is not whole: nothing is looked at before")
    found = looked_up(frame[frame.benchmark == "cifar10"])
    put(PAGE, "arms", arms(found))
    put(PAGE, "figure", drawn(NAME, "All-round score of every arm's cells", {"": best_first(found, "all_round")}))
    put(PAGE, "at once", at_once(found))
    put(PAGE, "against", against(found))


if __name__ == "__main__":
    run(__doc__, proxies=by_proxies, collect=partial(keep_found, NAME), page=page)
