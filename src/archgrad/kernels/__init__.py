"""Standalone functions on tensors: what makes a supernet step fast, usable without the rest of archgrad."""

from archgrad.kernels.depthwise import average_pool, depthwise_conv
from archgrad.kernels.grouped import grouped_pointwise
from archgrad.kernels.mixed_sum import (
    BatchStatistics,
    Term,
    mixed_sum,
    pointwise_bn_relu,
    shared_bn,
    update_running_statistics,
)

__all__ = [
    "BatchStatistics",
    "Term",
    "average_pool",
    "depthwise_conv",
    "grouped_pointwise",
    "mixed_sum",
    "pointwise_bn_relu",
    "shared_bn",
    "update_running_statistics",
]
