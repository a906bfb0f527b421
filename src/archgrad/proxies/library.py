"""The proxies by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any

from archgrad.errors import ArchgradError, unknown
from archgrad.proxies.croze import CRoZe
from archgrad.proxies.croze_official import FlatCRoZe, OfficialCRoZe
from archgrad.proxies.ensemble import RobustEnsemble
from archgrad.proxies.epe_nas import EPENAS
from archgrad.proxies.fisher import Fisher
from archgrad.proxies.flops import FLOPs
from archgrad.proxies.grad_norm import GradNorm
from archgrad.proxies.grasp import GraSP
from archgrad.proxies.jacob_cov import JacobianCovariance
from archgrad.proxies.l2_norm import L2Norm
from archgrad.proxies.nwot import NWOT
from archgrad.proxies.params import Parameters
from archgrad.proxies.plain import SynapticSaliency
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.snip import SNIP
from archgrad.proxies.synflow import SynFlow
from archgrad.proxies.zen import Zen

PROXIES: dict[str, Callable[..., Proxy]] = {
    "croze": CRoZe,
    "croze_official": OfficialCRoZe,
    "croze_flat": FlatCRoZe,
    "synflow": SynFlow,
    "snip": SNIP,
    "grasp": GraSP,
    "fisher": Fisher,
    "grad_norm": GradNorm,
    "jacob_cov": JacobianCovariance,
    "nwot": NWOT,
    "epe_nas": EPENAS,
    "zen": Zen,
    "l2_norm": L2Norm,
    "plain": SynapticSaliency,
    "params": Parameters,
    "flops": FLOPs,
    "robust_ensemble": RobustEnsemble,
}

ENTRY_POINTS = "archgrad.proxies"
"""Packages may add proxies under this entry-point group: something that returns a `Proxy` when called."""


def names() -> list[str]:
    """The proxies of the library and of installed plug-ins."""
    return [*PROXIES, *(entry.name for entry in entry_points(group=ENTRY_POINTS))]


def get(name: str, **options: Any) -> Proxy:
    """The proxy of that name; ``options`` are its fields.

    >>> get("croze", gamma=0.1)
    CRoZe(beta=2.0, gamma=0.1, epsilon=0.03137254901960784)
    """
    plugins = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in PROXIES and name not in plugins:
        raise unknown("proxy", name, [*PROXIES, *plugins])
    make = PROXIES[name] if name in PROXIES else plugins[name].load()
    try:
        proxy: Proxy = make(**options)
    except TypeError as error:
        raise ArchgradError(f"proxy {name!r}: {error}") from None
    return proxy


def parse(listing: str | Iterable[str]) -> list[str]:
    """Names from a list separated by commas, ``all`` for those of the library; unknown ones are refused."""
    chosen = [part.strip() for part in listing.split(",")] if isinstance(listing, str) else list(listing)
    chosen = list(PROXIES) if chosen == ["all"] else [name for name in chosen if name]
    known = names()
    for name in chosen:
        if name not in known:
            raise unknown("proxy", name, known)
    if not chosen:
        raise ArchgradError(f"give at least one proxy: {', '.join(known)}, or all")
    return list(dict.fromkeys(chosen))
