"""Where the found architecture stands among random ones that were trained the same way."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Sequence

from archgrad import spaces
from archgrad.figures.axes import BOLD_LETTER, NARROW, Scale, by_width, svg, ticks
from archgrad.figures.markup import Markup, element, join, table
from archgrad.figures.numbers import count, duration
from archgrad.figures.palette import legend
from archgrad.report.measure import Measure
from archgrad.report.rundata import RunData, Training
from archgrad.report.section import Section, note
from archgrad.standing import Standing

LINE = 100  # characters of a genotype that a table shows


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th …, 11th, 21st."""
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def comparison(data: RunData) -> Section:
    """A dot per network, and a table."""
    title = "Comparison with random genotypes"
    own = "" if data.space in spaces.SPACES else " --space " + shlex.quote(f"PACKAGE.MODULE:{data.space or 'NAME'}")
    command = element("code", f"archgrad train {data.typed}{own} --random 10")
    advice = ["To train the found genotype and ten random ones the same way: ", command]
    shown = [*data.trainings, *(t for t in data.compared if t.role)]
    trained = sorted((t for t in shown if t.score is not None), key=lambda t: -t.merit)
    if not trained:
        return Section(title, note("No network has been trained yet. ", advice))
    plot = _plot(data, data.standing) if data.standing else note(advice)
    return Section(title, join(plot, _remarks(data), _table(trained, data.primary)))


def _plot(data: RunData, standing: Standing) -> Markup:
    """The networks that can be compared, on wide and on narrow pages."""
    others = [t for t in data.trainings if t.kind == "other" and t.score is not None]
    drawn = by_width(*(strip_plot([*data.compared, *others], standing, data.primary, w) for w in (1040, NARROW)))
    entries = {"found by this search": "series-found", "random": "series-random"}
    entries |= {"found by other searches": "series-beside"} if len(standing.found) > 1 else {}
    entries |= {"other": "series-b"} if others else {}
    return element("figure", element("figcaption", f"Test {data.primary.label}"), legend(entries), drawn)


def _remarks(data: RunData) -> list[Markup | None]:
    """What has to be known to read the plot, and what is not in it."""
    measure, standing = data.primary, data.standing
    unfinished = [t.name for t in data.trainings if t.score is None]
    others = [t.name for t in data.trainings if t.kind in ("found", "random") and t.score is not None]
    left_out = [name for name in others if name not in {t.name for t in data.compared if not t.role}]
    return [
        _lead(data, standing) if standing else None,
        _by_validation(data) if standing else None,
        note(f"Without a test {measure.label} yet: {', '.join(unfinished)}.") if unfinished else None,
        note(f"Not compared, as trained in another way than the found network: {', '.join(left_out)}.")
        if left_out and data.found
        else None,
    ]


def _lead(data: RunData, standing: Standing) -> Markup:
    measure = data.primary
    above = standing.found_mean - standing.mean
    where = "above" if above >= 0 else "below"
    better = "" if measure.higher_is_better else " (lower is better)"
    subject = "The found architecture is" if len(standing.found) == 1 else "On average the found architectures are"
    text = (
        f"{subject} {measure.difference(abs(above))} {where} the mean of {len(standing.random)} random "
        f"genotypes{better}. Each network was trained once, so the differences contain the noise of training"
    )
    inputs = data.found.test_inputs if data.found and measure.counts_inputs else None
    if inputs:
        text += f" and of a test set of {inputs:.0f} inputs, where one is {100 / inputs:.2g} points"
    return element("p", text + ".", class_="lead")


def _by_validation(data: RunData) -> Markup | None:
    """What one would have chosen among the found networks and among the random ones, without the test set."""
    measure, chosen = data.primary, []
    for kinds, words in ((("found", "beside"), "found network"), (("random",), "random one")):
        networks = [t for t in data.compared if t.kind in kinds]
        known = [(data.reading.merit(v), t) for t in networks if (v := t.validation) is not None]
        if len(known) < len(networks):
            return None
        best = max(known, key=lambda pair: pair[0])[1]
        name = best.name if best.kind != "found" else "that of this search"
        chosen.append(f"the best {words} is {name} (test {measure.label} {measure.written(best.score)})")
    return element("p", f"By what the trainings held out, {' and '.join(chosen)}.", class_="lead")


def strip_plot(trained: Sequence[Training], standing: Standing, measure: Measure, width: float) -> Markup:
    """Scores on one axis: networks that searches found as diamonds, all others as dots, stacked to keep them apart."""
    radius, top = 6.0, 34.0
    scores, scale = [t.score for t in trained if t.score is not None], 100 if measure.share else 1
    marks = [mark / scale for mark in ticks(scale * min(scores), scale * max(scores), round(width / 130))]
    x = Scale(marks[0], marks[-1], 30, width - 30)
    places = _stacked([x(t.score or 0.0) for t in trained], 2 * radius + 3)
    reach = max(36.0, 14 + max(abs(offset) for _, offset in places))
    middle, axis = top + reach, top + 2 * reach + 6
    parts = [element("line", x1=x.start, x2=x.end, y1=axis, y2=axis, class_="axis")]
    for mark in marks:
        parts.append(element("line", x1=x(mark), x2=x(mark), y1=axis, y2=axis + 5, class_="axis"))
        parts.append(element("text", measure.tick(mark), x=x(mark), y=axis + 20, class_="tick middle"))
    parts.append(_spread(standing, measure, x, top, reach, width))
    for training, (place, offset) in zip(trained, places, strict=True):
        label, y = element("title", f"{training.name}: {measure.written(training.score)}"), middle + offset
        if training.kind == "found":
            parts.append(_found(standing, measure, place, y, axis, width))
        elif training.kind == "beside":
            parts.append(element("path", label, d=_diamond(place, y, 8), class_="beside"))
        else:
            parts.append(element("circle", label, cx=place, cy=y, r=radius, class_=f"dot {training.kind}"))
    told = (
        f"found {measure.written(standing.found[0])}, rank {standing.rank(standing.found[0])} of "
        f"{len(standing.random) + 1}; random mean {measure.written(standing.mean)}, "
        f"best {measure.written(standing.best)}"
    )
    return svg(told, parts, width, axis + 28, class_="strip")


def _spread(standing: Standing, measure: Measure, x: Scale, top: float, reach: float, width: float) -> Markup:
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


def _found(standing: Standing, measure: Measure, x: float, y: float, axis: float, width: float) -> Markup:
    """The run's own network, with its score above it."""
    words = f"found {measure.written(standing.found[0])}"
    half = BOLD_LETTER * len(words) / 2 + 4
    return element(
        "g",
        element("title", words),
        element("line", x1=x, x2=x, y1=24, y2=axis),
        element("path", d=_diamond(x, y, 10)),
        element("text", words, x=min(max(x, half), width - half), y=18, class_="middle"),
        class_="found",
    )


def _diamond(x: float, y: float, size: float) -> str:
    return f"M{x:.1f} {y - size:.1f}l{size:g} {size:g}l-{size:g} {size:g}l-{size:g} -{size:g}Z"


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
        name = training.name if training.role is None else f"{training.name} (another run)"
        name = element("strong" if training.kind == "found" else "span", name, class_="nowrap")
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
