"""What an evaluation reports is what attacks and corruptions do."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from archgrad import data
from archgrad.errors import ArchgradError
from archgrad.evaluation import evaluate
from archgrad.figures.files import alone
from archgrad.randomness import generator
from archgrad.robustness import CORRUPTIONS, FGSM, PGD, Attacked, Robustness, attack_of, corrupt, fgsm, hrs, robustness
from archgrad.robustness.figures import accuracy_over_radius, corruption_table

QUIET = {"device": "cpu", "progress": False}


def test_the_harmonic_score() -> None:
    assert hrs(50, 50) == 50
    assert hrs(90, 10) == pytest.approx(18)
    assert hrs(80, 0) == hrs(0, 0) == 0


def test_accuracies_are_those_of_the_attacked_and_corrupted_images(trained: nn.Module, digits: data.Dataset) -> None:
    radii = (0.05, 0.1)
    trained.train()
    try:
        found = robustness(
            trained,
            digits,
            ("fgsm",),
            radii,
            corruptions=("fog", "contrast"),
            severities=(2, 5),
            batch_size=100,
            **QUIET,
        )
        assert trained.training, "the network keeps its mode"
    finally:
        trained.eval()
    assert found.images == len(digits.test)
    assert found.clean == pytest.approx(evaluate(trained, digits, device="cpu").accuracy)

    def accuracy(x: Tensor, y: Tensor) -> float:
        return float((trained(x).argmax(1) == y).double().mean())

    x, y = next(data.Batches(digits.test, len(digits.test)).epoch())
    for radius, measured in zip(radii, found.attacks["fgsm"].accuracies, strict=True):
        # One that is wrong already and is put right by an attack does not count as right.
        right = trained(x).argmax(1) == y
        attacked = fgsm(trained, x, y, epsilon=radius, mean=digits.mean, std=digits.std)
        both = right & (trained(attacked).argmax(1) == y)
        assert measured == pytest.approx(float(both.double().mean()))
        assert found.hrs("fgsm", radius) == pytest.approx(hrs(found.clean, measured))
    pixels, y = next(data.Batches(replace(digits.test, normalisation=None), len(digits.test)).epoch())
    contrast = corrupt(pixels, "contrast", 5, 0)
    assert found.corruptions["contrast"][1] == pytest.approx(accuracy(digits.test.normalisation(contrast), y))
    fog = [corrupt(part, "fog", 2, generator(0, "corruption", "fog", n)) for n, part in enumerate(pixels.split(100))]
    assert found.corruptions["fog"][0] == pytest.approx(accuracy(digits.test.normalisation(torch.cat(fog)), y))
    rows = found.corruptions.values()
    assert found.corruption_error == pytest.approx(1 - sum(sum(row) / 2 for row in rows) / 2)
    assert found.group("weather") == pytest.approx(sum(found.corruptions["fog"]) / 2)
    assert found.group("noise") is None


def test_the_same_seed_gives_the_same_and_growing_radii_do_not_help(trained: nn.Module, digits: data.Dataset) -> None:
    attacks = ("pgd-5", PGD(steps=5, restarts=2), FGSM())
    found, again = (
        robustness(trained, digits, attacks, (0.02, 0.1, 0.3), corruptions=("snow",), images=100, seed=3, **QUIET)
        for _ in range(2)
    )
    assert found == again
    assert found.images == 100
    assert list(found.attacks) == ["pgd-5", "pgd-5x2", "fgsm"]
    for one in found.attacks.values():
        assert list(one.accuracies) == sorted(one.accuracies, reverse=True)
        assert one.accuracies[0] <= found.clean
    pairs = zip(found.attacks["pgd-5x2"].accuracies, found.attacks["pgd-5"].accuracies, strict=True)
    assert all(several <= one for several, one in pairs)
    assert found != robustness(trained, digits, attacks, (0.02, 0.1, 0.3), corruptions=("snow",), images=90, **QUIET)


def test_smallest_perturbations_are_sought_once_and_compared_with_every_radius(
    trained: nn.Module, digits: data.Dataset
) -> None:
    pytest.importorskip("foolbox")
    radii = (0.0, 0.02, 0.1, 1.0)
    found = robustness(trained, digits, ("deepfool",), radii, corruptions=(), images=60, **QUIET)
    one = found.attacks["deepfool"]
    assert one.accuracies[0] == found.clean, "nothing is fooled by nothing"
    assert list(one.accuracies) == sorted(one.accuracies, reverse=True)
    assert one.accuracies[-1] == 0
    assert 0.005 < one.median < 0.3
    assert found.corruption_error is None


def test_mean_corruption_error_is_relative_to_a_reference() -> None:
    def measured(fog: float, snow: float) -> Robustness:
        return Robustness(0.9, 10, {}, {"fog": (fog, fog), "snow": (snow, snow)}, (1, 2))

    one, reference = measured(0.9, 0.6), measured(0.8, 0.2)
    assert one.relative_corruption_error(reference) == pytest.approx((0.1 / 0.2 + 0.4 / 0.8) / 2)
    assert reference.relative_corruption_error(reference) == pytest.approx(1)
    with pytest.raises(ArchgradError, match="other corruptions"):
        one.relative_corruption_error(Robustness(0.9, 10, {}, {"fog": (1.0, 1.0)}, (1, 2)))
    with pytest.raises(ArchgradError, match="makes no mistake under fog"):
        one.relative_corruption_error(measured(1.0, 0.5))


def test_it_is_plain_data_and_can_be_drawn() -> None:
    attacked = Attacked("linf", (1 / 255, 8 / 255), (0.5, 0.1), settings={"steps": 7})
    found = Robustness(0.9, 10, {"pgd-7": attacked}, dict.fromkeys(CORRUPTIONS, (0.5,) * 5))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["attacks"]["pgd-7"]["hrs"] == pytest.approx([hrs(0.9, 0.5), hrs(0.9, 0.1)])
    assert plain["corruption_error"] == 0.5
    (chart,) = accuracy_over_radius("a", found.clean, {**found.attacks, "pgd-9": attacked})
    assert chart.count('<path d="M') == 2
    titles = [f"L∞ radius in 1/255 {x}\npgd-7  {y} %\npgd-9  {y} %" for x, y in ((0, 90), (1, 50), (8, 10))]
    assert all(f"<title>{title}</title>" in chart for title in titles), "both attacks, from the clean accuracy on"
    assert corruption_table(found).count('class="heat') == 75
    ElementTree.fromstring(alone([chart, corruption_table(found)]).encode())  # raises where it is not well-formed
    with pytest.raises(ArchgradError, match="no corruption"):
        corruption_table(Robustness(0.9, 10, {}, {}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attacks": ("pdg",)}, "unknown attack 'pdg': did you mean 'pgd'"),
        ({"corruptions": ("fogg",)}, "unknown corruption 'fogg'"),
        ({"images": 0}, "at least 1"),
    ],
)
def test_mistakes_are_one_line(options, message: str, trained: nn.Module, digits: data.Dataset) -> None:
    with pytest.raises(ArchgradError, match=message):
        robustness(trained, digits, **{"attacks": (), "corruptions": (), **options, **QUIET})


def test_only_images_can_be_evaluated() -> None:
    points = data.from_tensors(torch.randn(8, 4), torch.arange(8) % 2, torch.randn(8, 4), torch.arange(8) % 2)
    with pytest.raises(ArchgradError, match="no images"):
        robustness(nn.Linear(4, 2), points, **QUIET)
    assert attack_of("pgd-7") == PGD(steps=7)
    assert attack_of(FGSM(0.1)) == FGSM(0.1)
