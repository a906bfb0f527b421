"""The ensemble: its formula, and what it promises of cells that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archgrad import proxies, spaces, tables
from archgrad.errors import ArchgradError
from archgrad.proxies import ensemble
from archgrad.scoring import Scorer
from archgrad.scoring.correlation import statistics
from archgrad.tables import nasbench201


def test_the_ensemble_is_its_parts_by_its_formula(cell: Callable[..., nn.Module]) -> None:
    generator = torch.Generator().manual_seed(0)
    batch: tuple[Tensor, Tensor] = torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8)
    network = cell("333133", channels=16, cells=2)
    scores = {name: proxies.get(name)(network, batch) for name in ("jacob_cov", "nwot", "snip", "params")}
    model = ensemble.coefficients()
    z = ((ensemble.raw(scores) - model["mean"]) / model["std"]).clip(-3, 3).tolist()
    products = [z[i] * z[j] for i in range(4) for j in range(i, 4)]
    expected = model["intercept"] + sum(w * f for w, f in zip(model["weights"], [*z, *products], strict=True))
    assert proxies.robust_ensemble(network, batch) == pytest.approx(expected)
    more = torch.cat([batch[0], batch[0] * 2]), torch.cat([batch[1], batch[1]])
    assert proxies.robust_ensemble(network, more) == proxies.robust_ensemble(network, batch)  # the first eight images
    with pytest.raises(ArchgradError, match="needs 8 images, got 5"):
        proxies.robust_ensemble(network, (batch[0][:5], batch[1][:5]))


@pytest.mark.slow
def test_the_ensemble_predicts_robustness_of_cells_that_it_has_not_seen_beyond_their_size(data: Path) -> None:
    """60 classes with a batch and initialisation that were no part of the fit; measured on 200: see the page."""
    space = spaces.get("nasbench201")
    classes = np.random.default_rng(0).permutation(np.unique(nasbench201.isomorphs()))[2000:2060]
    scorer = Scorer.of(space, "robust_ensemble,params", data / "images/cifar10", seed=2)
    found = [scorer(space.parse("".join(map(str, nasbench201.cells()[i])))) for i in classes]
    score, size = (np.array([f[name] for f in found]) for name in ("robust_ensemble", "params"))
    robust = tables.load(data / "robustness/nb201_robbench_advtrained.parquet").values("cifar10_pgd_eps8")
    corrupted = tables.load(data / "robustness/nb201_robustness.parquet").values("cifar10_*_s?")
    values = np.stack([robust[classes], corrupted[classes]])  # both tables hold all cells, by index
    pgd, corruptions = statistics.given(score[None], values, statistics.explained_by(size))[0]
    assert pgd > 0.5
    assert corruptions > 0.1
