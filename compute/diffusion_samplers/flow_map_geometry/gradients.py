r"""How well the gradient through the flow is known: adjoint in three forms, and backpropagation.

The reference is the derivative of the flow itself (forward sensitivities, 100 RK4 steps in log sigma) for the loss
|y - target|^2 at sigma = 0.02.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.flow_map_geometry.setting import (
    Data,
    Rho,
    Separation,
    SigmaMax,
    Solver,
    Steps,
    Width,
    levels_of,
    mixture_of,
)
from compute.experiment import Result, experiment
from compute.methods import flow_adjoint as fa
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import SIGMA_MIN
from compute.parameters import Seed

Array = NDArray[np.float64]

BUDGETS = (5, 10, 20, 40, 80)
N_NOISES = 16
LARGEST = 1e6  # errors beyond it are cut there


@dataclass(frozen=True)
class GradientError(Result):
    """Median relative error of dl/dx_T against steps, and how far the re-integrated start is off."""

    steps: Array  # (n_steps,)
    error: dict[str, Array]  # by method, (n_steps,)
    drift: dict[str, Array]  # of the adjoint's own path, over the noise's standard deviation
    at: int
    here: dict[str, float]

    def table(self) -> pl.DataFrame:
        columns = {"steps": self.steps} | {f"gradient error, {name}": values for name, values in self.error.items()}
        return pl.DataFrame(columns | {f"drift, {name}": values for name, values in self.drift.items()})

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {f"error at {self.at} steps, {name}": value for name, value in self.here.items()}
        return found | {"states stored, backpropagation ÷ adjoint": float(self.at)}


@lru_cache(maxsize=32)
def _reference(mixture: GaussianMixture, sigma_max: float, seed: int) -> tuple[Array, Array]:
    """(n, 2) noises and true gradients."""
    y = sigma_max * np.random.default_rng([seed, 7]).standard_normal((N_NOISES, 2))
    end, m = fa.jacobian(mixture, y, sigma_max, SIGMA_MIN, 100)
    return y, np.einsum("nij,ni->nj", m, 2 * (end - mixture.means[0]))


METHODS = ("backpropagation", *(f"adjoint, {name}" for name in fa.FORMS))


@experiment
def gradient_error(
    *,
    data: Data = "spiral",
    separation: Separation = 3.0,
    width: Width = 0.1,
    sigma_max: SigmaMax = 20.0,
    steps: Steps = 16,
    rho: Rho = 7.0,
    solver: Solver = "Heun",
    seed: Seed = 0,
) -> GradientError:
    """Relative error of dl/dx_T in the plane, median over 16 noises, for 5 to 80 steps and at ``steps``."""
    mixture = mixture_of(data, separation, width)
    heun = solver == "Heun"
    y, true = _reference(mixture, sigma_max, seed)
    target = mixture.means[0]
    size = np.linalg.norm(true, axis=1)

    def run(n: int) -> tuple[list[float], list[float]]:
        levels = levels_of(n + 1, sigma_max, rho)[:-1]
        stored = fa.states(mixture, y, levels, heun=heun)
        a = 2 * (stored[-1] - target)
        found = [(fa.backpropagate(mixture, stored, levels, a, heun=heun), y)]
        with np.errstate(over="ignore", invalid="ignore"):
            found += [fa.adjoint(mixture, stored[-1], levels, a, form, heun=heun) for form in fa.FORMS.values()]
            errors = [np.linalg.norm(g - true, axis=1) / size for g, _ in found]
            drifts = [np.linalg.norm(start - y, axis=1) / sigma_max for _, start in found]
        cut = [np.minimum(np.nan_to_num(np.array(values), nan=LARGEST, posinf=LARGEST), LARGEST) for values in (errors, drifts)]
        return [float(np.median(e)) for e in cut[0]], [float(np.median(e)) for e in cut[1]]

    runs = [run(n) for n in BUDGETS]
    here = run(steps)
    error = np.array([r[0] for r in runs]).T
    drift = np.array([r[1] for r in runs]).T
    return GradientError(
        np.array(BUDGETS, float),
        dict(zip(METHODS, error, strict=True)),
        dict(zip(METHODS[1:], np.maximum(drift[1:], 1e-12), strict=True)),
        steps,
        dict(zip(METHODS, here[0], strict=True)),
    )
