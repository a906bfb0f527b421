"""What labels mean: the one place that makes classes of names, numbers and truth values, wherever they come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from archgrad.data.splits import listing
from archgrad.errors import ArchgradError

NO_LABEL = -1
"""What stands for no label, in whole numbers; a missing value does so in any column."""

_NONE = np.iinfo(np.int64).min  # in the place of a missing value

MANY = 20
"""The number of classes from which each needs two inputs on average: identifiers and captions are no classes."""

Place = Callable[[int], str]
"""Where a label stands, for messages."""


class _Plain(NamedTuple):
    """Labels as whole numbers or as text, and which of them are missing."""

    values: np.ndarray[Any, Any]
    missing: np.ndarray[Any, Any]

    @property
    def text(self) -> bool:
        return bool(self.values.dtype == object)


@dataclass(frozen=True, eq=False)
class Labelling:
    """The classes of a set: `values` are the labels that stand in the data for class 0, 1, …, `names` what they mean.

    Classes are the different labels of the training part, in order: numbers by size, names by the alphabet, and false
    before true. Declared names are classes in their order, whether or not they occur.
    """

    values: tuple[int | str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Any, where: str, names: Sequence[str] | None = None, place: Place | None = None) -> Labelling:
        """The classes of a training part; ``names``: those that are declared, for labels 0, 1, … or for these names.

        Raises ArchgradError for labels that are no classes: floats, several per input, a different one for nearly every
        input, a single one for all.
        """
        plain = _plain(labels, where)
        if names is not None:
            declared = tuple(map(str, names))
            return cls(declared if plain.text else tuple(range(len(declared))), declared)
        if plain.missing.any():
            raise _no_class(plain, int(plain.missing.argmax()), where, place, "")
        values = _ordered(np.unique(plain.values).tolist())
        if values and not isinstance(values[0], str) and values[0] < 0:
            raise ArchgradError(f"{where}: labels must be 0 or more, got {values[0]}")
        if len(values) < 2:
            what = f"all are {values[0]!r}" if values else "there are none"
            raise ArchgradError(f"{where}: labels must tell at least two classes apart, {what}")
        if len(values) > MANY and 2 * len(values) > len(plain.values):
            raise ArchgradError(
                f"{where}: {len(values):,} different labels for {len(plain.values):,} inputs are no classes "
                f"({listing(map(str, values), 3)}): choose another column, or say how many classes there are"
            )
        return cls(tuple(values), tuple(map(str, values)))

    @property
    def renumbered(self) -> bool:
        """Whether labels are numbers, and other ones than their classes'."""
        return self.values != tuple(range(len(self.values))) and not isinstance(self.values[0], str)

    def numbers(self, labels: Any, where: str, place: Place | None = None) -> Int[Tensor, " n"]:
        """The class of every input; refuses labels of no class, naming the first."""
        plain = _plain(labels, where)
        if not len(plain.values):
            return torch.empty(0, dtype=torch.long)
        kind = object if isinstance(self.values[0], str) else np.int64
        if plain.text != (kind is object):
            raise ArchgradError(
                f"{where}: labels are {_kind(plain.text)}, and those of the classes are {_kind(not plain.text)}"
            )
        values = np.array(self.values, dtype=kind)
        order = np.argsort(values, kind="stable")
        found = order[np.searchsorted(values, plain.values, sorter=order).clip(max=len(values) - 1)]
        wrong = plain.missing | (values[found] != plain.values)
        if wrong.any():
            hint = f" of the {len(self.names):,} classes ({listing(self.names)})"
            raise _no_class(plain, int(wrong.argmax()), where, place, hint)
        return torch.from_numpy(found.astype(np.int64))


def is_unlabelled(labels: Any, where: str) -> bool:
    """Whether no input of a part has a label, as in the test parts of many published sets."""
    return bool(_plain(labels, where).missing.all())


def _no_class(plain: _Plain, number: int, where: str, place: Place | None, hint: str) -> ArchgradError:
    value = None if plain.values[number] in ("", _NONE) else plain.values[number]
    named = f"{place(number)}: label" if place else f"{where}: label"
    if plain.missing[number]:
        both = not plain.text and set(np.unique(plain.values).tolist()) == {-1, 1}
        way = ": write two classes as 0 and 1" if both else ""
        return ArchgradError(f"{named} {value} stands for no class{way}")
    return ArchgradError(f"{named} {value!r} is not one{hint}" if plain.text else f"{named} {value} is not one{hint}")


def _kind(text: bool) -> str:
    return "text" if text else "whole numbers"


def _ordered(values: list[Any]) -> list[Any]:
    """By size also where the numbers are text."""
    if values and all(isinstance(value, str) and value.isdecimal() for value in values):
        return sorted(values, key=lambda value: (int(value), value))
    return values


def _plain(labels: Any, where: str) -> _Plain:
    """One label per input, as whole numbers or text."""
    try:
        if isinstance(labels, Tensor):
            array = labels.detach().cpu().numpy()
        else:  # a list would otherwise become text where one label is
            array = np.asarray(labels, dtype=object if isinstance(labels, list | tuple) else None)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArchgradError(f"{where}: must be labels, one per input ({' '.join(str(error).split())})") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = "for one-hot labels give their argmax, for several labels per input task=MultiLabel()"
        raise ArchgradError(f"{where}: must be one label per input, shape [n], got shape {list(array.shape)}: {hint}")
    if array.dtype == object:
        return _mixed(array, where)
    if array.dtype.kind == "b":
        array = np.where(array, "True", "False")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind == "U":
        return _Plain(array.astype(object), np.zeros(len(array), dtype=bool))
    return _whole(array, where)


def _whole(array: np.ndarray[Any, Any], where: str) -> _Plain:
    if array.dtype.kind not in "iu" and len(array):
        hint = "for numbers to be predicted give task=Regression()" if array.dtype.kind == "f" else ""
        raise ArchgradError(f"{where}: labels must be integers or names, got {array.dtype}: {hint}".rstrip(": "))
    if array.dtype == np.uint64 and len(array) and int(array.max()) > np.iinfo(np.int64).max:
        raise ArchgradError(f"{where}: label {int(array.max())} is too large a number")
    array = array.astype(np.int64)
    return _Plain(array, array == NO_LABEL)


def _mixed(array: np.ndarray[Any, Any], where: str) -> _Plain:
    """Python objects, as they come from lists with missing values."""
    missing = np.array([_is_missing(value) for value in array], dtype=bool)
    present = [value for value, gone in zip(array, missing, strict=True) if not gone]
    kinds = sorted({_kind_of(value) for value in present})
    if len(kinds) > 1:
        raise ArchgradError(f"{where}: labels are of several kinds: {listing(kinds)}")
    if kinds and kinds[0] not in ("text", "numbers", "truth values"):
        raise ArchgradError(f"{where}: labels must be integers or names, got {kinds[0]}")
    same = np.array(present) if present else np.zeros(0, dtype=np.int64)
    if same.dtype == object:  # whole numbers beyond 64 bits
        raise ArchgradError(f"{where}: labels are too large numbers")
    plain = _plain(same, where)
    values = np.full(len(array), "" if plain.text else _NONE, dtype=plain.values.dtype)
    values[~missing] = plain.values
    missing[~missing] = plain.missing
    return _Plain(values, missing)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _kind_of(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "truth values"
    if isinstance(value, str | bytes):
        return "text"
    return "numbers" if isinstance(value, int | float | np.number | Tensor) else type(value).__name__
