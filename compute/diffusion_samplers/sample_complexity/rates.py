r"""A density on a circle learned from n samples: how far to run the reverse process, and what it then returns.

Data: p(x) = 1 + c sum_{j=1}^{10} e_j 2^{-j s} cos(2 pi 2^j x) on [0, 1), signs e_j, of smoothness s and not smoother. Forward
process: Brownian motion on the circle, x_t = x_0 + sqrt(t) z mod 1. Its reverse, run exactly with the score of the n samples
from a long time down to T, returns exactly the law of a sample plus sqrt(T) z: the kernel density of bandwidth h = sqrt(T).
Frequency k keeps e^{-2 pi^2 k^2 T} of itself.

With n samples the density at a point has, to the central limit, mean K_h * p and variance (K_h^2 * p - (K_h * p)^2)/n, and
total variation is half the integral of E|N(bias, variance)|: the lines here. Its best over T is of order n^{-s/(2s+1)}
(Oko, Akiyama and Suzuki, paper 463, at d = 1) at T of order n^{-2/(2s+1)}, for s up to 2: the heat kernel gains no more above.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from compute.diffusion_samplers.sample_complexity.setting import EarlyStop, NSamples, Smoothness, vertex
from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.parameters import Seed

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

N_GRID = 4096
N_TERMS = 10
SIGNS = np.array([1, -1, -1, 1, 1, -1, 1, 1, -1, 1])
FREQUENCIES = np.arange(N_GRID // 2 + 1)
X = np.arange(N_GRID) / N_GRID
STOPS = np.geomspace(1e-6, 0.1, 31)
CUTOFFS = np.unique(np.rint(np.geomspace(1, 1500, 26)).astype(int))
REPEATS = 6


@lru_cache(maxsize=32)
def coefficients(smoothness: float) -> Array:
    """(n_frequencies,) Fourier coefficients int p(x) e^{-2 pi i k x} dx, all real."""
    out = np.zeros(FREQUENCIES.size)
    out[0] = 1
    size = 2.0 ** (-smoothness * np.arange(1, N_TERMS + 1))
    out[2 ** np.arange(1, N_TERMS + 1)] = 0.45 * SIGNS * size / size.sum()  # c = 0.9/sum, so that p >= 0.1
    return out


def on_grid(found: Array | Spectrum) -> Array:
    """(..., n_grid) densities of (..., n_frequencies) coefficients."""
    return np.fft.irfft(found * N_GRID, N_GRID, axis=-1)


def heat(t: Array | float) -> Array:
    """(..., n_frequencies) what is left of each frequency after time t."""
    return np.exp(-2 * np.pi**2 * np.asarray(t)[..., None] * FREQUENCIES**2)


def empirical(smoothness: float, n: int, rng: np.random.Generator, repeats: int) -> Spectrum:
    """(repeats, n_frequencies) complex coefficients of n samples, each moved by at most half a cell of 1/4096."""
    share = on_grid(coefficients(smoothness)) / N_GRID
    counts = rng.multinomial(n, share / share.sum(), size=repeats)
    return np.fft.rfft(counts / n, axis=-1)


def total_variation(density: Array, truth: Array) -> Array:
    """(...,) half the integral of |density - truth| over the circle."""
    return 0.5 * np.abs(density - truth).mean(axis=-1)


def wasserstein(found: Spectrum, truth: Array) -> Array:
    """(...,) W1 on the circle, from Fourier coefficients: the least mean of |F - G - a| over a, at the median."""
    gap = found - truth
    integral = np.zeros_like(gap, dtype=complex)
    integral[..., 1:] = gap[..., 1:] / (2j * np.pi * FREQUENCIES[1:])
    primitive = np.fft.irfft(integral * N_GRID, N_GRID, axis=-1)
    return np.abs(primitive - np.median(primitive, axis=-1, keepdims=True)).mean(axis=-1)


def _folded(mean: Array, std: Array) -> Array:
    """E|N(mean, std^2)|."""
    z = np.abs(mean) / np.maximum(std, 1e-300)
    return std * np.sqrt(2 / np.pi) * np.exp(-0.5 * np.minimum(z, 40.0) ** 2) + np.abs(mean) * (2 * ndtr(np.minimum(z, 40.0)) - 1)


COARSE = 8  # every so many cells of the grid: the lines are averages over the circle


def moments(smoothness: float, kept: Array) -> tuple[Array, Array]:
    """(n_kernels, n_coarse) bias of a linear density estimate that keeps these shares of frequencies, and n times its variance."""
    p = coefficients(smoothness)
    mean = on_grid(kept * p)
    squared_kernel = np.fft.rfft(on_grid(kept) ** 2, axis=-1) / N_GRID
    variance = np.maximum(on_grid(squared_kernel * p) - mean**2, 0.0)
    return (mean - on_grid(p))[:, ::COARSE], variance[:, ::COARSE]


@lru_cache(maxsize=16)
def _heat_moments(smoothness: float) -> tuple[Array, Array]:
    return moments(smoothness, heat(STOPS))


@lru_cache(maxsize=16)
def _cutoff_moments(smoothness: float) -> tuple[Array, Array]:
    return moments(smoothness, (CUTOFFS[:, None] >= FREQUENCIES).astype(float))


def expected_tv(found: tuple[Array, Array], n: Array) -> Array:
    """(n_sizes, n_kernels) total variation to the central limit, of estimates with these moments."""
    bias, variance = found
    return np.stack([np.minimum(0.5 * _folded(bias, np.sqrt(variance / size)).mean(axis=1), 1.0) for size in n])


def rate(smoothness: float) -> float:
    """s/(2s + 1): the minimax exponent of total variation."""
    return smoothness / (2 * smoothness + 1)


def slope_of(n: Array, y: Array) -> float:
    """Of log y on log n, least squares."""
    return float(np.polyfit(np.log(n), np.log(y), 1)[0])


# --- what stopping early returns -----------------------------------------------------------------------------------

N_FRAMES = 41
N_DRAWN = 256
FRAMES = np.geomspace(0.1, 1e-6, N_FRAMES)


@dataclass(frozen=True)
class Stopping(Result):
    """Laws along the reverse process of n samples, and their distance to the truth."""

    x: Array  # (n_drawn,)
    truth: Array  # (n_drawn,)
    stop: Array  # (n_frames,) falling
    density: Array  # (n_frames, n_drawn)
    at: int  # frame nearest the chosen stop
    tv: Array  # (n_frames,)
    expected_stop: Array  # (n_stops,)
    expected: Array  # (n_stops,) to the central limit
    sample: Array  # (n_marks,) some of the samples
    chosen: float
    tv_chosen: float
    memory: float  # share of the output's mass on sets that hold 10% of the truth: where samples are

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame({"x": self.x, "truth": self.truth, "density_at_chosen_stop": self.density[self.at]})
        stops = pl.DataFrame({"stop": self.stop, "total_variation": self.tv})
        line = pl.DataFrame({"stop": self.expected_stop, "expected_total_variation": self.expected})
        return pl.concat([curve, stops, line], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        best = int(self.tv.argmin())
        return {
            "TV at this stop": self.tv_chosen,
            "TV at the best stop": float(self.tv[best]),
            "best stop T": float(self.stop[best]),
            "mass on the densest tenth of the circle": self.memory,
        }


@experiment
def stopping(*, smoothness: Smoothness = 1.0, n_samples: NSamples = 300, early_stop: EarlyStop = 1e-4, seed: Seed = 0) -> Stopping:
    """Laws along the reverse process that has learned n samples by heart, down to the stop."""
    rng = np.random.default_rng(seed)
    p = coefficients(smoothness)
    truth = on_grid(p)
    found = empirical(smoothness, n_samples, rng, 1)[0]
    stop = FRAMES.copy()
    at = int(np.abs(np.log(stop / early_stop)).argmin())
    stop[at] = early_stop
    density = on_grid(heat(stop) * found)
    tv = total_variation(density, truth)
    counts = np.rint(np.fft.irfft(found, N_GRID) * n_samples)
    places = np.repeat(X, counts.astype(int))
    sorted_density = np.sort(density[at])
    return Stopping(
        X[:: N_GRID // N_DRAWN],
        truth[:: N_GRID // N_DRAWN],
        stop,
        # Means over cells: points alone would miss spikes between them.
        density.reshape(N_FRAMES, N_DRAWN, -1).mean(axis=2),
        at,
        tv,
        STOPS,
        expected_tv(_heat_moments(smoothness), np.array([n_samples]))[0],
        rng.permutation(places)[:300],
        early_stop,
        float(tv[at]),
        float(sorted_density[-N_GRID // 10 :].sum() / N_GRID),
    )


# --- error against n -------------------------------------------------------------------------------------------------

SIZES = np.unique(np.rint(np.geomspace(100, 100_000, 9)).astype(int))


@dataclass(frozen=True)
class RateCurve(Result):
    """Distance to the truth at the best stop against n."""

    n: Array  # (n_sizes,)
    tv: Array  # (n_sizes,) mean over repeats
    tv_error: Array
    expected: Array  # (n_sizes,) to the central limit
    cutoff: Array  # (n_sizes,) of the best sharp cut of frequencies, to the central limit
    w1: Array
    w1_error: Array
    stop: Array  # (n_sizes,) the best T of the lines
    simulated_stop: Array  # (n_sizes,) geometric mean of the best T of each repeat
    smoothness: float
    chosen_tv: Array  # (n_sizes,) at the chosen stop, to the central limit
    early_stop: float

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "n_samples": self.n,
                "best_total_variation": self.tv,
                "standard_error": self.tv_error,
                "expected_total_variation": self.expected,
                "sharp_cutoff_total_variation": self.cutoff,
                "fixed_stop_total_variation": self.chosen_tv,
                "best_w1": self.w1,
                "w1_standard_error": self.w1_error,
                "best_stop_line": self.stop,
                "best_stop_simulated": self.simulated_stop,
            }
        )

    def headline(self) -> dict[str, float | str]:
        s = self.smoothness
        return {
            "slope of TV": slope_of(self.n, self.tv),
            "minimax −s/(2s+1)": -rate(s),
            "slope of the best T": slope_of(self.n, self.stop),
            "theory −2/(2s+1), s at most 2": -2 / (2 * min(s, 2.0) + 1),
            "slope of W₁ (at most −1/2)": slope_of(self.n, self.w1),
            "largest gap of the line (SE)": float(np.max(np.abs(self.tv - self.expected) / self.tv_error)),
        }


@experiment
def rate_curve(*, smoothness: Smoothness = 1.0, early_stop: EarlyStop = 1e-4, seed: Seed = 0) -> RateCurve:
    """Total variation and W1 at the best stop against the number of samples."""
    rng = np.random.default_rng(seed)
    p = coefficients(smoothness)
    truth = on_grid(p)
    kept = heat(STOPS[::2])
    tv, w1, stop = (np.empty((SIZES.size, REPEATS)) for _ in range(3))
    for k, n in enumerate(SIZES):
        for r, found in enumerate(empirical(smoothness, int(n), rng, REPEATS)):
            stopped = kept * found
            by_stop = total_variation(on_grid(stopped), truth)
            least = int(by_stop.argmin())
            tv[k, r], stop[k, r] = by_stop[least], STOPS[::2][least]
            w1[k, r] = wasserstein(stopped[max(least - 3, 0) : least + 1], p).min()
    lines = expected_tv(_heat_moments(smoothness), SIZES)
    best = np.exp(vertex(np.log(STOPS), lines))
    return RateCurve(
        SIZES.astype(float),
        tv.mean(axis=1),
        tv.std(axis=1, ddof=1) / np.sqrt(REPEATS),
        lines.min(axis=1),
        expected_tv(_cutoff_moments(smoothness), SIZES).min(axis=1),
        w1.mean(axis=1),
        w1.std(axis=1, ddof=1) / np.sqrt(REPEATS),
        best,
        np.exp(np.log(stop).mean(axis=1)),
        smoothness,
        lines[:, int(np.abs(np.log(STOPS / early_stop)).argmin())],
        early_stop,
    )


# --- over n and the stop ------------------------------------------------------------------------------------------------

MAP_SIZES = np.unique(np.rint(np.geomspace(100, 100_000, 16)).astype(int))
MAP_STOPS = STOPS[::-1][::2][::-1]
MAP_REPEATS = 3


@dataclass(frozen=True)
class StopMap(Result):
    """Total variation over n and the stop."""

    n: Array  # (n_sizes,)
    stop: Array  # (n_stops,)
    tv: Array  # (n_stops, n_sizes) mean over repeats
    best: Array  # (n_sizes,) best stop to the central limit
    law: Array  # (n_sizes,) n^{-2/(2s+1)} through the middle of it
    slope: float
    smoothness: float
    at: float

    def table(self) -> pl.DataFrame:
        line = pl.DataFrame({"n_samples": self.n, "best_stop": self.best, "law_of_best_stop": self.law})
        grid = grid_table("n_samples", self.n, "stop", self.stop, total_variation=self.tv, log10_total_variation=np.log10(self.tv))
        return pl.concat([grid, line], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "TV here": self.at,
            "slope of the best T": self.slope,
            "theory −2/(2s+1), s at most 2": -2 / (2 * min(self.smoothness, 2.0) + 1),
            "least TV on the map": float(self.tv.min()),
        }


@experiment
def stop_map(*, smoothness: Smoothness = 1.0, n_samples: NSamples = 300, early_stop: EarlyStop = 1e-4, seed: Seed = 0) -> StopMap:
    """Total variation between what an early stop returns and the truth, over n and the stop."""
    rng = np.random.default_rng(seed)
    truth, kept = on_grid(coefficients(smoothness)), heat(MAP_STOPS)
    tv = np.zeros((MAP_STOPS.size, MAP_SIZES.size))
    for k, n in enumerate(MAP_SIZES):
        for found in empirical(smoothness, int(n), rng, MAP_REPEATS):
            tv[:, k] += total_variation(on_grid(kept * found), truth) / MAP_REPEATS
    n = MAP_SIZES.astype(float)
    best = np.exp(vertex(np.log(STOPS), expected_tv(_heat_moments(smoothness), n)))
    exponent = -2 / (2 * min(smoothness, 2.0) + 1)
    middle = np.exp(np.mean(np.log(best) - exponent * np.log(n)))
    here = empirical(smoothness, n_samples, rng, MAP_REPEATS)
    at = float(total_variation(on_grid(heat(early_stop) * here), truth).mean())
    return StopMap(n, MAP_STOPS, tv, best, middle * n**exponent, slope_of(n, best), smoothness, at)
