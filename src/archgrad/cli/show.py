"""The command ``archgrad show``."""

from __future__ import annotations

import os
from typing import Any

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.runs import Run
from archgrad.step_cost import step_cost


def show(
    genotype: str | None = None,
    *,
    space: str = "nasbench201",
    cost: bool = False,
    batch_size: int = 16,
    **fields: Any,
) -> None:
    """Show a genotype: its decisions, notation, parameters and FLOPs; or what a search step costs.

    Args:
        genotype: in the space's notation or JSON, or a run directory of a search
        space: the space of the genotype; that of the run, with the fields that the search was given
        cost: also measure the time and peak memory of a search step in the space's supernet
        batch_size: images of that step
    """
    if genotype is None and not cost:
        raise ArchgradError("show: give a genotype or a run directory, or --cost for what a search step takes")
    if genotype is not None and os.path.isdir(genotype):
        run = Run.open(genotype)
        if "space" not in run.config:
            raise ArchgradError(f"{genotype} is not the run of a search")
        found, space = run.read_json("genotype.json"), run.config["space"]
        if space not in spaces.SPACES:  # a user's own network: it has no notation and no formula of its cost
            print(Genotype.from_dict(found))
            return
        genotype, where = str(found["text"]), spaces.recorded(run.config, **fields)
    else:
        where = spaces.get(space, **fields)
    if genotype is not None:
        parsed = where.parse(genotype)
        settled, size = where.cost(parsed, unreached=False), where.network_size
        print(parsed)
        print(where.format(parsed))
        print(
            f"{settled.parameters:,} parameters, {settled.flops / 1e6:,.2f} M FLOPs per 32×32 image "
            f"(channels {size.channels}, cells {size.cells})"
        )
    if cost:
        step, size = step_cost(where, batch_size=batch_size), where.supernet_size
        print(
            f"search step of {space}, batch {batch_size}, 32×32 images "
            f"(channels {size.channels}, cells {size.cells}): {step.seconds:.2f} s, "
            f"peak memory {step.peak / 2**20:,.0f} MiB beside {step.weights / 2**20:,.1f} MiB of weights"
        )
