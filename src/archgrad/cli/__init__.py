"""The command line: every command calls one public function."""

from archgrad.cli.program import main

__all__ = ["main"]
