"""Groups and pairs of NAS-Bench-201 cells whose surroundings have been published.

*Source:* arXiv 2503.10404.
"""

GROUPS: dict[str, dict[str, tuple[float, float]]] = {
    "cifar10": {"A": (92.3, 93.7), "B": (84.3, 85.7), "C": (74.3, 75.7)},
    "cifar100": {"A": (69.3, 70.7), "B": (64.3, 65.7), "C": (54.3, 55.7)},
    "in16": {"A": (45.9, 47.3), "B": (34.3, 35.7), "C": (24.3, 25.7)},
}
"""Intervals of test accuracy in %."""

ENDPOINTS: dict[str, dict[str, tuple[int, int]]] = {
    "cifar10": {"A": (81, 1459), "B": (0, 163), "C": (40, 12094)},
    "cifar100": {"A": (81, 11711), "B": (31, 7680), "C": (146, 4461)},
    "in16": {"A": (65, 2246), "B": (17, 5845), "C": (2, 348)},
}
"""Indices of two cells at distance 3."""
