"""Corruptions: published strengths, deterministic, in range, worse with severity."""

from __future__ import annotations

import colorsys
import io
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from archgrad import data
from archgrad.errors import ArchgradError
from archgrad.robustness import CORRUPTIONS, GROUPS, corrupt
from archgrad.robustness.corruptions import blur, digital, fields, noise, weather


@pytest.fixture(scope="module", params=["smooth", pytest.param("real", marks=pytest.mark.data)])
def x(request: pytest.FixtureRequest) -> Tensor:
    """Smooth random images, and real ones."""
    if request.param == "real":
        return data.load(request.getfixturevalue("real_data")("images/cifar10")).test.inputs[:96].float() / 255
    rough = torch.rand(96, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(rough, (32, 32), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 1, 8, 8), (2, 1, 28, 28), (1, 3, 20, 33), (1, 3, 64, 64)])
def test_any_size_in_range_and_decided_by_the_generator_alone(name: str, shape: tuple[int, ...]):
    images = torch.rand(*shape, generator=torch.Generator().manual_seed(1))
    before, state = images.clone(), torch.get_rng_state()
    for severity in (1, 5):
        found = corrupt(images, name, severity, torch.Generator().manual_seed(4))
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        assert found.isfinite().all()
        assert found.min() >= 0
        assert found.max() <= 1
        torch.randn(1)
        assert torch.equal(found, corrupt(images, name, severity, 4)), "a seed is the generator of that seed"
    torch.set_rng_state(state)
    assert torch.equal(images, before)
    if name not in {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}:
        assert not torch.equal(found, corrupt(images, name, 5, 5)), "another seed is another accident"


def test_every_image_has_its_own_accident():
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)).expand(2, -1, -1, -1)
    drawn = {"gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur"}
    for name in (*drawn, *GROUPS["weather"], "elastic_transform"):
        first, second = corrupt(images, name, 4, 0)
        assert not torch.equal(first, second), name


OF_THEIR_OWN = ("glass_blur", "frost", "elastic_transform", "pixelate")
"""What these hide, take away or move is not measured by the distance in pixels: they have tests of their own."""


@pytest.mark.parametrize("name", [n for n in CORRUPTIONS if n not in OF_THEIR_OWN])
def test_mean_distortion_rises_with_severity(name: str, x: Tensor):
    distances = [float((corrupt(x, name, severity, 3) - x).abs().mean()) for severity in range(1, 6)]
    assert distances[0] > 0.001
    assert all(b >= a for a, b in pairwise(distances)), distances


def test_pixelation_leaves_fewer_different_pixels_with_severity(x: Tensor):
    # An image that varies slowly may be nearer to its coarse mosaic than to a finer one: its tiles only grow in size.
    def tiles(y: Tensor) -> list[int]:
        levels = (255 * y).round()
        return [len(image.flatten(1).unique(dim=1).T) for image in levels]

    counts = torch.tensor([tiles(corrupt(x[:24], "pixelate", severity, 3)) for severity in range(1, 6)])
    sides = torch.tensor([int(32 * share) for share in digital.SIZE])
    assert (counts <= sides[:, None] ** 2).all(), "one colour per tile"
    mean = counts.double().mean(1)
    assert all(b < a for a, b in pairwise(mean.tolist())), mean


def test_frost_hides_more_of_the_image_with_severity(x: Tensor):
    # Its published shares take brightness from the image, so that the distance in pixels stays: the structure does not.
    def unlike(y: Tensor) -> float:
        a, b = (z.flatten(1) - z.flatten(1).mean(1, keepdim=True) for z in (x, y))
        return float((1 - torch.cosine_similarity(a, b, dim=1)).mean())

    hidden = [unlike(corrupt(x, "frost", severity, 3)) for severity in range(1, 6)]
    assert hidden == sorted(hidden)
    assert len(set(hidden)) == 5


def test_local_displacement_of_elastic_transforms_rises_with_severity(x: Tensor):
    # The affine part falls in the published strengths, so that the distance in pixels does not rise.
    fields_ = [digital.local_displacement(x, s, torch.Generator().manual_seed(0)) for s in range(1, 6)]
    sizes = [field[:, 8:-8, 8:-8].std().item() for field in fields_]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    # σ of uniform noise smoothed by a Gaussian: α / √3 / (2 √π σ), for a σ of more than a pixel, far from the border.
    assert sizes[2] == pytest.approx(0.08 * 32 / math.sqrt(3) / (2 * math.sqrt(math.pi) * 0.06 * 32), rel=0.05)


def test_glass_blur_moves_more_in_two_rounds_and_smooths_with_sigma(x: Tensor):
    found = [corrupt(x, "glass_blur", severity, 3) for severity in range(1, 6)]
    away = [float((y - x).abs().mean()) for y in found]
    assert min(away[3:]) > 1.2 * max(away[:3])
    rough = [float(y.diff(dim=-1).abs().mean()) for y in found]
    assert rough[0] > rough[1] > rough[2]
    assert rough[3] > rough[4]


def test_the_strengths_are_the_published_ones():
    assert noise.DEVIATION == (0.04, 0.06, 0.08, 0.09, 0.10)
    assert noise.PHOTONS == (500, 250, 100, 75, 50)
    assert noise.SHARE == (0.01, 0.02, 0.03, 0.05, 0.07)
    assert blur.DISC == ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
    assert blur.GLASS == ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
    assert blur.MOTION == ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))
    assert blur.ZOOM == (1.06, 1.11, 1.16, 1.21, 1.26)
    assert weather.FOG == ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))
    assert weather.FROST == ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
    assert weather.SNOW[0] == (0.1, 0.2, 1, 0.6, 8, 3, 0.95)
    assert weather.SNOW[4] == (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)
    assert digital.BRIGHTNESS == (0.05, 0.1, 0.15, 0.2, 0.3)
    assert digital.CONTRAST == (0.75, 0.5, 0.4, 0.3, 0.15)
    assert digital.SIZE == (0.95, 0.9, 0.85, 0.75, 0.65)
    assert digital.QUALITY == (80, 65, 58, 50, 40)


@pytest.mark.parametrize("severity", [1, 5])
def test_noise_has_the_moments_that_it_says(severity: int):
    grey = torch.full((64, 3, 32, 32), 0.5, dtype=torch.float64)
    found = corrupt(grey, "gaussian_noise", severity, 0) - grey
    assert found.std().item() == pytest.approx(noise.DEVIATION[severity - 1], rel=0.01)
    assert abs(found.mean().item()) < 1e-3
    found = corrupt(grey, "shot_noise", severity, 0)
    assert found.var().item() == pytest.approx(0.5 / noise.PHOTONS[severity - 1], rel=0.02)
    found = corrupt(grey, "impulse_noise", severity, 0)
    for end in (0, 1):
        assert (found == end).double().mean().item() == pytest.approx(noise.SHARE[severity - 1] / 2, rel=0.05)
    assert ((found == 0) | (found == 1) | (found == 0.5)).all()


def test_brightness_raises_the_value_in_hue_saturation_value(x: Tensor):
    found = corrupt(x[:2].double(), "brightness", 4, 0)
    for before, after in zip(x[:2].double().permute(0, 2, 3, 1).reshape(-1, 3)[::17].tolist(),
                             found.permute(0, 2, 3, 1).reshape(-1, 3)[::17].tolist(), strict=True):  # fmt: skip
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.2)), abs=1e-9)
    black = torch.zeros(1, 3, 2, 2)
    assert torch.equal(corrupt(black, "brightness", 5, 0), torch.full_like(black, 0.3))


def test_contrast_keeps_the_mean_and_shrinks_the_deviation(x: Tensor):
    found = corrupt(x, "contrast", 3, 0)
    torch.testing.assert_close(found.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(found.std((2, 3)), 0.4 * x.std((2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_pixelate_and_jpeg_are_pillows(severity: int, x: Tensor):
    pixels = (x[:4] * 255).round()
    small = int(32 * digital.SIZE[severity - 1])
    pixelated, compressed = (corrupt(pixels / 255, name, severity, 0) for name in ("pixelate", "jpeg_compression"))
    for number, image in enumerate(pixels):
        picture = Image.fromarray(image.permute(1, 2, 0).byte().numpy())
        box = picture.resize((small, small), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
        expected = torch.from_numpy(np.array(box)).permute(2, 0, 1) / 255
        assert (pixelated[number] - expected).abs().max() <= 1.01 / 255, "Pillow rounds twice"
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=digital.QUALITY[severity - 1])
        expected = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1) / 255
        torch.testing.assert_close(compressed[number], expected, rtol=0, atol=1e-6)


def test_smoothing_and_zooming_are_scipys(x: Tensor):
    image = x[:1].double()
    for sigma, mode, own in ((0.7, "nearest", "nearest"), (1.92, "reflect", "symmetric"), (1.1, "mirror", "mirror")):
        expected = ndimage.gaussian_filter(image[0].numpy(), (0, sigma, sigma), mode=mode, truncate=3.0)
        found = fields.smoothed(image, sigma, own, truncate=3.0)
        torch.testing.assert_close(found[0], torch.from_numpy(expected), rtol=0, atol=1e-12)
    for factor in (1.05, 1.25, 1.75, 2.25):
        crop = math.ceil(32 / factor)
        top = (32 - crop) // 2
        large = ndimage.zoom(image[0, :, top : top + crop, top : top + crop].numpy(), (1, factor, factor), order=1)
        trim = (large.shape[1] - 32) // 2
        expected = torch.from_numpy(large[:, trim : trim + 32, trim : trim + 32])
        torch.testing.assert_close(fields.zoomed(image, factor)[0], expected, rtol=0, atol=1e-9)


def test_motion_blur_drags_a_point_along_its_direction():
    point = torch.zeros(2, 1, 33, 33, dtype=torch.float64)
    point[:, :, 16, 16] = 1
    angle = torch.tensor([0.0, math.pi / 2], dtype=torch.float64)
    found = fields.dragged(point, 6, 2.0, angle)
    weights = torch.tensor([math.exp(-(i**2) / 8) for i in range(13)], dtype=torch.float64)
    weights = weights / weights.sum()
    # A pixel reads what lies ahead of it: the point appears behind.
    torch.testing.assert_close(found[0, 0, 16, 4:17].flip(0), weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1, 0, 4:17, 16].flip(0), weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.ones(2, dtype=torch.float64))


PATTERN = (0.5 + 0.5 * (0.9 * torch.arange(32 * 32, dtype=torch.float64) ** 1.1).sin()).view(32, 32)
SPOTS = ([5, 16, 31], [7, 16, 0])


@pytest.mark.parametrize(
    ("radius", "sigma", "degrees", "published"),
    [
        (6, 1.0, -45, (0.162554447392, 0.450949237936, 0.693274552135)),
        (8, 2.0, 17, (0.541310532742, 0.246055929946, 0.567277616893)),
        (9, 2.5, 44, (0.162178449277, 0.716468087978, 0.495619746161)),
    ],
)
def test_motion_blur_is_that_of_imagecorruptions(
    radius: int, sigma: float, degrees: int, published: tuple[float, ...]
) -> None:
    found = fields.dragged(PATTERN[None, None], radius, sigma, torch.tensor([math.radians(degrees)]).double())
    assert found[0, 0][SPOTS].tolist() == pytest.approx(published, abs=1e-11)


@pytest.mark.parametrize(
    ("severity", "published", "rounded"),
    [
        (1, (0.255820423, 0.3573788969, 1.0), (0.255820423, 0.3573788969, 1.0)),
        (3, (0.6846729681, 0.5550311628, 1.0), (0.6831379742, 0.5543978678, 1.0)),
        (5, (0.514763193, 0.661317098, 1.0), (0.514243665, 0.658239731, 1.0)),
    ],
)
def test_snow_is_the_published_one_up_to_its_8_bits(
    severity: int, published: tuple[float, ...], rounded: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a layer and a direction that are written down, without the program's rounding and with it."""
    layer = 2 * (1.3 * torch.arange(32 * 32, dtype=torch.float64) ** 1.2).sin().view(1, 1, 32, 32)
    monkeypatch.setattr(weather, "normal", lambda *_: layer)
    monkeypatch.setattr(weather, "uniform", lambda *_: torch.tensor([-0.55 * math.pi], dtype=torch.float64))
    image = torch.stack([PATTERN, PATTERN.flip(0), PATTERN.T])[None]
    found = weather.snow(image, severity, torch.Generator()).clamp(0, 1)[0, 0][SPOTS].tolist()
    assert found == pytest.approx(published, abs=1e-9)
    assert found == pytest.approx(rounded, abs=1 / 255)


def test_the_kernel_of_defocus_is_the_softened_disc_and_stretches():
    point = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    point[..., 16, 16] = 1
    side = math.exp(-1 / (2 * 0.4**2))
    taps = torch.tensor([side, 1, side], dtype=torch.float64) / (1 + 2 * side)
    wide = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    wide[..., 16, 16] = 1
    found = corrupt(wide, "defocus_blur", 1, 0)[0, 0, 15:18, 15:18]  # a disc of less than a pixel is a point
    torch.testing.assert_close(found, taps[:, None] * taps, rtol=0, atol=1e-12)
    spread = []
    for size in (32, 48, 64, 128):
        image = torch.zeros(1, 1, size, size, dtype=torch.float64)
        image[..., size // 2, size // 2] = 1
        row = corrupt(image, "defocus_blur", 5, 0)[0, 0].sum(0)
        place = torch.arange(size, dtype=torch.float64) - size // 2
        torch.testing.assert_close(row.sum(), torch.ones((), dtype=torch.float64))
        spread.append(float((row * place**2).sum().sqrt()) / size)
    assert max(spread) < 1.3 * min(spread), "the same share of the image at every size"


def test_fog_and_snow_only_lighten_in_the_way_that_they_say(x: Tensor):
    clouds = fields.clouds(x, 2.0, torch.Generator().manual_seed(0))
    assert clouds.amin((1, 2, 3)).max() < 0.05
    assert clouds.amax((1, 2, 3)).min() > 0.95
    found = corrupt(x, "fog", 4, 0)
    assert (found.amax((1, 2, 3)) <= x.amax((1, 2, 3)) + 1e-6).all(), "fog keeps the range of the image"
    snowy = corrupt(x, "snow", 3, 0)
    assert (snowy - x).min() > -1e-6, "snow darkens nothing"


def test_glass_blur_copies_pixels_from_their_neighbourhood_only():
    image = torch.arange(32 * 32, dtype=torch.float64).view(1, 1, 32, 32) / 1024
    found = corrupt(image, "glass_blur", 1, 0)  # its σ of 0.05 does not smooth at all
    source = (found * 1024).round().long()[0, 0]
    rows, columns = source // 32, source % 32
    here = torch.arange(32)
    assert not torch.equal(source, torch.arange(1024).view(32, 32))
    # Copies go on from copies, but each only one to the left or above: the source is never to the right or below.
    assert (rows <= here[:, None]).all()
    assert (columns <= here).all()
    assert torch.equal(source[:2], torch.arange(64).view(2, 32)), "the published loop leaves the first rows alone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.rand(1, 3, 8, 8), "fogg", 1), "unknown corruption 'fogg': did you mean 'fog'"),
        ((torch.rand(1, 3, 8, 8), "fog", 6), "severity must be 1, 2, 3, 4 or 5, got 6"),
        ((torch.rand(3, 8, 8), "fog", 1), r"expected floating-point images \[n, 1 or 3"),
        ((torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "fog", 1), "uint8"),
    ],
)
def test_unusable_arguments_are_one_line(arguments, message: str):
    with pytest.raises(ArchgradError, match=message):
        corrupt(*arguments)


def test_the_groups_are_a_partition():
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(CORRUPTIONS)
    assert len(CORRUPTIONS) == 15
    assert len(corrupt(torch.rand(0, 3, 8, 8), "fog", 1)) == 0
