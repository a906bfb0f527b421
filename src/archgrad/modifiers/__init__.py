"""Modifiers: they change how a choice is computed."""

from archgrad.modifiers.auxiliary_skip import AuxiliarySkip
from archgrad.modifiers.drop_path import DropPath
from archgrad.modifiers.edge_normalisation import EdgeNormalisation
from archgrad.modifiers.low_rank import LowRank
from archgrad.modifiers.operation_attention import OperationAttention
from archgrad.modifiers.operation_dropout import OperationDropout
from archgrad.modifiers.partial_channels import PartialChannels
from archgrad.modifiers.weight_entanglement import WeightEntanglement

__all__ = [
    "AuxiliarySkip",
    "DropPath",
    "EdgeNormalisation",
    "LowRank",
    "OperationAttention",
    "OperationDropout",
    "PartialChannels",
    "WeightEntanglement",
]
