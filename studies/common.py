"""What the programs of the studies share: results as small files, intervals, tests, tables in pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGES = HERE.parent / "docs" / "studies"


def collected(campaigns: Iterable[str]) -> pd.DataFrame:
    """What the campaigns of these names below ``studies/runs`` have found so far, one row per score."""
    frames = []
    for name in campaigns:
        file = HERE / "runs" / name / "results.parquet"
        if file.is_file():
            frames.append(pd.read_parquet(file).drop(columns="extra").assign(campaign=name))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def keep(frame: pd.DataFrame, study: str) -> Path:
    """Write the results of a study where they stay."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{study}.parquet"
    frame.to_parquet(file, index=False)
    return file


def mean_interval(values: Sequence[float] | Float[np.ndarray, " seeds"]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t."""
    values = np.asarray(values, float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5)
    return mean, mean - half, mean + half


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
