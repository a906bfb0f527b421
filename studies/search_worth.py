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
    collected,
    difference_test,
    differences,
    is_whole,
    keep,
    kept,
    mean_interval,
    put,
    run,
    share_interval,
    table,
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
PROXIES = ("croze", "synflow", "params")
CELLS, SEEDS = 100, 20
BENCHMARKS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}
COLUMNS = {"cifar10": "cifar10_test_200", "cifar100": "cifar100_test_200", "imagenet16": "in16_test_200"}
DEFAULT = "darts"


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
    of = frame.pivot_table(index=["method", "seed"], columns="benchmark", values="score", dropna=False)
    for name in of.cifar10.groupby("method").mean().sort_values(ascending=False).index:
        scores = of.loc[name]
        first = scores.cifar10.fillna(10.0).to_numpy()  # a search that failed has found nothing better than chance
        mean, low, high = mean_interval(first)
        percentiles = [100 * float((accuracies <= value).mean()) for value in first]
        failed, failed_low, failed_high = share_interval(int((first < accuracies.mean()).sum()), len(first))
        top, top_low, top_high = share_interval(sum(each >= 99 for each in percentiles), len(first))
        yield [
            name,
            f"{mean:.2f} ({low:.2f} … {high:.2f})",
            f"{first.std(ddof=1):.2f}",
            f"{np.median(percentiles):.1f}",
            f"{accuracies.max() - mean:.2f}",
            f"{100 * failed:.0f} % ({100 * failed_low:.0f} … {100 * failed_high:.0f})",
            f"{100 * top:.0f} % ({100 * top_low:.0f} … {100 * top_high:.0f})",
            *(f"{mean_interval(scores[key].fillna(0.0))[0]:.2f}" for key in ("cifar100", "imagenet16")),
        ]


HEADER = (
    "method", "CIFAR-10, % (95 %)", "std", "median percentile", "mean regret", "failed", "best 1 %", "CIFAR-100",
    "ImageNet16",
)  # fmt: skip


def against(scores: pd.DataFrame, other: str) -> str:
    """Every method against another by the permutation test, p-values corrected by Holm."""
    of = {name: part.score.fillna(10.0).to_numpy() for name, part in scores.groupby("method")}
    tests = {name: difference_test(of[name], of[other]) for name in of if name not in (other, "random_genotype")}
    ordered = dict(sorted(tests.items(), key=lambda test: -test[1][0]))
    return differences(ordered, "method", f"mean − {other}, points (95 %)", "+.2f")


def page() -> None:
    """Write the tables of the page from the kept results."""
    frame = kept("search_worth")
    accuracies = tables.load("nasbench201").values(COLUMNS["cifar10"])
    for campaign, part_of_page in CAMPAIGNS.items():
        part = frame[frame.campaign.isin([campaign, "proxies"])]
        if is_whole(frame, campaign):
            put("search_worth.md", part_of_page, table(HEADER, rows(part, accuracies)))
    if is_whole(frame, "search_worth_1014"):
        middle = frame[(frame.campaign == "search_worth_1014") & (frame.benchmark == "cifar10")]
        put("search_worth.md", "tests", against(middle, "random_search") + "\n\n" + against(middle, DEFAULT))


def collect() -> None:
    """Keep what the campaigns have found so far."""
    print(keep(collected(CAMPAIGNS), "search_worth"))


if __name__ == "__main__":
    run(__doc__, proxies=by_proxies, collect=collect, page=page)
