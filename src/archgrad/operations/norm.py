"""The normalisation that all image operations use."""

from __future__ import annotations

from torch import nn


def batch_norm(channels: int, affine: bool = True, track: bool = True) -> nn.BatchNorm2d:
    """Batch normalisation; ``track`` keeps running statistics for evaluation."""
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=track)
