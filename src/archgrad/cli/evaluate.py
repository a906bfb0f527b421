"""The command ``archgrad evaluate``."""

from __future__ import annotations

from archgrad import comparison, console, evaluation
from archgrad.distributed import World


def evaluate(
    run: str,
    *,
    data: str | None = None,
    image_size: int | None = None,
    split: str = "test",
    device: str | None = None,
    progress: bool = True,
) -> None:
    """Evaluate a trained network.

    Args:
        run: run directory of a training, or of a search whose found network has been trained
        data: a dataset; that of the training by default
        image_size: bring the images to this many pixels first; as in the training by default
        split: test or train
        device: cpu, cuda, cuda:1, mps; the best there is by default
        progress: show a progress bar on terminals, and a line a minute elsewhere
    """
    network = comparison.load(run)
    dataset = comparison.dataset_of(run, data, image_size)
    found = evaluation.evaluate(network, dataset, split, device=device, progress=progress)
    if World.start(device).main:
        console.say(f"{split}: {found}, {found.count:,} inputs")
        console.give(run=run, split=split, **found.record())
