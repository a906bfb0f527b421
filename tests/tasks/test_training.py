"""Training and evaluating for every task: what is recorded, which epoch counts, and what is refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError

from archgrad import Choice, data, methods, search
from archgrad.data import Dataset
from archgrad.discretise import BestOfRandom
from archgrad.errors import ArchgradError
from archgrad.evaluation import evaluate
from archgrad.method import AlphaOptimiser, WeightOptimiser
from archgrad.recipes import Recipe, recipe_of
from archgrad.runs import Run
from archgrad.supernet import Mixed, Supernet
from archgrad.tasks import Classification, MultiLabel, NextToken, Regression, Segmentation, Task
from archgrad.train import train

SMALL = Recipe(epochs=20, batch_size=6, lr=0.1, momentum=0.8)
WEIGHTS, ALPHAS = WeightOptimiser(lr=0.2, momentum=0.5), AlphaOptimiser(lr=0.3)


class Embedded(nn.Module):
    """Says from a token alone which one follows."""

    def __init__(self, vocabulary: int = 5) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(vocabulary, 8), nn.Linear(8, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.table(tokens))


class Summed(nn.Module):
    """Takes two inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(left + right)


def points() -> Tensor:
    return torch.randn(48, 4, generator=torch.Generator().manual_seed(0))


def multi_label() -> tuple[nn.Module, Dataset]:
    x = points()
    return nn.Linear(4, 3), data.from_tensors(x, (x[:, :3] > 0).long(), x, (x[:, :3] > 0).long(), task=MultiLabel())


def regression() -> tuple[nn.Module, Dataset]:
    x = points()
    inputs = {"left": x / 2, "right": x / 2}
    return Summed(), data.from_tensors(inputs, x.sum(1), inputs, x.sum(1), task=Regression())


def segmentation() -> tuple[nn.Module, Dataset]:
    x = torch.randn(48, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    masks = (x[:, 0] > 0).long()
    masks[:, 0] = 255
    return nn.Conv2d(1, 2, 1), data.from_tensors(x, masks, x, masks, task=Segmentation(2))


def next_token() -> tuple[nn.Module, Dataset]:
    tokens = (torch.arange(48)[:, None] + torch.arange(7)) % 5
    return Embedded(), data.from_tensors(
        tokens[:, :-1], tokens[:, 1:], tokens[:, :-1], tokens[:, 1:], task=NextToken(5)
    )


def streamed() -> tuple[nn.Module, Dataset]:
    x = points()
    rows = [((row / 2, row / 2), row.sum()) for row in x]
    return Summed(), data.from_dataset(rows, rows, task=Regression())


def own() -> tuple[nn.Module, Dataset]:
    x = points()
    task = Task(loss=F.huber_loss, metrics={"mae": MeanAbsoluteError}, outputs=2)
    return nn.Linear(4, 2), data.from_tensors(x, x[:, :2], x, x[:, :2], task=task)


GOALS = {
    multi_label: (0.9, {"f1", "accuracy", "exact_match"}, "exact_match"),
    regression: (0.05, {"rmse", "mae"}, None),
    segmentation: (0.9, {"mean_iou", "accuracy"}, "accuracy"),
    next_token: (1.2, {"perplexity", "accuracy"}, "accuracy"),
    streamed: (0.05, {"rmse", "mae"}, None),
    own: (0.1, {"mae"}, None),
}


@pytest.mark.parametrize("make", GOALS)
def test_a_network_learns_and_the_best_epoch_counts(make, tmp_path: Path):
    goal, metrics, running = GOALS[make]
    torch.manual_seed(0)
    network, dataset = make()
    primary, higher = dataset.task.primary, dataset.task.higher_is_better
    result = train(network, dataset, recipe=SMALL, validation=0.25, out=tmp_path, device="cpu", progress=False)
    scores = [record[f"validation_{primary}"] for record in result.history]
    assert result.epoch == scores.index(max(scores) if higher else min(scores))
    assert result.validation.score == scores[result.epoch]
    assert set(result.test.metrics) == metrics
    assert result.test.score > goal if higher else result.test.score < goal
    trained = {name for name in result.history[0] if name.startswith("train_")}
    assert trained == {"train_loss"} | ({f"train_{running}"} if running else set())
    assert Run.open(tmp_path).read_json("result.json")["test"] == result.test.record()
    assert evaluate(network, dataset, device="cpu") == result.test


@pytest.mark.parametrize("make", GOALS)
def test_a_network_that_does_not_fit_is_one_line(make):
    _, dataset = make()
    with pytest.raises(
        ArchgradError, match=r"^the network cannot take inputs of |, but the network's output is |cannot"
    ):
        evaluate(nn.Linear(4, 9), dataset, device="cpu")


class Blind(nn.Module):
    """Sees nothing of its input, and learns what one can say without."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.zeros_like(x))


@pytest.mark.parametrize("make", GOALS)
def test_a_search_finds_what_the_task_needs(make, tmp_path: Path):
    torch.manual_seed(0)
    network, dataset = make()
    inner = network.head if hasattr(network, "head") else network
    choice = Choice({"blind": Blind(copy.deepcopy(inner)), "sees": inner}, group="eyes")
    if inner is network:
        network = nn.Sequential(choice)
    else:
        network.head = choice
    method = replace(methods.darts(), epochs=15, batch_size=8, weight_optimiser=WEIGHTS, alpha_optimiser=ALPHAS)
    result = search(network, method, dataset, out=tmp_path, diagnose=0, device="cpu", progress=False)
    assert "sees" in str(result.genotype)
    primary, running = dataset.task.primary, GOALS[make][2]
    assert {"evaluation_loss", f"evaluation_{primary}", "train_loss"} <= set(result.history[-1])
    assert [name for name in result.history[-1] if "accuracy" in name and primary != "accuracy"] == (
        ["train_accuracy", "validation_accuracy"] if running == "accuracy" else []
    )
    found = evaluate(result.build(inherit=True), dataset, device="cpu")
    assert set(found.metrics) == GOALS[make][1]


def test_discretisation_by_evaluation_knows_the_direction():
    torch.manual_seed(0)
    network, dataset = regression()
    network.head = Choice({"blind": Blind(nn.Linear(4, 1)), "sees": network.head}, group="eyes")
    method = replace(methods.darts(), epochs=8, batch_size=8, weight_optimiser=WEIGHTS, discretisation=BestOfRandom(8))
    result = search(network, method, dataset, diagnose=0, device="cpu", progress=False)
    assert "sees" in str(result.genotype)


@pytest.mark.parametrize("make", [regression, streamed])
def test_supernets_take_inputs_of_several_tensors_as_their_settled_networks_do(make):
    network, dataset = make()
    network.head = Choice({"linear": network.head, "deep": nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))})
    supernet = Supernet(network)
    genotype = supernet.random(torch.Generator().manual_seed(0))
    mixed = Mixed(supernet, supernet.one_hot(genotype))
    settled = supernet.settle(genotype, inherit=True)
    assert evaluate(mixed, dataset, device="cpu") == evaluate(settled, dataset, device="cpu")


def test_label_smoothing_of_a_recipe_is_for_classes():
    x = points()
    dataset = data.from_tensors(x, torch.arange(48) % 2, x, torch.arange(48) % 2)
    smooth = replace(SMALL, epochs=1, lr=1e-9, label_smoothing=0.5)
    torch.manual_seed(0)
    network = nn.Linear(4, 2)
    plain = network(x)
    result = train(network, dataset, recipe=smooth, device="cpu", progress=False)
    expected = F.cross_entropy(plain, dataset.train.targets, label_smoothing=0.5)
    assert result.history[0]["train_loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert result.test.loss == pytest.approx(F.cross_entropy(plain, dataset.test.targets).item(), rel=1e-5)
    network, dataset = regression()
    with pytest.raises(ArchgradError, match="Regression: label smoothing is for tasks with classes"):
        train(network, dataset, recipe=smooth, device="cpu", progress=False)


def test_class_weights_are_those_of_the_cross_entropy():
    x, y = points(), torch.arange(48) % 3
    task = Classification(3, class_weights=[1.0, 3.0, 0.2])
    dataset = data.from_tensors(x, y, x, y, task=task)
    network = nn.Linear(4, 3)
    found = evaluate(network, dataset, device="cpu")
    weight = torch.tensor([1.0, 3.0, 0.2])
    assert found.loss == pytest.approx(F.cross_entropy(network(x), y, weight).item(), rel=1e-5)


def test_adversarial_training_is_refused_by_name():
    network, dataset = regression()
    with pytest.raises(ArchgradError, match="adversarial training is for classification, tensors is for Regression"):
        train(network, dataset, recipe=recipe_of("adversarial", epochs=1, batch_size=8), device="cpu", progress=False)


def test_an_evaluation_says_what_it_has():
    network, dataset = regression()
    found = evaluate(network, dataset, device="cpu")
    assert found.rmse == found.metrics["rmse"] == found.score
    assert str(found) == f"RMSE {found.rmse:.4g}, MAE {found.mae:.4g}, loss {found.loss:.4f}"
    with pytest.raises(AttributeError, match="this evaluation has no 'accuracy'; it has loss, rmse, mae"):
        _ = found.accuracy
