r"""Reverse-time samplers against data whose score is known exactly: what each solver, grid and noise really costs.

Everything runs in y = x/alpha, where a forward process is a noise level sigma, a grid of levels and a prior at the
top (``noise_schedule``); data are Gaussian mixtures (``gaussian_mixture``); a solver is one function
(``reverse_samplers``). Errors are distances to the exact law (``distance_to_target``), or, for solvers of the
probability-flow ODE, the root mean square distance of the endpoints to those of a fine RK4 run from the same start.

References
----------
Papers 281, 145, 028, 038 and 263 of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import reverse_samplers as rs
from compute.methods.contours import level_lines
from compute.methods.flow_likelihood import climb
from compute.methods.gaussian_reverse import euler_scale_error
from compute.models.diffusion_setting import (
    Data,
    Nfe,
    ScoreError,
    Sde,
    Separation,
    SigmaMax,
    grid_of,
    mixture_of,
    start_points,
    statistics_of,
    target_of,
)
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.imperfect_score import perturbed
from compute.models.noise_schedule import SCHEDULES, SIGMA_MIN, VE
from compute.parameters import Choice, LogInteger, Real, Seed

Array = NDArray[np.float64]

SolverName = Annotated[str, Choice("solver", options=tuple(rs.SOLVERS))]
NoiseExponent = Annotated[
    float,
    Real("noise exponent", r"\eta", low=0.0, high=1.0, help="Of the extended reverse SDE: 0 is the ODE, 1 the reverse SDE."),
]
Probes = Annotated[int, LogInteger("probes", "P", low=1, high=64, help="Random vectors of Hutchinson's trace estimate.")]

N_PARTICLES = 1200
MAX_FRAMES = 60


def start_run(mixture: GaussianMixture, levels: Array, seed: int, solver: str, eta: float, score_error: float) -> rs.Run:
    """A run of the mixture's denoiser, with what the solver needs to know."""
    known = statistics_of(mixture, float(levels[0])) if "v3" in solver else None
    return rs.Run(perturbed(mixture.denoise, score_error), np.random.default_rng(seed), eta=eta, statistics=known)


# --- one sampler at work -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Generation(Result):
    """Particles of one run, level by level, in the coordinates x = y/sqrt(1 + sigma^2/scale^2)."""

    noise_level: Array  # (n_frames,) the last is 0
    position: NDArray[np.float32]  # (n_frames, n, 1 or 2) first coordinates
    mode: NDArray[np.int64]  # (n,) component that owns the final point
    edges: Array  # (n_bins + 1,) bins of the first coordinate
    share: Array  # (n_frames, n_bins) density of the particles in each bin
    share_error: Array  # (n_frames, n_bins)
    curve: Array  # (n_curve,) first coordinate
    exact: Array  # (n_frames, n_curve) its exact density
    contour: tuple[Array, Array]  # level lines of the exact density of the first two coordinates; empty on the line
    reach: float  # half width of the picture
    solver: str
    evaluations: int
    error: float
    floor: float
    mode_error: float  # total variation between the masses of the modes

    @property
    def centers(self) -> Array:
        """(n_bins,) of the first coordinate."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def table(self) -> pl.DataFrame:
        end = self.position[-1].astype(float)
        particles = pl.DataFrame({f"x_{j + 1}": end[:, j] for j in range(end.shape[1])} | {"mode": self.mode})
        histogram = pl.DataFrame(
            {
                "bin_center": self.centers,
                "density": self.share[-1],
                "density_standard_error": self.share_error[-1],
            }
        )
        law = pl.DataFrame({"x_1": self.curve, "exact_density": self.exact[-1]})
        return pl.concat([particles, histogram, law], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ to the data": self.error,
            "W₁ of exact samples (noise floor)": self.floor,
            "mass in the wrong mode": self.mode_error,
            "evaluations used": float(self.evaluations),
        }


def density_lines(mixture: GaussianMixture, reach: float, n_grid: int = 90) -> tuple[Array, Array]:
    """Level lines of the density of the first two coordinates at 5 and 50 percent of its maximum."""
    axis = np.linspace(-reach, reach, n_grid)
    plane = GaussianMixture(mixture.weights, mixture.means[:, :2], mixture.width)
    density = np.exp(plane.log_density(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))).reshape(n_grid, n_grid)
    lines = [level_lines(axis, axis, density, share * density.max()) for share in (0.05, 0.5)]
    return np.concatenate([x for x, _ in lines]), np.concatenate([y for _, y in lines])


@experiment
def generation(
    *,
    data: Data = "ring_2d",
    separation: Separation = 3.0,
    sde: Sde = "EDM",
    solver: SolverName = "Heun",
    nfe: Nfe = 20,
    sigma_max: SigmaMax = 20.0,
    noise_exponent: NoiseExponent = 0.0,
    score_error: ScoreError = 0.0,
    seed: Seed = 0,
) -> Generation:
    """One solver taking particles from noise to data, with the exact law at every noise level.

    The picture is in x = y/sqrt(1 + sigma^2/c^2), c the data's standard deviation, so that the first cloud has the
    data's size; the marginal law of the first coordinate is exact at each level.

    Raises
    ------
    ParameterError
        Where the chain of paper 263 has no grid of so few steps.
    """
    mixture, schedule, chosen = mixture_of(data, separation), SCHEDULES[sde], rs.SOLVERS[solver]
    n_steps = chosen.n_steps(nfe)
    levels = grid_of(schedule, n_steps, sigma_max)
    run = start_run(mixture, levels, seed, solver, noise_exponent, score_error)
    start = start_points(schedule, levels, N_PARTICLES, mixture.dimension, seed)
    states = list(rs.path(chosen.step, run, start, levels))
    target, floor, _ = target_of(mixture, N_PARTICLES)
    end = states[-1]
    owner = mixture.responsibilities(end).argmax(axis=1)
    masses = np.bincount(owner, minlength=mixture.n_components) / N_PARTICLES

    kept = np.unique(np.rint(np.linspace(0, n_steps, min(n_steps + 1, MAX_FRAMES))).astype(int))
    shown = min(mixture.dimension, 2)
    shrink = 1 / np.sqrt(1 + (levels[kept] / mixture.scale) ** 2)
    position = np.stack([states[k][:, :shown] * c for k, c in zip(kept, shrink, strict=True)])
    reach = float(np.max(np.abs(mixture.means)) + 4 * mixture.width)
    reach = max(reach, 2.5 * mixture.scale)
    edges = np.linspace(-reach, reach, 49)
    bin_width = edges[1] - edges[0]
    first = mixture.project(np.eye(mixture.dimension)[0])
    counts = np.stack([np.histogram(x[:, 0], edges)[0] for x in position])
    curve = np.linspace(-reach, reach, 241)
    exact = np.stack([first.noised(levels[k]).pdf(curve / c) / c for k, c in zip(kept, shrink, strict=True)])
    p = counts / N_PARTICLES
    contour = density_lines(mixture, reach) if shown == 2 else (np.empty(0), np.empty(0))
    return Generation(
        levels[kept],
        position.astype(np.float32),
        owner,
        edges,
        p / bin_width,
        np.sqrt(p * (1 - p) / N_PARTICLES) / bin_width,
        curve,
        exact,
        contour,
        reach,
        solver,
        (n_steps - 1) * chosen.evaluations + 1,
        target.w1(end),
        floor,
        float(0.5 * np.abs(masses - mixture.weights).sum()),
    )


# --- all samplers against the number of evaluations ----------------------------------------------------------

COMPARED = (
    "Euler (DDIM)",
    "Heun",
    "DPM-Solver++ 2M",
    "DPM-Solver-v3",
    "accelerated ODE (263)",
    "ER-SDE 3",
    "predictor-corrector",
    "accelerated SDE (263)",
)
BUDGETS = (4, 7, 12, 20, 34, 58, 100)
N_COMPARED = 600
REFERENCE_STEPS = 150


@dataclass(frozen=True)
class SolverCurve:
    """One solver over the budgets."""

    name: str
    is_random: bool
    evaluations: Array  # (n_budgets,) really used
    w1: Array  # (n_budgets,)
    endpoint: Array  # (n_budgets,) RMS distance to the reference endpoints over the data's scale; empty if random

    @property
    def order(self) -> float | None:
        """Slope of log endpoint error against log evaluations from 20 on; none for a random solver."""
        late = self.evaluations >= 15
        if self.endpoint.size == 0 or late.sum() < 3:
            return None
        return float(-np.polyfit(np.log(self.evaluations[late]), np.log(self.endpoint[late]), 1)[0])


@dataclass(frozen=True)
class Comparison(Result):
    """Errors of all solvers against the evaluations they spend."""

    curves: tuple[SolverCurve, ...]
    solver: str
    nfe: int
    floor: float
    floor_spread: float
    gaussian_k: Array  # (n,) steps
    gaussian_error: Array  # (n,) 1 - cos(theta/K)^K

    def table(self) -> pl.DataFrame:
        frames = [
            pl.DataFrame(
                {
                    "solver": [c.name] * c.evaluations.size,
                    "evaluations": c.evaluations,
                    "w1": c.w1,
                    "w1_noise_floor": [self.floor] * c.evaluations.size,
                    "endpoint_error_over_data_std": c.endpoint if c.endpoint.size else [None] * c.evaluations.size,
                },
                schema_overrides={"endpoint_error_over_data_std": pl.Float64},
            )
            for c in self.curves
        ]
        theory = pl.DataFrame(
            {
                "solver": ["Euler on Gaussian data, best grid, exact"] * self.gaussian_k.size,
                "evaluations": self.gaussian_k,
                "endpoint_error_over_data_std": self.gaussian_error,
            }
        )
        return pl.concat([*frames, theory], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        chosen = next(c for c in self.curves if c.name == self.solver)
        reached = chosen.evaluations[chosen.w1 <= 2 * self.floor]
        order = chosen.order
        here = int(np.argmin(np.abs(np.log(chosen.evaluations / self.nfe))))
        return {
            f"W₁ of {self.solver} at {int(chosen.evaluations[here])} evaluations": float(chosen.w1[here]),
            "its order": "random: no endpoint to compare" if order is None else order,
            "evaluations to twice the noise floor": float(reached[0]) if reached.size else "more than 100",
            "noise floor": self.floor,
        }


def _seconds_of_comparison(*, data: str, score_error: float, **_: object) -> float:
    mixture = mixture_of(data, 3.0)
    numbers = N_COMPARED * mixture.dimension  # in a state; some 2000 evaluations and 700 noisy steps are made
    return 0.05 + numbers * (1.5e-6 * mixture.n_components + 1e-5 + (7e-5 if score_error > 0 else 0.0))


@experiment(seconds=_seconds_of_comparison)
def comparison(
    *,
    data: Data = "ring_2d",
    separation: Separation = 3.0,
    sde: Sde = "EDM",
    solver: SolverName = "Heun",
    nfe: Nfe = 20,
    sigma_max: SigmaMax = 20.0,
    noise_exponent: NoiseExponent = 0.0,
    score_error: ScoreError = 0.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, Comparison]]:
    """Error against evaluations for all solvers: endpoints of the ODE, and distance to the data.

    The endpoint error has no sampling noise: every ODE solver starts from the same points as a 150-step RK4 run in
    log sigma. W1 has a noise floor, and a floor of the start: the prior is not the exact law at sigma_max. Beside
    them stands exact theory for data N(0, s^2): Euler's output scale over the exact one is prod cos(theta_i -
    theta_{i+1}), theta = arctan(sigma/s), so that on its best grid Euler errs by 1 - cos(theta_0/K)^K.
    """
    mixture, schedule = mixture_of(data, separation), SCHEDULES[sde]
    target, floor, spread = target_of(mixture, N_COMPARED)
    names = COMPARED if solver in COMPARED else (*COMPARED, solver)
    k = np.geomspace(4, 100, 40)
    theory = euler_scale_error(k, sigma_max, mixture.scale)
    references: dict[tuple[float, float], Array] = {}
    curves: list[SolverCurve] = []
    for name in names:
        chosen = rs.SOLVERS[name]
        is_random = chosen.is_random and not (name.startswith("ER-SDE") and noise_exponent == 0)
        evaluations, w1, endpoint = [], [], []
        for n_steps in sorted({chosen.n_steps(budget) for budget in BUDGETS}):
            try:
                levels = schedule.levels(n_steps, sigma_max)
            except ValueError:
                continue
            start = start_points(schedule, levels, N_COMPARED, mixture.dimension, seed)
            run = start_run(mixture, levels, seed, name, noise_exponent, score_error)
            end = rs.sample(chosen.step, run, start, levels)
            evaluations.append((n_steps - 1) * chosen.evaluations + 1)
            w1.append(target.w1(end))
            if not is_random:
                ends = (float(levels[0]), float(levels[-2]))
                if ends not in references:
                    fine = VE.levels(REFERENCE_STEPS, *ends)
                    again = start_run(mixture, fine, seed, "RK4", 0.0, score_error)
                    references[ends] = rs.sample(rs.rk4, again, start, fine)
                endpoint.append(np.sqrt(np.mean((end - references[ends]) ** 2)) / mixture.scale)
        curves.append(SolverCurve(name, is_random, np.array(evaluations, float), np.array(w1), np.array(endpoint)))
        yield len(curves) / len(names), Comparison(tuple(curves), solver, nfe, floor, spread, k, theory)


# --- likelihood --------------------------------------------------------------------------------------------

N_LIKELIHOOD = 120
LADDER = (3, 5, 8, 13, 20, 30, 45, 70)


@dataclass(frozen=True)
class Likelihood(Result):
    """Log-likelihoods by the probability flow, against the exact log density."""

    exact: Array  # (n,) log p at sigma = 0.02
    flow: Array  # (n,) exact trace
    hutchinson: Array  # (n,) mean over the probes
    hutchinson_error: Array  # (n,) standard error over the probes; 0 with one probe
    prior: Array  # (n,) the same flow under the Gaussian prior in place of the exact law at the top
    evaluations: Array  # (n_ladder,)
    largest_error: Array  # (n_ladder,) max |flow - exact|
    typical_error: Array  # (n_ladder,) its median
    hutchinson_spread: float  # standard deviation of one probe, root mean square over points
    used: int

    def table(self) -> pl.DataFrame:
        points = pl.DataFrame(
            {
                "exact_log_density": self.exact,
                "flow_log_likelihood": self.flow,
                "hutchinson_log_likelihood": self.hutchinson,
                "hutchinson_standard_error": self.hutchinson_error,
                "flow_log_likelihood_gaussian_prior": self.prior,
            }
        )
        ladder = pl.DataFrame(
            {"evaluations": self.evaluations, "max_abs_error": self.largest_error, "median_abs_error": self.typical_error}
        )
        return pl.concat([points, ladder], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "max |flow − exact|": float(np.max(np.abs(self.flow - self.exact))),
            "evaluations used": float(self.used),
            "spread of one Hutchinson probe": self.hutchinson_spread,
            "error of the Gaussian prior": float(np.mean(self.prior - self.flow)),
        }


@experiment
def likelihood(
    *,
    data: Data = "ring_2d",
    separation: Separation = 3.0,
    sde: Sde = "EDM",
    nfe: Nfe = 20,
    sigma_max: SigmaMax = 20.0,
    probes: Probes = 4,
    seed: Seed = 0,
) -> Likelihood:
    """log p_{0.02}(x) of samples by the probability-flow ODE (281, its equation 39), exact and by Hutchinson's trace.

    RK4 in log sigma from 0.02 to the top, floor(nfe/4) steps, at least one; the exact noisy density stands at both ends, so that all
    error is the integrator's. The Gaussian prior in place of the density at the top shifts the answer by what the
    headline says.
    """
    mixture, schedule = mixture_of(data, separation), SCHEDULES[sde]
    rng = np.random.default_rng([seed, 5])
    x = mixture.noised(SIGMA_MIN).sample(rng, N_LIKELIHOOD)
    signs = rng.choice([-1.0, 1.0], size=(N_LIKELIHOOD, probes, mixture.dimension))
    steps = max(1, nfe // 4)
    flow = climb(mixture, x, SIGMA_MIN, sigma_max, steps, signs)
    at_top = mixture.log_density(flow.end, sigma_max)
    std = schedule.prior_std(sigma_max)
    gaussian = -0.5 * np.sum(flow.end**2, axis=1) / std**2 - 0.5 * mixture.dimension * np.log(2 * np.pi * std**2)
    exact = mixture.log_density(x, SIGMA_MIN)
    none = np.empty((N_LIKELIHOOD, 0, mixture.dimension))
    errors = []
    for n in LADDER:
        other = climb(mixture, x, SIGMA_MIN, sigma_max, n, none)
        errors.append(np.abs(mixture.log_density(other.end, sigma_max) + other.divergence - exact))
    guesses = at_top[:, None] + flow.hutchinson
    gap = guesses - (at_top + flow.divergence)[:, None]
    return Likelihood(
        exact,
        at_top + flow.divergence,
        guesses.mean(axis=1),
        guesses.std(axis=1, ddof=1) / np.sqrt(probes) if probes > 1 else np.zeros(N_LIKELIHOOD),
        gaussian + flow.divergence,
        4.0 * np.array(LADDER),
        np.array([e.max() for e in errors]),
        np.array([np.median(e) for e in errors]),
        float(np.sqrt(np.mean(gap**2))),
        4 * steps,
    )
