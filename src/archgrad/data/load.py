"""Every dataset by name or path."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from archgrad.data.augmentation import Augmentation, Normalisation
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
    weighted,
)
from archgrad.data.directory import DirectoryOptions, read_directory
from archgrad.data.encoded import Encoded
from archgrad.data.signals import signals
from archgrad.distributed import note
from archgrad.errors import ArchgradError, require_whole, unknown
from archgrad.foreign import code
from archgrad.tasks import Classification

_FUNCTION = re.compile(r"(?!folder:)[\w.]+:\w+")  # package.module:function
UNREADABLE = ("refuse", "skip")
READING = ("limit", "unreadable", "label_column", "class_weights")
"""Options of `load` that searches and trainings hand on to it, beside the size of images."""

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
    "signals": "5,000 generated signals of 64 steps and 10 shapes, always the same ones; 2,000 are the test set",
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
    unreadable: str = "refuse",
    limit: int | None = None,
    class_weights: str | Sequence[float] | None = None,
    memory: int = MEMORY,
    quiet: bool = False,
) -> Dataset:
    """A dataset by name (`NAMES`), by the path of an image folder or of Parquet files, or by a function.

    An image folder (`PATH` or `folder:PATH`) has one sub-folder per class, in folders called train and test in any
    spelling, or directly. Parquet files have a column of encoded images and one of labels, and the part in their name
    or directory, as on Hugging Face. Without a test part a fixed stratified fifth is held out. What was understood is
    said on standard error, and is the dataset's `about`. `package.module:function` is a function without arguments that
    returns a `Dataset`; modules are also looked for in the current directory. A `Dataset` comes back as it is, but for
    what is asked for here.

    `root`: where torchvision's files are or are downloaded to (`ARCHGRAD_DATA`, or `~/.cache/archgrad/data`).
    `image_size`: bring all images to this many pixels once, averaging where they shrink. `channels`: 3 repeats a grey
    image, 1 makes a colour image grey; by default a set is grey where all its images are. `augmentation`: instead of
    the set's own, which is a crop padded by an eighth of the image, and a flip except for digits and SVHN.
    `label_column`: of Parquet files. `unreadable`: `"skip"` leaves out images that cannot be read, and says how many.
    `limit`: so many training inputs at most, the same number of every class. `class_weights`: see `weighted`.
    `memory`: bytes of decoded images above which a folder or Parquet files are streamed. `quiet`: say nothing.

    Raises ArchgradError for unknown names, missing or damaged files (named), unusable labels, and downloads that fail.
    """
    if isinstance(data, Dataset):
        given = {"image_size": image_size, "channels": channels, "augmentation": augmentation}
        for option, value in given.items():
            if value is not None:
                raise ArchgradError(f"{data.name}: {option} is for data that are loaded, and this dataset is there")
    if channels not in (None, 1, 3):
        raise ArchgradError(f"channels must be 1 or 3, got {channels}")
    if image_size is not None:
        require_whole("data", 1, image_size=image_size)
    if unreadable not in UNREADABLE:
        raise unknown("way with unreadable images", unreadable, UNREADABLE)
    if isinstance(data, Dataset):
        dataset = data
    else:
        options = DirectoryOptions(image_size, channels, label_column, unreadable == "skip", limit, memory)
        dataset = _named(data, Path(root) if root else directory(), download, options)
        if dataset.about and not quiet:
            note(dataset.about)
    if limit is not None:
        dataset = replace(dataset, train=limited(dataset.train, limit))
    if image_size is not None or channels is not None:
        train, test = (_converted(part, image_size, channels, dataset.name) for part in (dataset.train, dataset.test))
        dataset = replace(dataset, shape=image_shape(train), train=train, test=test)
    if class_weights is not None:
        dataset = weighted(dataset, class_weights)
    return dataset if augmentation is None else replace(dataset, augmentation=augmentation)


def recorded(reading: Mapping[str, Any]) -> dict[str, Any]:
    """How data are read, as a run records it: the size of images, and what of `READING` is not the usual."""
    size = {"image_size": reading["image_size"]} if "image_size" in reading else {}
    return size | {name: reading[name] for name in READING if reading.get(name) not in (None, UNREADABLE[0])}


def _named(data: Any, root: Path, download: bool, options: DirectoryOptions) -> Dataset:
    """The dataset that a name, a path or a function stands for."""
    if not isinstance(data, str | Path):
        hint = "" if data is None else ": archgrad.data.from_tensors makes a Dataset of tensors"
        raise ArchgradError(f"data must be a name, a path or a Dataset, got {type(data).__name__}{hint}")
    name = str(data)
    if name == "digits":
        return _digits()
    if name == "signals":
        return signals()
    if name in _NAMED:
        return _read_named(name, root, download)
    path = Path(name.removeprefix("folder:")).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):  # names longer than any file's, and NUL
        raise ArchgradError(f"data {name[:60]!r}…: no name of a dataset, and none that a path may have") from None
    if _FUNCTION.fullmatch(name) and not exists:
        return _called(name)
    if path.is_dir() or (path.is_file() and path.suffix == ".parquet"):
        return read_directory(path, name, options)
    if exists or name.startswith("folder:") or len(path.parts) > 1:
        raise ArchgradError(f"{path}: no such directory of images")
    raise unknown("dataset", name, NAMES)


def _called(name: str) -> Dataset:
    """The dataset that a user's function returns."""
    named = code.imported(name, "data")
    dataset = named() if callable(named) else named
    if not isinstance(dataset, Dataset):
        raise ArchgradError(
            f"data {name}: must return a Dataset, as archgrad.data.from_tensors does, got {type(dataset).__name__}"
        )
    return dataset


def directory() -> Path:
    """Where data sets and tables are looked for by name: ``ARCHGRAD_DATA``, or ``~/.cache/archgrad/data``."""
    return Path(os.environ.get("ARCHGRAD_DATA") or Path.home() / ".cache" / "archgrad" / "data")


def _digits() -> Dataset:
    grey, labels = _digits_file()
    images = torch.from_numpy(np.rint(grey * (255 / 16)).astype(np.uint8))[:, None]  # grey levels 0 … 16
    whole = Subset(images, torch.from_numpy(labels))
    test, train = split(whole, TEST_FRACTION, SPLIT_SEED)
    train, test = normalised(train, test)
    return Dataset("digits", Classification(tuple("0123456789")), image_shape(train), train, test, Augmentation(pad=1))


def _digits_file() -> tuple[Float[np.ndarray, "n 8 8"], Int64[np.ndarray, " n"]]:
    """Images and labels from scikit-learn's file; to import its `load_digits` takes more than a second."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ArchgradError("data digits: scikit-learn, of which it is part, is not installed")
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


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
    return Dataset(
        name,
        Classification(names),
        image_shape(train),
        train,
        test,
        standard_augmentation(image_shape(train), named.flip),
    )


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
