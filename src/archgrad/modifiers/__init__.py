"""Modifiers: they change how a choice is computed."""

from archgrad.modifiers.auxiliary_skip import AuxiliarySkip
from archgrad.modifiers.drop_path import DropPath
from archgrad.modifiers.edge_normalisation import EdgeNormalisation
from archgrad.modifiers.operation_dropout import OperationDropout
from archgrad.modifiers.partial_channels import PartialChannels

__all__ = ["AuxiliarySkip", "DropPath", "EdgeNormalisation", "OperationDropout", "PartialChannels"]
