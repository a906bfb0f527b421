"""The report of a run: one self-contained HTML page."""

from archgrad.report.ending import tell
from archgrad.report.page import SECTIONS, write
from archgrad.report.rundata import RunData, Training
from archgrad.report.section import Section

__all__ = ["SECTIONS", "RunData", "Section", "Training", "tell", "write"]
