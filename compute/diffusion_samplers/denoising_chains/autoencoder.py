"""What a denoising autoencoder learns of a density (paper 077): a score, not an energy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.denoising_chains.setting import Noise, Separation, TrainingPoints, line_law, nearest_mode
from compute.experiment import Result, experiment
from compute.models.denoising_autoencoder import bumps, fit, local_minima, metropolis
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Integer, LogInteger, LogReal, Seed

Array = NDArray[np.float64]

Features = Annotated[int, LogInteger("bumps", "k", low=5, high=100, help="Gaussian features of the autoencoder, evenly spaced.")]
Proposal = Annotated[float, LogReal("proposal", r"\delta", low=0.05, high=10.0, help="Standard deviation of a Metropolis move.")]
Pieces = Annotated[int, Integer("path points", "m", low=1, high=50, help="Of the midpoint rule for the Metropolis ratio.")]

N_GRID, N_CHAINS, N_MOVES, N_BINS = 401, 250, 160, 40


def line_grid(law: GaussianMixture, noise: float) -> Array:
    """Where the field is drawn and tabulated: three standard deviations of the noisy modes beyond the last."""
    reach = float(law.means.max()) + 3 * np.hypot(law.width, noise) + 0.5
    return np.linspace(-reach, reach, N_GRID)


def true_score(law: GaussianMixture, x: Array, sigma: float) -> Array:
    return law.score(x[:, None], sigma)[:, 0]


def learned_displacement(law: GaussianMixture, noise: float, n: int, features: int, rng: np.random.Generator, at: Array) -> Array:
    """(m,) r(x) - x of a fitted autoencoder, at (m,) points."""
    clean = law.sample(rng, n)[:, 0]
    noisy = clean + noise * rng.standard_normal(n)
    reach = float(law.means.max()) + 3 * np.hypot(law.width, noise)
    centers = np.linspace(-reach, reach, features)
    return np.asarray(bumps(at, centers) @ fit(noisy, clean, centers))


@dataclass(frozen=True)
class FieldPicture(Result):
    """Scores, the reconstruction error beside the energy, and the chain's samples."""

    x: Array  # (n_grid,)
    density: Array  # (n_grid,) of the data
    smoothed: Array  # (n_grid,) of the data with noise
    data_score: Array
    smoothed_score: Array  # that of the best autoencoder, too
    learned_score: Array
    energy: Array  # (n_grid,) -log of the smoothed density, less its minimum
    reconstruction: Array  # (n_grid,) |r* - x|^2/sigma^2 of the best autoencoder
    true_minima: Array  # (n_true,) minima of the reconstruction error where the density has a mode
    false_minima: Array  # (n_false,) and where it has none
    center: Array  # (n_bins,)
    sampled: Array  # (n_bins,) density of the chain on the learned score
    sampled_error: Array  # standard error, from differences between chains
    rms: float  # of the learned score under the smoothed density
    size: float  # of the score itself
    accepted: float
    mass_error: float  # total variation of the modes' masses, chain to smoothed density

    def table(self) -> pl.DataFrame:
        field = pl.DataFrame(
            {
                "x": self.x,
                "density": self.density,
                "smoothed_density": self.smoothed,
                "data_score": self.data_score,
                "smoothed_score": self.smoothed_score,
                "learned_score": self.learned_score,
                "energy": self.energy,
                "reconstruction_error_over_noise_variance": self.reconstruction,
            }
        )
        found = pl.DataFrame({"x": self.center, "sampled_density": self.sampled, "standard_error": self.sampled_error})
        return pl.concat([field, found], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        step = self.x[1] - self.x[0]
        return {
            "score error ÷ score (root mean square)": self.rms / self.size,
            "false minima of the reconstruction error": float(self.false_minima.size),
            "minima at modes": float(self.true_minima.size),
            "total variation, smoothed to data density": float(0.5 * np.abs(self.smoothed - self.density).sum() * step),
            "error of modes' masses, chain": self.mass_error,
            "moves accepted": self.accepted,
        }


@experiment
def autoencoder_field(
    *,
    noise: Noise = 0.5,
    separation: Separation = 4.0,
    training_points: TrainingPoints = 1000,
    features: Features = 30,
    proposal: Proposal = 2.0,
    path_points: Pieces = 10,
    seed: Seed = 0,
) -> FieldPicture:
    """Fit an autoencoder to noisy pairs, compare its field with the scores, and run 250 Metropolis chains on it."""
    law = line_law(separation)
    x = line_grid(law, noise)
    rng = np.random.default_rng([seed, 3])
    learned = learned_displacement(law, noise, training_points, features, rng, x) / noise**2
    smooth = true_score(law, x, noise)
    density = law.noised(noise).pdf(x)
    energy = -law.log_density(x[:, None], noise)
    reconstruction = (noise * smooth) ** 2
    minima = local_minima(reconstruction)
    bend = np.gradient(smooth, x)
    is_mode = bend[minima] < 0
    start = law.sample(rng, N_CHAINS)[:, 0] + noise * rng.standard_normal(N_CHAINS)

    def field(points: Array) -> Array:  # tabulated; outside, what brings a chain back
        return np.interp(points, x, learned) - 100 * (np.abs(points) > x[-1]) * np.sign(points)

    states, accepted = metropolis(field, start, proposal, path_points, N_MOVES, rng)
    kept = states[N_MOVES // 4 :]
    edges = np.linspace(x[0], x[-1], N_BINS + 1)
    width = edges[1] - edges[0]
    place = np.clip(((kept - edges[0]) / width).astype(int), 0, N_BINS - 1)
    each = np.stack([(place == k).mean(axis=0) for k in range(N_BINS)], axis=1) / width  # (n_chains, n_bins)
    weight = density / density.sum()

    def masses(points: Array) -> Array:
        return np.bincount(nearest_mode(law, points[:, None]), minlength=law.n_components) / points.size

    return FieldPicture(
        x,
        law.pdf(x),
        density,
        true_score(law, x, 0.0),
        smooth,
        learned,
        energy - energy.min(),
        reconstruction,
        x[minima[is_mode]],
        x[minima[~is_mode]],
        (edges[1:] + edges[:-1]) / 2,
        each.mean(axis=0),
        each.std(axis=0, ddof=1) / np.sqrt(N_CHAINS),
        float(np.sqrt(weight @ (learned - smooth) ** 2)),
        float(np.sqrt(weight @ smooth**2)),
        accepted,
        float(0.5 * np.abs(masses(kept.ravel()) - law.weights).sum()),
    )


# --- errors --------------------------------------------------------------------------------------------------------

LEVELS = np.geomspace(0.02, 3.0, 14)
PAIRS = np.unique(np.rint(np.geomspace(50, 5000, 9)).astype(int))
N_FITS = 4


@dataclass(frozen=True)
class ScoreErrors(Result):
    """Bias of the best autoencoder against its noise, error of a fitted one against its pairs."""

    sigma: Array  # (n_levels,)
    bias: Array  # (n_levels,) |(r* - x)/sigma^2 - grad log p| ÷ |grad log p|, root mean square under the data
    slope: float  # of log bias over the four lowest levels
    here: float
    bias_here: float
    pairs: NDArray[np.int64]  # (n_pairs,) done so far
    error: Array  # (n_pairs,) of the fitted score against the smoothed one, ÷ its size
    error_error: Array

    def table(self) -> pl.DataFrame:
        bias = pl.DataFrame({"noise_level": self.sigma, "relative_bias": self.bias})
        error = pl.DataFrame({"training_pairs": self.pairs, "relative_error": self.error, "standard_error": self.error_error})
        return pl.concat([bias, error], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        slope = float(np.polyfit(np.log(self.pairs[-4:]), np.log(self.error[-4:]), 1)[0])
        return {
            "slope of the bias in σ": self.slope,
            "bias at this noise ÷ score": self.bias_here,
            "error at the most pairs ÷ score": float(self.error[-1]),
            "slope of the error in n": slope,
        }


def relative_bias(law: GaussianMixture, sigma: float) -> float:
    """Root mean square, under the data, of the smoothed score less the data's, over the latter's."""
    reach = float(law.means.max()) + 6 * law.width
    x = np.linspace(-reach, reach, 2001)
    weight, score = law.pdf(x), true_score(law, x, 0.0)
    return float(np.sqrt(weight @ (true_score(law, x, sigma) - score) ** 2 / (weight @ score**2)))


@experiment(seconds=lambda features, **_: 0.03 + N_FITS * (5e-4 + 6e-6 * features) * 40)
def score_errors(
    *,
    noise: Noise = 0.5,
    separation: Separation = 4.0,
    features: Features = 30,
    seed: Seed = 0,
) -> Iterator[tuple[float, ScoreErrors]]:
    """Quadrature for the bias of the best autoencoder; four fits of a real one at each number of pairs."""
    law = line_law(separation)
    bias = np.array([relative_bias(law, float(s)) for s in LEVELS])
    slope = float(np.polyfit(np.log(LEVELS[:4]), np.log(bias[:4]), 1)[0])
    x = line_grid(law, noise)
    smooth = true_score(law, x, noise)
    weight = law.noised(noise).pdf(x)
    size = weight @ smooth**2
    rows: list[tuple[float, float]] = []
    for k, n in enumerate(PAIRS):
        each = []
        for j in range(N_FITS):
            rng = np.random.default_rng([seed, 4, k, j])
            learned = learned_displacement(law, noise, int(n), features, rng, x) / noise**2
            each.append(float(np.sqrt(weight @ (learned - smooth) ** 2 / size)))
        rows.append((float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(N_FITS))))
        if k >= 3:
            error, spread = np.array(rows).T
            yield (
                (k + 1) / PAIRS.size,
                ScoreErrors(LEVELS, bias, slope, noise, relative_bias(law, noise), PAIRS[: k + 1], error, spread),
            )
