"""Units as Ray tasks: a cluster that is there, or one of this machine alone."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from archgrad.bench.protocol.campaign import SNAPSHOT
from archgrad.bench.protocol.compute import attempt
from archgrad.bench.protocol.unit import Record
from archgrad.bench.protocol.workers.workers import Job, Outcome, Workers, processors
from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.runs import CHECKPOINTS, atomic_write

AHEAD = 2  # jobs in flight per one that can run: the queue of a node never runs dry, and never grows

Answer = tuple[Record | None, str, dict[str, bytes]]


class Ray(Workers):
    """Every unit is a job that takes ``threads`` processors and ``gpus`` accelerators of some node.

    ``address``: a cluster, as `ray.init` takes it (``auto``, ``host:port``, ``ray://host:port``); without one, a
    cluster of this machine alone is started on 127.0.0.1 with ``workers``·``threads`` processors, and ends with the
    driver. A job whose process or node dies is started again up to ``retries`` times, on whatever node there is, and
    continues from its last checkpoint where the nodes share the campaign's directory.

    Nodes that do not share it compute in a temporary directory and send the files back.
    """

    def __init__(
        self,
        workers: int | None = None,
        threads: int = 1,
        gpus: int | None = None,
        address: str | None = None,
        retries: int = 3,
    ):
        if address is None:  # read when Ray is imported: without it Ray turns 127.0.0.1 into the machine's address
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        else:
            _require_reachable(address)
        try:
            import ray
        except ImportError:
            raise ArchgradError("executor ray: Ray is not installed: pip install 'archgrad[ray]'") from None
        self.ray: Any = ray
        self.threads, self.retries = threads, retries
        self.gpus = (1 if torch.cuda.is_available() and address is None else 0) if gpus is None else gpus
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its coming default, without its warning
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "ignore_reinit_error": True}
        if address is None:
            count = threads * (workers or max(1, processors() // threads))
            options |= {"num_cpus": count, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        self._started = not ray.is_initialized()
        try:
            ray.init(address=address or ("local" if self._started else None), **options)
        except Exception as error:  # Ray raises many kinds
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ArchgradError(f"executor ray: no cluster at {address or '127.0.0.1'}: {reason}") from None
        self._task = ray.remote(_compute).options(
            num_cpus=threads, num_gpus=self.gpus, max_retries=retries, retry_exceptions=False
        )
        self._running: dict[Any, Job] = {}
        self._snapshots: dict[Path, str] = {}
        self._capacity, self._counted = 0, 0.0

    @property
    def capacity(self) -> int:
        """A few more jobs than fit on the nodes that are there now."""
        if time.monotonic() - self._counted > 5:
            total = self.ray.cluster_resources()
            fit = total.get("CPU", 0) // self.threads
            if self.gpus:
                fit = min(fit, total.get("GPU", 0) // self.gpus)
            self._capacity, self._counted = AHEAD * max(1, int(fit)), time.monotonic()
        return self._capacity

    def submit(self, job: Job) -> None:
        """Hand a job to the cluster."""
        directory = job.directory.resolve()
        if directory not in self._snapshots:
            self._snapshots[directory] = (directory / SNAPSHOT).read_text()
        absolute = job._replace(directory=directory)
        self._running[self._task.remote(absolute, self._snapshots[directory], self.threads)] = job

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of jobs that have ended."""
        if not self._running:
            time.sleep(seconds)
            return []
        ready, _ = self.ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        if not ready:
            ready, _ = self.ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> Outcome:
        job = self._running.pop(reference)
        try:
            record, problem, made = self.ray.get(reference)
        except Exception as error:  # the node or the process died too often, or the cluster did
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return Outcome(job.unit, None, f"{type(error).__name__}: {first}")
        for name, data in made.items():
            try:
                path = files.inside(job.directory / job.unit.id, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(path, data)
            except (OSError, ArchgradError) as error:
                return Outcome(job.unit, None, str(error))
        return Outcome(job.unit, record, problem)

    def close(self) -> None:
        """Cancel what still runs, and end the cluster if it was started here."""
        for reference in self._running:
            self.ray.cancel(reference, force=True)
        if self._started:
            self.ray.shutdown()


def _require_reachable(address: str) -> None:
    """Try a cluster's port, for Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # auto, or a name that Ray knows
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchgradError(f"executor ray: no cluster at {address}: {reason}") from None


def _compute(job: Job, snapshot: str, threads: int) -> Answer:
    """One job on a node."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if _shared(job.directory, snapshot):
        return (*attempt(*job), {})
    with tempfile.TemporaryDirectory(prefix="archgrad-") as folder:
        atomic_write(Path(folder) / SNAPSHOT, snapshot.encode())
        record, problem = attempt(folder, *job[1:])
        made = Path(folder) / job.unit.id
        found = {
            str(path.relative_to(made)): path.read_bytes()
            for path in made.rglob("*")
            if path.is_file() and CHECKPOINTS not in path.parts and not path.name.startswith(".")
        }
        return record, problem, found


def _shared(directory: Path, snapshot: str) -> bool:
    """Whether this node sees the campaign's directory."""
    try:
        return (directory / SNAPSHOT).read_text() == snapshot
    except OSError:
        return False
