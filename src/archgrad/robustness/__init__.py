"""Robustness: attacks, corruptions, and the evaluation of a trained network under both.

`fgsm`, `pgd` and SPSA are our own; AutoAttack, Carlini and Wagner's attack and DeepFool need the extra ``robust``.
"""

from archgrad.robustness.attacks import FGSM, PGD, Attack, fgsm, pgd
from archgrad.robustness.corruptions import CORRUPTIONS, GROUPS, SEVERITIES, corrupt
from archgrad.robustness.evaluation import ATTACKS, Attacked, Robustness, attack_of, hrs, robustness
from archgrad.robustness.library import AutoAttack, CarliniWagner, DeepFool
from archgrad.robustness.spsa import SPSA

__all__ = [
    "ATTACKS",
    "CORRUPTIONS",
    "FGSM",
    "GROUPS",
    "PGD",
    "SEVERITIES",
    "SPSA",
    "Attack",
    "Attacked",
    "AutoAttack",
    "CarliniWagner",
    "DeepFool",
    "Robustness",
    "attack_of",
    "corrupt",
    "fgsm",
    "hrs",
    "pgd",
    "robustness",
]
