"""A run goes on with the data and the network that it was begun with, or with others on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archgrad import Choice, data, identity, methods, search, spaces
from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.randomness import isolated
from archgrad.recipes import Recipe
from archgrad.runs import Run
from archgrad.scoring import searching
from archgrad.supernet import Supernet
from archgrad.train import train

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(48) % 2


def points(x: torch.Tensor = X, y: torch.Tensor = Y) -> data.Dataset:
    return data.from_tensors(x, y, x[:8], y[:8], name="points")


CANDIDATES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(6, 6), "wide": lambda: nn.Linear(6, 6), "tanh": nn.Tanh, "skip": nn.Identity,
}  # fmt: skip


class Net(nn.Module):
    """A network of a user's own, with the candidates in this order."""

    def __init__(self, *names: str, hidden: int = 6, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        with isolated(0, "weights"):
            choice = Choice({name: CANDIDATES[name]() for name in names}, group="body")
            self.body = nn.Sequential(nn.Linear(4, hidden), activation(), nn.Linear(hidden, 6), choice, nn.Linear(6, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


DARTS = replace(methods.darts(), epochs=1, batch_size=8)


def find(out: Path, network: nn.Module, dataset: data.Dataset, epochs: int = 1, **options: Any) -> None:
    search(network, DARTS, dataset, out=out, device="cpu", progress=False, diagnose=0, **options)


def settle(out: Path, network: nn.Module, dataset: data.Dataset, **options: Any) -> None:
    recipe = Recipe(epochs=1, batch_size=8, lr=0.1)
    train(network, dataset, recipe=recipe, out=out, device="cpu", progress=False, **options)


NET = ("linear", "wide", "tanh", "skip")
OTHERS = {
    "pixels": (lambda: points(X + (torch.arange(48) == 47)[:, None]), r"data\.train\.contents differ"),
    "labels": (lambda: points(y=Y.flip(0)), r"data\.train\.targets differ"),
    "more": (lambda: points(torch.cat([X, X]), torch.cat([Y, Y])), r"data\.train\.inputs: 48 → 96"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("run", [find, settle])
def test_other_data_are_refused_by_name(tmp_path: Path, run: Callable[..., None], other: str):
    network = (lambda: Net(*NET)) if run is find else (lambda: nn.Linear(4, 2))
    run(tmp_path / "run", network(), points())
    run(tmp_path / "run", network(), points())
    make, message = OTHERS[other]
    with pytest.raises(
        ArchgradError, match=rf"begun with other data or another network \(.*{message}.*--changed accept"
    ):
        run(tmp_path / "run", network(), make())
    with pytest.warns(ArchgradWarning, match=f"goes on with what changed: .*{message}"):
        run(tmp_path / "run", network(), make(), changed="accept")
    run(tmp_path / "run", network(), make())  # these are the run's data from now on
    assert len(Run.open(tmp_path / "run").read_json("inputs.json")["accepted"]) == 1
    with pytest.raises(ArchgradError, match="unknown way with changed data 'yes'"):
        run(tmp_path / "run", network(), points(), changed="yes")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: Net("wide", "linear", "tanh", "skip"),
            r"network\.groups\.body\.edges.*linear, wide.* → .*wide, linear",
        ),
        (lambda: Net("linear", "wide", "skip", "tanh"), r"network\.groups\.body\.edges"),  # neither has parameters
        (lambda: Net(*NET, hidden=7), r"network\.numbers: .* network\.shapes differ"),
        (lambda: Net(*NET, activation=nn.Tanh), r"network\.modules differ"),  # as many parameters, another network
    ],
)
def test_another_network_of_ones_own_is_refused_by_name(tmp_path: Path, network: Callable[[], nn.Module], message: str):
    find(tmp_path / "run", Net(*NET), points())
    with pytest.raises(ArchgradError, match=rf"another network \({message}"):
        find(tmp_path / "run", network(), points())


def test_another_settled_network_is_refused(tmp_path: Path):
    settle(tmp_path / "run", nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), points())
    with pytest.raises(ArchgradError, match=r"network\.modules differ"):
        settle(tmp_path / "run", nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), points())


def test_a_search_by_proxies_keeps_its_images(tmp_path: Path, digits: data.Dataset):
    space = spaces.get("nasbench201", channels=4, cells=1)
    options = {"budget": 2, "batch_size": 2, "out": tmp_path / "run", "progress": False, "strategy": "random"}
    searching.search(space, "params", digits, **options)
    other = replace(digits, train=replace(digits.train, inputs=255 - digits.train.inputs))
    with pytest.raises(ArchgradError, match="batch differ"):
        searching.search(space, "params", other, **options)
    with pytest.warns(ArchgradWarning, match="goes on with what changed"):
        searching.search(space, "params", other, changed="accept", **options)


def test_executors_of_a_space_are_one_network():
    space = spaces.get("nasbench201", channels=4, cells=1)
    records = [
        space.supernet(classes=10, in_channels=1, executor=name).record() for name in ("plain", "loop", "batched")
    ]
    assert records[0] == records[1] == records[2]


def test_places_in_memory_do_not_count():
    class Made(nn.Module):
        def extra_repr(self) -> str:
            return f"function={object()}"

    assert identity.of_network(Made()) == identity.of_network(Made())
    assert Supernet(Net(*NET)).record() == Supernet(Net(*NET)).record()


def test_a_run_without_a_record_of_its_inputs_gets_one(tmp_path: Path):
    find(tmp_path / "run", Net(*NET), points())
    (tmp_path / "run" / "inputs.json").unlink()
    find(tmp_path / "run", Net(*NET), points())
    assert (tmp_path / "run" / "inputs.json").is_file()
