"""Where a training step's time goes, operation by operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models.transformer_cost import TRAINING_OPERATIONS
from compute.scaling_laws.wall_clock.machine import (
    LAUNCH,
    Bandwidth,
    Layers,
    Peak,
    Ratio,
    Sequence,
    Setup,
    StepTokens,
    Width,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Operations(Result):
    """FLOP, bytes and times of each operation of a training step."""

    name: tuple[str, ...]  # (n_operations,)
    flops: Array
    bytes: Array
    launches: Array
    compute_seconds: Array  # FLOP / peak
    memory_seconds: Array  # bytes / bandwidth

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "operation": list(self.name),
                "FLOP": self.flops,
                "bytes": self.bytes,
                "launches": self.launches,
                "compute_milliseconds": 1e3 * self.compute_seconds,
                "memory_milliseconds": 1e3 * self.memory_seconds,
                "roofline_milliseconds": 1e3 * np.maximum(self.compute_seconds, self.memory_seconds),
            }
        )

    def headline(self) -> dict[str, float | str]:
        roofline = np.maximum(self.compute_seconds, self.memory_seconds)
        bound = roofline[self.memory_seconds > self.compute_seconds].sum() / roofline.sum()
        slowest = int(np.argmax(roofline))
        return {
            "step by FLOPs, ms": 1e3 * float(self.compute_seconds.sum()),
            "step by traffic, ms": 1e3 * float(self.memory_seconds.sum() + LAUNCH * self.launches.sum()),
            "step by roofline, ms": 1e3 * float(roofline.sum()),
            "share of it bound by memory": f"{bound:.0%}",
            "largest operation": f"{self.name[slowest]} ({roofline[slowest] / roofline.sum():.0%})",
            "FLOP per byte": float(self.flops.sum() / self.bytes.sum()),
        }


@experiment
def operations(
    *,
    layers: Layers = 12,
    width: Width = 768,
    tokens_per_step: StepTokens = 6.5e4,
    bandwidth: Bandwidth = 2.0,
    peak: Peak = 300.0,
    sequence: Sequence = 1024,
    ffn_ratio: Ratio = 4.0,
) -> Operations:
    """Time of each operation if compute alone counted, and if memory traffic alone did; the roofline takes the larger."""
    budget = Setup(tokens_per_step=tokens_per_step, bandwidth=bandwidth, peak=peak, sequence=sequence, ffn_ratio=ffn_ratio).budget()
    cost = budget.workload.step(float(layers), float(width))
    return Operations(
        TRAINING_OPERATIONS,
        cost.flops,
        cost.bytes,
        cost.launches,
        cost.flops / budget.machine.peak,
        cost.bytes / budget.machine.bandwidth,
    )
