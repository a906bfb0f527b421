"""Datasets by name and path: what is read is what lies there, and what is damaged is named in one line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from archgrad import data
from archgrad.data import Augmentation, Batches
from archgrad.errors import ArchgradError


def encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def pictures(count: int, size: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_parquet(
    path: Path, images: list[bytes], labels: list, column: str = "img", names: list | None = None
) -> None:
    table = pa.table({column: [{"bytes": image, "path": None} for image in images], "label": labels})
    if names:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path)


def write_folder(path: Path, images: np.ndarray, classes: list[str]) -> None:
    for number, pixels in enumerate(images):
        folder = path / classes[number % len(classes)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.png").write_bytes(encode(pixels))


def test_digits_are_scikit_learns_split_the_same_every_time():
    digits, again = data.load("digits"), data.load()
    assert (len(digits.train), len(digits.test), digits.shape, digits.classes) == (1438, 359, (1, 8, 8), 10)
    assert torch.equal(digits.test.inputs, again.test.inputs)
    assert digits.train.inputs.unique().numel() == 17
    assert not digits.augmentation.flip
    share = torch.bincount(digits.test.targets) / torch.bincount(torch.cat([digits.train.targets, digits.test.targets]))
    assert ((share - 0.2).abs() < 0.01).all()
    images = torch.cat([digits.train.inputs, digits.test.inputs]).flatten(1).double() * 16 / 255
    from sklearn.datasets import load_digits

    assert sorted(images.round().tolist()) == sorted(load_digits().data.tolist())


@pytest.mark.parametrize(("name", "shape", "sizes"), [("cifar10", (3, 32, 32), (10000, 2000)),
                                                      ("fashion_mnist", (1, 28, 28), (6000, 2000))])  # fmt: skip
def test_hugging_face_parquet_of_real_images(name: str, shape: tuple, sizes: tuple, real_data: Callable[[str], Path]):
    dataset = data.load(real_data(f"images/{name}"))
    assert (dataset.shape, len(dataset.train), len(dataset.test)) == (shape, *sizes)
    assert dataset.classes == 10
    assert "dog" in dataset.task.class_names or "Sneaker" in dataset.task.class_names
    published = {"cifar10": ((0.4914, 0.4822, 0.4465), 0.247), "fashion_mnist": ((0.286,), 0.353)}[name]
    assert dataset.mean == pytest.approx(published[0], abs=5e-3)
    assert dataset.std[0] == pytest.approx(published[1], abs=5e-3)


def test_parquet_pixels_labels_and_names_come_back(tmp_path: Path):
    images = pictures(7)
    encoded = [encode(image) for image in images]
    write_parquet(tmp_path / "train-00000-of-00002.parquet", encoded[:2], [0, 2], names=["a", "b", "c"])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", encoded[2:5], [1, 1, 0], names=["a", "b", "c"])
    write_parquet(tmp_path / "test-00000-of-00001.parquet", encoded[5:], [0, 1], names=["a", "b", "c"])
    dataset = data.load(tmp_path)
    assert torch.equal(dataset.train.inputs, torch.from_numpy(images[:5]).permute(0, 3, 1, 2))
    assert dataset.train.targets.tolist() == [0, 2, 1, 1, 0]
    assert dataset.task.class_names == ("a", "b", "c")


def test_parquet_with_text_labels_and_no_test_part(tmp_path: Path):
    write_parquet(
        tmp_path / "train-0.parquet", [encode(p) for p in pictures(20)], ["dog", "cat"] * 10, column="picture"
    )
    dataset = data.load(tmp_path)
    assert dataset.task.class_names == ("cat", "dog")
    assert (len(dataset.train), len(dataset.test)) == (16, 4)


@pytest.mark.parametrize(
    ("images", "labels", "names", "message"),
    [
        ([b"no picture"], [0], ["a", "b"], r"train-0\.parquet row 0: not a readable image"),
        (
            [encode(pictures(1)[0])] * 2,
            [0, 5],
            ["a", "b"],
            r"train-0\.parquet row 1: label 5 is not one of the 2 classes",
        ),
        ([encode(pictures(1)[0])] * 2, [0, -1], ["a", "b"], r"row 1: label -1"),
        ([encode(pictures(1)[0])] * 2, [0, None], ["a", "b"], r"row 1: label None"),
        (
            [*map(encode, pictures(9)), encode(pictures(1, 5)[0])],
            [0, 1] * 5,
            None,
            r"row 9: 5×5 pixels where .* give image_size",
        ),
    ],
)
def test_bad_parquet_content_is_named(tmp_path: Path, images: list, labels: list, names: list | None, message: str):
    write_parquet(tmp_path / "train-0.parquet", images, labels, names=names)
    with pytest.raises(ArchgradError, match=message):
        data.load(tmp_path)


def test_bad_parquet_files_are_named(tmp_path: Path):
    file = tmp_path / "train-0.parquet"
    file.write_bytes(b"PAR1 torn")
    with pytest.raises(ArchgradError, match=r"train-0\.parquet: cannot be read as parquet"):
        data.load(tmp_path)
    pq.write_table(pa.table({"label": [1]}), file)
    with pytest.raises(ArchgradError, match="no image column"):
        data.load(tmp_path)
    pq.write_table(pa.table({"image": [b"x"], "coarse": [1], "fine": [1]}), file)
    with pytest.raises(ArchgradError, match="coarse, fine could each be the labels: name one by --label_column"):
        data.load(tmp_path)
    file.rename(tmp_path / "dev-0.parquet")
    with pytest.raises(ArchgradError, match=r"no train-\*\.parquet"):
        data.load(tmp_path)


def test_image_folder_with_and_without_a_test_part(tmp_path: Path):
    images = pictures(20)
    write_folder(tmp_path / "train", images, ["b", "a"])
    write_folder(tmp_path / "test", pictures(4, seed=1), ["b", "a"])
    dataset = data.load(tmp_path)
    assert dataset.task.class_names == ("a", "b")
    assert (len(dataset.train), len(dataset.test)) == (20, 4)
    assert torch.equal(dataset.train.inputs[0], torch.from_numpy(images[1]).permute(2, 0, 1))
    single = data.load(f"folder:{tmp_path / 'train'}")
    assert (len(single.train), len(single.test)) == (16, 4)


def test_bad_folders_are_named(tmp_path: Path):
    with pytest.raises(ArchgradError, match="one sub-folder of images per class, found 0"):
        data.load(tmp_path)
    write_folder(tmp_path / "train", pictures(4), ["a", "b"])
    write_folder(tmp_path / "test", pictures(4), ["a", "c"])
    with pytest.raises(ArchgradError, match="class folder 'c' is in test and has no images in train"):
        data.load(tmp_path)
    (tmp_path / "train" / "a" / "000.png").write_bytes(encode(pictures(1)[0])[:40])
    with pytest.raises(ArchgradError, match=r"a.000\.png: not a readable image"):
        data.load(tmp_path / "train")
    with pytest.raises(ArchgradError, match="no such directory"):
        data.load(tmp_path / "missing")
    with pytest.raises(ArchgradError, match="unknown dataset 'cifar': did you mean 'cifar10'"):
        data.load("cifar")


def test_streamed_images_equal_those_in_memory(tmp_path: Path):
    write_folder(tmp_path, pictures(30, size=12), ["a", "b"])
    options = {"seed": 3, "augment": Augmentation(1, True, 4), "shuffle": True}
    memory, streamed = data.load(tmp_path, image_size=8), data.load(tmp_path, image_size=8, memory=0)
    assert memory.mean == pytest.approx(streamed.mean)
    state = torch.get_rng_state()
    for part in ("train", "test"):
        first = Batches(memory.subset(part), 4, **options).epoch(1, start=1)
        for workers in (0, 2):
            loader = Batches(streamed.subset(part), 4, workers=workers, **options)
            pairs = list(zip(Batches(memory.subset(part), 4, **options).epoch(1, 1), loader.epoch(1, 1), strict=True))
            assert pairs
            assert all(torch.equal(x, x2) and torch.equal(y, y2) for (x, y), (x2, y2) in pairs)
        assert next(first)[0].shape[1:] == (3, 8, 8)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_damaged_streamed_image_is_one_line(tmp_path: Path):
    write_folder(tmp_path, pictures(30), ["a", "b"])
    dataset = data.load(tmp_path, memory=0)
    (dataset.train.inputs.source.paths[int(dataset.train.inputs.numbers[0])]).write_bytes(b"damaged")
    for workers in (0, 1):
        with pytest.raises(ArchgradError, match=r"^\S+\.png: not a readable image[^\n]*$"):
            list(Batches(dataset.train, 4, workers=workers).epoch())


def test_images_shrink_by_averaging_and_channels_convert(tmp_path: Path):
    images = pictures(10, size=8)
    write_folder(tmp_path, images, ["a", "b"])
    dataset = data.load(tmp_path, image_size=4)
    expected = images[0].reshape(4, 2, 4, 2, 3).astype(float).mean((1, 3))
    whole = torch.cat([dataset.train.inputs, dataset.test.inputs]).permute(0, 2, 3, 1).double().numpy()
    assert min(np.abs(image - expected).max() for image in whole) <= 1
    assert data.load(tmp_path, channels=1).shape == (1, 8, 8)
    digits = data.load("digits", image_size=4, channels=3)
    assert digits.shape == (3, 4, 4)
    assert len(digits.mean) == 3
    assert torch.equal(digits.train.inputs[:, 0], digits.train.inputs[:, 2])


def test_torchvision_files_already_there(tmp_path: Path):
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", 20), ("t10k", 5)):
        pixels = pictures(count, size=28)[..., 0]
        head = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        head = b"\x00\x00\x08\x01" + count.to_bytes(4, "big")
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(head + bytes(n % 10 for n in range(count)))
    dataset = data.load("fashion_mnist", root=tmp_path, download=False, channels=3, image_size=32)
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (20, 5, (3, 32, 32))
    assert dataset.mean == (0.2860,) * 3


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "fashion_mnist"])
def test_missing_torchvision_files_are_one_line(name: str, tmp_path: Path):
    with pytest.raises(ArchgradError, match=f"^cannot read {name} [^\n]*put torchvision's files into [^\n]*$"):
        data.load(name, root=tmp_path, download=False)


def test_offline_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from urllib import request

    def offline(*_: object, **__: object) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr(request, "urlopen", offline)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", offline)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", offline)
    with pytest.raises(ArchgradError, match=r"^cannot download cifar10 [^\n]*name resolution[^\n]*$"):
        data.load("cifar10", root=tmp_path)


OWN = """
import torch
from archgrad import data
from archgrad.tasks import Regression

def points():
    return data.from_tensors(torch.rand(10, 3), torch.rand(10), task=Regression(), name="points")

def images():
    return data.from_tensors(torch.zeros(10, 1, 4, 4, dtype=torch.uint8), torch.arange(10) % 2)

def nothing():
    return None
"""


def test_a_dataset_by_the_name_of_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_data.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert data.load("own_data:points").name == "points"
    assert data.load("own_data:images", image_size=2).image_size == (2, 2)
    for name, options, message in (
        ("own_data:lines", {}, "unknown name in own_data 'lines'"),
        ("own_daten:points", {}, "data: own_daten:points cannot be imported .*own_daten"),
        ("own_data:nothing", {}, "data own_data:nothing: must return a Dataset, .* got NoneType"),
        ("own_data:points", {"image_size": 4}, "image_size and channels are for images of uint8"),
    ):
        with pytest.raises(ArchgradError, match=message):
            data.load(name, **options)
