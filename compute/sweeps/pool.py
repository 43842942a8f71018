"""Local worker processes, shared by all sweeps of this process in turn."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque

from compute.sweeps.cells import Done, OtherCode
from compute.sweeps.run import PIECE, Job, Run
from compute.sweeps.worker import Lost, Worker

IDLE = 300.0  # seconds after which a worker without work gives its memory back
GRACE = 1.0  # seconds that a job may take to end after its sweep was stopped
STARTS = 3


def cores() -> int:
    """How many workers there are by default."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Threads that each keep a worker process busy with pieces of the sweeps under way, one sweep after the other."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._runs: deque[Run] = deque()
        self._threads = 0
        self._at_work: dict[Worker, Run | None] = {}
        self._closed = False
        atexit.register(self.close)

    def add(self, run: Run) -> None:
        """Compute a run, with as many workers as it may have."""
        run.on_stop.append(lambda: self._hurry(run))
        with self._turn:
            self._runs.append(run)
        self.warm(run.workers)

    def warm(self, workers: int) -> None:
        """Have workers at hand; each takes a second to start."""
        with self._turn:
            for _ in range(workers - self._threads):
                self._threads += 1
                threading.Thread(target=self._keep_busy, name="sweep-worker", daemon=True).start()
            self._turn.notify_all()

    def close(self) -> None:
        """End the workers."""
        with self._turn:
            self._closed = True
            for worker in self._at_work:
                worker.kill()
            self._turn.notify_all()

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        with self._turn:
            return [worker.pid for worker in self._at_work]

    def _keep_busy(self) -> None:
        worker: Worker | None = self._start()
        try:
            while (piece := self._next()) is not None:
                run, jobs = piece
                worker = worker or self._start()
                if worker is None:
                    run.give_back(jobs)
                    run.fail("The worker processes do not start; what they say is on standard error.")
                elif not self._perform(worker, run, jobs):
                    self._end(worker)
                    worker = None
                with self._turn:
                    self._turn.notify_all()  # there may be jobs again for who found none
        finally:
            if worker:
                self._end(worker)

    def _perform(self, worker: Worker, run: Run, jobs: list[Job]) -> bool:
        """Have one piece computed; whether the worker can go on."""
        with self._turn:
            self._at_work[worker] = run
        try:
            reply = worker.call(run.plan.task(jobs, PIECE))
        except Lost:
            run.lost(jobs)
            return False
        finally:
            with self._turn:
                self._at_work[worker] = None
        if isinstance(reply, Done):
            run.put(jobs, reply)
            return True
        run.give_back(jobs)
        if isinstance(reply, OtherCode):
            return self._fresh_code(run, str(reply))
        run.fail(reply)
        return True

    def _fresh_code(self, run: Run, error: str) -> bool:
        """A file changed since the worker loaded it: a new worker loads the new one, unless the plan is the older."""
        if not run.plan.is_current():
            run.fail("The experiment's code has changed since the sweep began; start it again.")
        return False

    def _start(self) -> Worker | None:
        for _ in range(STARTS):
            try:
                worker = Worker()
            except (Lost, OSError):
                continue
            with self._turn:
                self._at_work[worker] = None
                if self._closed:
                    worker.kill()
            return worker
        return None

    def _end(self, worker: Worker) -> None:
        with self._turn:
            self._at_work.pop(worker, None)
        worker.end()

    def _next(self) -> tuple[Run, list[Job]] | None:
        """A piece of the sweep whose turn it is, waiting for one; none where there was no work for long."""
        with self._turn:
            while not self._closed:
                for _ in range(len(self._runs)):
                    run = self._runs.popleft()
                    if run.over.is_set():
                        continue
                    self._runs.append(run)
                    jobs = run.take()
                    if jobs:
                        return run, jobs
                if not self._turn.wait(IDLE) and not self._runs:
                    break
            self._threads -= 1
            return None

    def _hurry(self, run: Run) -> None:
        """After a stop: jobs that take long are not waited for."""
        timer = threading.Timer(GRACE, self._cut_short, (run,))
        timer.daemon = True
        timer.start()

    def _cut_short(self, run: Run) -> None:
        with self._turn:
            for worker, busy_with in self._at_work.items():
                if busy_with is run and run.stopping:
                    worker.kill()
