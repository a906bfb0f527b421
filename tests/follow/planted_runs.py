"""Runs as archgrad writes them, with known numbers, and in no time: no network is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from archgrad import spaces
from archgrad.runs import Run

SPACE = spaces.get("nasbench201")
GROUP = SPACE.groups["cell"]
TEXT = SPACE.format(SPACE.parse("012334"))


def settings(method: str = "darts", seed: int = 0, epochs: int = 3, **others: Any) -> dict[str, Any]:
    """Of a search."""
    described = {"class_path": "archgrad.method.Method", "init_args": {"name": method, "epochs": epochs, "lr": 0.025}}
    return {"command": "search", "space": "nasbench201", "data": "digits", "seed": seed, "method": described, **others}


def record(epoch: int, accuracy: float = 0.5) -> dict[str, Any]:
    """Of one epoch."""
    losses = {f"{part}_loss": 2.0 / (epoch + 1) for part in ("train", "validation", "evaluation")}
    scores = {f"{part}_accuracy": accuracy for part in ("train", "validation", "evaluation")}
    return {"epoch": epoch, **losses, **scores, "seconds": 2.0 * (epoch + 1), "genotype": TEXT}


def finish(run: Run, epochs: int = 3, **others: Any) -> None:
    """Write what a search writes at its end."""
    alphas = np.linspace(0, 1, (epochs + 1) * len(GROUP.edges) * len(GROUP.operations))
    run.write_arrays("alphas.npz", {"cell": alphas.reshape(epochs + 1, len(GROUP.edges), len(GROUP.operations))})
    run.write_json("genotype.json", {**SPACE.parse("012334").to_dict(), "text": TEXT})
    group = {"operations": list(GROUP.operations), "edges": [[e.source, e.target] for e in GROUP.edges], "inputs": 1}
    result = {"genotype": TEXT, "space": "nasbench201", "data": "digits", "parameters": 1000, "flops": 5000}
    result |= {"seconds": 2.0 * epochs, "epochs": epochs, "stopped": None, "groups": {"cell": group}}
    run.write_json("result.json", {**result, "method": run.config["method"]["init_args"]["name"], **others})


def search(
    directory: Path,
    method: str = "darts",
    seed: int = 0,
    *,
    epochs: int = 3,
    done: int | None = None,
    accuracy: float = 0.5,
    tested: float | None = None,
    result: Mapping[str, Any] | None = None,
    **others: Any,
) -> Path:
    """A search that has ended, with a result where all ``epochs`` are ``done``; ``tested``: of what it found."""
    done = epochs if done is None else done
    with Run.start(directory, settings(method, seed, epochs, **others)) as run:
        for epoch in range(done):
            run.log(record(epoch, accuracy))
        if done == epochs:
            finish(run, **{"epochs": epochs, **(result or {})})
    if tested is not None:
        training(directory / "train" / "found", tested)
    return directory


def training(directory: Path, accuracy: float, **others: Any) -> Path:
    """A training that has ended."""
    config = {
        "command": "train",
        "space": "nasbench201",
        "genotype": TEXT,
        "data": "digits",
        "seed": 0,
        "flops": 70_000,
    }
    with Run.start(directory, {**config, "recipe": {"epochs": 2}, **others}) as run:
        for epoch in range(2):
            run.log({"epoch": epoch, "train_loss": 1.0 / (epoch + 1), "train_accuracy": accuracy, "seconds": 3.0})
        test = {"loss": 0.1, "accuracy": accuracy, "count": 360}
        run.write_json("result.json", {"test": test, "epochs": 2, "parameters": 20_000, "seconds": 6.0})
    return directory


def proxy(directory: Path, scores: list[float], budget: int | None = None) -> Path:
    """A search by a proxy."""
    config = {"command": "search", "space": "nasbench201", "data": "digits", "seed": 0, "method": "croze"}
    config |= {"proxies": {"croze": {"class": "Croze"}}, "budget": budget or len(scores)}
    with Run.start(directory, config) as run:
        for number, score in enumerate(scores):
            found = {"epoch": number, "genotype": TEXT, "scores": {"croze": score}, "parameters": 10, "flops": 20}
            run.log({**found, "seconds": 0.5 * (number + 1)})
        if len(scores) == (budget or len(scores)):
            run.write_json(
                "result.json",
                {
                    "genotype": TEXT,
                    "method": "croze",
                    "scores": {"croze": max(scores)},
                    "scored": len(scores),
                    "seconds": 9,
                },
            )
    return directory
