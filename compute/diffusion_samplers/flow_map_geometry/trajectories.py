r"""Sampling and denoising trajectories, their deviation from a straight line, and when their datum is decided.

For data that lie in a plane, the part of y orthogonal to it obeys dy/dsigma = (1 - c) y/sigma, c = s^2/(s^2 + sigma^2): it
shrinks as sqrt(s^2 + sigma^2) whatever happens in the plane, and in proportion to sigma for a finite data set. Only the few
directions that the data span can bend a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import chi2

from compute.diffusion_samplers.flow_map_geometry.setting import (
    Data,
    Dimension,
    Rho,
    ScoreError,
    Separation,
    SigmaMax,
    Solver,
    Steps,
    Width,
    levels_of,
    mixture_of,
)
from compute.experiment import Result, experiment
from compute.methods import reverse_samplers as rs
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.imperfect_score import perturbed
from compute.models.noise_schedule import SIGMA_MIN
from compute.parameters import Seed

Array = NDArray[np.float64]

N_PATHS = 60
N_SHOWN = 24
SURE = 0.9  # posterior probability at which a datum counts as decided


def deviation(path: Array) -> tuple[Array, Array]:
    """Largest distance of each path to its chord, and the chord's length, (n,) each, for (n_levels, n, d) states."""
    chord = path[-1] - path[0]
    length = np.linalg.norm(chord, axis=1)
    gap = path - path[0]
    unit = chord / length[:, None]
    along = np.einsum("lnd,nd->ln", gap, unit)
    across = np.linalg.norm(gap - along[:, :, None] * unit, axis=2)
    return across.max(axis=0), length


@dataclass(frozen=True)
class Paths(Result):
    """Both trajectories over the noise level; coordinates in the first two directions of the data."""

    sigma: Array  # (n_levels,) falling, the last 0
    sampling: Array  # (n_levels, n_shown, 2) y scale/hypot(sigma, scale)
    denoising: Array  # (n_levels, n_shown, 2) D(y; sigma), at the end the sample
    datum: NDArray[np.int64]  # (n_shown,)
    data: Array  # (n_data, 2)
    # Distance to the final point, quantiles 0.1, 0.5, 0.9 over 60 paths: (3, n_levels) each.
    of_sampling: Array  # over its distance at the top
    of_denoising: Array  # over the data's scale
    deviation: float  # median, over the chord's length
    decided: float  # median noise level below which the final datum keeps a posterior probability of 0.9
    orthogonal: float  # largest relative gap of the part off the data's span to its exact law; 0 in the span alone

    def table(self) -> pl.DataFrame:
        n_levels, n, _ = self.sampling.shape
        paths = pl.DataFrame(
            {
                "what": ["path"] * (n_levels * n),
                "number": np.tile(np.arange(n), n_levels),
                "noise_level": np.repeat(self.sigma, n),
                "y1_scaled": self.sampling[:, :, 0].ravel(),
                "y2_scaled": self.sampling[:, :, 1].ravel(),
                "denoised1": self.denoising[:, :, 0].ravel(),
                "denoised2": self.denoising[:, :, 1].ravel(),
            }
        )
        columns = {"what": ["distance to the final point"] * n_levels, "noise_level": self.sigma}
        for name, rows in (("sampling", self.of_sampling), ("denoising", self.of_denoising)):
            columns |= {f"{name}_{q}": row for q, row in zip(("p10", "p50", "p90"), rows, strict=True)}
        data = {"what": ["datum"] * len(self.data), "denoised1": self.data[:, 0], "denoised2": self.data[:, 1]}
        return pl.concat([paths, pl.DataFrame(columns), pl.DataFrame(data)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "deviation from the chord ÷ its length": self.deviation,
            "datum decided at σ": self.decided,
            "steps": float(self.sigma.size - 1),
            "orthogonal part against its exact law": self.orthogonal,
        }


@experiment
def paths(
    *,
    data: Data = "spiral",
    separation: Separation = 3.0,
    width: Width = 0.1,
    dimension: Dimension = 2,
    sigma_max: SigmaMax = 20.0,
    steps: Steps = 16,
    rho: Rho = 7.0,
    solver: Solver = "Heun",
    score_error: ScoreError = 0.0,
    seed: Seed = 0,
) -> Paths:
    """Follow 60 noises down and keep each state and what it denoises to."""
    mixture = mixture_of(data, separation, width, dimension)
    levels = levels_of(steps, sigma_max, rho)
    rng = np.random.default_rng([seed, 3])
    start = sigma_max * rng.standard_normal((N_PATHS, dimension))
    denoise = perturbed(mixture.denoise, score_error)
    run = rs.Run(denoise, rng)
    y = np.stack(list(rs.path(rs.SOLVERS[solver].step, run, start, levels)))
    cleaned = np.stack([*(denoise(state, s) for state, s in zip(y[:-1], levels[:-1], strict=True)), y[-1]])
    posterior = np.stack([mixture.responsibilities(state, s) for state, s in zip(y[:-1], levels[:-1], strict=True)])
    final = posterior[-1].argmax(axis=1)
    # The level after the last at which its probability is below SURE.
    unsure = posterior[:, np.arange(N_PATHS), final] < SURE
    last_unsure = np.where(unsure.any(axis=0), levels.size - 2 - unsure[::-1].argmax(axis=0), -1)
    decided = levels[last_unsure + 1]
    far, length = deviation(y)
    scale = mixture.scale * np.sqrt(mixture.dimension / 2) if dimension > 2 and data != "simplex" else mixture.scale

    def quantiles(distance: Array) -> Array:
        return np.quantile(distance, [0.1, 0.5, 0.9], axis=1)

    spread = np.sqrt(np.sum(mixture.weights * np.sum((mixture.means - mixture.mean) ** 2, axis=1).T))
    shrink = (scale / np.hypot(levels, scale))[:, None, None]
    shown = slice(N_SHOWN)
    return Paths(
        levels,
        y[:, shown, :2] * shrink,
        cleaned[:, shown, :2],
        final[shown],
        mixture.means[:, :2],
        quantiles(np.linalg.norm(y - y[-1], axis=2) / np.linalg.norm(y[0] - y[-1], axis=1)),
        quantiles(np.linalg.norm(cleaned - cleaned[-1], axis=2) / spread),
        float(np.median(far / length)),
        float(np.median(decided)),
        _orthogonal_gap(mixture, data, y, levels),
    )


def _orthogonal_gap(mixture: GaussianMixture, data: str, y: Array, levels: Array) -> float:
    if data == "simplex" or mixture.dimension == 2:
        return 0.0
    exact = np.hypot(mixture.width, levels[-2]) / np.hypot(mixture.width, levels[0])
    return float(np.max(np.abs(y[-2, :, 2:] / (exact * y[0, :, 2:]) - 1)))


# --- the map of deviations ----------------------------------------------------------------------------------

DIMENSIONS = (2, 4, 8, 18, 42, 100)
TOPS = np.geomspace(1.0, 80.0, 9)
N_MAP = 16
MAP_STEPS = 24


@dataclass(frozen=True)
class DeviationMap(Result):
    """Median largest deviation from the chord, over its length, on (dimension, top noise level)."""

    dimension: Array  # (n_dimension,)
    sigma_max: Array  # (n_sigma,)
    value: Array  # (n_sigma, n_dimension)
    scale: Array  # (n_dimension,) root mean square distance of the data to their center
    slope_in_sigma: float  # of its logarithm between the two highest levels, in 100 dimensions
    slope_in_dimension: float  # between the two highest dimensions, at the highest level
    here: float

    def table(self) -> pl.DataFrame:
        d, s = np.meshgrid(self.dimension, self.sigma_max)
        value = self.value.ravel()
        return pl.DataFrame(
            {
                "dimension": d.ravel(),
                "sigma_max": s.ravel(),
                "deviation_over_chord": value,
                "log10_deviation": np.log10(value),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "deviation ÷ chord here": self.here,
            "slope in log σ_max (law: −1)": self.slope_in_sigma,
            "slope in log d (law: −½)": self.slope_in_dimension,
        }


def bends(data: str, separation: float, width: float, dimensions: Sequence[int], sigma_max: float, seed: int) -> Array:
    """(n_dimensions,) median over 16 paths of the largest deviation over the chord's length.

    Data in a plane need only the plane: the rest of y is exact, and of it only the length matters.
    """
    levels = np.geomspace(sigma_max, SIGMA_MIN, MAP_STEPS + 1)

    def inside(inner: int) -> Array:
        mixture = mixture_of(data, separation, width, inner)
        rng = np.random.default_rng([seed, 5])
        start = sigma_max * rng.standard_normal((N_MAP, inner))
        return np.stack(list(rs.path(rs.heun, rs.Run(mixture.denoise, rng), start, levels)))

    def summary(y: Array) -> float:
        far, length = deviation(y)
        return float(np.median(far / length))

    if data == "simplex":
        return np.array([summary(inside(d)) for d in dimensions])
    y = inside(2)
    shrink = np.hypot(width, levels) / np.hypot(width, sigma_max)
    found = []
    for d in dimensions:
        rest = sigma_max * np.sqrt(chi2.ppf((np.arange(N_MAP) + 0.5) / N_MAP, d - 2)) if d > 2 else np.zeros(N_MAP)
        found.append(summary(np.concatenate([y, (shrink[:, None] * rest)[:, :, None]], axis=2)))
    return np.array(found)


@experiment
def deviation_map(
    *,
    data: Data = "spiral",
    separation: Separation = 3.0,
    width: Width = 0.1,
    dimension: Dimension = 2,
    sigma_max: SigmaMax = 20.0,
    seed: Seed = 0,
) -> DeviationMap:
    """How straight the paths are, over dimension and top noise level, with 24 Heun steps in log sigma."""
    value = np.stack([bends(data, separation, width, DIMENSIONS, float(s), seed) for s in TOPS])
    in_sigma = np.log(value[-1, -1] / value[-2, -1]) / np.log(TOPS[-1] / TOPS[-2])
    in_dimension = np.log(value[-1, -1] / value[-1, -2]) / np.log(DIMENSIONS[-1] / DIMENSIONS[-2])
    scale = [np.sqrt(np.mean(np.sum(mixture_of(data, separation, width, d).means ** 2, axis=1))) for d in DIMENSIONS]
    here = bends(data, separation, width, (dimension,), sigma_max, seed)[0]
    return DeviationMap(
        np.array(DIMENSIONS, float), TOPS, value, np.array(scale), float(in_sigma), float(in_dimension), float(here)
    )
