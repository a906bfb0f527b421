"""One local page of all runs, live and read-only."""

from archgrad.follow.serve.server import serve

__all__ = ["serve"]
