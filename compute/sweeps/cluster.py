"""A sweep on a Dask cluster: pieces of it as tasks. Imported only where a scheduler is named."""

from __future__ import annotations

import threading
import time
from typing import Any

from compute.sweeps.cells import Done, OtherCode, perform
from compute.sweeps.run import PIECE, Job, Run

CONNECT = "10s"
AHEAD = 2  # pieces for each thread of the cluster: one at work, one at hand
RETRIES = 3

_lock = threading.Lock()
_clients: dict[str, Any] = {}


def drive(run: Run, address: str) -> None:
    """Compute a run on the cluster of a scheduler, until it is over."""
    try:
        _Driver(run, _client(address)).work()
    except Unreachable as error:
        run.fail(str(error))
    except Exception as error:  # whatever a cluster may do must not leave the sweep running for ever
        run.fail(f"The Dask scheduler at {address} failed: {type(error).__name__}: {error}")


class Unreachable(Exception):
    """There is no cluster, for a reason in one sentence."""


def _client(address: str) -> Any:
    """A connection to a scheduler, shared by all sweeps of this process."""
    try:
        from distributed import Client
    except ImportError:
        raise Unreachable(
            "REGIMES_DASK_SCHEDULER is set but dask.distributed is missing: pip install -r requirements-dask.txt."
        ) from None
    with _lock:
        known = _clients.get(address)
        if known is None or known.status != "running":
            try:
                _clients[address] = Client(address, timeout=CONNECT, set_as_default=False)
            except (OSError, ValueError, TimeoutError):
                raise Unreachable(f"No Dask scheduler answers at {address} (REGIMES_DASK_SCHEDULER).") from None
        return _clients[address]


class _Driver:
    """Keeps pieces of one run at the cluster."""

    def __init__(self, run: Run, client: Any) -> None:
        from distributed import as_completed

        self._run, self._client = run, client
        self._out: dict[Any, list[Job]] = {}
        self._back = as_completed(loop=client.loop)
        self._threads, self._counted = 1, 0.0
        run.on_stop.append(lambda: client.cancel(list(self._out), force=True))

    def work(self) -> None:
        try:
            while not self._run.over.is_set():
                self._hand_out()
                if not self._out:
                    time.sleep(0.05)  # stopped or failed; it is over soon
                    continue
                future = next(self._back)
                self._take_in(future, self._out.pop(future))
        finally:
            self._client.cancel(list(self._out), force=True)
            for jobs in self._out.values():
                self._run.give_back(jobs)

    def _hand_out(self) -> None:
        if time.monotonic() - self._counted > 1.0:  # workers come and go
            self._threads, self._counted = sum(self._client.nthreads().values()), time.monotonic()
            self._run.workers = AHEAD * max(self._threads, 1)
        while jobs := self._run.take():
            future = self._client.submit(perform, self._run.plan.task(jobs, PIECE), pure=False, retries=RETRIES)
            self._out[future] = jobs
            self._back.add(future)

    def _take_in(self, future: Any, jobs: list[Job]) -> None:
        if future.status == "finished":
            done: Done = future.result()
            self._run.put(jobs, done)
        elif self._run.stopping:
            self._run.give_back(jobs)
        elif future.status != "error":
            self._run.give_back(jobs)
            if self._client.status != "running":
                self._run.fail("The connection to the Dask scheduler was lost.")
        else:
            self._refused(future.exception(), jobs)

    def _refused(self, error: BaseException, jobs: list[Job]) -> None:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):  # the cluster has tried it on several workers already
            self._run.lost(jobs, for_good=True)
            return
        self._run.give_back(jobs)
        if isinstance(error, OtherCode):
            self._run.fail(str(error))
        else:
            self._run.fail(f"The Dask workers cannot run it: {type(error).__name__}: {error}")
