"""Attacks, one file per family; `attack_of` knows them by name."""

from __future__ import annotations

import re

from archgrad.attacks.attack import Attack
from archgrad.attacks.autoattack import AutoAttack
from archgrad.attacks.minimal import CarliniWagner, DeepFool, Minimal
from archgrad.attacks.pgd import FGSM, PGD, fgsm, pgd
from archgrad.attacks.spsa import SPSA
from archgrad.errors import unknown

ATTACKS: dict[str, type[Attack]] = {
    "fgsm": FGSM,
    "pgd": PGD,
    "autoattack": AutoAttack,
    "carlini_wagner": CarliniWagner,
    "deepfool": DeepFool,
    "spsa": SPSA,
}


def attack_of(attack: str | Attack) -> Attack:
    """An attack by its name, ``pgd-K`` for K steps of PGD, or as it is."""
    if isinstance(attack, Attack):
        return attack
    if match := re.fullmatch(r"pgd-(\d+)", attack):
        return PGD(steps=int(match[1]))
    if attack not in ATTACKS:
        raise unknown("attack", attack, [*ATTACKS, "pgd-7"])
    return ATTACKS[attack]()


__all__ = [
    "ATTACKS",
    "FGSM",
    "PGD",
    "SPSA",
    "Attack",
    "AutoAttack",
    "CarliniWagner",
    "DeepFool",
    "Minimal",
    "attack_of",
    "fgsm",
    "pgd",
]
