"""Ranks of cells beside those of a published table of proxies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from archgrad import spaces
from archgrad.data import Dataset
from archgrad.errors import ArchgradError
from archgrad.scoring import Scorer, score

SPACE = spaces.get("nasbench201")
NASLIB = """
133220 406.54 231.31
410431 363.6 78.67
013330 372.76 180.6
244444 365.07 78.79
413242 397.33 180.36
322342 412.96 282.83
441431 361.83 78.87
100200 372.8 78.76
334341 396.78 180.7
323133 412.6 282.67
113303 397.73 180.73
411411 327.32 27.74
433041 383.41 129.72
021424 368.99 129.6
244121 383.63 129.77
344014 368.61 78.76
424140 363.54 78.33
342034 396.28 180.93
044441 329.03 27.7
243203 406.63 231.41
002223 373.44 231.63
142020 387.24 130.22
213311 397.83 180.12
101144 331.15 27.94
103333 406.46 231.75
443314 380.1 129.78
343004 386.12 129.7
301144 368.97 78.85
324103 397.16 181.1
013414 332.49 78.8
220143 398.21 180.58
342021 397.35 181.0
321031 398.17 180.95
244042 387.08 129.8
242343 406.43 231.6
111044 328.11 27.84
300424 386.09 129.33
242430 396.41 180.78
133013 397.39 180.63
021143 388.02 130.12
030232 399.82 231.99
430420 384.66 129.51
014201 370.68 79.07
304212 398.89 180.77
"""
"""Cell, NWOT and the norm of the weights of NASLib's zc_nasbench201.json (CIFAR-10, batch 32), its first 44 cells."""

ROWS = [line.split() for line in NASLIB.split("\n") if line]


def ranked_alike(proxy: str, column: int, data: str | Path | Dataset, unreached: bool) -> float:
    scorer = Scorer.of(SPACE, proxy, data, batch_size=32, unreached=unreached)
    ours = [scorer(SPACE.parse(row[0]))[proxy] for row in ROWS]
    return float(spearmanr(ours, np.array([float(row[column]) for row in ROWS]))[0])


@pytest.mark.slow
def test_published_norms_of_weights_count_unreached_operations(digits: Dataset) -> None:
    assert ranked_alike("l2_norm", 2, digits, unreached=True) > 0.94  # cells alike differ by their random weights only
    assert ranked_alike("l2_norm", 2, digits, unreached=False) < 0.9


def test_scores_of_networks_with_unreached_operations_are_another_table(digits: Dataset, tmp_path: Path) -> None:
    space, out = replace(SPACE, channels=4, cells=1), tmp_path / "scores.parquet"
    cell = space.parse("043210")
    for unreached in (False, True):
        table = score(space, "params", digits, architectures=[cell], unreached=unreached, progress=False)
        expected = space.cost(cell, in_channels=1, unreached=unreached).parameters
        assert table.columns["params"].tolist() == [expected]
    score(space, "params", digits, architectures=[cell], out=out, progress=False)
    with pytest.raises(ArchgradError, match="scores with other settings"):
        score(space, "params", digits, architectures=[cell], unreached=True, out=out, progress=False)


@pytest.mark.slow
def test_published_nwot_counts_unreached_operations(data: Path) -> None:
    alike = ranked_alike("nwot", 1, data / "images/cifar10", unreached=True)
    assert alike > 0.98
    assert alike > ranked_alike("nwot", 1, data / "images/cifar10", unreached=False)
