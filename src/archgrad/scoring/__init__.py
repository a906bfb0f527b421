"""Architectures scored by proxies: tables of scores, searches that follow them, and how far they can be trusted."""

from archgrad.scoring.scorer import Scorer
from archgrad.scoring.scores import sample, score
from archgrad.scoring.searching import ProxySearchResult, search

__all__ = ["ProxySearchResult", "Scorer", "sample", "score", "search"]
