"""Parquet files of encoded images and labels, as Hugging Face, pandas and Polars write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from archgrad.data.found import Found, Part
from archgrad.data.labels import is_unlabelled
from archgrad.data.splits import TEST, TRAIN, VALIDATION, choose, is_hidden, listing, role
from archgrad.errors import ArchgradError
from archgrad.foreign import columns

LABELS = ("label", "labels", "fine_label", "target", "targets", "class", "classes", "category", "y")
"""What a column of labels is usually called, the likeliest first."""

IMAGES = ("image", "img", "images", "picture", "jpg", "png")
"""What a column of images is usually called, where there are several."""

_SHARD = re.compile(r"[-_.]?\d+([-_]of[-_]\d+)?([-_][0-9a-f]{8,})?$")
_NO_LABEL = re.compile(
    r"(.*_)?(id|ids|idx|index|uid|uuid|key|number|no|width|height|size|length|year|date|time|timestamp|split|fold|row)"
    r"|__.*__"
)
"""Columns that number or measure, which are never taken for labels unasked."""


@dataclass(frozen=True, eq=False)
class ImageColumn:
    """A Parquet column of encoded images: what each file holds of it, and the number of its first row.

    An image that a file holds once for many rows stays there once, so that a small file cannot fill the memory.
    """

    values: Sequence[pa.ChunkedArray]
    paths: Sequence[Path]
    starts: Sequence[int]

    def __len__(self) -> int:
        return sum(map(len, self.values))

    def read(self, index: int) -> bytes:
        """The bytes of one row."""
        content = self._row(index)
        if not content:
            raise OSError(0, "the row holds no image")
        return content

    def where(self, index: int) -> str:
        """File and row of an image."""
        file = self._file(index)
        return f"{self.paths[file]} row {index - self.starts[file]}"

    def size(self, index: int) -> int:
        """The bytes of one row."""
        return len(self._row(index))

    def files(self) -> Sequence[Path]:
        """The Parquet files."""
        return self.paths

    def _file(self, index: int) -> int:
        return int(np.searchsorted(self.starts, index, side="right")) - 1

    def _row(self, index: int) -> bytes:
        file = self._file(index)
        return bytes(self.values[file][index - self.starts[file]].as_py() or b"")


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files of a directory and its sub-directories, or the file itself; hidden ones do not count."""
    if path.is_file():
        return [path]
    found = [f for f in path.rglob("*.parquet") if not any(map(is_hidden, f.relative_to(path).parts))]
    return sorted(file for file in found if file.is_file())


def has_images(file: Path) -> bool:
    """Whether a Parquet file has a column of encoded images; a file that cannot be read may have."""
    try:
        return any(_is_image(column.type) for column in pq.read_schema(file))
    except (pa.ArrowException, OSError):
        return True


def read_parquet(path: Path, label_column: str | None) -> Found:
    """The training and, where there is one, the test part of Parquet files.

    A part is named by the file (`train-00000-of-00002.parquet`) or by a directory (`CONFIG/train/0000.parquet`), in any
    spelling; files that name none are one part together. A part without any label is passed over.

    Raises ArchgradError for damaged files, several sets in one directory, and columns that leave open which is meant.
    """
    files = parquet_files(path)
    named, notes = _parts(path, files)
    parts: list[Part] = []
    names: tuple[str, ...] | None = None
    for name in _ordered(named, path):
        images, labels, schema, column = _read(named[name], label_column)
        if is_unlabelled(labels, f"{named[name][0]}: {column}"):
            if not parts:
                raise ArchgradError(f"{named[name][0]}: no row of its training part has a label in {column!r}")
            notes.append(f"{name} has no labels and is not read")
            continue
        if len(parts) == 2:
            notes.append(f"not read: {name}")
            continue
        names = _declared(schema).get(column) if not parts else names
        parts.append(Part(name, images, labels))
    return Found(parts, names, notes)


def _parts(path: Path, files: Sequence[Path]) -> tuple[dict[str, list[Path]], list[str]]:
    """The files of every part by its name, of the one set that the directory holds; and what is not read."""
    sets: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    others = []
    for file in files:
        *folders, stem = [*file.relative_to(path).parts[:-1], _SHARD.sub("", file.stem)] if path.is_dir() else [""]
        places = [number for number, name in enumerate([*folders, stem]) if role(name)]
        if places:
            place = places[-1]
            sets.setdefault(tuple(folders[:place]), {}).setdefault([*folders, stem][place], []).append(file)
        else:
            others.append(file)
    training = {"/".join(key): key for key, parts in sets.items() if any(role(name) == TRAIN for name in parts)}
    if not sets:
        return {path.stem: list(files)}, []
    if not training:
        raise ArchgradError(f"{path}: no train-*.parquet among its Parquet files ({files[0].name}, …)")
    if len(training) > 1:
        first = sorted(training)[0]
        raise ArchgradError(f"{path} holds several sets ({listing(sorted(training))}): give one, as {path / first}")
    chosen = sets[next(iter(training.values()))]
    unread = [
        name for key, parts in sets.items() if parts is not chosen for name in ("/".join([*key, n]) for n in parts)
    ]
    unread += [str(file.relative_to(path)) for file in others]
    return chosen, [f"not read: {listing(unread)}"] if unread else []


def _ordered(named: Mapping[str, list[Path]], path: Path) -> list[str]:
    """The names of the parts: training, test, validation."""
    if not any(map(role, named)):
        return list(named)
    found = [choose(named, part, path) for part in (TRAIN, TEST, VALIDATION)]
    return [name for name in found if name is not None]


def _read(files: Sequence[Path], label_column: str | None) -> tuple[ImageColumn, list[Any], pa.Schema, str]:
    """Images, labels, the schema and the name of the column of labels."""
    images: list[pa.ChunkedArray] = []
    labels: list[Any] = []
    starts = [0]
    first: tuple[pa.Schema, str] | None = None
    for file in files:
        try:
            schema = pq.read_schema(file)
            if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
                raise ArchgradError(f"{file}: two of its columns are called {twice[0]!r}")
            image, label = _columns(schema, label_column, file)
            leaf = f"{image}.bytes" if pa.types.is_struct(schema.field(image).type) else image
            table = columns.read_parquet(file, columns=[image, label], read_dictionary=[leaf])
            images.append(_bytes_of(table[image]))
            labels += _plain(table[label]).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise columns.unreadable(file, error) from None
        starts.append(len(labels))
        first = first or (schema, label)
        if label_column is None and label != first[1]:
            raise ArchgradError(f"{file}: its labels are in {label!r}, those of {files[0].name} in {first[1]!r}")
    if not labels or first is None:
        raise ArchgradError(f"{files[0]}: holds no rows")
    if label_column is None and first[1] not in LABELS and len(labels) > 2 and len(set(labels)) == len(labels):
        raise ArchgradError(
            f"{files[0]}: the column {first[1]!r} is different in every row and holds no classes: "
            f"name one by --label_column; there are {listing(first[0].names)}"
        )
    return ImageColumn(images, files, starts[:-1]), labels, *first


def _bytes_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without the dictionary that repeated values may have been put into."""
    if not pa.types.is_dictionary(column.type):
        return column
    return column.cast(column.type.value_type)


def _columns(schema: pa.Schema, label_column: str | None, file: Path) -> tuple[str, str]:
    """Names of the image column, known by its type, and of the label column."""
    images = [column.name for column in schema if _is_image(column.type)]
    if not images:
        raise ArchgradError(f"{file}: no image column (struct with field 'bytes', or binary) among {schema.names}")
    image = images[0] if len(images) == 1 else next((name for name in IMAGES if name in images), None)
    if image is None:
        raise ArchgradError(f"{file}: {listing(images)} could each be the images: call one of them image")
    if label_column is not None:
        if label_column not in schema.names:
            raise ArchgradError(f"{file}: no label column {label_column!r}; it has {schema.names}")
        return image, label_column
    plain = [column.name for column in schema if _is_label(column.type)]
    declared = [name for name in _declared(schema) if name in plain]
    usual = [name for name in LABELS if name in schema.names]  # of any type: what is wrong with it is said later
    others = [name for name in plain if not _NO_LABEL.fullmatch(name.lower())]
    for candidates in (usual[:1], declared, others):
        if len(candidates) == 1:
            return image, candidates[0]
        if candidates:
            raise ArchgradError(f"{file}: {listing(candidates)} could each be the labels: name one by --label_column")
    wanted = " or ".join(map(repr, LABELS[:3]))
    raise ArchgradError(f"{file}: no label column {wanted}: name one by --label_column; it has {schema.names}")


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0 and _is_image(kind.field("bytes").type))
    if pa.types.is_dictionary(kind):
        return _is_image(kind.value_type)
    is_binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in is_binary)


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_label(kind.value_type)
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in (*is_text, pa.types.is_integer, pa.types.is_boolean))


def _declared(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Column → names of its classes, where the metadata of Hugging Face declare them; they are optional."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        columns = [(str(name), f["names"]) for name, f in features.items() if f.get("_type") == "ClassLabel"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    found = {}
    for name, names in columns:
        if isinstance(names, dict) and all(str(number) in names for number in range(len(names))):
            names = [names[str(number)] for number in range(len(names))]
        if isinstance(names, list) and names and all(isinstance(one, str | int) for one in names):
            found[name] = tuple(map(str, names))
    return found
