"""Settled architectures as plain data, and the combinatorics of the decisions that lead to them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from archgrad.errors import ArchgradError, shown, unknown
from archgrad.foreign.plain import parsed_json

Kept = tuple[tuple[str, ...], ...]
"""Per edge of a group, the names of the candidates that stay; an empty tuple for an edge that is removed."""

Setting = tuple[tuple[int, str], ...]
"""One way to settle a slot: the kept (edge, candidate) pairs."""


@dataclass(frozen=True)
class Edge:
    """One open decision: which candidate computes the way from state ``source`` to state ``target``."""

    source: int
    target: int
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Slot:
    """Decisions that are settled together: one edge, or all edges that compete for the places of one node."""

    group: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Group:
    """What has to be decided wherever this group occurs, and by which rule.

    ``keep``: edges that stay per target state, None for all of them (DARTS: 2).
    ``excluded``: candidates of the mixture that never enter a genotype (DARTS: ``none``).
    ``select``: candidates that stay per edge (an `InputChoice` may read several inputs).
    ``repeats``: whether a genotype may keep the same candidate of an edge twice, as published cells of NASNet do; none
    that is drawn does.

    ``operations``: the candidates of all edges, in order of first appearance: the columns of alphas and mixtures.
    ``incoming``: target state → the numbers of the edges that end there.
    Both are there from the start: torch.compile cannot trace a cached property (its lock, before Python 3.12).
    """

    name: str
    edges: tuple[Edge, ...]
    keep: int | None = None
    excluded: frozenset[str] = frozenset()
    select: int = 1
    repeats: bool = False
    operations: tuple[str, ...] = field(init=False, repr=False, compare=False)
    incoming: dict[int, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        targets = dict.fromkeys(edge.target for edge in self.edges)
        incoming = {t: tuple(i for i, edge in enumerate(self.edges) if edge.target == t) for t in targets}
        object.__setattr__(self, "incoming", incoming)
        operations = tuple(dict.fromkeys(name for edge in self.edges for name in edge.candidates))
        object.__setattr__(self, "operations", operations)
        for edge in self.edges:
            if not edge.candidates:
                raise ArchgradError(f"group {self.name!r}: edge {edge.source}→{edge.target} has no candidates")
            if len(set(edge.candidates)) != len(edge.candidates):
                raise ArchgradError(f"group {self.name!r}: a candidate is named twice in {list(edge.candidates)}")
            if len(edge.candidates) - len(self.excluded & set(edge.candidates)) < self.select:
                raise ArchgradError(
                    f"group {self.name!r}: {self.select} of the candidates {list(edge.candidates)} must stay, "
                    "but fewer can be selected"
                )

    @cached_property
    def mask(self) -> Bool[Tensor, "edges ops"]:
        """True where an edge has the candidate of that column."""
        rows = [[name in edge.candidates for name in self.operations] for edge in self.edges]
        return torch.tensor(rows, device="cpu")  # also where a network is built without data

    def selectable(self, edge: int) -> tuple[str, ...]:
        """The candidates of an edge that may enter a genotype."""
        return tuple(name for name in self.edges[edge].candidates if name not in self.excluded)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The independent decisions of this group with all their settings."""

        def settings(edges: tuple[int, ...]) -> Iterator[Setting]:
            ways = [[tuple((e, n) for n in names) for names in self._selections(e)] for e in edges]
            for way in itertools.product(*ways):
                yield tuple(itertools.chain.from_iterable(way))

        if self.keep is None:
            return tuple(Slot(self.name, tuple(settings((e,)))) for e in range(len(self.edges)))
        return tuple(
            Slot(
                self.name,
                tuple(
                    s
                    for edges in itertools.combinations(incoming, min(self.keep, len(incoming)))
                    for s in settings(edges)
                ),
            )
            for incoming in self.incoming.values()
        )

    def _selections(self, edge: int) -> Iterator[tuple[str, ...]]:
        return itertools.combinations(self.selectable(edge), self.select)


@dataclass(frozen=True)
class Genotype:
    """A settled architecture: group → per edge the names of the candidates that stay.

    Plain data: compares by value, hashes, prints, and goes to and from JSON. ``space`` names the space whose notation
    and networks it belongs to, and is empty for a user's own network.

    >>> g = Genotype.of({"block": [["conv3"]]})
    >>> Genotype.from_json(g.to_json()) == g
    True
    """

    items: tuple[tuple[str, Kept], ...]
    space: str = ""

    @classmethod
    def of(cls, choices: Mapping[str, Any], space: str = "") -> Genotype:
        """From any mapping of group → sequence (edges) of sequences (kept names)."""
        try:
            items = tuple(
                (str(g), tuple(tuple(str(n) for n in _names(kept)) for kept in choices[g])) for g in sorted(choices)
            )
        except TypeError:
            raise ArchgradError(
                f"genotype: every group needs a list of edges, each a list of names, got {shown(dict(choices))}"
            ) from None
        return cls(items, space)

    @property
    def choices(self) -> dict[str, Kept]:
        """Group → kept candidates per edge."""
        return dict(self.items)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready plain data."""
        return {"space": self.space, "choices": {g: [list(names) for names in kept] for g, kept in self.items}}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Any) -> Genotype:
        """The inverse of `to_dict`; other keys are ignored."""
        if not isinstance(data, dict) or not isinstance(data.get("choices"), dict):
            raise ArchgradError("genotype: expected an object with a key 'choices': {group: [[names], …]}")
        return cls.of(data["choices"], str(data.get("space", "")))

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """The inverse of `to_json`."""
        return cls.from_dict(parsed_json(text, "genotype"))

    def __str__(self) -> str:
        lines = [f"Genotype {self.space}".rstrip()]
        for group, kept in self.items:
            shown = ", ".join(f"{e}: {' + '.join(names)}" for e, names in enumerate(kept) if names)
            lines.append(f"  {group}: {shown or 'nothing'}")
        return "\n".join(lines)

    def told(self, edges: Mapping[str, Sequence[tuple[int, int]]]) -> str:
        """For people: what stays on every edge; ``edges``: those of every group, as (source, target).

        >>> print(Genotype.of({"cell": [["skip"], [], ["conv", "pool"]]}).told({"cell": [(0, 1), (0, 2), (1, 2)]}))
        Genotype
          cell: 0→1 skip, 1→2 conv + pool
        """
        lines = [f"Genotype {self.space}".rstrip()]
        for group, kept in self.items:
            places = edges.get(group, ())
            several = len(kept) > 1 and len(places) == len(kept)
            names = [f"{s}→{t} " for s, t in places] if several else [""] * len(kept)
            shown = [f"{place}{' + '.join(names)}" for place, names in zip(names, kept, strict=True) if names]
            lines.append(f"  {group}: {', '.join(shown) or 'nothing'}")
        return "\n".join(lines)


def _names(kept: Any) -> Any:
    if isinstance(kept, str):
        raise TypeError(kept)
    return kept


def check(genotype: Genotype, groups: Mapping[str, Group]) -> None:
    """Refuse a genotype that cannot settle ``groups``, with the reason.

    More or fewer edges per node than a group keeps are allowed: a threshold may settle so.
    """
    if missing := sorted(set(groups) - set(genotype.choices)):
        raise ArchgradError(f"genotype: nothing is said about the group {missing[0]!r}")
    for name, kept in genotype.items:
        if name not in groups:
            raise unknown("group in the genotype", name, groups)
        group = groups[name]
        if len(kept) != len(group.edges):
            raise ArchgradError(f"genotype: group {name!r} has {len(group.edges)} edges, got {len(kept)}")
        for number, (names, edge) in enumerate(zip(kept, group.edges, strict=True)):
            place = f"edge {number} ({edge.source}→{edge.target}) of group {name!r}"
            for candidate in names:
                if candidate not in edge.candidates:
                    raise unknown(f"operation at {place}", candidate, edge.candidates)
                if names.count(candidate) > 1 and not group.repeats:
                    raise ArchgradError(f"genotype: {place} keeps {candidate!r} more than once")


def is_skip(candidate: str) -> bool:
    """Whether a candidate of that name is a skip connection: ``skip…`` or ``identity…``, as all spaces call them."""
    return candidate.lower().startswith(("skip", "identity"))


def skips(kept: Kept) -> int:
    """The number of skip connections that a settled group keeps."""
    return sum(is_skip(candidate) for names in kept for candidate in names)


def settle_slots(settings: Mapping[str, list[Setting]], groups: Mapping[str, Group], space: str = "") -> Genotype:
    """The genotype made of one setting for every slot."""
    choices: dict[str, Kept] = {}
    for name, group in groups.items():
        pairs = {pair for setting in settings[name] for pair in setting}
        choices[name] = tuple(
            tuple(candidate for candidate in edge.candidates if (number, candidate) in pairs)
            for number, edge in enumerate(group.edges)
        )
    return Genotype.of(choices, space)


def count(groups: Mapping[str, Group]) -> int:
    """The number of architectures."""
    product = 1
    for group in groups.values():
        for slot in group.slots:
            product *= len(slot.settings)
    return product


def sample(
    groups: Mapping[str, Group],
    generator: torch.Generator,
    space: str = "",
    candidates: Mapping[str, Tensor] | None = None,
) -> Genotype:
    """A genotype drawn uniformly from all architectures.

    ``candidates``: group → ``[edges, ops]`` on the host, True for those that may be drawn; all others by default.
    """

    def draw(group: Group, slot: Slot) -> Setting:
        left = slot.settings if candidates is None else _settings(group, slot, candidates[group.name])
        return left[int(torch.randint(len(left), (), generator=generator))]

    drawn = {name: [draw(group, slot) for slot in group.slots] for name, group in groups.items()}
    return settle_slots(drawn, groups, space)


def _settings(group: Group, slot: Slot, candidates: Bool[Tensor, "edges ops"]) -> Sequence[Setting]:
    """The settings of a slot that keep candidates only."""
    names = [{op for op, there in zip(group.operations, row, strict=True) if there} for row in candidates.tolist()]
    left = [setting for setting in slot.settings if all(name in names[edge] for edge, name in setting)]
    if not left:
        raise ArchgradError(f"group {group.name!r}: no genotype is left to be drawn")
    return left


def slot_distance(a: Setting, b: Setting) -> int:
    """Elementary edits between two settings of a slot: changing one candidate or moving one kept edge costs 1.

    The minimum over all ways to match the kept pairs of ``a`` with those of ``b``.
    """
    if len(a) != len(b):
        raise ArchgradError("distance: the two settings keep different numbers of candidates")
    return min(
        sum((ea != eb) + (na != nb) for (ea, na), (eb, nb) in zip(a, order, strict=True))
        for order in itertools.permutations(b)
    )


def current_settings(genotype: Genotype, groups: Mapping[str, Group]) -> dict[str, list[Setting]]:
    """The setting of every slot that a genotype stands for; refuses genotypes outside the space."""
    check(genotype, groups)
    found: dict[str, list[Setting]] = {}
    for name, group in groups.items():
        kept = genotype.choices[name]
        places = [(e,) for e in range(len(group.edges))] if group.keep is None else list(group.incoming.values())
        found[name] = [tuple((e, n) for e in edges for n in kept[e]) for edges in places]
        for edges, slot, setting in zip(places, group.slots, found[name], strict=True):
            if setting not in slot.settings:
                target = group.edges[edges[0]].target
                raise ArchgradError(
                    f"genotype: state {target} of group {name!r} is settled as {list(setting)}, "
                    f"but a genotype of this space keeps {len(slot.settings[0])} of {list(group.selectable(edges[0]))}"
                )
    return found


def neighbours(genotype: Genotype, groups: Mapping[str, Group], radius: int = 1) -> Iterator[Genotype]:
    """All architectures at exactly ``radius`` elementary edits (see `slot_distance`), each once, lazily."""
    if radius < 0:
        raise ArchgradError(f"neighbours: the radius must be 0 or more, got {radius}")
    current = current_settings(genotype, groups)
    slots = [(name, number, slot) for name, group in groups.items() for number, slot in enumerate(group.slots)]
    rings: list[dict[int, list[Setting]]] = []
    for name, number, slot in slots:
        ring: dict[int, list[Setting]] = {}
        for setting in slot.settings:
            ring.setdefault(slot_distance(current[name][number], setting), []).append(setting)
        rings.append(ring)
    furthest_from = [0] * (len(slots) + 1)
    for i in reversed(range(len(slots))):
        furthest_from[i] = furthest_from[i + 1] + max(rings[i])

    def edit(i: int, left: int) -> Iterator[list[Setting]]:
        if i == len(slots):
            yield []
            return
        for distance, settings in rings[i].items():
            if 0 <= left - distance <= furthest_from[i + 1]:
                for rest in edit(i + 1, left - distance):
                    for setting in settings:
                        yield [setting, *rest]

    for settings in edit(0, radius) if radius <= furthest_from[0] else ():
        chosen: dict[str, list[Setting]] = {name: [] for name in groups}
        for (name, _, _), setting in zip(slots, settings, strict=True):
            chosen[name].append(setting)
        yield settle_slots(chosen, groups, genotype.space)
