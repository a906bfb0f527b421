"""What an image file means, as 8-bit grey or colour: by its depth, over a background, and the way up it was taken."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image

BACKGROUND = "white"
"""What shows through transparent pixels, as on a page."""

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
"""Pillow's modes without colours; any other has them."""

_ALPHA = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}
_SIXTEEN = ("PNG", "PPM", "JPEG2000")
"""Formats whose whole numbers above 8 bits Pillow gives with 16."""

_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 339  # tags of TIFF
_SIGNED = 2

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What the orientations of EXIF need."""


class UnreadableError(Exception):
    """Why an image cannot be read, in a few words."""


def opened(content: bytes) -> Image.Image:
    """The image of a file's content, of which only the head is read."""
    try:
        image = Image.open(io.BytesIO(content))
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        raise UnreadableError(f"not a readable image ({_reason(error)})") from None
    # A camera's second picture (MPO) is a copy of the first; the frames of a film or the layers of a scan are not.
    frames = getattr(image, "n_frames", 1)
    if image.format != "MPO" and frames > 1:
        raise UnreadableError(f"holds {frames} pictures: save the one that is meant as a file of its own")
    return image


def has_colours(image: Image.Image) -> bool:
    """Whether the image needs three channels; a palette does where one of its colours is not grey."""
    if image.mode not in ("P", "PA"):
        return image.mode not in GREY
    image.load()
    palette = image.getpalette("RGB") or []
    used = np.unique(np.asarray(image.getchannel(0))).tolist()
    colours = [palette[3 * index : 3 * index + 3] for index in used]
    return any(len(set(colour)) > 1 for colour in colours)


def has_alpha(image: Image.Image) -> bool:
    """Whether some of its pixels may be transparent."""
    return image.mode in _ALPHA or "transparency" in image.info


def decoded(image: Image.Image, grey: bool) -> Image.Image:
    """Its pixels in mode L or RGB: 0 is black and 255 white, whatever the depth of the file.

    Transparent pixels show the `BACKGROUND`; the picture is turned as its EXIF tag says. Whole numbers are scaled by
    the depth that the file states, floats must lie in 0 … 1.

    Raises UnreadableError where the file is damaged, or does not say what its numbers mean.
    """
    try:
        image.load()
        whole = _composed(image) if has_alpha(image) else _eight_bits(image)
        return _upright(whole, image).convert("L" if grey else "RGB")
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"not a readable image ({_reason(error)})") from None


def _upright(whole: Image.Image, image: Image.Image) -> Image.Image:
    """Turned as the tag of the image it was made of says."""
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return whole if turn is None else whole.transpose(turn)


def _composed(image: Image.Image) -> Image.Image:
    """Over the background."""
    if image.mode in GREY and image.mode not in ("L", "LA", "La", "1"):
        raise UnreadableError(f"transparency of a {image.mode} image is not understood: save it with 8 bits")
    image = image.convert(_ALPHA.get(image.mode, "LA" if image.mode in GREY else "RGBA"))
    return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image.convert("RGBA"))


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of more than 8 bits brought to 8; others as they are."""
    if image.mode == "LAB":
        raise UnreadableError("its colours are CIELAB: save it as RGB")
    if image.mode == "F":
        return _scaled(np.asarray(image), 1.0, "floats")
    if not image.mode.startswith("I"):
        return image
    tags = getattr(image, "tag_v2", {})
    bits = tags[_BITS][0] if _BITS in tags else 16 if image.format in _SIXTEEN or image.mode != "I" else 0
    if not 8 < bits <= 16 or _SIGNED in tags.get(_SAMPLES, ()):
        raise UnreadableError("whole numbers of no stated range: save it with 8 or 16 bits and no sign")
    values = np.asarray(image, dtype=np.float64)
    limit = 2.0**bits - 1
    white_is_zero = tags.get(_PHOTOMETRIC) == 0
    return _scaled(limit - values if white_is_zero else values, limit, f"{bits}-bit numbers")


def _scaled(values: np.ndarray[Any, Any], limit: float, what: str) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= limit):  # false for NaN too
        raise UnreadableError(
            f"{what} from {low:g} to {high:g}, which must lie in 0 … {limit:g}: bring them there, or save 8 or 16 bits"
        )
    return Image.fromarray(np.rint(values * (255 / limit)).astype(np.uint8))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
