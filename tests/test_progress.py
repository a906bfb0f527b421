"""The bar shows what a user waits for on a terminal, and nothing in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from archgrad.progress import Progress
from archgrad.tasks import Classification

WRITTEN = Classification(10).written


def shown(terminal: bool, show: bool = True) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=140)
    with Progress("training", epochs=2, steps=5, written=WRITTEN, show=show, console=console) as bar:
        for epoch in range(2):
            for step in range(1, 6):
                bar.at(epoch, step, lambda: {"loss": 0.1234, "accuracy": 0.875})
    return file.getvalue()


def test_a_terminal_sees_loss_accuracy_and_time_left():
    text = shown(terminal=True)
    assert all(part in text for part in ("training", "loss 0.1234", "accuracy 87.50%", "epoch 2/2", "10/10", "left"))


@pytest.mark.parametrize(("terminal", "show"), [(False, True), (True, False)])
def test_a_log_sees_nothing(terminal: bool, show: bool):
    assert shown(terminal, show) == ""


def test_measurements_are_read_rarely():
    readings = []
    console = Console(file=io.StringIO(), force_terminal=True)
    with Progress("search", epochs=1, steps=200, written=WRITTEN, console=console) as bar:
        for step in range(200):
            bar.at(0, step, lambda: readings.append(1) or {})
    assert len(readings) <= 3
