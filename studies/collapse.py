"""Results and tables of docs/studies/collapse.md.

python studies/collapse.py collect      # the campaign → studies/results/collapse.parquet, collapse_diagnostics.parquet
python studies/collapse.py page         # these → the tables of the page
"""

from __future__ import annotations

import json

import pandas as pd
from common import (
    HERE,
    corrected,
    difference_test,
    differences,
    drawn,
    keep,
    keep_found,
    kept,
    kept_whole,
    mean_interval,
    p_value,
    put,
    run,
    share_interval,
    skips,
    table,
    within,
)
from scipy import stats

NAME, PAGE = "collapse", "collapse.md"
BASE = "darts"
ARMS = ("lambda_exact", "lambda_difference", "a2m", "a2m_lambda", "darts_pt_fixed")
COLLAPSED = 4
"""Skip connections, of six operations, from which a cell counts as collapsed."""
DIAGNOSTICS = {"alignment/cell": "alignment", "saturation/cell": "saturation", "eigenvalue": "eigenvalue"}


def diagnostics() -> pd.DataFrame:
    """Every number of `DIAGNOSTICS` that the searches recorded, a row for each method, seed and epoch."""
    rows = []
    for file in sorted((HERE / "runs" / NAME / "search").glob("*/*/seed-*/metrics.jsonl")):
        for line in map(json.loads, file.read_text().splitlines()):
            if "eigenvalue" in line:
                found = {name: line.get(key) for key, name in DIAGNOSTICS.items()}
                seed = int(file.parent.name.removeprefix("seed-"))
                rows.append({"method": file.parent.parent.name, "seed": seed, "epoch": line["epoch"] + 1, **found})
    return pd.DataFrame(rows)


def arms(frame: pd.DataFrame) -> str:
    """What the cells of every arm are worth, and how many collapsed."""
    rows = []
    for method in (BASE, *ARMS, "random_search", "random_genotype"):
        mine = frame[frame.method == method]
        scores = mine.score.to_numpy()
        share, share_low, share_high = share_interval(int(mine.collapsed.sum()), len(mine))
        rows.append(
            [
                method,
                within(*mean_interval(scores), ".2f"),
                f"{scores.std(ddof=1):.2f}",
                f"{scores.min():.2f}",
                f"{mine.skips.mean():.1f}",
                f"{100 * share:.0f} % ({100 * share_low:.0f} … {100 * share_high:.0f})",
            ]
        )
    return table(("arm", "CIFAR-10, % (95 %)", "std", "worst", "skips of six", "four skips or more (95 %)"), rows)


def tests(frame: pd.DataFrame) -> str:
    """Both hypotheses for every arm, corrected by Holm, each on its own."""
    base = frame[frame.method == BASE]
    of, tail, mean = {}, {}, {}
    for arm in ARMS:
        mine = frame[frame.method == arm]
        of[arm] = [int(part.collapsed.sum()) for part in (mine, base)]
        counts = [[hits, len(part) - hits] for hits, part in zip(of[arm], (mine, base), strict=True)]
        tail[arm] = float(stats.fisher_exact(counts).pvalue)
        mean[arm] = difference_test(mine.score.to_numpy(), base.score.to_numpy())
    holm = corrected(tail)
    rows = ([arm, "{} against {}".format(*of[arm]), p_value(tail[arm]), p_value(holm[arm])] for arm in ARMS)
    header = ("arm", f"collapsed, against {BASE}", "p", "p, Holm")
    return table(header, rows) + "\n\n" + differences(mean, "arm", f"mean − {BASE}, points (95 %)", "+.2f")


def over_time(frame: pd.DataFrame) -> str:
    """The means of the diagnostics over seeds, at every epoch that has them."""
    epochs = sorted(frame.epoch.unique())
    rows = [
        [method, name, *(f"{part[part.epoch == epoch][name].mean():.3f}" for epoch in epochs)]
        for method in (BASE, *ARMS)
        for part in [frame[frame.method == method]]
        for name in DIAGNOSTICS.values()
        if part[name].notna().any()
    ]
    return table(("arm", "mean over seeds", *(f"epoch {epoch}" for epoch in epochs)), rows)


def page() -> None:
    """Write the tables of the page from the kept results, once all of them are there."""
    frame, signs = kept_whole(NAME), kept(f"{NAME}_diagnostics")
    if signs.groupby("method").seed.nunique().reindex([BASE, *ARMS], fill_value=0).min() < frame.seed.nunique():
        raise SystemExit("diagnostics of some searches are missing: collect them where they were run")
    frame = frame[frame.benchmark == "cifar10"].assign(skips=lambda rows: rows.genotype.map(skips))
    frame["collapsed"] = frame.skips >= COLLAPSED
    put(PAGE, "arms", arms(frame))
    of = {arm: frame[frame.method == arm] for arm in (BASE, *ARMS)}
    shares = {arm: [100 * each for each in share_interval(part.collapsed.sum(), len(part))] for arm, part in of.items()}
    accuracies = {arm: mean_interval(part.score) for arm, part in of.items()}
    panels = {"searches that collapsed, %": shares, "mean CIFAR-10 accuracy, %": accuracies}
    put(PAGE, "figure", drawn("collapse", "Every arm's cells", panels))
    put(PAGE, "tests", tests(frame))
    put(PAGE, "over time", over_time(signs))


def collect() -> None:
    """Keep what the campaign has found and recorded so far."""
    keep_found(NAME)
    print(keep(diagnostics(), f"{NAME}_diagnostics", ("method", "seed", "epoch")))


if __name__ == "__main__":
    run(__doc__, collect=collect, page=page)
