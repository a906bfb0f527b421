"""Published robustness tables of NAS-Bench-201, both of JSON files, as tables of our schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.foreign.plain import read_json
from archgrad.tables import nasbench201
from archgrad.tables.table import Table

_ACCURACY = re.compile(r"(?P<key>.+)_accuracy\.json")
_ATTACKED = re.compile(r"val_(?P<attack>.+)_(?P<strength>\d+(?:\.\d+)?)_acc")


def read_robustness_data(directory: Path, name: str = "robustness") -> Table:
    """The data set of standard-trained cells: ``meta.json`` and ``<data>/<key>_accuracy.json``.

    Columns: ``cifar10_clean``, ``cifar10_pgd_eps1`` (ε in 1/255), ``cifar10_fog_s3`` (severity), in %. Files that are
    not there are not missed.

    *Source:* Jung, Lukasik, Keuper, Neural Architecture Design and Robustness: A Dataset, ICLR 2023.
    """
    meta = read_json(directory / "meta.json")
    epsilons = meta.get("epsilons") if isinstance(meta, dict) else None
    if not isinstance(epsilons, dict):
        raise ArchgradError(f"{directory / 'meta.json'}: it lacks the key 'epsilons' of the robustness data set")
    values: dict[str, dict[int, float]] = {}
    for folder, short in nasbench201.DATASETS.items():
        for path in sorted((directory / folder).glob("*_accuracy.json")):
            match = _ACCURACY.fullmatch(path.name)
            key = match["key"] if match else path.stem
            cells = _inside(read_json(path), path, folder, key, "accuracy")
            attack = key.removesuffix("@Linf")
            strengths = [f"eps{epsilon:g}" for epsilon in epsilons[key]] if key in epsilons else None
            for uid, measured in cells.items():
                if isinstance(measured, list):
                    labels = strengths or [f"s{severity}" for severity in range(1, len(measured) + 1)]
                    if len(labels) != len(measured):
                        raise ArchgradError(f"{path}: cell {uid} has {len(measured)} values, expected {len(labels)}")
                    for label, value in zip(labels, measured, strict=True):
                        _put(values, f"{short}_{attack}_{label}", uid, value, path)
                else:
                    _put(values, f"{short}_{attack}", uid, measured, path)
    return nasbench201.table(name, values, source=str(directory), per_class=True)


def read_robbench(path: Path, name: str = "nas_robbench_201") -> Table:
    """NAS-RobBench-201, adversarially trained cells: data set → cell → metric → seeds, in one JSON file.

    Columns: ``cifar10_clean``, ``cifar10_pgd_eps8``, ``cifar10_autoattack``, in %, the mean over the seeds.

    *Source:* Wu et al., Robust NAS under adversarial training, ICLR 2024.
    """
    data = read_json(path)
    values: dict[str, dict[int, float]] = {}
    for dataset, short in nasbench201.DATASETS.items():
        if not isinstance(data, dict) or dataset not in data:
            continue
        for uid, metrics in _inside(data, path, dataset).items():
            for metric, seeds in _inside(metrics, path).items():
                if column := _robbench_column(metric):
                    _put(values, f"{short}_{column}", uid, _over_seeds(seeds), path)
    if not values:
        raise ArchgradError(f"{path}: expected data sets {', '.join(nasbench201.DATASETS)} of cells of metrics")
    return nasbench201.table(name, values, source=str(path), per_class=True)


def _robbench_column(metric: str) -> str | None:
    if metric in ("val_acc", "autoattack"):
        return {"val_acc": "clean", "autoattack": "autoattack"}[metric]
    match = _ATTACKED.fullmatch(metric)
    return f"{match['attack']}_eps{float(match['strength']):g}" if match else None


def _over_seeds(seeds: Any) -> Any:
    if not isinstance(seeds, dict):
        return seeds
    if "threeseed" in seeds:
        return seeds["threeseed"]
    numbers = [value for value in seeds.values() if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else None


def _inside(data: Any, path: Path, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise ArchgradError(f"{path}: expected an object {' → '.join(keys) or 'of metrics'}")
    return data


def _put(values: dict[str, dict[int, float]], column: str, uid: str, value: Any, path: Path) -> None:
    is_fraction = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_fraction and 0 <= value <= 1) or not uid.isdecimal():
        raise ArchgradError(f"{path}: {column} of cell {uid!r} must be a fraction between 0 and 1, got {value!r}")
    values.setdefault(column, {})[int(uid)] = 100 * float(value)
