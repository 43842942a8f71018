"""A sweep under way: what is left to compute, what has come of it, and when it is over.

Whoever has workers, a pool of processes or a cluster, takes jobs from a run and puts back what came of them.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable

from compute.sweeps.cells import Blank, Done
from compute.sweeps.plan import SweepPlan, coarse_to_fine
from compute.sweeps.result import SweepResult, read
from compute.sweeps.store import COMPUTED, LOST, MISSING, Store, file_of, position

Job = tuple[int, int]  # a cell and a repeat

PIECE = 0.25  # seconds of work handed out at a time: progress moves, and handing out is a small part of it
MOST_JOBS = 2000
TRIES = 3
SAVE_EVERY = 20.0


class Run:
    """The computation of one key; safe to use from any thread.

    Parameters
    ----------
    plan : SweepPlan
        What to compute; what is on disk under its key is not computed again.
    workers : int
        At most how many pieces are out at a time.
    """

    def __init__(self, plan: SweepPlan, workers: int) -> None:
        self.plan = plan
        self.workers = workers
        self.error: str | None = None
        self.spent = 0.0  # seconds that workers were at calls, all together
        self.watchers = 0  # handles that have not stopped it; kept by who hands them out
        self.over = threading.Event()
        self.on_stop: list[Callable[[], None]] = []
        rows, columns = plan.shape
        self._path = file_of(plan.key)
        self._store = Store.load(self._path, rows * columns, plan.n_seeds)
        order = coarse_to_fine(rows, columns)
        self._left: deque[Job] = deque(
            (cell, repeat) for cell in order for repeat in range(plan.n_seeds) if self._store.state[cell, repeat] == MISSING
        )
        self._kept = rows * columns * plan.n_seeds - len(self._left)
        self._total = rows * columns * plan.n_seeds
        self._finished = self._kept
        self._out = 0  # pieces handed out and not yet back
        self._pace: float | None = None  # seconds a job, lately
        self._strikes: dict[Job, int] = {}  # workers lost over a job
        self._began: float | None = None
        self._saved_at = time.monotonic()
        self._stopping = False
        self._lock = threading.RLock()
        if not self._left:
            self.over.set()

    # What a page asks.

    @property
    def fraction(self) -> float:
        return self._finished / self._total

    @property
    def starting(self) -> bool:
        """Whether no worker has brought back anything yet."""
        return not self.over.is_set() and self._pace is None

    @property
    def remaining(self) -> float | None:
        """Seconds left at the pace so far; none before there is a pace. Early cells are spread over the map."""
        with self._lock:
            if self.over.is_set():
                return 0.0
            mine = self._finished - self._kept
            if self._began is None or not mine:
                return None
            return (time.monotonic() - self._began) * (self._total - self._finished) / mine

    def result(self, plan: SweepPlan, metric: str) -> SweepResult:
        with self._lock:
            return read(plan, self._store, metric)

    def lacks(self, metric: str, calls: int) -> bool:
        """Whether more than so many calls have given a headline and none has the metric, as a number or in words."""
        with self._lock:
            computed = int((self._store.state == COMPUTED).sum())
            return computed > calls and all(position(layout, metric) < 0 for layout in self._store.layouts)

    def labels(self) -> list[str]:
        """Headline labels that have a number in some cell so far."""
        with self._lock:
            return self._store.labels()

    def stop(self) -> None:
        """Begin no more jobs; what is done is kept."""
        with self._lock:
            self._stopping = True
        for tell in self.on_stop:
            tell()
        self._settle()

    def go_on(self) -> bool:
        """Whether it can be joined: it runs, or runs again though it was about to stop."""
        with self._lock:
            if self.over.is_set() or self.error:
                return False
            self._stopping = False
            return True

    # What those who have workers ask.

    @property
    def stopping(self) -> bool:
        return self._stopping or self.over.is_set()

    def take(self) -> list[Job]:
        """Jobs for about a quarter of a second of one worker; none where there are none to be had now."""
        with self._lock:
            if self.stopping or self.error or not self._left or self._out >= self.workers:
                return []
            self._out += 1
            if self._left[0] in self._strikes:  # alone, so that it is known which job ends a worker
                return [self._left.popleft()]
            wanted = 1 if self._pace is None else math.ceil(PIECE / max(self._pace, 1e-9))
            fair = math.ceil(len(self._left) / (2 * self.workers))  # towards the end no worker waits long for another
            jobs: list[Job] = []
            while self._left and len(jobs) < min(wanted, fair, MOST_JOBS) and self._left[0] not in self._strikes:
                jobs.append(self._left.popleft())
            return jobs

    def put(self, jobs: list[Job], done: Done) -> None:
        """Take what came of a piece; its last jobs may not have been done."""
        with self._lock:
            for job, outcome in zip(jobs, done.outcomes, strict=False):
                self._store.put(job, outcome)
            n = len(done.outcomes)
            self._finished += n
            self.spent += done.seconds
            self._began = self._began or time.monotonic() - done.seconds
            pace = done.seconds / n
            self._pace = pace if self._pace is None else 0.5 * (self._pace + pace)
            self._back(jobs[n:])
        self._save_now_and_then()
        self._settle()

    def give_back(self, jobs: list[Job]) -> None:
        """Return a piece that was not begun."""
        with self._lock:
            self._back(jobs)
        self._settle()

    def lost(self, jobs: list[Job], *, for_good: bool = False) -> None:
        """A worker ended over a piece: its jobs are tried again, each alone, until one has ended three workers."""
        with self._lock:
            again = []
            for job in jobs:
                alone = len(jobs) == 1 and not self._stopping  # a stop may end workers too
                self._strikes[job] = self._strikes.get(job, 0) + alone
                if self._strikes[job] >= TRIES or (for_good and alone):
                    self._store.put(job, Blank(f"failed: its worker process ended, {TRIES} times over"), LOST)
                    self._finished += 1
                else:
                    again.append(job)
            self._back(again)
        self._settle()

    def fail(self, error: str) -> None:
        """End the sweep for a reason that no cell is to blame for; what is done is kept."""
        with self._lock:
            self.error = self.error or error
        self._settle()

    def _back(self, jobs: list[Job]) -> None:
        self._left.extendleft(reversed(jobs))
        self._out -= 1

    def _settle(self) -> None:
        """Where nothing is out and nothing is to be done: keep the numbers, and be over."""
        with self._lock:
            ended = self._out == 0 and (self.stopping or self.error is not None or not self._left)
            if not ended or self.over.is_set():
                return
            if self._finished > self._kept:
                self._save(self._store)
            self.over.set()

    def _save_now_and_then(self) -> None:
        """Keep what is done in case this process ends; without the lock, for it takes a while."""
        with self._lock:
            if time.monotonic() - self._saved_at < SAVE_EVERY or not self._left:
                return
            self._saved_at = time.monotonic()
            copy = self._store.copy()
        self._save(copy)

    def _save(self, store: Store) -> None:
        try:
            store.save(self._path)
        except OSError as error:  # the numbers are still there for this process
            warnings.warn(f"The sweep could not be kept in {self._path.parent}: {error}", stacklevel=2)
