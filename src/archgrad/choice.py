"""Open decisions inside a network: among operations (`Choice`) and among inputs (`InputChoice`)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.channels import partially
from archgrad.devices import placed
from archgrad.errors import ArchgradError, require_whole
from archgrad.genotype import Edge, Group, Kept


class Row(NamedTuple):
    """The part of a mixture that belongs to one site; ``edges``: how much every edge counts, None for 1.

    ``constants``: the weights of candidates that are not computed are added to their edge, as numbers.
    """

    weights: Float[Tensor, "edges ops"]
    active: list[list[bool]] | None
    extras: Mapping[str, Tensor]
    edges: Float[Tensor, "edges 1"] | None = None
    constants: bool = False

    @property
    def added(self) -> Float[Tensor, " edges"] | None:
        """What every edge adds beside its candidates; None for nothing."""
        if not self.constants or self.active is None:
            return None
        idle = ~torch.tensor(self.active)
        sums = (self.weights * placed(idle, self.weights.device)).sum(1)
        return sums if self.edges is None else sums * self.edges[:, 0]


class Site(nn.Module, ABC):
    """A place where the decisions of one group are open.

    `Supernet` binds the site's row of the mixture for the duration of its own forward pass; nothing else writes to a
    site. Subclasses compute their forward pass from `row` and say what remains of them once settled.
    """

    def __init__(self, group: Group):
        super().__init__()
        self.group = group
        self.bound: Row | None = None

    @property
    def row(self) -> Row:
        """The bound part of the mixture."""
        if self.bound is None:
            raise ArchgradError(
                f"the choice {self.group.name!r} was called outside its supernet: wrap the network in "
                "archgrad.Supernet and call supernet(x, mixture), or settle it"
            )
        return self.bound

    @abstractmethod
    def settle(self, kept: Kept) -> nn.Module:
        """What stands here once the decisions are made; takes the same inputs and reuses this site's modules."""

    def widen(self) -> None:
        """Give the candidates all channels, built anew, where a modifier showed them some only."""


class Sum(nn.Module):
    """The sum of several settled candidates."""

    def __init__(self, modules: Sequence[nn.Module]):
        super().__init__()
        self.terms = nn.ModuleList(modules)

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        first, *rest = (term(*args, **kwargs) for term in self.terms)
        total: Tensor = first
        for term in rest:
            total = total + term
        return total


def check_name(owner: str, name: str) -> None:
    """Refuse a name under which torch cannot store a module or a parameter."""
    if not name or "." in name or hasattr(nn.ModuleDict(), name) or hasattr(nn.ParameterDict(), name):
        raise ArchgradError(
            f"{owner}: {name!r} cannot be a name here, since torch's containers use it themselves: "
            "take one without dots that is not one of their attributes"
        )


class Partial(nn.Module):
    """A settled candidate that still sees one in ``share`` channels."""

    def __init__(self, inner: nn.Module, share: int):
        super().__init__()
        self.inner, self.share = inner, share

    def forward(self, x: Tensor) -> Tensor:
        return partially(self.inner, x, self.share)


Candidates = Mapping[str, nn.Module]


class Choice(Site):
    """One open decision among candidate modules that take the same inputs and return tensors of one shape.

    ``Choice({"conv3": …, "skip": nn.Identity()}, group="block")`` computes Σ_o w_o · candidate_o(inputs). Choices with
    the same ``group`` are decided together; without one, a choice is decided on its own and named after its place.

    ``candidates`` may be a function of the number of ``channels`` that makes them. Methods that show candidates only
    some of the channels, axis 1 of a single input whose shape they keep, then work here as in cells.

    >>> choice = Choice({"wide": nn.Linear(4, 4), "skip": nn.Identity()}, group="block")
    >>> choice = Choice(lambda channels: {"wide": nn.Linear(channels, channels), "skip": nn.Identity()}, channels=4)
    """

    def __init__(
        self,
        candidates: Candidates | Callable[[int], Candidates],
        group: str = "",
        channels: int | None = None,
    ):
        make = None if isinstance(candidates, Mapping | nn.Module) or not callable(candidates) else candidates
        if make is not None:
            require_whole(f"choice {group!r}: candidates made by a function", 1, channels=channels)
        elif channels is not None:
            raise ArchgradError(f"choice {group!r}: channels are for candidates that a function of them makes")
        found = _checked(candidates if make is None else make(channels or 0), group)
        super().__init__(Group(group, (Edge(0, 1, tuple(found)),)))
        self.make = make
        self.channels, self.share, self.random_channels = channels or 0, 1, False
        self.candidates = nn.ModuleDict(dict(found))
        self.extras: nn.ModuleDict | None = None
        """What is computed beside the candidates, by name, where anything is."""

    def narrow(self, share: int, random: bool = False) -> None:
        """Let candidates, built anew, see one in ``share`` channels, rounded down: the first, or ``random`` ones."""
        name = self.group.name
        if self.make is None:
            raise ArchgradError(f"choice {name!r}: give a function of the channels that makes its candidates")
        if not 1 <= share <= self.channels:
            raise ArchgradError(
                f"choice {name!r}: candidates cannot see one in {share} channels where there are {self.channels}: "
                "take more channels"
            )
        self.share, self.random_channels = share, random
        found = _checked(self.make(self.channels // share), name)
        if tuple(found) != self.group.operations:
            raise ArchgradError(
                f"choice {name!r}: its function makes {list(self.group.operations)} of {self.channels} channels, "
                f"and {list(found)} of {self.channels // share}"
            )
        self.candidates = nn.ModuleDict(dict(found))

    def widen(self) -> None:
        if self.share > 1:
            self.narrow(1)

    def beside(self, name: str, candidate: str) -> None:
        """Compute a copy of a candidate beside all of them; its weight is ``mixture.extras[name]``, or 1."""
        if self.extras is not None and name in self.extras:
            raise ArchgradError(f"choice {self.group.name!r}: there is already {name!r} beside its candidates")
        copied = nn.ModuleDict({name: copy.deepcopy(self.candidates[candidate])})
        self.extras = nn.ModuleDict({**(self.extras or {}), **copied})

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        if self.share == 1:
            return self._mixed(*args, **kwargs)
        if len(args) != 1 or kwargs or not isinstance(args[0], Tensor) or args[0].shape[1] != self.channels:
            raise ArchgradError(
                f"choice {self.group.name!r}: candidates that see one in {self.share} channels take one tensor "
                f"[batch, {self.channels}, …]"
            )
        x, order = args[0], None
        if self.random_channels and self.training:
            order = placed(torch.randperm(self.channels), x.device)
        return partially(self._mixed, x, self.share, order)

    def _mixed(self, *args: object, **kwargs: object) -> Tensor:
        weights, active, *_ = self.row
        total: Tensor | None = None
        for column, (name, candidate) in enumerate(self.candidates.items()):
            if active is not None and not active[0][column]:
                continue
            output = candidate(*args, **kwargs)
            if not isinstance(output, Tensor):
                raise ArchgradError(
                    f"choice {self.group.name!r}: candidate {name!r} returned {type(output).__name__}, "
                    "but outputs are mixed by adding and must be tensors"
                )
            if total is not None and output.shape != total.shape:
                raise ArchgradError(
                    f"choice {self.group.name!r}: candidate {name!r} returned shape {tuple(output.shape)}, "
                    f"the ones before it {tuple(total.shape)}"
                )
            term = output * weights[0, column]
            total = term if total is None else total + term
        if total is None:
            raise ArchgradError(f"choice {self.group.name!r}: the mixture computes none of its candidates")
        for name, module in (self.extras or {}).items():
            total = total + module(*args, **kwargs) * self.row.extras.get(name, 1.0)
        return total if self.row.added is None else total + self.row.added.to(total)

    def settle(self, kept: Kept) -> nn.Module:
        """The kept candidate, or the sum of the kept ones."""
        modules = [self.candidates[name] for name in kept[0]]
        if not modules:
            raise ArchgradError(f"choice {self.group.name!r}: at least one candidate must be kept")
        settled = modules[0] if len(modules) == 1 else Sum(modules)
        return settled if self.share == 1 else Partial(settled, self.share)


def _checked(candidates: object, group: str) -> Candidates:
    """The candidates of a choice, if they are that."""
    if not isinstance(candidates, Mapping | nn.ModuleDict):
        raise ArchgradError(
            f"choice {group!r}: candidates must be a dictionary, name → module, got {type(candidates).__name__}"
        )
    if not candidates:
        raise ArchgradError(f"choice {group!r} has no candidates: give at least one")
    for name, module in candidates.items():
        check_name(f"choice {group!r}: candidate", name)
        if not isinstance(module, nn.Module):
            raise ArchgradError(
                f"choice {group!r}: candidate {name!r} must be a torch.nn.Module, got {type(module).__name__}"
            )
    return candidates  # type: ignore[return-value]


class InputChoice(Site):
    """An open decision which of several tensors of one shape are read: Σ_i w_i · input_i.

    ``inputs``: their names, or how many there are. ``select``: how many stay once settled; their plain sum remains.
    """

    def __init__(self, inputs: int | Sequence[str], group: str = "", select: int = 1):
        names = tuple(f"input_{i}" for i in range(inputs)) if isinstance(inputs, int) else tuple(inputs)
        super().__init__(Group(group, (Edge(0, 1, names),), select=select))

    def forward(self, *inputs: Tensor) -> Tensor:
        weights, active, *_ = self.row
        names = self.group.operations
        if len(inputs) != len(names):
            raise ArchgradError(f"input choice {self.group.name!r}: expected {len(names)} inputs, got {len(inputs)}")
        terms = [
            tensor * weights[0, column] for column, tensor in enumerate(inputs) if active is None or active[0][column]
        ]
        if not terms:
            raise ArchgradError(f"input choice {self.group.name!r}: the mixture reads none of its inputs")
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total if self.row.added is None else total + self.row.added.to(total)

    def settle(self, kept: Kept) -> nn.Module:
        """A module that adds up the kept inputs."""
        if not kept[0]:
            raise ArchgradError(f"input choice {self.group.name!r}: at least one input must be kept")
        return SelectInputs([self.group.operations.index(name) for name in kept[0]])


class SelectInputs(nn.Module):
    """The sum of some of its inputs."""

    def __init__(self, indices: Sequence[int]):
        super().__init__()
        self.indices = tuple(indices)

    def forward(self, *inputs: Tensor) -> Tensor:
        total = inputs[self.indices[0]]
        for index in self.indices[1:]:
            total = total + inputs[index]
        return total

    def extra_repr(self) -> str:
        return f"indices={self.indices}"
