r"""Fitted integration: each step's coefficients by least squares against the same solver in fine steps.

    y' = y + (sigma' - sigma) (sum_k g_k phi_k + sum_{j=1}^r h_j eps_{i-j}),     eps = (y - D)/sigma,

phi the slopes that the base solver evaluates (Euler: eps; Heun: eps and the slope ahead; DPM-2: eps and the slope half way), eps_{i-j}
those of earlier steps. With (1), (1/2, 1/2), (0, 1) and no history it is the base solver. The fit changes these as little as it
can where the training trajectories do not determine them (minimum norm).

References
----------
Paper 133 of the catalogue (improved integration approximation).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.tuned_few_step_samplers.setting import (
    GRIDS,
    Anisotropy,
    Data,
    Grid,
    History,
    Problem,
    Separation,
    SolverName,
    Steps,
    Trajectories,
    grid_of,
    problem_of,
    run_base,
    sample_of,
)
from compute.experiment import Result, experiment
from compute.methods.gaussian_reverse import euler_scale_error
from compute.methods.shared_parameters import gathered
from compute.parameters import Seed

Array = NDArray[np.float64]

FINE = 10  # steps of the base solver that one step is fitted to
N_TEST = 400
BASE = {"Euler (DDIM)": (1.0,), "Heun": (0.5, 0.5), "DPM-2": (0.0, 1.0)}
N_SLOPES = {name: len(weights) for name, weights in BASE.items()}


@dataclass(frozen=True)
class Tuning:
    """What is fitted: the data, the solver with its steps, and what it is fitted to."""

    data: Data = "ring"
    steps: Steps = 5
    solver: SolverName = "Heun"
    grid: Grid = "EDM"
    history: History = 2
    training_trajectories: Trajectories = 32
    separation: Separation = 3.0
    anisotropy: Anisotropy = 4.0
    seed: Seed = 0

    @property
    def problem(self) -> Problem:
        return problem_of(self.data, self.separation, self.anisotropy)

    @property
    def levels(self) -> Array:
        return grid_of(self.grid, self.steps, self.problem.scale)

    def fresh(self, n: int) -> tuple[Array, Array]:
        """Starts that no fit sees, and their exact endpoints."""
        return sample_of(self.problem, self.seed + 1000, n)


def default_coefficients(solver: str, history: int, is_last: bool) -> Array:
    """(n_slopes + history,) of the base solver; its last step, to 0, is an Euler step."""
    own = (1.0, *[0.0] * (N_SLOPES[solver] - 1)) if is_last else BASE[solver]
    return np.array([*own, *[0.0] * history])


def slopes(problem: Problem, solver: str, y: Array, sigma: float, sigma_next: float) -> list[Array]:
    """The slopes dy/dsigma that one step of the solver evaluates."""
    eps = (y - problem.denoise(y, sigma)) / sigma
    if solver == "Euler (DDIM)":
        return [eps]
    if sigma_next == 0:
        return [eps, np.zeros_like(eps)]
    there = sigma_next if solver == "Heun" else float(np.sqrt(sigma * sigma_next))
    ahead = y + (there - sigma) * eps
    return [eps, (ahead - problem.denoise(ahead, there)) / there]


def fine_levels(sigma: float, sigma_next: float) -> Array:
    """(FINE + 1,) levels of one step; into 0, down to a fiftieth of the level first."""
    if sigma_next > 0:
        return np.geomspace(sigma, sigma_next, FINE + 1)
    return np.append(np.geomspace(sigma, 0.02 * sigma, FINE), 0.0)


@dataclass(frozen=True)
class Fit:
    """Coefficients of every step and what they do on the training trajectories."""

    coefficients: Array  # (n_steps, n_slopes + history)
    default: Array  # the same shape
    step_error: Array  # (n_steps,) root mean square error of one step from its state, against fine steps
    step_error_default: Array  # (n_steps,) the same with the default coefficients from the same state


def fit(problem: Problem, solver: str, levels: Array, history: int, start: Array) -> Fit:
    """Fit step after step, each from the states that the fitted steps before it reach."""
    y, past = start, [np.zeros_like(start)] * history
    found, defaults, errors, errors_default = [], [], [], []
    for sigma, sigma_next in itertools.pairwise(levels):
        target = run_base(problem, solver, y, fine_levels(sigma, sigma_next))
        own = slopes(problem, solver, y, sigma, sigma_next)
        features = (sigma_next - sigma) * np.stack([s.ravel() for s in (*own, *past)], axis=1)
        default = default_coefficients(solver, history, sigma_next == 0)
        missing = (target - y).ravel() - features @ default
        g = default + np.linalg.lstsq(features, missing, rcond=1e-10)[0]
        after = y + (features @ g).reshape(y.shape)
        errors.append(np.sqrt(np.mean((after - target) ** 2)))
        errors_default.append(np.sqrt(np.mean(missing**2)))
        found.append(g)
        defaults.append(default)
        past = [own[0], *past][:history]
        y = after
    return Fit(np.array(found), np.array(defaults), np.array(errors), np.array(errors_default))


def run_with(problem: Problem, solver: str, levels: Array, coefficients: Array, start: Array) -> Array:
    """Endpoints of a sampler with given coefficients."""
    history = coefficients.shape[1] - N_SLOPES[solver]
    y, past = start, [np.zeros_like(start)] * history
    for (sigma, sigma_next), g in zip(itertools.pairwise(levels), coefficients, strict=True):
        own = slopes(problem, solver, y, sigma, sigma_next)
        total = sum((w * s for w, s in zip(g, (*own, *past), strict=True)), np.zeros_like(y))
        past = [own[0], *past][:history]
        y = y + (sigma_next - sigma) * total
    return y


# --- where samples land --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Landing(Result):
    """Endpoints of the base solver and of the fitted one, and where the exact flow ends, on fresh noise."""

    exact: Array  # (n, 2)
    base: Array  # (n, 2)
    tuned: Array  # (n, 2)
    base_error: float
    tuned_error: float
    solver: str
    steps: int
    reach: float

    def table(self) -> pl.DataFrame:
        sides = {"exact": self.exact, "base": self.base, "tuned": self.tuned}
        return pl.DataFrame({f"{name}_x_{j + 1}": values[:, j] for name, values in sides.items() for j in (0, 1)})

    def headline(self) -> dict[str, float | str]:
        return {
            "endpoint error ÷ scale, plain": self.base_error,
            "endpoint error ÷ scale, fitted": self.tuned_error,
            "gain": self.base_error / max(self.tuned_error, 1e-300),
        }


@experiment
@gathered(Tuning, "tuning")
def landing(*, tuning: Tuning) -> Landing:
    """Where a few steps land against the exact flow, with the solver's own coefficients and with fitted ones."""
    problem, solver, levels, history = tuning.problem, tuning.solver, tuning.levels, tuning.history
    start, exact = tuning.fresh(N_TEST)
    found = fit(problem, solver, levels, history, problem.starts(tuning.seed, tuning.training_trajectories))
    base = run_base(problem, solver, start, levels)
    tuned = run_with(problem, solver, levels, found.coefficients, start)
    reach = tuning.separation + 1.6 if tuning.data == "ring" else 3.4 * float(problem.stds.max())
    return Landing(exact, base, tuned, problem.error(base, exact), problem.error(tuned, exact), solver, tuning.steps, reach)


# --- error against steps -------------------------------------------------------------------------------------

STEP_COUNTS = (2, 3, 4, 5, 6, 8, 10, 14, 20, 30)


@dataclass(frozen=True)
class StepCurve(Result):
    """Endpoint error on fresh noise against the number of steps."""

    steps: Array  # (n,)
    plain: dict[str, Array]  # by grid
    fitted: Array  # (n,) least-squares coefficients on the chosen grid
    law: Array  # (n,) 1 - cos(theta_0/K)^K, exact for an isotropic Gaussian on equal angles, or empty
    grid: str
    at_steps: int
    at: dict[str, float]

    def table(self) -> pl.DataFrame:
        keys = {"EDM": "edm", "even in log σ": "log", "equal angles": "angles"}
        columns = {"steps": self.steps} | {f"error_{keys[name]}": v for name, v in self.plain.items()}
        columns["error_fitted"] = self.fitted
        if self.law.size:
            columns["error_theory"] = self.law
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        k = self.at_steps
        gain = self.at["EDM"] / max(self.at["fitted"], 1e-300)
        return {**{f"{name}, K = {k}": value for name, value in self.at.items()}, "gain of fitting over EDM": gain}


@experiment
@gathered(Tuning, "tuning")
def step_curve(*, tuning: Tuning) -> StepCurve:
    """Endpoint error on fresh noise against the number of steps: three grids, and fitted coefficients."""
    problem, solver, grid, history = tuning.problem, tuning.solver, tuning.grid, tuning.history
    start, exact = tuning.fresh(N_TEST // 2)
    train = problem.starts(tuning.seed, tuning.training_trajectories)

    def errors(k: int) -> dict[str, float]:
        levels = {name: grid_of(name, k, problem.scale) for name in GRIDS}
        found = {name: problem.error(run_base(problem, solver, start, rows), exact) for name, rows in levels.items()}
        g = fit(problem, solver, levels[grid], history, train).coefficients
        return found | {"fitted": problem.error(run_with(problem, solver, levels[grid], g, start), exact)}

    rows = [errors(k) for k in STEP_COUNTS]
    counts = np.array(STEP_COUNTS, float)
    law = np.empty(0)
    if tuning.data == "Gaussian" and tuning.anisotropy == 1 and solver == "Euler (DDIM)":
        law = euler_scale_error(counts, 20.0, problem.scale) * np.sqrt(np.mean(exact**2)) / problem.scale
    return StepCurve(
        counts,
        {name: np.array([row[name] for row in rows]) for name in GRIDS},
        np.array([row["fitted"] for row in rows]),
        law,
        grid,
        tuning.steps,
        errors(tuning.steps),
    )


# --- coefficients --------------------------------------------------------------------------------------------

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Coefficients(Result):
    """Fitted coefficients beside the solver's own, and their errors on training and fresh noise."""

    sigma: Array  # (n_steps,) level at which each step starts
    fitted: Array  # (n_steps, n_coefficients)
    default: Array  # (n_steps, n_coefficients)
    names: tuple[str, ...]
    batch: Array  # (n_batches,)
    train: Array  # (n_batches,) endpoint error on the trajectories of the fit
    fresh: Array  # (n_batches,) on fresh noise
    plain: float
    step_gain: Array  # (n_steps,) training error of a step over that of the default coefficients
    at_train: float
    at_fresh: float

    def table(self) -> pl.DataFrame:
        one = {"step": np.arange(1.0, self.sigma.size + 1), "noise_level": self.sigma}
        for j, name in enumerate(self.names):
            one |= {f"fitted_{name}": self.fitted[:, j], f"default_{name}": self.default[:, j]}
        one["step_error_over_default"] = self.step_gain
        two = {"training_trajectories": self.batch, "error_training": self.train, "error_fresh": self.fresh}
        return pl.concat([pl.DataFrame(one), pl.DataFrame(two)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "error on training noise": self.at_train,
            "error on fresh noise": self.at_fresh,
            "error of the solver's own coefficients": self.plain,
            "fresh over training": self.at_fresh / max(self.at_train, 1e-300),
        }


@experiment
@gathered(Tuning, "tuning")
def coefficients(*, tuning: Tuning) -> Coefficients:
    """Least-squares coefficients of each step, and how they carry over from training to fresh noise."""
    problem, solver, levels, history = tuning.problem, tuning.solver, tuning.levels, tuning.history
    start, exact = tuning.fresh(N_TEST)
    train, train_exact = sample_of(problem, tuning.seed, 200)

    def both(b: int) -> tuple[Fit, float, float]:
        found = fit(problem, solver, levels, history, train[:b])
        here = problem.error(run_with(problem, solver, levels, found.coefficients, train[:b]), train_exact[:b])
        return found, here, problem.error(run_with(problem, solver, levels, found.coefficients, start), exact)

    rows = [both(b)[1:] for b in BATCHES]
    found, at_train, at_fresh = both(tuning.training_trajectories)
    own = {"Euler (DDIM)": ("now",), "Heun": ("now", "ahead"), "DPM-2": ("now", "halfway")}[solver]
    gain = found.step_error / np.maximum(found.step_error_default, 1e-300)
    return Coefficients(
        levels[:-1],
        found.coefficients,
        found.default,
        (*own, *(f"{j} back" for j in range(1, history + 1))),
        np.array(BATCHES, float),
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        problem.error(run_base(problem, solver, start, levels), exact),
        gain,
        at_train,
        at_fresh,
    )
