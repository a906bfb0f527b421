"""The room for figures: scales and axes, and every kind of picture that is drawn on them as SVG.

It knows numbers, names and colours only: what they mean is up to the caller. A drawing takes its colours from
``style.css``, which a page includes, and a file of its own (`alone`) carries along.
"""
