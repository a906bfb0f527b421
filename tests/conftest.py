"""One computing thread for the whole suite.

The tests' networks are far too small to share among threads: on a busy machine several threads wait for each other
longer than they compute. Sums are then also added in one order everywhere, as bit-identical results need.
"""

from __future__ import annotations

import os

import torch

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the programs that tests start
