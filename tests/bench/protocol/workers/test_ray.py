"""Ray: results are those of an undisturbed campaign whatever dies. Everything is on 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archgrad.bench import Campaign
from archgrad.bench.protocol import driver, workers
from archgrad.errors import ArchgradError

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # or Ray turns 127.0.0.1 into the machine's address
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's name; by default its workers starve on a busy machine)
ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

LONG = {"training": {"epochs": 6}, "search": {"epochs": 4}}


@pytest.fixture(autouse=True)
def _no_cluster_stays() -> Iterator[None]:
    yield
    if ray.is_initialized():
        ray.shutdown()


@pytest.fixture
def undisturbed(make: Any, Inline: Any) -> Campaign:
    campaign = make("whole", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    with Inline() as executor:
        assert not driver.run(campaign, executor, progress=False).problems
    return campaign


def test_a_cluster_of_this_machine_computes_the_same(make: Any, undisturbed: Campaign, content: Any) -> None:
    campaign = make("ray", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    with workers.get("ray", workers=2, threads=1) as cluster:
        assert cluster.capacity == 4
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
        tally = driver.run(campaign, cluster, progress=False)
    assert not tally.problems
    assert content(campaign) == content(undisturbed)
    assert not ray.is_initialized()


def test_a_node_that_dies_changes_nothing(make: Any, undisturbed: Campaign, content: Any) -> None:
    """A second node of a local cluster is killed while it computes; its units go on elsewhere."""
    from ray.cluster_utils import Cluster

    campaign = make("ray", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    )
    try:
        doomed = cluster.add_node(num_cpus=2, node_ip_address="127.0.0.1")
        with workers.get("ray", address=cluster.address, threads=1) as chosen:
            wait, killed = chosen.wait, []

            def deadly(seconds: float) -> Any:
                begun = [p for p in campaign.directory.rglob("checkpoints") if any(p.iterdir())]
                if not killed and begun and len(list(campaign.directory.rglob("unit.json"))) >= 2:
                    cluster.add_node(num_cpus=2, node_ip_address="127.0.0.1")
                    cluster.remove_node(doomed, allow_graceful=False)
                    killed.append(time.monotonic())
                return wait(min(seconds, 0.05))

            chosen.wait = deadly
            tally = driver.run(campaign, chosen, progress=False)
    finally:
        cluster.shutdown()
    assert killed
    assert not tally.problems
    assert content(campaign) == content(undisturbed)


def test_nodes_that_do_not_share_the_directory_send_their_files(
    make: Any, undisturbed: Campaign, content: Any, tmp_path: Path
) -> None:
    campaign = make("ray", changes=LONG, seeds=1, settings=[1], methods=["darts"])
    campaign.save()
    from archgrad.bench.protocol.workers.ray import _compute
    from archgrad.bench.protocol.workers.workers import Job

    unit = next(campaign.trials()).searches[0]
    text = (campaign.directory / "campaign.yaml").read_text()
    _, problem, files = _compute(Job(tmp_path / "nowhere", unit), text, 1)
    assert problem == ""
    assert {"unit.json", "config.yaml", "metrics.jsonl", "alphas.npz"} <= set(files)
    assert not any("checkpoints" in name for name in files)
    theirs = undisturbed.directory / unit.id / "alphas.npz"
    assert files["alphas.npz"] == theirs.read_bytes()
    shutil.rmtree(tmp_path / "nowhere", ignore_errors=True)


def test_no_cluster_is_one_line() -> None:
    with pytest.raises(ArchgradError, match=r"executor ray: no cluster at 127\.0\.0\.1:1: ") as error:
        workers.get("ray", address="127.0.0.1:1")
    assert "\n" not in str(error.value)
