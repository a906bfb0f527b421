"""Architectures of a space as vectors of small integers."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Int

from archgrad.genotype import Genotype, Setting, Slot, current_settings, settle_slots
from archgrad.spaces.space import Space


class Coding:
    """Genotype ↔ for every slot of the space the number of the setting that it takes.

    For NAS-Bench-201 the code is the six digits of the cell.
    """

    def __init__(self, space: Space):
        self.space = space
        self.slots: tuple[Slot, ...] = tuple(slot for group in space.groups.values() for slot in group.slots)
        self._numbers = [{setting: number for number, setting in enumerate(slot.settings)} for slot in self.slots]

    @cached_property
    def sizes(self) -> Int[np.ndarray, " slots"]:
        """The number of settings of every slot."""
        return np.array([len(slot.settings) for slot in self.slots])

    def encode(self, genotype: Genotype) -> tuple[int, ...]:
        """The code of a genotype; refuses genotypes outside the space."""
        found = current_settings(self.space.check(genotype), self.space.groups)
        settings = [setting for name in self.space.groups for setting in found[name]]
        return tuple(numbers[setting] for numbers, setting in zip(self._numbers, settings, strict=True))

    def decode(self, code: tuple[int, ...]) -> Genotype:
        """The genotype of a code."""
        settings: dict[str, list[Setting]] = {name: [] for name in self.space.groups}
        for slot, number in zip(self.slots, code, strict=True):
            settings[slot.group].append(slot.settings[number])
        return settle_slots(settings, self.space.groups, self.space.name)
