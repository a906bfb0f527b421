"""Where the found architecture stands among random ones trained alike."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import Scale, svg, ticks
from archgrad.figures.markup import Markup, element, join, table
from archgrad.figures.numbers import count, duration
from archgrad.report.measure import Measure
from archgrad.report.rundata import RunData, Training
from archgrad.report.section import Section, note

LINE = 100  # characters of a genotype that a table shows


@dataclass(frozen=True)
class AmongRandom:
    """The score of the found network among those of random ones."""

    found: float
    others: tuple[float, ...]
    higher_is_better: bool = True

    @classmethod
    def of(cls, data: RunData) -> AmongRandom | None:
        """None where the found network or all random ones have no score yet."""
        others = tuple(t.score for t in data.random if t.score is not None)
        found = data.found.score if data.found else None
        return cls(found, others, data.primary.higher_is_better) if others and found is not None else None

    @property
    def size(self) -> int:
        """How many networks are compared, the found one among them."""
        return len(self.others) + 1

    @property
    def rank(self) -> int:
        """1 for the best; networks that are equally good share the better rank."""
        return 1 + sum(other > self.found if self.higher_is_better else other < self.found for other in self.others)

    @property
    def percentile(self) -> float:
        """Share of the random networks that the found one beats, in percent; a tie counts half."""
        ties = sum(other == self.found for other in self.others)
        return 100 * (self.size - self.rank - 0.5 * ties) / len(self.others)

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
        return max(self.others) if self.higher_is_better else min(self.others)


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th …, 11th, 21st."""
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def comparison(data: RunData) -> Section:
    """A dot per network, and a table."""
    title = "Comparison with random genotypes"
    command = element("code", f"archgrad train {data.name} --random 10")
    advice = ["To train the found genotype and ten random ones alike: ", command]
    trained = sorted((t for t in data.trainings if t.score is not None), key=lambda t: -t.merit)
    if not trained:
        return Section(title, note("No network has been trained yet. ", advice))
    standing = AmongRandom.of(data)
    plot = strip_plot(trained, standing, data.primary) if standing else note(advice)
    unfinished = [t.name for t in data.trainings if t.score is None]
    waiting = note(f"Without a test {data.primary.label} yet: {', '.join(unfinished)}.") if unfinished else None
    return Section(
        title, join(plot, _remark(data, standing) if standing else None, waiting, _table(trained, data.primary))
    )


def _remark(data: RunData, standing: AmongRandom) -> Markup:
    measure, above = data.primary, standing.found - standing.mean
    where = "above" if above >= 0 else "below"
    better = "" if measure.higher_is_better else " (lower is better)"
    text = (
        f"The found architecture is {measure.difference(abs(above))} {where} the mean of {len(standing.others)} random "
        f"genotypes{better}. Each network was trained once, so the differences contain the noise of training"
    )
    inputs = data.found.test_inputs if data.found and measure.counts_inputs else None
    if inputs:
        text += f" and of a test set of {inputs:.0f} images, where one image is {100 / inputs:.2g} points"
    return element("p", text + ".", class_="lead")


def strip_plot(trained: Sequence[Training], standing: AmongRandom, measure: Measure) -> Markup:
    """Scores on one axis: random networks as dots, stacked where they would overlap, the found one as a diamond."""
    width, radius, top = 1040, 6.0, 34.0
    scores, scale = [t.score for t in trained if t.score is not None], 100 if measure.share else 1
    marks = [mark / scale for mark in ticks(scale * min(scores), scale * max(scores), 8)]
    x = Scale(marks[0], marks[-1], 30, width - 30)
    dots = [t for t in trained if t.kind != "found"]
    places = _stacked([x(standing.found), *(x(t.score or 0.0) for t in dots)], 2 * radius + 3)[1:]
    reach = max(36.0, 14 + max(abs(offset) for _, offset in places))
    middle, axis = top + reach, top + 2 * reach + 6
    parts = [element("line", x1=x.start, x2=x.end, y1=axis, y2=axis, class_="axis")]
    for mark in marks:
        parts.append(element("line", x1=x(mark), x2=x(mark), y1=axis, y2=axis + 5, class_="axis"))
        parts.append(element("text", measure.tick(mark), x=x(mark), y=axis + 20, class_="tick middle"))
    parts.append(_spread(standing, measure, x, top, reach, width))
    for training, (place, offset) in zip(dots, places, strict=True):
        label = element("title", f"{training.name}: {measure.written(training.score)}")
        parts.append(element("circle", label, cx=place, cy=middle + offset, r=radius, class_=f"dot {training.kind}"))
    parts.append(_diamond(standing, measure, x(standing.found), middle, axis, width))
    told = (
        f"found {measure.written(standing.found)}, rank {standing.rank} of {standing.size}; "
        f"random mean {measure.written(standing.mean)}, best {measure.written(standing.best)}"
    )
    drawing = svg(told, parts, width, axis + 28, class_="strip")
    scrolled = element("div", drawing, class_="scroll", tabindex="0")
    return element("figure", element("figcaption", f"Test {measure.label}"), scrolled)


def _spread(standing: AmongRandom, measure: Measure, x: Scale, top: float, reach: float, width: float) -> Markup:
    """The mean of the random networks, and their standard deviation on both sides of it."""
    low, high = standing.mean - (standing.std or 0), standing.mean + (standing.std or 0)
    start, end = max(x(low), 10.0), min(x(high), width - 10.0)
    return element(
        "g",
        element("title", f"random: mean {measure.mean(standing.mean, standing.std)}"),
        element("rect", x=start, y=top, width=max(end - start, 1.0), height=2 * reach, rx=6),
        element("line", x1=x(standing.mean), x2=x(standing.mean), y1=top, y2=top + 2 * reach),
        class_="spread",
    )


def _diamond(standing: AmongRandom, measure: Measure, x: float, middle: float, axis: float, width: float) -> Markup:
    anchor = "end" if x > 0.9 * width else "start" if x < 0.1 * width else "middle"
    return element(
        "g",
        element("title", f"found: {measure.written(standing.found)}"),
        element("line", x1=x, x2=x, y1=24, y2=axis),
        element("path", d=f"M{x:.1f} {middle - 10}l10 10l-10 10l-10 -10Z"),
        element("text", f"found {measure.written(standing.found)}", x=x, y=18, class_=anchor),
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


def _table(trained: Sequence[Training], measure: Measure) -> Markup:
    rows: list[list[object]] = []
    for training in trained:
        rank = 1 + sum(t.merit > training.merit for t in trained)
        name = element("strong" if training.kind == "found" else "span", training.name, class_="nowrap")
        rows.append(
            [
                rank,
                name,
                measure.written(training.score),
                count(training.value("parameters")),
                count(training.value("flops")),
                duration(training.value("seconds")),
                _genotype(training.genotype),
            ]
        )
    header = ["Rank", "Network", f"Test {measure.label}", "Parameters", "FLOPs", "Time", "Genotype"]
    return table(header, rows, numeric=(0, 2, 3, 4, 5))


def _genotype(text: str) -> Markup:
    """On one line; a long one opens on demand, so that the table stays readable."""
    if len(text) <= LINE:
        return element("code", text or "–", class_="nowrap")
    summary = element("summary", element("code", text[: LINE // 2] + "…", class_="nowrap"))
    return element("details", summary, element("code", text))
