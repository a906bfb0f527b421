"""``lr="auto"`` of `AlphaOptimiser`: alphas of a short search travel as far as in the published one."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad import methods
from archgrad.errors import ArchgradError
from archgrad.method import Method

PUBLISHED_IMAGES = 25_000
"""Half of CIFAR-10, which the weights are trained on in all searches that published settings are for."""
LARGEST = 0.1
"""Adam moves an alpha by about lr in a step: with more than this, single batches would decide."""


@dataclass(frozen=True)
class AlphaLr:
    """A learning rate of alphas and what it was made from: alpha steps of the published search, and of this one."""

    lr: float
    published_lr: float
    published_steps: int
    steps: int


def auto(method: Method, space: str, steps: int) -> AlphaLr:
    """The learning rate with which alphas travel as far in this search as in the published one.

    lr · max(1, S'/S), at most 0.1, with lr and S' = (epochs − warm-up) · ⌊25,000 / batch⌋ of the method's published
    settings for the space, and S the same of a search of ``method.epochs`` epochs with ``steps`` steps each. How far
    Adam can move an alpha in S steps is lr · S, whatever the data are; a published search of DARTS allows 5.85. At
    published length and beyond, the published number stays.

    It does not make a decision surer: what a consistent gradient adds up to, in units of what noise does, grows with
    √S and does not depend on the learning rate.

    Raises ArchgradError for methods that were made from none of the library's.

    >>> round(auto(Method("darts", epochs=20), "darts", steps=7).lr, 6)  # 3e-4 · 19,500 / 140
    0.041786
    """
    published = published_settings(method, space)
    lr = published.alpha_optimiser.lr
    assert not isinstance(lr, str)
    before = alpha_epochs(published) * (PUBLISHED_IMAGES // published.batch_size)
    here = alpha_epochs(method) * steps
    scale = max(1.0, before / here) if here else 1.0
    return AlphaLr(max(lr, min(LARGEST, lr * scale)), lr, before, here)


def published_settings(method: Method, space: str) -> Method:
    """What the library's method that this one was made from has for a space, whatever was changed since.

    Raises ArchgradError where it was made from none, so that there is no "auto".
    """
    name = method.published_as or method.name
    if name not in methods.names():
        raise ArchgradError(
            f"method {method.name!r}: alpha_lr 'auto' scales published settings, of which there are none; give a number"
        )
    return methods.get(name, space)


def alpha_epochs(method: Method) -> int:
    """The epochs in which alphas are trained, as far as schedules say before the search."""
    return sum(
        not any(schedule.rests(epoch, method.epochs) for schedule in method.schedules) for epoch in range(method.epochs)
    )
