r"""The probability-flow ODE on Gaussian data: its Wasserstein error, split in three, exactly.

Data N(1, Lambda) and score s(x, t) = -(x - alpha_t)/v_t, v_t = alpha_t^2 lambda + sigma_t^2 in the eigenbasis. With a wrong
score s^ = (1 + gain psi) s - bias psi every integrator of

    dx/dt = -f x - g^2 s^/2,   from t = T down to 0

is an affine map x -> A x + B in each direction, so that W2^2 = sum (difference of means)^2 + (difference of s.d.)^2 is
exact. With S^ the sampler, S the same with the exact score, and the start N(0, sigma_T^2 I) in the place of p_T,

    W2(S^ start, p_0) <= W2(S^ start, S^ p_T) + W2(S^ p_T, S p_T) + W2(S p_T, p_0)
                         initialization         score             discretization.

References
----------
Paper 156 of the catalogue: the split, the exponential integrator and the families.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.error_propagation.setting import (
    INTEGRATORS,
    MEAN,
    Bias,
    Condition,
    Dimension,
    Family,
    Gain,
    Horizon,
    Integrator,
    Profile,
    Steps,
    process_of,
    shape,
)
from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.models.forward_process import ForwardProcess
from compute.models.geometric_spectrum import geometric_spectrum

Array = NDArray[np.float64]


@kernel
def _affine(step, pull, half_rate, growth, weight, alpha, variance, right, wrong, eigenvalue, mean, integrator, slope, shift):  # type: ignore[no-untyped-def]
    """Compose the steps of one integrator; all but eigenvalue are (n_horizons, n_steps + 1), growth and weight up to n_steps.

    The score is right s + wrong. Writes A and B, (n_horizons, n_eigenvalues), to slope and shift.
    """
    n_horizons, n_times = alpha.shape
    for i in range(n_horizons):
        h = step[i]
        for j in range(eigenvalue.size):
            a, b = 1.0, 0.0
            for k in range(n_times - 1):
                v = alpha[i, k] ** 2 * eigenvalue[j] + variance[i, k]
                p = -right[i, k] / v
                q = -p * alpha[i, k] * mean + wrong[i, k]
                if integrator == 1:
                    one, two = growth[i, k] + weight[i, k] * p, weight[i, k] * q
                else:
                    one = h * (pull[i, k] + half_rate[i, k] * p)
                    two = h * half_rate[i, k] * q
                    if integrator == 2:
                        w = alpha[i, k + 1] ** 2 * eigenvalue[j] + variance[i, k + 1]
                        p = -right[i, k + 1] / w
                        q = -p * alpha[i, k + 1] * mean + wrong[i, k + 1]
                        ahead = h * (pull[i, k + 1] + half_rate[i, k + 1] * p)
                        one, two = (
                            0.5 * (one + ahead * (1 + one)),
                            0.5 * (two + ahead * two + h * half_rate[i, k + 1] * q),
                        )
                    one += 1.0
                a, b = one * a, one * b + two
            slope[i, j], shift[i, j] = a, b


def affine_maps(
    process: ForwardProcess, horizon: Array, steps: int, integrator: str, eigenvalue: Array, bias: float, gain: float, profile: str
) -> tuple[Array, Array]:
    """A and B of the sampler x -> A x + B, each (n_horizons, n_eigenvalues)."""
    t = horizon[:, None] * np.linspace(1.0, 0.0, steps + 1)
    psi = shape(profile, t, horizon[:, None])
    slope, shift = np.empty((2, horizon.size, eigenvalue.size))
    _affine(
        horizon / steps,
        process.pull(t),
        0.5 * process.rate(t),
        process.growth(t[:, :-1], t[:, 1:]),
        process.score_weight(t[:, :-1], t[:, 1:]),
        process.alpha(t),
        process.variance(t),
        1 + gain * psi,
        -bias * psi,
        eigenvalue,
        MEAN,
        INTEGRATORS.index(integrator),
        slope,
        shift,
    )
    return slope, shift


def _w2(mean_gap: Array, std_gap: Array, multiplicity: Array) -> Array:
    return np.sqrt((mean_gap**2 + std_gap**2) @ multiplicity)


@dataclass(frozen=True)
class Parts:
    """Total W2 and its three parts, each (n_horizons,)."""

    total: Array
    initialization: Array
    score: Array
    discretization: Array


def ode_error(
    process: ForwardProcess,
    horizon: Array,
    steps: int,
    integrator: str,
    dimension: int,
    condition: float,
    bias: float,
    gain: float,
    profile: str,
) -> Parts:
    """Exact W2 of the sampler's law to the data, and the three distances whose sum bounds it."""
    eigenvalue, multiplicity = geometric_spectrum(dimension, condition)
    a, b = affine_maps(process, horizon, steps, integrator, eigenvalue, bias, gain, profile)
    exact_a, exact_b = affine_maps(process, horizon, steps, integrator, eigenvalue, 0.0, 0.0, profile)
    top = process.alpha(horizon)[:, None] * MEAN  # mean of p_T
    start = np.sqrt(process.variance(horizon))[:, None]
    std = np.sqrt(process.alpha(horizon)[:, None] ** 2 * eigenvalue + start**2)
    return Parts(
        _w2(b - MEAN, np.abs(a) * start - np.sqrt(eigenvalue), multiplicity),
        _w2(a * top, np.abs(a) * (start - std), multiplicity),
        _w2((a - exact_a) * top + b - exact_b, (np.abs(a) - np.abs(exact_a)) * std, multiplicity),
        _w2(exact_a * top + exact_b - MEAN, np.abs(exact_a) * std - np.sqrt(eigenvalue), multiplicity),
    )


# --- against the number of steps -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorCurve(Result):
    """W2 to the data and its parts against the number of steps."""

    steps: Array  # (n,)
    total: Array
    initialization: Array
    score: Array
    discretization: Array
    at_steps: int
    at: tuple[float, float, float, float]  # total, initialization, score, discretization at the chosen number of steps
    order: float  # minus the slope of the discretization error, fitted on 100 to 1000 steps
    integrator: str

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "steps": self.steps,
                "w2": self.total,
                "w2_initialization": self.initialization,
                "w2_score": self.score,
                "w2_discretization": self.discretization,
            }
        )

    def headline(self) -> dict[str, float | str]:
        names = ("initialization", "score", "discretization")
        return {
            f"W₂ at K = {self.at_steps}": self.at[0],
            "largest part": names[int(np.argmax(self.at[1:]))] if max(self.at[1:]) > 0 else "none",
            "sum of the parts": float(sum(self.at[1:])),
            "order of discretization (fit, K 100 to 1000)": self.order,
        }


@experiment
def error_curve(
    *,
    family: Family = "VP constant",
    horizon: Horizon = 4.0,
    steps: Steps = 50,
    integrator: Integrator = "Euler",
    dimension: Dimension = 10,
    condition: Condition = 4.0,
    bias: Bias = 0.1,
    gain: Gain = 0.0,
    profile: Profile = "uniform",
) -> ErrorCurve:
    """W2 of the probability-flow ODE's law against the number of steps, with its three parts, exact."""
    counts = np.unique(np.rint(np.geomspace(5, 1000, 34)).astype(int))
    process, at = process_of(family), np.array([horizon])

    def parts(k: int) -> tuple[float, float, float, float]:
        found = ode_error(process, at, k, integrator, dimension, condition, bias, gain, profile)
        return float(found.total[0]), float(found.initialization[0]), float(found.score[0]), float(found.discretization[0])

    total, initialization, score, discretization = np.array([parts(int(k)) for k in counts]).T
    late = counts >= 100
    order = -float(np.polyfit(np.log(counts[late]), np.log(np.maximum(discretization[late], 1e-300)), 1)[0])
    return ErrorCurve(counts.astype(float), total, initialization, score, discretization, steps, parts(steps), order, integrator)


# --- over horizon and steps ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class HorizonMap(Result):
    """W2 over (horizon, steps) and the best horizon for each number of steps."""

    horizon: Array  # (n_horizons,)
    steps: Array  # (n_steps,)
    w2: Array  # (n_steps, n_horizons)
    part: NDArray[np.int64]  # (n_steps, n_horizons) the largest part: 0 initialization, 1 score, 2 discretization
    at_steps: int
    at_best: float  # the best horizon at the chosen number of steps
    at_best_w2: float
    at_w2: float

    @property
    def best(self) -> Array:
        """(n_steps,) the best horizon: the vertex of a parabola through the lowest point of each row and its neighbors."""
        k = np.clip(self.w2.argmin(axis=1), 1, self.horizon.size - 2)
        low, middle, high = (np.log(self.w2[np.arange(k.size), k + j]) for j in (-1, 0, 1))
        curvature = low - 2 * middle + high
        shift = np.where(curvature > 0, 0.5 * (low - high) / np.where(curvature > 0, curvature, 1.0), np.sign(low - high))
        return self.horizon[k] * (self.horizon[1] / self.horizon[0]) ** np.clip(shift, -1, 1)

    def table(self) -> pl.DataFrame:
        t, k = np.meshgrid(self.horizon, self.steps)
        return pl.DataFrame(
            {
                "horizon": t.ravel(),
                "steps": k.ravel(),
                "w2": self.w2.ravel(),
                "best_horizon": np.repeat(self.best, self.horizon.size),
                "log10_w2": np.log10(self.w2).ravel(),
                "largest_part": np.array(["initialization", "score", "discretization"])[self.part].ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "W₂ here": self.at_w2,
            f"best horizon at K = {self.at_steps}": self.at_best,
            "W₂ at the best horizon": self.at_best_w2,
        }


@experiment
def horizon_map(
    *,
    family: Family = "VP constant",
    horizon: Horizon = 4.0,
    steps: Steps = 50,
    integrator: Integrator = "Euler",
    dimension: Dimension = 10,
    condition: Condition = 4.0,
    bias: Bias = 0.1,
    gain: Gain = 0.0,
    profile: Profile = "uniform",
) -> HorizonMap:
    """W2 of the probability-flow ODE's law over the horizon and the number of steps, exact."""
    process = process_of(family)
    counts = np.unique(np.rint(np.geomspace(5, 1000, 22)).astype(int))
    horizons = np.geomspace(0.5, 20.0, 33)
    rest = (integrator, dimension, condition, bias, gain, profile)
    rows = [ode_error(process, horizons, int(k), *rest) for k in counts]
    w2 = np.stack([row.total for row in rows])
    part = np.stack([np.argmax([row.initialization, row.score, row.discretization], axis=0) for row in rows])
    fine = np.append(np.geomspace(0.5, 20.0, 120), horizon)
    here = ode_error(process, fine, steps, *rest).total
    return HorizonMap(
        horizons,
        counts.astype(float),
        np.maximum(w2, 1e-12),
        part,
        steps,
        float(fine[here.argmin()]),
        float(here.min()),
        float(here[-1]),
    )
