"""The data of a suite: one fixed half is searched on, what was found is trained on the other."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from archgrad import data as datasets
from archgrad.bench.protocol.document import Count, Document
from archgrad.data import Dataset, Subset
from archgrad.data.dataset import SPLIT_SEED
from archgrad.errors import ArchgradError
from archgrad.foreign import code


class Halves(Document):
    """A dataset whose training set is cut into two fixed halves, which no seed changes; the test set stays whole.

    ``halves``: ``order`` takes the first half of the training set as it is stored for the search; ``stratified`` draws
    halves that have the same classes; ``whole`` cuts nothing, for scores from a table, or to train on what the search
    has seen. ``limit``: use so many training images, drawn once, the same of every class.
    """

    name: str = Field(default="cifar10", description="a dataset or a path")
    image_size: Count | None = Field(default=None, description="a whole number, 1 or more")
    halves: Literal["order", "stratified", "whole"] = "stratified"
    limit: Count | None = Field(default=None, description="a whole number, 1 or more")

    @property
    def label(self) -> str:
        """The dataset without the place where this machine keeps it."""
        return Path(self.name).name if "/" in self.name else self.name

    def search(self) -> Dataset:
        """What the search sees of the dataset."""
        return self._half(0)

    def training(self) -> Dataset:
        """What settled networks are trained and tested on."""
        return self._half(1)

    def _half(self, number: int) -> Dataset:
        code.require_trusted(code.named({"data": self.name}, functions=("data",)), "data")
        dataset = _loaded(self.name, self.image_size)
        train = dataset.train
        if self.limit is not None:
            if not 2 <= self.limit <= len(train):
                raise ArchgradError(f"data: limit must be between 2 and {len(train)} training images, got {self.limit}")
            if self.limit < len(train):
                train, _ = datasets.split(train, self.limit / len(train), SPLIT_SEED)
        if self.halves == "whole":
            return replace(dataset, train=train, name=f"{self.label}, {len(train)} images")
        part = self._cut(train)[number]
        ordinal = ("first", "second")[number]
        return replace(dataset, train=part, name=f"{self.label}, {ordinal} half of {len(train)}")

    def _cut(self, train: Subset) -> tuple[Subset, Subset]:
        if self.halves == "stratified":
            return datasets.split(train, 0.5, SPLIT_SEED)
        middle = len(train) // 2
        return train.take(torch.arange(middle)), train.take(torch.arange(middle, len(train)))


@lru_cache(maxsize=1)  # a worker trains on the same dataset again and again
def _loaded(name: str, image_size: int | None) -> Dataset:
    return datasets.load(name, image_size=image_size)
