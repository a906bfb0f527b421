"""The command ``archgrad show``."""

from __future__ import annotations

import os
from typing import Any

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.options import require_absent
from archgrad.runs import Run
from archgrad.spaces import Space
from archgrad.step_cost import step_cost


def show(
    genotype: str | None = None,
    *,
    space: str | None = None,
    cost: bool = False,
    batch_size: int | None = None,
    **fields: Any,
) -> None:
    """Show a genotype: its decisions, notation, parameters and FLOPs; or what a search step costs.

    Args:
        genotype: in the space's notation or JSON, or the run directory of a search or a training
        space: the space of a genotype, nasbench201 by default
        cost: also measure the time and peak memory of a search step in the space's supernet
        batch_size: images of that step, 16 by default
    """
    if genotype is None and not cost:
        raise ArchgradError("show: give a genotype or a run directory, or --cost for what a search step takes")
    if not cost:
        require_absent("is that of the step that --cost measures", batch_size=batch_size)
    where: Space | None
    if genotype is not None and os.path.isdir(genotype):  # also of what cannot be a name: a long genotype
        require_absent("is for a genotype, and a run has its own", space=space)
        where = _show_run(Run.open(genotype), fields)
    else:
        where = spaces.get(space or spaces.USUAL, **fields)
        if genotype is not None:
            _show_genotype(where, where.parse(genotype))
    if cost and where is None:
        raise ArchgradError(f"show: --cost is for a space, and {genotype} is the search of a network of your own")
    if cost and where is not None:
        _show_cost(where, 16 if batch_size is None else batch_size)


def _show_run(run: Run, fields: dict[str, Any]) -> Space | None:
    """What a run found or trained, in the size that it had there, or in another that is asked for."""
    config = run.config
    if "space" not in config:
        raise ArchgradError(f"{run.directory} is not the run of a search, nor a training of a genotype")
    if config["space"] not in spaces.SPACES:  # a user's own network: it has no notation and no formula of its cost
        print(Genotype.from_dict(run.read_json("genotype.json")))
        return None
    where = spaces.recorded(config, **fields)
    text = config["genotype"] if config.get("command") == "train" else run.read_json("genotype.json")["text"]
    parsed = where.parse(str(text))
    if fields or not run.has("result.json"):
        _show_genotype(where, parsed)
        return where
    searched = config.get("command") == "search" and "proxies" not in config
    found = {**config, **run.read_json("result.json")}
    size = where.supernet_size if searched else where.network_size
    print(parsed)
    print(where.format(parsed))
    print(
        f"{found['parameters']:,} parameters, {(found.get('flops') or 0) / 1e6:,.2f} M FLOPs per image of the run "
        f"(channels {size.channels}, cells {size.cells})"
    )
    return where


def _show_genotype(where: Space, genotype: Genotype) -> None:
    settled, size = where.cost(genotype, unreached=False), where.network_size
    print(genotype)
    print(where.format(genotype))
    print(
        f"{settled.parameters:,} parameters, {settled.flops / 1e6:,.2f} M FLOPs per 32×32 image "
        f"(channels {size.channels}, cells {size.cells})"
    )


def _show_cost(where: Space, batch_size: int) -> None:
    step, size = step_cost(where, batch_size=batch_size), where.supernet_size
    print(
        f"search step of {where.name}, batch {batch_size}, 32×32 images "
        f"(channels {size.channels}, cells {size.cells}): {step.seconds:.2f} s, "
        f"peak memory {step.peak / 2**20:,.0f} MiB beside {step.weights / 2**20:,.1f} MiB of weights"
    )
