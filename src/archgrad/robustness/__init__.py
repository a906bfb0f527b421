"""Robustness: attacks, corruptions, and the evaluation of a trained network under both.

`fgsm`, `pgd` and SPSA are our own; AutoAttack, Carlini and Wagner's attack and DeepFool need the extra ``robust``.
"""

from archgrad.attacks import (
    ATTACKS,
    FGSM,
    PGD,
    SPSA,
    Attack,
    AutoAttack,
    CarliniWagner,
    DeepFool,
    attack_of,
    fgsm,
    pgd,
)
from archgrad.attacks.victim import Victim
from archgrad.robustness.corruptions import CORRUPTIONS, GROUPS, SEVERITIES, corrupt
from archgrad.robustness.evaluation import Attacked, Robustness, hrs, robustness

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
    "Victim",
    "attack_of",
    "corrupt",
    "fgsm",
    "hrs",
    "pgd",
    "robustness",
]
