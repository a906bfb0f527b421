"""NWOT: how well the pattern of active ReLUs tells images apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from archgrad.errors import ArchgradError
from archgrad.operations import ReLUConvBN
from archgrad.proxies.layers import watched
from archgrad.proxies.proxy import Measurement, Proxy
from archgrad.proxies.specimen import Specimen

RELUS = frozenset(
    [
        *(F.relu, torch.relu, torch.relu_, F.relu_, Tensor.relu, Tensor.relu_, F.relu6),
        *(F.leaky_relu, F.leaky_relu_, F.prelu, torch.prelu, F.rrelu, F.rrelu_, torch.rrelu, torch.rrelu_),
    ]
)
"""Functions that are linear on both sides of 0, whose modules have "ReLU" in the name of their type."""


@dataclass(frozen=True)
class NWOT(Proxy):
    """log |K|, K_ij the number of ReLUs that are both active or both inactive for the images i and j.

    With the binary code c of an image K = Σ_layers c cᵀ + (1 − c)(1 − c)ᵀ; −∞ where two images have the same code.
    Leaky and bounded ReLUs count as well, as in the authors' program; a network without any is refused. NaN where one
    reads NaN.

    A layer's contribution is the log-determinant of its own K; they do not add up. Layers are numbered in the order of
    their evaluation, functional ReLUs included. All that the network computes is counted, unreached operations too
    where it was built with them.

    ``twice``: the ReLU of a `ReLUConvBN` counts twice, as in the authors' program, which looks for modules with "ReLU"
    in the name of their type.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU())
    >>> _ = nn.init.eye_(network[0].weight)
    >>> images = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]])
    >>> round(NWOT()(network, (images, torch.tensor([0, 1]))), 4)  # log 12, of K = [[4, 2], [2, 4]]
    2.4849

    *Source:* Mellor et al., Neural Architecture Search without Training, arXiv 2006.04647.
    *Differs:* the published program is that of ``twice=True``; NASLib's counts every ReLU once, as here.
    """

    twice: bool = False

    executor: ClassVar[str | None] = "plain"  # the fused executors share a ReLU among the operations behind it

    @torch.no_grad()
    def examine(self, specimen: Specimen) -> Measurement:
        """The log-determinant of all layers together."""
        images = specimen.images
        pairs = {name: m for name, m in specimen.network.named_modules() if self.twice and isinstance(m, ReLUConvBN)}
        with _Codes() as codes, watched(pairs, lambda _name, read, _written: codes.add(read)):
            specimen.logits()
        if not codes.kernels:
            raise ArchgradError("nwot: it compares the patterns of active ReLUs, and the network has none")
        whole = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
        whole = sum(codes.kernels, whole)
        layers = {f"relu_{number}": _log_determinant(kernel) for number, kernel in enumerate(codes.kernels)}
        return Measurement(_log_determinant(whole), layers)


class _Codes(TorchFunctionMode):
    """Collects the kernel of every ReLU that is computed, as a module or as a function."""

    def __init__(self) -> None:
        self.kernels: list[Tensor] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        # ReLU6 calls the bounded identity with the bound 0.
        if function in RELUS or (function is F.hardtanh and [*args[1:2], (kwargs or {}).get("min_val")][0] == 0):
            self.add(args[0])
        return function(*args, **(kwargs or {}))

    def add(self, read: Tensor) -> None:
        """Count a ReLU that reads this."""
        unknown = torch.where(read.isnan().any(), torch.nan, 0.0)
        code = (read > 0).flatten(1).float()
        active = code.sum(1)
        both = code @ code.T
        # c·c' + (1 − c)·(1 − c') = n − |c| − |c'| + 2 c·c'; counts below 2²⁴ are exact in single precision
        self.kernels.append((code.shape[1] - active[:, None] - active + 2 * both).double() + unknown)


def _log_determinant(kernel: Tensor) -> float:
    if kernel.isnan().any():
        return math.nan
    sign, value = torch.linalg.slogdet(kernel)
    return float(value) if float(sign) > 0 else float("-inf")
