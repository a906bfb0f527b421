"""What the architecture would take: FLOPs, parameters or time."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.anneal import Anneal
from archgrad.choice import Site
from archgrad.context import Alphas, Context
from archgrad.data import Batches, Subset
from archgrad.devices import placed
from archgrad.engine import Cell
from archgrad.engine.candidates import candidates
from archgrad.engine.trace import INPUTS, counted, without_data
from archgrad.errors import ArchgradError, reason
from archgrad.formulas.settling import inclusion, selectable
from archgrad.genotype import Group
from archgrad.mixture import Mixture
from archgrad.nested import called, mapped
from archgrad.objective import Objective
from archgrad.randomness import derive
from archgrad.roles import Regulariser
from archgrad.supernet import Supernet

Kind = Literal["flops", "parameters", "latency"]
Place = tuple[str, int, int, int]
"""(group, site, edge, column) of a candidate."""

TIMED = 7  # repetitions of an operation, of which the median counts
IMAGES = 8  # in the batch that operations are timed with


@dataclass(frozen=True)
class Cost(Regulariser):
    """weight · E[cost(genotype)] / max cost(genotype), over genotypes drawn from the mixture as by `Sampled`.

    E = Σ over sites and edges of P(edge stays) · Σ_o w_o c_o / Σ_o w_o over the candidates o that a genotype may keep,
    exactly and differentiably. c are costs of the supernet's own operations, in its own size: multiply-accumulates of
    convolutions and matrix products per image, parameters, or measured time; decisions among inputs, and what is
    outside of choices, cost nothing. Operations whose result nobody reads are counted as well.

    ``shape``: of one input; by default an image of 32×32 pixels, or a vector, as the first layer reads it. Times are
    measured once per run, on the device of the search.

    *Source:* the expected FLOPs of SNAS, arXiv 1812.09926, section 2.3; the measured latency of ProxylessNAS,
    arXiv 1812.00332, equation 3. *Differs:* both leave P(edge stays) out. The program of SNAS counts nine operations
    per pooled number too, and takes the logarithm of FLOPs, size and memory accesses together; the library confopt
    takes the mean over cells of the logarithm of Σ_e Σ_o w c.
    """

    kind: Kind = "flops"
    weight: float | Anneal = 0.1
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ArchgradError(f"Cost: kind must be 'flops', 'parameters' or 'latency', got {self.kind!r}")

    def term(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        if context.supernet is None:
            raise ArchgradError("Cost needs a supernet in its context")
        expected, largest = self.expected(mixture, context)
        return expected / largest

    def expected(self, mixture: Mixture, context: Context) -> tuple[Tensor, float]:
        """The expected cost, and the largest one that a genotype can have."""
        supernet = context.supernet
        assert supernet is not None
        traced = _traced(supernet, self.shape)
        tables = self._tables(traced, supernet, context)
        largest = sum(_largest(group, tables[name].sum(0)) for name, group in supernet.groups.items())
        if largest <= 0:
            raise ArchgradError(f"Cost: no candidate of this supernet has any {self.kind}")
        total: Tensor | None = None
        for name, group in supernet.groups.items():
            if not bool(tables[name].any()):
                continue
            sums = _expected(group, mixture, tables[name])
            for site, around in enumerate(traced.around[name]):
                value = sums[site]
                for outer, at, edge, column in around:
                    value = value * mixture[outer][at, edge, column]
                total = value if total is None else total + value
        assert total is not None
        return total, largest

    def _tables(self, traced: _Traced, supernet: Supernet, context: Context) -> dict[str, Tensor]:
        if self.kind != "latency":
            return traced.flops if self.kind == "flops" else traced.parameters
        # In the checkpoint, unlike the others: no second measurement gives the same numbers.
        name = str(derive(0, repr(sorted((place, tuple(shape)) for place, shape in traced.shapes.items()))))
        memory = context.within("latency").memory
        if name not in memory:
            memory[name] = _timed(traced, supernet)
        found: dict[str, Tensor] = memory[name]
        return found


def _expected(group: Group, mixture: Mixture, costs: Float[Tensor, "sites edges ops"]) -> Float[Tensor, " sites"]:
    weights = selectable(group, mixture[group.name])
    mass = weights.sum(-1)
    per_edge = (weights * placed(costs, weights.device, weights.dtype)).sum(-1) / mass.clamp_min(
        torch.finfo(mass.dtype).tiny
    )
    if group.keep is None:
        return per_edge.sum(-1)
    shares = mixture.edges.get(group.name)
    strength = mass if shares is None else mass * shares[..., 0]
    parts = []
    for incoming in group.incoming.values():
        stays = inclusion(strength[:, list(incoming)], group.keep)
        parts.append((stays * per_edge[:, list(incoming)]).sum(-1))
    return torch.stack(parts).sum(0)


def _largest(group: Group, costs: Float[Tensor, "edges ops"]) -> float:
    """The cost of the most expensive genotype."""
    most = selectable(group, costs).amax(-1)
    if group.keep is None:
        return float(most.sum())
    return float(
        sum(most[list(edges)].topk(min(group.keep, len(edges))).values.sum() for edges in group.incoming.values())
    )


class _Traced(NamedTuple):
    """Costs of the candidates by group ``[sites, edges, ops]``; per site, the candidates that it lies within."""

    flops: dict[str, Tensor]
    parameters: dict[str, Tensor]
    shapes: dict[Place, torch.Size]
    around: dict[str, list[list[Place]]]


def _traced(supernet: Supernet, shape: tuple[int, ...] | None) -> _Traced:
    """What the candidates cost, from one pass of a copy without data; worked out once per supernet."""
    if ("cost", shape) not in supernet.derived:
        supernet.derived["cost", shape] = _trace(supernet, shape)
    found: _Traced = supernet.derived["cost", shape]
    return found


def _trace(supernet: Supernet, shape: tuple[int, ...] | None) -> _Traced:
    twin = without_data(supernet)
    for module in twin.network.modules():
        if isinstance(module, Cell):
            module.rules = nn.ModuleList()  # they compute some candidates together, which are counted one by one here
    stack, inner = list[Place](), list[list[int]]()
    places = {id(module): place for place, module in _candidates(twin)}
    sites = {id(site): (name, number) for name, number, site in _sites(twin)}
    found: dict[Place, list[int]] = {}
    shapes: dict[Place, torch.Size] = {}
    around = {name: [list[Place]() for _ in range(count)] for name, count in supernet.sites.items()}

    def enter(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if id(module) in sites:
            name, number = sites[id(module)]
            around[name][number] = list(stack)
        if id(module) in places:
            stack.append(places[id(module)])
            shapes[stack[-1]] = arguments[0].shape
            inner.append([so_far(), 0, 0])

    def leave(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        if id(module) not in places:
            return
        place, (start, flops_inside, parameters_inside) = stack.pop(), inner.pop()
        flops = so_far() - start
        parameters = sum(p.numel() for p in module.parameters())
        found[place] = [flops - flops_inside, parameters - parameters_inside]
        if inner:  # the candidate around this one is not charged for it
            inner[-1][1] += flops
            inner[-1][2] += parameters

    for module in twin.network.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    x = torch.empty(INPUTS, *(shape or _shape(supernet.network)), device="meta")
    try:
        with counted() as so_far:
            twin(x, twin.uniform())
    except RuntimeError as error:
        raise ArchgradError(f"the network cannot take an input of shape {list(x.shape[1:])}: {reason(error)}") from None
    tables = [
        {name: torch.zeros(supernet.sites[name], *group.mask.shape).double() for name, group in supernet.groups.items()}
        for _ in range(2)
    ]
    for (name, *place), (flops, parameters) in found.items():
        tables[0][name][tuple(place)] = flops / INPUTS
        tables[1][name][tuple(place)] = parameters
    return _Traced(tables[0], tables[1], shapes, around)


def _sites(supernet: Supernet) -> list[tuple[str, int, Site]]:
    """(group, number, site) in the order of mixtures."""
    counts: dict[str, int] = {}
    found = []
    for module in supernet.network.modules():
        if isinstance(module, Site):
            number = counts.get(module.group.name, 0)
            counts[module.group.name] = number + 1
            found.append((module.group.name, number, module))
    return found


def _candidates(supernet: Supernet) -> list[tuple[Place, nn.Module]]:
    return [
        ((candidate.group.name, candidate.site, candidate.edge, candidate.column), candidate.module)
        for candidate in candidates(supernet.network)
        if candidate.column is not None
    ]


def _shape(network: nn.Module) -> tuple[int, ...]:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return (module.in_channels, 32, 32)
        if isinstance(module, nn.Linear):
            return (module.in_features,)
    raise ArchgradError("Cost: give the shape of one input, as in Cost(shape=(3, 32, 32)): no layer tells it")


def _timed(traced: _Traced, supernet: Supernet) -> dict[str, Tensor]:
    """Milliseconds of a forward pass of every candidate; equal ones on equal inputs are timed once."""
    device = next(supernet.parameters()).device
    tables = {name: torch.zeros_like(table) for name, table in traced.flops.items()}
    known: dict[str, float] = {}
    for place, module in _candidates(supernet):
        if place not in traced.shapes:
            continue
        key = f"{module!r} {tuple(traced.shapes[place])}"
        if key not in known:
            known[key] = _time(copy.deepcopy(module), traced.shapes[place], device)
        name, *rest = place
        tables[name][tuple(rest)] = known[key]
    if dist.is_available() and dist.is_initialized():  # all processes go by the same numbers
        everything: list[Any] = [tables]
        dist.broadcast_object_list(everything)
        tables = everything[0]
    return tables


def latency(network: nn.Module, subset: Subset) -> float:
    """Milliseconds of a forward pass of a network per input of a data set, on the network's device."""
    x, _ = next(Batches(subset.take(torch.arange(IMAGES) % len(subset)), IMAGES, workers=0).epoch())
    device = next(network.parameters()).device
    return _median(network, mapped(lambda tensor: tensor.to(device), x), device) / IMAGES


def _time(module: nn.Module, shape: torch.Size, device: torch.device) -> float:
    return _median(module, torch.rand(IMAGES, *shape[1:], device=device), device)


@torch.no_grad()
def _median(module: nn.Module, x: Any, device: torch.device) -> float:
    module = module.eval()
    times = []
    for _ in range(TIMED + 2):
        start = time.perf_counter()
        called(module, x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])
