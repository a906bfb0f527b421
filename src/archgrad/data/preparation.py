"""From what people have (files, arrays, images) to what a network takes, the same way as in training."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from archgrad.data.augmentation import Normalisation
from archgrad.data.dataset import Dataset, shape_text
from archgrad.data.encoded import Encoded, ImageFiles
from archgrad.data.folders import EXTENSIONS
from archgrad.data.items import Items
from archgrad.data.splits import is_hidden
from archgrad.errors import ArchgradError
from archgrad.nested import leaves, mapped
from archgrad.tasks.task import as_tensor

TYPES = ("uint8", "bool", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64")
"""The types that inputs can have."""


PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""Pillow's modes that PNG files have."""


def scaled(x: Tensor) -> Tensor:
    """Pixels as numbers in [0, 1], images stored channels last; other tensors as they are."""
    return laid_out(x.to(torch.get_default_dtype()) / 255 if x.dtype == torch.uint8 else x)


def laid_out(x: Tensor) -> Tensor:
    """Images stored channels last."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@dataclass(frozen=True)
class ImagesInMemory:
    """Images that a program holds, in the encoded form in which all images are read."""

    images: Sequence[Image.Image]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> bytes:
        """The image as a file that loses nothing of it."""
        image, buffer = self.images[index], io.BytesIO()
        image.save(buffer, "PNG" if image.mode in PNG else "TIFF", exif=image.getexif())
        return buffer.getvalue()

    def where(self, index: int) -> str:
        """Its number."""
        return f"image {index}"

    def size(self, index: int) -> int:
        """The bytes of its file."""
        return len(self.read(index))

    def files(self) -> Sequence[Path]:
        """None."""
        return ()


@dataclass(frozen=True)
class Preparation:
    """What inputs a network takes: their shape, the kind of their numbers, and how pixels are normalised.

    `shape`: of one input; for inputs of several tensors it has their structure, and so has `dtype`, the names of their
    types. `uint8` are pixels, which are scaled to [0, 1]; images of them are also brought to the network's size, like
    those of a data set, and normalised.
    """

    shape: Any
    dtype: Any = "float32"
    normalisation: Normalisation | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """That of a dataset's inputs."""
        inputs = dataset.train.inputs
        inputs = inputs.first()[0] if isinstance(inputs, Items) else inputs
        dtype = "uint8" if isinstance(inputs, Encoded) else mapped(_type, inputs)
        return cls(dataset.shape, dtype, dataset.train.normalisation)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        normalisation = self.normalisation
        known = {"mean": list(normalisation.mean), "std": list(normalisation.std)} if normalisation else {}
        return {"shape": _plain(self.shape), "dtype": _plain(self.dtype), **known}

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Self:
        """The preparation that `record` wrote; raises ArchgradError for other records."""
        try:
            known = Normalisation(tuple(record["mean"]), tuple(record["std"])) if "mean" in record else None
            return cls(_structure(record["shape"]), _structure(record["dtype"]), known)
        except (KeyError, TypeError, ValueError) as error:
            raise ArchgradError(f"the record of a network's inputs is damaged: {error!r}") from None

    @property
    def image(self) -> bool:
        """Whether inputs are images of pixels `[channels, height, width]`."""
        return self.dtype == "uint8" and len(self.shape) == 3

    def example(self, batch_size: int = 2) -> Any:
        """A batch of inputs as a user may give them: zeros of the right shapes and types."""
        return _zeros(self.shape, self.dtype, batch_size)

    def __call__(self, x: Any) -> Any:
        """A batch as the network takes it; images in floating point are pixels in [0, 1], normalised as well."""
        x = mapped(scaled, x)
        return self.normalisation(x) if self.normalisation is not None else x

    def batch(self, inputs: Any) -> tuple[Any, bool]:
        """A batch of what a user gives, not yet scaled, and whether it was one input alone.

        For images: a path, a folder of images, a PIL image, an array or tensor with channels first or last, or a list
        of these. For other inputs: a tensor or array of one input or of a batch, the path of an `.npy` file, or a tuple
        or dictionary of tensors. Raises ArchgradError for what does not fit, saying what would.
        """
        if isinstance(inputs, str | Path):
            return self._read(Path(inputs))
        if isinstance(inputs, Image.Image):
            return self._decoded(ImagesInMemory([inputs])), True
        if isinstance(inputs, list):
            if not inputs:
                raise ArchgradError("predict: the list of inputs is empty")
            return _joined([self.batch(part)[0] for part in inputs]), False
        tensors = mapped(_tensor, inputs)
        return self._images(tensors) if self.image else self._numbers(tensors)

    def _read(self, path: Path) -> tuple[Any, bool]:
        if path.suffix == ".npy":
            try:
                return self.batch(np.load(path, allow_pickle=False))
            except (OSError, ValueError) as error:
                raise ArchgradError(f"{path}: not a readable array ({error})") from None
        if not self.image:
            raise ArchgradError(f"{path}: this network takes inputs of shape {shape_text(self.shape)}: give .npy files")
        if not path.exists():
            raise ArchgradError(f"{path}: no such file")
        if not path.is_dir():
            return self._decoded(ImageFiles([path])), True
        if not (files := images_in(path)):
            raise ArchgradError(f"{path}: no images in this folder")
        return self._decoded(ImageFiles(files)), False

    def _decoded(self, source: Any) -> Tensor:
        channels, height, width = self.shape
        return Encoded(source, torch.arange(len(source)), channels, height, width, resize=height == width).decode()

    def _images(self, x: Tensor) -> tuple[Tensor, bool]:
        """Images with channels first, of the network's size; those of another size are brought to it."""
        channels = self.shape[0]
        single = x.ndim == 2 or (x.ndim == 3 and channels in (x.shape[0], x.shape[2]))
        x = x[None] if single else x
        if x.ndim == 3 and channels == 1:
            x = x[:, None]
        if x.ndim == 4 and x.shape[1] != channels and x.shape[3] == channels:
            x = x.permute(0, 3, 1, 2)
        if x.ndim == 3:
            x = x[:, None]
        if x.ndim != 4 or x.shape[1] != channels:
            raise ArchgradError(
                f"predict: images must have {channels} channels, first or last, got shape {list(x.shape)}"
            )
        if x.dtype != torch.uint8:
            if not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):
                raise ArchgradError("predict: pixels must be uint8 from 0 to 255, or floating-point from 0 to 1")
            if tuple(x.shape[1:]) != tuple(self.shape):
                raise ArchgradError(f"predict: floating-point images must have shape {list(self.shape)}")
        elif tuple(x.shape[1:]) != tuple(self.shape):
            pixels = x.permute(0, 2, 3, 1).cpu().numpy()
            pixels = pixels[..., 0] if channels == 1 else pixels
            x = self._decoded(ImagesInMemory([Image.fromarray(image) for image in pixels]))
        return x, single

    def _numbers(self, tensors: Any) -> tuple[Any, bool]:
        found, wanted = leaves(tensors), _leaves(self.shape)
        shapes = [tuple(tensor.shape) for tensor in found]
        if shapes == wanted:
            return mapped(lambda tensor: tensor[None], tensors), True
        if [shape[1:] for shape in shapes] != wanted:
            given = ", ".join(str(list(shape)) for shape in shapes)
            raise ArchgradError(f"predict: inputs must have shape {shape_text(self.shape)}, or [n, …], got {given}")
        return tensors, False


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, in the order of their names; hidden ones do not count."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.suffix.lower() in EXTENSIONS and not is_hidden(file.name)
    )


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _tensor(values: Any) -> Tensor:
    x = as_tensor(values, "predict: the input")
    return x.to(torch.get_default_dtype()) if x.is_floating_point() else x


def _joined(batches: list[Any]) -> Any:
    """One batch of several, which have the same structure."""
    columns = iter([torch.cat(column) for column in zip(*map(leaves, batches), strict=True)])
    return mapped(lambda _: next(columns), batches[0])


def _is_one(shape: Any) -> bool:
    return isinstance(shape, str) or (isinstance(shape, Sequence) and all(isinstance(size, int) for size in shape))


def _leaves(shape: Any) -> list[tuple[int, ...]]:
    """The shapes of single tensors in the order of `leaves`."""
    if _is_one(shape):
        return [tuple(shape)]
    return [one for part in (shape.values() if isinstance(shape, Mapping) else shape) for one in _leaves(part)]


def _zeros(shape: Any, dtype: Any, batch_size: int) -> Any:
    if isinstance(shape, Mapping):
        return {name: _zeros(part, dtype[name], batch_size) for name, part in shape.items()}
    if _is_one(shape):
        return torch.zeros(batch_size, *shape, dtype=getattr(torch, dtype))
    return tuple(_zeros(part, kind, batch_size) for part, kind in zip(shape, dtype, strict=True))


def _plain(structure: Any) -> Any:
    """Shapes or names of types as JSON has them."""
    if isinstance(structure, Mapping):
        return {name: _plain(part) for name, part in structure.items()}
    return [_plain(part) for part in structure] if isinstance(structure, tuple) else structure


def _structure(plain: Any) -> Any:
    """What `_plain` made plain."""
    if isinstance(plain, Mapping):
        return {str(name): _structure(part) for name, part in plain.items()}
    if isinstance(plain, list):
        return tuple(map(_structure, plain))
    if not isinstance(plain, int) and plain not in TYPES:
        raise ValueError(f"{plain!r} is neither a size nor a type")
    return plain
