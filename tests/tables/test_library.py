"""Published layouts become tables of one schema, and tables are found by name."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from archgrad import tables
from archgrad.errors import ArchgradError
from archgrad.tables import nasbench201
from archgrad.tables.natsbench import from_api

UIDS = (0, 13433)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def robustness_data(tmp_path: Path) -> Path:
    """The layout of the robustness data set, with two cells."""
    root = tmp_path / "robustness-data"
    (root / "cifar10").mkdir(parents=True)
    (root / "ImageNet16-120").mkdir()
    ids = {str(uid): {"isomorph": str(uid), "nb201-string": "…"} for uid in UIDS}
    (root / "meta.json").write_text(json.dumps({"ids": ids, "epsilons": {"pgd@Linf": [0.1, 1.0]}}))

    def write(data: str, key: str, values: list[object]) -> None:
        cells = dict(zip(map(str, UIDS), values, strict=True))
        (root / data / f"{key}_accuracy.json").write_text(json.dumps({data: {key: {"accuracy": cells}}}))

    write("cifar10", "clean", [0.856, 0.893])
    write("cifar10", "pgd@Linf", [[0.8, 0.19], [0.8, 0.336]])
    write("cifar10", "fog", [[0.5, 0.4, 0.3, 0.2, 0.1], [0.9, 0.8, 0.7, 0.6, 0.5]])
    write("ImageNet16-120", "clean", [0.277, 0.3])
    return root


def test_robustness_data_set(robustness_data: Path, home: Path):
    table = tables.import_table(robustness_data, "robustness")
    assert set(table.columns) == {
        "cifar10_clean",
        "cifar10_pgd_eps0.1",
        "cifar10_pgd_eps1",
        *(f"cifar10_fog_s{severity}" for severity in range(1, 6)),
        "in16_clean",
    }
    assert table.value(13433, "cifar10_pgd_eps1") == pytest.approx(33.6)
    members = np.flatnonzero(np.isin(nasbench201.isomorphs(), UIDS))
    assert table.index.tolist() == members.tolist()
    again = tables.load("robustness")
    assert again.value(13433, "cifar10_fog_s5") == pytest.approx(50)
    assert (home / "tables" / "robustness.parquet").exists()


def test_robbench(tmp_path: Path):
    metrics = {
        "val_acc": {"1": 0.5, "2": 0.6, "3": 0.7, "threeseed": 0.6},
        "val_pgd_8.0_acc": {"1": 0.2, "2": 0.3},
        "autoattack": 0.25,
        "train_acc": {"1": 0.9},
    }
    path = tmp_path / "NAS-RobBench-201_all.json"
    path.write_text(json.dumps({"cifar10": {"13433": metrics}, "ImageNet16-120": {"13433": {"val_acc": {"1": 0.1}}}}))
    table = tables.import_table(path)
    found = {column: round(standing.value, 6) for column, standing in table.show(13433).items()}
    assert found == {
        "cifar10_clean": 60,
        "cifar10_pgd_eps8": 25,
        "cifar10_autoattack": 25,
        "in16_clean": 10,
    }


class FakeAPI:
    """Answers like ``nats_bench``: the CIFAR-10 validation accuracy stands under another data set's name."""

    def __len__(self) -> int:
        return 3

    def get_more_info(self, index: int, dataset: str, *, hp: str, is_random: bool) -> dict[str, float]:
        assert is_random is False  # the mean over the seeds
        base = {"cifar10-valid": 70, "cifar10": 80, "cifar100": 50, "ImageNet16-120": 30}[dataset]
        answer = {"test-accuracy": base + index + (5 if hp == "200" else 0)}
        if dataset != "cifar10":
            answer["valid-accuracy"] = answer["test-accuracy"] - 1
        return answer


def test_natsbench_api():
    table = from_api(FakeAPI())
    assert len(table) == 3
    assert len(table.columns) == 12
    assert table.value(2, "cifar10_test_200") == 87
    assert table.value(2, "cifar10_val_200") == 76
    assert table.value(1, "in16_val_12") == 30
    assert (
        table.text(0)
        == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )


def test_natsbench_package_is_called_with_what_it_understands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def create(what: object, space: str, *, fast_mode: bool, verbose: bool) -> FakeAPI:
        calls.append((what, space, fast_mode))
        return FakeAPI()

    monkeypatch.setitem(sys.modules, "nats_bench", types.SimpleNamespace(create=create))
    archive = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    archive.mkdir()
    (archive / "meta.pickle.pbz2").touch()
    assert len(tables.import_table(archive, trust=True)) == 3
    old = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(
        {"meta_archs": ["a"], "arch2infos": {0: {"less": {"l": 1}, "full": {"f": 2}}}, "evaluated_indexes": [0]}, old
    )
    tables.import_table(old)
    assert calls[0] == (str(archive), "tss", True)
    assert calls[1][0]["arch2infos"] == {0: {"12": {"l": 1}, "200": {"f": 2}}}


def test_natsbench_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    path.touch()
    with pytest.raises(ArchgradError, match="say trust if this one is from its authors"):
        tables.import_table(path)
    with pytest.raises(ArchgradError, match=r"needs the package nats_bench \(pip install 'archgrad\[nats\]'\)"):
        tables.import_table(path, trust=True)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("meta.json", "{}", "lacks the key 'epsilons'"),
        ("meta.json", "{", "meta.json: not JSON"),
        ("cifar10/clean_accuracy.json", "[]", "expected an object cifar10 → clean → accuracy"),
        ("cifar10/clean_accuracy.json", '{"cifar10": {"clean": {"accuracy": {"0": 85.6}}}}', "must be a fraction"),
        ("cifar10/clean_accuracy.json", '{"cifar10": {"clean": {"accuracy": {"0": NaN}}}}', "must be a fraction"),
        ("cifar10/clean_accuracy.json", '{"cifar10": {"clean": {"accuracy": {"99999": 0.5}}}}', "must lie between 0"),
        (
            "cifar10/pgd@Linf_accuracy.json",
            '{"cifar10": {"pgd@Linf": {"accuracy": {"0": [0.5]}}}}',
            "has 1 values, expected 2",
        ),
    ],
)
def test_damaged_robustness_data(robustness_data: Path, file: str, content: str, message: str):
    (robustness_data / file).write_text(content)
    with pytest.raises(ArchgradError, match=message):
        tables.import_table(robustness_data)


def test_names(home: Path, tmp_path: Path):
    with pytest.raises(ArchgradError, match="holds none; import one or set ARCHGRAD_DATA"):
        tables.load("nasbench201")
    path = tmp_path / "tiny.csv"
    path.write_text("index,score\n1,1.5\n")
    tables.import_table(path)
    assert tables.available() == {"tiny": home / "tables" / "tiny.parquet"}
    assert tables.load("tiny").value(1, "score") == 1.5
    with pytest.raises(ArchgradError, match="unknown table 'tyni': did you mean 'tiny'"):
        tables.load("tyni")
    with pytest.raises(ArchgradError, match="must be a plain file name"):
        tables.import_table(path, "../outside")


def test_accuracies_beyond_percent_are_refused_with_the_scale_that_fits(tmp_path: Path):
    path = tmp_path / "big.csv"
    path.write_text("index,cifar10_clean,cifar100_clean,params\n0,9.4,94.3,7e6\n")
    with pytest.raises(ArchgradError, match=r"cifar100_clean reaches 943, but .* import it with --scale 1$"):
        tables.import_table(path, scale=10)
    path.write_text("index,cifar10_clean,cifar10_fog_s1,params\n0,856,8930,7e6\n1,,,1\n")
    with pytest.raises(ArchgradError, match="cifar10_fog_s1 reaches 8930, but accuracies must be in %"):
        tables.import_table(path)
    assert tables.available() == {}


def test_only_columns_of_a_data_set_must_be_in_percent(tmp_path: Path):
    path = tmp_path / "fine.csv"
    path.write_text("index,cifar10_clean,params\n0,94.4,7e6\n")
    assert tables.import_table(path).value(0, "params") == 7e6  # the suite makes errors of our warnings


@pytest.mark.parametrize("option", [{"scale": 100.0}, {"space": "darts"}, {"key": "uid"}])
def test_options_of_other_layouts_are_refused(robustness_data: Path, option: dict[str, object]):
    with pytest.raises(ArchgradError, match=f"--{next(iter(option))} is for Parquet and CSV files"):
        tables.import_table(robustness_data, "robustness", **option)


def test_unknown_layout(tmp_path: Path):
    with pytest.raises(ArchgradError, match="not a known layout"):
        tables.import_table(tmp_path)
    with pytest.raises(ArchgradError, match="no such file or directory"):
        tables.import_table(tmp_path / "nothing")


def test_a_directory_of_the_same_name_is_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tiny.csv").write_text("index,score\n1,1.5\n")
    tables.import_table(tmp_path / "tiny.csv")
    monkeypatch.chdir(tmp_path)
    Path("tiny").mkdir()
    assert tables.load("tiny").value(1, "score") == 1.5


def test_what_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tiny.csv").write_text("index,score\n1,1.5\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "file"))
    with pytest.raises(ArchgradError, match=r"file/tables: cannot be made \(Not a directory\)"):
        tables.import_table(tmp_path / "tiny.csv")
