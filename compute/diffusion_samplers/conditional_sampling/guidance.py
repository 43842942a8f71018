r"""Guidance: what (1 + w) times the conditional score less w times the marginal score really samples.

The guided flow dx/d sigma = -sigma [(1 + w) s_c - w s_m] keeps the order of points on the line, so that its law follows from the
paths of quantiles. For a normal pair it ends with a variance (1 - rho^2)^w of the conditional's (derived here: the logarithm of a
gap decays with sigma[(1 + w)/(v_c + sigma^2) - w/(v + sigma^2)]), and not with 1/(1 + w rho^2), that of p(x|y)^{1+w} p(x)^{-w}.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from compute.diffusion_samplers.conditional_sampling.clocks import GRID, REACH, histogram
from compute.diffusion_samplers.conditional_sampling.pair import (
    Correlation,
    Joint,
    Observed,
    Pair,
    Particles,
    Steps,
    TimeY,
    clock,
    given_clean,
    levels_from,
    time_of,
)
from compute.experiment import Result, experiment
from compute.methods.reverse_samplers import Run, euler, path
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Real, Seed

Array = NDArray[np.float64]

Guidance = Annotated[float, Real("guidance", "w", low=0.0, high=8.0, help="0 is plain conditional sampling.")]

TOP = 80.0
WEIGHTS = np.linspace(0, 8, 13)
LABELS = np.linspace(-4.5, 4.5, 301)  # of quantiles, in standard deviations of the noise
MASS = np.diff(ndtr(np.concatenate([[-np.inf], (LABELS[1:] + LABELS[:-1]) / 2, [np.inf]])))
N_FINE = 80
N_PATHS = 40


def guided(conditional: GaussianMixture, marginal: GaussianMixture, w: Array | float, y: Array, sigma: float) -> Array:
    """(n,) (1 + w) D_c - w D_m at points of a noise level; w may differ from point to point."""
    column = y[:, None]
    toward, away = conditional.denoise(column, sigma)[:, 0], marginal.denoise(column, sigma)[:, 0]
    return np.asarray(toward + w * (toward - away))


def transported(conditional: GaussianMixture, marginal: GaussianMixture, w: Array, labels: Array, n_steps: int) -> Array:
    """(n_w, n_labels) where the guided flow takes quantiles of the noise, by Heun's method in log sigma, then one step to 0."""
    y = np.tile(TOP * labels, w.size)
    strength = np.repeat(w, labels.size)
    levels = np.geomspace(TOP, 0.005, n_steps + 1)
    h = np.log(levels[1] / levels[0])
    for sigma, sigma_next in itertools.pairwise(levels):
        slope = y - guided(conditional, marginal, strength, y, sigma)
        ahead = y + h * slope
        y = y + h / 2 * (slope + ahead - guided(conditional, marginal, strength, ahead, sigma_next))
    return guided(conditional, marginal, strength, y, float(levels[-1])).reshape(w.size, labels.size)


def tilted(conditional: GaussianMixture, marginal: GaussianMixture, w: float, x: Array) -> Array:
    """(n,) density prop. p_c^{1+w} p_m^{-w} on an even grid that holds its mass."""
    log_value = (1 + w) * conditional.log_density(x[:, None]) - w * marginal.log_density(x[:, None])
    value = np.exp(log_value - log_value.max())
    return np.asarray(value / (value.sum() * (x[1] - x[0])))


def grid_variance(x: Array, density: Array) -> float:
    """Variance of a density on an even grid."""
    mass = density / density.sum()
    return float(mass @ x**2 - (mass @ x) ** 2)


@dataclass(frozen=True)
class Guided(Result):
    """Paths and end of the guided sampler, beside three laws; variances against guidance."""

    time: Array  # (n_levels,)
    paths: Array  # (n_levels, n_paths) x_t
    x: Array  # (n_grid,)
    conditional: Array  # (n_grid,) density
    tilted: Array  # (n_grid,)
    flow_x: Array  # (n_labels - 1,) middles between quantiles of the guided flow
    flow: Array  # (n_labels - 1,) its density there
    center: Array  # (n_bins,)
    density: Array  # (n_bins,) of the particles
    density_error: Array
    guidance: float
    w: Array  # (n_w,)
    flow_ratio: Array  # (n_w,) variance of the guided flow ÷ the conditional's
    tilted_ratio: Array  # (n_w,)
    ratio: float  # of the particles at the reader's w
    ratio_error: float
    w1: float  # of the particles to the exact conditional

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"x": self.x, "conditional_density": self.conditional, "tilted_density": self.tilted}),
            pl.DataFrame({"x": self.flow_x, "guided_flow_density": self.flow}),
            pl.DataFrame({"x": self.center, "sampled_density": self.density, "standard_error": self.density_error}),
            pl.DataFrame({"guidance": self.w, "flow_variance_ratio": self.flow_ratio, "tilted_variance_ratio": self.tilted_ratio}),
        ]
        here = {"guidance": [self.guidance], "sampled_variance_ratio": [self.ratio], "standard_error": [self.ratio_error]}
        return pl.concat([*parts, pl.DataFrame(here)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "variance ÷ that of p(x | y)": self.ratio,
            "its standard error": self.ratio_error,
            "of the guided flow": float(np.interp(self.guidance, self.w, self.flow_ratio)),
            "of the sharpened density": float(np.interp(self.guidance, self.w, self.tilted_ratio)),
            "W₁ to p(x | y)": self.w1,
        }


@experiment
def guided_sampler(
    *,
    joint: Joint = "four modes",
    correlation: Correlation = 0.6,
    time_y: TimeY = 0.3,
    observed: Observed = 0.8,
    guidance: Guidance = 2.0,
    steps: Steps = 30,
    particles: Particles = 500,
    seed: Seed = 0,
) -> Guided:
    """Sample x by the guided noise prediction (1 + w) eps(x_t, y_t) - w eps(x_t, noise): paper 003, section 4."""
    pair = Pair(joint, correlation)
    rng = np.random.default_rng([seed, 3])
    alpha, sigma = clock(time_y)
    seen = float(alpha * observed + sigma * rng.standard_normal()) if time_y > 0 else observed
    conditional, marginal = pair.given(seen, time_y), pair.marginal()

    def denoise(y: Array, level: float) -> Array:  # two calls of the joint denoiser
        toward = given_clean(pair, y[:, 0], level, seen, time_y)
        away = given_clean(pair, y[:, 0], level, 0.0, 1.0)
        return (toward + guidance * (toward - away))[:, None]

    levels = levels_from(TOP, steps)
    states = np.stack(list(path(euler, Run(denoise, rng), TOP * rng.standard_normal((particles, 1)), levels)))[..., 0]
    end = states[-1]
    kept = np.unique(np.linspace(0, steps, min(steps + 1, 60)).astype(int))
    time = np.array([time_of(s) for s in levels[kept]])
    strengths = np.append(WEIGHTS, guidance)
    quantiles = transported(conditional, marginal, strengths, LABELS, N_FINE)
    own = quantiles[-1]
    wide = np.linspace(-3 * REACH, 3 * REACH, 1501)
    variance = grid_variance(wide, conditional.pdf(wide))
    center, density, density_error = histogram(end)
    order = np.argsort(strengths, kind="stable")
    spread = (end - end.mean()) ** 2
    cells = np.sort(conditional.quantile((np.arange(end.size) + 0.5) / end.size))
    return Guided(
        time,
        states[kept][:, :N_PATHS] * clock(time)[0][:, None],
        GRID,
        conditional.pdf(GRID),
        np.interp(GRID, wide, tilted(conditional, marginal, guidance, wide)),
        (own[1:] + own[:-1]) / 2,
        np.diff(ndtr(LABELS)) / np.maximum(np.diff(own), 1e-6),
        center,
        density,
        density_error,
        guidance,
        strengths[order],
        ((quantiles**2 @ MASS - (quantiles @ MASS) ** 2) / variance)[order],
        np.array([grid_variance(wide, tilted(conditional, marginal, float(w), wide)) for w in strengths[order]]) / variance,
        float(spread.mean() / variance),
        float(spread.std() / np.sqrt(end.size) / variance),
        float(np.abs(np.sort(end) - cells).mean()),
    )
