"""What tells datasets apart, cheaply for large ones: sizes, labels, files, and contents or a sample of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from archgrad.data.dataset import Dataset, Subset, shape_text
from archgrad.data.encoded import Encoded, spread
from archgrad.data.items import Items
from archgrad.identity import digest
from archgrad.nested import leaves

FILES = 64
"""Encoded images of a part whose contents are read."""

EXAMPLES = 8
"""Examples of a map-style dataset that are fetched, twice."""


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Plain data that differ where the datasets do.

    Tensors count with all their contents up to 256 MB, and with evenly spread rows beyond; images that stream with the
    names, sizes and times of their files and the contents of some; examples of a user's own dataset with a few, unless
    they are other ones each time.
    """
    names = getattr(dataset.task, "class_names", None)
    return {
        "train": _part(dataset.train),
        "test": _part(dataset.test),
        "classes": digest(names) if names else dataset.task.outputs,
        "shape": shape_text(dataset.shape),
        "normalisation": digest([str((dataset.mean, dataset.std))]),
        "augmentation": str(dataset.augmentation),
    }


def _part(subset: Subset) -> dict[str, Any]:
    inputs = subset.inputs
    record: dict[str, Any] = {"inputs": len(subset)}
    if isinstance(inputs, Encoded):
        record |= _files(inputs)
    elif isinstance(inputs, Items):
        record |= _examples(inputs)
    else:
        record["contents"] = digest(leaves(inputs))
    targets = inputs.listed if isinstance(inputs, Items) else subset.targets
    return record | ({} if targets is None else {"targets": digest(leaves(targets))})


def _files(images: Encoded) -> dict[str, Any]:
    source, chosen = images.source, [int(images.numbers[place]) for place in spread(len(images), FILES)]
    files = [(path, path.stat()) for path in source.files()]
    return {
        "numbers": digest([images.numbers]),
        "files": digest(f"{path.name} {status.st_size}" for path, status in files),
        "times": digest(f"{int(status.st_mtime)}" for _, status in files),
        "contents": digest(source.read(number) for number in chosen),
    }


def _examples(items: Items) -> dict[str, Any]:
    def fetched() -> Iterator[Tensor]:
        for place in spread(len(items), EXAMPLES):
            x, y = items.batch(items.fetcher.stack(items.fetcher.__getitems__([(place, 0)])))
            yield from leaves((x, y))

    first, second = digest(fetched()), digest(fetched())
    record = {"numbers": digest([items.numbers])}
    return record | ({"contents": first} if first == second else {})
