"""Every dataset by name or path."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from archgrad.data.augmentation import Augmentation, Normalisation
from archgrad.data.dataset import SPLIT_SEED, TEST_FRACTION, Dataset, Subset, normalised, split
from archgrad.data.encoded import Encoded
from archgrad.data.images import Part, has_parquet, read_folder, read_parquet
from archgrad.errors import ArchgradError, shown, unknown
from archgrad.tasks import Classification

_FUNCTION = re.compile(r"(?!folder:)[\w.]+:\w+")  # package.module:function
MEMORY = 4 * 2**30  # bytes of decoded images up to which a set is kept in memory


@dataclass(frozen=True)
class _Named:
    """A torchvision set: how it is read, its normalisation, and whether a mirrored image is still of its class."""

    read: Callable[[Path, bool, bool], Any]
    normalisation: Normalisation
    flip: bool
    class_names: tuple[str, ...] | None = None


def _torchvision(kind: str) -> Callable[[Path, bool, bool], Any]:
    def read(root: Path, train: bool, download: bool) -> Any:
        from torchvision import datasets  # costs a second, and the default dataset does not need it

        if kind == "SVHN":
            return datasets.SVHN(root, split="train" if train else "test", download=download)
        return getattr(datasets, kind)(root, train=train, download=download)

    return read


# Means and deviations of the training sets' pixels, as their users publish them.
_NAMED = {
    "cifar10": _Named(
        _torchvision("CIFAR10"), Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), flip=True
    ),
    "cifar100": _Named(
        _torchvision("CIFAR100"), Normalisation((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)), flip=True
    ),
    "svhn": _Named(
        _torchvision("SVHN"),
        Normalisation((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
        flip=False,
        class_names=tuple("0123456789"),
    ),
    "fashion_mnist": _Named(_torchvision("FashionMNIST"), Normalisation((0.2860,), (0.3530,)), flip=True),
}

NAMES = {
    "digits": "1,797 grey 8×8 images of digits, part of scikit-learn; a fixed fifth is the test set",
    "cifar10": "60,000 colour 32×32 images of 10 classes of things",
    "cifar100": "60,000 colour 32×32 images of 100 classes of things",
    "svhn": "99,289 colour 32×32 images of house-number digits",
    "fashion_mnist": "70,000 grey 28×28 images of 10 kinds of clothes",
}


def load(
    data: str | Path | Dataset = "digits",
    *,
    root: Path | str | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    download: bool = True,
    augmentation: Augmentation | None = None,
    label_column: str | None = None,
    memory: int = MEMORY,
) -> Dataset:
    """A dataset by name (`NAMES`), by the path of an image folder or of a directory of Parquet files, or by a function.

    An image folder (`PATH` or `folder:PATH`) has one sub-folder per class, in `train/` and `test/` or directly; without
    a test part a fixed stratified fifth is held out. Parquet files are `train-*.parquet` and `test-*.parquet` with a
    column of encoded images and one of labels, as on Hugging Face. `package.module:function` is a function without
    arguments that returns a `Dataset`; modules are also looked for in the current directory. A `Dataset` comes back as
    it is.

    `root`: where torchvision's files are or are downloaded to (`ARCHGRAD_DATA`, or `~/.cache/archgrad/data`).
    `image_size`: bring all images to this many pixels once, averaging where they shrink. `channels`: 3 repeats a grey
    image, 1 makes a colour image grey. `augmentation`: instead of the set's own, which is a crop padded by an eighth of
    the image, and a flip except for digits and SVHN. `memory`: bytes of decoded images above which a folder or Parquet
    directory is streamed.

    Raises ArchgradError for unknown names, missing or damaged files (named), unusable labels, and downloads that fail.
    """
    if isinstance(data, Dataset):
        given = {"image_size": image_size, "channels": channels, "augmentation": augmentation}
        for option, value in given.items():
            if value is not None:
                raise ArchgradError(f"{data.name}: {option} is for data that are loaded, and this dataset is there")
        return data
    if not isinstance(data, str | Path):
        raise ArchgradError(
            f"data: expected a dataset, the name of one or a path, got {shown(data)}: "
            "archgrad.data.from_tensors makes a dataset of tensors"
        )
    if channels not in (None, 1, 3):
        raise ArchgradError(f"channels must be 1 or 3, got {channels}")
    if image_size is not None and image_size < 1:
        raise ArchgradError(f"image_size must be at least 1, got {image_size}")
    name = str(data)
    if name == "digits":
        dataset = _digits()
    elif name in _NAMED:
        dataset = _read_named(name, Path(root) if root else directory(), download)
    elif _FUNCTION.fullmatch(name) and not Path(name).exists():
        dataset = _called(name)
    else:
        path = Path(name.removeprefix("folder:")).expanduser()
        if not path.is_dir():
            if path.exists() or name.startswith("folder:") or len(path.parts) > 1:
                raise ArchgradError(f"{path}: no such directory of images")
            raise unknown("dataset", name, NAMES)
        dataset = _read_directory(path, name, image_size, channels, label_column, memory)
    if image_size is not None or channels is not None:
        train, test = (_converted(part, image_size, channels, name) for part in (dataset.train, dataset.test))
        dataset = replace(dataset, shape=_shape(train), train=train, test=test)
    return dataset if augmentation is None else replace(dataset, augmentation=augmentation)


def _called(name: str) -> Dataset:
    """The dataset that a user's function returns."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    module, function = name.split(":")
    try:
        made = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ArchgradError(f"data {name}: cannot be imported ({error})") from None
    dataset = made()
    if not isinstance(dataset, Dataset):
        raise ArchgradError(
            f"data {name}: must return a Dataset, as archgrad.data.from_tensors does, got {type(dataset).__name__}"
        )
    return dataset


def directory() -> Path:
    """Where data sets and tables are looked for by name: ``ARCHGRAD_DATA``, or ``~/.cache/archgrad/data``."""
    return Path(os.environ.get("ARCHGRAD_DATA") or Path.home() / ".cache" / "archgrad" / "data")


def _digits() -> Dataset:
    from sklearn.datasets import load_digits  # costs a second

    digits = load_digits()
    images = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]  # grey levels 0 … 16
    whole = Subset(images, torch.from_numpy(digits.target).long())
    test, train = split(whole, TEST_FRACTION, SPLIT_SEED)
    train, test = normalised(train, test)
    return Dataset("digits", Classification(tuple("0123456789")), _shape(train), train, test, Augmentation(pad=1))


def _read_named(name: str, root: Path, download: bool) -> Dataset:
    named = _NAMED[name]
    try:
        parts = [named.read(root, train, download) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        doing = "cannot download" if download else "cannot read"
        raise ArchgradError(
            f"{doing} {name} ({reason}): put torchvision's files into {root}, or give a directory of Parquet files"
        ) from None
    subsets = []
    for part in parts:
        pixels = torch.as_tensor(part.data)
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        elif pixels.shape[-1] == 3:
            pixels = pixels.permute(0, 3, 1, 2).contiguous()
        labels = part.targets if hasattr(part, "targets") else part.labels
        subsets.append(Subset(pixels, torch.as_tensor(labels).long()))
    train, test = normalised(subsets[0], subsets[1], named.normalisation)
    names = named.class_names or tuple(parts[0].classes)
    return Dataset(name, Classification(names), _shape(train), train, test, _standard(train, named.flip))


def _read_directory(
    path: Path, name: str, size: int | None, channels: int | None, label_column: str | None, memory: int
) -> Dataset:
    parts = read_parquet(path, label_column) if has_parquet(path) else read_folder(path)
    task = Classification(parts[0].class_names)
    first = Encoded.of(parts[0].source, channels, size)

    def subset(part: Part) -> Subset:
        encoded = replace(first, source=part.source, numbers=torch.arange(len(part.source)))
        labels = task.targets(part.labels, f"{path}: {part.name}")
        return Subset(encoded if total > memory else encoded.decode(), labels)

    total = sum(len(part.source) for part in parts) * first.channels * first.height * first.width
    subsets = [subset(part) for part in parts]
    if len(subsets) == 1:
        test, train = split(subsets[0], TEST_FRACTION, SPLIT_SEED)
    else:
        train, test = subsets
    train, test = normalised(train, test)
    return Dataset(name, task, _shape(train), train, test, _standard(train, flip=True))


def _standard(train: Subset, flip: bool) -> Augmentation:
    return Augmentation(pad=round(_shape(train)[1] / 8), flip=flip)


def _shape(subset: Subset) -> tuple[int, ...]:
    inputs = subset.inputs
    if isinstance(inputs, Tensor):
        return tuple(inputs.shape[1:])
    return inputs.channels, inputs.height, inputs.width


def _converted(subset: Subset, size: int | None, channels: int | None, name: str) -> Subset:
    """The subset with its images in this size and with these channels; encoded images decode so already."""
    inputs, normalisation = subset.inputs, subset.normalisation
    if isinstance(inputs, Encoded):
        return subset
    if not isinstance(inputs, Tensor) or inputs.ndim != 4 or inputs.dtype != torch.uint8:
        raise ArchgradError(f"{name}: image_size and channels are for images of uint8, which its inputs are not")
    if size is not None and inputs.shape[-2:] != (size, size):
        inputs = _resize(inputs, size)
    if channels is not None and channels != inputs.shape[1]:
        if channels == 3:
            inputs = inputs.expand(-1, 3, -1, -1).contiguous()
        else:
            luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
            inputs = (inputs * luma).sum(1, keepdim=True).round().to(torch.uint8)
        if normalisation is not None:
            mean, std = (_channels(values, channels) for values in (normalisation.mean, normalisation.std))
            normalisation = Normalisation(mean, std)
    return replace(subset, inputs=inputs, normalisation=normalisation)


def _channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * 3 if channels == 3 else (sum(values) / len(values),)


def _resize(images: UInt8[Tensor, "n c h w"], size: int) -> UInt8[Tensor, "n c size size"]:
    mode = "area" if size < images.shape[-1] else "bilinear"
    chunks = [F.interpolate(chunk.float(), (size, size), mode=mode) for chunk in torch.split(images, 4096)]
    return torch.cat([chunk.round().to(torch.uint8) for chunk in chunks])
