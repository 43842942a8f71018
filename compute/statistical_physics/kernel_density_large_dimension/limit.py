"""The limit d -> infinity: free energy, freezing, the regimes' boundaries and the best bandwidth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_LOAD = 1.5


def annealed_rate(precision: Array | float) -> Array:
    """zeta(l) = (1/d) log E w at |x|^2 = d."""
    precision = np.asarray(precision, dtype=float)
    return -0.5 * np.log1p(precision) - precision / (2 * (1 + precision))


def annealed_slope(precision: Array | float) -> Array:
    """zeta'(l)."""
    precision = np.asarray(precision, dtype=float)
    return -0.5 / (1 + precision) - 0.5 / (1 + precision) ** 2


def freezing_load(precision: Array | float) -> Array:
    """The load alpha = l zeta'(l) - zeta(l) at which precision l freezes; increases with l."""
    precision = np.asarray(precision, dtype=float)
    return 0.5 * np.log1p(precision) - precision / (2 * (1 + precision) ** 2)


def freezing_precision(load: Array | float) -> Array:
    """l_c(alpha): the inverse of ``freezing_load``, by Newton steps in log l from above."""
    load = np.atleast_1d(np.asarray(load, dtype=float))
    x = np.log(np.expm1(2 * load + 1.0))  # freezing_load > log1p(l)/2 - 1/8, so this lies above the root
    for _ in range(60):
        precision = np.exp(x)
        slope = precision * (0.5 / (1 + precision) - 0.5 * (1 - precision) / (1 + precision) ** 3)
        step = (freezing_load(precision) - load) / slope
        x = x - np.clip(step, -1, 1)
        if np.max(np.abs(step)) < 1e-15:
            break
    return np.exp(x)


def condensation_bandwidth(load: Array | float) -> Array:
    """h_G(alpha): below it the estimate is owned by a few samples."""
    return freezing_precision(load) ** -0.5


def optimal_bandwidth(load: Array | float) -> Array:
    """The bandwidth of least Kullback–Leibler gap; it lies below h_G."""
    critical = freezing_precision(load)
    return np.sqrt((2 + critical) / (1 + critical) ** 2)


def partition_rate(load: Array | float, precision: Array | float) -> Array:
    """phi(l) = lim (1/d) log sum_i exp(-l |x - y_i|^2/2), frozen beyond l_c."""
    critical = freezing_precision(load)
    free = np.asarray(load) + annealed_rate(precision)
    return np.where(np.asarray(precision) <= critical, free, np.asarray(precision) * annealed_slope(critical))


def log_density_rate(load: Array | float, bandwidth: Array | float) -> Array:
    """lim (1/d) log rho_hat(x) at |x|^2 = d."""
    bandwidth = np.asarray(bandwidth, dtype=float)
    return -0.5 * np.log(2 * np.pi * bandwidth**2) + partition_rate(load, bandwidth**-2) - np.asarray(load)


LOG_DENSITY_OF_TRUTH = -0.5 * np.log(2 * np.pi) - 0.5  # (1/d) log p(x) at |x|^2 = d
