"""One SHA-256 per search, training and proxy score: the proof that a change of structure changes nothing computed.

Run it before and after, and compare the outputs line by line:

    python benchmarks/fingerprint.py > before.txt
    …
    python benchmarks/fingerprint.py | diff before.txt -

Every method searches for two epochs, on one thread, on 96 images of digits, on tiny supernets of NAS-Bench-201, DARTS,
S1, and on a user's own network; the hash is over alphas, weights and genotype. Every recipe trains one network, and
every proxy scores one. What refuses to combine prints its reason instead. Takes about three minutes; ``--only TEXT``
runs the lines that contain it.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods, proxies, recipes, spaces
from archgrad.randomness import isolated

SPACES = {
    "nasbench201": {"channels": 4, "cells": 1},
    "darts": {"channels": 4, "cells": 3},
    "robust_darts_s1": {"channels": 4, "cells": 3},
}
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


class Own(nn.Module):
    """A user's own network: shared groups and a choice of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.body = nn.Sequential(*[Choice(self.candidates(), group="block") for _ in range(2)])
        self.last = Choice(self.candidates())
        self.head = nn.Linear(4, 10)

    @staticmethod
    def candidates() -> dict[str, nn.Module]:
        """Two convolutions and a skip connection."""
        conv = {f"conv{k}": nn.Sequential(nn.Conv2d(4, 4, k, padding=k // 2), nn.BatchNorm2d(4)) for k in (1, 3)}
        return {**conv, "skip_connect": nn.Identity()}

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.last(self.body(self.stem(x))).mean((2, 3)))
        return logits


def few(images: int = 96) -> data.Dataset:
    """The first images of digits."""
    digits = data.load("digits")
    return replace(
        digits,
        train=digits.train.take(torch.arange(images)),
        test=digits.test.take(torch.arange(images // 2)),
    )


def digest(tensors: Iterable[Tensor], *texts: str) -> str:
    """The hash of numbers, shapes and texts."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str(tuple(tensor.shape)).encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for text in texts:
        found.update(text.encode())
    return found.hexdigest()


def searched(space: str, method: str, dataset: data.Dataset) -> str:
    """The hash of one search."""
    if space == "own":
        with isolated(0, "own"):
            network: spaces.Space | nn.Module = Own()
    else:
        network = spaces.get(space, **SPACES[space])
    few_steps = method == "darts_pt"  # every one of its decisions trains for an epoch
    options = {"tune": 1} if few_steps else {}
    result = archgrad.search(
        network,
        methods.get(method, space, **options),
        dataset,
        epochs=2,
        batch_size=24 if few_steps else 4,
        progress=False,
        diagnose=0,
    )
    alphas = [torch.from_numpy(result.alphas[name]) for name in sorted(result.alphas)]
    weights = [tensor for _, tensor in sorted(result.supernet.state_dict().items())]
    return digest([*alphas, *weights], str(result.genotype))


def settled(auxiliary: bool) -> nn.Module:
    """A tiny network to train: with an auxiliary head, one of DARTS."""
    with isolated(0, "settled"):
        if not auxiliary:
            space = spaces.get("nasbench201", channels=4, cells=1)
            return space.network(space.parse(CELL), in_channels=1)
        space = spaces.get("darts", channels=4, cells=3)
        genotype = space.random(torch.Generator().manual_seed(0))
        return space.network(genotype, in_channels=1, auxiliary=True)


def trained(recipe: str, dataset: data.Dataset) -> str:
    """The hash of one training."""
    result = archgrad.train(settled(recipe == "darts"), dataset, recipe=recipe, epochs=2, batch_size=24, progress=False)
    return digest(result.network.state_dict().values())


def scored(proxy: str, dataset: data.Dataset) -> str:
    """The hash of one score."""
    batch = next(data.Batches(dataset.train, 16).epoch())
    value = proxies.get(proxy)(settled(False), batch)
    return digest([torch.tensor(value, dtype=torch.float64)])


def main(only: str = "") -> None:
    """Print a line for everything whose name contains ``only``."""
    torch.set_num_threads(1)
    dataset = few()
    lines: dict[str, Callable[[], str]] = {}
    for space in (*SPACES, "own"):
        for method in methods.names():
            lines[f"search {space} {method}"] = lambda space=space, method=method: searched(space, method, dataset)
    lines |= {f"train {name}": lambda name=name: trained(name, dataset) for name in recipes.RECIPES}
    lines |= {f"score {name}": lambda name=name: scored(name, dataset) for name in proxies.PROXIES}
    for name, compute in lines.items():
        if only in name:
            try:
                found = compute()
            except archgrad.ArchgradError as error:
                found = f"refused: {error}"
            print(f"{name}: {found}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run the lines that contain this text")
    main(parser.parse_args().only)
