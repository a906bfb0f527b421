"""A planted campaign with everything that a unit can have: costs, genotypes, curves, diagnostics, failures."""

from __future__ import annotations

import math

import numpy as np

from archgrad.bench.statistics.results import Result, Results, thinned

METHODS = [
    "darts", "pc_darts", "gdas", "drnas", "fair_darts", "sdarts_random", "oles", "lambda_darts", "a2m",
    "random_genotype", "random_search",
]  # fmt: skip
BENCHMARKS = [f"{sub}-{ops}" for sub in ("wide", "deep", "single_cell") for ops in ("regular", "no_skip", "all_skip")]
SETTINGS = {str(i + 1): f"lr {lr}, wd {wd}" for i, (lr, wd) in enumerate(
    (lr, wd) for lr in (0.025, 0.1, 0.01) for wd in (1e-4, 3e-4, 1e-3))}  # fmt: skip


def planted_suite(searches: int = 3, *, curves: bool = True, seed: int = 0, epochs: int = 30) -> Results:
    """Results of a whole suite; darts collapses on single_cell, one unit failed."""
    generator = np.random.default_rng(seed)
    skill = generator.normal(0, 0.6, (len(METHODS), len(BENCHMARKS))) + np.linspace(0.9, -0.9, len(METHODS))[:, None]
    recipe = generator.normal(0, 2.5, len(SETTINGS))
    units = []
    for m, method in enumerate(METHODS):
        for b, benchmark in enumerate(BENCHMARKS):
            for s in range(searches):
                shift = generator.normal(0, 0.5)
                skips = min(1.0, 0.2 + 0.6 * (method == "darts" and "single" in benchmark) + 0.05 * s)
                for h, setting in enumerate(SETTINGS):
                    score = 84 + skill[m, b] + recipe[h] + shift + generator.normal(0, 0.2) - 4 * (skips > 0.5)
                    failed = (m, b, s, h) == (1, 2, 0, 3)
                    extra = {"skips": skips, "search_loss": 1.0 - 0.2 * shift + 0.05 * generator.normal()}
                    if curves:
                        rise = (score / 100) * (1 - 0.8 * np.exp(-np.arange(epochs) / 6))
                        extra["curves"] = {
                            "train_accuracy": thinned(rise.tolist()),
                            "train_loss": thinned((2.4 * (1 - rise) + 0.05).tolist()),
                        }
                        extra["diagnostics"] = {"evaluation_accuracy": thinned((0.8 * rise - 0.05 * skips).tolist())}
                    units.append(
                        Result(
                            method,
                            benchmark,
                            setting,
                            s,
                            score=math.nan if failed else float(score),
                            top5=99.0,
                            parameters=1e5 * (1 + m % 4 + 0.3 * b),
                            flops=2e7 * (1 + m % 5 + 0.3 * b),
                            search_seconds=0.0 if method == "random_genotype" else 300 * (1 + (7 * m) % 5) + 10 * b,
                            train_seconds=60 + 5 * b,
                            genotype="" if failed else "|skip_connect~0|+|nor_conv_3x3~0|none~1|",
                            extra={"problem": "out of memory"} if failed else extra,
                        )
                    )
    return Results.of(units, title="A planted mini suite", settings=SETTINGS, remarks=("Every number is planted.",))
