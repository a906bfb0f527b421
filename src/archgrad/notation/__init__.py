"""Architectures as people paste them: text becomes plain data, and plain data the cells that a space knows.

Nothing that is read is ever evaluated, and everything has bounds. `text` reads notations of any program as plain data;
the other files say what such data mean: DARTS' cells (`cells`), in the words of NNI (`nni`), of NAS-Bench-301
(`nasbench301`) and of NASLib (`naslib`), and the cells of NAS-Bench-201 and 101.
"""

from archgrad.notation.cells import Nodes, cells
from archgrad.notation.names import candidate
from archgrad.notation.nasbench101 import matrix
from archgrad.notation.nasbench201 import edges, inside
from archgrad.notation.text import Call, cleaned, read, unwrapped

__all__ = ["Call", "Nodes", "candidate", "cells", "cleaned", "edges", "inside", "matrix", "read", "unwrapped"]
