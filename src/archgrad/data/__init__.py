"""Datasets in memory or streamed, seeded splits, and batches that depend on nothing but seed, epoch and step."""

from archgrad.data.augmentation import Augmentation, Normalisation
from archgrad.data.batches import Batches
from archgrad.data.dataset import Dataset, Subset, limited, split, weighted
from archgrad.data.load import NAMES, load
from archgrad.data.own import from_dataset, from_tensors

__all__ = [
    "NAMES",
    "Augmentation",
    "Batches",
    "Dataset",
    "Normalisation",
    "Subset",
    "from_dataset",
    "from_tensors",
    "limited",
    "load",
    "split",
    "weighted",
]
