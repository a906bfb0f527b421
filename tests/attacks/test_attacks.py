"""FGSM and PGD: closed forms, bounds in pixels, and a network that is left as it was."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from archgrad import data
from archgrad.data import Normalisation
from archgrad.errors import ArchgradError
from archgrad.robustness import FGSM, PGD, SPSA, Attack, Victim, fgsm, pgd

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
CIFAR = Normalisation(MEAN, STD)


def linear(classes: int = 2, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, classes)).to(dtype)


def images(count: int = 6, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Pixels in [0.2, 0.8], far from the ends of the range."""
    torch.manual_seed(2)
    return 0.2 + 0.6 * torch.rand(count, 3, 4, 4, dtype=dtype), torch.arange(count) % 2


def normalised(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(v, dtype=pixels.dtype).view(3, 1, 1) for v in (MEAN, STD))
    return (pixels - mean) / std


def pixels_of(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(v, dtype=x.dtype).view(3, 1, 1) for v in (MEAN, STD))
    return x * std + mean


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_against_a_linear_model_both_reach_the_best_corner(attack) -> None:
    # Two classes: the loss falls with (w_y − w_other)·x, so the worst image is a corner of the ball.
    model, (pixels, y), epsilon = linear(), images(), 8 / 255
    weight = model[1].weight.detach().view(2, 3, 4, 4)
    expected = pixels + epsilon * (weight[1 - y] - weight[y]).sign()
    found = attack(model, normalised(pixels), y, epsilon=epsilon, mean=MEAN, std=STD)
    torch.testing.assert_close(pixels_of(found), expected, rtol=0, atol=1e-12)
    loss = nn.functional.cross_entropy
    higher = loss(model(found), y, reduction="none") > loss(model(normalised(pixels)), y, reduction="none")
    assert higher.all()


def test_the_margin_falls_by_epsilon_times_the_l1_norm() -> None:
    model, (pixels, y), epsilon = linear(), images(), 3 / 255
    weight = model[1].weight.detach()
    found = fgsm(model, pixels, y, epsilon=epsilon)
    victim = Victim(model)
    rise = victim.margin(found, y) - victim.margin(pixels, y)
    expected = epsilon * (weight[1] - weight[0]).abs().sum()
    torch.testing.assert_close(rise, expected.expand(len(y)), rtol=1e-10, atol=0)


def test_pgd_with_one_step_and_no_random_start_is_fgsm(trained: nn.Module, digits: data.Dataset) -> None:
    x, y = next(data.Batches(digits.test, 64).epoch())
    scale = {"mean": digits.mean, "std": digits.std}
    one = pgd(trained, x, y, epsilon=0.1, step=0.1, steps=1, random_start=False, **scale)
    assert torch.equal(one, fgsm(trained, x, y, epsilon=0.1, **scale))
    victim = Victim.of(trained, digits)
    assert torch.equal(one, FGSM(0.1)(victim, x, y))
    assert torch.equal(one, PGD(0.1, step=0.1, steps=1, random_start=False)(victim, x, y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [1 / 255, 8 / 255, 0.5])
def test_no_pixel_leaves_the_ball_or_the_range(epsilon: float, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    pixels = torch.rand(16, 3, 4, 4, dtype=dtype).round(decimals=1)  # many at 0 and 1
    model, y = linear(5, dtype), torch.arange(16) % 5
    for options in ({"steps": 7, "step": epsilon}, {"steps": 3, "restarts": 3}, {"steps": 1, "step": 1.0}):
        found = pixels_of(pgd(model, normalised(pixels), y, epsilon=epsilon, mean=MEAN, std=STD, **options))
        rounding = 8 * torch.finfo(dtype).eps
        assert (found - pixels).abs().max() <= epsilon + rounding
        assert found.min() >= -rounding
        assert found.max() <= 1 + rounding


def test_wrong_units_would_be_another_ball() -> None:
    # The same ε without mean and std is a ball in normalised units: about a quarter of the pixels'.
    model, (pixels, y) = linear(), images()
    found = fgsm(model, normalised(pixels), y, epsilon=8 / 255, bounds=None)
    size = (pixels_of(found) - pixels).abs().amax((0, 2, 3))
    torch.testing.assert_close(size, 8 / 255 * torch.tensor(STD, dtype=torch.float64))


def test_an_image_outside_the_range_is_not_moved_further_out() -> None:
    x = torch.tensor([[[[-0.5, 1.5], [0.0, 1.0]]]], dtype=torch.float64)
    ball = Victim(nn.Identity()).ball(x, 0.1)
    assert ball.low.flatten().tolist() == pytest.approx([-0.5, 1.4, 0.0, 0.9])
    assert ball.high.flatten().tolist() == pytest.approx([-0.4, 1.5, 0.1, 1.0])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=3, restarts=2), SPSA(steps=2, samples=4)])
def test_the_network_and_the_random_numbers_stay_as_they_were(attack, training: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3))
    model.train(training)
    model[1].eval()
    for number, weight in enumerate(model.parameters()):
        weight.grad = torch.full_like(weight, number)
    model[0].bias.requires_grad_(False)
    x, y = images(dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grads = [weight.grad.clone() for weight in model.parameters()]
    state, numbers = torch.get_rng_state(), torch.Generator().manual_seed(7)
    victim = Victim(model, CIFAR)
    first = attack(victim, x, y, numbers)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(w.grad, g) for w, g in zip(model.parameters(), grads, strict=True))
    assert [w.requires_grad for w in model.parameters()] == [True, False, True, True, True, True]
    assert (model.training, model[1].training) == (training, False)
    assert not first.requires_grad
    torch.randn(3)
    again = attack(victim, x, y, torch.Generator().manual_seed(7))
    assert torch.equal(first, again), "the generator alone decides"


def test_accuracy_never_rises_with_radius_or_steps(trained: nn.Module, digits: data.Dataset) -> None:
    x, y = next(data.Batches(digits.test, 200).epoch())

    def accuracy(**options) -> float:
        found = pgd(trained, x, y, mean=digits.mean, std=digits.std, **options)
        return float((Victim(trained).margin(found, y) < 0).float().mean())

    by_radius = [accuracy(epsilon=e, steps=10) for e in (0, 0.02, 0.05, 0.1, 0.2, 0.4)]
    assert by_radius == sorted(by_radius, reverse=True)
    assert by_radius[0] > 0.85
    assert by_radius[-1] < 0.1
    fixed = {"epsilon": 0.1, "step": 0.02, "random_start": False}
    by_steps = [accuracy(steps=s, **fixed) for s in (1, 2, 4, 8, 16)]
    assert by_steps == sorted(by_steps, reverse=True)
    by_restarts = [accuracy(epsilon=0.1, steps=2, restarts=r) for r in (1, 4)]
    assert by_restarts[1] <= by_restarts[0]


def test_restarts_keep_the_worst_of_each_image(trained: nn.Module, digits: data.Dataset) -> None:
    x, y = next(data.Batches(digits.test, 64).epoch())
    scale = {"mean": digits.mean, "std": digits.std, "epsilon": 0.1, "steps": 2}
    several = pgd(trained, x, y, restarts=3, generator=torch.Generator().manual_seed(5), **scale)
    numbers = torch.Generator().manual_seed(5)
    torch.randint(2**62, (), generator=numbers)  # what the network's own random numbers are seeded by
    victim = Victim.of(trained, digits)
    ball = victim.ball(x, 0.1)
    starts = [ball.random(numbers) for _ in range(3)]
    found = []
    for start in starts:
        for _ in range(2):
            at = start.clone().requires_grad_()
            (slope,) = torch.autograd.grad(nn.functional.cross_entropy(trained(at), y, reduction="sum"), at)
            start = ball.project(victim.moved(start, 0.025 * slope.sign()))
        found.append(victim.margin(start, y))
    torch.testing.assert_close(victim.margin(several, y), torch.stack(found).amax(0))


def test_epsilon_zero_changes_nothing(trained: nn.Module, digits: data.Dataset) -> None:
    x, y = next(data.Batches(digits.test, 8).epoch())
    for attack in (FGSM(0.0), PGD(0.0), SPSA(0.0, steps=1, samples=2)):
        assert torch.equal(attack(Victim.of(trained, digits), x, y), x)


def test_spsa_finds_the_corner_of_a_linear_model_without_a_gradient() -> None:
    model, (pixels, y) = linear(), images(3)
    weight = model[1].weight.detach().view(2, 3, 4, 4)
    difference = weight[1 - y] - weight[y]
    found = SPSA(4 / 255, steps=20, samples=256)(Victim(model), pixels, y)
    large = difference.abs() > 0.05
    assert large.float().mean() > 0.5
    expected = pixels + 4 / 255 * difference.sign()
    torch.testing.assert_close(found[large], expected[large], rtol=0, atol=1e-9)
    assert (found - pixels).abs().max() <= 4 / 255 + 1e-12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FGSM(-1.0), "epsilon must not be negative"),
        (lambda: PGD(steps=0), "steps must be a number above 0"),
        (lambda: PGD(step=-0.1), "step must not be negative"),
        (lambda: PGD(restarts=2, random_start=False), "restarts without a random start"),
        (lambda: SPSA(samples=0), "samples must be a number above 0"),
        (lambda: fgsm(linear(), *images(), mean=(0.5, 0.5)), "2 means or deviations for images of 3 channels"),
    ],
)
def test_unusable_settings_are_one_line(make, message: str) -> None:
    with pytest.raises(ArchgradError, match=message):
        make()


def test_labels_say_what_was_done() -> None:
    labels = [attack.label for attack in (FGSM(), PGD(), PGD(steps=7), PGD(steps=20, restarts=5), SPSA())]
    assert labels == ["fgsm", "pgd-20", "pgd-7", "pgd-20x5", "spsa"]
    assert all(a != b for a, b in itertools.combinations(labels, 2))


def test_a_new_attack_is_a_formula_and_the_rest_is_done_for_it() -> None:
    @dataclass(frozen=True)
    class Bright(Attack):
        """Everything as bright as it can be: far out of the ball and of the range of pixels."""

        def perturb(self, victim: Victim, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
            seen.append((torch.is_grad_enabled() and x.requires_grad, [w.requires_grad for w in model.parameters()]))
            return victim.moved(x, 100.0)

    seen: list[tuple[bool, list[bool]]] = []
    model, (pixels, y) = linear(), images()
    x = normalised(pixels).requires_grad_()
    victim = Victim(model, CIFAR)
    torch.testing.assert_close(pixels_of(Bright(0.1)(victim, x, y)), pixels + 0.1)
    torch.testing.assert_close(pixels_of(Bright(0.9)(victim, x, y)), torch.ones_like(pixels))  # no brighter than white
    assert seen == [(False, [False, False])] * 2, "no gradient leads into the attack, or out of its network"
    assert torch.equal(Bright(0.0)(victim, x, y), x)
    assert len(seen) == 2, "nothing is computed for a radius of zero"
    assert Bright().label == "bright"


def test_the_victim_decides_what_is_raised_and_what_a_pixel_is() -> None:
    model, (pixels, y) = linear(), images()
    other = Victim(model, loss=lambda logits, labels: -nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(FGSM(0.1)(other, pixels, y) - pixels, pixels - FGSM(0.1)(Victim(model), pixels, y))
    x = normalised(pixels)
    seen = Victim(model, CIFAR)
    torch.testing.assert_close(pixels_of(seen.moved(x, 0.25)), pixels + 0.25)
    torch.testing.assert_close(seen.distance(seen.moved(x, 0.25), x, "linf"), torch.full((6,), 0.25).double())
    torch.testing.assert_close(seen.distance(seen.moved(x, 0.25), x, "l2"), torch.full((6,), 0.25 * 48**0.5).double())
