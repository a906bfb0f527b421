"""Results and tables of docs/studies/search_worth.md.

python studies/search_worth.py proxies      # the best of 100 cells by each proxy, 20 seeds → search_worth.parquet
python studies/search_worth.py collect      # the campaigns → studies/results/search_worth.parquet
python studies/search_worth.py page         # that file → the tables of the page

`proxies` takes ten minutes, and continues where it was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from common import (
    HERE,
    best_first,
    collected,
    counted,
    difference_test,
    differences,
    drawn,
    is_whole,
    keep,
    kept,
    mean_interval,
    median_interval,
    p_value,
    put,
    run,
    share_interval,
    table,
    within,
)

from archgrad import data, spaces, tables
from archgrad.bench.protocol.lookup import from_table
from archgrad.randomness import generator
from archgrad.scoring.scores import score

CAMPAIGNS = {
    "search_worth_234": "234 pairs",
    "search_worth_1014": "1014 pairs",
    "search_worth_4992": "4992 pairs",
    "search_worth_none": "none",
    "search_worth_32": "32 pixels",
}
"""Campaign → the part of the page that its table stands in."""
VARIANTS = ("search_worth_none", "search_worth_32")
"""Those whose candidates or images the proxies did not have."""
RANDOM, PROXIES = "random_search", ("croze", "synflow", "params")
CELLS, SEEDS = 100, 20
COLUMNS = {"cifar10": "cifar10_test_200", "cifar100": "cifar100_test_200", "imagenet16": "in16_test_200"}
DEFAULT, CHOSEN = "darts", "beta_darts"
"""What `archgrad search` took before this study, and what the page has chosen at 234 pairs to be tested against it."""


def by_proxies() -> None:
    """Keep the best of random cells by each proxy; every seed draws its own cells, the same for all proxies."""
    space = spaces.get("nasbench201")
    dataset = data.load(HERE / "data" / "cifar10", image_size=16)
    found = []
    for seed in range(SEEDS):
        draw, cells = generator(seed, "study"), {}
        while len(cells) < CELLS:
            cell = space.random(draw)
            if "none" not in {name for kept in cell.choices["cell"] for name in kept}:
                cells[cell] = None
        file = HERE / "runs" / "search_worth_proxies" / f"{seed}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        scored = score(space, list(PROXIES), dataset, architectures=list(cells), seed=seed, out=file)
        for proxy in PROXIES:
            best = int(np.nan_to_num(scored.columns[proxy], nan=-np.inf).argmax())
            found.append((f"{proxy}, best of {CELLS}", seed, scored.text(best)))
    found_in_table = from_table("nasbench201", COLUMNS, found).frame.drop(columns="extra")
    print(keep(found_in_table.assign(campaign="proxies"), "search_worth"))


def rows(frame: pd.DataFrame, accuracies: np.ndarray) -> Iterator[list[str]]:
    """A line per method, the best mean accuracy on CIFAR-10 first."""
    of = frame.pivot(index=["method", "seed"], columns="benchmark", values="score")
    for name in of.cifar10.groupby("method").mean().sort_values(ascending=False).index:
        scores = of.loc[name]
        first = scores.cifar10.to_numpy()
        percentiles = [100 * float((accuracies <= value).mean()) for value in first]
        failed = share_interval(int((first < accuracies.mean()).sum()), len(first))
        top = share_interval(sum(each >= 99 for each in percentiles), len(first))
        yield [
            name,
            within(*mean_interval(first), ".2f"),
            f"{first.std(ddof=1):.2f}",
            within(*median_interval(percentiles), ".1f"),
            within(*mean_interval(accuracies.max() - first), ".2f"),
            *(within(*(100 * each for each in share), ".0f") for share in (failed, top)),
            *(within(*mean_interval(scores[key].to_numpy()), ".2f") for key in ("cifar100", "imagenet16")),
        ]


HEADER = (
    "method",
    "CIFAR-10, % (95 %)",
    "std",
    "median percentile",
    "mean regret",
    "failed, %",
    "best 1 %, %",
    "CIFAR-100, %",
    "ImageNet16-120, %",
)


def tests(scores: pd.DataFrame) -> str:
    """Both hypotheses: every method against random search, and the chosen one against the default."""
    of = {name: part.score.to_numpy() for name, part in scores.groupby("method")}
    found = {name: difference_test(of[name], of[RANDOM]) for name in of if name not in (RANDOM, "random_genotype")}
    ordered = dict(sorted(found.items(), key=lambda test: -test[1][0]))
    *interval, p = difference_test(of[CHOSEN], of[DEFAULT])
    return (
        differences(ordered, "method", f"mean − {RANDOM}, points (95 %)", "+.2f")
        + f"\n\n`{CHOSEN}` less `{DEFAULT}`: {within(*interval, '+.2f')} points, p: {p_value(p)}."
    )


def page() -> None:
    """Write the tables of the page from the kept results."""
    frame = counted(kept("search_worth"))
    accuracies = tables.load("nasbench201").values(COLUMNS["cifar10"])
    panels = {}
    for campaign, part_of_page in CAMPAIGNS.items():
        part = frame[frame.campaign.isin([campaign] if campaign in VARIANTS else [campaign, "proxies"])]
        if is_whole(frame, campaign):
            put("search_worth.md", part_of_page, table(HEADER, rows(part, accuracies)))
            if campaign not in VARIANTS:
                panels[part_of_page] = best_first(part[part.benchmark == "cifar10"])
    put(
        "search_worth.md",
        "figure",
        drawn("search_worth", "Mean CIFAR-10 accuracy, %", panels),
    )
    if is_whole(frame, "search_worth_1014"):
        middle = frame[(frame.campaign == "search_worth_1014") & (frame.benchmark == "cifar10")]
        put("search_worth.md", "tests", tests(middle))


def collect() -> None:
    """Keep what the campaigns have found so far."""
    print(keep(collected(CAMPAIGNS), "search_worth"))


if __name__ == "__main__":
    run(__doc__, proxies=by_proxies, collect=collect, page=page)
