"""Schedules: what happens between the epochs of a search."""

from archgrad.schedules.warm_up import WarmUp

__all__ = ["WarmUp"]
