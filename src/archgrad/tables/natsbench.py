"""NATS-Bench's and NAS-Bench-201's own files, read by the optional package ``nats_bench``."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import torch

from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.tables import nasbench201
from archgrad.tables.table import Table

EPOCHS = ("12", "200")
SOURCES = (
    ("cifar10_val", "cifar10-valid", "valid-accuracy"),
    ("cifar10_test", "cifar10", "test-accuracy"),
    ("cifar100_val", "cifar100", "valid-accuracy"),
    ("cifar100_test", "cifar100", "test-accuracy"),
    ("in16_val", "ImageNet16-120", "valid-accuracy"),
    ("in16_test", "ImageNet16-120", "test-accuracy"),
)
"""(column without its epochs, data set of the benchmark, key of its answer)."""


def read_natsbench(path: Path, name: str = "nasbench201", *, trust: bool = False) -> Table:
    """The topology benchmark from ``NATS-tss-…`` (directory or ``.pickle.pbz2``) or ``NAS-Bench-201-….pth``.

    NATS-Bench's files are pickles, which can run code when they are opened: ``trust`` says that the file comes from its
    authors. The ``.pth`` file is opened as plain data only.
    """
    if not path.exists():
        raise ArchgradError(f"{path}: no such file or directory")
    if path.suffix != ".pth" and not trust:
        raise ArchgradError(f"{path}: opening a pickle can run code: say trust if this one is from its authors")
    try:
        nats_bench = importlib.import_module("nats_bench")
    except ImportError:
        raise ArchgradError(f"{path}: reading it needs the package nats_bench (pip install 'archgrad[nats]')") from None
    what = _plain_data(path) if path.suffix == ".pth" else str(path)
    try:
        api = nats_bench.create(what, "tss", fast_mode=path.is_dir(), verbose=False)
    except (OSError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise ArchgradError(f"{path}: nats_bench cannot read it ({' '.join(str(error).split())})") from None
    return from_api(api, name, source=path.name)


def from_api(api: Any, name: str = "nasbench201", *, source: str = "") -> Table:
    """The accuracies in %, means over the seeds, that an API object of ``nats_bench`` answers with.

    ``api``: anything with ``len`` and ``get_more_info(index, dataset, hp=, is_random=False)``.
    """
    values: dict[str, dict[int, float]] = {}
    for index in range(len(api)):
        for epochs in EPOCHS:
            answers: dict[str, Any] = {}
            for column, dataset, key in SOURCES:
                if dataset not in answers:
                    answers[dataset] = api.get_more_info(index, dataset, hp=epochs, is_random=False)
                if answers[dataset].get(key) is not None:
                    values.setdefault(f"{column}_{epochs}", {})[index] = float(answers[dataset][key])
    return nasbench201.table(name, values, source=source)


def _plain_data(path: Path) -> dict[str, Any]:
    """NAS-Bench-201's file in the form of NATS-Bench, which names the two trainings by their epochs."""
    files.require_regular(path)
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        infos = data["arch2infos"]
        renamed = {i: {"12": both["less"], "200": both["full"]} for i, both in infos.items()}
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, AttributeError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchgradError(f"{path}: not a NAS-Bench-201 file of plain data ({reason})") from None
    return {**data, "arch2infos": renamed}
