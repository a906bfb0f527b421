"""AutoAttack, by its authors' own code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import torch

from archgrad.attacks.attack import Attack
from archgrad.attacks.library import Pixels, load
from archgrad.attacks.victim import Images, Labels, Victim
from archgrad.errors import ArchgradError, require_positive, unknown

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")
"""The four attacks of AutoAttack's standard version."""


@dataclass(frozen=True)
class AutoAttack(Attack):
    """APGD on the cross-entropy, targeted APGD on the difference of logits, targeted FAB, and Square, one after the
    other on what the earlier ones left; nothing to tune.

    ``attacks``: which of them. ``queries`` of Square per image. With fewer than 10 classes there are fewer targets,
    and with fewer than 4 no difference of logits, whose attack is then left out. The network is in evaluation mode.

    *Source:* Croce and Hein, arXiv 2003.01690 (the standard version), by their own code in `pyautoattack`.
    """

    attacks: tuple[str, ...] = STANDARD
    queries: int = 5000
    batch_size: int = 256
    evaluating: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("AutoAttack", queries=self.queries, batch_size=self.batch_size)
        known = (*STANDARD, "apgd-dlr", "fab")
        if not self.attacks:
            raise ArchgradError(f"AutoAttack: name at least one attack of {', '.join(known)}")
        for name in self.attacks:
            if name not in known:
                raise unknown("attack of AutoAttack", name, known)

    def perturb(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        library = load("pyautoattack", "AutoAttack")
        pixels = Pixels(victim, x)
        with torch.no_grad():
            classes = pixels(pixels.of(x[:1])).shape[1]
        chosen = [name for name in self.attacks if classes >= 4 or name not in ("apgd-t", "apgd-dlr")]
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        attack = library.AutoAttack(
            pixels, eps=self.epsilon, attacks=chosen, version="custom", seed=seed, device=x.device
        )
        attack.verbose = False
        # As its standard version sets them, the targets limited to the classes that there are.
        attack.apgd.n_restarts = attack.apgd_targeted.n_restarts = attack.fab.n_restarts = 1
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
        attack.square.n_queries = self.queries
        trace = sys.gettrace()  # the library sets it, and would end a debugger's
        try:
            found, _ = attack.run_standard_evaluation(pixels.of(x), y, batch_size=self.batch_size)
        finally:
            sys.settrace(trace)
        return pixels.back(found, x)
