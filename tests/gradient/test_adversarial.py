"""Robust search: the base on images under attack, and the base itself where the radius is 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from archgrad import spaces
from archgrad.attacks import FGSM, PGD
from archgrad.context import Clock, Context
from archgrad.data import Normalisation
from archgrad.errors import ArchgradError
from archgrad.gradient import FirstOrder, Fixed, FlatMinima, LayerAlignment, Plain, Unrolled
from archgrad.gradient.adversarial import Adversarial, RobustValidation
from archgrad.method import Method
from archgrad.objective import Descent, Objective
from archgrad.supernet import Supernet

Make = Callable[..., Objective]
CLOCK = Clock(epoch=1, epochs=2)


@pytest.fixture
def make() -> Make:
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=1).supernet()
    batches = [(torch.rand(4, 3, 8, 8), torch.randint(10, (4,))) for _ in range(2)]
    start = {name: value.clone() for name, value in supernet.state_dict().items()}

    def objective(number: int = 0, inner: Objective | None = None) -> Objective:
        if inner is None:
            supernet.load_state_dict(start)
        return Method().objective(
            batches[number], Context(supernet, CLOCK, seed=number), inner=inner, descent=Descent(0.1)
        )

    return objective


def alphas(supernet: Supernet) -> dict[str, Tensor]:
    return dict(supernet.alphas.items())


def buffers(supernet: Supernet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in supernet.named_buffers()}


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("base", [Plain(), LayerAlignment()])
def test_weights_with_radius_zero_are_the_base_bit_for_bit(base, make: Make):
    first = make()
    plain = base(first, alphas(first.supernet), first.context)
    moved = buffers(first.supernet)
    second = make()
    found = Adversarial(PGD(0.0), base=base)(second, alphas(second.supernet), second.context)
    assert same(plain, found)
    assert torch.equal(first.trace.loss, second.trace.loss)
    assert all(torch.equal(value, moved[name]) for name, value in buffers(second.supernet).items())


@pytest.mark.parametrize("base", [FirstOrder(), FlatMinima(), Unrolled()])
def test_alphas_with_radius_zero_are_the_base_bit_for_bit(base, make: Make):
    first = make(1, inner=make(0))
    plain = base(first, alphas(first.supernet), first.context)
    second = make(1, inner=make(0))
    found = RobustValidation(FGSM(0.0), base=base)(second, alphas(second.supernet), second.context)
    assert torch.equal(plain["cell"], found["cell"])


def test_it_is_the_base_on_attacked_images_and_raises_their_loss(make: Make):
    seen: list[Objective] = []

    class Looks(Plain):
        def __call__(self, objective, alphas, context):
            seen.append(objective)
            return super().__call__(objective, alphas, context)

    clean = make()
    Plain()(clean, alphas(clean.supernet), clean.context)
    objective, epsilon = make(), 4 / 255
    found = Adversarial(FGSM(epsilon), base=Looks())(objective, alphas(objective.supernet), objective.context)
    (under_attack,) = seen
    moved = (under_attack.batch[0] - clean.batch[0]).abs()
    assert moved.max() <= epsilon + 1e-6
    assert (moved > 0.9 * epsilon).float().mean() > 0.9
    assert objective.trace.loss > clean.trace.loss, "what is measured is the loss under attack"
    assert torch.equal(objective.batch[0], clean.batch[0])
    plain = make()
    plain = replace(plain, batch=under_attack.batch)
    assert same(Plain()(plain, alphas(plain.supernet), plain.context), found)
    assert torch.equal(plain.trace.loss, objective.trace.loss)


def test_running_statistics_move_once(make: Make):
    objective = make()
    Adversarial(PGD(steps=3), base=LayerAlignment())(objective, alphas(objective.supernet), objective.context)
    counts = [v for n, v in objective.supernet.named_buffers() if n.endswith("num_batches_tracked")]
    assert counts
    assert all(int(count) == 1 for count in counts)
    objective = make()
    LayerAlignment(base=Adversarial(PGD(steps=3)))(objective, alphas(objective.supernet), objective.context)
    assert all(int(v) == 1 for n, v in objective.supernet.named_buffers() if n.endswith("num_batches_tracked"))
    assert all(weight.requires_grad for weight in objective.supernet.parameters())


@pytest.mark.parametrize("base", [FirstOrder(), FlatMinima(), Unrolled()])
def test_alphas_under_attack_are_another_gradient_and_the_same_again(base, make: Make):
    found = []
    for _ in range(2):
        objective = make(1, inner=make(0))
        found.append(
            RobustValidation(PGD(steps=2), base=base)(objective, alphas(objective.supernet), objective.context)
        )
    assert torch.equal(found[0]["cell"], found[1]["cell"])
    objective = make(1, inner=make(0))
    plain = base(objective, alphas(objective.supernet), objective.context)
    assert not torch.allclose(plain["cell"], found[0]["cell"])
    assert found[0]["cell"].isfinite().all()
    assert RobustValidation(base=Fixed())(objective, alphas(objective.supernet), objective.context) is None


def test_radius_is_in_pixels_by_the_normalisation(make: Make):
    scale = Normalisation((0.5, 0.4, 0.3), (0.25, 0.5, 0.2))
    seen: list[Tensor] = []

    class Looks(Plain):
        def __call__(self, objective, alphas, context):
            seen.append(objective.batch[0])
            return super().__call__(objective, alphas, context)

    objective = make()
    pixels = objective.batch[0]
    objective = replace(objective, batch=(scale(pixels), objective.batch[1]))
    start = Context(objective.supernet)
    with pytest.raises(ArchgradError, match="give the attack their normalisation"):
        Adversarial(FGSM(0.1), base=Looks())(objective, alphas(objective.supernet), start)
    Adversarial(FGSM(0.1), scale, Looks())(objective, alphas(objective.supernet), objective.context)
    moved = seen[0] * torch.tensor(scale.std).view(3, 1, 1) + torch.tensor(scale.mean).view(3, 1, 1)
    assert moved.min() >= -1e-6
    assert moved.max() <= 1 + 1e-6
    torch.testing.assert_close((moved - pixels).abs().amax((0, 2, 3)), torch.full((3,), 0.1))


def test_only_images_can_be_attacked(make: Make):
    objective = make()
    objective = replace(objective, batch=((objective.batch[0],), objective.batch[1]))
    with pytest.raises(ArchgradError, match="need a batch of images, got tuple"):
        Adversarial()(objective, alphas(objective.supernet), objective.context)
