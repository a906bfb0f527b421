"""What the programs of the studies share: results as small files, intervals, tests, tables in pages.

python studies/common.py rest NAME      # the seeds of studies/NAME.yaml that are left → studies/runs/NAME.yaml
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Float
from scipy import stats

from archgrad.bench import Campaign
from archgrad.bench.protocol import collect
from archgrad.bench.statistics.pairwise import holm
from archgrad.figures.files import alone
from archgrad.figures.intervals import Interval, intervals

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGES = HERE.parent / "docs" / "studies"
KEY = ("campaign", "method", "seed", "benchmark")
CHANCE = {"cifar100": 1.0, "imagenet16": 100 / 120}
"""What guessing reaches, in %, where it is not 10: what a search or a training that failed counts for."""


def collected(campaigns: Iterable[str]) -> pd.DataFrame:
    """What the campaigns of these names below ``studies/runs`` have found so far, one row per score.

    What failed has no score, and no genotype where the search did.
    """
    frames = []
    for name in campaigns:
        if (HERE / "runs" / name / "campaign.yaml").is_file():
            campaign = Campaign.open(HERE / "runs" / name)
            found = collect.results(campaign).frame.drop(columns="extra")
            found = found.assign(genotype=found.genotype.where(found.genotype != "", None))
            frames.append(pd.concat([found, pd.DataFrame(_failed(campaign))], ignore_index=True).assign(campaign=name))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(KEY))


def _failed(campaign: Campaign) -> Iterator[dict[str, object]]:
    """A row for every score that searches that failed did not get."""
    records = campaign.store.records()
    for trial in campaign.trials():
        if any("problem" in records.get(search.id, {}) for search in trial.searches):
            for benchmark in _scored(campaign, trial.benchmark):
                yield {"method": trial.method, "seed": min(trial.seeds), "benchmark": benchmark}


def _scored(campaign: Campaign, benchmark: str) -> Iterable[str]:
    """The benchmarks in whose name what was found on one is scored: the columns of the table, if there is one."""
    look_up = campaign.suite.table
    return look_up.columns if look_up else [benchmark]


def keep(frame: pd.DataFrame, study: str, key: Sequence[str] = KEY) -> Path:
    """Add results to those of a study that are kept already, of which none is replaced."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{study}.parquet"
    together = pd.concat([kept(study), frame], ignore_index=True)
    together = together.drop_duplicates(subset=list(key)).sort_values(list(key))
    together.to_parquet(file, index=False)
    return file


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Results in which what failed counts as guessing."""
    return frame.assign(score=frame.score.fillna(frame.benchmark.map(CHANCE).fillna(10.0)))


def kept(study: str) -> pd.DataFrame:
    """The results of a study that are kept, none before the first."""
    file = RESULTS / f"{study}.parquet"
    return pd.read_parquet(file) if file.is_file() else pd.DataFrame()


def whole(frame: pd.DataFrame, name: str) -> list[int]:
    """The seeds of a campaign for which every method has a result on every benchmark."""
    campaign = Campaign.load(HERE / f"{name}.yaml")
    benchmarks = [name for benchmark in campaign.benchmarks for name in _scored(campaign, benchmark)]
    every = set(product(campaign.methods, benchmarks))
    mine = frame[frame.campaign == name] if len(frame) else frame
    found = {(row.seed, row.method, row.benchmark) for row in mine.itertuples()}
    return [seed for seed in campaign.seeds if {(seed, *one) for one in every} <= found]


def is_whole(frame: pd.DataFrame, name: str) -> bool:
    """Whether all of a campaign has results: before that nothing is looked at."""
    return len(whole(frame, name)) == len(Campaign.load(HERE / f"{name}.yaml").seeds)


def kept_whole(name: str, study: str = "") -> pd.DataFrame:
    """The results of a study that are kept (of that name, or ``study``), refused before the campaign is whole.

    What failed counts as guessing.
    """
    frame = kept(study or name)
    if not is_whole(frame, name):
        raise SystemExit(f"{name} is not whole: nothing is looked at before")
    return counted(frame)


def keep_found(name: str) -> None:
    """Keep what the campaign of that name has found so far."""
    print(keep(collected([name]), name))


def rest(name: str) -> Path | None:
    """Write the campaign of the seeds that are left, which another machine has not computed; None where none is."""
    study = next(page.stem for page in PAGES.glob("*.md") if name.startswith(page.stem))
    done = whole(pd.concat([kept(study), kept(name)]), name)
    left = [seed for seed in Campaign.load(HERE / f"{name}.yaml").seeds if seed not in done]
    if not left:
        return None
    settings = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    suite = f"../{settings['suite']}" if (HERE / settings["suite"]).is_file() else settings["suite"]
    file = HERE / "runs" / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump({**settings, "suite": suite, "seeds": left}, sort_keys=False))
    return file


def mean_interval(values: Sequence[float] | Float[np.ndarray, " seeds"]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t."""
    values = np.asarray(values, float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5)
    return mean, mean - half, mean + half


def best_first(frame: pd.DataFrame, value: str = "score") -> dict[str, tuple[float, float, float]]:
    """The mean of a value for every method with its interval, the highest first."""
    found = {name: mean_interval(part[value]) for name, part in frame.groupby("method")}
    return dict(sorted(found.items(), key=lambda each: -each[1][0]))


def median_interval(values: Sequence[float] | Float[np.ndarray, " seeds"]) -> tuple[float, float, float]:
    """Median and its interval of at least 95 % between two of the ordered values; of few values, between the ends."""
    ordered = np.sort(np.asarray(values, float))
    below = max(int(stats.binom.ppf(0.025, len(ordered), 0.5)) - 1, 0)
    return float(np.median(ordered)), float(ordered[below]), float(ordered[len(ordered) - 1 - below])


def share_interval(hits: int, count: int) -> tuple[float, float, float]:
    """A share and its 95 % interval by Clopper and Pearson."""
    interval = stats.binomtest(hits, count).proportion_ci(method="exact")
    return hits / count, float(interval.low), float(interval.high)


def difference_test(
    a: Float[np.ndarray, " a"], b: Float[np.ndarray, " b"], resamples: int = 99_999
) -> tuple[float, float, float, float]:
    """mean(a) − mean(b), its 95 % interval by Welch's t, and the two-sided p-value of the permutation test."""
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    p = stats.permutation_test(
        (a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=resamples, vectorized=True, rng=0
    ).pvalue
    return float(a.mean() - b.mean()), float(welch.low), float(welch.high), float(p)


def within(value: float, low: float, high: float, form: str) -> str:
    """A number with its interval; ``form``: how each is written, such as ``.2f``."""
    return f"{value:{form}} ({low:{form}} … {high:{form}})"


def p_value(p: float) -> str:
    """A p-value to four digits: none is 0.

    >>> p_value(0.0384), p_value(0.00002)
    ('0.0384', '<0.0001')
    """
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def differences(tests: dict[str, tuple[float, float, float, float]], what: str, of: str, form: str = "+.1f") -> str:
    """A table of `difference_test`s by name, p-values corrected by Holm; ``what`` is compared ``of`` what."""
    holm = corrected({name: test[3] for name, test in tests.items()})
    rows = ([name, within(*interval, form), p_value(p), p_value(holm[name])] for name, (*interval, p) in tests.items())
    return table((what, of, "p", "p, Holm"), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def put(page: str, part: str, text: str) -> None:
    """Replace what stands between ``<!-- part -->`` and ``<!-- end of part -->`` on a page."""
    file = PAGES / page
    start, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    before = file.read_text()
    after, number = re.subn(
        re.escape(start) + ".*?" + re.escape(end), lambda _: f"{start}\n\n{text}\n\n{end}", before, flags=re.DOTALL
    )
    if number != 1:
        raise SystemExit(f"{file}: {start} … {end} must stand there once")
    file.write_text(after)


def drawn(name: str, told: str, panels: dict[str, dict[str, tuple[float, float, float]]]) -> str:
    """Draw estimates with their intervals, one panel beside the other; the picture and its caption for a page.

    ``panels``: title → name of the row → value, low, high.
    """
    pictures = [
        intervals(title, [Interval(row, *ends, _colour(row)) for row, ends in rows.items()], width=400)
        for title, rows in panels.items()
    ]
    (PAGES / f"{name}.svg").write_text(alone(pictures))
    which = f" From left: {', '.join(panels)}." if len(panels) > 1 else ""
    return f"![{told}]({name}.svg)\n\n{told}, with 95 % intervals.{which}"


def _colour(row: str) -> str:
    return "series-random" if row.startswith("random_") else "series-found"


def skips(genotype: str | None) -> int:
    """The skip connections of a cell of NAS-Bench-201; a search that failed counts as six of them."""
    return genotype.count("skip_connect") if isinstance(genotype, str) else 6


def corrected(tests: dict[str, float]) -> dict[str, float]:
    """p-values by Holm's method."""
    return dict(zip(tests, holm(list(tests.values())), strict=True))


def run(usage: str | None, **commands: Callable[[], object]) -> None:
    """Do what the only argument of the program says, or say what there is."""
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(usage)
    commands[sys.argv[1]]()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "rest":
        raise SystemExit(__doc__)
    print(rest(sys.argv[2]) or f"all seeds of {sys.argv[2]} are kept")
