"""Start a sweep and watch it: in local processes, or on a Dask cluster where one is named."""

from __future__ import annotations

import os
import threading
from typing import Any

from compute.experiment import Experiment
from compute.sweeps.axes import Axis
from compute.sweeps.plan import SweepPlan
from compute.sweeps.pool import Pool, cores
from compute.sweeps.result import SweepResult
from compute.sweeps.run import Run
from compute.sweeps.store import numeric

SCHEDULER = "REGIMES_DASK_SCHEDULER"
ENOUGH = 16  # computed calls, spread over the map, without the metric: it is a slip

_lock = threading.Lock()
_runs: dict[str, Run] = {}
_pool: Pool | None = None


class SweepError(RuntimeError):
    """A sweep that cannot be computed, in one sentence."""


class Sweep:
    """A sweep that was started. Several may share one computation: it stops when all of them have stopped.

    Parameters
    ----------
    plan : SweepPlan
        What was asked for.
    run : Run
        What computes it.
    """

    def __init__(self, plan: SweepPlan, run: Run) -> None:
        self.plan = plan
        self._run = run
        self._stopped = False

    @property
    def fraction(self) -> float:
        """How much is done, of all cells and seeds; a stop leaves it."""
        return self._run.fraction

    @property
    def remaining(self) -> float | None:
        """Seconds left; none before that is known."""
        return 0.0 if self._stopped else self._run.remaining

    @property
    def starting(self) -> bool:
        """Whether the workers are only starting: nothing has come back yet."""
        return not self._stopped and self._run.starting

    @property
    def running(self) -> bool:
        """Whether more is to come."""
        return not self._stopped and not self._run.over.is_set()

    @property
    def error(self) -> str | None:
        """Why the sweep ended early, in a sentence."""
        return self._run.error

    @property
    def metrics(self) -> list[str]:
        """Headline labels that have a number in some cell so far: what ``result`` can show."""
        return self._run.labels()

    def result(self, metric: str | None = None) -> SweepResult:
        """What is done so far, of the plan's metric or another."""
        return self._run.result(self.plan, self.plan.metric if metric is None else metric)

    def stop(self) -> None:
        """Compute no more; what is done is kept, and starting the same plan goes on from there."""
        with _lock:
            if not self._stopped:
                self._stopped = True
                self._run.watchers -= 1
                if not self._run.watchers:
                    self._run.stop()

    def check(self, calls: int = 0) -> None:
        """Raise ``SweepError`` where more than so many calls are done and none has the metric."""
        if self._run.lacks(self.plan.metric, calls):
            raise SweepError(f"No cell has a headline number {self.plan.metric!r}; there are {', '.join(self.metrics)}.")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is over, or for so many seconds; whether it is over."""
        return self._run.over.wait(seconds)


def start(plan: SweepPlan, *, workers: int | None = None) -> Sweep:
    """Compute a plan in the background; what is on disk under its key is not computed again.

    Parameters
    ----------
    plan : SweepPlan
        What to compute. A plan with the same key that is under way is joined.
    workers : int, optional
        At most how many local processes; one for each core where not given. A Dask cluster uses what it has.
    """
    key = plan.key
    with _lock:
        for old in [k for k, run in _runs.items() if run.over.is_set()]:
            del _runs[old]
        run = _runs.get(key)
        if run is None or not run.go_on():
            run = _runs[key] = Run(plan, workers or cores())
            _compute(run)
        elif _pool:
            _pool.warm(0)  # who found it stopping looks again
        run.watchers += 1
    return Sweep(plan, run)


def stored(plan: SweepPlan) -> Sweep | None:
    """What is known of a plan without computing: a stopped sweep, or none where nothing of it was ever done."""
    with _lock:
        run = _runs.get(plan.key) or Run(plan, 1)
    if not run.fraction:
        return None
    found = Sweep(plan, run)
    found._stopped = True
    return found


def _compute(run: Run) -> None:
    if run.over.is_set():
        return
    if address := os.environ.get(SCHEDULER):
        from compute.sweeps.cluster import drive

        threading.Thread(target=drive, args=(run, address), name="sweep-cluster", daemon=True).start()
    else:
        _local().add(run)


def _local() -> Pool:
    global _pool  # noqa: PLW0603  one pool for the process, started when first used
    if _pool is None:
        _pool = Pool()
    return _pool


def warm() -> None:
    """Start the local workers before there is a sweep for them."""
    if not os.environ.get(SCHEDULER):
        with _lock:
            _local().warm(cores())


def sweep(
    experiment: Experiment[Any],
    *,
    x: Axis | str | tuple[Any, ...],
    y: Axis | str | tuple[Any, ...] | None = None,
    metric: str,
    n_seeds: int = 1,
    **fixed: Any,
) -> SweepResult:
    """Sweep an experiment and wait for it.

    Parameters
    ----------
    experiment : Experiment
        What to call.
    x, y : Axis, str or tuple
        An axis, a parameter's name for all its range, or what ``Axis.over`` takes: ``("load", 0.1, 1.2, 32)``.
    metric : str
        A label of the headline.
    n_seeds : int
        Repeats over seeds.
    **fixed
        The other parameters.

    Returns
    -------
    SweepResult

    Raises
    ------
    ParameterError
        For an axis or a value that is not allowed.
    SweepError
        Where the sweep cannot be computed, or no cell has the metric.
    """
    axis_x, axis_y = _axis(experiment, x), None if y is None else _axis(experiment, y)
    handle = start(SweepPlan(experiment, axis_x, axis_y, metric, fixed, n_seeds))
    return finish(handle)


def finish(handle: Sweep, watch: Any = None) -> SweepResult:
    """Wait for a sweep, calling ``watch(handle)`` a few times a second; it is stopped where the wait is interrupted."""
    try:
        while not handle.wait(0.1):
            if watch:
                watch(handle)
            handle.check(ENOUGH)
    except BaseException:
        handle.stop()
        handle.wait(10.0)
        raise
    if handle.error:
        raise SweepError(handle.error)
    handle.check()
    return handle.result()


def metrics(experiment: Experiment[Any], values: dict[str, Any]) -> list[str]:
    """Headline labels that have a number at these parameters; calls the experiment."""
    return numeric(experiment(**values).headline())


def _axis(experiment: Experiment[Any], axis: Axis | str | tuple[Any, ...]) -> Axis:
    if isinstance(axis, Axis):
        return axis
    return Axis.over(experiment, axis) if isinstance(axis, str) else Axis.over(experiment, *axis)
