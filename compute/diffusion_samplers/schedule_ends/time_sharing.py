r"""The other end: how fast the noise prediction changes with time near the data, and what sharing it over time costs.

eps(x, t) = E[z | x_t = x] = -sigma_t grad log p_t(x). As t -> 0 it is -sigma_t times the data's score, so that

    K(t) = E |d eps/dt| -> (d sigma/dt) E |grad log p_0|,    d sigma/dt = sqrt(beta(0)/t)/2:

it diverges like t^{-1/2} unless beta(0) = 0. For N(m, s^2): (1/2) sqrt(2 beta(0)/(pi t))/s. *Sharing* (paper 152) gives the network one
value of t for each of n cells of [0, threshold]. What it then learns in a cell is E[z | x, t in the cell], the mean of eps(x, t) with
weights p_t(x), whose derivative in t is 0 inside.

References
----------
Paper 152 of the catalogue: singularity at t = 0, and sharing of early time steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.schedule_ends.horizon import DataScale, Shape, horizon_data
from compute.experiment import Result, experiment
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.unit_time_schedule import SCHEDULE_NAMES, rate_at_zero, signal_and_noise
from compute.parameters import Choice, Integer, LogReal, Real

Array = NDArray[np.float64]

ScheduleName = Annotated[
    str,
    Choice("schedule", options=SCHEDULE_NAMES, help="Variance preserving, t from 0 (data) to 1; 1000 steps are 1 unit of time."),
]
BetaMin = Annotated[
    float, LogReal("rate at the data", r"\beta_{\min}", low=0.01, high=1.0, help="β(0) of the linear and quadratic schedules.")
]
Threshold = Annotated[float, Real("shared until", r"\tilde t", low=0.02, high=0.3, help="Times below it are shared in cells.")]
Cells = Annotated[int, Integer("cells", "n", low=1, high=20, help="Of equal length; one noise prediction serves each.")]

N_WITHIN = 5  # times that stand for a cell
STEP = 1e-4  # relative step of the derivative in t
LAST_TIME = 0.999  # sampling starts here: without offset the cosine's alpha is 0 at t = 1


def noise_prediction(data: GaussianMixture, x: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """E[z | x] on the line and the density of x, for arrays that broadcast."""
    variance = alpha**2 * data.width**2 + sigma**2
    gap = x[..., None] - np.asarray(alpha)[..., None] * data.means[:, 0]
    spread = np.asarray(variance)[..., None]
    log_joint = np.log(data.weights) - 0.5 * gap**2 / spread
    best = log_joint.max(axis=-1)
    weight = np.exp(log_joint - best[..., None])
    total = weight.sum(axis=-1)
    mean_gap = (weight * gap).sum(axis=-1) / total
    return sigma * mean_gap / variance, np.exp(best) * total / np.sqrt(2 * np.pi * variance)


def points_of(data: GaussianMixture, alpha: Array, sigma: Array, n: int) -> tuple[Array, Array]:
    """(n_times, n) points over each p_t and their weights for a mean over it."""
    width = np.sqrt(alpha**2 * data.width**2 + sigma**2)
    low = alpha * data.means.min() - 7 * width
    high = alpha * data.means.max() + 7 * width
    x = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, n)
    density = noise_prediction(data, x, alpha[:, None], sigma[:, None])[1]
    return x, density / density.sum(axis=1, keepdims=True)


def sensitivity(data: GaussianMixture, name: str, beta_min: float, t: Array) -> Array:
    """K(t) = E |d eps/dt|, (n_times,)."""
    alpha, sigma = signal_and_noise(name, t, beta_min)
    x, weight = points_of(data, alpha, sigma, 240)
    sides = []
    for factor in (1 - STEP, 1 + STEP):
        a, s = signal_and_noise(name, t * factor, beta_min)
        sides.append(noise_prediction(data, x, a[:, None], s[:, None])[0])
    slope = np.abs(sides[1] - sides[0]) / (2 * STEP * t[:, None])
    return np.sum(slope * weight, axis=1)


def shared_prediction(data: GaussianMixture, name: str, beta_min: float, x: Array, low: Array, high: Array) -> Array:
    """E[z | x, t uniform in (low, high)] for x of shape (n_rows, n), each row with its own cell."""
    t = low[:, None] + (high - low)[:, None] * (np.arange(N_WITHIN) + 0.5) / N_WITHIN
    alpha, sigma = signal_and_noise(name, t, beta_min)
    eps, density = noise_prediction(data, x[:, None, :], alpha[..., None], sigma[..., None])
    return np.sum(eps * density, axis=1) / np.maximum(density.sum(axis=1), 1e-300)


def cell_of(t: Array, threshold: float, cells: int) -> tuple[Array, Array]:
    """Ends of the cell that each t < threshold lies in."""
    k = np.minimum(np.floor(t / threshold * cells), cells - 1)
    return threshold * k / cells, threshold * (k + 1) / cells


@dataclass(frozen=True)
class Singularity(Result):
    """K(t) for every schedule, and the error that sharing makes at each time."""

    time: Array  # (n_times,)
    sensitivity: dict[str, Array]  # by schedule
    law: Array  # (n_times,) t^{-1/2} theory of the chosen schedule, or its finite limit
    schedule: str
    threshold: float
    early: Array  # (n_early,) times below the threshold
    cost: Array  # (n_early,) root mean square error of the shared prediction
    one_cell: Array  # (n_early,) the same with one cell
    slope: float
    slope_error: float

    def table(self) -> pl.DataFrame:
        columns = {"time": self.time} | {f"K_{n.replace(' ', '_')}": v for n, v in self.sensitivity.items()}
        whole = pl.DataFrame(columns | {"K_theory_at_zero": self.law})
        early = {"early_time": self.early, "sharing_error": self.cost, "sharing_error_one_cell": self.one_cell}
        return pl.concat([whole, pl.DataFrame(early)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        k = self.sensitivity[self.schedule]
        return {
            "slope of K at zero (fit)": self.slope,
            "K at t = 1e-6": float(k[0]),
            "K over theory at t = 1e-6": float(k[0] / self.law[0]),
            "largest K left by sharing": float(k[self.time >= self.threshold].max()),
            "largest error of the shared prediction": float(self.cost.max()),
        }


@experiment
def singularity(
    *,
    schedule: ScheduleName = "linear",
    beta_min: BetaMin = 0.1,
    shape: Shape = "two modes",
    data_scale: DataScale = 3.0,
    threshold: Threshold = 0.1,
    cells: Cells = 5,
) -> Singularity:
    """Mean speed of the noise prediction in time near the data, and the error of sharing it over cells of time."""
    data = horizon_data(shape, data_scale)
    t = np.geomspace(1e-6, 0.98, 46)
    found = {name: sensitivity(data, name, beta_min, t) for name in SCHEDULE_NAMES}
    rate = rate_at_zero(schedule, beta_min)
    x, weight = points_of(data, np.ones(1), np.zeros(1), 2001)
    steepness = float(np.abs(data.score(x.T)[:, 0]) @ weight[0])
    law = steepness * (0.5 * np.sqrt(rate / t) if rate > 0 else np.full(t.size, 0.5 * np.pi))
    near = t < 2e-5
    (slope, _), covariance = np.polyfit(np.log(t[near]), np.log(found[schedule][near]), 1, cov=True)

    early = threshold * (np.arange(120) + 0.5) / 120
    alpha, sigma = signal_and_noise(schedule, early, beta_min)
    x, weight = points_of(data, alpha, sigma, 100)
    eps = noise_prediction(data, x, alpha[:, None], sigma[:, None])[0]

    def cost(n: int) -> Array:
        shared = shared_prediction(data, schedule, beta_min, x, *cell_of(early, threshold, n))
        return np.sqrt(np.sum((shared - eps) ** 2 * weight, axis=1))

    return Singularity(
        t, found, law, schedule, threshold, early, cost(cells), cost(1), float(slope), float(np.sqrt(covariance[0, 0]))
    )


# --- what sharing does to samples ----------------------------------------------------------------------------

N_QUANTILES = 64
THRESHOLDS = np.array([0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3])
CELLS = np.array([1, 2, 3, 5, 8, 12, 20])


@dataclass(frozen=True)
class SharingMap(Result):
    """What sharing does to DDIM samples, over (threshold, cells)."""

    threshold: Array  # (n_thresholds,)
    cells: Array  # (n_cells,)
    w1: Array  # (n_cells, n_thresholds) to the data
    moved: Array  # (n_cells, n_thresholds) W1 between samples with shared and with true times
    plain: float  # W1 to the data with true times
    at: float
    at_moved: float

    def table(self) -> pl.DataFrame:
        t, n = np.meshgrid(self.threshold, self.cells)
        return pl.DataFrame(
            {
                "shared_until": t.ravel(),
                "cells": n.ravel(),
                "w1": self.w1.ravel(),
                "w1_to_true_times": self.moved.ravel(),
                "log10_moved_over_own_error": np.log10(self.moved / self.plain).ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ to the data, true times": self.plain,
            "W₁ to the data, shared times": self.at,
            "W₁ from shared to true times": self.at_moved,
            "that over DDIM's own error": self.at_moved / self.plain,
        }


DdimSteps = Annotated[int, Integer("DDIM steps", "K", low=50, high=400, help="Equal steps in time from 1 to 0.")]


@experiment
def sharing_map(
    *,
    schedule: ScheduleName = "linear",
    beta_min: BetaMin = 0.1,
    shape: Shape = "two modes",
    data_scale: DataScale = 3.0,
    threshold: Threshold = 0.1,
    cells: Cells = 5,
    ddim_steps: DdimSteps = 200,
) -> SharingMap:
    """DDIM samples when times below the threshold are shared, from 64 quantiles of p_T: no sampling noise.

    The flow on the line is monotone, so that W1 is the mean distance between quantiles, to the data and between samplers.
    """
    data = horizon_data(shape, data_scale)
    t = LAST_TIME * np.linspace(1, 0, ddim_steps + 1)
    alpha, sigma = signal_and_noise(schedule, t, beta_min)
    p = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    exact = data.quantile(p)
    top = GaussianMixture(data.weights, alpha[0] * data.means, float(np.hypot(alpha[0] * data.width, sigma[0])))

    def move(x: Array, eps: Array, k: int) -> Array:
        return alpha[k + 1] * (x - sigma[k] * eps) / alpha[k] + sigma[k + 1] * eps

    states = [top.quantile(p)]
    for k in range(ddim_steps):
        states.append(move(states[-1], noise_prediction(data, states[-1], alpha[k], sigma[k])[0], k))
    plain = float(np.abs(np.sort(states[-1]) - exact).mean())

    def errors(until: float, counts: Array) -> tuple[list[float], Array]:
        # All numbers of cells go down side by side from the last state with true times.
        first = int(np.argmax(t < until))
        x = np.tile(states[first], (counts.size, 1))
        for k in range(first, ddim_steps):
            ends = [cell_of(t[k], until, int(n)) for n in counts]
            low, high = np.array(ends).T
            x = move(x, shared_prediction(data, schedule, beta_min, x, low, high), k)
        return list(np.abs(np.sort(x, axis=1) - exact).mean(axis=1)), np.abs(x - states[-1]).mean(axis=1)

    found = [errors(float(until), CELLS) for until in THRESHOLDS]
    w1, moved = (np.array([pair[i] for pair in found]).T for i in (0, 1))
    at, at_moved = errors(threshold, np.array([cells]))
    return SharingMap(THRESHOLDS, CELLS.astype(float), w1, np.maximum(moved, 1e-12), plain, float(at[0]), float(at_moved[0]))
