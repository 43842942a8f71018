"""The law of one coordinate on the way to the first category: theory over simulation, for each process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from compute.diffusion_samplers.simplex_diffusions.processes import ANGLES, LAST_TIME, SHORTEST_TIME, STICKS, TAU_MAX
from compute.diffusion_samplers.simplex_diffusions.setting import Categories, Constants, Particles, Process
from compute.experiment import Result, experiment
from compute.methods.shared_parameters import gathered
from compute.models.jacobi_diffusion import EndRatio, spectral_ratio
from compute.models.sphere_bridge import radius_density, walk_to_vertex
from compute.parameters import LogInteger, Real, Seed

Array = NDArray[np.float64]
N_BINS = 28

Progress = Annotated[float, Real("progress", "u", low=0.02, high=0.98, help="From noise, 0, to the vertex, 1.")]
Terms = Annotated[
    int, LogInteger("terms of the spectral sum", low=2, high=200, help="Of the Jacobi diffusion.", when=("process", ("jacobi",)))
]
COORDINATE = {
    "jacobi": "first stick v₁",
    "gumbel": "x₁/(x₁ + x₂)",
    "sphere": "distance r to the vertex",
    "bayesian flow": "θ₁/(θ₁ + θ₂)",
}


@dataclass(frozen=True)
class OneParticle(Result):
    """Densities of the coordinate in bins."""

    process: str
    coordinate: str
    center: Array  # (n_bins,)
    theory: Array  # (n_bins,) mean density in the bin
    simulation: Array
    standard_error: Array
    spectral: Array | None  # (n_bins,) of the truncated sum
    mean: tuple[float, float, float]  # theory, simulation, standard error
    farthest: float  # largest gap in standard errors
    spectral_gap: float | None

    def table(self) -> pl.DataFrame:
        columns = {
            "coordinate": self.center,
            "theory": self.theory,
            "simulation": self.simulation,
            "standard_error": self.standard_error,
        }
        if self.spectral is not None:
            columns["spectral_sum"] = self.spectral
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        theory, found, error = self.mean
        shown: dict[str, float | str] = {
            "mean": theory,
            "mean of the simulation, gap (SE)": (found - theory) / max(error, 1e-12),
            "largest gap of a bin (SE)": self.farthest,
        }
        if self.spectral_gap is not None:
            shown["total variation of the spectral sum"] = self.spectral_gap
        return shown


def jacobi_walk(start: float, b: float, time: float, n: int, n_steps: int, rng: np.random.Generator) -> Array:
    """(n,) sticks at s t = ``time`` by Euler's steps for a = 1, reflected at the ends."""
    v = np.full(n, start)
    dt = time / n_steps
    for _ in range(n_steps):
        v = v + 0.5 * (1 - v - b * v) * dt + np.sqrt(np.maximum(v * (1 - v), 0) * dt) * rng.standard_normal(n)
        v = np.abs(v)
        v = 1 - np.abs(1 - v)
    return np.clip(v, 0, 1)


def _cumulative(x: Array, density: Array) -> Array:
    total = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))])
    return np.asarray(total)


def _stick(time: float, b: float, edges: Array, terms: int) -> tuple[Array, Array]:
    """Mass of the bins by lineages and by a truncated spectral sum, integrated over angles."""
    angle = ANGLES
    ends = np.concatenate([[0.0], angle, [np.pi]])
    jacobian = b * (1 - STICKS) ** (b - 1) * np.sin(angle) / 2  # stationary density in the angle
    masses = []
    for ratio in (np.exp(EndRatio(1.0, b, STICKS).at(time)[0]), spectral_ratio(1.0, b, 1.0, STICKS, time, terms)):
        total = _cumulative(ends, np.concatenate([[0.0], jacobian * ratio, [0.0]]))
        masses.append(np.diff(np.interp(np.arccos(1 - 2 * edges), ends, total)))
    return masses[0], masses[1]


@experiment
@gathered(Constants, "constants")
def one_particle(
    *,
    process: Process = "jacobi",
    categories: Categories = 3,
    progress: Progress = 0.5,
    terms: Terms = 5,
    strings: Particles = 500,
    constants: Constants,
    seed: Seed = 0,
) -> OneParticle:
    """Simulate the noising of the first category, and hold one coordinate to its exact law.

    Jacobi: lineages, and the spectral sum as published, cut; the time is LAST_TIME^(1-u) of the shortest. Gumbel: logistic in the
    logit. Bayesian flow: normal in it. Sphere: the radial equation by finite volumes.
    """
    rng = np.random.default_rng([seed, 13])
    K, n = categories, strings
    is_sphere = process == "sphere"
    edges = np.linspace(0, 1, N_BINS + 1)
    spectral = None
    if process == "jacobi":
        longest = constants.speed * LAST_TIME
        time = longest * (SHORTEST_TIME / longest) ** progress
        mass, spectral = _stick(time, float(K - 1), edges, terms)
        # A step must resolve the fastest rate, (1 + b)/2.
        drawn = jacobi_walk(1.0, float(K - 1), time, n, int(100 + 20 * time * K), rng)
        mean = 1 / K + (1 - 1 / K) * np.exp(-K * time / 2)
    elif is_sphere:
        r, density = radius_density(progress, constants.sphere_noise, K)
        reach = float(r[np.searchsorted(np.cumsum(density) / density.sum(), 0.9995)])
        edges = np.linspace(0, min(np.pi, 1.1 * reach), N_BINS + 1)
        step = r[1] - r[0]
        grid = np.concatenate([[0.0], np.cumsum(density) * step])
        mass = np.diff(np.interp(edges, np.arange(r.size + 1) * step, grid))
        drawn = walk_to_vertex(progress, constants.sphere_noise, K, n, 60, rng)
        mean = float(np.sum(r * density) * step)
    else:
        inner = logit(edges[1:-1])
        if process == "gumbel":
            sharp = constants.gumbel_beta * TAU_MAX * np.exp(-constants.decay * progress)
            below = expit(sharp * inner - constants.gumbel_beta)
            noise = rng.gumbel(size=(n, 2))
            level = (constants.gumbel_beta + noise[:, 0] - noise[:, 1]) / sharp
            quantile = (constants.gumbel_beta + logit((np.arange(4000) + 0.5) / 4000)) / sharp
        else:
            accuracy = constants.beta1 * progress**2
            shift, spread = accuracy * K, np.sqrt(2 * accuracy * K)
            below = ndtr((inner - shift) / spread)
            message = np.sqrt(accuracy * K) * rng.standard_normal((n, 2))
            level = shift + message[:, 0] - message[:, 1]
            z = np.linspace(-8, 8, 4001)
            quantile = None
            mean = float(np.sum(expit(shift + spread * z) * np.exp(-0.5 * z**2)) / np.sum(np.exp(-0.5 * z**2)))
        if quantile is not None:
            mean = float(expit(quantile).mean())
        mass = np.diff(np.concatenate([[0.0], below, [1.0]]))
        drawn = expit(level)
    width = edges[1] - edges[0]
    share = np.histogram(drawn, edges)[0] / n
    error = np.sqrt(np.maximum(mass * (1 - mass), 0.25 / n) / n)
    return OneParticle(
        process,
        COORDINATE[process],
        0.5 * (edges[1:] + edges[:-1]),
        mass / width,
        share / width,
        error / width,
        None if spectral is None else np.clip(spectral / width, -50, 50),
        (float(mean), float(drawn.mean()), float(drawn.std(ddof=1) / np.sqrt(n))),
        float(np.max(np.abs(share - mass) / error)),
        None if spectral is None else float(min(0.5 * np.abs(spectral - mass).sum(), 1e6)),
    )
