"""Pixels are what the file means: by its depth, over the stated background, the way up it was taken."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from archgrad import data
from archgrad.data.pixels import BACKGROUND, UnreadableError, decoded, has_colours, opened
from archgrad.errors import ArchgradError

RAMP = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def read(content: bytes) -> np.ndarray:
    image = opened(content)
    return np.asarray(decoded(image, grey=not has_colours(image)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bits_are_scaled(kind: str):
    assert read(encoded(Image.fromarray(RAMP), kind)).tolist() == [[0, 1, 128, 255]]


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(0, 65535), min_size=1, max_size=8), kind=st.sampled_from(["PNG", "TIFF", "PPM"]))
def test_sixteen_bits_keep_their_order(values: list[int], kind: str):
    found = read(encoded(Image.fromarray(np.array([values], dtype=np.uint16)), kind))[0]
    assert np.abs(found - np.array(values) / 257).max() <= 0.5


def test_white_may_be_zero():
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, format="TIFF", tiffinfo={262: 0})
    assert read(buffer.getvalue()).tolist() == [[255, 254, 127, 0]]


def test_floats_are_fractions_or_refused():
    fractions = np.array([[0, 0.25, 1]], dtype=np.float32)
    assert read(encoded(Image.fromarray(fractions), "TIFF")).tolist() == [[0, 64, 255]]
    for wrong in (fractions * 255, fractions - 1, np.full((1, 2), np.nan, np.float32)):
        with pytest.raises(UnreadableError, match=r"floats from .* must lie in 0 … 1"):
            read(encoded(Image.fromarray(wrong), "TIFF"))


def test_numbers_without_a_range_are_refused():
    with pytest.raises(UnreadableError, match="whole numbers of no stated range"):
        read(encoded(Image.fromarray(RAMP.astype(np.int32)), "TIFF"))
    with pytest.raises(UnreadableError, match="CIELAB"):
        read(encoded(Image.new("LAB", (2, 2)), "TIFF"))
    frames = [Image.new("L", (2, 2), level) for level in (0, 100, 200)]
    with pytest.raises(UnreadableError, match="holds 3 pictures"):
        read(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))


def test_transparent_pixels_show_the_background():
    assert BACKGROUND == "white"
    colour = np.array([[[255, 0, 0, 0], [255, 0, 0, 51], [255, 0, 0, 255]]], dtype=np.uint8)
    assert read(encoded(Image.fromarray(colour), "PNG")).tolist() == [[[255, 255, 255], [255, 204, 204], [255, 0, 0]]]
    grey = np.array([[[0, 0], [0, 51], [0, 255]]], dtype=np.uint8)
    assert read(encoded(Image.fromarray(grey), "PNG")).tolist() == [[255, 204, 0]]
    plain = Image.fromarray(np.array([[7, 9]], dtype=np.uint8))
    assert read(encoded(plain, "PNG", transparency=7)).tolist() == [[255, 9]]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palettes_have_colours_and_transparency(kind: str):
    image = Image.fromarray(np.array([[[10, 200, 30], [90, 90, 90]]], dtype=np.uint8)).quantize(2)
    first = np.asarray(image)[0, 0]
    assert read(encoded(image, kind)).tolist() == [[[10, 200, 30], [90, 90, 90]]]
    assert read(encoded(image, kind, transparency=int(first))).tolist() == [[[255, 255, 255], [90, 90, 90]]]
    grey = Image.fromarray(np.array([[0, 90]], dtype=np.uint8)).convert("P")
    assert read(encoded(grey, kind)).tolist() == [[0, 90]]


def test_inks_and_one_bit():
    assert read(encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF")).tolist() == [[[255, 0, 0]]]
    assert read(encoded(Image.fromarray(np.array([[True, False]])), "PNG")).tolist() == [[255, 0]]


UPRIGHT = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
STORED = {  # EXIF 2.3, tag Orientation: where the stored first row and column belong
    1: UPRIGHT, 2: UPRIGHT[:, ::-1], 3: UPRIGHT[::-1, ::-1], 4: UPRIGHT[::-1],
    5: UPRIGHT.T, 6: UPRIGHT.T[::-1], 7: UPRIGHT.T[::-1, ::-1], 8: UPRIGHT.T[:, ::-1],
}  # fmt: skip


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pictures_are_turned_upright(orientation: int, kind: str):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    assert read(encoded(stored, kind, exif=exif)).tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("colour", range(4))
def test_a_set_is_as_rich_as_its_richest_image(tmp_path: Path, colour: int):
    for number in range(12):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = np.full((2, 2, 3), 10 * number + 1, dtype=np.uint8)
        pixels[0, 0] = (200, 0, number) if number == colour else pixels[1, 1]
        image = Image.fromarray(pixels) if number == colour else Image.fromarray(pixels[..., 0])
        image.save(folder / f"{number:02}.png")
    dataset = data.load(tmp_path, quiet=True)
    assert dataset.shape == (3, 2, 2)
    assert any(
        image[:, 0, 0].tolist() == [200, 0, colour] for part in (dataset.train, dataset.test) for image in part.inputs
    )
    assert data.load(tmp_path, channels=1, quiet=True).shape == (1, 2, 2)
    (tmp_path / "ab"[colour % 2] / f"{colour:02}.png").unlink()
    assert data.load(tmp_path, quiet=True).shape == (1, 2, 2)


def test_twelve_bits_in_files_of_sixteen_are_noticed(tmp_path: Path):
    for top, words in ((4095, "16-bit images end at 4,095 of 65,535, and keep 16 levels"), (65535, "")):
        for number in range(6):
            folder = tmp_path / "ab"[number % 2]
            folder.mkdir(exist_ok=True)
            pixels = np.array([[top, 17 * number]], dtype=np.uint16)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        about = data.load(tmp_path, quiet=True).about
        assert words in about
        assert ("16-bit" in about) == bool(words)


def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path):
    for number in range(6):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 2), 3.0 + number, dtype=np.float32)).save(folder / f"{number}.tif")
    with pytest.raises(ArchgradError, match=r"0\.tif: floats from 3 to 3, which must lie in 0 … 1[^\n]*$"):
        data.load(tmp_path)
