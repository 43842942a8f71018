"""Exact at finite d and |x|^2 = d: the mean log of the sum, its concentration, the Hill index it shows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.stats import ncx2

from compute.kernel import kernel
from compute.statistical_physics.kernel_density_large_dimension.limit import MAX_LOAD, Array, freezing_load


def n_samples(load: float, dimension: int) -> float:
    """n = exp(alpha d), at least 1; an integer as long as a float can tell."""
    n = np.exp(load * dimension)
    return float(max(1.0, np.rint(n))) if n < 1e15 else float(n)


@lru_cache(maxsize=64)
def _distance_table(dimension: int) -> tuple[Array, Array]:
    """log F(D) of D = |x - y|^2 ~ noncentral chi-square(d, d), on a grid of log D down to F = 1e-300."""
    log_distance = np.linspace(np.log(1e-14), np.log(3.0 * dimension + 60), 6000)
    with np.errstate(divide="ignore"):
        log_cdf = ncx2.logcdf(np.exp(log_distance), dimension, dimension)
    # Near 0 the law is a power, F = c D^{d/2}: its table is filled in from there where SciPy underflows.
    bad = ~np.isfinite(log_cdf)
    if bad.any():
        first = np.argmin(bad)
        log_cdf[:first] = log_cdf[first] + (dimension / 2) * (log_distance[:first] - log_distance[first])
    return log_distance, np.minimum(log_cdf, 0.0)


@lru_cache(maxsize=64)
def _distance_spline(dimension: int) -> CubicSpline:
    return CubicSpline(*_distance_table(dimension))


@lru_cache(maxsize=64)
def _farthest(dimension: int) -> float:
    """The distance beyond which no mass is left."""
    return float(ncx2.isf(1e-15, dimension, dimension))


def distance_cdf(distance: Array, dimension: int) -> Array:
    """P(|x - y|^2 <= distance) at |x|^2 = d, to a relative 1e-7 deep into the lower tail."""
    log_distance, _ = _distance_table(dimension)
    inside = np.clip(np.log(np.maximum(distance, 1e-300)), log_distance[0], log_distance[-1])
    return np.exp(np.minimum(_distance_spline(dimension)(inside), 0.0))


@kernel
def _sum_integrals(cdf, absorb, square, s_low, step, n):  # type: ignore[no-untyped-def]
    """E log S and E sum p^2 for each n, from P(D <= 2y/l) on the grid y = 0, step, 2 step, …

    q(s) = E[1 - exp(-t w)] and E[(t w)^2 exp(-t w)], log t = s, are convolutions of the cdf with two kernels.
    """
    n_s = cdf.size + absorb.size
    log_phi = np.empty(n_s)
    squared = np.zeros(n_s)
    for i in range(n_s):
        absorbed = 0.0
        for k in range(max(0, i - absorb.size + 1), i + 1):
            below = cdf[k] if k < cdf.size else 1.0
            absorbed += below * absorb[i - k]
            squared[i] += below * square[i - k]
        log_phi[i] = np.log1p(-min(absorbed, 1.0 - 1e-16))
    mean_log = np.empty(n.size)
    concentration = np.empty(n.size)
    for j in range(n.size):
        # E log S = -gamma - (s_low + int phi^n ds): the integral of e^{-t}/t - [s < 0] is minus Euler's gamma.
        total, pairs = 0.5, 0.0
        for i in range(1, n_s):
            exponent = n[j] * log_phi[i]
            if exponent < -45.0:
                break
            survivor = np.exp(exponent)
            total += survivor
            pairs += squared[i] * survivor * np.exp(-log_phi[i])
        mean_log[j] = -np.euler_gamma - (s_low + step * total)
        concentration[j] = min(max(step * n[j] * pairs, 1.0 / n[j]), 1.0)
    return mean_log, concentration


def exact_sum(n: Array, bandwidth: float, dimension: int) -> tuple[Array, Array]:
    """Exact mean log of S = sum_i w_i and mean of sum_i (w_i/S)^2, at |x|^2 = d.

    With phi(t) = E exp(-t w): E log S = int (e^{-t} - phi^n) dt/t and
    E sum p^2 = n int t E[w^2 e^{-tw}] phi^{n-1} dt; both by the trapezoid rule in log t.

    Parameters
    ----------
    n : (n_loads,) array
        Numbers of samples, at least 1, up to exp(1.5 d).
    bandwidth : float
    dimension : int

    Returns
    -------
    mean_log : (n_loads,) array
        E log S.
    concentration : (n_loads,) array
        E sum_i p_i^2, between 1/n and 1.
    """
    precision = bandwidth**-2
    # The trapezoid rule at step 0.5 errs by |Gamma(1 + 2 pi i/0.5)| < 1e-7, if it also resolves the law of y = l D/2.
    step = min(0.5, 0.2 * precision * np.sqrt(6 * dimension) / 2)
    y = np.arange(0.0, precision * _farthest(dimension) / 2 + step, step)
    # log t reaches as far below 0 as the log of the number of samples that can share the sum.
    x_low = -35.0 - dimension * max(0.0, MAX_LOAD - float(freezing_load(precision)))
    x = np.arange(x_low, 4.5, step)
    absorb = np.exp(x - np.exp(x)) * step
    square = (2 - np.exp(x)) * np.exp(2 * x - np.exp(x)) * step
    return _sum_integrals(distance_cdf(2 * y / precision, dimension), absorb, square, x_low, step, np.asarray(n, dtype=float))


def finite_log_density(load: float, bandwidth: Array, dimension: int) -> Array:
    """(1/d) E log rho_hat(x) at |x|^2 = d, exact at this d."""
    n = n_samples(load, dimension)
    bandwidth = np.atleast_1d(bandwidth)
    mean_log = np.array([exact_sum(np.array([n]), h, dimension)[0][0] for h in bandwidth])
    return (mean_log - np.log(n)) / dimension - 0.5 * np.log(2 * np.pi * bandwidth**2)


def finite_rank_index(rank: Array, n: float, bandwidth: float, dimension: int) -> Array:
    """The tail index that a Hill fit at a rank really shows at this d: 2/(l (q - E[D | D < q])), F(q) = rank/n.

    E[D | D < q] = q - int_0^q F/F(q), by the trapezoid rule in log D.
    """
    log_distance, log_cdf = _distance_table(dimension)
    distance, cdf = np.exp(log_distance), np.exp(log_cdf)
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (cdf[1:] * distance[1:] + cdf[:-1] * distance[:-1]) * np.diff(log_distance))])
    quantile = np.interp(np.log(np.asarray(rank) / n), log_cdf, log_distance)
    below = np.interp(quantile, log_distance, integral)
    return 2 * bandwidth**2 / (below * n / np.asarray(rank))
