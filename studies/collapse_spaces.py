"""The last two tables of docs/studies/collapse.md: what searches of S2 and S4 keep.

python studies/collapse_spaces.py collect      # the campaign → studies/results/collapse_spaces.parquet
python studies/collapse_spaces.py page         # that file, and the published searches → the tables of the page

`studies/data/robustdarts_runs.csv.gz` has the published searches of R-DARTS (S1 on CIFAR-10, S3 on SVHN).
"""

from __future__ import annotations

import json
from functools import partial

import pandas as pd
from common import (
    HERE,
    difference_test,
    differences,
    keep_found,
    kept_whole,
    mean_interval,
    put,
    run,
    table,
    within,
)

from archgrad import spaces

NAME, PAGE = "collapse_spaces", "collapse.md"
BASE, ARMS = "darts", ("lambda_difference", "a2m", "a2m_lambda")
BAD = {"s2": "skip_connect", "s4": "noise"}
"""What a search should not keep, of the two candidates of every edge."""
PUBLISHED = HERE / "data" / "robustdarts_runs.csv.gz"


def bad(genotype: str, benchmark: str) -> int:
    """How many of the eight operations of a normal cell are the bad ones of a space; all of a failed search's."""
    if not isinstance(genotype, str):
        return 8
    cell = spaces.get(f"robust_darts_{benchmark}").parse(genotype).choices["normal"]
    return sum(name == BAD[benchmark] for names in cell for name in names)


def arms(frame: pd.DataFrame) -> str:
    """What every arm keeps, and what its networks reach."""
    rows = []
    for (benchmark, method), mine in frame.groupby(["benchmark", "method"], sort=False):
        rows.append(
            [benchmark.upper(), method, within(*mean_interval(mine.bad), ".1f"), str(mine.bad.max()),
             within(*mean_interval(mine.score), ".1f")]
        )  # fmt: skip
    return table(("space", "arm", "skips (S2), noise (S4) of 8", "most", "accuracy, % (95 %)"), rows)


def tests(frame: pd.DataFrame) -> str:
    """Fewer bad operations than `darts`: permutation tests, p-values corrected by Holm over arms and spaces."""
    found = {}
    for benchmark in BAD:
        of = {name: part.bad.to_numpy(float) for name, part in frame[frame.benchmark == benchmark].groupby("method")}
        found |= {f"{benchmark.upper()}, {arm}": difference_test(of[arm], of[BASE]) for arm in ARMS}
    return differences(found, "space, arm", "operations less darts' (95 %)")


def published(runs: pd.DataFrame) -> str:
    """Skips in the normal cells of all published searches, by their weight decay, without and with drop-path."""
    skips = runs.normal.map(lambda text: sum(name == "skip_connect" for name, _ in json.loads(text)))
    groups = runs.assign(skips=skips).groupby(["space", "dataset", "weight_decay"])
    rows = []
    for (space, dataset, decay), part in groups:
        without, dropped = part[part.drop_path_prob == 0], part[part.drop_path_prob > 0]
        rows.append([space.upper(), dataset, f"{decay:g}", _range(without), _range(dropped)])
    header = ("space", "data", "weight decay", "skips of 8, mean (range)", "with drop-path")
    return table(header, rows)


def _range(part: pd.DataFrame) -> str:
    if part.empty:
        return "–"
    return f"{part.skips.mean():.1f} ({part.skips.min()} to {part.skips.max()}), {len(part)} searches"


def page() -> None:
    """Write the tables of the page: that of the published searches, and ours once all of them are there."""
    put(PAGE, "published", published(pd.read_csv(PUBLISHED)))
    frame = kept_whole(NAME)
    frame = frame.assign(bad=[bad(row.genotype, row.benchmark) for row in frame.itertuples()])
    put(PAGE, "spaces", f"{arms(frame)}\n\n{tests(frame)}")


if __name__ == "__main__":
    run(__doc__, collect=partial(keep_found, NAME), page=page)
