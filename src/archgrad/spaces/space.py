"""What every search space answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn

from archgrad import genotype as genotypes
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Genotype, Group
from archgrad.operations.cost import Complexity
from archgrad.supernet import Supernet


class Space(ABC):
    """A set of architectures with a notation, a supernet that holds them all, and a network for each.

    Spaces are immutable values. ``search_size`` and ``network_size`` are the ``channels`` and ``cells`` of the
    published supernet and of its settled network.
    """

    name: str
    search_size: ClassVar[Mapping[str, int]]
    network_size: ClassVar[Mapping[str, int]]

    @property
    @abstractmethod
    def groups(self) -> Mapping[str, Group]:
        """What is decided, by group; counting, sampling and neighbourhoods follow from it."""

    @property
    def operations(self) -> tuple[str, ...]:
        """The candidates of all groups, in order of first appearance."""
        return tuple(dict.fromkeys(name for group in self.groups.values() for name in group.operations))

    @property
    def edges(self) -> dict[str, tuple[Edge, ...]]:
        """Group → its edges."""
        return {name: group.edges for name, group in self.groups.items()}

    @property
    def count(self) -> int:
        """The number of architectures."""
        return genotypes.count(self.groups)

    def random(self, generator: torch.Generator | None = None) -> Genotype:
        """A genotype drawn uniformly."""
        return genotypes.sample(self.groups, generator or torch.default_generator, self.name)

    def neighbours(self, genotype: Genotype, radius: int = 1) -> Iterator[Genotype]:
        """All architectures at exactly ``radius`` edits of one decision, lazily, the parent untouched."""
        return genotypes.neighbours(genotype, self.groups, radius)

    def distance(self, a: Genotype, b: Genotype) -> int:
        """The least number of edits of one decision that turn ``a`` into ``b``."""
        first, second = (genotypes.current_settings(g, self.groups) for g in (a, b))
        return sum(
            genotypes.slot_distance(x, y) for name in first for x, y in zip(first[name], second[name], strict=True)
        )

    def check(self, genotype: Genotype) -> Genotype:
        """The genotype itself if its groups, edges and operations are of this space; refuses it with the reason."""
        if genotype.space not in ("", self.name):
            raise ArchgradError(f"genotype: it belongs to the space {genotype.space!r}, not {self.name!r}")
        genotypes.check(genotype, self.groups)
        return genotype

    def parse(self, text: str) -> Genotype:
        """A genotype from the space's own notation or from JSON; refuses bad text with the reason."""
        text = text.strip()
        if text.startswith("{"):
            return self.check(Genotype.from_json(text))
        return self._parse(text)

    @abstractmethod
    def _parse(self, text: str) -> Genotype: ...

    @abstractmethod
    def format(self, genotype: Genotype) -> str:
        """The genotype in the space's own notation."""

    @abstractmethod
    def supernet(
        self,
        *,
        channels: int = ...,
        cells: int = ...,
        classes: int = ...,
        in_channels: int = ...,
        seed: int = ...,
        executor: str = ...,
    ) -> Supernet:
        """The network that computes every choice as a mixture."""

    @abstractmethod
    def network(
        self, genotype: Genotype, *, channels: int = ..., cells: int = ..., classes: int = ..., in_channels: int = ...
    ) -> nn.Module:
        """The settled network of a genotype, freshly initialised from torch's global generator."""

    @abstractmethod
    def cost(
        self,
        genotype: Genotype,
        *,
        channels: int = ...,
        cells: int = ...,
        classes: int = ...,
        in_channels: int = ...,
        image_size: int = ...,
        unreached: bool = ...,
    ) -> Complexity:
        """Parameters and FLOPs of the settled network by formula."""

    def parameters(self, genotype: Genotype, **size: Any) -> int:
        """Trainable parameters of the settled network, by formula; arguments as in `cost`."""
        return self.cost(genotype, **size).parameters

    def flops(self, genotype: Genotype, **size: Any) -> int:
        """Multiply-accumulates per image of the settled network, by formula; arguments as in `cost`."""
        return self.cost(genotype, **size).flops


def described(text: str | None, made: Callable[..., Space], *args: Any, **settings: Any) -> Callable[..., Space]:
    """A space with some of its arguments given; its docstring says what it then is."""
    result = partial(made, *args, **settings)
    result.__doc__ = text
    return result
