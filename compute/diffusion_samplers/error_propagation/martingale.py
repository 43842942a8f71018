r"""Scores as a martingale, and the calibration that follows, on two exact modes on the line.

Along the reverse SDE the data score M_t = alpha_t grad log q_t(x_t) is a martingale: E[M_u | x_t] = M_t for u < t. In
y = x/alpha it is grad log p_sigma(y), sigma = sigma_t/alpha_t. Given y at the top, a reverse path is drawn with no step error: x_0
from its exact posterior, then a Brownian bridge in sigma^2 down to it.

As E_q s = 0 at every t, a score with a mean eta_t = E_q s^ is made better by taking that mean away: the loss falls by |eta_t|^2,
and by |eta_t|^2 - Var(s^)/n in expectation if the mean is taken over n samples. Integrated with g^2/2 this is what the bound on
the log-likelihood gains, in nats.

References
----------
Paper 289 of the catalogue: martingale of data scores, and calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.error_propagation.setting import (
    Bias,
    Family,
    Gain,
    Horizon,
    Profile,
    Separation,
    process_of,
    shape,
)
from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.models.diffusion_setting import mixture_of
from compute.models.forward_process import ForwardProcess
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import LogInteger, Real, Seed

Array = NDArray[np.float64]

Start = Annotated[
    float, Real("start", r"x_T/\sigma_T", low=-3.0, high=3.0, help="Where all paths start, in standard deviations of the noise.")
]
CalibrationSamples = Annotated[
    int,
    LogInteger("calibration samples", "n", low=10, high=100000, help="Samples the mean of the score is taken over, at each time."),
]

N_PATHS = 1500
N_DRAWN = 24
TOP_DRAWN, LAST = 30.0, 0.02  # noise levels that are drawn
RISK = 0.1
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


def expected_score_square(law: GaussianMixture, mixture: GaussianMixture, sigma: float) -> float:
    """E[(grad log p_sigma(y))^2] over y of a law on the line, by Gauss-Hermite in each of its components."""
    points = (law.means + law.width * NODES).reshape(-1, 1)
    square = mixture.score(points, sigma)[:, 0] ** 2
    return float(law.weights @ square.reshape(law.n_components, -1) @ NODE_WEIGHTS)


def between(mixture: GaussianMixture, top: float, y: float, sigma: float) -> GaussianMixture:
    """The law at level ``sigma`` of reverse paths that are at ``y`` at the higher level ``top``: a mixture."""
    gain = (mixture.width**2 + sigma**2) / (mixture.width**2 + top**2)
    weights = mixture.responsibilities(np.array([[y]]), top)[0]
    means = mixture.means + gain * (y - mixture.means)
    return GaussianMixture(np.maximum(weights, 1e-300), means, float(np.sqrt(gain * (top**2 - sigma**2))))


def reverse_paths(mixture: GaussianMixture, top: float, y: float, levels: Array, rng: np.random.Generator, n: int) -> Array:
    """(n_levels, n) exact reverse paths from ``y`` at level ``top``, at falling levels of at most ``top``."""
    data = between(mixture, top, y, 0.0).sample(rng, n)[:, 0]
    state, sigma = np.full(n, y), top
    out = np.empty((levels.size, n))
    for k, level in enumerate(levels):
        ratio = (level / sigma) ** 2
        spread = level * np.sqrt(max(1 - ratio, 0.0))
        state = data + ratio * (state - data) + spread * rng.standard_normal(n)
        sigma, out[k] = level, state
    return out


@dataclass(frozen=True)
class ScorePaths(Result):
    """Reverse paths from one start and the scores along them."""

    noise_level: Array  # (n_levels,) falling
    position: Array  # (n_drawn, n_levels) sqrt(1 + sigma^2)-shrunk y
    score: Array  # (n_drawn, n_levels) data scores M
    is_upper: NDArray[np.bool_]  # (n_drawn,) which mode a path ends in
    mean: Array  # (n_levels,) over all simulated paths
    standard_error: Array  # (n_levels,)
    flat: float  # M at the start
    spread: Array  # (n_levels,) exact standard deviation given the start
    doob: float  # no more than 10% of the paths ever leave flat +- doob
    left: float  # share of simulated paths that do
    slope: float  # of the last score on that at half the paths' log level
    slope_error: float
    reach: float

    def table(self) -> pl.DataFrame:
        columns = {
            "noise_level": self.noise_level,
            "mean_score": self.mean,
            "mean_score_standard_error": self.standard_error,
            "exact_mean": np.full(self.noise_level.size, self.flat),
            "exact_standard_deviation": self.spread,
            "band_low": self.flat - 2 * self.spread,
            "band_high": self.flat + 2 * self.spread,
        }
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        gap = (self.mean[1:] - self.flat) / np.maximum(self.standard_error[1:], 1e-300)
        return {
            "score at the start": self.flat,
            "largest gap of the mean (SE)": float(np.abs(gap).max()),
            "slope of late on earlier score (theory 1)": f"{self.slope:.3f} ± {self.slope_error:.3f}",
            "paths that leave the 10% Doob band": self.left,
        }


@experiment
def score_paths(
    *, family: Family = "VP constant", horizon: Horizon = 4.0, separation: Separation = 3.0, start: Start = 0.2, seed: Seed = 0
) -> ScorePaths:
    """Exact reverse paths from one start: positions, and the martingale of their data scores."""
    mixture, process = mixture_of("two_modes_1d", separation), process_of(family)
    top = float(process.level(horizon))
    y = start * top
    levels = np.geomspace(min(top, TOP_DRAWN), LAST, 49)
    paths = reverse_paths(mixture, top, y, levels, np.random.default_rng(seed), N_PATHS)
    score = np.stack([mixture.score(row[:, None], s)[:, 0] for row, s in zip(paths, levels, strict=True)])
    flat = float(mixture.score(np.array([[y]]), top)[0, 0])
    second = np.array([flat**2 if s == top else expected_score_square(between(mixture, top, y, s), mixture, s) for s in levels])
    spread = np.sqrt(np.maximum(second - flat**2, 0.0))
    doob = float(spread[-1] / np.sqrt(RISK))
    middle, last = score[levels.size // 2] - flat, score[-1] - flat
    slope = float(middle @ last / (middle @ middle))
    residual = last - slope * middle
    slope_error = float(np.sqrt(np.sum((middle * residual) ** 2)) / (middle @ middle))
    drawn = slice(N_DRAWN)
    return ScorePaths(
        levels,
        (paths[:, drawn] / np.sqrt(1 + levels[:, None] ** 2)).T,
        score[:, drawn].T,
        paths[-1, drawn] > 0,
        score.mean(axis=1),
        score.std(axis=1, ddof=1) / np.sqrt(N_PATHS),
        flat,
        spread,
        doob,
        float(np.mean(np.abs(score - flat).max(axis=0) > doob)),
        slope,
        slope_error,
        float(0.5 * separation + 4 * mixture.width),
    )


# --- calibration ---------------------------------------------------------------------------------------------

N_TIMES = 24  # midpoints of the time integral
REPEATS = 10
SIMULATED = np.array([10, 30, 100, 300, 1000])
N_STEPS = 80
N_PARTICLES = 3000
EXACT_ABOVE = 1000  # beyond so many samples the error of a mean is that of so many, scaled down


@dataclass(frozen=True)
class Calibration(Result):
    """Samples before and after calibration, and what it gains against the samples it takes."""

    edges: Array  # (n_bins + 1,)
    before: Array  # (n_bins,) density
    after: Array  # (n_bins,)
    after_error: Array  # (n_bins,)
    curve: Array
    exact: Array
    n: Array  # (n_theory,)
    gain: Array  # (n_theory,) nats
    n_simulated: Array
    simulated: Array
    simulated_error: Array
    full: float  # nats
    cost: float  # nats x samples: full - cost/n is what n samples gain
    at_n: int
    w1_before: float
    w1_after: float
    floor: float

    @property
    def centers(self) -> Array:
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def table(self) -> pl.DataFrame:
        histogram = {"bin_center": self.centers, "density_before": self.before, "density_after": self.after}
        histogram |= {"density_after_standard_error": self.after_error}
        simulated = {"calibration_samples": self.n_simulated, "gain_simulated_nats": self.simulated}
        simulated |= {"gain_standard_error_nats": self.simulated_error}
        parts = [
            pl.DataFrame(histogram),
            pl.DataFrame({"x": self.curve, "exact_density": self.exact}),
            pl.DataFrame({"calibration_samples": self.n, "gain_nats": self.gain}),
            pl.DataFrame(simulated),
        ]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"gain of the bound at n = {self.at_n} (nats)": self.full - self.cost / self.at_n,
            "gain of an exact mean (nats)": self.full,
            "samples that only break even": self.cost / self.full if self.full > 0 else "there is no bias",
            "W₁ before": self.w1_before,
            "W₁ after": self.w1_after,
            "W₁ of exact samples": self.floor,
        }


def score_of(process: ForwardProcess, mixture: GaussianMixture, x: Array, t: float) -> Array:
    """grad log q_t(x) of (n,) points in the process's own coordinate."""
    alpha = float(process.alpha(t))
    return mixture.score(x[:, None] / alpha, float(process.level(t)))[:, 0] / alpha


def noised(process: ForwardProcess, mixture: GaussianMixture, t: float, rng: np.random.Generator, n: int) -> Array:
    """(n,) draws of x_t."""
    return float(process.alpha(t)) * mixture.sample(rng, n)[:, 0] + np.sqrt(process.variance(t)) * rng.standard_normal(n)


def ancestral(
    process: ForwardProcess, mixture: GaussianMixture, t: Array, right: Array, wrong: Array, rng: np.random.Generator, n: int
) -> Array:
    """(n,) samples of the ancestral chain with the score right s + wrong at each of the falling times."""
    x = np.sqrt(process.variance(t[0])) * rng.standard_normal(n)
    for k in range(t.size - 1):
        growth, b = process.growth(t[k], t[k + 1]), process.noise_between(t[k], t[k + 1])
        tau = b * process.variance(t[k + 1]) / process.variance(t[k])
        score = right[k] * score_of(process, mixture, x, t[k]) + wrong[k]
        x = growth * (x + b * score) + np.sqrt(tau) * rng.standard_normal(n)
    return x


def calibration_law(
    process: ForwardProcess, mixture: GaussianMixture, horizon: float, bias: float, gain: float, profile: str
) -> tuple[Array, Array, Array, Array]:
    """Times, their weights g^2 dt/2, the mean eta_t of the score there, and its variance."""
    t = horizon * (np.arange(N_TIMES) + 0.5) / N_TIMES
    psi = shape(profile, t, horizon)
    weight = 0.5 * process.rate(t) * horizon / N_TIMES
    information = np.empty(N_TIMES)
    for k, (s, alpha) in enumerate(zip(process.level(t), process.alpha(t), strict=True)):
        information[k] = expected_score_square(mixture.noised(float(s)), mixture, float(s)) / alpha**2
    return t, weight, -bias * psi, (1 + gain * psi) ** 2 * information


@experiment
def calibration(
    *,
    family: Family = "VP constant",
    horizon: Horizon = 4.0,
    separation: Separation = 3.0,
    bias: Bias = 0.1,
    gain: Gain = 0.0,
    profile: Profile = "uniform",
    calibration_samples: CalibrationSamples = 1000,
    seed: Seed = 0,
) -> Calibration:
    """Subtract the mean of a biased score, taken over n samples: the gain, and samples before and after."""
    mixture, process = mixture_of("two_modes_1d", separation), process_of(family)
    t, weight, eta, variance = calibration_law(process, mixture, horizon, bias, gain, profile)
    full, cost = float(weight @ eta**2), float(weight @ variance)

    # Simulation: running means over samples at each time; the drop 2 eta m - m^2 for a mean m is exact.
    rng = np.random.default_rng([seed, 1])
    drop = np.zeros((REPEATS, SIMULATED.size))
    for k in range(N_TIMES):
        draws = noised(process, mixture, t[k], rng, REPEATS * int(SIMULATED[-1]))
        right = 1 + gain * shape(profile, t[k], horizon)
        score = (right * score_of(process, mixture, draws, t[k]) + eta[k]).reshape(REPEATS, -1)
        m = np.cumsum(score, axis=1)[:, SIMULATED - 1] / SIMULATED
        drop += weight[k] * (2 * eta[k] * m - m**2)

    grid = horizon * np.linspace(1.0, 0.0, N_STEPS + 1) ** 3  # fine near the data
    psi = shape(profile, grid, horizon)
    found = _calibrated_means(
        process, mixture, grid, -bias * psi, 1 + gain * psi, calibration_samples, np.random.default_rng([seed, 2])
    )
    runs = [
        ancestral(process, mixture, grid, 1 + gain * psi, wrong, np.random.default_rng([seed, 3]), N_PARTICLES)
        for wrong in (-bias * psi, -bias * psi - found)
    ]
    reach = 0.5 * separation + 4 * mixture.width
    edges = np.linspace(-reach, reach, 49)
    width = edges[1] - edges[0]
    before, after = (np.histogram(run, edges)[0] / N_PARTICLES for run in runs)
    curve = np.linspace(-reach, reach, 201)
    target = Target(mixture, N_PARTICLES)
    n = np.geomspace(10, 1e5, 41)
    return Calibration(
        edges,
        before / width,
        after / width,
        np.sqrt(after * (1 - after) / N_PARTICLES) / width,
        curve,
        mixture.pdf(curve),
        n,
        full - cost / n,
        SIMULATED.astype(float),
        drop.mean(axis=0),
        drop.std(axis=0, ddof=1) / np.sqrt(REPEATS),
        full,
        cost,
        calibration_samples,
        target.w1(runs[0][:, None]),
        target.w1(runs[1][:, None]),
        target.noise_floor(np.random.default_rng(12345), repeats=5)[0],
    )


def _calibrated_means(
    process: ForwardProcess, mixture: GaussianMixture, t: Array, wrong: Array, right: Array, n: int, rng: np.random.Generator
) -> Array:
    """(n_times,) mean of the model's score over n samples at each time but the last, which no step uses."""
    found = np.zeros(t.size)
    for k in range(t.size - 1):
        used = min(n, EXACT_ABOVE)
        score = right[k] * score_of(process, mixture, noised(process, mixture, t[k], rng, used), t[k])
        # The score has mean 0: beyond the samples drawn only the size of the error changes, by the root of their number.
        found[k] = wrong[k] + score.mean() * np.sqrt(used / n)
    return found
