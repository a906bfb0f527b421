"""ExecuTorch: programs for phones and small devices."""

from __future__ import annotations

from pathlib import Path

from archgrad.errors import ArchgradError
from archgrad.export.exported import Exported
from archgrad.export.program import traced
from archgrad.runs import atomic_write


def write(network: Exported, path: Path) -> str:
    """A `.pte` file for XNNPACK, the backend for processors, that takes one input at a time."""
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.runtime import Runtime
    except ImportError as error:
        raise ArchgradError(f"export: ExecuTorch cannot be imported ({error}): pip install executorch") from None
    program = to_edge_transform_and_lower(traced(network, dynamic=False), partitioner=[XnnpackPartitioner()])
    content = program.to_executorch().buffer
    atomic_write(path, content)
    inputs = network.example(1)
    found = Runtime.get().load_program(content).load_method("forward").execute(list(inputs))
    return f"outputs of ExecuTorch's runtime differ by {network.difference(found, inputs):.1e} from the network's"
