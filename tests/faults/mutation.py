"""Inputs that are almost right: bytes, text, plain data and files of the library's own making, changed at random."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = (
    "", " ", "0", "-1", "1e30", "nan", "inf", "null", "true", "none", "[]", "{}", "(", ")", "|", "~", "+", ",", ":",
    "=", "'", '"', "\\", "\n", "\0", "\u202e", "ä", "💥", "\ufeff", "../x", "/dev/zero", "os:system", "*a", "&a",
    "<<", "!!binary", "9" * 400, "x" * 300, "[" * 300, "range(3000000000)", "list(range(3000000000))", "skip_connect",
    "sep_conv_3x3",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -0.5, 1e308, math.nan, math.inf, "", "x", "1", "../x",
    "os:system", "\0", "ä💥", "x" * 600, [], [None], [[]], {}, {"class_path": "os.system"}, {"x": {"x": {}}},
    list(range(100)),
)  # fmt: skip


def deep(levels: int) -> Any:
    """Lists within lists."""
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, cut out, doubled, zeroed or added."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, length = rng.randrange(len(changed) + 1), rng.choice((1, 1, 4, 64, 1000))
        kind = rng.randrange(6)
        if kind == 0 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at : at + length]
        elif kind == 2:
            changed[at:at] = changed[at : at + length]
        elif kind == 3:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind == 4:
            changed[at:at] = rng.randbytes(length)
        else:
            del changed[at:]
    return bytes(changed)


def of_text(text: str, rng: random.Random) -> str:
    """Words put in, parts left out, doubled or exchanged."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        first, second = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:first] + rng.choice(WORDS) + text[first:]
        elif kind == 1:
            text = text[:first] + text[second:] if second - first < 200 else text[:first] + text[first + 1 :]
        elif kind == 2:
            text = text[:first] + rng.choice(WORDS) + text[second:] if second - first < 50 else text[:second]
        elif kind == 3:
            text = text[:second] + text[first:second] + text[second:]
        else:
            text = text[second:] + text[:second]
    return text


def of_data(data: Any, rng: random.Random) -> Any:
    """Plain data in which a few values are others, missing, doubled, renamed or nested."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = [(data, key) for key in _keys(data)]
        if isinstance(data, dict | list):
            for _, value in _walk(data):
                places += [(value, key) for key in _keys(value)]
        if not places:
            return rng.choice(VALUES)
        owner, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind < 3:
            owner[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 3:
            del owner[key]
        elif kind == 4 and isinstance(owner, dict):
            owner[rng.choice(("", "x", "class_path", "ä", f"{key}s", "trust"))] = owner.pop(key)
        else:
            owner[key] = [owner[key]] if rng.random() < 0.8 else deep(rng.choice((50, 150)))
    return data


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def _walk(value: Any) -> list[tuple[Any, Any]]:
    found = []
    for key in _keys(value):
        found.append((key, value[key]))
        found += _walk(value[key])
    return found


def of_json(text: str, rng: random.Random) -> str:
    """JSON whose data are changed, or whose text is."""
    return of_text(text, rng) if rng.random() < 0.3 else json.dumps(of_data(json.loads(text), rng))


def of_file(path: Path, rng: random.Random, inner: Callable[[bytes, random.Random], bytes] = of_bytes) -> None:
    """A file that is changed, empty, gone, or something else than a file."""
    kind = rng.randrange(20)
    if kind >= 8:
        path.write_bytes(inner(path.read_bytes(), rng))
        return
    path.unlink()
    if kind in (0, 1):
        path.write_bytes(b"")
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        os.mkfifo(path)
    elif kind == 4:
        path.symlink_to(rng.choice(("/dev/zero", "/dev/full", path.name, "nowhere", "/")))
    elif kind == 5:
        path.mkdir()
        (path / "x").write_text("x")


def copied(source: Path, target: Path) -> Path:
    """A fresh copy of a directory in the place of an earlier one."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target, symlinks=True))
