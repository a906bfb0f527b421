"""Neighbours at random, for spaces whose neighbourhoods are too large to list."""

from __future__ import annotations

import numpy as np

from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Setting, current_settings, settle_slots, slot_distance
from archgrad.spaces.space import Space


def sample_neighbours(
    space: Space, genotype: Genotype, radius: int, count: int, rng: np.random.Generator
) -> list[Genotype]:
    """Architectures drawn uniformly, with repetition, from those at exactly ``radius`` edits.

    The number of ways to spend k edits on the slots from i on decides how many go to slot i.
    """
    current = current_settings(genotype, space.groups)
    names: list[str] = []
    rings: list[dict[int, list[Setting]]] = []
    for name, group in space.groups.items():
        for slot, now in zip(group.slots, current[name], strict=True):
            ring: dict[int, list[Setting]] = {}
            for setting in slot.settings:
                ring.setdefault(slot_distance(now, setting), []).append(setting)
            names.append(name)
            rings.append(ring)
    ways = [[0] * radius + [1]]  # ways[i][k]: from slot i on, k edits already spent
    for ring in reversed(rings):
        after = ways[0]
        ways.insert(
            0, [sum(len(s) * after[k + d] for d, s in ring.items() if k + d <= radius) for k in range(radius + 1)]
        )
    if ways[0][0] == 0:
        raise ArchgradError(f"space {space.name!r}: no architecture lies {radius} edits away")
    drawn = []
    for _ in range(count):
        settings: dict[str, list[Setting]] = {name: [] for name in space.groups}
        spent = 0
        for i, (name, ring) in enumerate(zip(names, rings, strict=True)):
            distances = [d for d in ring if spent + d <= radius]
            weights = np.array([len(ring[d]) * ways[i + 1][spent + d] for d in distances], dtype=float)
            distance = distances[rng.choice(len(distances), p=weights / weights.sum())]
            spent += distance
            settings[name].append(ring[distance][rng.integers(len(ring[distance]))])
        drawn.append(settle_slots(settings, space.groups, genotype.space))
    return drawn
