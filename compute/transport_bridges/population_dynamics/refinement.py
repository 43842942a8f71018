r"""Bridges between snapshots whose reference is refitted to them: paths, coefficients, and the exact recursion for OU.

For dX = -theta X dt + sqrt(g) dW between snapshots of variances V0, V1 a time T apart, with q = g (1 - e^{-2 theta T})/(2 theta),
the bridge's covariance of start and end is c = e^{theta T} (-q/2 + sqrt(q^2/4 + e^{-2 theta T} V0 V1)). Pinned at both ends
X_t has the mean A x + B y, A = sinh(theta (T - t))/sinh(theta T), B = sinh(theta t)/sinh(theta T), and the variance
g sinh(theta t) sinh(theta (T - t))/(theta sinh(theta T)). With Ito's rule the refit is

    theta <- [g T_total/2 - (V_end - V_start)/2] / int E X_t^2 dt.

Each half lowers the KL divergence of the paths from the reference, so that it never grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.distance_to_target import directions
from compute.parameters import Seed
from compute.transport_bridges.population_dynamics.reference import SUBSTEPS, DriftClass, Snapshots, refine
from compute.transport_bridges.population_dynamics.setting import (
    Array,
    Diffusion,
    Iterations,
    NSnapshots,
    Particles,
    ReferenceName,
    System,
    Theta,
)
from compute.transport_bridges.population_dynamics.systems import (
    LENGTH,
    START,
    TRUE_CLASS,
    drift_class,
    simulate,
    snapshots_of,
    true_coefficients,
)

N_PATHS, N_SHOWN = 160, 18
ERROR_TIMES = 25
SHOWN_TIMES = 61
MOST_DOTS = 420
N_REPEATS = 4
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


def projected_w1(one: Array, other: Array) -> Array:
    """(…,) mean W1 over fixed directions of samples (…, n, d) of equal size."""
    along = directions(one.shape[-1])
    first, second = (np.sort(sample @ along.T, axis=-2) for sample in (one, other))
    return np.asarray(np.mean(np.abs(first - second), axis=(-2, -1)))


@dataclass(frozen=True)
class InferredPaths(Result):
    """Paths through the snapshots, iteration by iteration.

    Parameters
    ----------
    system : str
    times : (T,) array
        Of the snapshots.
    dots : (m, 1 + d) array
        Time and place of particles that were seen, some of them.
    path_time : (q,) array
    paths : (k + 1, n_shown, q, d) float32 array
        Of each iteration.
    true_paths : (n_true, q, d) array
        Of particles that were not seen.
    error_time : (p,) array
    error : (k + 1, p) array
        Distance of the inferred law to the true one at each time.
    floor : (p,) array
        Distance of two true samples at each time.
    coefficients : (k + 1, c) array
    truth : (c,) array or None
        Coefficients, where the class is the system's own.
    """

    system: str
    times: Array
    dots: Array
    path_time: Array
    paths: Any
    true_paths: Array
    error_time: Array
    error: Array
    floor: Array
    coefficients: Array
    truth: Array | None

    def table(self) -> pl.DataFrame:
        rounds, shown, q, d = self.paths.shape
        names = [f"x{c + 1}" for c in range(d)]
        paths = pl.DataFrame(
            {
                "what": ["path"] * (rounds * shown * q),
                "iteration": np.repeat(np.arange(rounds), shown * q),
                "path": np.tile(np.repeat(np.arange(shown), q), rounds),
                "time": np.tile(self.path_time, rounds * shown),
                **{name: self.paths[..., c].ravel().astype(float) for c, name in enumerate(names)},
            }
        )
        seen = pl.DataFrame(
            {"what": ["snapshot"] * len(self.dots), "time": self.dots[:, 0]}
            | {name: self.dots[:, 1 + c] for c, name in enumerate(names)}
        )
        errors = pl.DataFrame(
            {
                "what": ["error"] * self.error.size,
                "iteration": np.repeat(np.arange(rounds), self.error_time.size),
                "time": np.tile(self.error_time, rounds),
                "W1 to the true law": self.error.ravel(),
                "W1 of two true samples": np.tile(self.floor, rounds),
            }
        )
        return pl.concat([paths, seen, errors], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        lines: dict[str, float | str] = {
            "W₁ between snapshots, Brownian": float(self.error[0].mean()),
            "W₁ between snapshots, last iteration": float(self.error[-1].mean()),
            "the same of two true samples": float(self.floor.mean()),
        }
        if self.truth is not None:
            lines["largest error of a coefficient"] = float(np.abs(self.coefficients[-1] - self.truth).max())
        return lines


def _paths_seconds(snapshots: int, particles: int, iterations: int, reference: str, **_: Any) -> float:
    rounds = 1 if reference == "Brownian" else iterations + 1
    return 0.015 + rounds * snapshots * (8e-4 + 1e-5 * particles + 5e-8 * particles**2)


@experiment(seconds=_paths_seconds)
def inferred_paths(
    *,
    system: System = "Lotka-Volterra",
    reference: ReferenceName = "right class",
    snapshots: NSnapshots = 5,
    particles: Particles = 50,
    theta: Theta = 1.0,
    diffusion: Diffusion = 0.02,
    iterations: Iterations = 3,
    seed: Seed = 0,
) -> Iterator[tuple[float, InferredPaths]]:
    """Paths inferred from snapshots by bridges whose reference is refitted (Shen et al. 2025), against paths never shown."""
    rng = np.random.default_rng(seed)
    times = np.linspace(0, LENGTH[system], snapshots)
    seen = snapshots_of(rng, system, theta, diffusion, times, particles)
    drift = drift_class(system, reference)
    grid, pick, shown = _grids(times)
    truth = simulate(rng, system, theta, diffusion, grid[pick], 2 * N_PATHS)
    floor = projected_w1(truth[:, :N_PATHS], truth[:, N_PATHS:])
    some = max(1, len(times) * particles // MOST_DOTS)
    dots = np.concatenate([np.column_stack([np.full(s[::some].shape[0], t), s[::some]]) for t, s in zip(times, seen, strict=True)])
    paths, errors, coefficients = [], [], []
    rounds = 1 if drift.n_coefficients == 0 else iterations + 1
    is_own = drift == TRUE_CLASS[system]
    for k, bridge in enumerate(refine(rng, drift, Snapshots(times, seen), diffusion, iterations)):
        # Shown and judged with the same random numbers at each iteration, so that a path bends and does not jump.
        chains = bridge.chains(np.random.default_rng(seed + 1), N_PATHS)
        paths.append(chains[shown, :N_SHOWN].transpose(1, 0, 2).astype(np.float32))
        errors.append(projected_w1(chains[pick], truth[:, :N_PATHS]))
        coefficients.append(bridge.coefficients)
        yield (
            (k + 1) / rounds,
            InferredPaths(
                system,
                times,
                dots,
                grid[shown],
                np.array(paths),
                truth[:, :8].transpose(1, 0, 2),
                grid[pick],
                np.array(errors),
                floor,
                np.array(coefficients),
                true_coefficients(system, theta) if is_own else None,
            ),
        )


def _grids(times: Array) -> tuple[Array, Any, Any]:
    """Times of whole paths, and which of them errors and pictures take."""
    grid = np.linspace(times[0], times[-1], SUBSTEPS * (times.size - 1) + 1)
    pick = np.unique(np.rint(np.linspace(0, grid.size - 1, ERROR_TIMES)).astype(int))
    shown = np.unique(np.rint(np.linspace(0, grid.size - 1, SHOWN_TIMES)).astype(int))
    return grid, pick, shown


# --- the exact recursion


def ou_variances(theta: float, g: float, first: float, times: Array) -> Array:
    """(T,) variances of OU from the first."""
    return np.asarray(first * np.exp(-2 * theta * times) + g * -np.expm1(-2 * theta * times) / (2 * theta))


def added(theta: float, g: float, duration: Array) -> Array:
    """Variance that OU adds over a duration, also at theta = 0."""
    rate = 2 * theta * duration
    return np.asarray(g * duration * np.where(np.abs(rate) < 1e-9, 1.0, -np.expm1(-rate) / np.where(rate == 0, 1.0, rate)))


def bridge_covariance(theta: float, g: float, duration: Array, start: Array, end: Array) -> Array:
    """Covariance of start and end of the bridge of an OU reference."""
    q, kept = added(theta, g, duration), np.exp(-theta * duration)
    # The root less q/2, in a form that does not cancel.
    both = kept**2 * start * end
    return np.asarray(both / (np.sqrt(q**2 / 4 + both) + q / 2) / kept)


def _ratio(theta: float, part: Array, whole: Array) -> Array:
    """sinh(theta part)/sinh(theta whole), also at theta = 0."""
    return part / whole if abs(theta) < 1e-7 else np.sinh(theta * part) / np.sinh(theta * whole)


def refit_exactly(theta: float, g: float, times: Array, variances: Array) -> float:
    """One iteration: the bridge of OU(theta), then the drift of largest likelihood."""
    duration = np.diff(times)[:, None]
    start, end = variances[:-1, None], variances[1:, None]
    c = bridge_covariance(theta, g, duration, start, end)
    t = duration * NODES
    a, b = _ratio(theta, duration - t, duration), _ratio(theta, t, duration)
    # g sinh(theta t) sinh(theta (T - t))/(theta sinh(theta T)): what free OU has, less what the end reveals.
    pinned = added(theta, g, t) - (np.exp(-theta * (duration - t)) * added(theta, g, t)) ** 2 / added(theta, g, duration)
    square = np.sum(duration * (a**2 * start + 2 * a * b * c + b**2 * end + pinned) * WEIGHTS)
    return float((g * (times[-1] - times[0]) - (variances[-1] - variances[0])) / (2 * square))


def path_divergence(theta: float, g: float, times: Array, variances: Array) -> float:
    """KL of the bridge of OU(theta) from OU(theta) itself, started at the first variance."""
    duration, start, end = np.diff(times), variances[:-1], variances[1:]
    c, q = bridge_covariance(theta, g, duration, start, end), added(theta, g, duration)
    left = end - c**2 / start
    return float(np.sum(0.5 * (left / q - 1 - np.log(left / q) + (c / start - np.exp(-theta * duration)) ** 2 * start / q)))


@dataclass(frozen=True)
class Refinement(Result):
    """A coefficient and the objective against iterations.

    Parameters
    ----------
    iteration : (k + 1,) array
    theta : (k + 1,) array
        Exact recursion, infinitely many particles.
    divergence : (k + 1,) array
        KL of paths from the reference, nats.
    truth : float
    fitted, standard_error : (k' + 1,) arrays
        Mean over repeats with n particles.
    """

    iteration: Array
    theta: Array
    divergence: Array
    truth: float
    fitted: Array
    standard_error: Array

    def table(self) -> pl.DataFrame:
        n = self.iteration.size
        done = self.fitted.size
        return pl.DataFrame(
            {
                "iteration": self.iteration,
                "theta (exact recursion)": self.theta,
                "distance to the truth": np.abs(self.theta - self.truth),
                "KL of paths (nats)": self.divergence,
                "theta (particles)": [*self.fitted, *[None] * (n - done)],
                "standard error": [*self.standard_error, *[None] * (n - done)],
            },
            strict=False,
        )

    def headline(self) -> dict[str, float | str]:
        last = self.fitted.size - 1
        z = (self.fitted[last] - self.theta[last]) / self.standard_error[last] if self.standard_error[last] > 0 else 0.0
        return {
            "θ by the recursion": float(self.theta[-1]),
            "its error": float(abs(self.theta[-1] - self.truth)),
            "θ by particles": float(self.fitted[last]),
            "particles against recursion (SE)": float(z),
            "KL of paths at the end (nats)": float(self.divergence[-1]),
        }


def _refinement_seconds(snapshots: int, particles: int, iterations: int, **_: Any) -> float:
    return N_REPEATS * (iterations + 1) * snapshots * (6e-4 + 4e-6 * particles + 4.5e-8 * particles**2)


@experiment(seconds=_refinement_seconds)
def refined_theta(
    *,
    snapshots: NSnapshots = 5,
    particles: Particles = 50,
    theta: Theta = 1.0,
    diffusion: Diffusion = 0.02,
    iterations: Iterations = 3,
    seed: Seed = 0,
) -> Iterator[tuple[float, Refinement]]:
    """The pull of OU learned from snapshots: exact recursion from 0, and the same by particles and Sinkhorn."""
    times = np.linspace(0, LENGTH["OU"], snapshots)
    variances = ou_variances(theta, diffusion, START["OU"][1] ** 2, times)
    exact = [0.0]
    for _ in range(iterations):
        exact.append(refit_exactly(exact[-1], diffusion, times, variances))
    divergence = np.array([path_divergence(w, diffusion, times, variances) for w in exact])
    drift = DriftClass("OU", 1)
    fits = []
    for repeat in range(N_REPEATS):
        rng = np.random.default_rng([seed, repeat])
        seen = Snapshots(times, snapshots_of(rng, "OU", theta, diffusion, times, particles))
        fits.append([bridge.coefficients[0] for bridge in refine(rng, drift, seen, diffusion, iterations)])
        runs = np.array(fits)
        error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else np.zeros(iterations + 1)
        yield (
            (repeat + 1) / N_REPEATS,
            Refinement(np.arange(iterations + 1.0), np.array(exact), divergence, theta, runs.mean(axis=0), error),
        )
