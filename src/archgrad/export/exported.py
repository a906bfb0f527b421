"""The network that is written: with its preprocessing or without, and what its files are checked with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archgrad.data.augmentation import Normalisation
from archgrad.errors import ArchgradError
from archgrad.model import Model
from archgrad.nested import leaves, mapped

TOLERANCE = 1e-4
"""By how much an exported network's outputs may differ from the network's, relative to the largest of them."""


class Exported(nn.Module):
    """A trained network in evaluation mode on the CPU; with `preprocessing` it scales and normalises its inputs."""

    def __init__(self, model: Model, preprocessing: bool = False) -> None:
        super().__init__()
        self.model = model.cpu().eval()
        self.preparation = model.preparation
        self.preprocessing = preprocessing
        normalisation = model.preparation.normalisation if preprocessing else None
        for name in Normalisation.__dataclass_fields__:
            values = torch.tensor(getattr(normalisation, name)).view(-1, 1, 1) if normalisation else None
            self.register_buffer(name, values, persistent=False)

    def forward(self, *inputs: Any) -> Any:
        if self.preprocessing:
            inputs = mapped(lambda x: x.float() / 255 if x.dtype == torch.uint8 else x, inputs)
            if self.mean is not None:
                inputs = tuple((x - self.mean) / self.std for x in inputs)
        return self.model.network(*inputs)

    def example(self, batch_size: int) -> tuple[Tensor, ...]:
        """Random inputs of the kind that the network takes, always the same."""
        if isinstance(self.preparation.shape, dict):
            raise ArchgradError("export: a network whose inputs have names can only be exported as safetensors")
        generator = torch.Generator().manual_seed(0)

        def drawn(x: Tensor) -> Tensor:
            if x.dtype == torch.uint8:
                return torch.randint(256, x.shape, generator=generator, dtype=torch.uint8)
            return torch.randn(x.shape, generator=generator).to(x.dtype) if x.is_floating_point() else x

        raw = mapped(drawn, self.preparation.example(batch_size))
        ready = raw if self.preprocessing else self.preparation(raw)
        return tuple(tensor.contiguous() for tensor in leaves(ready))

    @torch.no_grad()
    def difference(self, outputs: Any, inputs: tuple[Tensor, ...]) -> float:
        """The largest difference of other outputs from the network's, relative to the largest output.

        Raises ArchgradError if it is above `TOLERANCE`.
        """
        own = leaves(self(*inputs))
        theirs = [torch.as_tensor(output) for output in leaves(outputs)]
        found = max(
            (float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(theirs, own, strict=True)),
            default=0.0,
        )
        if not found <= TOLERANCE:
            raise ArchgradError(f"export: the exported network's outputs differ by {found:.1e} from the network's")
        return found
