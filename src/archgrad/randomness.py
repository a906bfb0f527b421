"""Counter-based randomness: a draw follows from the run's seed and the name of its purpose, never from earlier draws.

A resumed run therefore needs no generator state, and drawing the same numbers again is seeding again.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch


def derive(seed: int, *keys: str | int) -> int:
    """A 63-bit seed for one purpose of a run.

    >>> derive(0, "data", 3) == derive(0, "data", 3) != derive(0, "data", 4)
    True
    """
    plain = [key if isinstance(key, str) else operator.index(key) for key in (seed, *keys)]  # NumPy's print otherwise
    digest = hashlib.blake2b(repr(tuple(plain)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *keys: str | int) -> torch.Generator:
    """A CPU generator for one purpose of a run."""
    return torch.Generator().manual_seed(derive(seed, *keys))


def seed_torch(seed: int, *keys: str | int) -> None:
    """Seed torch's global generators for one purpose of a run."""
    value = derive(seed, *keys)
    if _accelerated():
        torch.manual_seed(value)
    else:  # for devices that nobody has, torch writes a traceback down in every call: 0.3 ms, several times a step
        torch.default_generator.manual_seed(value)


@cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()


@contextmanager
def isolated(seed: int, *keys: str | int) -> Iterator[None]:
    """Seed torch's global generators for a block and give the caller's state back afterwards."""
    with torch.random.fork_rng():
        seed_torch(seed, *keys)
        yield
