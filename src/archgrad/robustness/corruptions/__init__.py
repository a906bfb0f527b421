"""The 15 corruptions of CIFAR-10-C at five severities, made on the fly for images of any size.

Strengths are those that made the published sets of 32×32 images; lengths in pixels scale with the image. Written anew,
on whole batches of tensors: the published code needs ImageMagick and a folder of photographs, `imagecorruptions` and
its successor have the strengths of ImageNet-C only, go image by image, draw from numpy's global generator, and bring
OpenCV and numba.

*Source:* Hendrycks and Dietterich, arXiv 1903.12261, and their `make_cifar_c.py`.
*Differs:* frost is a drawn texture instead of photographs (see `weather.frost`). Nothing is rounded to 8 bits on the
way, save by JPEG: glass blur and pixelation are up to one grey level from the program, snow less than two. Elastic
transforms mirror the image without repeating the pixel at its border, and read it at exact positions, not at those of
OpenCV, which are rounded to 1/32 of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.errors import ArchgradError, unknown
from archgrad.robustness.corruptions import blur, digital, noise, weather

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]

CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": digital.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
GROUPS: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog"),
    "digital": ("brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
SEVERITIES = (1, 2, 3, 4, 5)

__all__ = ["CORRUPTIONS", "GROUPS", "SEVERITIES", "corrupt"]


@torch.no_grad()
def corrupt(
    x: Float[Tensor, "n c h w"], name: str, severity: int, generator: torch.Generator | int = 0
) -> Float[Tensor, "n c h w"]:
    """Images with pixels in [0, 1], grey or of three colours, corrupted; the results are in [0, 1] as well.

    ``generator``: a CPU generator, or a seed; it alone decides, and every image has its own draws. Severities of one
    corruption use the same random numbers, so that with one seed a higher severity is the same damage, only worse.
    """
    if name not in CORRUPTIONS:
        raise unknown("corruption", name, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise ArchgradError(f"corrupt: severity must be 1, 2, 3, 4 or 5, got {severity!r}")
    if x.dim() != 4 or x.shape[1] not in (1, 3) or not x.is_floating_point():
        raise ArchgradError(
            f"corrupt: expected floating-point images [n, 1 or 3, height, width], got {list(x.shape)} {x.dtype}"
        )
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    if not len(x):
        return x
    precise = x if x.dtype == torch.float64 else x.float()
    return CORRUPTIONS[name](precise, int(severity), generator).clamp(0, 1).to(x.dtype)
