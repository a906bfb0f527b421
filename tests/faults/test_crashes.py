"""Search, training, proxy search and campaigns whose process ends at any file operation, or at any moment.

Whoever starts the same again gets, bit for bit, what an undisturbed run gets. Kills of processes at random moments are
also in tests/test_search.py, tests/test_train.py and tests/bench/protocol/workers/test_local.py.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from archgrad import comparison, scoring, search, spaces
from archgrad.bench import Campaign
from archgrad.bench.protocol import driver
from archgrad.bench.protocol.compute import attempt
from archgrad.bench.protocol.workers import Job, Outcome, Workers
from archgrad.data import Dataset
from archgrad.errors import ArchgradError, no_room, out_of_memory

KILLED = 97
"""The exit code of a process that ended in the middle."""

EVENTS = (
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "shutil.rmtree",
)
"""What Python reports of file operations (sys.audit); of files that are opened only those that are written count."""

TIMES = ("seconds", "wall", "finished", "host", "timestamp")
Work = Callable[[Path], None]
Undisturbed = tuple[Work, dict[str, Any], int]


class Inline(Workers):
    """Computes units in this process."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, seconds: float) -> list[Outcome]:
        job = self.jobs.pop(0)
        record, problem = attempt(*job)
        if record is None:
            raise ArchgradError(problem)
        return [Outcome(job.unit, record, problem)]

    def close(self) -> None:
        pass


def works(few: Dataset) -> dict[str, Work]:
    """What is done in a directory, by name."""
    space = spaces.get("nasbench201", channels=2, cells=1)
    usual: dict[str, Any] = {"progress": False, "device": "cpu"}
    genotype = space.random(torch.Generator().manual_seed(0))

    def campaign(out: Path) -> None:
        file = out.with_suffix(".yaml")
        suite = {
            "name": "tiny",
            "data": {"name": "digits", "limit": 64},
            "subspaces": {"one": {"space": "nasbench201", "channels": 2, "cells": 1}},
            "search": {"epochs": 1, "batch_size": 16, "methods": {"random_search": {"options": {"candidates": 1}}}},
            "training": {"epochs": 1, "batch_size": 16, "lr": 0.1},
        }
        file.write_text(yaml.safe_dump({"suite": suite, "directory": str(out), "seeds": 1, "methods": ["darts"]}))
        driver.run(Campaign.load(file), Inline(), device="cpu", progress=False, say=lambda text: None)

    return {
        "search": lambda out: _none(
            search(space, "darts", few, epochs=2, batch_size=16, out=out, checkpoint_seconds=0.05, **usual)
        ),
        "train": lambda out: _none(
            comparison.train_genotype(space, genotype, few, recipe="quick", epochs=2, batch_size=32, out=out, **usual)
        ),
        "proxies": lambda out: _none(scoring.search(space, "params", few, budget=6, out=out, progress=False)),
        "bench": campaign,
    }


def _none(_: Any) -> None:
    return


def child(work: Callable[[], None]) -> tuple[int, str]:
    """The exit code of a forked process and what it said: 0 for done, 2 for one line, `KILLED`, or another."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        said = StringIO()
        try:
            os.close(reading)
            warnings.simplefilter("ignore")
            with redirect_stdout(StringIO()), redirect_stderr(said):
                work()
            code = 0
        except ArchgradError as error:
            code, said = 2, StringIO(str(error))
        except BaseException as error:
            full = out_of_memory(error)  # the program turns it into a line, and a library leaves it as it is
            code, said = (2, StringIO(no_room(error))) if full else (1, StringIO(f"{type(error).__name__}: {error}"))
        finally:
            os.write(writing, said.getvalue().encode()[:4000])
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    return (os.waitstatus_to_exitcode(status), text)


def count_operations(place: Path, end_at: int | None = None) -> list[int]:
    """Counts the file operations below a directory from now on; ends the process before one of them."""
    done = [0]

    def seen(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not str(arguments[0]).startswith(str(place)):
            return
        if event == "open" and isinstance(arguments[2], int) and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if done[0] == end_at:
            os._exit(KILLED)
        done[0] += 1

    sys.addaudithook(seen)
    return done


def content(directory: Path) -> dict[str, Any]:
    """All that a run says, but for times and for what is kept only to go on."""
    found: dict[str, Any] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if not path.is_file() or any(part in name for part in ("checkpoints", "claims", "records", ".lock", "results")):
            continue
        assert not name.endswith(".tmp"), "what a kill left is cleared away"
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: value.tobytes() for key, value in arrays.items()}
        elif path.suffix in (".json", ".jsonl"):
            found[name] = [_timeless(json.loads(line)) for line in _documents(path)]
        else:
            found[name] = path.read_bytes()
    return found


def aged(place: Path) -> None:
    """An hour later: what may still be a write of another process is none any more."""
    for path in place.rglob(".*.tmp"):
        os.utime(path, (0, 0))


def _documents(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(part) for key, part in value.items() if not any(word in key for word in TIMES)}
    return [_timeless(part) for part in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def undisturbed(
    few: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Work, dict, int, float]]:
    """The work of a name, what it gives where nothing happens, and how many file operations it takes."""
    known: dict[str, Undisturbed] = {}

    def made(name: str) -> Undisturbed:
        if name not in known:
            work = works(few)[name]
            place = tmp_path_factory.mktemp(name) / "run"
            counted = place.parent / "count"

            def counting() -> None:
                done = count_operations(place)
                work(place)
                counted.write_text(str(done[0]))

            assert child(counting) == (0, "")
            known[name] = work, content(place), int(counted.read_text())
        return known[name]

    return made


NAMES = pytest.mark.parametrize("name", ["search", "train", "proxies", "bench"])
LONG = [pytest.mark.slow, pytest.mark.timeout(3600)]
SOME = pytest.mark.parametrize("share", [0.0, pytest.param(1.0, marks=LONG)], ids=["some", "all"])


@NAMES
@SOME
def test_a_process_that_ends_at_any_file_operation_loses_nothing(
    name: str, share: float, undisturbed: Any, tmp_path: Path
) -> None:
    work, expected, operations = undisturbed(name)
    assert operations >= 15
    rng = random.Random(name)
    chosen = sorted(rng.sample(range(operations), max(1, round(share * operations))))
    for number in chosen:
        place = tmp_path / f"{number}" / "run"
        place.parent.mkdir()

        def ending(place: Path = place, number: int = number) -> None:
            count_operations(place, number)
            work(place)

        assert child(ending)[0] == KILLED, number
        aged(place)
        assert child(lambda place=place: work(place)) == (0, ""), number
        assert content(place) == expected, f"ended before file operation {number} of {operations}"


@NAMES
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_at_random_moments_lose_nothing(name: str, undisturbed: Any, tmp_path: Path) -> None:
    work, expected, _ = undisturbed(name)
    rng = random.Random(name)
    for attempt_ in range(6):
        place = tmp_path / f"{attempt_}" / "run"
        place.parent.mkdir()
        seconds = 0.05
        for _ in range(200):

            def killed(place: Path = place, after: float = rng.uniform(0, seconds)) -> None:
                threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
                work(place)

            code, said = child(killed)
            aged(place)
            if code == 0:
                break
            assert code == -signal.SIGKILL, said
            seconds *= 1.2
        assert content(place) == expected


def full_disk(place: Path, after: int) -> None:
    """From some file operation on nothing can be written any more."""
    done = [0]

    def seen(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename", "os.mkdir") and str(arguments[0]).startswith(str(place)):
            if event == "open" and isinstance(arguments[2], int) and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
            done[0] += 1
            if done[0] > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    sys.addaudithook(seen)


def limited(kind: int, most: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def full_memory(hole: int) -> None:
    """Nothing larger than ``hole`` bytes can be allocated any more; 4 MiB of such holes are left."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    blocks = [libc.malloc(hole) for _ in range((8 << 20) // hole)]
    with open("/proc/self/statm") as file:
        limited(resource.RLIMIT_AS, int(file.read().split()[0]) * resource.getpagesize())
    size = 16 << 20
    while size >= hole:
        while libc.malloc(size):
            pass
        size //= 2
    for block in blocks[::2]:
        libc.free(block)


def handles() -> int:
    return len(os.listdir("/proc/self/fd")) - 1


LIMITS: dict[str, Callable[[Path], None]] = {
    "disk": lambda place: full_disk(place, 9),
    "size of a file": lambda place: limited(resource.RLIMIT_FSIZE, 2000),
    "handles": lambda place: limited(resource.RLIMIT_NOFILE, handles() + 2),
    "memory": lambda place: full_memory(4 << 10),
    "more memory": lambda place: full_memory(16 << 10),
}
DEADLY = {"more memory": -signal.SIGSEGV}
"""How torch itself may end: its backward pass has let go of Python's lock when it meets the want of memory."""


QUICK = {
    ("search", "disk"),
    ("train", "size of a file"),
    ("proxies", "handles"),
    ("proxies", "disk"),
    ("search", "memory"),
}
"""What the quick tests try."""


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        pytest.param(name, limit, marks=[] if (name, limit) in QUICK else pytest.mark.slow)
        for name in ("search", "train", "proxies", "bench")
        for limit in LIMITS
    ],
)
def test_at_a_limit_there_is_one_line_and_nothing_is_lost(
    name: str, limit: str, undisturbed: Any, tmp_path: Path
) -> None:
    work, expected, _ = undisturbed(name)
    place = tmp_path / "run"

    def at_the_limit() -> None:
        place.with_suffix(".yaml").touch()
        if "memory" in limit:  # for a process that has already read what it needs from libraries
            work(tmp_path / "before")
        LIMITS[limit](place)
        work(place)

    code, said = child(at_the_limit)
    assert code in (0, 2, DEADLY.get(limit)), said
    assert code != 2 or len(said.splitlines()) == 1
    assert child(lambda: work(place)) == (0, "")
    assert content(place) == expected


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_stays_flat_over_300_searches(few: Dataset, tmp_path: Path) -> None:
    """Fifty searches warm up; after them 250 more must not need more."""
    space = spaces.get("nasbench201", channels=2, cells=1)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def soak() -> None:
        after = {}
        for number in range(1, 301):
            search(space, "darts", few, epochs=1, batch_size=16, seed=number, progress=False, device="cpu")
            after[number] = resident()
        (tmp_path / "memory").write_text(json.dumps([after[50], after[300]]))

    assert child(soak) == (0, "")
    early, late = json.loads((tmp_path / "memory").read_text())
    assert late - early < 24 << 20, f"{early:,} bytes after 50 searches, {late:,} after 300"
