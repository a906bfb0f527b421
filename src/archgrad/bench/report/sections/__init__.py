"""The sections of the report of a campaign, one per file."""

from __future__ import annotations

from collections.abc import Callable

from archgrad.bench.report.sections.aggregates import aggregates
from archgrad.bench.report.sections.agreement import agreement
from archgrad.bench.report.sections.benchmarks import benchmarks
from archgrad.bench.report.sections.choosing import choosing
from archgrad.bench.report.sections.collapse import collapse
from archgrad.bench.report.sections.costs import costs
from archgrad.bench.report.sections.curves import learning_curves
from archgrad.bench.report.sections.pairs import pairs
from archgrad.bench.report.sections.power import power
from archgrad.bench.report.sections.ranks import ranks
from archgrad.bench.report.sections.settings import settings
from archgrad.bench.report.sections.spread import spread
from archgrad.bench.report.sections.summary import summary
from archgrad.bench.statistics.analysis import Analysis
from archgrad.report.section import Section

SECTIONS: tuple[Callable[[Analysis], Section | None], ...] = (
    summary,
    ranks,
    benchmarks,
    settings,
    agreement,
    pairs,
    aggregates,
    spread,
    power,
    costs,
    choosing,
    collapse,
    learning_curves,
)
"""What a report consists of, in this order; a section that has nothing to say about the results returns None."""
