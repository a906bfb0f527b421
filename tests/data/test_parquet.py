"""Parquet files as programs really write them: types, layouts, columns and metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from archgrad import data
from archgrad.data.parquet import read_parquet
from archgrad.errors import ArchgradError
from archgrad.foreign import columns

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


IMAGES = [encoded(pixels) for pixels in PIXELS]
LABELS = [0, 1, 2] * 4


def write(path: Path, images: Any = None, metadata: dict | None = None, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": pa.array(IMAGES) if images is None else images, **columns})
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path)
    return path


def features(**columns: Any) -> dict:
    made = {name: {"_type": "ClassLabel", "names": names} for name, names in columns.items()}
    return {"info": {"features": {"image": {"_type": "Image"}, **made}}}


def numbers(dataset: data.Dataset) -> list[int]:
    """The class of every image, in the order of `PIXELS`."""
    found = {}
    for part in (dataset.train, dataset.test):
        for image, target in zip(part.inputs, part.targets.tolist(), strict=True):
            found[image.numpy().tobytes()] = target
    return [found[np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()] for pixels in PIXELS]


IMAGE_TYPES = {
    "binary": pa.array(IMAGES),
    "large_binary": pa.array(IMAGES, pa.large_binary()),
    "binary_view": pa.array(IMAGES, pa.binary_view()),
    "dictionary": pa.array(IMAGES).dictionary_encode(),
    "struct": pa.array([{"bytes": image, "path": None} for image in IMAGES]),
    "struct of large_binary": pa.array(
        [{"bytes": image} for image in IMAGES], pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])
    ),
    "struct of views": pa.array([{"bytes": image} for image in IMAGES], pa.struct([("bytes", pa.binary_view())])),
}
NAMES = [("cat", "dog", "owl")[label] for label in LABELS]
LABEL_TYPES = {
    "int64": (pa.array(LABELS), ("0", "1", "2")),
    "int8": (pa.array(LABELS, pa.int8()), ("0", "1", "2")),
    "uint64": (pa.array(LABELS, pa.uint64()), ("0", "1", "2")),
    "one based": (pa.array([label + 1 for label in LABELS]), ("1", "2", "3")),
    "sparse": (pa.array([0, 7, 10**6] * 4), ("0", "7", "1000000")),
    "string": (pa.array(NAMES), ("cat", "dog", "owl")),
    "large_string": (pa.array(NAMES, pa.large_string()), ("cat", "dog", "owl")),
    "string_view": (pa.array(NAMES, pa.string_view()), ("cat", "dog", "owl")),
    "dictionary": (pa.array(NAMES).dictionary_encode(), ("cat", "dog", "owl")),
    "categories": (pa.array(pd.Series(NAMES, dtype="category")), ("cat", "dog", "owl")),
    "ordered numbers": (pa.array(pd.Series(LABELS, dtype="category")), ("0", "1", "2")),
}


@pytest.mark.parametrize("kind", IMAGE_TYPES)
def test_images_of_every_type(tmp_path: Path, kind: str):
    write(tmp_path / "train-0.parquet", IMAGE_TYPES[kind], label=LABELS)
    assert numbers(data.load(tmp_path, quiet=True)) == LABELS


@pytest.mark.parametrize("kind", LABEL_TYPES)
def test_labels_of_every_type(tmp_path: Path, kind: str):
    labels, names = LABEL_TYPES[kind]
    dataset = data.load(write(tmp_path / "train-0.parquet", label=labels), quiet=True)
    assert dataset.task.class_names == names
    assert numbers(dataset) == LABELS


def test_truth_values_are_two_classes(tmp_path: Path):
    write(tmp_path / "all.parquet", is_cat=[label == 0 for label in LABELS])
    dataset = data.load(tmp_path, quiet=True)
    assert dataset.task.class_names == ("False", "True")
    assert numbers(dataset) == [int(label == 0) for label in LABELS]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("data/train-00000-of-00001-0123456789abcdef.parquet", "data/test-00000-of-00001-fedcba9876543210.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("plain_text/partial-train/0000.parquet", "plain_text/partial-test/0000.parquet"),
        ("Training/part-0.parquet", "Testing/part-0.parquet"),
        ("train.parquet", "validation.parquet"),
        ("cifar10_train.parquet", "cifar10_test.parquet"),
    ],
)
def test_layouts(tmp_path: Path, train: str, test: str):
    write(tmp_path / train, pa.array(IMAGES[:8]), label=LABELS[:8])
    write(tmp_path / test, pa.array(IMAGES[8:]), label=LABELS[8:])
    hidden = tmp_path / ".cache" / "train-0.parquet"
    hidden.parent.mkdir()
    hidden.write_bytes(b"no Parquet")
    dataset = data.load(tmp_path, quiet=True)
    assert (len(dataset.train), len(dataset.test)) == (8, 4)
    assert numbers(dataset) == LABELS


def test_several_sets_in_one_directory_are_named(tmp_path: Path):
    for config in ("large", "small"):
        write(tmp_path / config / "train" / "0000.parquet", label=LABELS)
    with pytest.raises(ArchgradError, match=r"holds several sets \(large, small\): give one, as .*large"):
        data.load(tmp_path)
    assert len(data.load(tmp_path / "small", quiet=True).train) == 10


def test_the_names_are_those_of_the_column_that_is_asked_for(tmp_path: Path):
    coarse = [label % 2 for label in LABELS]
    meta = features(coarse_label=["animal", "thing"], fine_label=["cat", "dog", "owl"])
    write(tmp_path / "train-0.parquet", metadata=meta, coarse_label=coarse, fine_label=LABELS)
    fine = data.load(tmp_path, quiet=True)
    assert (fine.task.class_names, numbers(fine)) == (("cat", "dog", "owl"), LABELS)
    dataset = data.load(tmp_path, label_column="coarse_label", quiet=True)
    assert (dataset.task.class_names, numbers(dataset)) == (("animal", "thing"), coarse)
    write(tmp_path / "train-0.parquet", metadata=features(a=["x", "y"], b=["u", "v", "w"]), a=coarse, b=LABELS)
    with pytest.raises(ArchgradError, match="a, b could each be the labels: name one by --label_column"):
        data.load(tmp_path)


@pytest.mark.parametrize("names", [5, None, [], {"a": 1}, "abc", [[1]]])
def test_metadata_that_declare_nothing_are_passed_over(tmp_path: Path, names: Any):
    write(tmp_path / "train-0.parquet", metadata=features(label=names), label=LABELS)
    assert data.load(tmp_path, quiet=True).task.class_names == ("0", "1", "2")


def test_names_may_stand_by_number(tmp_path: Path):
    meta = features(label={"0": "cat", "1": "dog", "2": "owl"})
    write(tmp_path / "train-0.parquet", metadata=meta, label=LABELS)
    assert data.load(tmp_path, quiet=True).task.class_names == ("cat", "dog", "owl")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": list(range(12))}, "no label column .* name one by --label_column; it has"),
        ({"image_id": LABELS}, "no label column"),
        ({"serial": list(range(12))}, "the column 'serial' is different in every row and holds no classes"),
        ({"caption": [f"picture {n}" for n in range(12)]}, "the column 'caption' is different in every row"),
        ({"label": [float(label) for label in LABELS]}, "labels must be integers or names, got float"),
        ({"label": [[label, 1] for label in LABELS]}, "must be one label per input, .* for several labels"),
        ({"label": [-1] * 12}, "no row of its training part has a label in 'label'"),
        ({"label": [None] * 12}, "no row of its training part has a label"),
        ({"label": [*LABELS[:11], -1]}, r"row 11: label -1 stands for no class"),
        ({"label": [1] * 12}, "must tell at least two classes apart, all are 1"),
    ],
)
def test_columns_that_are_no_labels(tmp_path: Path, columns: dict[str, list], message: str):
    write(tmp_path / "train-0.parquet", **columns)
    with pytest.raises(ArchgradError, match=message):
        data.load(tmp_path)


@pytest.mark.parametrize("missing", [-1, None])
def test_parts_without_labels_are_passed_over(tmp_path: Path, missing: int | None):
    write(tmp_path / "train-0.parquet", pa.array(IMAGES[:8]), label=LABELS[:8])
    write(tmp_path / "test-0.parquet", pa.array(IMAGES), label=pa.array([missing] * 12, pa.int64()))
    dataset = data.load(tmp_path, quiet=True)
    assert (len(dataset.train), len(dataset.test)) == (6, 2)
    assert "test has no labels and is not read" in dataset.about
    write(tmp_path / "validation-0.parquet", pa.array(IMAGES[8:]), label=LABELS[8:])
    assert (len(data.load(tmp_path, quiet=True).train), len(data.load(tmp_path, quiet=True).test)) == (8, 4)


def test_a_label_that_training_lacks_is_named(tmp_path: Path):
    write(tmp_path / "train-0.parquet", pa.array(IMAGES[:8]), label=["a", "b"] * 4)
    write(tmp_path / "test-0.parquet", pa.array(IMAGES[8:]), label=["a", "b", "c", "a"])
    with pytest.raises(ArchgradError, match=r"test-0\.parquet row 2: label 'c' is not one of the 2 classes \(a, b\)"):
        data.load(tmp_path)


def test_empty_and_imageless_files(tmp_path: Path):
    write(tmp_path / "train-0.parquet", pa.array([], pa.binary()), label=pa.array([], pa.int64()))
    with pytest.raises(ArchgradError, match="holds no rows"):
        data.load(tmp_path)
    rows = pa.array([{"bytes": None, "path": "elsewhere.png"}, *({"bytes": i, "path": ""} for i in IMAGES[1:])])
    write(tmp_path / "train-0.parquet", rows, label=LABELS)
    with pytest.raises(ArchgradError, match="row 0: cannot be read"):
        data.load(tmp_path)
    assert len(data.load(tmp_path, unreadable="skip", quiet=True).train) in (9, 10)


def test_a_table_beside_folders_of_images_is_no_set(tmp_path: Path):
    for number, image in enumerate(IMAGES):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.png").write_bytes(image)
    pq.write_table(pa.table({"file": ["a/0.png"], "label": [0]}), tmp_path / "metadata.parquet")
    assert data.load(tmp_path, quiet=True).task.class_names == ("a", "b")


def test_real_images_under_another_layout(tmp_path: Path, real_data: Callable[[str], Path]):
    """CIFAR-10 as Hugging Face converts it, and as Polars and pandas write it, is CIFAR-10."""
    table = pq.read_table(next(real_data("images/cifar10").glob("test-*.parquet"))).slice(0, 300)
    write(tmp_path / "as_it_is" / "train-0.parquet", table["img"], label=table["label"])
    expected = data.load(tmp_path / "as_it_is", quiet=True)
    column = table["img"].combine_chunks().field("bytes").cast(pa.large_binary())
    names = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    labels = pa.array([f"{number} {names[number]}" for number in table["label"].to_pylist()]).dictionary_encode()
    write(tmp_path / "plain_text" / "train" / "0000.parquet", column, label=labels)
    dataset = data.load(tmp_path / "plain_text", quiet=True)
    for name in ("train", "test"):
        assert torch.equal(dataset.subset(name).inputs, expected.subset(name).inputs)
        assert torch.equal(dataset.subset(name).targets, expected.subset(name).targets)


@pytest.mark.parametrize("nested", [False, True])
def test_an_image_of_many_rows_is_in_memory_once(tmp_path: Path, nested: bool) -> None:
    padded = IMAGES[0] + bytes(1_000_000)  # decoders stop where the image ends
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array([padded]))
    images = pa.StructArray.from_arrays([shared], ["bytes"]) if nested else shared
    file = write(tmp_path / "train-0.parquet", images=images, label=[0, 1] * 1_000)
    assert file.stat().st_size < 4_000_000
    before = pa.total_allocated_bytes()
    found = read_parquet(tmp_path, None)
    assert pa.total_allocated_bytes() - before < 10_000_000  # 2 GB if every row held its own
    assert len(found.parts[0].source) == 2_000
    assert found.parts[0].source.read(1_999) == padded


def test_a_file_of_more_values_than_any_set_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "CELLS", 20)
    with pytest.raises(ArchgradError, match=r"train-0\.parquet: 12 rows of 2 columns are more than 20 values"):
        data.load(write(tmp_path / "train-0.parquet", label=LABELS).parent)


@pytest.mark.parametrize("names", [["image", "image"], ["label", "label"], ["image", "label", "label"]])
def test_two_columns_of_a_name_are_refused(tmp_path: Path, names: list[str]) -> None:
    values = [pa.array(IMAGES), pa.array(LABELS), pa.array(LABELS)][: len(names)]
    pq.write_table(pa.table(values, names=names), tmp_path / "train-0.parquet")
    with pytest.raises(ArchgradError, match=f"train-0\\.parquet: two of its columns are called '{names[-1]}'"):
        data.load(tmp_path)
