"""Fair comparison: benchmark suites, campaigns on one machine or many, and the statistics of their results."""

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.suite import Benchmark, Suite, TrainingSetting, suite
from archgrad.bench.statistics.results import Results

__all__ = ["Benchmark", "Campaign", "Results", "Suite", "TrainingSetting", "suite"]
