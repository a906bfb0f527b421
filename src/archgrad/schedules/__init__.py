"""Schedules: what happens between the epochs of a search, and numbers that change over them."""

from archgrad.schedules.anneal import Anneal
from archgrad.schedules.warm_up import WarmUp

__all__ = ["Anneal", "WarmUp"]
