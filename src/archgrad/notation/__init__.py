"""Architectures as people paste them: text becomes plain data, and plain data the cells that a space knows.

Nothing that is read is ever evaluated, and everything has bounds. `text` reads notations of any program as plain data;
the other files say what such data mean: DARTS' cells (`cells`), in the words of NNI (`nni`), of NAS-Bench-301
(`nasbench301`), of NASLib (`naslib`) and of FairDARTS (`fairdarts`), and the cells of NAS-Bench-201 and 101. What they
read they also write; `darts` has the writers of DARTS' cells by the name of the program.
"""

from archgrad.notation.cells import Nodes, called, cells
from archgrad.notation.darts import WRITERS
from archgrad.notation.names import candidate
from archgrad.notation.nasbench101 import by_vertex, matrix
from archgrad.notation.nasbench201 import by_node, by_node_text, edges, inside, keyed, of_nodes
from archgrad.notation.text import Call, cleaned, read, unwrapped

__all__ = [
    "WRITERS",
    "Call",
    "Nodes",
    "by_node",
    "by_node_text",
    "by_vertex",
    "called",
    "candidate",
    "cells",
    "cleaned",
    "edges",
    "inside",
    "keyed",
    "matrix",
    "of_nodes",
    "read",
    "unwrapped",
]
