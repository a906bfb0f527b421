"""The command ``archgrad show``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from archgrad import console, spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.options import require_absent
from archgrad.runs import Run
from archgrad.spaces import Space, zoo
from archgrad.step_cost import step_cost


def show(
    genotype: str | None = None,
    *,
    space: str | None = None,
    notation: str | None = None,
    reads: str | None = None,
    cost: bool = False,
    batch_size: int | None = None,
    **fields: Any,
) -> None:
    """Show a genotype: its decisions, notation, parameters and FLOPs; or what a search step costs.

    Args:
        genotype: in the space's notation or JSON, the name of a published one such as pdarts, or the run directory of a
            search or a training
        space: the space of a genotype, nasbench201 by default, or that of a published one
        notation: write it as another program reads it, and nothing else: darts, pc_darts, nni, nasbench301, naslib,
            confopt, json and others, depending on the space
        reads: the notation in which it is given, where that cannot be told, as of the six numbers of naslib
        cost: also measure the time and peak memory of a search step in the space's supernet
        batch_size: images of that step, 16 by default
    """
    if genotype is None and not cost:
        raise ArchgradError("show: give a genotype or a run directory, or --cost for what a search step takes")
    if not cost:
        require_absent("is that of the step that --cost measures", batch_size=batch_size)
    where: Space | None
    if genotype is not None and os.path.isdir(genotype):  # also of what cannot be a name: a long genotype
        require_absent("is for a genotype, and a run has its own", space=space, reads=reads)
        where = _show_run(Run.open(genotype), fields, notation)
    else:
        where = spaces.of_genotype(genotype or "", space, **fields)
        if genotype is not None:
            _show_genotype(where, where.parse(genotype, reads), notation)
            if notation is None and (published := zoo.named(genotype)) is not None:
                _show_published(published)
    if cost and where is None:
        raise ArchgradError(f"show: --cost is for a space, and {genotype} is the search of a network of your own")
    if cost and where is not None:
        _show_cost(where, 16 if batch_size is None else batch_size)


def _show_run(run: Run, fields: dict[str, Any], notation: str | None) -> Space | None:
    """What a run found or trained, in the size that it had there, or in another that is asked for."""
    config = run.config
    if "space" not in config:
        raise ArchgradError(f"{run.directory} is not the run of a search, nor a training of a genotype")
    if config["space"] not in spaces.SPACES:  # a user's own network: it has no notation and no formula of its cost
        if notation is not None:
            raise ArchgradError("show: --notation is for spaces, and a network of your own has none but JSON")
        _show_own(run)
        return None
    where = spaces.recorded(config, **fields)
    text = config["genotype"] if config.get("command") == "train" else run.read_json("genotype.json")["text"]
    parsed = where.parse(str(text))
    if fields or notation or not run.has("result.json"):
        _show_genotype(where, parsed, notation)
        return where
    searched = config.get("command") == "search" and "proxies" not in config
    found = {**config, **run.read_json("result.json")}
    size = where.supernet_size if searched else where.network_size
    _say_genotype(where, parsed)
    _say_cost(found["parameters"], found.get("flops") or 0, "image of the run", size._asdict())
    return where


def _show_own(run: Run) -> None:
    """What was found in a network of the user's own, which has no notation and no formula of its cost."""
    genotype = Genotype.from_dict(run.read_json("genotype.json"))
    groups = run.read_json("result.json").get("groups", {}) if run.has("result.json") else {}
    console.say(genotype.told({name: group["edges"] for name, group in groups.items()}))
    console.give(genotype=genotype.to_json(), choices=genotype.choices)


def _show_genotype(where: Space, genotype: Genotype, notation: str | None) -> None:
    if notation is not None:
        text = where.written(genotype, notation)
        console.say(text)
        console.give(space=where.name, notation=notation, genotype=text)
        return
    settled = where.cost(genotype, unreached=False)
    _say_genotype(where, genotype)
    _say_cost(settled.parameters, settled.flops, "32×32 image", where.network_size._asdict())


def _say_genotype(where: Space, genotype: Genotype) -> None:
    edges = {name: [(edge.source, edge.target) for edge in of_group] for name, of_group in where.edges.items()}
    console.say(genotype.told(edges), where.format(genotype))
    console.give(space=where.name, genotype=where.format(genotype), choices=genotype.choices)


def _say_cost(parameters: int, flops: float, image: str, size: Mapping[str, int]) -> None:
    shown = ", ".join(f"{name} {value}" for name, value in size.items())
    console.say(f"{parameters:,} parameters, {flops / 1e6:,.2f} M FLOPs per {image} ({shown})")
    console.give(parameters=parameters, flops=flops, **size)


def _show_published(found: zoo.Published) -> None:
    """Who published it, and what was measured with it."""
    console.say(f"{found.title}, {found.url}; {found.source}", *map(str, found.results))
    console.give(published=found)


def _show_cost(where: Space, batch_size: int) -> None:
    step, size = step_cost(where, batch_size=batch_size), where.supernet_size
    console.say(
        f"search step of {where.name}, batch {batch_size}, 32×32 images "
        f"(channels {size.channels}, cells {size.cells}): {step.seconds:.2f} s, "
        f"peak memory {step.peak / 2**20:,.0f} MiB beside {step.weights / 2**20:,.1f} MiB of weights"
    )
    console.give(step={**step._asdict(), "batch_size": batch_size, **size._asdict()})
