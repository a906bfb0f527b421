"""What schedules may look at and change: the state of a search, and one step of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from archgrad.objective import Objective
from archgrad.supernet import Supernet


class SearchStep(NamedTuple):
    """One step: its two objectives, and the gradient of the weights that was applied."""

    train: Objective
    validation: Objective
    gradients: list[Tensor]


@dataclass
class State:
    """What schedules may look at and change.

    ``masks``: group → ``[edges, ops]`` on the host, the candidates still open.
    ``stop``: the reason to end the search after this epoch.
    ``span``: the epochs [first, end) over which the weights' learning rate falls once.
    ``observe``: makes the objective of a fixed validation batch, whose evaluations leave no trace.

    Set anew before every epoch: ``alphas_rest``, no alpha steps in this epoch; ``weight_decay`` of the weights, None
    for that of the method; ``resting``, the weights (by name in the network) that are not trained: see `rest`.
    """

    supernet: Supernet
    masks: dict[str, Tensor]
    observe: Callable[[], Objective]
    history: list[dict[str, Any]] = field(default_factory=list)
    span: tuple[int, int] = (0, 1)
    stop: str | None = None
    alphas_rest: bool = False
    weight_decay: float | None = None
    resting: set[str] = field(default_factory=set)
    size: dict[str, int] = field(default_factory=dict)
    inherit: bool = True
    trained: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.attach(self.supernet)

    def attach(self, supernet: Supernet) -> None:
        """Go on with this supernet, in which the same weights rest."""
        self.supernet = supernet
        # What the user froze is not ours to wake.
        self.trained = frozenset(name for name, weight in supernet.network.named_parameters() if weight.requires_grad)
        self.rest(self.resting)

    def start_epoch(self) -> None:
        """Forget what was set for one epoch only; all weights are trained again."""
        self.alphas_rest, self.weight_decay = False, None
        self.wake(self.trained)

    def rebuild(self, span: tuple[int, int], inherit: bool = True, **size: int) -> None:
        """Have the supernet built anew before this epoch: sizes of its space, or what modifiers read.

        With ``inherit`` alphas stay, and weights stay where their shapes agree; otherwise all start afresh. Asking for
        what is there already does nothing.
        """
        self.size, self.span, self.inherit = self.size | size, span, inherit

    def rest(self, names: Iterable[str]) -> None:
        """Do not train these weights in this epoch: they get no gradient and stay where they are."""
        chosen = self.trained & set(names)
        self.resting |= chosen
        for weight in self._named(chosen):
            weight.requires_grad_(False)
            weight.grad = None

    def wake(self, names: Iterable[str]) -> None:
        """Train weights again that rested."""
        chosen = self.trained & set(names)
        self.resting -= chosen
        for weight in self._named(chosen):
            weight.requires_grad_()

    def _named(self, names: Set[str]) -> list[nn.Parameter]:
        return [weight for name, weight in self.supernet.network.named_parameters() if name in names]
