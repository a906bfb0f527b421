"""A fingerprint is the same for the same data, and another one for any other."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from archgrad import data, identity
from archgrad.data import Augmentation
from archgrad.data.fingerprint import fingerprint

X = torch.randint(0, 256, (30, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3


def made(x: torch.Tensor = X, y: torch.Tensor = Y, **options: object) -> data.Dataset:
    return data.from_tensors(x, y, x[:6], y[:6], **options)


def changed(one: data.Dataset, other: data.Dataset) -> set[str]:
    """The parts of the fingerprint that differ, as `train.targets`."""
    first, second = (
        {f"{part}.{key}": value for part in ("train", "test") for key, value in found.pop(part).items()} | found
        for found in (fingerprint(one), fingerprint(other))
    )
    return {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}


def test_the_same_data_have_the_same_fingerprint():
    assert changed(made(), made(X.clone(), Y.clone())) == set()


@settings(max_examples=40, deadline=None)
@given(image=st.integers(6, 29), place=st.integers(0, 15), by=st.integers(1, 255))
def test_any_pixel_counts(image: int, place: int, by: int):
    other = X.clone()
    other.flatten(1)[image, place] += by
    assert changed(made(), made(other)) - {"normalisation"} == {"train.contents"}


def test_labels_sizes_names_and_augmentation_count():
    other = Y.clone()
    other[[9, 10]] = other[[10, 9]]
    assert changed(made(), made(y=other)) == {"train.targets"}
    assert "train.inputs" in changed(made(), made(X[:29], Y[:29]))
    assert changed(made(), made(classes=["a", "b", "c"])) == {"classes"}
    assert changed(made(), replace(made(), augmentation=Augmentation(pad=1))) == {"augmentation"}


def test_large_tensors_count_with_a_sample(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(identity, "WHOLE", 64)
    other = X.clone()
    other[-1] += 1
    assert "train.contents" in changed(made(), made(other))


def pictures(root: Path, count: int = 6) -> Path:
    for number in range(2 * count):
        folder = root / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 2), number, dtype=np.uint8)).save(folder / f"{number}.png")
    return root


def test_files_that_stream_count_with_names_sizes_times_and_contents(tmp_path: Path):
    def load() -> data.Dataset:
        return data.load(tmp_path, memory=0, quiet=True)

    pictures(tmp_path)
    first = sorted((tmp_path / "a").iterdir())[0]
    before = load()
    assert changed(before, load()) == set()
    kept = fingerprint(before)
    status = first.stat()
    Image.fromarray(np.full((2, 2), 200, dtype=np.uint8)).save(first)
    os.utime(first, (status.st_atime, status.st_mtime))
    assert fingerprint(load())["train"]["contents"] != kept["train"]["contents"]
    os.utime(first, (status.st_atime, status.st_mtime + 10))
    assert fingerprint(load())["train"]["times"] != kept["train"]["times"]
    first.rename(first.with_name("other.png"))
    assert fingerprint(load())["train"]["files"] != kept["train"]["files"]


class Examples(list):
    """Examples of a user's own, with or without noise that no seed governs."""

    noise = 0.0

    def __getitem__(self, index: int):
        return super().__getitem__(index)[0] + self.noise * np.random.default_rng().random(), index % 2


def test_examples_count_unless_they_are_others_each_time():
    rows = Examples((torch.full((2,), float(n)), n % 2) for n in range(20))
    other = Examples((torch.full((2,), n + 1.0), n % 2) for n in range(20))
    options = {"task": data.load("digits").task}
    one = data.from_dataset(rows, rows, **options)
    assert changed(one, data.from_dataset(rows, rows, **options)) == set()
    assert changed(one, data.from_dataset(other, rows, **options)) == {"train.contents"}
    rows.noise = 1.0
    assert "contents" not in fingerprint(one)["train"]
