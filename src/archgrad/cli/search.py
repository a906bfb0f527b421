"""The command ``archgrad search``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import archgrad
from archgrad import data as datasets
from archgrad import methods, spaces
from archgrad.cli import own
from archgrad.data.load import READING
from archgrad.distributed import World
from archgrad.errors import unknown
from archgrad.method import ROLES, SEVERAL, Method
from archgrad.options import gathers, option, options_of, some_of
from archgrad.runs import default_directory

KINDS: dict[str, Any] = {
    "alpha_lr": float | Literal["auto"],
    "weight_lr": float,
    "flat_minima": float,
    "order": str,
} | {
    role: list[kind] if role in SEVERAL else kind  # type: ignore[valid-type]
    for role, kind in ROLES.items()
}
"""What can be changed of a method, and its type."""


@gathers(
    settings=options_of(archgrad.search, leaving_out=("out", "numbered", "resume", "checkpoint_seconds", "callbacks"))
    | some_of(datasets.load, READING),
    changes={name: option(name, kind | None) for name, kind in KINDS.items()},
)
def search(
    *,
    space: str = "nasbench201",
    method: str = methods.recommended,
    data: str = "digits",
    out: str | None = None,
    settings: dict[str, Any],
    changes: dict[str, Any],
    **fields: Any,
) -> None:
    """Search an architecture and write its run directory with a report.

    Args:
        space: a space (see `archgrad list spaces`), or `package.module:function` that returns a network with choices
        method: a method (see `archgrad list methods`); or a proxy such as croze, which has options of its own: see
            `archgrad search --method croze --help`
        data: a dataset (see `archgrad list datasets`), or the path of an image folder or of Parquet files
        out: run directory; `runs/SPACE-METHOD-DATA-SEED` by default, with a number behind it where another run is
            there; an interrupted run of the same settings is continued exactly
        image_size: bring the images to this many pixels first
        limit: use so many training images at most, the same number of every class
        unreadable: refuse images that cannot be read, or skip them
        label_column: the column of labels in Parquet files
        class_weights: weights of the classes in the loss: balanced, or a number per class, separated by commas
        epochs: epochs of the search; the method's published number by default
        batch_size: images per batch and process; the method's by default
        seed: everything random follows from it
        train_fraction: share of the training set that trains weights; the rest trains alphas
        executor: how cells are computed; auto takes the fastest
        checkpoint_cells: keep little of every cell for the backward pass and compute it again there: less memory, the
            same numbers
        graphs: launch the passes of a step as CUDA graphs; needs a GPU
        device: cpu, cuda, cuda:1, mps; the best there is by default
        mixed_precision: no or bf16
        evaluate: after every how many epochs the supernet is measured; 0 after the last one only
        diagnose: every how many epochs signs of collapse are looked for; 0 never
        changed: refuse to continue a run with other data or another network, or accept them
        extend: the search has been there with fewer epochs, and goes on as one of so many does from there
        progress: show a progress bar on terminals, and a line a minute elsewhere
        track: tell an experiment tracker of it: tensorboard, wandb (offline), mlflow or trackio
        alpha_lr: learning rate of alphas; the method's by default; auto lets alphas of a short search travel as far
            as in the published one
        weight_lr: first learning rate of the weights; the method's by default
        flat_minima: make any method seek flat minima (A²M), with an ascent step of this length
        order: alphas-first or weights-first; the method's by default
        relaxation: instead of the method's
        architecture_gradient: instead of the method's
        weight_gradient: instead of the method's
        modifiers: instead of the method's
        regularisers: instead of the method's
        schedules: instead of the method's
        discretisation: instead of the method's
    """
    network = own.network(space, settings["seed"]) if ":" in space else spaces.get(space, **fields)
    directory = Path(out) if out else default_directory(space, method, data, settings["seed"])
    numbered = out is None and not settings["extend"]
    chosen = _method(method, space, **changes)
    result = archgrad.search(network, chosen, data, out=directory, numbered=numbered, **settings)
    if World.start(settings["device"]).main:
        from archgrad import report

        assert result.directory is not None
        page = report.write(result.directory)
        trust = ":" in data and not data.startswith("folder:")
        report.tell(result.directory, page, space if ":" in space else None, trust)


def _method(
    name: str,
    space: str,
    alpha_lr: float | Literal["auto"] | None,
    weight_lr: float | None,
    flat_minima: float | None,
    **parts: Any,
) -> Method:
    """A method by name with what is changed of it; None leaves a part as it is."""
    if name not in methods.names():
        from archgrad.proxies import library

        raise unknown("method", name, [*methods.names(), *library.names()])
    given: dict[str, Any] = {
        part: tuple(value) if part in SEVERAL else value for part, value in parts.items() if value is not None
    }
    method = replace(methods.get(name, space), **given)
    if alpha_lr is not None:
        method = replace(method, alpha_optimiser=replace(method.alpha_optimiser, lr=alpha_lr))
    if weight_lr is not None:
        method = replace(method, weight_optimiser=replace(method.weight_optimiser, lr=weight_lr))
    return method if flat_minima is None else methods.a2m(space, method, flat_minima)
