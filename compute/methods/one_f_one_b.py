"""Pipeline-parallel training by the 1F1B schedule: an event simulation, exit heads on stages, idle time filled.

Stage i runs min(M, P - 1 - i) forwards, then one forward and one backward in turn, then the backwards left. A forward
waits for the stage before it, a backward for the stage after it.

References
----------
1F1B: Narayanan et al. (PipeDream-Flush, Megatron-LM, 2021). Exit heads deferred to the backward step and partial
micro-batches in idle time: Chen et al., EE-LLM (2023), paper 122 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FORWARD, BACKWARD, HEAD, EXTRA_FORWARD, EXTRA_BACKWARD = range(5)
KINDS = ("forward", "backward", "exit head", "extra forward", "extra backward")


@dataclass(frozen=True)
class Schedule:
    """What each stage does when.

    Parameters
    ----------
    stage, micro_batch, kind : (n_events,) arrays of int
        ``kind`` indexes ``KINDS``.
    start, end : (n_events,) arrays
    time : float
        Of the whole iteration.
    in_flight : (n_stages,) array
        Most micro-batches whose activations a stage holds at once.
    """

    stage: NDArray[np.int64]
    micro_batch: NDArray[np.int64]
    kind: NDArray[np.int64]
    start: Array
    end: Array
    time: float
    in_flight: Array

    @property
    def idle_share(self) -> float:
        """Share of all stages' time in which nothing runs."""
        return float(1 - np.sum(self.end - self.start) / (self.time * self.in_flight.size))


def simulate(forward: Array, backward: Array, head: Array, n_micro_batches: int, *, deferred: bool = True) -> Schedule:
    """Run one iteration.

    Parameters
    ----------
    forward, backward : (n_stages,) arrays
        Times of the trunk of each stage.
    head : (2, n_stages) array
        Forward and backward times of the exit heads of each stage.
    n_micro_batches : int
    deferred : bool
        Whether heads run their forward just before their backward; else after the trunk's forward, whose output has
        been sent on by then.
    """
    n_stages = forward.size
    done = np.full((2, n_stages, n_micro_batches), -1.0)  # when an output can be used elsewhere
    free = np.zeros(n_stages)
    orders = [_order(i, n_stages, n_micro_batches) for i in range(n_stages)]
    place = [0] * n_stages
    events: list[tuple[int, int, int, float, float]] = []
    moved = True
    while moved:
        moved = False
        for i in range(n_stages):
            while place[i] < len(orders[i]):
                kind, m = orders[i][place[i]]
                if kind == FORWARD:
                    ready = done[0, i - 1, m] if i else 0.0
                else:
                    ready = done[1, i + 1, m] if i < n_stages - 1 else done[0, i, m]
                if ready < 0:
                    break
                begin = max(free[i], ready)
                if kind == FORWARD:
                    end = begin + forward[i]
                    events.append((i, m, FORWARD, begin, end))
                    free[i] = end
                    if not deferred and head[0, i]:
                        free[i] = end + head[0, i]
                        events.append((i, m, HEAD, end, free[i]))
                    done[0, i, m] = end
                else:
                    loss = (head[0, i] if deferred else 0.0) + head[1, i]
                    if loss:
                        events.append((i, m, HEAD, begin, begin + loss))
                    free[i] = begin + loss + backward[i]
                    events.append((i, m, BACKWARD, begin + loss, free[i]))
                    done[1, i, m] = free[i]
                place[i] += 1
                moved = True
    columns = list(zip(*events, strict=True))
    stage, micro, kinds = (np.array(c, dtype=np.int64) for c in columns[:3])
    start, stop = (np.array(c, dtype=float) for c in columns[3:])
    in_flight = np.array([_most_in_flight(order) for order in orders], dtype=float)
    return Schedule(stage, micro, kinds, start, stop, float(free.max()), in_flight)


def _order(stage: int, n_stages: int, n_micro_batches: int) -> list[tuple[int, int]]:
    """The 1F1B order of a stage: (kind, micro-batch)."""
    warm = min(n_micro_batches, n_stages - 1 - stage)
    order = [(FORWARD, m) for m in range(warm)]
    for m in range(n_micro_batches - warm):
        order += [(FORWARD, warm + m), (BACKWARD, m)]
    return order + [(BACKWARD, m) for m in range(n_micro_batches - warm, n_micro_batches)]


def _most_in_flight(order: list[tuple[int, int]]) -> int:
    held = np.cumsum([1 if kind == FORWARD else -1 for kind, _ in order])
    return int(held.max())


def lower_bound(load: Array, n_micro_batches: int, path: Array | None = None) -> float:
    """max over stages i of M load_i + sum over j < i of path_j: no schedule is quicker.

    Parameters
    ----------
    load : (n_stages,) array
        Forward, backward and head time of each stage.
    n_micro_batches : int
    path : (n_stages,) array, optional
        What of it a micro-batch must wait for on its way; all of it where heads are deferred. A head that runs its forward
        at once lets the next stage go on meanwhile: load less the head's forward.
    """
    path = load if path is None else path
    before = np.concatenate([[0.0], np.cumsum(path)[:-1]])
    return float(np.max(n_micro_batches * load + before))


def fill_idle(schedule: Schedule, forward: Array, backward: Array, head: Array, most: int = 64) -> Schedule:
    """Put extra micro-batches that go only as far as some exit head into idle time, greedily, the deepest first.

    Each runs forward through stages 0..k and back, as early as idle intervals allow, k a stage with an exit head other than
    the last; none delays the iteration.
    """
    n_stages = forward.size
    gaps = [_gaps(schedule, i) for i in range(n_stages)]
    found: list[tuple[int, int, int, float, float]] = []
    count = 0
    for deepest in [i for i in range(n_stages - 2, -1, -1) if head[:, i].sum() > 0]:
        path = [(i, EXTRA_FORWARD, forward[i]) for i in range(deepest + 1)]
        path += [(i, EXTRA_BACKWARD, backward[i] + (head[:, i].sum() if i == deepest else 0.0)) for i in range(deepest, -1, -1)]
        while count < most:
            trial = [list(g) for g in gaps]
            events, now = [], 0.0
            for i, kind, length in path:
                begin = _take(trial[i], now, length)
                if begin is None:
                    break
                now = begin + length
                events.append((i, count, kind, begin, now))
            else:
                gaps, count = trial, count + 1
                found += events
                continue
            break
    if not found:
        return schedule
    columns = list(zip(*found, strict=True))
    stage, micro, kinds = (np.array(c, dtype=np.int64) for c in columns[:3])
    start, stop = (np.array(c, dtype=float) for c in columns[3:])
    return Schedule(
        np.concatenate([schedule.stage, stage]),
        np.concatenate([schedule.micro_batch, micro]),
        np.concatenate([schedule.kind, kinds]),
        np.concatenate([schedule.start, start]),
        np.concatenate([schedule.end, stop]),
        schedule.time,
        schedule.in_flight,
    )


def _gaps(schedule: Schedule, stage: int) -> list[tuple[float, float]]:
    """Idle intervals of a stage within the iteration."""
    mine = schedule.stage == stage
    order = np.argsort(schedule.start[mine], kind="stable")
    edges = np.stack([schedule.start[mine][order], schedule.end[mine][order]], axis=1)
    starts = np.concatenate([[0.0], edges[:, 1]])
    ends = np.concatenate([edges[:, 0], [schedule.time]])
    return [(float(a), float(b)) for a, b in zip(starts, ends, strict=True) if b - a > 1e-9]


def _take(gaps: list[tuple[float, float]], earliest: float, length: float) -> float | None:
    """Cut an interval out of the first gap that holds it, in place; when it begins."""
    for j, (a, b) in enumerate(gaps):
        begin = max(a, earliest)
        if b - begin >= length - 1e-9:
            gaps[j : j + 1] = [piece for piece in ((a, begin), (begin + length, b)) if piece[1] - piece[0] > 1e-9]
            return begin
    return None
