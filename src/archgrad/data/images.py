"""Image datasets on disk: folders of classes, and directories of Parquet files in the Hugging Face image layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from archgrad.data.encoded import ImageFiles, ImageSource
from archgrad.errors import ArchgradError

TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True, eq=False)
class Part:
    """One split as it lies on disk: its name, encoded images, and labels of all of them."""

    name: str
    source: ImageSource
    labels: Tensor
    class_names: tuple[str, ...]


def read_folder(path: Path) -> list[Part]:
    """The training and, where there is one, the test part of a folder: `[train|test/]CLASS/**/image.png`."""
    folders = {entry.name: entry for entry in _folders(path)}
    if "train" not in folders:
        return [_read_classes(path, path.name)]
    test = next((folders[name] for name in TEST_NAMES if name in folders), None)
    parts = [_read_classes(folder, folder.name) for folder in (folders["train"], test) if folder is not None]
    if parts[-1].class_names != parts[0].class_names:
        odd = sorted(set(parts[0].class_names) ^ set(parts[-1].class_names))[0]
        raise ArchgradError(f"{path}: class folder {odd!r} is in only one of train and {parts[-1].name}")
    return parts


def _read_classes(path: Path, name: str) -> Part:
    classes = _folders(path)
    paths, labels = [], []
    for label, folder in enumerate(classes):
        images = sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMG_EXTENSIONS and file.is_file())
        if not images:
            raise ArchgradError(f"{folder}: no images (looked for {', '.join(IMG_EXTENSIONS)})")
        paths += images
        labels += [label] * len(images)
    if len(classes) < 2:
        raise ArchgradError(f"{path}: an image folder needs one sub-folder of images per class, found {len(classes)}")
    return Part(name, ImageFiles(paths), torch.tensor(labels), tuple(folder.name for folder in classes))


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


@dataclass(frozen=True, eq=False)
class ImageColumn:
    """A Parquet column of encoded images."""

    values: pa.ChunkedArray
    files: Sequence[Path]
    starts: Sequence[int]

    def __len__(self) -> int:
        return len(self.values)

    def read(self, index: int) -> bytes:
        """The bytes of one row."""
        return self.values[index].as_py() or b""

    def where(self, index: int) -> str:
        """File and row of an image."""
        file = int(np.searchsorted(self.starts, index, side="right")) - 1
        return f"{self.files[file]} row {index - self.starts[file]}"


def has_parquet(path: Path) -> bool:
    """Whether a directory holds Parquet files, itself or in sub-folders."""
    return any(path.rglob("*.parquet"))


def read_parquet(path: Path, label_column: str | None) -> list[Part]:
    """The training and, where there is one, the test part of a directory of `train-*.parquet` and `test-*.parquet`."""
    files = sorted(path.rglob("*.parquet"))
    groups = {name: [f for f in files if f.stem.split("-")[0] == name] for name in ("train", *TEST_NAMES)}
    if not groups["train"]:
        raise ArchgradError(f"{path}: no train-*.parquet among its Parquet files ({files[0].name}, …)")
    test = next((name for name in TEST_NAMES if groups[name]), None)
    names = ["train"] if test is None else ["train", test]
    tables = [_read_tables(groups[name], label_column) for name in names]
    classes = _class_names(tables[0], groups["train"][0])
    return [
        Part(name, images, _labels(labels, classes, groups[name]), classes)
        for name, (images, labels, _) in zip(names, tables, strict=True)
    ]


def _read_tables(files: list[Path], label_column: str | None) -> tuple[ImageColumn, pa.ChunkedArray, pa.Schema]:
    tables = []
    for file in files:
        try:
            schema = pq.read_schema(file)
            image, label = _columns(schema, label_column, file)
            table = pq.read_table(file, columns=[image, label])
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise ArchgradError(f"{file}: not a readable Parquet file ({reason})") from None
        values = table[image]
        if pa.types.is_struct(values.type):
            values = pa.chunked_array([chunk.field("bytes") for chunk in values.chunks], pa.binary())
        tables.append((values, table[label], schema))
    starts = np.cumsum([0, *(len(values) for values, _, _ in tables)])[:-1].tolist()
    images = pa.chunked_array([chunk for values, _, _ in tables for chunk in values.chunks], pa.binary())
    labels = pa.chunked_array([chunk for _, labels, _ in tables for chunk in labels.chunks], tables[0][1].type)
    if not len(images):
        raise ArchgradError(f"{files[0]}: holds no rows")
    return ImageColumn(images, files, starts), labels, tables[0][2]


def _columns(schema: pa.Schema, label_column: str | None, file: Path) -> tuple[str, str]:
    """Names of the image column, known by its type, and of the label column."""

    def is_image(kind: pa.DataType) -> bool:
        encoded = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
        return bool(pa.types.is_binary(encoded))

    images = [column.name for column in schema if is_image(column.type)]
    if not images:
        raise ArchgradError(f"{file}: no image column (struct with field 'bytes', or binary) among {schema.names}")
    plain = [c.name for c in schema if pa.types.is_integer(c.type) or pa.types.is_string(c.type)]
    wanted = [label_column] if label_column else ["label", "labels", "fine_label"]
    label = next((name for name in wanted if name in plain), plain[0] if len(plain) == 1 and not label_column else None)
    if label is None:
        raise ArchgradError(f"{file}: no label column {' or '.join(map(repr, wanted))}; it has {schema.names}")
    return images[0], label


def _class_names(table: tuple[ImageColumn, pa.ChunkedArray, pa.Schema], file: Path) -> tuple[str, ...]:
    """Names of the classes: those that the Hugging Face metadata declares, or else the values themselves."""
    _, labels, schema = table
    declared: Any = None
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        declared = next(f["names"] for f in features.values() if f.get("_type") == "ClassLabel" and "names" in f)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        declared = None  # the metadata is optional, and the labels speak for themselves
    if pa.types.is_string(labels.type):
        return tuple(sorted(str(value) for value in labels.unique().to_pylist()))
    if declared:
        return tuple(map(str, declared))
    highest = max((value for value in labels.unique().to_pylist() if value is not None), default=-1)
    if highest < 1:
        raise ArchgradError(f"{file}: labels must be integers from 0 of at least two classes, the highest is {highest}")
    return tuple(map(str, range(highest + 1)))


def _labels(labels: pa.ChunkedArray, classes: tuple[str, ...], files: list[Path]) -> Tensor:
    place = files[0] if len(files) == 1 else f"{files[0]} and its sister files"
    values = labels.to_pylist()
    if pa.types.is_string(labels.type):
        index = {name: number for number, name in enumerate(classes)}
        values = [index.get(value, -1) for value in values]
    for row, value in enumerate(values):
        if value is None or not 0 <= value < len(classes):
            raise ArchgradError(
                f"{place} row {row}: label {labels[row].as_py()!r} is not one of the {len(classes)} classes"
            )
    return torch.tensor(values)
