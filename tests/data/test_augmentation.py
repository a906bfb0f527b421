"""Augmentation: each image is a true crop, mirrored or not, with one square cut out, whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from archgrad.data import Augmentation, Normalisation
from archgrad.randomness import generator

PLACE = torch.arange(1, 1 + 3 * 7 * 9).view(3, 7, 9)  # every pixel different, and none like the padding


def draws(augmentation: Augmentation, batch: int, height: int = 7, width: int = 9):
    return augmentation.draw(batch, height, width, generator(0, "test"))


@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_equal_a_loop_over_images(flip: bool):
    augmentation = Augmentation(pad=2, flip=flip)
    x = PLACE.repeat(64, 1, 1, 1)
    drawn = draws(augmentation, 64)
    expected = []
    for image, (top, left), mirrored in zip(x, drawn.shift.tolist(), drawn.flip.tolist(), strict=True):
        crop = F.pad(image, [2] * 4)[:, top : top + 7, left : left + 9]
        expected.append(crop.flip(-1) if mirrored else crop)
    assert torch.equal(augmentation.crop(x, drawn), torch.stack(expected))
    assert drawn.flip.any().item() == flip
    assert {tuple(s) for s in drawn.shift.tolist()} <= {(a, b) for a in range(5) for b in range(5)}
    assert drawn.shift.min() == 0
    assert drawn.shift.max() == 4


def test_a_padding_of_zero_only_mirrors():
    augmentation = Augmentation(flip=True)
    out = augmentation.crop(PLACE.repeat(32, 1, 1, 1), draws(augmentation, 32))
    assert all(torch.equal(image, PLACE) or torch.equal(image, PLACE.flip(-1)) for image in out)


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cutout_is_one_square_around_the_centre_cut_off_at_the_border(side: int):
    augmentation = Augmentation(cutout=side)
    x = torch.ones(200, 2, 7, 9)
    drawn = draws(augmentation, 200)
    out = augmentation.cut(x, drawn)
    for image, (row, column) in zip(out, drawn.centre.tolist(), strict=True):
        expected = torch.ones(2, 7, 9)
        top, left = row - side // 2, column - side // 2
        expected[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
        assert torch.equal(image, expected)
    assert drawn.centre.unique(dim=0).shape[0] == len({(r, c) for r, c in drawn.centre.tolist()}) > 50


def test_switching_a_part_off_leaves_the_other_draws():
    full, less = draws(Augmentation(2, True, 4), 50), draws(Augmentation(2, False, 0), 50)
    assert torch.equal(full.shift, less.shift)
    assert torch.equal(full.centre, less.centre)


def test_normalisation_inverts_to_pixels():
    x = torch.rand(4, 2, 3, 3)
    out = Normalisation((0.5, 0.25), (0.1, 0.2))(x)
    torch.testing.assert_close(
        out * torch.tensor([0.1, 0.2]).view(2, 1, 1) + torch.tensor([0.5, 0.25]).view(2, 1, 1), x
    )
