"""What other programs call candidates."""

from __future__ import annotations

from collections.abc import Iterable

OTHERS = {
    # NNI, DARTS
    "maxpool": "max_pool_3x3",
    "avgpool": "avg_pool_3x3",
    "skipconnect": "skip_connect",
    "sepconv3x3": "sep_conv_3x3",
    "sepconv5x5": "sep_conv_5x5",
    "dilconv3x3": "dil_conv_3x3",
    "dilconv5x5": "dil_conv_5x5",
    # NNI, NAS-Bench-201
    "conv_1x1": "nor_conv_1x1",
    "conv_3x3": "nor_conv_3x3",
    # NASLib, NAS-Bench-201
    "Identity": "skip_connect",
    "Zero": "none",
    "ReLUConvBN1x1": "nor_conv_1x1",
    "ReLUConvBN3x3": "nor_conv_3x3",
    "AvgPool1x1": "avg_pool_3x3",
}
"""Another program's name → that of the published space, where the other one is no name of a space here."""


def candidate(name: str, known: Iterable[str]) -> str:
    """The candidate that a name means: itself where it is known, or what another program calls so."""
    return name if name in known else OTHERS.get(name, name)
