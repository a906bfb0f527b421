"""Training: the recipes are the published ones, kills change nothing, and what cannot work is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from archgrad import data
from archgrad.distributed import World
from archgrad.errors import ArchgradError
from archgrad.evaluation import evaluate, evaluate_subset, load_weights
from archgrad.operations.drop_path import DropPath
from archgrad.randomness import derive, generator
from archgrad.recipes import Recipe, recipe_of
from archgrad.robustness import PGD, Victim
from archgrad.runs import Run
from archgrad.train import _augmentation, _Training, train

HERE = Path(__file__).parent
SMALL = Recipe(epochs=3, batch_size=16, lr=0.1)


def blobs(count: int = 64) -> data.Dataset:
    """Two classes of points that a line separates."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    x = torch.randn(count, 4, generator=generator) + 4 * y[:, None]
    return data.from_tensors(x, y, x[: count // 2], y[: count // 2], name="blobs")


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


def convnet(channels: int = 12) -> nn.Module:
    def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())

    torch.manual_seed(0)
    return nn.Sequential(
        block(1, channels), block(channels, 2 * channels, 2), block(2 * channels, 4 * channels, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * channels, 10),
    )  # fmt: skip


def settle(network: nn.Module, **options):
    return train(network, **{"data": blobs(), "recipe": SMALL, "device": "cpu", "progress": False, **options})


def test_darts_recipe_is_the_published_one():
    recipe = recipe_of("darts")
    assert [recipe.lr_at(epoch, step, 520) for epoch, step in ((0, 0), (300, 519), (599, 0))] == pytest.approx(
        [0.025, 0.0125, 0.025 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * 599 / 600, dtype=torch.double)).item())]
    )
    assert [recipe.drop_path_at(epoch) for epoch in (0, 300, 599)] == pytest.approx([0, 0.1, 0.2 * 599 / 600])
    assert (recipe.clip, recipe.auxiliary_weight, recipe.cutout, recipe.weight_decay) == (5, 0.4, 16, 3e-4)


def test_nasbench201_recipe_changes_the_rate_every_step():
    recipe = recipe_of("nasbench201")
    assert recipe.lr_at(100, 0, 196) == pytest.approx(0.05)
    assert recipe.lr_at(100, 98, 196) < recipe.lr_at(100, 97, 196)
    assert (recipe.nesterov, recipe.weight_decay, recipe.cutout, recipe.clip, recipe.batch_size) == (
        True,
        5e-4,
        0,
        0,
        256,
    )


def test_warm_up_rises_linearly_to_the_rate_and_then_falls():
    recipe = Recipe(epochs=10, batch_size=1, lr=1.0, lr_per_step=True, warm_up_epochs=2)
    rates = [recipe.lr_at(*divmod(step, 4), 4) for step in range(40)]
    assert rates[:8] == pytest.approx([step / 8 for step in range(1, 9)])
    assert rates[8] == 1.0
    assert sorted(rates[8:], reverse=True) == rates[8:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "dart"}, "unknown recipe 'dart': did you mean 'darts'"),
        ({"recipe": "darts", "epochs": 0}, "epochs must be a number above 0"),
        ({"recipe": "darts", "drop_path": 1.0}, r"drop_path must lie in \[0, 1\)"),
        ({"recipe": "darts", "clip": -1.0}, "clip must not be negative"),
        ({"recipe": "darts", "lr": "1e-3"}, "recipe: lr must be a number, got '1e-3', which is text: .* 1.0e-3"),
        (
            {"recipe": "darts", "weight_decay": "1e-3"},
            "recipe: weight_decay must be a number, got '1e-3', which is text",
        ),
        ({"recipe": "darts", "batch_size": 1.5}, "batch_size must be a whole number"),
        ({"recipe": "darts", "clips": 1.0}, "unknown recipe setting 'clips': did you mean 'clip'"),
    ],
)
def test_unusable_recipes_are_one_line(changes: dict, message: str):
    with pytest.raises(ArchgradError, match=message):
        recipe_of(**changes)


@pytest.mark.parametrize(("height", "width", "side"), [(32, 32, 16), (8, 8, 4), (16, 64, 16), (8, 16, 6)])
def test_cutout_covers_the_same_share_of_images_of_any_size(height: int, width: int, side: int):
    images = torch.zeros(4, 1, height, width)
    labels = torch.tensor([0, 1, 0, 1])
    dataset = data.from_tensors(images, labels, images, labels, augmentation=data.Augmentation(pad=1))
    assert dataset.image_size == (height, width)
    assert _augmentation(recipe_of("darts"), dataset).cutout == side


def test_plain_training_is_sgd_written_out():
    dataset = blobs()
    network, twin = linear(), linear()
    recipe = Recipe(epochs=2, batch_size=16, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, clip=0.5)
    result = settle(network, data=dataset, recipe=recipe, seed=5)
    batches = data.Batches(dataset.train, 16, seed=derive(5, "data"), shuffle=True, drop_last=True)
    velocity = [torch.zeros_like(p) for p in twin.parameters()]
    for epoch in range(2):
        losses = []
        for x, y in batches.epoch(epoch):
            loss = nn.functional.cross_entropy(twin(x), y)
            losses.append(loss.item())
            gradients = torch.autograd.grad(loss, list(twin.parameters()))
            norm = torch.cat([g.flatten() for g in gradients]).norm()
            for p, v, g in zip(twin.parameters(), velocity, gradients, strict=True):
                g = g * min(1.0, 0.5 / norm.item()) + 0.01 * p.detach()
                v.mul_(0.9).add_(g)
                p.data -= recipe.lr_at(epoch, 0, 4) * (g + 0.9 * v)
        assert result.history[epoch]["train_loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main, self.extra, self.path = linear(), linear(), DropPath()
        self.rates: list[float] = []

    def forward(self, x: Tensor):
        if not self.training:
            return self.main(x)
        self.rates.append(self.path.rate)
        return self.main(x), self.extra(x)


def test_the_auxiliary_loss_is_weighed_and_drop_path_rises():
    network = TwoHeads()
    extra = network.extra.weight.detach().clone()
    recipe = replace(SMALL, epochs=4, drop_path=0.2, momentum=0.0, auxiliary_weight=0.4, lr=1e-3)
    settle(network, recipe=recipe)
    assert network.rates == pytest.approx([rate for rate in (0.0, 0.05, 0.1, 0.15) for _ in range(4)])
    moved = (network.extra.weight - extra).norm().item()
    alone = linear()
    before = alone.weight.detach().clone()
    settle(alone, recipe=replace(recipe, auxiliary_weight=0.0))
    assert moved == pytest.approx(0.4 * (alone.weight - before).norm().item(), rel=0.02)
    untouched = TwoHeads()
    settle(untouched, recipe=replace(recipe, auxiliary_weight=0.0))
    assert torch.equal(untouched.extra.weight, extra)


def test_the_best_epoch_is_chosen_by_validation_and_its_weights_are_kept(tmp_path: Path):
    network = linear()
    result = settle(network, recipe=replace(SMALL, epochs=6, lr=0.3), validation=0.25, out=tmp_path / "run", seed=2)
    accuracies = [record["validation_accuracy"] for record in result.history]
    assert result.epoch == accuracies.index(max(accuracies))
    held_out, _ = data.split(blobs().train, 0.25, 2)
    world = World(0, 1, torch.device("cpu"))
    assert evaluate_subset(network, held_out, blobs().task, world) == result.validation
    assert result.validation.accuracy == max(accuracies)
    kept = load_weights(nn.Linear(4, 2), tmp_path / "run")
    assert torch.equal(kept.weight, network.weight)
    assert Run.open(tmp_path / "run").read_json("result.json")["epoch"] == result.epoch


def test_metrics_by_hand():
    x = torch.eye(6)
    y = torch.tensor([0, 1, 2, 3, 4, 0])
    dataset = data.from_tensors(x, y, x, y, classes=6)
    network = nn.Linear(6, 6, bias=False)
    network.weight.data = torch.eye(6) * 2 + torch.diag(torch.ones(5), -1)  # the last input favours 5, then none for 0
    metrics = evaluate(network.train(), dataset, device="cpu")
    logits = network(x)
    assert metrics.loss == pytest.approx(nn.functional.cross_entropy(logits, y).item())
    assert metrics.accuracy == pytest.approx(5 / 6)
    expected = sum(int(label in row.topk(5).indices) for row, label in zip(logits, y, strict=True))
    assert metrics.top5 == pytest.approx(expected / 6)
    assert metrics.count == 6
    assert network.training


def killed(directory: Path, seed: int, mean_seconds: float) -> int:
    command = [sys.executable, HERE / "kill_training.py", directory, str(seed), str(mean_seconds)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def written(directory: Path) -> dict[str, object]:
    """All that a run leaves, without how long things took."""
    run = Run.open(directory)
    history = [{k: v for k, v in record.items() if k != "seconds"} for record in run.history()]
    result = {k: v for k, v in run.read_json("result.json").items() if k != "seconds"}
    return {"weights": (directory / "weights.safetensors").read_bytes(), "history": history, "result": result}


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path: Path):
    assert killed(tmp_path / "whole", 0, 0) == 0
    seconds = sum(record["seconds"] for record in Run.open(tmp_path / "whole").history())
    kills, seed = 0, 0
    while kills < 20:
        seed += 1
        kills += killed(tmp_path / f"killed-{seed}", seed, seconds / 10)
        assert written(tmp_path / f"killed-{seed}") == written(tmp_path / "whole")


def test_a_finished_run_started_again_gives_its_result(tmp_path: Path):
    first = settle(linear(), out=tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text()
    again = settle(nn.Linear(4, 2), out=tmp_path)
    assert again.test == first.test
    assert torch.equal(again.network.weight, first.network.weight)
    assert (tmp_path / "metrics.jsonl").read_text() == lines
    assert [json.loads(line)["epoch"] for line in lines.splitlines()] == [0, 1, 2]
    with pytest.raises(ArchgradError, match=r"recipe\.lr: 0.1 → 0.2"):
        settle(linear(), out=tmp_path, recipe=replace(SMALL, lr=0.2))
    with pytest.raises(ArchgradError, match="already holds a run"):
        settle(linear(), out=tmp_path, resume=False)


class Explodes(nn.Linear):
    def __init__(self, after: int) -> None:
        torch.manual_seed(0)
        super().__init__(4, 2)
        self.register_buffer("steps", torch.tensor(0))
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return super().forward(x) * (float("nan") if self.steps > self.after else 1.0)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tmp_path: Path):
    with pytest.raises(ArchgradError, match=r"not finite in epoch 1, .* last good checkpoint is kept in [^\n]*$"):
        settle(Explodes(after=6), out=tmp_path, checkpoint_seconds=0.0)
    run = Run.open(tmp_path)
    assert len(run.history()) == 1
    payload = run.load_checkpoint()
    assert all(tensor.isfinite().all() for tensor in payload["network"].values())
    assert (payload["epoch"], payload["step"]) in ((1, 1), (1, 2))
    assert settle(Explodes(after=1000), out=tmp_path).test.accuracy > 0.9


def test_the_callers_random_state_is_left_alone():
    network = linear()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    settle(network)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (nn.Linear(5, 2), {}, r"cannot take inputs of blobs, of shape \[4\]"),
        (nn.Linear(4, 3), {}, r"blobs has 2 classes, but the network's output is \[3\] per input"),
        (nn.Linear(4, 2), {"batch_size": 100}, "batch size 100 is larger than the 64 inputs"),
        (nn.Linear(4, 2), {"mixed_precision": "fp16"}, "use bf16"),
        (nn.Linear(4, 2), {"validation": 1.5}, "fraction must lie between 0 and 1"),
        (nn.Linear(4, 2).requires_grad_(False), {}, "no parameters to train"),
    ],
)
def test_what_cannot_be_trained_is_one_line(network: nn.Module, options: dict, message: str):
    with pytest.raises(ArchgradError, match=message):
        settle(network, **options)


def test_weights_of_another_network_are_named(tmp_path: Path):
    settle(linear(), out=tmp_path)
    with pytest.raises(ArchgradError, match=r"another network \('0.weight' is not among them\)"):
        load_weights(nn.Sequential(nn.Linear(4, 2)), tmp_path)
    with pytest.raises(ArchgradError, match=r"'weight' is \[2, 4\], the network has \[3, 4\]"):
        load_weights(nn.Linear(4, 3), tmp_path / "weights.safetensors")
    with pytest.raises(ArchgradError, match="no such weights file"):
        load_weights(linear(), tmp_path / "missing.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArchgradError, match="not a readable safetensors file"):
        load_weights(linear(), tmp_path)


def test_bf16_learns_too():
    assert settle(linear(), mixed_precision="bf16").test.accuracy > 0.95


@pytest.mark.slow
def test_the_quick_recipe_reads_digits():
    result = train(convnet(), "digits", recipe="quick", epochs=12, device="cpu", progress=False)
    assert result.test.accuracy >= 0.97


def test_adversarial_recipe_is_the_published_one():
    recipe = recipe_of("adversarial")
    rates = [recipe.lr_at(epoch, 0, 390) for epoch in (0, 99, 100, 149, 150, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert recipe.adversarial == PGD(8 / 255, step=2 / 255, steps=7, restarts=1, random_start=True)
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (200, 128, 5e-4)
    short = recipe_of("adversarial", epochs=8)
    assert [short.lr_at(epoch, 0, 1) for epoch in (3, 4, 5, 6)] == pytest.approx([0.1, 0.01, 0.01, 0.001])
    with pytest.raises(ArchgradError, match="drops must be shares"):
        replace(recipe, drops=(0.75, 0.5))


def test_adversarial_training_learns_what_the_attack_leaves():
    dataset = blobs()
    network, twin = linear(), linear()
    attack = PGD(0.5, steps=2)
    settle(network, data=dataset, recipe=replace(SMALL, epochs=1, momentum=0.0, adversarial=attack), seed=5)
    batches = data.Batches(dataset.train, 16, seed=derive(5, "data"), shuffle=True, drop_last=True)
    for step, (x, y) in enumerate(batches.epoch(0)):
        numbers = generator(5, "attack", 0, step, 0)
        attacked = attack(Victim(twin, bounds=None), x, y, numbers)  # points, unlike images, have any size
        assert (attacked - x).abs().max() == pytest.approx(0.5, abs=0.5)
        loss = nn.functional.cross_entropy(twin(attacked), y)
        for parameter, gradient in zip(
            twin.parameters(), torch.autograd.grad(loss, list(twin.parameters())), strict=True
        ):
            parameter.data -= 0.1 * gradient
    for trained, expected in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(trained, expected)


def test_an_attack_without_a_radius_is_plain_training():
    recipe = Recipe(epochs=1, batch_size=64, lr=0.1)
    plain, attacked = (
        settle(convnet(4), data="digits", recipe=replace(recipe, adversarial=attack)) for attack in (None, PGD(0.0))
    )
    for a, b in zip(plain.network.state_dict().values(), attacked.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_adversarial_training_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = Recipe(epochs=2, batch_size=256, lr=0.1, adversarial=PGD(0.1, steps=2))
    network = nn.Sequential(*convnet(4)[:3], nn.Dropout2d(0.3), *convnet(4)[3:])
    start = {name: value.clone() for name, value in network.state_dict().items()}
    whole = settle(network, data="digits", recipe=recipe, out=tmp_path / "whole", checkpoint_seconds=0)
    whole_state = {name: value.clone() for name, value in whole.network.state_dict().items()}
    network.load_state_dict(start)

    steps = 0
    original = _Training.train_step

    def interrupted(self: _Training, batch: tuple[Tensor, Tensor]) -> None:
        nonlocal steps
        steps += 1
        if steps == 8:
            raise KeyboardInterrupt
        original(self, batch)

    options = {"data": "digits", "recipe": recipe, "out": tmp_path / "cut", "checkpoint_seconds": 0}
    with monkeypatch.context() as patch:
        patch.setattr(_Training, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            settle(network, **options)
    resumed = settle(network, **options)
    for name, value in resumed.network.state_dict().items():
        assert torch.equal(value, whole_state[name]), name
    with pytest.raises(ArchgradError, match=r"recipe.adversarial.init_args.steps: 2 → 3"):
        settle(network, **{**options, "recipe": replace(recipe, adversarial=PGD(0.1, steps=3))})
