"""The command ``archgrad robustness``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archgrad import comparison, console
from archgrad.console import print_table
from archgrad.distributed import World
from archgrad.errors import ArchgradError
from archgrad.figures.files import alone
from archgrad.foreign import files
from archgrad.robustness import figures
from archgrad.robustness.corruptions import CORRUPTIONS
from archgrad.robustness.evaluation import RADII, Robustness
from archgrad.robustness.evaluation import robustness as measure
from archgrad.runs import Run, atomic_write

RESULT = "robustness.json"


def robustness(
    run: str,
    *,
    data: str | None = None,
    image_size: int | None = None,
    attacks: str = "fgsm,pgd",
    epsilons: str = "1,2,4,8",
    corruptions: str = "all",
    images: int | None = 1000,
    batch_size: int = 256,
    seed: int = 0,
    device: str | None = None,
    progress: bool = True,
) -> None:
    """Evaluate a trained network under attacks and corruptions, and draw both.

    Args:
        run: run directory of a training, or of a search whose found network has been trained; robustness.json and
            the figures go to the directory of the training, and into the report of its search
        data: a dataset; that of the training by default
        image_size: bring the images to this many pixels first; as in the training by default
        attacks: fgsm, pgd (20 steps), pgd-K, spsa, and with the extra `robust` autoattack, carlini_wagner, deepfool;
            separated by commas, or none
        epsilons: L∞ radii in 1/255, separated by commas
        corruptions: names separated by commas, all or none
        images: how many test images, drawn with the share of every class; null takes all
        batch_size: images per batch
        seed: everything random follows from it
        device: cpu, cuda, cuda:1, mps; the best there is by default
        progress: show a progress bar on terminals
    """
    chosen, wanted = _names(attacks), list(CORRUPTIONS) if corruptions == "all" else _names(corruptions)
    radii = [_radius(text) for text in _names(epsilons)]
    network = comparison.load(run)
    directory = _training(Path(run))
    found = measure(
        network,
        comparison.dataset_of(directory, data, image_size),
        chosen,
        radii,
        corruptions=wanted,
        images=images,
        batch_size=batch_size,
        seed=seed,
        device=device,
        progress=progress,
    )
    if not World.start(device).main:
        return
    _write(found, directory, {"data": data, "epsilons": radii, "images": images, "seed": seed})
    show(found)
    console.say(f"written: {directory / RESULT}")
    console.give(**found.to_dict(), written=directory / RESULT)


def _training(run: Path) -> Path:
    """The directory of a training: of a search, that of the network that it found."""
    if Run.open(run).config.get("command") != "search":
        return run
    return files.inside(run, f"train/{comparison.FOUND}")


def _write(found: Robustness, directory: Path, settings: dict[str, Any]) -> None:
    """What was measured, and its figures."""
    text = json.dumps({**found.to_dict(), "settings": settings}, indent=2)
    atomic_write(directory / RESULT, (text + "\n").encode())
    if found.attacks:
        curves = figures.accuracy_over_radius(directory.name, found.clean, found.attacks)
        atomic_write(directory / "robustness.svg", alone(curves).encode())
    if found.corruptions:
        atomic_write(directory / "corruptions.svg", alone([figures.corruption_table(found)]).encode())


def show(found: Robustness) -> None:
    """Print what was measured as tables."""
    console.say(f"clean accuracy {found.clean:.2%} on {found.images:,} images")
    for norm, (unit, title) in RADII.items():
        attacks = {label: one for label, one in found.attacks.items() if one.norm == norm}
        if not attacks:
            continue
        radii = next(iter(attacks.values())).epsilons
        rows = []
        for label, one in attacks.items():
            score = f"{100 * found.hrs(label, radii[-1]):.2f}"
            median = "" if one.median is None else f" (median {unit * one.median:.3g})"
            rows.append([label + median, *(f"{accuracy:.2%}" for accuracy in one.accuracies), score])
        print_table([title, *(f"{unit * radius:.3g}" for radius in radii), "HRS at the last"], rows)
    if found.corruptions:
        rows = [
            [name, *(f"{accuracy:.2%}" for accuracy in row), f"{sum(row) / len(row):.2%}"]
            for name, row in found.corruptions.items()
        ]
        print_table(["corruption", *map(str, found.severities), "mean"], rows)
        console.say(f"mean corruption error {found.corruption_error:.2%}")


def _names(text: str) -> list[str]:
    return [] if text == "none" else [part.strip() for part in text.split(",") if part.strip()]


def _radius(text: str) -> float:
    try:
        radius = float(text) / 255
    except ValueError:
        radius = -1.0
    if not 0 <= radius <= 1:
        raise ArchgradError(f"robustness: epsilons must be numbers from 0 to 255 separated by commas, got {text!r}")
    return radius
