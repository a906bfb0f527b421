"""Where the found architecture stands among random ones that were trained the same way."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import Scale, svg, ticks
from archgrad.figures.markup import Markup, element, join, table
from archgrad.figures.numbers import count, duration, percent
from archgrad.report.rundata import RunData, Training
from archgrad.report.section import Section, note

LINE = 100  # characters of a genotype that a table shows


@dataclass(frozen=True)
class AmongRandom:
    """The found test accuracy among random ones; accuracies are shares between 0 and 1."""

    found: float
    others: tuple[float, ...]

    @classmethod
    def of(cls, data: RunData) -> AmongRandom | None:
        """None where the found network or all random ones have no test accuracy yet."""
        others = tuple(t.test_accuracy for t in data.random if t.test_accuracy is not None)
        found = data.found.test_accuracy if data.found else None
        return cls(found, others) if others and found is not None else None

    @property
    def size(self) -> int:
        """How many networks are compared, the found one among them."""
        return len(self.others) + 1

    @property
    def rank(self) -> int:
        """1 for the best; networks that are equally good share the better rank."""
        return 1 + sum(other > self.found for other in self.others)

    @property
    def percentile(self) -> float:
        """Share of the random networks that the found one beats, in percent; a tie counts half."""
        beaten = sum((other < self.found) + 0.5 * (other == self.found) for other in self.others)
        return 100 * beaten / len(self.others)

    @property
    def mean(self) -> float:
        """Mean of the random networks."""
        return statistics.fmean(self.others)

    @property
    def std(self) -> float | None:
        """Sample standard deviation (n − 1) of the random networks; None for a single one."""
        return statistics.stdev(self.others) if len(self.others) > 1 else None

    @property
    def best(self) -> float:
        """The best random network."""
        return max(self.others)


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th …, 11th, 21st."""
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def comparison(data: RunData) -> Section:
    """A dot per network, and a table."""
    title = "Comparison with random genotypes"
    command = element("code", f"archgrad train {data.name} --random 10")
    advice = ["To train the found genotype and ten random ones the same way: ", command]
    trained = sorted(
        (t for t in data.trainings if t.test_accuracy is not None), key=lambda t: -(t.test_accuracy or 0.0)
    )
    if not trained:
        return Section(title, note("No network has been trained yet. ", advice))
    standing = AmongRandom.of(data)
    plot = strip_plot(trained, standing) if standing else note(advice)
    unfinished = [t.name for t in data.trainings if t.test_accuracy is None]
    waiting = note(f"Without a test accuracy yet: {', '.join(unfinished)}.") if unfinished else None
    return Section(title, join(plot, _remark(data, standing) if standing else None, waiting, _table(trained)))


def _remark(data: RunData, standing: AmongRandom) -> Markup:
    better = standing.found - standing.mean
    text = (
        f"The found architecture is {abs(100 * better):.2f} percentage points "
        f"{'above' if better >= 0 else 'below'} the mean of {len(standing.others)} random genotypes. "
        "Each network was trained once, so the differences contain the noise of training"
    )
    images = data.found.test_images if data.found else None
    if images:
        text += f" and of a test set of {images:.0f} images, where one image is {100 / images:.2g} points"
    return element("p", text + ".", class_="lead")


def strip_plot(trained: Sequence[Training], standing: AmongRandom) -> Markup:
    """Accuracies on one axis: random networks as dots, stacked where they would overlap, the found one as a diamond."""
    width, radius, top = 1040, 6.0, 34.0
    accuracies = [t.test_accuracy for t in trained if t.test_accuracy is not None]
    marks = [mark / 100 for mark in ticks(100 * min(accuracies), 100 * max(accuracies), 8)]
    x = Scale(marks[0], marks[-1], 30, width - 30)
    dots = [t for t in trained if t.kind != "found"]
    places = _stacked([x(standing.found), *(x(t.test_accuracy or 0.0) for t in dots)], 2 * radius + 3)[1:]
    reach = max(36.0, 14 + max(abs(offset) for _, offset in places))
    middle, axis = top + reach, top + 2 * reach + 6
    parts = [element("line", x1=x.start, x2=x.end, y1=axis, y2=axis, class_="axis")]
    for mark in marks:
        parts.append(element("line", x1=x(mark), x2=x(mark), y1=axis, y2=axis + 5, class_="axis"))
        parts.append(element("text", f"{100 * mark:g} %", x=x(mark), y=axis + 20, class_="tick middle"))
    parts.append(_spread(standing, x, top, reach, width))
    for training, (place, offset) in zip(dots, places, strict=True):
        label = element("title", f"{training.name}: {percent(training.test_accuracy)}")
        parts.append(element("circle", label, cx=place, cy=middle + offset, r=radius, class_=f"dot {training.kind}"))
    parts.append(_diamond(standing, x(standing.found), middle, axis, width))
    told = (
        f"found {percent(standing.found)}, rank {standing.rank} of {standing.size}; "
        f"random mean {percent(standing.mean)}, best {percent(standing.best)}"
    )
    drawing = svg(told, parts, width, axis + 28, class_="strip")
    scrolled = element("div", drawing, class_="scroll", tabindex="0")
    return element("figure", element("figcaption", "Test accuracy"), scrolled)


def _spread(standing: AmongRandom, x: Scale, top: float, reach: float, width: float) -> Markup:
    """The mean of the random networks, and their standard deviation on both sides of it."""
    low, high = standing.mean - (standing.std or 0), standing.mean + (standing.std or 0)
    start, end = max(x(low), 10.0), min(x(high), width - 10.0)
    deviation = "" if standing.std is None else f" ± {100 * standing.std:.2f}"
    return element(
        "g",
        element("title", f"random: mean {100 * standing.mean:.2f}{deviation} %"),
        element("rect", x=start, y=top, width=max(end - start, 1.0), height=2 * reach, rx=6),
        element("line", x1=x(standing.mean), x2=x(standing.mean), y1=top, y2=top + 2 * reach),
        class_="spread",
    )


def _diamond(standing: AmongRandom, x: float, middle: float, axis: float, width: float) -> Markup:
    anchor = "end" if x > 0.9 * width else "start" if x < 0.1 * width else "middle"
    return element(
        "g",
        element("title", f"found: {percent(standing.found)}"),
        element("line", x1=x, x2=x, y1=24, y2=axis),
        element("path", d=f"M{x:.1f} {middle - 10}l10 10l-10 10l-10 -10Z"),
        element("text", f"found {percent(standing.found)}", x=x, y=18, class_=anchor),
        class_="found",
    )


def _stacked(positions: Sequence[float], distance: float) -> list[tuple[float, float]]:
    """Each position with the offset from the axis, 0 or as near to it as possible, that keeps all apart."""
    placed: list[tuple[float, float]] = []
    for x in positions:
        offsets = (sign * step * distance / 4 for step in itertools.count() for sign in (1, -1))
        offset = next(o for o in offsets if all(math.hypot(x - a, o - b) >= distance for a, b in placed))
        placed.append((x, offset))
    return placed


def _table(trained: Sequence[Training]) -> Markup:
    rows: list[list[object]] = []
    for training in trained:
        rank = 1 + sum((t.test_accuracy or 0.0) > (training.test_accuracy or 0.0) for t in trained)
        name = element("strong" if training.kind == "found" else "span", training.name, class_="nowrap")
        rows.append(
            [
                rank,
                name,
                percent(training.test_accuracy),
                count(training.value("parameters")),
                count(training.value("flops")),
                duration(training.value("seconds")),
                _genotype(training.genotype),
            ]
        )
    header = ["Rank", "Network", "Test accuracy", "Parameters", "FLOPs", "Time", "Genotype"]
    return table(header, rows, numeric=(0, 2, 3, 4, 5))


def _genotype(text: str) -> Markup:
    """On one line; a long one opens on demand, so that the table stays readable."""
    if len(text) <= LINE:
        return element("code", text or "–", class_="nowrap")
    summary = element("summary", element("code", text[: LINE // 2] + "…", class_="nowrap"))
    return element("details", summary, element("code", text))
