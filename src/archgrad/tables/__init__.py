"""Tabular benchmarks: measured accuracies of many architectures, looked up in any notation."""

from archgrad.data.load import directory
from archgrad.tables.library import available, import_table, load, save
from archgrad.tables.table import Architecture, Column, Entry, Standing, Table

__all__ = [
    "Architecture",
    "Column",
    "Entry",
    "Standing",
    "Table",
    "available",
    "directory",
    "import_table",
    "load",
    "save",
]
