"""Ranked candidates: drawn from the alphas, scored with the supernet's weights, the best kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from archgrad import data, proxies, search, spaces
from archgrad.context import Context
from archgrad.data import Batches, Normalisation
from archgrad.discretise import Strongest
from archgrad.discretise.ranked import Ranked
from archgrad.errors import ArchgradError
from archgrad.methods import darts
from archgrad.supernet import Supernet


class Batched:
    """A score as far as Ranked looks at one."""

    def __init__(self, images: int = 32):
        subset = data.load("digits").train.take(torch.arange(images))
        self.validation = Batches(subset, 16)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    torch.manual_seed(0)
    return spaces.get("nasbench201", channels=2, cells=1).supernet(in_channels=1)


def alphas(supernet: Supernet, size: float = 1.0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return {n: size * torch.randn(a.shape, generator=draw) for n, a in supernet.alphas.items()}


def test_candidates_are_drawn_by_their_softmax_probability(supernet: Supernet):
    point = alphas(supernet)
    drawn = Ranked(candidates=4001).drawn(point, Context(supernet, seed=1))
    assert drawn[0] == Strongest()(point, Context(supernet))
    for edge in (0, 5):
        counts = Counter(genotype.choices["cell"][edge][0] for genotype in drawn[1:])
        for number, name in enumerate(supernet.groups["cell"].operations):
            expected = float(point["cell"][edge].softmax(-1)[number])
            assert counts[name] / 4000 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)


def test_the_highest_is_kept_and_has_the_weights_of_the_supernet(supernet: Supernet, monkeypatch):
    seen: list[tuple[nn.Module, tuple[Tensor, Tensor]]] = []

    class Pixels:
        """Not the fewest parameters but a number that nobody would guess."""

        def __call__(self, network: nn.Module, batch: tuple[Tensor, Tensor], normalisation: Normalisation) -> float:
            seen.append((network, batch))
            values = [float("nan"), 1.0, 7.0, 3.0]
            return values[len(seen) - 1] if len(seen) <= 4 else 0.0

    monkeypatch.setattr(proxies, "get", lambda name: dataclass(Pixels)())
    point, context = alphas(supernet), Context(supernet, seed=2)
    rule = Ranked(candidates=8, images=6)
    distinct = list(dict.fromkeys(rule.drawn(point, context)))
    found = rule(point, context, Batched())  # type: ignore[arg-type]
    assert found == distinct[2]
    assert len(seen) == len(distinct)
    weight = dict(supernet.network.named_parameters())
    stem = next(name for name in weight if "stem" in name)
    assert torch.equal(dict(seen[0][0].named_parameters())[stem], weight[stem])
    images, labels = seen[0][1]
    assert (len(images), len(labels)) == (6, 6)
    assert all(torch.equal(batch[0], images) for _, batch in seen), "all see the same images"


@pytest.mark.parametrize("proxy", ["croze", "params", "synflow"])
def test_it_ends_a_search(proxy: str, monkeypatch):
    # What the score of a search has to tell: its validation batches.
    method = replace(darts("nasbench201"), discretisation=Ranked(proxy, candidates=4), epochs=0, batch_size=16)
    results = [
        search(spaces.get("nasbench201", channels=2, cells=1), method, "digits", seed=4, device="cpu", progress=False)
        for _ in range(2)
    ]
    assert results[0].genotype == results[1].genotype
    assert spaces.get("nasbench201").check(results[0].genotype) == results[0].genotype


def test_what_is_missing_is_one_line(supernet: Supernet):
    with pytest.raises(ArchgradError, match="validation images of a search"):
        Ranked()(alphas(supernet), Context(supernet))
    with pytest.raises(ArchgradError, match="supernet in its context"):
        Ranked()({}, Context())
    with pytest.raises(ArchgradError, match="unknown proxy 'crose'"):
        Ranked("crose")(alphas(supernet), Context(supernet), Batched())  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="candidates must be"):
        Ranked(candidates=0)
