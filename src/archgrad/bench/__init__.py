"""Fair comparison: benchmark suites, campaigns on one machine or many, and the statistics of their results."""

from archgrad.bench.campaign import Campaign
from archgrad.bench.results import Results
from archgrad.bench.suite import Benchmark, Setting, Suite, suite

__all__ = ["Benchmark", "Campaign", "Results", "Setting", "Suite", "suite"]
