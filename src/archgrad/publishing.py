"""A trained network for other people: its files with a card that says what was searched, how good it is, against what.

Names in a run may be anybody's: everything that goes into the card is escaped.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import yaml

from archgrad import comparison, hub
from archgrad.errors import ArchgradError
from archgrad.figures.numbers import count
from archgrad.model import Model, Network
from archgrad.report.comparison import ordinal
from archgrad.report.measure import Measure
from archgrad.report.rundata import RunData
from archgrad.runs import Run
from archgrad.tasks import Reading

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$@:])")
CLASSES = 20
"""Names of classes that a card lists."""


def push(
    run: Path | str,
    repository: str | None = None,
    *,
    folder: Path | str | None = None,
    network: Network | None = None,
    license: str | None = None,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Publish the trained network of a run on the Hugging Face Hub, or write its files into a folder.

    ``repository``: ``user/name``; ``folder``: of this machine, instead. ``license``: as the Hub calls it, such as
    ``mit``; ``unknown`` where none is given. ``network``: what was searched, where it is a user's own. Returns where it
    is now; `archgrad.load` reads both, the first as ``hf:user/name``.
    """
    if (repository is None) == (folder is None):
        raise ArchgradError("push: give either a repository, user/name, or a folder")
    model = comparison.load(run, network)
    name = repository or str(folder)
    text = card(run, model, f"{hub.PREFIX}{name}" if repository else name, license)
    if repository is not None:
        return hub.push(model, repository, text, private=private, token=token)
    assert folder is not None
    return str(hub.save(model, folder, text))


def card(run: Path | str, model: Model, name: str, license: str | None = None) -> str:
    """The text of a model card; ``name``: how the network is loaded from where it will be."""
    directory = Path(run)
    searched, trained = _search(directory), _training(directory)
    head = {
        "library_name": "archgrad",
        "license": license or "unknown",
        "tags": list(hub.TAGS),
        **({"pipeline_tag": "image-classification"} if _classifies_images(model) else {}),
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {escaped(Path(name).name)}",
        "A network whose architecture was searched with archgrad." if searched else "A network trained with archgrad.",
        *(["## What was searched", _searched(searched)] if searched else []),
        "## How good it is",
        _quality(trained, searched),
        "## The architecture",
        _architecture(model, trained),
        "## Using it",
        _use(model, name),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(value: object) -> str:
    r"""Any text as Markdown that shows it: no markup, no HTML, no line break.

    >>> print(escaped("a*b* <script>"))
    a\*b\* &lt;script&gt;
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return html.escape(MARKDOWN.sub(r"\\\1", line), quote=False)


def fenced(text: object) -> str:
    """Any text as a block of code that it cannot end."""
    lines = "".join(c if c.isprintable() or c == "\n" else " " for c in str(text))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", lines)), default=0))
    return f"{fence}\n{lines}\n{fence}"


def _search(run: Path) -> RunData | None:
    """The search that a run is, or that it is the training of."""
    for directory in (run, run.parent.parent if run.parent.name == "train" else run):
        try:
            if Run.open(directory).config.get("command") == "search":
                return RunData.read(directory)
        except ArchgradError:
            continue
    return None


def _training(run: Path) -> dict[str, Any]:
    """Settings and result of the training; of a weights file alone nothing is known."""
    found = run / "train" / comparison.FOUND
    try:
        opened = Run.open(found if found.is_dir() else run)
        return {**opened.config, "result": opened.read_json("result.json")}
    except ArchgradError:
        return {}


def _searched(data: RunData) -> str:
    lines = {
        "space": data.space,
        "method": data.method,
        "data": data.config.get("data"),
        "epochs of the search": data.result.get("epochs"),
        "seed": data.config.get("seed"),
        "caution": data.result.get("undecided"),
    }
    return "\n".join(f"* {name}: {escaped(value)}" for name, value in lines.items() if value is not None)


def _quality(trained: dict[str, Any], searched: RunData | None) -> str:
    reading = Reading.of(trained.get("task"))
    test = (trained.get("result") or {}).get("test") or {}
    measures = [Measure(reading, name) for name in test if name != "count"]
    lines = [f"* test {escaped(m.label)}: {escaped(m.written(test[m.name]))}" for m in measures]
    lines += [f"* on {test['count']:,} inputs of {escaped(trained.get('data'))}"] if "count" in test else []
    return "\n".join(lines or ["Nothing is recorded."]) + "\n\n" + _baseline(searched)


def _baseline(searched: RunData | None) -> str:
    """The random genotypes that were trained the same way."""
    standing = searched.standing if searched else None
    if searched is None or standing is None:
        return "No random architectures were trained beside it: nothing here says what the search was worth."
    measure, others = searched.primary, len(standing.random)
    return (
        f"Beside it {others} random architecture{'s' if others > 1 else ''} of the same space "
        f"{'were' if others > 1 else 'was'} trained the same way: {escaped(measure.mean(standing.mean, standing.std))} "
        f"{escaped(measure.label)}, the best {escaped(measure.written(standing.best))}. The found one is the "
        f"{ordinal(standing.rank(standing.found[0]))} of {others + 1}."
    )


def _architecture(model: Model, trained: dict[str, Any]) -> str:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    flops = trained.get("flops")
    cost = f"{parameters:,} parameters" + (f", {count(flops)} FLOPs per input" if flops else "")
    genotype = model.card.get("genotype")
    return f"{cost}\n\n{fenced(genotype)}" if genotype else cost


def _use(model: Model, name: str) -> str:
    own = "" if model.card.get("space") else ", network=YourNetwork"
    lines = [fenced(f"import archgrad\n\nmodel = archgrad.load({name!r}{own})\nprint(model.predict(inputs))")]
    if names := getattr(model.task, "class_names", ()):
        shown = ", ".join(escaped(one) for one in names[:CLASSES]) + (", …" if len(names) > CLASSES else "")
        lines.append(f"It answers with one of {len(names)} classes: {shown}.")
    return "\n\n".join(lines)


def _classifies_images(model: Model) -> bool:
    return model.preparation.image and type(model.task).__name__ == "Classification"
