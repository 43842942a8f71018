"""How far ahead a call is good: the median error of the compute called, over the gap and the noise of an accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.models.emergence_law import Array, Finetuned, compute_of_loss
from compute.parameters import Seed
from compute.scaling_laws.emergence_elbow.call import fit, is_seen
from compute.scaling_laws.emergence_elbow.setting import (
    AccuracyNoise,
    Chance,
    ComputeGap,
    DataLevels,
    Elbow,
    ModelSizes,
    Power,
    Shift,
    simulate,
)

GAPS = np.geomspace(1, 16, 8)
NOISES = np.geomspace(0.002, 0.05, 8)
N_STUDIES = 25
WORST = 2.0  # decades: an error beyond it, or a study all at chance, counts as this


@dataclass(frozen=True)
class ErrorMap(Result):
    """Median absolute error of log10 of the compute called."""

    gap: Array  # (n_done,)
    noise: Array  # (n_noise,)
    error: Array  # (n_noise, n_done)
    at: tuple[float, float]

    def table(self) -> pl.DataFrame:
        gap, noise = np.meshgrid(self.gap, self.noise)
        return pl.DataFrame(
            {"compute_gap": gap.ravel(), "accuracy_noise": noise.ravel(), "median_error_decades": self.error.ravel()}
        )

    def headline(self) -> dict[str, float | str]:
        row, column = np.argmin(np.abs(np.log(self.noise / self.at[1]))), np.argmin(np.abs(np.log(self.gap / self.at[0])))
        good = self.error[row] < np.log10(2)
        return {
            "off by a factor, nearest cell": float(10 ** self.error[row, column]),
            "right within a factor 2 up to a gap of": float(self.gap[good].max()) if good.any() else "none tried",
            "cells right within a factor 2": f"{int((self.error < np.log10(2)).sum())} of {self.error.size}",
        }


@experiment(
    seconds=lambda model_sizes, data_levels, **_: GAPS.size * NOISES.size * N_STUDIES * (0.0025 + 4e-5 * model_sizes * data_levels)
)
def error_map(
    *,
    elbow: Elbow = 2.2,
    shift: Shift = 0.15,
    power: Power = 1.0,
    model_sizes: ModelSizes = 6,
    data_levels: DataLevels = 5,
    accuracy_noise: AccuracyNoise = 0.015,
    compute_gap: ComputeGap = 4.0,
    chance: Chance = 0.25,
    seed: Seed = 0,
) -> Iterator[tuple[float, ErrorMap]]:
    """Twenty-five studies a cell, each called by least squares."""
    columns: list[Array] = []
    for done, gap in enumerate(GAPS, start=1):
        column = []
        for k, noise in enumerate(NOISES):
            rng = np.random.default_rng([seed, 3, done, k])
            runs = (
                simulate(elbow, shift, power, model_sizes, data_levels, float(noise), float(gap), chance, rng)
                for _ in range(N_STUDIES)
            )
            column.append(float(np.median([_error(study, elbow) for study in runs])))
        columns.append(np.array(column))
        yield done / GAPS.size, ErrorMap(GAPS[:done], NOISES, np.array(columns).T, (compute_gap, accuracy_noise))


def _error(runs: Finetuned, elbow: float) -> float:
    best, cost = fit(runs)
    if not is_seen(runs, cost):
        return WORST
    return min(abs(float(np.log10(compute_of_loss(best[0]) / compute_of_loss(elbow)))), WORST)
