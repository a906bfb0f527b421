"""A victim knows its task: what is raised, and what has no meaning is refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archgrad import data
from archgrad.errors import ArchgradError
from archgrad.robustness import FGSM, PGD, SPSA, Victim, robustness
from archgrad.tasks import Classification, MultiLabel, NextToken, Regression


def test_the_loss_of_the_task_is_raised() -> None:
    torch.manual_seed(0)
    network, x, y = nn.Linear(3, 1).double(), torch.randn(6, 3).double(), torch.randn(6, 1).double()
    victim = Victim(network, bounds=None, task=Regression(outputs=1))
    moved = FGSM(0.1)(victim, x, y)
    residual = (network(x) - y).sign()  # the squared error rises where the answer moves away from the target
    torch.testing.assert_close(moved, x + 0.1 * (residual * network.weight).sign())
    points, labels = torch.randn(8, 4), torch.rand(8, 3).round()
    several = Victim(nn.Linear(4, 3), bounds=None, task=MultiLabel(3))
    loss = nn.functional.binary_cross_entropy_with_logits
    attacked = PGD(0.1, steps=5)(several, points, labels)
    assert loss(several.network(attacked), labels) > loss(several.network(points), labels)


def test_the_dataset_says_what_the_network_sees_and_does() -> None:
    digits = data.load("digits")
    victim = Victim.of(nn.Identity(), digits)
    assert (victim.normalisation, victim.bounds, victim.task) == (digits.train.normalisation, (0.0, 1.0), digits.task)
    points = data.from_tensors(torch.randn(8, 4), torch.arange(8) % 2, torch.randn(8, 4), torch.arange(8) % 2)
    assert Victim.of(nn.Identity(), points).bounds is None


def test_class_weights_are_part_of_what_is_raised_and_label_smoothing_is_not() -> None:
    torch.manual_seed(0)
    network, x, y = nn.Linear(4, 3).double(), torch.randn(6, 4).double(), torch.arange(6) % 3
    plain, smooth, weighted = (
        Victim(network, task=task).gradient(x, y)
        for task in (
            Classification(3),
            Classification(3, label_smoothing=0.3),
            Classification(3, class_weights=[1, 2, 4]),
        )
    )
    assert torch.equal(plain, smooth)
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 2.0, 4.0]).double()[y][:, None])


@pytest.mark.parametrize("attack", [FGSM(), PGD(), SPSA()])
def test_text_is_refused_by_name(attack) -> None:
    victim = Victim(nn.Embedding(5, 5), bounds=None, task=NextToken(5))
    tokens = torch.randint(5, (2, 7))
    with pytest.raises(ArchgradError, match=r"NextToken cannot be attacked with inputs of torch\.int64 tensors"):
        attack(victim, tokens, tokens)
    with pytest.raises(ArchgradError, match="NextToken cannot be attacked with inputs of several tensors"):
        attack(victim, {"tokens": tokens}, tokens)


def test_what_compares_classes_is_refused_without_any() -> None:
    x, y = torch.rand(8, 3, 4, 4), torch.rand(8, 1)
    images = data.from_tensors(x, y, x, y, task=Regression())
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    with pytest.raises(ArchgradError, match="for Regression, where no answer is right or wrong"):
        robustness(network, images, ("fgsm",), device="cpu", progress=False)
    with pytest.raises(ArchgradError, match="Regression has no one right class"):
        SPSA(steps=1, samples=2)(Victim.of(network, images), x, y)
