"""The picture in the README: the dot plot of the demo's report, as a file of its own.

    make demo
    python docs/picture.py runs/demo/search-0/report.html docs/demo.svg

It is drawn as in the report, with its styles for light and dark pages.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from archgrad.figures.files import alone
from archgrad.figures.markup import Markup


def picture(report: str) -> str:
    """The first dot plot of a report; an SVG with its own styles, light and dark."""
    found = re.search(r'<svg [^>]*class="[^"]*\bstrip\b[^"]*".*?</svg>', report, re.DOTALL)
    if found is None:
        sys.exit("the report has no dot plot: archgrad train RUN --random 10 makes one")
    return alone([Markup(found[0])])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(picture(source.read_text()))
