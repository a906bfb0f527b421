"""How a proxy search moves through a space."""

from __future__ import annotations

from collections.abc import Callable

from archgrad.errors import unknown
from archgrad.scoring.strategies.evolution import RegularisedEvolution
from archgrad.scoring.strategies.move import WarmUpMove
from archgrad.scoring.strategies.pareto import ParetoEvolution, front
from archgrad.scoring.strategies.random import Random
from archgrad.scoring.strategies.strategy import Scored, Strategy, best, explore, mutated

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "move": WarmUpMove,
    "evolution": RegularisedEvolution,
    "random": Random,
    "pareto": ParetoEvolution,
}


def get(name: str) -> Strategy:
    """The strategy of that name with its default settings."""
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    return STRATEGIES[name]()


__all__ = [
    "STRATEGIES",
    "ParetoEvolution",
    "Random",
    "RegularisedEvolution",
    "Scored",
    "Strategy",
    "WarmUpMove",
    "best",
    "explore",
    "front",
    "get",
    "mutated",
]
