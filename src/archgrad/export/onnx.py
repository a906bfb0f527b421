"""ONNX, by torch's exporter, checked with onnxruntime."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import torch

from archgrad.errors import ArchgradError
from archgrad.export.exported import Exported
from archgrad.export.program import traced
from archgrad.runs import atomic_write

BATCHES = (1, 3)
"""The sizes of the batches with which a file is checked."""


def write(network: Exported, path: Path) -> str:
    """One file with the weights inside, a batch axis of any size, and the class names in its metadata."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # which the exporter needs
    except ImportError as error:
        raise ArchgradError(f"export: ONNX needs {error.name}: pip install 'archgrad[export]'") from None
    program = traced(network, dynamic=True)  # left to itself the exporter may fix the size of batches
    inputs = network.example(2)
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[f"input_{number}" for number in range(len(inputs))] if len(inputs) > 1 else ["input"],
                output_names=["output"],
                verbose=False,
            )
    except Exception as error:  # whatever the exporter finds that it cannot write
        reason = str(error).strip().splitlines()[0]
        raise ArchgradError(f"export: ONNX cannot hold this network ({reason})") from None
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert exported is not None
    proto = exported.model_proto
    onnx.helper.set_model_props(proto, {"archgrad": json.dumps(network.model.card)})
    content = proto.SerializeToString()
    atomic_write(path, content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    worst = 0.0
    for size in BATCHES:
        given = network.example(size)
        found = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)})
        worst = max(worst, network.difference(list(found), given))
    return f"outputs of onnxruntime differ by {worst:.1e} from torch's, for batches of {BATCHES[0]} and {BATCHES[1]}"
