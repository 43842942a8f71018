r"""Kernel density estimate in large dimension as a random energy model.

A density N(0, I_d) is estimated at x from n = exp(alpha d) samples y_i with a Gaussian kernel,
rho_hat(x) = (2 pi h^2)^{-d/2} (1/n) sum_i w_i, w_i = exp(-l |x - y_i|^2 / 2), l = 1/h^2. With
phi(l) = lim (1/d) log sum_i w_i the sum freezes at l_c(alpha): below the bandwidth h_G = l_c^{-1/2} a few
samples own it; between h_G and h_CLT = sqrt(2) h_G its fluctuations are those of a stable law of index
mu = (h/h_G)^2.

References
----------
Biroli & Mezard, "Kernel density estimators in large dimensions" (2024), paper 011 of the catalogue.
Everything at finite d below is exact at |x|^2 = d and derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from scipy.stats import norm

from compute.experiment import Result, experiment
from compute.parameters import Choice, Integer, LogReal, ParameterError, Real, Seed
from compute.statistical_physics.kernel_density_large_dimension.finite import (
    distance_cdf,
    exact_sum,
    finite_log_density,
    finite_rank_index,
    n_samples,
)
from compute.statistical_physics.kernel_density_large_dimension.limit import (
    LOG_DENSITY_OF_TRUTH,
    MAX_LOAD,
    Array,
    condensation_bandwidth,
    log_density_rate,
    optimal_bandwidth,
)
from compute.statistical_physics.kernel_density_large_dimension.simulation import (
    MAX_SAMPLES,
    affordable,
    chunks,
    draw_distances,
    log_sums,
)

Load = Annotated[
    float, Real("load", r"\alpha=\log n/d", low=0.05, high=MAX_LOAD, help="Log of the number of samples per dimension.")
]
Bandwidth = Annotated[float, LogReal("bandwidth", "h", low=0.1, high=3.0, help="Standard deviation of the kernel.")]
Dimension = Annotated[int, Integer("dimension", "d", low=5, high=60)]
TestPoints = Annotated[
    int, Integer("test points", "R", low=50, high=2000, help="Points x at which the estimate is drawn, each from fresh samples.")
]
FreeNorm = Annotated[
    str,
    Choice(
        "norm of x",
        options=("typical", "random"),
        help="Typical: |x|² = d. Random: x ~ N(0, I), which moves log ρ by O(√d).",
    ),
]


@dataclass(frozen=True)
class PhasePlane(Result):
    """Effective number of samples over the (load, bandwidth) plane, and the boundaries of its regimes."""

    load: Array  # (n_loads,)
    bandwidth: Array  # (n_bandwidths,)
    effective_number: Array  # (n_bandwidths, n_loads), 1/E sum p^2, exact at this dimension
    condensation: Array  # (n_loads,) h_G
    gaussian: Array  # (n_loads,) h_CLT
    optimal: Array  # (n_loads,)
    at_load: float
    at_bandwidth: float
    dimension: int

    def table(self) -> pl.DataFrame:
        load, bandwidth = np.meshgrid(self.load, self.bandwidth)
        critical = np.broadcast_to(self.condensation, load.shape)
        return pl.DataFrame(
            {
                "load": load.ravel(),
                "bandwidth": bandwidth.ravel(),
                "effective_number": self.effective_number.ravel(),
                "log10_effective_number": np.log10(self.effective_number).ravel(),
                "h_G": critical.ravel(),
                "h_CLT": np.sqrt(2) * critical.ravel(),
                "h_optimal": np.broadcast_to(self.optimal, load.shape).ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        critical = float(condensation_bandwidth(self.at_load)[0])
        _, concentration = exact_sum(np.array([n_samples(self.at_load, self.dimension)]), self.at_bandwidth, self.dimension)
        return {
            "regime": regime(self.at_bandwidth / critical),
            "h / h_G": self.at_bandwidth / critical,
            "tail index μ": (self.at_bandwidth / critical) ** 2,
            "KL-optimal h": float(optimal_bandwidth(self.at_load)[0]),
            "effective samples": float(1 / concentration[0]),
            "samples n": n_samples(self.at_load, self.dimension),
        }


LOADS, BANDWIDTHS = np.linspace(0.05, 1.5, 59), np.geomspace(0.1, 3.0, 49)


def regime(ratio: float) -> str:
    """The regime at h/h_G."""
    if ratio >= np.sqrt(2):
        return "Gaussian (CLT)"
    return "α-stable" if ratio >= 1 else "extreme value"


@experiment
def phase_plane(*, load: Load = 0.4, bandwidth: Bandwidth = 0.8, dimension: Dimension = 20) -> PhasePlane:
    """Who owns the estimate: the effective number of samples over load and bandwidth, with h_G, h_CLT and h_opt.

    The color is 1/E sum_i p_i^2, p_i = w_i/sum_j w_j, exact at this dimension and |x|^2 = d; the boundaries are
    those of the limit d -> infinity (011, its equations for h_G and h_CLT).
    """
    critical, number = condensation_bandwidth(LOADS), _effective_number(dimension)
    return PhasePlane(
        LOADS, BANDWIDTHS, number, critical, np.sqrt(2) * critical, optimal_bandwidth(LOADS), load, bandwidth, dimension
    )


@lru_cache(maxsize=8)
def _effective_number(dimension: int) -> Array:
    """(n_bandwidths, n_loads) of the plane; the reader's point is only a mark on it."""
    n = np.array([n_samples(a, dimension) for a in LOADS])
    number = 1 / np.stack([exact_sum(n, h, dimension)[1] for h in BANDWIDTHS])
    number.flags.writeable = False
    return number


@dataclass(frozen=True)
class LogDensity(Result):
    """(1/d) log rho_hat against the bandwidth: limit, exact at finite d, and Monte Carlo."""

    bandwidth: Array  # (n_bandwidths,)
    limit: Array  # (n_bandwidths,) d -> infinity
    finite: Array  # (n_bandwidths,) exact mean at this d, |x|^2 = d
    mean_density: Array  # (n_bandwidths,) (1/d) log E rho_hat, the exact Gaussian law
    simulated_bandwidth: Array  # (n_simulated,)
    simulation: Array  # (n_simulated,) mean over test points; empty where n is out of reach
    standard_error: Array  # (n_simulated,)
    finite_simulated: Array  # (n_simulated,) the exact curve at the simulated bandwidths
    load: float
    at_bandwidth: float
    free_norm: str

    @property
    def truth(self) -> float:
        """(1/d) log p(x) at |x|^2 = d."""
        return LOG_DENSITY_OF_TRUTH

    @property
    def condensation(self) -> float:
        """h_G at this load."""
        return float(condensation_bandwidth(self.load)[0])

    def table(self) -> pl.DataFrame:
        theory = pl.DataFrame(
            {
                "bandwidth": self.bandwidth,
                "limit": self.limit,
                "exact_finite_d": self.finite,
                "log_mean_density": self.mean_density,
                "kl_gap_limit": self.truth - self.limit,
                "kl_gap_exact_finite_d": self.truth - self.finite,
            }
        )
        simulation = pl.DataFrame(
            {
                "bandwidth": self.simulated_bandwidth,
                "simulation": self.simulation,
                "standard_error": self.standard_error,
                "kl_gap_simulation": self.truth - self.simulation,
            }
        )
        return pl.concat([theory, simulation], how="diagonal").sort("bandwidth")

    def headline(self) -> dict[str, float | str]:
        best = float(self.bandwidth[np.argmax(self.finite)])
        gap: float | str = "n above 100,000: theory only"
        if self.simulation.size:
            scores = (self.simulation - self.finite_simulated) / self.standard_error
            gap = float(np.max(np.abs(scores))) if self.free_norm == "typical" else "exact curve holds |x|² = d"
        return {
            "regime": regime(self.at_bandwidth / self.condensation),
            "h / h_G": self.at_bandwidth / self.condensation,
            "KL-optimal h (limit)": float(optimal_bandwidth(self.load)[0]),
            "KL-optimal h (this d)": best,
            "largest gap, exact to simulation (SE)": gap,
        }


def _simulation_seconds(n_per_draw: float):  # type: ignore[no-untyped-def]
    def seconds(*, load: float, dimension: int, test_points: int, **_: object) -> float:
        return 0.05 + n_per_draw * 1e-9 * affordable(load, dimension) * test_points

    return seconds


N_SIMULATED = 11


@experiment(seconds=_simulation_seconds(90.0))
def log_density(
    *,
    load: Load = 0.4,
    bandwidth: Bandwidth = 0.8,
    dimension: Dimension = 20,
    test_points: TestPoints = 200,
    free_norm: FreeNorm = "typical",
    seed: Seed = 0,
) -> Iterator[tuple[float, LogDensity]]:
    """(1/d) log rho_hat against the bandwidth, and with it the Kullback–Leibler gap to the truth.

    The kink of the limit at h_G is the freezing transition; the exact curve at finite d (|x|^2 = d) is what a
    simulation of any size must follow. Simulated points share their draws across bandwidths.
    """
    grid = np.geomspace(0.1, 3.0, 45)
    limit = log_density_rate(load, grid)
    finite = finite_log_density(load, grid, dimension)
    mean_density = -0.5 * np.log(2 * np.pi * (1 + grid**2)) - 0.5 / (1 + grid**2)
    n = affordable(load, dimension)
    simulated = grid[2::4][:N_SIMULATED] if n else np.empty(0)
    finite_simulated = finite[2::4][:N_SIMULATED] if n else np.empty(0)

    def result(values: Array) -> LogDensity:
        mean = values.mean(axis=0)
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        return LogDensity(grid, limit, finite, mean_density, simulated, mean, error, finite_simulated, load, bandwidth, free_norm)

    if not n:
        empty = np.empty(0)
        yield 1.0, LogDensity(grid, limit, finite, mean_density, empty, empty, empty, empty, load, bandwidth, free_norm)
        return
    rng = np.random.default_rng(seed)
    values = np.empty((0, simulated.size))
    for size in chunks(n, test_points):
        distance = draw_distances(rng, n, dimension, free_norm, size)
        log_sum = log_sums(distance, simulated**-2)
        values = np.concatenate([values, (log_sum - np.log(n)) / dimension - 0.5 * np.log(2 * np.pi * simulated**2)])
        if len(values) > 1:
            yield len(values) / test_points, result(values)


@dataclass(frozen=True)
class Fluctuations(Result):
    """The law of the estimate over fresh samples, and the tail index of its terms."""

    ratio: Array  # (test_points,) rho_hat / E rho_hat, sorted downward
    exceedance: Array  # (test_points,) share of draws at or above it
    curve: Array  # (n_curve,) values of the ratio for the exact laws
    largest_term: Array  # (n_curve,) exact P(largest term / mean of the sum >= curve)
    gaussian: Array  # (n_curve,) the Gaussian law of the same mean and variance
    stable_slope: Array  # (n_curve,) u^-mu through the simulated upper decile
    rank: Array  # (n_ranks,)
    hill: Array  # (n_ranks,) Hill index, one over the log-gap averaged over draws
    hill_error: Array  # (n_ranks,)
    hill_exact: Array  # (n_ranks,) what a finite sample shows
    tail_index: float  # mu of the limit
    ratio_to_condensation: float
    effective_number: float

    def table(self) -> pl.DataFrame:
        law = pl.DataFrame({"ratio_to_mean": self.ratio, "exceedance": self.exceedance})
        curve = pl.DataFrame(
            {
                "ratio_to_mean": self.curve,
                "largest_term_exceedance": self.largest_term,
                "gaussian_exceedance": self.gaussian,
                "stable_tail_exceedance": self.stable_slope,
            }
        )
        hill = pl.DataFrame(
            {
                "rank": self.rank,
                "hill_index": self.hill,
                "hill_standard_error": self.hill_error,
                "hill_index_exact": self.hill_exact,
            }
        )
        return pl.concat([law, curve, hill], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        middle = len(self.rank) // 2
        return {
            "regime": regime(self.ratio_to_condensation),
            "tail index μ (limit)": self.tail_index,
            f"Hill index at rank {int(self.rank[middle])}": float(self.hill[middle]),
            "its exact value at this n": float(self.hill_exact[middle]),
            "effective samples": self.effective_number,
        }


@experiment(seconds=_simulation_seconds(35.0))
def fluctuations(
    *,
    load: Load = 0.4,
    bandwidth: Bandwidth = 0.8,
    dimension: Dimension = 20,
    test_points: TestPoints = 200,
    seed: Seed = 0,
) -> Iterator[tuple[float, Fluctuations]]:
    """Law of rho_hat over fresh samples at |x|^2 = d, and the Hill index of its terms.

    Above h_CLT the law is Gaussian; between h_G and h_CLT it has the tail of a stable law of index mu; below h_G
    the largest term alone gives the tail. The Hill index at rank k is far from mu at any n in reach, so its
    exact finite-n value stands beside it: 2/(l (q_k - E[D | D < q_k])), F(q_k) = k/n.

    Raises
    ------
    ParameterError
        Where n = exp(alpha d) is above 100,000 or below 10.
    """
    n = affordable(load, dimension)
    if not n:
        raise ParameterError("load", f"gives n = exp(αd) above {MAX_SAMPLES:,} samples; keep αd at most {np.log(MAX_SAMPLES):.1f}.")
    if n < 10:
        raise ParameterError("load", f"gives only n = {n} samples, too few for a tail; keep αd at least {np.log(10):.1f}.")
    precision = bandwidth**-2
    log_mean = dimension * (-0.5 * np.log1p(precision) - precision / (2 * (1 + precision)))  # log E w
    log_mean_square = dimension * (-0.5 * np.log1p(2 * precision) - precision / (1 + 2 * precision))  # log E w^2
    spread = np.sqrt(np.expm1(log_mean_square - 2 * log_mean) / n)
    ranks = np.unique(np.rint(np.geomspace(2, max(3, min(n // 3, 300)), 16)).astype(int))
    hill_exact = finite_rank_index(ranks, n, bandwidth, dimension)
    critical = float(condensation_bandwidth(load)[0])
    index = (bandwidth / critical) ** 2
    _, concentration = exact_sum(np.array([float(n)]), bandwidth, dimension)
    rng = np.random.default_rng(seed)
    log_ratio, gaps = np.empty(0), np.empty((0, ranks.size))
    for size in chunks(n, test_points):
        distance = draw_distances(rng, n, dimension, "typical", size)
        log_ratio = np.concatenate([log_ratio, log_sums(distance, np.array([precision]))[:, 0] - np.log(n) - log_mean])
        nearest = np.sort(np.partition(distance, ranks[-1], axis=1)[:, : ranks[-1] + 1], axis=1)
        mean_below = np.cumsum(nearest, axis=1)[:, ranks - 1] / ranks
        gaps = np.concatenate([gaps, 0.5 * precision * (nearest[:, ranks] - mean_below)])
        mean_gap = gaps.mean(axis=0)
        hill_error = gaps.std(axis=0, ddof=1) / np.sqrt(max(len(gaps), 2)) / mean_gap**2 if len(gaps) > 1 else 0 * mean_gap
        ratio = np.exp(np.sort(log_ratio)[::-1])
        exceedance = np.arange(1, ratio.size + 1) / ratio.size
        curve = np.geomspace(max(ratio[-1], 1e-12), max(ratio[0], 1e-11) * 3, 160)
        # The largest term is at least u when one of n distances is at most -2 log(u n E w)/l.
        reach = -2 * bandwidth**2 * (np.log(curve) + np.log(n) + log_mean)
        closest = np.where(reach > 0, distance_cdf(np.maximum(reach, 1e-300), dimension), 0.0)
        with np.errstate(divide="ignore"):
            largest = -np.expm1(n * np.log1p(-np.minimum(closest, 1.0)))
        anchor = ratio[max(0, ratio.size // 10 - 1)]
        stable = np.where(curve >= anchor, 0.1 * (curve / anchor) ** -index, np.nan)
        yield (
            len(log_ratio) / test_points,
            Fluctuations(
                ratio,
                exceedance,
                curve,
                largest,
                norm.sf(curve, 1.0, spread),
                np.nan_to_num(stable, nan=1.0),
                ranks.astype(float),
                1 / mean_gap,
                hill_error,
                hill_exact,
                index,
                bandwidth / critical,
                float(1 / concentration[0]),
            ),
        )


@dataclass(frozen=True)
class Shares(Result):
    """Who owns one estimate as the kernel narrows."""

    bandwidth: Array  # (n_frames,) from wide to narrow
    share: Array  # (n_frames, n_shown) largest shares of the sum, sorted
    effective_number: Array  # (n_frames,) 1/sum p^2 of this draw
    effective_exact: Array  # (n_frames,) 1/E sum p^2
    condensation: float
    at_bandwidth: float

    def table(self) -> pl.DataFrame:
        n_frames, n_shown = self.share.shape
        return pl.DataFrame(
            {
                "bandwidth": np.repeat(self.bandwidth, n_shown),
                "rank": np.tile(np.arange(1, n_shown + 1), n_frames),
                "share": self.share.ravel(),
                "effective_number": np.repeat(self.effective_number, n_shown),
                "effective_number_exact": np.repeat(self.effective_exact, n_shown),
            }
        )

    def headline(self) -> dict[str, float | str]:
        here = int(np.argmin(np.abs(np.log(self.bandwidth / self.at_bandwidth))))
        return {
            "regime": regime(self.at_bandwidth / self.condensation),
            "share of the nearest sample": float(self.share[here, 0]),
            "effective samples, this draw": float(self.effective_number[here]),
            "effective samples, exact mean": float(self.effective_exact[here]),
        }


@experiment
def shares(*, load: Load = 0.4, bandwidth: Bandwidth = 0.8, dimension: Dimension = 20, seed: Seed = 0) -> Shares:
    """The largest shares p_i = w_i / sum_j w_j of one draw of the samples, as the bandwidth shrinks from 3 to 0.1.

    Raises
    ------
    ParameterError
        Where n = exp(alpha d) is above 100,000.
    """
    n = affordable(load, dimension)
    if not n:
        raise ParameterError("load", f"gives n = exp(αd) above {MAX_SAMPLES:,} samples; keep αd at most {np.log(MAX_SAMPLES):.1f}.")
    bandwidths = np.geomspace(3.0, 0.1, 40)
    distance = np.sort(draw_distances(np.random.default_rng(seed), n, dimension, "typical", 1)[0])
    log_weight = -0.5 * (distance - distance[0])[None, :] / bandwidths[:, None] ** 2
    weight = np.exp(np.maximum(log_weight, -700.0))
    share = weight / weight.sum(axis=1, keepdims=True)
    exact = np.array([1 / exact_sum(np.array([float(n)]), h, dimension)[1][0] for h in bandwidths])
    critical = float(condensation_bandwidth(load)[0])
    return Shares(bandwidths, share[:, :60], 1 / np.sum(share**2, axis=1), exact, critical, bandwidth)
