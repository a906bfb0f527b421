"""Units in processes of this machine, which share its processors and accelerators evenly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from archgrad.bench.protocol.compute import attempt
from archgrad.bench.protocol.workers.workers import Job, Outcome, Workers, processors
from archgrad.errors import ArchgradError

MOST = 16  # workers that are started unasked, lest a large machine runs out of memory


class _Worker:
    """One process, and the job that it computes."""

    def __init__(self, threads: int, environment: dict[str, str]):
        self.job: Job | None = None
        context: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":  # one process imports torch once; every worker is a copy of it
            context.set_forkserver_preload(["archgrad.bench.protocol.compute", "archgrad.bench.protocol.campaign"])
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, threads, environment))
        self.process.start()
        theirs.close()

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


class Local(Workers):
    """``workers`` processes with ``threads`` threads each, by default as many as share the machine evenly.

    Where there are accelerators, every worker sees its share of them, ``gpus`` each, and there are as many workers as
    shares. Every worker has the same number of threads, on which the last bits of results depend.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None, gpus: int = 1):
        for name, value in (("workers", workers), ("threads", threads), ("gpus", gpus)):
            if value is not None and value < 1:
                raise ArchgradError(f"executor local: {name} must be 1 or more, got {value}")
        devices = _devices()
        count = workers or (max(1, len(devices) // gpus) if devices else min(MOST, processors()))
        self.threads = threads or max(1, processors() // count)
        self._environments = [_share(devices, number, gpus) for number in range(count)]
        self._workers = [_Worker(self.threads, environment) for environment in self._environments]

    @property
    def capacity(self) -> int:
        """One job per worker."""
        return len(self._workers)

    def submit(self, job: Job) -> None:
        """Give a job to an idle worker."""
        number = next(n for n, worker in enumerate(self._workers) if worker.job is None)
        worker = self._workers[number]
        try:
            worker.connection.send(job)
        except OSError:  # killed while it was idle
            worker.end()
            worker = self._workers[number] = _Worker(self.threads, self._environments[number])
            worker.connection.send(job)
        worker.job = job

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of workers that have finished or died; dead ones are replaced."""
        busy = {worker.connection: number for number, worker in enumerate(self._workers) if worker.job is not None}
        if not busy:
            time.sleep(seconds)
            return []
        return [self._outcome(busy[ready]) for ready in wait(list(busy), seconds)]

    def _outcome(self, number: int) -> Outcome:
        worker = self._workers[number]
        assert worker.job is not None
        unit = worker.job.unit
        try:
            record, problem = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode or 0
            worker.end()
            self._workers[number] = _Worker(self.threads, self._environments[number])
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            return Outcome(unit, None, f"its process {how}", died=True)
        worker.job = None
        return Outcome(unit, record, problem)

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()


def _devices() -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]


def _share(devices: list[str], number: int, gpus: int) -> dict[str, str]:
    if not devices:
        return {}
    first = number * gpus
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices[(first + k) % len(devices)] for k in range(gpus))}


def _serve(connection: Connection, threads: int, environment: dict[str, str]) -> None:
    """The life of a worker: jobs until the driver closes the connection or dies."""
    os.environ.update(environment, OMP_NUM_THREADS=str(threads))
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver is interrupted, and then ends its workers
    threading.Thread(target=_end_with_driver, daemon=True).start()
    while True:
        try:
            job: Job = connection.recv()
            connection.send(attempt(*job))
        except (EOFError, OSError):
            return


def _end_with_driver() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
