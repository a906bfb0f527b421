"""Noise: standard normal, new in every pass, whatever it reads."""

from __future__ import annotations

import torch

from archgrad.operations import Noise, Spec, build, declaration


def test_noise_is_standard_normal_of_the_strided_shape_and_new_in_every_pass() -> None:
    torch.manual_seed(0)
    x = torch.full((40, 5, 21, 20), 7.0)
    for mode in (True, False):
        noise = build("noise", Spec(5, stride=2)).train(mode)
        first, second = noise(x), noise(x)
        assert first.shape == (40, 5, 11, 10)
        assert not torch.equal(first, second)
        assert abs(first.mean()) < 4 / first.numel() ** 0.5
        assert abs(first.var() - 1) < 4 * (2 / first.numel()) ** 0.5


def test_noise_is_replayed_from_the_seed_and_gives_no_gradient() -> None:
    noise, x = Noise(), torch.zeros(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    first = noise(x)
    torch.manual_seed(3)
    assert torch.equal(noise(x), first)
    assert first.dtype == torch.float64
    assert not first.requires_grad


def test_every_noise_is_drawn_for_itself() -> None:
    assert len(declaration(Noise()).prefix) == 1
    assert declaration(Noise()).prefix != declaration(Noise()).prefix
