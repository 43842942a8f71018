"""What exit heads cost in pipeline-parallel training: the schedule as a chart, time and memory against the number of heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.one_f_one_b import EXTRA_FORWARD, KINDS, Schedule, fill_idle, lower_bound, simulate
from compute.parameters import Flag, Integer, Real

Array = NDArray[np.float64]

BACKWARD_OVER_FORWARD = 2.0
# Logits of a head in float32 over the activations of a layer, 4 V/(34 h) at V = 50,257 and h = 4096 (Korthikanti et al. 2022).
HEAD_MEMORY = 4 * 50_257 / (34 * 4096)

Stages = Annotated[int, Integer("stages", "P", low=2, high=16, help="Of the pipeline.")]
MicroBatches = Annotated[int, Integer("micro-batches", "M", low=2, high=64, help="In an iteration.")]
LayersPerStage = Annotated[int, Integer("layers a stage", r"\ell", low=1, high=12, help="Each costs 1 forward and 2 backward.")]
HeadCost = Annotated[
    float, Real("head over layer", "h", low=0.0, high=2.0, help="Forward time of an exit head, and of the final one, in layers.")
]
Heads = Annotated[int, Integer("exit heads", "H", low=0, high=15, help="Spread evenly over all stages but the last.")]
Fill = Annotated[bool, Flag("fill idle time", help="With extra micro-batches that go only as far as an exit head.")]
Deferred = Annotated[
    bool, Flag("defer heads", help="Run a head's forward just before its backward, so that its logits are held once.")
]


def heads_of_stages(stages: int, heads: int) -> NDArray[np.int64]:
    """How many early-exit heads each stage has: spread evenly over all but the last."""
    counts = np.zeros(stages, dtype=np.int64)
    np.add.at(counts, np.arange(heads) * (stages - 1) // max(heads, 1), 1)
    return counts


def loads(stages: int, layers_per_stage: int, head_cost: float, heads: int) -> tuple[Array, Array, Array]:
    """Forward, backward and head times ``(stages,)``, ``(stages,)``, ``(2, stages)``; the last stage has the final head."""
    counts = heads_of_stages(stages, heads)
    counts[-1] += 1
    forward = np.full(stages, float(layers_per_stage))
    head = head_cost * counts * np.array([[1.0], [BACKWARD_OVER_FORWARD]])
    return forward, BACKWARD_OVER_FORWARD * forward, head


def memory(schedule: Schedule, layers_per_stage: int, stages: int, heads: int, deferred: bool) -> Array:
    """Peak activations of each stage, in those of one layer and micro-batch; ``(stages,)``."""
    counts = heads_of_stages(stages, heads)
    counts[-1] += 1
    held = np.ones(stages) if deferred else schedule.in_flight
    return schedule.in_flight * layers_per_stage + HEAD_MEMORY * counts * held


@dataclass(frozen=True)
class Pipeline(Result):
    """One iteration of 1F1B."""

    schedule: Schedule
    memory: Array  # (n_stages,)
    bound: float
    without_heads: float  # time of the iteration with the final head only
    extra: int  # micro-batches put into idle time
    idle_before: float

    def table(self) -> pl.DataFrame:
        s = self.schedule
        events = {
            "stage": s.stage + 1,
            "micro_batch": s.micro_batch,
            "kind": [KINDS[k] for k in s.kind],
            "start": s.start,
            "end": s.end,
            "duration": s.end - s.start,
        }
        peaks = {"stage": np.arange(1, self.memory.size + 1), "peak_memory_layers": self.memory, "peak_micro_batches": s.in_flight}
        return pl.concat([pl.DataFrame(events), pl.DataFrame(peaks)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "idle share": self.schedule.idle_share,
            "idle share before filling": self.idle_before,
            "iteration, in layer forwards": self.schedule.time,
            "over the lower bound": self.schedule.time / self.bound - 1,
            "overhead of the exit heads": self.schedule.time / self.without_heads - 1,
            "extra micro-batches": float(self.extra),
            "peak memory, in layer activations": float(self.memory.max()),
        }


@experiment
def one_iteration(
    *,
    stages: Stages = 4,
    micro_batches: MicroBatches = 8,
    layers_per_stage: LayersPerStage = 4,
    heads: Heads = 3,
    head_cost: HeadCost = 0.3,
    deferred: Deferred = True,
    fill: Fill = False,
) -> Pipeline:
    """One iteration of the 1F1B schedule with exit heads, simulated event by event.

    With equal stages and free heads a share (P - 1)/(M + P - 1) of the time is idle. No communication time.
    """
    forward, backward, head = loads(stages, layers_per_stage, head_cost, heads)
    plain = simulate(forward, backward, head, micro_batches, deferred=deferred)
    schedule = fill_idle(plain, forward, backward, head) if fill else plain
    extra = int(np.sum((schedule.kind == EXTRA_FORWARD) & (schedule.stage == 0)))
    alone = simulate(*loads(stages, layers_per_stage, head_cost, 0), micro_batches, deferred=deferred).time
    load = forward + backward + head.sum(axis=0)
    bound = lower_bound(load, micro_batches, load if deferred else load - head[0])
    held = memory(plain, layers_per_stage, stages, heads, deferred)
    return Pipeline(schedule, held, bound, alone, extra, plain.idle_share)


@dataclass(frozen=True)
class HeadCosts(Result):
    """Iteration time and peak memory against the number of exit heads."""

    heads: Array  # (n_counts,)
    time: Array  # (n_counts,) over that without exit heads, simulated
    bound: Array  # (n_counts,) over the same
    memory: dict[str, Array]  # (n_counts,) deferred or at once
    balanced: int  # most heads with one a stage
    here: int

    def table(self) -> pl.DataFrame:
        columns = {"heads": self.heads, "relative_time": self.time, "relative_lower_bound": self.bound}
        return pl.DataFrame({**columns, **{f"peak_memory_{name}": values for name, values in self.memory.items()}})

    def headline(self) -> dict[str, float | str]:
        at = min(self.here, self.heads.size - 1)
        return {
            f"overhead of {at} heads": float(self.time[at] - 1),
            f"overhead of {self.balanced} heads, one a stage": float(self.time[self.balanced] - 1),
            "peak memory, deferred": float(self.memory["deferred"][at]),
            "peak memory, at once": float(self.memory["at_once"][at]),
        }


@experiment
def head_costs(
    *,
    stages: Stages = 4,
    micro_batches: MicroBatches = 8,
    layers_per_stage: LayersPerStage = 4,
    heads: Heads = 3,
    head_cost: HeadCost = 0.3,
) -> HeadCosts:
    """Time of an iteration and peak memory as exit heads are added, the final head standing on the last stage throughout.

    Up to one head a stage none is slower than the last stage already was; more make a stage the bottleneck. The bound is
    max over stages of M load_i + sum over j < i of load_j.
    """
    counts = np.arange(16)
    time, bound = np.empty(counts.size), np.empty(counts.size)
    held = {"deferred": np.empty(counts.size), "at_once": np.empty(counts.size)}
    for j, count in enumerate(counts):
        forward, backward, head = loads(stages, layers_per_stage, head_cost, int(count))
        schedule = simulate(forward, backward, head, micro_batches)
        time[j], bound[j] = schedule.time, lower_bound(forward + backward + head.sum(axis=0), micro_batches)
        for name, deferred in (("deferred", True), ("at_once", False)):
            held[name][j] = memory(schedule, layers_per_stage, stages, int(count), deferred).max()
    return HeadCosts(counts.astype(float), time / time[0], bound / time[0], held, stages - 1, heads)
