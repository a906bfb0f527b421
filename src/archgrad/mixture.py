"""The weights of one forward pass of a supernet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mixture(Mapping[str, Tensor]):
    """How much every candidate counts, at every site: group → ``[sites, edges, ops]``.

    Sites come first so that ``torch.autograd.grad(loss, mixture["normal"])`` is the gradient of every cell separately.

    ``active`` says which candidates are computed at all. It lives on the host: the forward pass branches on it, and
    reading a decision back from a GPU would stall the step. A group that is missing there computes every candidate.
    Inactive candidates add nothing, whatever their weight; with ``constants`` their edge adds their weights as numbers.

    ``edges``: how much everything on an edge counts, ``[sites, edges, 1]``; a group that is missing there counts 1.

    ``extras`` carries what a modifier needs besides the weights of the candidates (the coefficient of an auxiliary
    skip connection, say), by name.
    """

    weights: Mapping[str, Float[Tensor, "sites edges ops"]]
    active: Mapping[str, Bool[Tensor, "sites edges ops"]] = field(default_factory=dict)
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    edges: Mapping[str, Float[Tensor, "sites edges 1"]] = field(default_factory=dict)
    constants: bool = False

    def __getitem__(self, group: str) -> Tensor:
        return self.weights[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)

    def with_weights(self, weights: Mapping[str, Tensor]) -> Mixture:
        """The same mixture with other weights of its candidates."""
        return replace(self, weights=dict(weights))

    def with_edges(self, edges: Mapping[str, Tensor]) -> Mixture:
        """The same mixture with other weights of its edges."""
        return replace(self, edges=dict(edges))

    def with_extras(self, extras: Mapping[str, Tensor]) -> Mixture:
        """The same mixture with more extras."""
        return replace(self, extras={**self.extras, **extras})

    def leaf(self) -> Mixture:
        """A copy cut from the graph whose weights collect gradients: one gradient per site."""
        weights, edges = (
            {group: tensor.detach().requires_grad_() for group, tensor in tensors.items()}
            for tensors in (self.weights, self.edges)
        )
        return replace(self, weights=weights, edges=edges)

    @property
    def tensors(self) -> list[Tensor]:
        """All weights, of candidates and then of edges, in one order for mixtures of the same groups."""
        return [*self.weights.values(), *self.edges.values()]

    def restricted(self, masks: Mapping[str, Bool[Tensor, "edges ops"]]) -> Mixture:
        """Compute only candidates that ``masks`` (host tensors) allow; a group without a mask keeps all."""
        active = dict(self.active)
        for group, mask in masks.items():
            active[group] = active[group] & mask if group in active else mask.expand(self[group].shape)
        return replace(self, active=active)
