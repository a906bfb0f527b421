"""Datasets in memory or streamed, seeded splits, and batches that depend on nothing but seed, epoch and step."""

from archgrad.data.augmentation import Augmentation, Normalisation
from archgrad.data.batches import Batches
from archgrad.data.dataset import Dataset, Subset, from_dataset, from_tensors, split
from archgrad.data.load import NAMES, load

__all__ = [
    "NAMES",
    "Augmentation",
    "Batches",
    "Dataset",
    "Normalisation",
    "Subset",
    "from_dataset",
    "from_tensors",
    "load",
    "split",
]
