"""What every search space answers."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import nn

from archgrad import genotype as genotypes
from archgrad import notation as notations
from archgrad.data import Dataset
from archgrad.data.dataset import shape_text
from archgrad.engine.trace import complexity
from archgrad.errors import ArchgradError, require_whole, shown, unknown
from archgrad.genotype import Edge, Genotype, Group
from archgrad.operations.cost import Complexity, extent
from archgrad.spaces import zoo
from archgrad.supernet import Supernet

LARGEST = 10_000
"""Of channels and cells: beyond it no machine has room for the network, or somebody has mistyped."""


class Size(NamedTuple):
    """The channels of the first cell, and the number of cells (of one stage, where a network has stages)."""

    channels: int
    cells: int


class Notation(NamedTuple):
    """A way to write a genotype, and to read it where the text alone does not say which notation it is."""

    write: Callable[[Genotype], str]
    read: Callable[[Any], Genotype] | None = None
    """From the plain data in the text."""


@dataclass(frozen=True, kw_only=True)
class Space(ABC):
    """A set of architectures with a notation, a supernet that holds them all, and a network for each.

    A space is an immutable value, and the size of its networks is part of it: ``channels`` and ``cells``. None is the
    published number, which for some spaces differs between the supernet and the settled network. Further fields are
    those of the particular space; ``dataclasses.replace`` changes any of them.

    A space of your own needs a ``name``, the two published sizes, `groups` and `supernet`; the rest follows, and can
    be overridden where something better is known.
    """

    channels: int | None = None
    cells: int | None = None

    published_supernet: ClassVar[Size]
    published_network: ClassVar[Size]

    def __post_init__(self) -> None:
        given = {"channels": self.channels, "cells": self.cells}
        require_whole(self.name, 1, LARGEST, **{key: value for key, value in given.items() if value is not None})

    @property
    @abstractmethod
    def name(self) -> str:
        """What the space is called, and what its genotypes say of where they belong."""

    @property
    @abstractmethod
    def groups(self) -> Mapping[str, Group]:
        """What is decided, by group; counting, sampling and neighbourhoods follow from it."""

    # Sizes

    @property
    def supernet_size(self) -> Size:
        """Channels and cells of the supernet."""
        return self._sized(self.published_supernet)

    @property
    def network_size(self) -> Size:
        """Channels and cells of settled networks."""
        return self._sized(self.published_network)

    def _sized(self, published: Size) -> Size:
        channels, cells = self.channels, self.cells
        return Size(published.channels if channels is None else channels, published.cells if cells is None else cells)

    def as_searched(self) -> Self:
        """The space whose settled networks have the size of the supernet."""
        channels, cells = self.supernet_size
        return replace(self, channels=channels, cells=cells)

    @property
    def fields(self) -> dict[str, Any]:
        """Everything that can be chosen about this space, with its value."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.init and field.name != "name"
        }

    # Architectures

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

    def _single(self, genotype: Genotype, group: str) -> list[str]:
        """The operation of each edge of a group; refuses a genotype that keeps several, or none, on one of them."""
        kept = self.check(genotype).choices[group]
        for number, names in enumerate(kept):
            if len(names) != 1:
                raise ArchgradError(f"{self.name}: edge {number} must keep exactly one operation, got {list(names)}")
        return [names[0] for names in kept]

    # Notation

    @property
    def notations(self) -> dict[str, Notation]:
        """The notations in which genotypes of this space can be written, by name."""
        return {"json": Notation(Genotype.to_json)}

    def written(self, genotype: Genotype, notation: str) -> str:
        """The genotype in a notation by name; refuses notations of other spaces, and what a notation cannot say."""
        if notation not in self.notations:
            raise unknown(f"notation of {self.name}", notation, self.notations)
        return self.notations[notation].write(self.check(genotype))

    def parse(self, text: str, notation: str | None = None) -> Genotype:
        """A genotype from JSON, or from a notation of this space, however it was pasted; nothing in it is evaluated.

        It may also be the name of a published one, as `pdarts`: see `archgrad.spaces.zoo`. ``notation``: which one it
        is, where the text does not say that, as of the six numbers of NASLib. Refuses bad text with the reason.
        """
        if notation is not None and notation not in self.notations:
            raise unknown(f"notation of {self.name}", notation, self.notations)
        read = self.notations[notation].read if notation else None
        text = notations.unwrapped(notations.cleaned(text))
        if read is not None:
            return self.check(read(notations.read(text)))
        return self._read(zoo.notation(text))

    def _read(self, text: str) -> Genotype:
        """From JSON, or from a notation that says which one it is."""
        if text.startswith("{"):
            data = notations.read(text)
            if data is None:
                return Genotype.from_json(text)  # which says what is wrong
            if "choices" in data:
                return self.check(Genotype.from_dict(data))
        return self._parse(text)

    def _parse(self, text: str) -> Genotype:
        """From the notation that `format` writes; a space without one has JSON only."""
        if text.startswith("{"):
            return Genotype.from_json(text)
        raise ArchgradError(f"{self.name}: {shown(text)} is not a genotype in JSON")

    def format(self, genotype: Genotype) -> str:
        """The genotype in the space's own notation; JSON where it has none."""
        return self.check(genotype).to_json()

    # Networks

    def fitting(self, dataset: Dataset) -> dict[str, Any]:
        """The arguments ``classes`` and ``in_channels`` of networks for a dataset; refuses data that are no images."""
        if dataset.image_size is None:
            raise ArchgradError(
                f"{self.name}: its networks take images [channels, height, width], {dataset.name} has inputs of shape "
                f"{shape_text(dataset.shape)}"
            )
        return {"classes": dataset.classes, "in_channels": dataset.channels}

    @abstractmethod
    def supernet(self, *, classes: int = ..., in_channels: int = ..., executor: str = ..., seed: int = ...) -> Supernet:
        """The network that computes every choice as a mixture, in `supernet_size`."""

    def network(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        auxiliary: bool = False,
        unreached: bool = False,
    ) -> nn.Module:
        """The settled network in `network_size`, freshly initialised from torch's global generator.

        ``auxiliary``: with the auxiliary head, where the published network has one. ``unreached``: with the operations
        that do not carry anything to the output, where the published network has them.

        Unless a space says otherwise, it is a settled supernet.
        """
        if unreached:
            raise ArchgradError(f"{self.name}: networks have no operations that reach no output: unreached is False")
        seed, (channels, cells) = int(torch.randint(2**31, (), device="cpu")), self.network_size
        supernet = replace(self, channels=channels, cells=cells).supernet(classes=classes, in_channels=in_channels)
        return supernet.settle(self.check(genotype), seed=seed)

    def cost(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        unreached: bool = False,
    ) -> Complexity:
        """Parameters, and FLOPs per image, of the settled network.

        ``image_size``: height and width in pixels, or one number if they are equal.

        Unless a space has a formula, from one pass of the network without data.
        """
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network = self.network(genotype, classes=classes, in_channels=in_channels, unreached=unreached)
        return complexity(network, (in_channels, *extent(image_size)))

    def parameters(self, genotype: Genotype, **options: Any) -> int:
        """Trainable parameters of the settled network; arguments as in `cost`."""
        return self.cost(genotype, **options).parameters

    def flops(self, genotype: Genotype, **options: Any) -> int:
        """Multiply-accumulates per image of the settled network; arguments as in `cost`."""
        return self.cost(genotype, **options).flops


def described(text: str | None, made: Callable[..., Space], *args: Any, **settings: Any) -> Callable[..., Space]:
    """A space with some of its arguments given; its docstring says what it then is."""
    result = partial(made, *args, **settings)
    result.__doc__ = text
    return result
