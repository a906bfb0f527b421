"""A trained network as something to use: it takes what people have and answers in their words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archgrad import spaces, tasks
from archgrad.data.preparation import Preparation
from archgrad.errors import ArchgradError
from archgrad.evaluation import WEIGHTS, load_state, packed, read_weights
from archgrad.foreign import plain
from archgrad.genotype import Genotype
from archgrad.nested import called, leaves, mapped
from archgrad.runs import atomic_write
from archgrad.spaces import Space, zoo
from archgrad.supernet import Supernet
from archgrad.tasks import Prediction, Task

CARD = "archgrad"
"""The entry of a weights file that says whose weights they are, as JSON."""
ARCHITECTURE = ("space", "space_fields", "genotype", "classes", "in_channels", "auxiliary", "inherit", "network")
"""What a run's settings say of a network that can be built again."""

Network = nn.Module | Callable[[], nn.Module]


class Model(nn.Module):
    """A trained network with what belongs to it: how inputs are prepared, and what its outputs mean.

    Called like the network itself, on prepared inputs, it gives the network's outputs. `card`: everything that the
    weights file says of it, as plain data.
    """

    def __init__(self, network: nn.Module, preparation: Preparation, task: Task, card: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self.preparation, self.task, self.card = network, preparation, task, dict(card)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.network(*inputs, **named)

    def predict(self, inputs: Any, batch_size: int = 256) -> Prediction | list[Prediction]:
        """The answer to one input, or the answers to several.

        `inputs`: what `Preparation.batch` takes, for images a path, a folder, a PIL image, an array, or a list of
        these. Raises ArchgradError for inputs that do not fit the network.
        """
        batch, single = self.preparation.batch(inputs)
        found = [answer for outputs in self._outputs(batch, batch_size) for answer in self.task.predictions(outputs)]
        return found[0] if single else found

    @torch.no_grad()
    def _outputs(self, batch: Any, batch_size: int) -> Iterator[Any]:
        training, device = self.training, next(self.parameters(), torch.empty(0)).device
        self.eval()
        try:
            for start in range(0, len(leaves(batch)[0]), batch_size):
                chosen = slice(start, start + batch_size)
                part = mapped(lambda x: x[chosen].to(device), batch)  # noqa: B023  # called at once
                yield called(self.network, self.preparation(part))
        finally:
            self.train(training)

    def save(self, path: Path | str) -> Path:
        """Write weights and card as one safetensors file, which `archgrad.load` reads anywhere."""
        atomic_write(path, with_card(self.network, self.card))
        return Path(path)


def create_model(
    name: str, *, classes: int | None = None, in_channels: int = 3, auxiliary: bool = False, **fields: Any
) -> nn.Module:
    """The network of a published genotype, freshly initialised from torch's global generator.

    ``name``: see `archgrad list models` and `archgrad.spaces.zoo`. ``classes``: 10, and 1000 for networks of ImageNet,
    unless given. ``auxiliary``: with the auxiliary head, which training mode then returns the outputs of as well.
    ``fields``: of the space, first of all its size; the published one by default.

    >>> network = create_model("pdarts", channels=8, cells=2)
    >>> sum(parameter.numel() for parameter in network.parameters())
    23298
    """
    found = zoo.get(name)
    space = spaces.get(found.space, **{**found.fields, **fields})
    return space.network(
        space.parse(found.genotype),
        classes=found.classes if classes is None else classes,
        in_channels=in_channels,
        auxiliary=auxiliary,
    )


def card_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the settings of a training say of its network; nothing of the machine or of where data lay."""
    return {name: config[name] for name in (*ARCHITECTURE, "inputs", "answers", "recipe", "seed") if name in config}


def with_card(network: nn.Module, card: Mapping[str, Any]) -> bytes:
    """The content of a weights file."""
    return packed(network, {CARD: json.dumps(dict(card))})


def load_model(path: Path | str, network: Network | None = None) -> Model:
    """The model of a weights file, or of a directory that holds one; it needs no other file.

    `network`: the class, function or module that was searched or trained, where it is a user's own: a file names no
    code that would be run. Raises ArchgradError for damaged files, and for weights of another network.
    """
    path = Path(path)
    path = path / WEIGHTS if path.is_dir() else path
    state, card = read(path)
    found = _own(card, network, path) if network is not None else _of_space(card, state, path)
    load_state(found, state, str(path))
    try:
        preparation, task = Preparation.recorded(card["inputs"]), tasks.recorded(card["answers"])
    except (KeyError, TypeError, AttributeError):
        raise ArchgradError(f"{path}: does not say what inputs its network takes: train it again") from None
    return Model(found, preparation, task, card).eval()


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a file, and what it says of their network."""
    state, metadata = read_weights(path)
    card = plain.json_object(metadata.get(CARD, "{}"), f"{path}: what it says of its network")
    return state, card


def _of_space(card: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network of a named space without memory of its own, whatever size a foreign card says it has."""
    if card.get("space") not in spaces.SPACES:
        name = card.get("network") or card.get("space") or "it has no name"
        raise ArchgradError(
            f"{path}: the weights are those of a network of your own ({name}): give network=, the class or module that "
            "was searched, or --space PACKAGE.MODULE:NAME on the command line"
        )
    try:
        space = spaces.recorded(card)
        genotype = space.parse(card["genotype"])
        if space.network_size.cells > len(state):
            raise ArchgradError(f"{path}: {space.network_size.cells} cells for {len(state)} weights")
        with torch.device("meta"):
            return built(space, genotype, card)
    except (KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ArchgradError(f"{path}: what it says of its network is damaged ({reason})") from None


def built(space: Space, genotype: Genotype, settings: Mapping[str, Any]) -> nn.Module:
    """The network of a training's settings, freshly initialised; one that inherits is a settled supernet."""
    options = {name: settings[name] for name in ("classes", "in_channels")}
    if settings.get("inherit"):
        return space.supernet(**options).settle(genotype)
    return space.network(genotype, **options, auxiliary=settings["auxiliary"])


def _own(card: Mapping[str, Any], network: Network, path: Path) -> nn.Module:
    """The network that a user gives, its choices settled as the card says."""
    module = network if isinstance(network, nn.Module) else network()
    if not isinstance(module, nn.Module):
        raise ArchgradError(f"load: network must be a torch.nn.Module or make one, got {type(module).__name__}")
    if not isinstance(card.get("genotype"), str):
        return module
    supernet = module if isinstance(module, Supernet) else Supernet(module)
    return supernet.settle(Genotype.from_json(card["genotype"]), inherit=True)
