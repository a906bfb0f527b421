"""Results and tables of docs/studies/robustness.md.

python studies/robustness.py score      # all 6,466 networks of NAS-Bench-201 by all proxies; continues, also elsewhere
python studies/robustness.py page       # scores and both robustness tables → the tables of the page

The tables are imported once, from nb201_robustness.parquet and nb201_robbench_advtrained.parquet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from common import HERE, RESULTS, put, run, table, within
from jaxtyping import Float, Int

from archgrad import data, proxies, spaces, tables
from archgrad.scoring.commands import load_table
from archgrad.scoring.correlation import statistics
from archgrad.scoring.correlation.study import CorrelationInterval, Study, correlate
from archgrad.scoring.correlation.targets import targets_of
from archgrad.scoring.scores import score
from archgrad.tables import Table

PAGE = "robustness.md"
SCORES = RESULTS / "robustness_scores.parquet"
PROXIES = [name for name in proxies.names() if name not in ("robust_ensemble", "params", "flops")]
SIZE, CLEAN = "params", "clean"
TABLES = {"adversarial": "nasbench201-adversarial", "standard": "nasbench201-robustness"}
SHOWN = {
    "adversarial": ("clean", "pgd_eps8", "autoattack"),
    "standard": ("clean", "pgd_eps1", "aa_apgd-ce_eps1", "corruptions"),
}
CLASSES = 6466
SEARCHES, BUDGET = 1000, 100
Rows = Int[np.ndarray, " classes"]
"""Where the networks of the scores stand in a table of accuracies."""


def images() -> data.Dataset:
    """What proxies see; the file does not say that it is CIFAR-10."""
    return replace(data.load(HERE / "data" / "cifar10"), name="cifar10")


def places(scores: Table, accuracies: Table) -> Rows:
    """Where the networks of the scores stand in a table of accuracies."""
    return np.array([accuracies.row(scores.genotype(row)) for row in range(len(scores))])


def scored() -> Table:
    """The scores of every isomorphism class by one batch of eight images and one initialisation."""
    space, classes = spaces.get("nasbench201"), tables.load("nasbench201")
    cells = [classes.genotype(int(row)) for row in np.unique(classes.class_rows)]
    RESULTS.mkdir(exist_ok=True)
    return score(space, PROXIES, images(), architectures=cells, out=SCORES)


def studies(scores: Table, accuracies: Table, rows: Rows) -> tuple[Study, Study]:
    """The study given size, and the one given the clean accuracy of the same table."""
    column = next(name for name in accuracies.columns if name.startswith(f"cifar10_{CLEAN}"))
    scores = replace(scores, columns={**scores.columns, CLEAN: accuracies.values(column)[rows]})
    return correlate(scores, accuracies, given=SIZE), correlate(scores, accuracies, given=CLEAN)


def cell(interval: CorrelationInterval, proxy: int, target: int) -> str:
    value, low, high = (ends[proxy, target] for ends in (interval.value, interval.low, interval.high))
    return "–" if np.isnan(value) else within(value, low, high, ".2f")


def correlations(given_size: Study, given_clean: Study, targets: Iterable[str]) -> str:
    """ρ, and both partial correlations, of every proxy with some targets."""
    rows = []
    for target in targets:
        j = given_size.targets.index(target)
        for i in np.argsort(-given_size.spearman.value[:, j]):
            name = given_size.proxies[i]
            if name != CLEAN:
                k = given_clean.proxies.index(name)
                rows.append(
                    [target, name, cell(given_size.spearman, i, j), f"{given_size.kendall.value[i, j]:.2f}",
                     cell(given_size.partial, i, j), cell(given_clean.partial, k, j)]
                )  # fmt: skip
    return table(("target", "proxy", "ρ (95 %)", "τ", "ρ given size", "ρ given clean accuracy"), rows)


def means(study: Study) -> str:
    """Each proxy's correlation averaged over all targets of a table, as CRoZe's paper reports it."""
    spearman, partial = (interval.value.mean(1) for interval in (study.spearman, study.partial))
    order = [i for i in np.argsort(-spearman) if study.proxies[i] != CLEAN]
    rows = (
        [study.proxies[i], f"{spearman[i]:.2f}", "–" if np.isnan(partial[i]) else f"{partial[i]:.2f}"] for i in order
    )
    return table(("proxy", f"mean ρ over {len(study.targets)} targets", "given size"), rows)


def advantage(scores: Table, accuracies: Table, rows: Rows, proxy: str = "croze") -> str:
    """By how much a proxy's mean ρ over all targets of a table exceeds that of the number of parameters."""
    goals = targets_of(accuracies, rows)
    x = np.stack([scores.values(name) for name in (proxy, SIZE)])

    def difference(cells: Int[np.ndarray, " cells"]) -> float:
        mean = goals.averaged(statistics.spearman(x[:, cells], goals.values[:, cells])).mean(1)
        return float(mean[0] - mean[1])

    draws = [difference(cells) for cells in statistics.resamples(len(scores), 500, 0)]
    low, high = np.percentile(draws, (2.5, 97.5))
    found = difference(np.arange(len(scores)))
    return f"Mean ρ of `{proxy}` less that of the number of parameters: {found:+.3f} (95 %: {low:+.3f} … {high:+.3f})."


def spread(values: Float[np.ndarray, " networks"]) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"


def searches(scores: Table, targets: dict[str, Float[np.ndarray, " classes"]]) -> str:
    """What the best of `BUDGET` random classes by each proxy is worth, over `SEARCHES` draws, the same for all."""
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.tile(np.arange(len(scores)), (SEARCHES, 1)), axis=1)[:, :BUDGET]
    rows = []
    for name in (*PROXIES, SIZE):
        values = np.nan_to_num(scores.columns[name], nan=-np.inf)
        best = drawn[np.arange(SEARCHES), values[drawn].argmax(1)]
        rows.append([name, *(spread(of[best]) for of in targets.values())])
    rows.append(["any cell", *(spread(of) for of in targets.values())])
    return table((f"best of {BUDGET} by", *targets), rows)


def page() -> None:
    """Write the tables of the page, once every class has its scores."""
    if not SCORES.is_file() or len(scores := tables.load(SCORES)) < CLASSES:
        raise SystemExit("not all classes have scores: nothing is looked at before")
    targets = {}
    for kind, name in TABLES.items():
        accuracies = load_table(name)
        rows = places(scores, accuracies)
        size, clean = studies(scores, accuracies, rows)
        size.write(RESULTS / f"robustness_{kind}.csv")
        put(PAGE, kind, correlations(size, clean, SHOWN[kind]))
        put(PAGE, f"{kind} means", f"{means(size)}\n\n{advantage(scores, accuracies, rows)}")
        for target in SHOWN[kind]:
            column = "cifar10_*_s?" if target == "corruptions" else f"cifar10_{target}"
            targets[f"{kind}, {target}"] = accuracies.values(column)[rows]
    put(PAGE, "searches", searches(scores, targets))


if __name__ == "__main__":
    run(__doc__, score=lambda: print(f"{len(scored()):,} networks: {SCORES}"), page=page)
