"""What a task, or its data, cannot have is refused by name, in one line."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archgrad import data, proxies, search, spaces
from archgrad.comparison import train_genotype
from archgrad.data import Dataset
from archgrad.errors import ArchgradError
from archgrad.robustness import robustness
from archgrad.scoring.scorer import Scorer
from archgrad.tasks import Classification, MultiLabel, NextToken, Regression, Segmentation

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
TINY = spaces.get("nasbench201", channels=4, cells=1)


def images(task, y: torch.Tensor) -> Dataset:
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return data.from_tensors(x, y, x, y, task=task, name="planted")


def numbers() -> Dataset:
    return images(Regression(), torch.linspace(0, 1, 8))


def tokens() -> Dataset:
    text = (torch.arange(16)[:, None] + torch.arange(7)) % 5
    return data.from_tensors(text[:, :-1], text[:, 1:], text[:, :-1], text[:, 1:], task=NextToken(5), name="text")


@pytest.mark.parametrize(
    "use",
    [
        lambda text: search(TINY, "darts", text, epochs=1, batch_size=4, device="cpu", progress=False),
        lambda text: train_genotype(TINY, CELL, text, device="cpu", progress=False),
        lambda text: Scorer.of(TINY, "synflow", text),
    ],
)
def test_a_space_says_what_data_it_takes(use):
    reason = r"^nasbench201: its networks take images \[channels, height, width\], text has inputs of shape \[6\]$"
    with pytest.raises(ArchgradError, match=reason):
        use(tokens())


@pytest.mark.parametrize("name", ["epe_nas", "robust_ensemble"])
def test_proxies_that_compare_classes_refuse_other_tasks(name: str):
    reason = f"{name}: it needs the class of every image, which Regression does not have"
    with pytest.raises(ArchgradError, match=reason):
        Scorer.of(TINY, name, numbers())(TINY.parse(CELL))


def test_proxies_take_the_loss_of_the_task():
    network, (x, y) = nn.Linear(3, 2), (torch.randn(5, 3), torch.randn(5, 2))
    nn.functional.mse_loss(network(x), y).backward()
    expected = float(network.weight.grad.norm())
    assert proxies.get("grad_norm")(network, (x, y), task=Regression()) == pytest.approx(expected, rel=1e-5)
    weighted = Classification(2, class_weights=[1.0, 5.0])
    labels = torch.tensor([0, 1, 1, 0, 1])
    network.zero_grad()
    nn.functional.cross_entropy(network(x), labels, torch.tensor([1.0, 5.0])).backward()
    expected = float(network.weight.grad.norm())
    assert proxies.get("grad_norm")(network, (x, labels), task=weighted) == pytest.approx(expected, rel=1e-5)


def test_robustness_needs_right_and_wrong():
    with pytest.raises(ArchgradError, match="planted is for Regression, where no answer is right or wrong"):
        robustness(nn.Flatten(), numbers(), progress=False, device="cpu")
    with pytest.raises(ArchgradError, match=r"text has inputs of shape \[6\], which are no images"):
        robustness(nn.Flatten(), tokens(), progress=False, device="cpu")


@pytest.mark.parametrize(
    ("task", "network"),
    [
        (MultiLabel(2), nn.Sequential(nn.Flatten(), nn.Linear(64, 2))),
        (Segmentation(2), nn.Conv2d(1, 2, 3, padding=1)),
    ],
)
def test_robustness_is_the_mean_of_what_is_right(task, network: nn.Module):
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = task.answer(network(x)).long()
    targets[::2] = 1 - targets[::2]
    dataset = images(task, targets)
    found = robustness(network, dataset, ["fgsm"], [0.0, 0.1], corruptions=(), progress=False, device="cpu")
    assert found.clean == 0.5
    assert found.attacks["fgsm"].accuracies[0] == 0.5
    assert found.attacks["fgsm"].accuracies[1] <= 0.5
    with pytest.raises(ArchgradError, match="has no one right class per input"):
        robustness(network, dataset, ["spsa"], [0.1], corruptions=(), progress=False, device="cpu")
