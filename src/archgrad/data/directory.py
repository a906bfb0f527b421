"""Datasets of images on disk: from what readers of folders and Parquet files find to two subsets and a description."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from archgrad.data.dataset import (
    SPLIT_SEED,
    TEST_FRACTION,
    Dataset,
    Subset,
    image_shape,
    limited,
    normalised,
    split,
    standard_augmentation,
)
from archgrad.data.encoded import Encoded, Look
from archgrad.data.folders import has_classes, read_folder
from archgrad.data.found import Found
from archgrad.data.labels import Labelling
from archgrad.data.pixels import BACKGROUND
from archgrad.data.splits import listing
from archgrad.data.twins import twins
from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.tasks import Classification

DARK = 2**14
"""Numbers of 16-bit images below which something is said: they may be those of 12 bits in files of 16."""


@dataclass(frozen=True)
class DirectoryOptions:
    """The options of `load` that are about files: see there. `skip`: leave out what cannot be read."""

    image_size: int | None
    channels: int | None
    label_column: str | None
    skip: bool
    limit: int | None
    memory: int


def read_directory(path: Path, name: str, options: DirectoryOptions) -> Dataset:
    """The dataset in a folder of images or in Parquet files."""
    found = _found(path, options.label_column)
    first = found.parts[0]
    look = Look.at([part.source for part in found.parts])
    labelling = Labelling.of(first.labels, f"{path}: {first.name}", found.names, first.source.where)
    subsets = [
        Subset(
            Encoded.of(part.source, look, options.channels, options.image_size),
            labelling.numbers(part.labels, f"{path}: {part.name}", part.source.where),
        )
        for part in found.parts
    ]
    test, train = split(subsets[0], TEST_FRACTION, SPLIT_SEED) if len(subsets) == 1 else (subsets[1], subsets[0])
    _name_twins(path, train, test)
    train = train if options.limit is None else limited(train, options.limit)
    notes = _notes(found, look, labelling, options)
    if options.skip:
        train, test = (_readable(part, notes) for part in (train, test))
    if len(train) + len(test) <= options.memory / _bytes(train):
        train, test = (replace(part, inputs=part.inputs.decode()) for part in (train, test))
    train, test = normalised(train, test)
    shape = image_shape(train)
    about = _about(path, found, labelling, train, test, notes)
    return Dataset(
        name, Classification(labelling.names), shape, train, test, standard_augmentation(shape, True), about=about
    )


def _found(path: Path, label_column: str | None) -> Found:
    """What the directory holds: Parquet files of images, or else folders of images."""
    from archgrad.data.parquet import has_images, parquet_files, read_parquet  # pyarrow, which other data do not need

    files = parquet_files(path)
    if files and (path.is_file() or any(map(has_images, files)) or not has_classes(path)):
        return read_parquet(path, label_column)
    return read_folder(path)


def _bytes(part: Subset) -> int:
    channels, height, width = image_shape(part)
    return channels * height * width


def _name_twins(path: Path, train: Subset, test: Subset) -> None:
    same = twins(train.inputs, test.inputs)
    if same:
        count = f"{len(same):,} images are" if len(same) > 1 else "an image is"
        shown = listing((" = ".join(one.removeprefix(f"{path}/") for one in pair) for pair in same), 3)
        warnings.warn(
            f"{path}: {count} in both the training and the test part ({shown}), which flatters test scores",
            ArchgradWarning,
            stacklevel=2,
        )


def _readable(part: Subset, notes: list[str]) -> Subset:
    """The part without images that cannot be read."""
    inputs: Encoded = part.inputs
    good = inputs.readable()
    if good.all():
        return part
    bad = [inputs.source.where(int(number)) for number in inputs.numbers[~good]]
    if not good.any():
        raise ArchgradError(f"{bad[0]}: not a readable image, and no other of its part is one")
    notes.append(f"left out as unreadable: {len(bad):,} ({listing(bad, 3)})")
    return part.take(good.nonzero()[:, 0])


def _notes(found: Found, look: Look, labelling: Labelling, options: DirectoryOptions) -> list[str]:
    notes = list(found.notes)
    if labelling.renumbered:
        notes.append(f"the labels {listing(labelling.names)} are classes 0 to {len(labelling.names) - 1}")
    if look.transparent:
        notes.append(f"transparent pixels show {BACKGROUND}")
    if look.deepest is not None and look.deepest < DARK:
        notes.append(
            f"16-bit images end at {look.deepest:,} of 65,535, and keep {look.deepest // 257 + 1} levels of 8 bits: "
            "bring them to the full range"
        )
    if options.limit is not None:
        notes.append(f"limited to {options.limit:,} training images, balanced")
    return notes


def _about(path: Path, found: Found, labelling: Labelling, train: Subset, test: Subset, notes: list[str]) -> str:
    """What was understood, in a line."""
    channels, height, width = image_shape(train)
    colour = "grey" if channels == 1 else "colour"
    first, *others = (part.name for part in found.parts)
    where = f"in {others[0]}" if others else f"held out of {first}, a fixed fifth of every class"
    text = (
        f"{path}: {len(labelling.names):,} classes ({listing(labelling.names)}); {len(train):,} training images in "
        f"{first}, {len(test):,} test images {where}; {colour}, {width}×{height} pixels"
    )
    return "; ".join([text, *notes])
