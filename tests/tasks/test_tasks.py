"""Every task: its loss in batches, its metrics against their definitions, its answers, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torchmetrics import MeanAbsoluteError, R2Score
from torchmetrics.classification import BinaryAccuracy

import archgrad
from archgrad.errors import ArchgradError
from archgrad.tasks import Classification, MultiLabel, NextToken, Regression, Segmentation, Task

UNDECIDED = type("Undecided", (MeanAbsoluteError,), {"higher_is_better": None})
GENERATOR = torch.Generator().manual_seed(0)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR)


def integers(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=GENERATOR)


def with_holes(targets: torch.Tensor, value: int) -> torch.Tensor:
    """Unevenly: the first batch of the tests below has more places that do not count than the second."""
    targets[:2, ..., :2] = value
    return targets


CASES = {
    "classification": (Classification(7), draw(9, 7), integers(7, 9)),
    "weighted": (Classification(3, class_weights=[1.0, 5.0, 0.5]), draw(9, 3), integers(3, 9)),
    "multi-label": (MultiLabel(4), draw(9, 4), integers(2, 9, 4).float()),
    "regression": (Regression(), draw(9, 2), draw(9, 2)),
    "segmentation": (Segmentation(5), draw(9, 5, 4, 6), with_holes(integers(5, 9, 4, 6), 255)),
    "next token": (NextToken(11), draw(9, 6, 11), with_holes(integers(11, 9, 6), -100)),
    "own": (Task(loss=F.huber_loss, metrics={"mae": MeanAbsoluteError}), draw(9, 2), draw(9, 2)),
}


def measured(task: Task, outputs: torch.Tensor, targets: torch.Tensor, cut: int = 4) -> dict[str, float]:
    """All metrics over two uneven batches."""
    metrics = task.make_metrics()
    for part in (slice(None, cut), slice(cut, None)):
        task.update(metrics, outputs[part], targets[part])
    return {name: float(metric.compute()) for name, metric in metrics.items()}


@pytest.mark.parametrize("case", CASES)
def test_sums_over_uneven_batches_give_the_loss_of_the_whole(case: str) -> None:
    task, outputs, targets = CASES[case]
    parts = [task.summed_loss(outputs[part], targets[part]) for part in (slice(None, 4), slice(4, None))]
    total, weight = (sum(column) for column in zip(*parts, strict=True))
    torch.testing.assert_close(total / weight, task.mean_loss(outputs, targets))


@pytest.mark.parametrize("case", CASES)
def test_half_precision_outputs_are_widened(case: str) -> None:
    task, outputs, targets = CASES[case]
    half = outputs.bfloat16()
    assert task.mean_loss(half, targets).dtype == torch.float32
    assert torch.equal(task.mean_loss(half, targets), task.mean_loss(half.float(), targets))
    assert measured(task, half, targets) == measured(task, half.float(), targets)


@pytest.mark.parametrize("case", CASES)
def test_the_primary_metric_is_one_of_them_and_does_not_depend_on_the_batches(case: str) -> None:
    task, outputs, targets = CASES[case]
    once, twice = measured(task, outputs, targets, cut=0), measured(task, outputs, targets)
    assert task.primary in once
    assert once == pytest.approx(twice, rel=1e-5)


def test_classification_is_cross_entropy_and_its_accuracies() -> None:
    task, outputs, targets = CASES["classification"]
    assert torch.equal(task.mean_loss(outputs, targets), F.cross_entropy(outputs, targets))
    hits = outputs.topk(5).indices == targets[:, None]
    assert measured(task, outputs, targets) == pytest.approx(
        {"accuracy": float(hits[:, 0].double().mean()), "top5": float(hits.any(1).double().mean())}
    )
    assert torch.equal(task.correct(outputs, targets), hits[:, 0])
    assert task.running(outputs, targets)["accuracy"] == hits[:, 0].sum()


def test_label_smoothing_trains_and_is_not_evaluated() -> None:
    task, outputs, targets = CASES["classification"]
    smooth = task.with_label_smoothing(0.2)
    assert torch.equal(smooth.mean_loss(outputs, targets), F.cross_entropy(outputs, targets, label_smoothing=0.2))
    assert smooth.summed_loss(outputs, targets) == task.summed_loss(outputs, targets)
    assert smooth.with_label_smoothing(0.0) is smooth
    with pytest.raises(ArchgradError, match="Regression: label smoothing is for tasks with classes"):
        Regression().with_label_smoothing(0.1)


def test_a_metric_that_is_always_one_is_left_out() -> None:
    assert list(Classification(5).make_metrics()) == ["accuracy"]
    assert list(Classification(6).make_metrics()) == ["accuracy", "top5"]
    with pytest.raises(ArchgradError, match="primary must be one of accuracy, loss, got 'top5'"):
        Classification(4, primary="top5")


def test_multi_label_metrics_and_answers() -> None:
    task = MultiLabel(["sun", "rain"])
    # Logits in [0, 1], which torchmetrics by itself would take for probabilities.
    outputs = torch.tensor([[0.3, 0.2], [0.4, 0.1], [0.2, 0.4]])
    targets = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert task.answer(outputs).all()
    assert task.correct(outputs, targets).tolist() == [True, False, False]
    expected = {"f1": 4 / 5, "accuracy": 4 / 6, "exact_match": 1 / 3}
    assert measured(task, outputs, targets) == pytest.approx(expected)


def test_regression_errors() -> None:
    outputs, targets = torch.tensor([[1.0], [2.0], [3.0]]), Regression().targets([1, 4, 6], "y")
    assert measured(Regression(), outputs, targets, cut=1) == pytest.approx({"rmse": (13 / 3) ** 0.5, "mae": 5 / 3})
    with pytest.raises(ArchgradError, match="Regression: single examples are not right or wrong in this task"):
        Regression().correct(outputs, targets)
    assert Regression().running(outputs, targets) == {}


def test_segmentation_counts_pixels_that_are_not_ignored() -> None:
    targets = torch.tensor([[[0, 0, 1, 255]], [[1, 1, 1, 0]]])
    answers = torch.tensor([[[0, 1, 1, 0]], [[1, 1, 0, 0]]])
    outputs = F.one_hot(answers, 3).permute(0, 3, 1, 2).float()
    # Class 0: 2 of 4 pixels in the union; class 1: 3 of 5; class 2 neither occurs nor is answered.
    expected = {"mean_iou": (2 / 4 + 3 / 5) / 2, "accuracy": 5 / 7}
    assert measured(Segmentation(3), outputs, targets, cut=1) == pytest.approx(expected)
    assert Segmentation(3).correct(outputs, targets).tolist() == pytest.approx([2 / 3, 3 / 4])
    whole = torch.full((1, 1, 4), 255)
    assert Segmentation(3).correct(outputs[:1], whole).tolist() == [1.0]


def test_perplexity_is_the_exponential_of_the_loss() -> None:
    task, outputs, targets = CASES["next token"]
    found = measured(task, outputs, targets)
    assert found["perplexity"] == pytest.approx(float(task.mean_loss(outputs, targets).exp()), rel=1e-5)
    counted = targets != -100
    assert found["accuracy"] == pytest.approx(float((outputs.argmax(-1) == targets)[counted].double().mean()))


@pytest.mark.parametrize("unsized", [Classification(), MultiLabel(), Regression(), Segmentation(), NextToken()])
def test_outputs_follow_from_the_targets(unsized: Task) -> None:
    task, outputs, targets = next(case for case in CASES.values() if type(case[0]) is type(unsized))
    sized = unsized.sized(targets, "y")
    assert sized.outputs == (task.outputs or 2)
    sized.require_outputs(outputs, sized.targets(targets, "y"), "data")
    with pytest.raises(ArchgradError, match=r"^data .*, but the network's output is "):
        sized.require_outputs(outputs[..., None], sized.targets(targets, "y"), "data")


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        (Classification(3), [0, 3], r"y: labels must lie in 0 … 2, got 3"),
        (Classification(3), [0, -100], r"y: labels must lie in 0 … 2, got -100"),
        (Classification(3), [0.5, 1.0], r"y: must be integers of shape \[n\], got torch.float32 of shape \[2\]"),
        (Classification(), ["cat", "dog"], r"y: must be numbers"),
        (MultiLabel(2), [[0, 2]], r"y: must be zeros and ones, got 2"),
        (MultiLabel(2), [[0, 1, 1]], r"y: must be zeros and ones of shape \[n, 2\], got shape \[1, 3\]"),
        (Regression(), [1.0, float("nan")], r"y: holds values that are not finite"),
        (Regression(outputs=2), [1.0], r"y: must have 2 numbers per input, got shape \[1, 1\]"),
        (Segmentation(2), [0, 1], r"y: must be integers of shape \[n, …, …\], got torch.int64 of shape \[2\]"),
        (NextToken(4), [[[1]]], r"y: must be integers of shape \[n\] or \[n, …\], got"),
    ],
)
def test_targets_that_do_not_fit_are_refused(task: Task, values: list[object], message: str) -> None:
    with pytest.raises(ArchgradError, match=message):
        task.targets(values, "y")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Task(), "Task: loss must be given"),
        (lambda: Task(loss=3), "Task: loss must be a function of outputs and targets, got 3"),
        (
            lambda: Task(loss=F.mse_loss, metrics={"mae": MeanAbsoluteError()}),
            "metric 'mae' must be what makes a metric",
        ),
        (lambda: Task(loss=F.mse_loss, primary="mae"), "primary must be one of loss, got 'mae'"),
        (
            lambda: Task(loss=F.mse_loss, metrics={"m": UNDECIDED}),
            "say higher_is_better, since metric 'm' does not",
        ),
        (lambda: Classification(0), "classes must be a number above 0, or names, got 0"),
        (lambda: Classification(3, class_weights=[1.0]), "1 class weights for 3 classes"),
        (lambda: Classification(3, label_smoothing=1.0), r"label_smoothing must lie in \[0, 1\), got 1.0"),
    ],
)
def test_settings_of_a_task_are_checked(make: object, message: str) -> None:
    with pytest.raises(ArchgradError, match=message):
        make()  # type: ignore[operator]


def test_a_task_of_ones_own() -> None:
    task = archgrad.Task(loss=F.mse_loss, metrics={"r2": R2Score, "mae": MeanAbsoluteError})
    assert (task.primary, task.higher_is_better) == ("r2", True)
    assert not replace(task, primary="mae").higher_is_better
    assert not replace(Classification(3), primary="loss").higher_is_better
    assert Task(loss=F.mse_loss, metrics={"m": UNDECIDED}, higher_is_better=True).higher_is_better
    assert Task(loss=F.mse_loss).primary == "loss"
    with pytest.raises(ArchgradError, match="data: the task's loss must be one number, the mean over a batch"):
        Task(loss=lambda outputs, y: outputs - y).require_outputs(draw(2, 1), draw(2, 1), "data")
    with pytest.raises(ArchgradError, match="data: the task's loss cannot take the network's outputs: "):
        Task(loss=F.cross_entropy).require_outputs(draw(2, 3), draw(2, 4), "data")


def test_metrics_are_written_for_people() -> None:
    assert Classification(10).written("accuracy", 0.93214) == "93.21%"
    assert Regression().written("mae", 0.48215) == "0.4822"
    titles = [Classification(10).label("top5"), Segmentation(2).label("mean_iou"), MultiLabel(2).label("exact_match")]
    assert titles == ["top-5", "mean IoU", "exact match"]
    extra = Task(loss=F.mse_loss, metrics={"hits": BinaryAccuracy, "mae": MeanAbsoluteError})
    assert extra.written("hits", 0.5) == "50.00%"
    assert extra.written("mae", 2.0) == "2"
    assert extra.written("loss", 0.25) == "0.25"


def test_importing_archgrad_does_not_import_torchmetrics() -> None:
    code = "import sys, archgrad.tasks; archgrad.Task(loss=print); sys.exit('torchmetrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
