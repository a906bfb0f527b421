"""The same image on both sides of a split."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from contextlib import suppress

import torch

from archgrad.data.encoded import Encoded, in_threads, spread

ALL = 50_000
"""Images up to which all are compared."""

SAMPLE = 500
"""Images of the second part that are looked for in larger sets."""


def twins(first: Encoded, second: Encoded) -> list[tuple[str, str]]:
    """The places of images of the second part whose bytes are those of one in the first, in order.

    Only images of equal size are read.
    """
    asked = second if len(first) + len(second) <= ALL else second[torch.tensor(spread(len(second), SAMPLE))]
    sizes = _sizes(asked)
    wanted = set(sizes.values())
    known = _digests(first, [number for number, size in _sizes(first).items() if size in wanted])
    if not known:
        return []
    by_digest: dict[bytes, int] = {}
    for number in sorted(known):
        by_digest.setdefault(known[number], number)
    found = _digests(asked, list(sizes))
    return [
        (first.source.where(by_digest[found[number]]), second.source.where(number))
        for number in sorted(found)
        if found[number] in by_digest
    ]


def _sizes(images: Encoded) -> dict[int, int]:
    """Number → bytes; images that cannot be read have none."""
    found: dict[int, int] = {}
    for number in images.numbers.tolist():
        with suppress(OSError):
            found[number] = images.source.size(number)
    return found


def _digests(images: Encoded, numbers: list[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = defaultdict(bytes)

    def digest(number: int) -> None:
        with suppress(OSError):
            found[number] = hashlib.blake2b(images.source.read(number), digest_size=16).digest()

    in_threads(digest, numbers)
    return found
