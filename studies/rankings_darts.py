"""The nine DARTS benchmarks of docs/studies/rankings.md.

python studies/rankings_darts.py pilot       # networks drawn at random → studies/results/rankings_darts_pilot.parquet
python studies/rankings_darts.py power       # the power that the plan states
python studies/rankings_darts.py collect     # the campaign → studies/results/rankings_darts.parquet
python studies/rankings_darts.py page        # both files → the tables of the page

The pilot goes on where it was stopped.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise, product

import numpy as np
import pandas as pd
from common import HERE, keep, keep_found, kept, kept_whole, mean_interval, put, run, table, within
from jaxtyping import Float
from rankings import BASELINES, agreements, needs, power, seeds_needed
from scipy.stats import norm

from archgrad import comparison, data
from archgrad.bench import Campaign, suite
from archgrad.randomness import generator

NAME, PAGE, PILOT = "rankings_darts", "rankings.md", "rankings_darts_pilot"
PUBLISHED = {
    "drnas": 85.47, "gdas": 84.92, "pc_darts": 84.73, "fair_darts": 84.20, "oles": 83.79, "sdarts_random": 82.55,
    "darts": 82.03,
}  # fmt: skip
"""Mean accuracy over the nine benchmarks and nine recipes (docs/published-benchsuite.md)."""
SUBSPACES, CELLS = ("wide", "deep", "single_cell"), 12
NETWORK = ("what", "subspace", "cell", "seed")
"""A network of the pilot: ``published`` or ``here`` is its size, ``digits`` are other images."""


def planned() -> list[tuple[str, str, int, int]]:
    """The networks of the pilot: three of every size, and more for which images tell networks apart."""
    sizes = product(("published", "here"), SUBSPACES, range(3), [0])
    images = product(("here", "digits"), ("wide",), range(CELLS), (0, 1))
    return list(dict.fromkeys([*sizes, *images]))


def pilot() -> None:
    """Train those that are not kept yet, all by the campaign's recipe."""
    ours = Campaign.load(HERE / f"{NAME}.yaml").suite
    known = kept(PILOT)
    done = set(known[list(NETWORK)].itertuples(index=False, name=None)) if len(known) else set()
    for network in planned():
        if network in done:
            continue
        what, subspace, cell, seed = network
        benchmark = (suite("darts_benchsuite") if what == "published" else ours).benchmark(f"{subspace}-regular")
        images = data.load("digits") if what == "digits" else ours.data.training()
        genotype = benchmark.space.random(generator(cell, "pilot"))
        recipe = ours.settings[0].recipe
        found = comparison.train_genotype(benchmark.space, genotype, images, recipe=recipe, seed=seed, progress=False)
        accuracy = 100 * found.test.score
        keep(pd.DataFrame([(*network, accuracy)], columns=[*NETWORK, "accuracy"]), PILOT, NETWORK)
        print(*network, f"{accuracy:.1f}", flush=True)


def sizes(frame: pd.DataFrame) -> str:
    """What networks of the published size learn, and those of the campaign."""
    first = frame[frame.seed == 0]
    rows = []
    for subspace in SUBSPACES:
        of = {what: first[(first.what == what) & (first.subspace == subspace)] for what in ("published", "here")}
        published, here = (part[part.cell < 3].accuracy.mean() for part in of.values())
        rows.append([subspace, f"{published:.1f}", f"{here:.1f}", f"{100 * here / published:.0f} %"])
    return table(("subspace", "published size, %", "here, %", "share"), rows)


def images(frame: pd.DataFrame) -> str:
    """How well one training tells random networks apart, on two kinds of images."""
    rows = []
    for what, title in (("here", "CIFAR-10, 16×16"), ("digits", "digits, 8×8")):
        part = frame[(frame.what == what) & (frame.subspace == "wide")]
        scores = part.pivot(index="cell", columns="seed", values="accuracy").to_numpy()
        errors = scores.std(axis=1, ddof=1)
        spread, noise = scores.mean(1).std(ddof=1), (errors**2).mean() ** 0.5
        needed = seeds_needed(scores)[1]
        rows.append([title, f"{scores.mean():.1f}", f"{spread:.2f}", f"{noise:.2f}", f"{needed:.0f}"])
    return table(("images", "mean, %", "networks differ by", "seeds differ by", "trainings for 0.9"), rows)


def methods(frame: pd.DataFrame) -> str:
    """The mean accuracy of every method over the benchmarks of a seed, baselines too."""
    means = frame.groupby(["method", "seed"]).score.mean().unstack()
    order = means.mean(1).sort_values(ascending=False).index
    return table(
        ("method", "mean over the nine, % (95 %)"),
        ([name, within(*mean_interval(means.loc[name].to_numpy()), ".1f")] for name in order),
    )


def published(found: dict[str, Float[np.ndarray, "methods seeds"]]) -> str:
    """How many seeds the published suite would have needed to tell neighbours of its ranking apart.

    A difference of the means over all benchmarks is found at 5 %, two-sided, with a probability of 0.8 from
    n = 2 (1.96 + 0.84)² σ² / (benchmarks · gap²) seeds on. σ: the median over methods and benchmarks of how far seeds
    differ here, where networks are smaller.
    """
    sigma = float(np.median([scores.std(axis=1, ddof=1) for scores in found.values()]))
    reach = 2 * (norm.ppf(0.975) + norm.ppf(0.8)) ** 2 * sigma**2 / len(found)
    rows = (
        [f"{better}, {worse}", f"{PUBLISHED[better] - PUBLISHED[worse]:.2f}",
         f"{math.ceil(reach / (PUBLISHED[better] - PUBLISHED[worse]) ** 2)}"]
        for better, worse in pairwise(PUBLISHED)
    )  # fmt: skip
    return table((f"neighbours, σ = {sigma:.1f} points", "published gap", "seeds on each benchmark"), rows)


def page() -> None:
    """Write the tables of the page: the pilot's, and the campaign's once it is whole."""
    put(PAGE, "sizes", sizes(kept(PILOT)))
    put(PAGE, "images", images(kept(PILOT)))
    frame = kept_whole(NAME)
    put(PAGE, "nine methods", methods(frame))
    frame = frame[~frame.method.isin(BASELINES)]
    found = {
        name: part.pivot(index="method", columns="seed", values="score").to_numpy()
        for name, part in frame.groupby("benchmark", sort=False)
    }
    operation_sets = dict.fromkeys(name.split("-")[1] for name in found)
    parts = {"all nine": list(found)}
    parts |= {f"three of {each}": [name for name in found if name.startswith(each)] for each in SUBSPACES}
    parts |= {f"three of {each}": [name for name in found if name.endswith(each)] for each in operation_sets}
    put(
        PAGE,
        "nine",
        agreements({title: np.stack([found[name] for name in names]) for title, names in parts.items()}, shared=False),
    )
    put(PAGE, "nine seeds", needs(found))
    put(PAGE, "nine published", published(found))


def show_power() -> None:
    """The numbers of the plan."""
    for noise, correlation in product((1.0, 2.0), (0.0, 0.5)):
        power_here = power(correlation, shared=False, benchmarks=9, methods=7, seeds=5, noise=noise)
        print(f"seeds differ by {noise} of what methods do, means correlate by {correlation}: {power_here:.2f}")


if __name__ == "__main__":
    run(__doc__, pilot=pilot, power=show_power, collect=partial(keep_found, NAME), page=page)
