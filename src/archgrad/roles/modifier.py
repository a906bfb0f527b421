"""Modifiers: how a choice is computed."""

from __future__ import annotations

from collections.abc import Mapping

from archgrad.context import Alphas, Context
from archgrad.mixture import Mixture
from archgrad.supernet import Supernet


class Modifier:
    """Changes how a choice is computed."""

    rebuilds = False  # no annotation: jsonargparse would read it with the names of the subclass' module
    """Whether `prepare` makes candidates anew, and therefore comes before all that change them."""

    needs = ""
    """What a network must have for it, in words; empty where any network will do."""

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        """Rebuild what has to be rebuilt, once, before the search and whenever a schedule has the supernet rebuilt.

        ``size``: what schedules want the supernet to be (see `State.rebuild`). Architecture parameters of the
        modifier's own go into ``supernet.alphas``.
        """

    def epoch_start(self, supernet: Supernet, context: Context) -> None:
        """Called before every epoch, resumed ones included: the only time to set what modules remember."""

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        """The mixture as the modifier wants it, in every forward pass."""
        return mixture
