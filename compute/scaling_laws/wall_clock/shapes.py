"""Which shape a budget of time prefers: the map over layers and width, and loss against the clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table, integers
from compute.scaling_laws.wall_clock.machine import (
    MAX_LAYERS,
    MAX_WIDTH,
    MIN_WIDTH,
    TIME_MODELS,
    WIDTHS,
    Budget,
    Hours,
    Layers,
    TimeModel,
    Width,
    step_seconds,
    with_budget,
)

Array = NDArray[np.float64]

HOUR = 3600.0
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # widths of the curves, over yours


@dataclass(frozen=True)
class ShapeMap(Result):
    """Loss over layers and width at a wall-clock budget, with the best width at each depth by each time model."""

    layers: Array  # (n_layers,)
    width: Array  # (n_widths,)
    loss: Array  # (n_widths, n_layers)
    size: Array  # (n_widths, n_layers) parameters
    valley: dict[str, Array]  # time model -> (n_layers,) best width by it
    best: dict[str, tuple[float, float]]  # time model -> layers and width of least loss by it
    at: tuple[int, int]
    here: dict[str, float]
    model: str

    def table(self) -> pl.DataFrame:
        surface = grid_table("layers", self.layers, "width", self.width, loss=self.loss, parameters=self.size)
        surface = surface.with_columns(log10_parameters=np.log10(self.size).ravel())
        valleys = [pl.DataFrame({"layers": self.layers, f"best_width_{name}": width}) for name, width in self.valley.items()]
        return pl.concat([surface, *valleys], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        layers, width = self.best[self.model]
        return {
            **self.here,
            "best shape of all": f"{layers:.0f} layers, width {width:.0f}" + ("; as shallow as allowed" if layers == 1 else ""),
        }


@experiment
@with_budget
def shape_map(
    *,
    layers: Layers = 12,
    width: Width = 768,
    time_model: TimeModel = "traffic",
    hours: Hours = 24.0,
    budget: Budget,
) -> ShapeMap:
    """Loss of every shape after the same wall-clock time, and the width that each time model would choose.

    Trusting another model costs the loss, by the model chosen, of the width that the other would take.
    """
    seconds = hours * HOUR
    n, d = integers(MAX_LAYERS, 48), np.geomspace(MIN_WIDTH, MAX_WIDTH, 61)
    size = budget.workload.step(n[None, :], d[:, None]).parameters.sum(axis=0)
    valley = {name: budget.best_width(n, seconds, name) for name in TIME_MODELS}
    best = {}
    for name, widths in valley.items():
        k = int(np.argmin(budget.loss(n, widths, seconds, name)))
        best[name] = (float(n[k]), float(widths[k]))
    return ShapeMap(
        n,
        d,
        budget.loss(n[None, :], d[:, None], seconds, time_model),
        size,
        valley,
        best,
        (layers, width),
        _here(budget, layers, width, seconds, time_model),
        time_model,
    )


def _here(budget: Budget, layers: int, width: int, seconds: float, model: str) -> dict[str, float]:
    cost = budget.workload.step(float(layers), float(width))
    step = float(step_seconds(cost, budget.machine, model))
    chosen = {name: float(budget.best_width(float(layers), seconds, name)) for name in ("flops", model)}
    loss = {name: float(budget.loss(float(layers), chosen[name], seconds, model)) for name in chosen}
    return {
        "loss of your shape": float(budget.loss(float(layers), float(width), seconds, model)),
        "best width at your layers": chosen[model],
        "its loss": loss[model],
        "best width by FLOPs": chosen["flops"],
        "loss given up by trusting FLOPs": max(loss["flops"] - loss[model], 0.0),
        "seconds per step, your shape": step,
        "tokens seen": budget.workload.tokens * seconds / step,
        "parameters": float(cost.parameters.sum()),
        "FLOP per byte, your shape": float(cost.flops.sum() / cost.bytes.sum()),
        "FLOP per byte of the machine": budget.machine.peak / budget.machine.bandwidth,
    }


# --- loss against the clock --------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClockCurves(Result):
    """Loss against wall-clock time for five widths, and the frontier over widths at these layers."""

    hours: Array  # (n_times,)
    width: Array  # (n_widths,)
    loss: Array  # (n_widths, n_times)
    frontier: Array  # (n_times,) of the best width at each time
    best_width: Array  # (n_times,)
    trusting_flops: Array  # (n_times,) loss of the width that the FLOP model would choose
    flops_width: Array  # (n_times,)
    floor: Array  # (n_widths,) loss after infinite time
    layers: int
    at_hours: float

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame(
            {
                "hours": np.tile(self.hours, self.width.size),
                "layers": float(self.layers),
                "width": np.repeat(self.width, self.hours.size),
                "loss": self.loss.ravel(),
            }
        )
        best = pl.DataFrame(
            {
                "hours": self.hours,
                "best_width": self.best_width,
                "frontier_loss": self.frontier,
                "width_by_flops": self.flops_width,
                "loss_trusting_flops": self.trusting_flops,
            }
        )
        return pl.concat([curves, best], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        k = int(np.argmin(np.abs(np.log(self.hours / self.at_hours))))
        gap = self.trusting_flops - self.frontier
        return {
            "best width at your budget": float(self.best_width[k]),
            "its loss": float(self.frontier[k]),
            "width by FLOPs": float(self.flops_width[k]),
            "most given up by trusting FLOPs": float(gap.max()),
            "where it is most, hours": float(self.hours[np.argmax(gap)]),
            "loss of your width after infinite time": float(self.floor[self.width.size // 2]),
        }


@experiment
@with_budget
def clock_curves(
    *,
    layers: Layers = 12,
    width: Width = 768,
    time_model: TimeModel = "traffic",
    hours: Hours = 24.0,
    budget: Budget,
) -> ClockCurves:
    """Loss against time for a quarter to four times your width, the best width at every time, and what FLOPs would choose."""
    n, t = float(layers), np.geomspace(1.0, 1000.0, 49)
    shown = np.unique(np.clip(width * np.array(FACTORS), WIDTHS[0], WIDTHS[-1]))
    best, by_flops = budget.best_width(n, t * HOUR, time_model), budget.best_width(n, t * HOUR, "flops")
    return ClockCurves(
        t,
        shown,
        budget.loss(n, shown[:, None], t[None, :] * HOUR, time_model),
        budget.loss(n, best, t * HOUR, time_model),
        best,
        budget.loss(n, by_flops, t * HOUR, time_model),
        by_flops,
        budget.loss(n, shown, 1e60, time_model),
        layers,
        hours,
    )
