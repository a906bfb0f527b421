"""S1 to S4: parts of the DARTS space on which DARTS fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from archgrad.errors import require_whole, unknown
from archgrad.genotype import Edge, Group
from archgrad.spaces.darts import GROUPS, INPUTS, Darts

Sets = tuple[tuple[str, ...], ...]
"""Per edge, in the order of `Darts`, its candidates."""

MAX, AVG, SKIP = "max_pool_3x3", "avg_pool_3x3", "skip_connect"
SEP3, DIL3, DIL5 = "sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"

S1_NORMAL: Sets = (
    (SKIP, DIL3), (SKIP, DIL5),
    (SKIP, DIL5), (SKIP, SEP3), (SKIP, DIL3),
    (MAX, SKIP), (SKIP, SEP3), (SKIP, SEP3), (SKIP, DIL3),
    (SKIP, SEP3), (MAX, SKIP), (SKIP, DIL3), (DIL3, DIL5), (DIL3, DIL5),
)  # fmt: skip
S1_REDUCE: Sets = (
    (MAX, AVG), (MAX, DIL3),
    (MAX, AVG), (MAX, AVG), (SKIP, DIL5),
    (MAX, AVG), (MAX, SEP3), (SKIP, DIL3), (SKIP, DIL5),
    (MAX, AVG), (MAX, AVG), (SKIP, DIL5), (SKIP, DIL5), (SKIP, DIL5),
)  # fmt: skip

SUBSPACES: dict[str, dict[str, Sets]] = {
    "S1": {"normal": S1_NORMAL, "reduce": S1_REDUCE},
    "S2": dict.fromkeys(GROUPS, ((SKIP, SEP3),) * 14),
    "S3": dict.fromkeys(GROUPS, (("none", SKIP, SEP3),) * 14),
    "S4": dict.fromkeys(GROUPS, (("noise", SEP3),) * 14),
}


@dataclass(frozen=True)
class RobustDarts(Darts):
    """S1 … S4: every edge of the DARTS cell has two candidates of its own (S1), or the same few (S2 to S4).

    S2: skip_connect and sep_conv_3x3; S3: these and none; S4: sep_conv_3x3 and noise. Each has (180·2⁸)² ≈ 2.1e9
    architectures, since ``none`` never enters a genotype.

    *Source:* Zela et al., R-DARTS, arXiv 1909.09656, section 4, and the published sets of its code.
    """

    name: str = field(init=False, default="")
    candidates: tuple[str, ...] = field(init=False, default=())
    subspace: str = "S1"

    def __post_init__(self) -> None:
        if self.subspace not in SUBSPACES:
            raise unknown("subspace of robust_darts", self.subspace, SUBSPACES)
        require_whole("robust_darts", 1, 4, steps=self.steps)  # for which sets are published
        sets = [names for of_edges in SUBSPACES[self.subspace].values() for names in of_edges]
        object.__setattr__(self, "name", f"robust_darts_{self.subspace.lower()}")
        object.__setattr__(self, "candidates", tuple(dict.fromkeys(name for names in sets for name in names)))
        super().__post_init__()

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """``normal`` and ``reduce`` with the candidates of every edge."""
        pairs = [(source, target) for target in range(INPUTS, INPUTS + self.steps) for source in range(target)]
        return {
            name: Group(
                name,
                tuple(Edge(s, t, names) for (s, t), names in zip(pairs, SUBSPACES[self.subspace][name], strict=False)),
                keep=2,
                excluded=frozenset({"none"}),
            )
            for name in self.kinds
        }
