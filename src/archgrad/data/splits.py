"""Which part of a set a folder or file name means, in the spellings that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from archgrad.errors import ArchgradError

T = TypeVar("T")

TRAIN, VALIDATION, TEST = "train", "validation", "test"

_SET = "(?:set|data|images?|imgs?|split)?"
_WORDS = {
    TRAIN: re.compile(rf"(?:train|training|trainval|trn){_SET}"),
    VALIDATION: re.compile(rf"(?:val|valid|validate|validation|dev|devel|development){_SET}"),
    TEST: re.compile(rf"(?:test|testing|tst|eval|evaluation|holdout){_SET}"),
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_FILLING = re.compile(r"set|data|dataset|images?|imgs?|split|partial")

_JUNK = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir", "#recycle"})
_JUNK |= {"lost+found", "system volume information", "__pycache__"}


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's or a program's, and none of the data."""
    return name.startswith(".") or name.casefold() in _JUNK


def role(name: str) -> str | None:
    """The part that a name stands for; None for any other name.

    >>> [role(name) for name in ("Training", "seg_train", "VAL", "testSet", "train_val", "train_test", "cat")]
    ['train', 'train', 'validation', 'test', 'train', None, None]
    """
    found = {role for word in _words(name) for role, pattern in _WORDS.items() if pattern.fullmatch(word)}
    if found == {TRAIN, VALIDATION}:
        return TRAIN
    return found.pop() if len(found) == 1 else None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _is_plain(name: str) -> bool:
    """Whether a name says nothing but the part."""
    return all(_FILLING.fullmatch(w) or any(p.fullmatch(w) for p in _WORDS.values()) for w in _words(name))


def choose(named: Mapping[str, T], part: str, path: Path) -> str | None:
    """Of several things, by name, the one that stands for a part; None where nothing does.

    One that says nothing else is preferred: ``train`` to ``train_small``. Raises ArchgradError where that leaves two.
    """
    candidates = [name for name in named if role(name) == part]
    plain = [name for name in candidates if _is_plain(name)]
    if len(candidates) > 1 and len(plain) != 1:
        raise ArchgradError(f"{path}: {listing(candidates)} could each be its {part} part: leave one of them there")
    return next(iter(plain or candidates), None)


def listing(names: Iterable[str], most: int = 5) -> str:
    """Names in a row, the first few of many.

    >>> listing("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    found = list(names)
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more:,} more" if more > 0 else "")
