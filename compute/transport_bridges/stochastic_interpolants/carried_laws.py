"""Stochastic interpolants: one family of laws in time, carried by an ODE and by an SDE."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.models.interpolants import Blend, JointMixture
from compute.parameters import Seed
from compute.transport_bridges.stochastic_interpolants.setting import (
    BaseModes,
    Diffusion,
    Interpolant,
    Modes,
    NoiseAmplitude,
    blend,
    ends,
)

Array = NDArray[np.float64]

N_PARTICLES, N_SHOWN = 400, 50
N_TIMES, SUBSTEPS = 41, 2
N_ROWS = 140


@dataclass(frozen=True)
class Film(Result):
    """The exact law of the interpolant in time, and particles of the ODE and of the SDE."""

    time: Array  # (n_times,)
    x: Array  # (n_rows,)
    density: Array  # (n_rows, n_times)
    ode: Array  # (n_times, n_shown)
    sde: Array  # (n_times, n_shown)
    distance: dict[str, float]  # W1 at t = 1 of all particles
    worst: dict[str, float]  # largest gap of the mean in time, in standard errors
    floor: float
    crossings: dict[str, float]  # share of pairs of particles whose order changed between t = 0 and 1
    kinetic: float
    diffusion: float

    def table(self) -> pl.DataFrame:
        t, x = np.meshgrid(self.time, self.x)
        law = pl.DataFrame({"t": t.ravel(), "x": x.ravel(), "density": self.density.ravel()})
        particle = np.tile(np.arange(self.ode.shape[1]), self.time.size)
        paths = pl.DataFrame(
            {
                "t": np.repeat(self.time, self.ode.shape[1]),
                "particle": particle,
                "x_ode": self.ode.ravel(),
                "x_sde": self.sde.ravel(),
            }
        )
        return pl.concat([law, paths], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ at t = 1, ODE": self.distance["ODE"],
            "W₁ at t = 1, SDE": self.distance["SDE"],
            "W₁ of exact samples": self.floor,
            "largest gap of the SDE's mean in time (SE)": self.worst["SDE"],
            "pairs that swap sides, SDE": self.crossings["SDE"],
            "kinetic cost ∫E|b|²": self.kinetic,
        }


def integrate(
    joint: JointMixture,
    path: Callable[[float], Blend],
    start: Array,
    times: Array,
    eps: float | Array,
    rng: np.random.Generator,
) -> Array:
    """(n_times, n, d) particles of dX = (b + eps s) dt + sqrt(2 eps) dW: Heun's steps at eps = 0, else Heun's for the drift.

    The diffusion eps is one for all particles, or (n, 1), of each.

    The stochastic steps average the drift over both ends of a step, with one normal draw: weak order 2 for additive
    noise up to terms eps dt^2.
    """
    found = [start]
    x, at = start, path(float(times[0]))
    each = np.broadcast_to(eps, (len(x), 1))
    is_noisy = each[:, 0] > 0
    spread = np.sqrt(2 * each[is_noisy])
    noise = np.zeros_like(x)
    for t, t_next in itertools.pairwise(times):
        dt = t_next - t
        first = _drift(joint, x, at, eps)
        noise[is_noisy] = np.sqrt(dt) * spread * rng.standard_normal((len(spread), x.shape[1]))
        at = path(float(t_next))
        x = x + 0.5 * dt * (first + _drift(joint, x + dt * first + noise, at, eps)) + noise
        found.append(x)
    return np.stack(found)


def _drift(joint: JointMixture, x: Array, at: Blend, eps: float | Array) -> Array:
    velocity, score = joint.drifts(x, at)
    return velocity + eps * score


def swapped(first: Array, last: Array) -> float:
    """The share of pairs whose order differs between two (n,) arrays."""
    crossed = np.count_nonzero((first[:, None] < first) & (last[:, None] > last))
    return crossed / (first.size * (first.size - 1) / 2)


@experiment
def film(
    *,
    interpolant: Interpolant = "linear",
    noise_amplitude: NoiseAmplitude = 1.0,
    diffusion: Diffusion = 0.5,
    base_modes: BaseModes = 2,
    modes: Modes = 3,
    seed: Seed = 0,
) -> Film:
    """The law of x_t = α x₀ + β x₁ + γ z with exact velocity b and score s, carried by x' = b and by the SDE (117).

    Both are integrated by Heun's rule in 100 steps from the same 400 quantiles of the law at t = 0.
    """
    joint = ends(base_modes, modes)
    rng = np.random.default_rng(seed)

    def path(t: float) -> Blend:
        return blend(interpolant, t, noise_amplitude)

    fine = np.linspace(0, 1, (N_TIMES - 1) * SUBSTEPS + 1)
    # Evenly spaced quantiles: the ODE keeps them evenly spaced, so that its W1 is the integrator's own.
    start = joint.law(path(0.0)).quantile((np.arange(N_PARTICLES) + 0.5) / N_PARTICLES)[:, None]
    # Side by side, as each evaluation of the law costs about the same for one run as for both.
    eps = np.repeat([0.0, diffusion], N_PARTICLES)[:, None]
    ode, sde = np.split(integrate(joint, path, np.concatenate([start, start]), fine, eps, rng)[::SUBSTEPS, :, 0], 2, axis=1)
    time = fine[::SUBSTEPS]
    laws = [joint.law(path(float(t))) for t in time]
    reach = max(float(np.abs(law.means).max() + 3.2 * law.width) for law in (laws[0], laws[-1]))
    x = np.linspace(-reach, reach, N_ROWS)
    density = np.stack([law.pdf(x) for law in laws], axis=1)
    target = Target(laws[-1], N_PARTICLES)
    error = np.array([law.scale for law in laws]) / np.sqrt(N_PARTICLES)
    mean = np.array([float(law.mean[0]) for law in laws])
    runs = {"ODE": ode, "SDE": sde}
    sample = rng.standard_normal((N_PARTICLES, 1))
    kinetic = 0.0
    for t in (np.arange(20) + 0.5) / 20:
        at = path(float(t))
        pair = joint.sample(rng, N_PARTICLES)
        there = np.tensordot(at.weight, pair, axes=1) + np.sqrt(at.variance) * sample
        kinetic += float(np.mean(joint.velocity(there, at) ** 2)) / 20
    shown = slice(N_PARTICLES // N_SHOWN // 2, None, N_PARTICLES // N_SHOWN)
    return Film(
        time,
        x,
        density,
        ode[:, shown],
        sde[:, shown],
        {name: target.w1(run[-1][:, None]) for name, run in runs.items()},
        {name: float(np.max(np.abs(run.mean(axis=1) - mean) / error)) for name, run in runs.items()},
        target.noise_floor(rng)[0],
        {name: swapped(run[0], run[-1]) for name, run in runs.items()},
        kinetic,
        diffusion,
    )
