"""A network with open choices as a pure function of its input and a mixture."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from archgrad import genotype as genotypes
from archgrad.choice import Row, Site, check_name
from archgrad.devices import placed
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Group
from archgrad.identity import of_network
from archgrad.mixture import Mixture
from archgrad.nested import called
from archgrad.randomness import generator as seeded
from archgrad.randomness import isolated

EDGES = "@edges"
"""After a group's name in ``alphas``: the parameters of its edges, ``[edges, 1]``."""


SPREAD = 1e-3
"""Standard deviation of alphas at the start."""


class SpaceLike(Protocol):
    """What a supernet may know of the space it came from."""

    @property
    def name(self) -> str: ...

    def format(self, genotype: Genotype) -> str: ...

    def parse(self, text: str) -> Genotype: ...


class Supernet(nn.Module):
    """Any module that holds choices, together with one tensor of architecture parameters per group.

    ``supernet(x, mixture)`` depends on its arguments, weights and buffers only. ``x`` is passed to the network as it
    is; a tuple becomes several arguments, a dict keyword arguments.

    ``alphas``: group → Parameter ``[edges, ops]``, drawn from 1e-3·N(0, 1) by ``seed``; a modifier may add others
    under names that are no groups.
    ``sites``: group → number of places where it occurs, in the order of ``network.named_modules()``.
    ``groups``: group → what has to be decided there.

    Raises `ArchgradError` when there is no choice in the network, or when choices share a group but not its candidates.
    """

    def __init__(self, network: nn.Module, *, space: SpaceLike | None = None, seed: int = 0):
        super().__init__()
        self.network = network
        self.space = space
        self._places: dict[str, list[tuple[str, Site]]] = {}
        self.derived: dict[Hashable, Any] = {}
        """What others worked out from its structure, and need not work out again; no part of its state."""
        self._weights: list[nn.Parameter] | None = None
        self.groups: dict[str, Group] = {}
        for path, module in network.named_modules():
            if isinstance(module, Site):
                self._register(path, module)
        if not self.groups:
            raise ArchgradError(
                f"{type(network).__name__} has no open choice: put an archgrad.Choice where a layer should be decided"
            )
        draw = seeded(seed, "alphas")
        self.alphas = nn.ParameterDict(
            {
                name: nn.Parameter(SPREAD * torch.randn(len(group.edges), len(group.operations), generator=draw))
                for name, group in self.groups.items()
            }
        )

    def _register(self, path: str, site: Site) -> None:
        if not site.group.name:
            site.group = replace(site.group, name=path.replace(".", "/") or "choice")
        name = site.group.name
        check_name("group", name)
        known = self.groups.setdefault(name, site.group)
        if known != site.group:
            raise ArchgradError(
                f"choices of group {name!r} differ: {known.operations} at {self._places[name][0][0]!r}, "
                f"{site.group.operations} at {path!r}; choices that share a group need the same candidates"
            )
        self._places.setdefault(name, []).append((path, site))

    def record(self) -> dict[str, Any]:
        """What identifies it, as plain data: the places of its choices, their candidates in order, and its tensors."""
        own = self.space is None  # executors, between which a run may change, build a space's cells of other modules
        groups = {
            name: {
                "places": [path for path, _ in self._places[name]] if own else len(self._places[name]),
                "edges": [f"{edge.source} → {edge.target}: {', '.join(edge.candidates)}" for edge in group.edges],
                "stays": f"{group.keep} edges, {group.select} candidates, never {sorted(group.excluded)}",
            }
            for name, group in self.groups.items()
        }
        return {"groups": groups, **of_network(self.network, structure=own)}

    @property
    def sites(self) -> dict[str, int]:
        """Group → number of places where it occurs."""
        return {name: len(places) for name, places in self._places.items()}

    @property
    def space_name(self) -> str:
        """The name of the space it came from; empty for a user's own network."""
        return self.space.name if self.space else ""

    @property
    def masks(self) -> dict[str, Tensor]:
        """Group → ``[edges, ops]`` on the host, True where the candidate exists."""
        return {name: group.mask for name, group in self.groups.items()}

    def weights(self) -> list[nn.Parameter]:
        """The network's own parameters that are trained: everything but the alphas and what the user froze."""
        every = self.network.parameters() if self._weights is None else self._weights
        return [weight for weight in every if weight.requires_grad]

    def fix_weights(self) -> None:
        """Have the network no longer looked through for its parameters, as it is several times in a step.

        To be called when they are given to an optimiser, which would not know of later ones either.
        """
        self._weights = list(self.network.parameters())

    def forward(self, x: Any, mixture: Mixture) -> Any:
        with self._bind(mixture):
            return called(self.network, x)

    @contextmanager
    def _bind(self, mixture: Mixture) -> Iterator[None]:
        """Hand every site its row; the rows of an outer call come back afterwards, so calls may nest."""
        sites = [site for places in self._places.values() for _, site in places]
        before = [site.bound for site in sites]
        try:
            for name, places in self._places.items():
                weights = self._weights_of(mixture, name)
                active, edges = mixture.active.get(name), mixture.edges.get(name)
                for number, (_, site) in enumerate(places):
                    site.bound = Row(
                        weights[number],
                        None if active is None else active[number].tolist(),
                        mixture.extras,
                        None if edges is None else edges[number],
                        mixture.constants,
                    )
            yield
        finally:
            for site, row in zip(sites, before, strict=True):
                site.bound = row

    def _weights_of(self, mixture: Mixture, name: str) -> Tensor:
        if name not in mixture:
            raise ArchgradError(f"the mixture says nothing about group {name!r}; it has {sorted(mixture)}")
        weights = mixture[name]
        expected = (self.sites[name], len(self.groups[name].edges), len(self.groups[name].operations))
        if tuple(weights.shape) != expected:
            raise ArchgradError(
                f"mixture of group {name!r}: expected [sites, edges, ops] = {list(expected)}, got {list(weights.shape)}"
            )
        return weights

    def one_hot(self, genotype: Genotype) -> Mixture:
        """The mixture that computes exactly what a genotype keeps, each with weight 1."""
        genotypes.check(genotype, self.groups)
        weights, active = {}, {}
        for name, group in self.groups.items():
            kept = genotype.choices[name]
            rows = torch.tensor([[op in names for op in group.operations] for names in kept])
            active[name] = rows.expand(self.sites[name], -1, -1)
            alpha = self.alphas[name]
            weights[name] = placed(rows, alpha.device, alpha.dtype).expand(self.sites[name], -1, -1)
        return Mixture(weights, active)

    def uniform(self) -> Mixture:
        """The mixture that gives all candidates of an edge the same weight."""
        weights = {}
        for name, mask in self.masks.items():
            alpha = self.alphas[name]
            row = placed(mask / mask.sum(-1, keepdim=True), alpha.device, alpha.dtype)
            weights[name] = row.expand(self.sites[name], -1, -1)
        return Mixture(weights)

    def random(self, generator: torch.Generator, candidates: Mapping[str, Tensor] | None = None) -> Genotype:
        """A genotype drawn uniformly from all architectures, or from those of some candidates (`genotype.sample`)."""
        return genotypes.sample(self.groups, generator, self.space_name, candidates)

    def settle(self, genotype: Genotype, inherit: bool = False, seed: int = 0) -> nn.Module:
        """The plain network in which every choice is replaced by what the genotype keeps.

        The supernet is left untouched. With ``inherit`` the network starts from copies of the supernet's weights;
        otherwise every module is initialised afresh by its ``reset_parameters()`` from ``seed``, and sees all channels
        whatever the candidates of the supernet saw.
        """
        genotypes.check(genotype, self.groups)
        network = copy.deepcopy(self.network)
        if not inherit:
            with isolated(seed, "settle"):
                for module in list(network.modules()):
                    if isinstance(module, Site):
                        module.widen()
        network = _settled(network, genotype.choices)
        if not inherit:
            with isolated(seed, "settle"):
                _reset(network)
        return network

    @torch.no_grad()
    def take_over(self, other: Supernet) -> None:
        """Take over everything of another supernet that has the same name and number of dimensions here.

        Tensors that only grew (more channels) keep what they had in their first entries.
        """
        theirs = other.state_dict()
        for name, mine in self.state_dict().items():
            old = theirs.get(name)
            if old is not None and old.dim() == mine.dim():
                common = tuple(slice(min(a, b)) for a, b in zip(mine.shape, old.shape, strict=True))
                mine[common] = old[common]


class Mixed(nn.Module):
    """A supernet at one mixture, as a plain network."""

    def __init__(self, supernet: Supernet, mixture: Mixture):
        super().__init__()
        self.supernet, self.mixture = supernet, mixture
        self.training = supernet.training

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The outputs for a batch."""
        x = named or (inputs[0] if len(inputs) == 1 else inputs)
        return self.supernet(x, self.mixture)


def _settled(module: nn.Module, choices: Mapping[str, genotypes.Kept]) -> nn.Module:
    """The module with every choice in it replaced by what stays; choices inside kept candidates included."""
    while isinstance(module, Site):
        module = module.settle(choices[module.group.name])
    if callable(plain := getattr(module, "settled", None)):  # what a modifier put in the place of a plain module
        return cast(nn.Module, plain())
    for name, child in list(module._modules.items()):
        if child is not None:
            module._modules[name] = _settled(child, choices)
    return module


def _reset(network: nn.Module) -> None:
    for path, module in network.named_modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise ArchgradError(
                f"settle: {path or 'the network'} ({type(module).__name__}) has parameters but no reset_parameters(): "
                "define it, or keep the supernet's weights with inherit=True"
            )
