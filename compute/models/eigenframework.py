r"""Test and training error of random-feature ridge regression from a spectrum alone.

A kernel ridge regression on n samples whose kernel is the mean over k random features, with eigenvalues lambda_i of
the full kernel, target power v_i^2 on its modes, label noise sigma^2 and ridge delta (on K, not on K/n), has
effective ridges gamma >= kappa with

    n = z + delta/kappa,   k = z + k kappa/gamma,   z = sum_i lambda_i/(lambda_i + gamma).

Everything then follows from four sums over modes at gamma,

    z, q = sum (lambda/(lambda + gamma))^2, A = sum gamma v^2/(lambda + gamma), B = sum lambda v^2/(lambda + gamma)^2:

    E_test = [A - kappa k/(k - q) B + sigma^2] / [1 - (q (k - 2z) + z^2)/(n (k - q))],   E_train = (1 - z/n)^2 E_test.

The denominator is used in the form ((k - z)(z - q) + (n - z)(k - q))/(n (k - q)), equal to it and free of cancellation.

References
----------
Simon, Karkada, Ghosh & Belkin, "More is better in modern machine learning" (2024), paper 088 of the catalogue,
its random-feature eigenframework.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernel import kernel
from compute.models.spectra import Modes

Array = NDArray[np.float64]


# --- sums over modes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sums:
    """The four sums that the risk needs, at each effective ridge."""

    gamma: Array  # (...,)
    z: Array  # (...,) sum lambda/(lambda + gamma)
    q: Array  # (...,) sum (lambda/(lambda + gamma))^2
    a: Array  # (...,) sum gamma v^2/(lambda + gamma)
    b: Array  # (...,) sum lambda v^2/(lambda + gamma)^2


def mode_sums(modes: Modes, gamma: ArrayLike) -> Sums:
    """``Sums`` at an array of effective ridges of any shape, each at least 0."""
    gamma = np.asarray(gamma, dtype=float)
    inverse = 1 / (modes.eigenvalue + gamma[..., None])
    kept = modes.eigenvalue * inverse
    return Sums(gamma, kept @ modes.weight, kept**2 @ modes.weight, gamma * (inverse @ modes.power), (kept * inverse) @ modes.power)


def df1(eigenvalue: Array, ridge: ArrayLike) -> Array:
    """sum_i lambda_i/(lambda_i + ridge)."""
    return np.sum(eigenvalue / (eigenvalue + np.asarray(ridge, dtype=float)[..., None]), axis=-1)


def df2(eigenvalue: Array, ridge: ArrayLike) -> Array:
    """sum_i (lambda_i/(lambda_i + ridge))^2."""
    return np.sum((eigenvalue / (eigenvalue + np.asarray(ridge, dtype=float)[..., None])) ** 2, axis=-1)


# --- effective ridges ----------------------------------------------------------------------------------


@kernel
def _levels(eigenvalue, weight, target):  # type: ignore[no-untyped-def]
    """The gamma at which z(gamma) = target, 0 where there are not that many modes; Newton on log z(log gamma)."""
    out = np.zeros(target.size)
    count = weight.sum()
    trace = (weight * eigenvalue).sum()
    for c in range(target.size):
        if target[c] >= count:
            continue
        low, high = -700.0, np.log(trace / target[c])
        x = high if c == 0 or out[c - 1] == 0 else min(np.log(out[c - 1]), high)
        for _ in range(200):
            gamma = np.exp(x)
            z = q = 0.0
            for i in range(eigenvalue.size):
                kept = eigenvalue[i] / (eigenvalue[i] + gamma)
                z += weight[i] * kept
                q += weight[i] * kept * kept
            gap = np.log(z / target[c])
            if gap > 0:
                low = x
            else:
                high = x
            step = gap * z / (z - q) if z > q else 0.0
            if abs(step) < 1e-14 * max(abs(x), 1.0) or high - low < 1e-13:
                break
            x += step
            if not low < x < high:
                x = 0.5 * (low + high)
        out[c] = np.exp(x)
    return out


@kernel
def _fixed_points(eigenvalue, weight, power, n, k, ridge, gamma_k):  # type: ignore[no-untyped-def]
    """gamma, kappa, z, q, A, B (rows) of each (n, k, ridge), given z(gamma_k) = k; k = inf is allowed.

    The unknown is s = log(gamma - gamma_k): log(z + ridge/kappa) falls almost linearly in it. kappa is taken from
    k - z = excess + (gamma - gamma_k) sum lambda/((lambda + gamma)(lambda + gamma_k)), which does not cancel.
    """
    out = np.zeros((6, n.size))
    count = weight.sum()
    trace = (weight * eigenvalue).sum()
    start = 0.0
    kept, beside = np.empty(eigenvalue.size), np.empty(eigenvalue.size)
    for c in range(n.size):
        infinite = np.isinf(k[c])
        if not infinite:
            # NumPy's division, unlike Python's, is of many numbers at once.
            for i in range(eigenvalue.size):
                beside[i] = np.true_divide(1.0, eigenvalue[i] + gamma_k[c])
        excess = 0.0 if infinite else max(k[c] - count, 0.0)
        # z <= trace/gamma and kappa >= gamma/2 once gamma > 2 trace/k: beyond this both terms are below n/2.
        high = np.log(4 * (trace + ridge[c]) / n[c] + 4 * (0.0 if infinite else trace / k[c]) + gamma_k[c])
        low = -150.0
        s = min(max(start, low), high)
        for _ in range(200):
            step_size = np.exp(s)
            gamma = gamma_k[c] + step_size
            for i in range(eigenvalue.size):
                kept[i] = np.true_divide(eigenvalue[i], eigenvalue[i] + gamma)
            z = q = apart = 0.0
            for i in range(eigenvalue.size):
                part = weight[i] * kept[i]
                z += part
                q += part * kept[i]
                if not infinite:
                    apart += part * beside[i]
            if infinite:
                kappa, slope = gamma, 1.0
            else:
                kappa, slope = gamma * (excess + step_size * apart) / k[c], 1 - q / k[c]
            total = z + ridge[c] / kappa
            gap = np.log(total / n[c])
            if gap > 0:
                low = s
            else:
                high = s
            steepness = step_size * ((z - q) / gamma + ridge[c] * slope / (kappa * kappa)) / total
            step = gap / steepness if steepness > 0 else 1e9
            if abs(step) < 1e-13 * max(abs(s), 1.0) or high - low < 1e-13:
                break
            s += step
            if not low < s < high:
                s = 0.5 * (low + high)
        start = s
        out[0, c], out[1, c] = gamma, kappa
        for i in range(eigenvalue.size):
            inverse = 1 / (eigenvalue[i] + gamma)
            share = eigenvalue[i] * inverse
            out[2, c] += weight[i] * share
            out[3, c] += weight[i] * share * share
            out[4, c] += power[i] * gamma * inverse
            out[5, c] += power[i] * share * inverse
    return out


def effective_levels(modes: Modes, target: ArrayLike) -> Array:
    """The gamma at which z(gamma) = target: where ``target`` samples, or features, are just used up; 0 beyond all modes."""
    target = np.asarray(target, dtype=float)
    return _levels(modes.eigenvalue, modes.weight, np.array(target).ravel()).reshape(target.shape)


def fixed_point(modes: Modes, n: ArrayLike, k: ArrayLike, ridge: ArrayLike) -> tuple[Sums, Array]:
    """The effective ridges gamma (with the sums there) and kappa.

    Parameters
    ----------
    modes : Modes
    n, k, ridge : array_like
        Samples, features (``np.inf`` for the kernel itself) and ridge > 0, broadcast against each other.

    Returns
    -------
    sums : Sums
        At gamma, of the common shape.
    kappa : array
        n - z = ridge/kappa.
    """
    # Copies: a kernel is compiled anew for views that cannot be written to.
    n, k, ridge = (np.array(v) for v in np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, k, ridge))))
    widths, place = np.unique(k, return_inverse=True)
    gamma_k = effective_levels(modes, widths)[place.reshape(-1)]
    gamma, kappa, z, q, a, b = _fixed_points(
        modes.eigenvalue, modes.weight, modes.power, n.ravel(), k.ravel(), ridge.ravel(), gamma_k
    ).reshape(6, *n.shape)
    return Sums(gamma, z, q, a, b), kappa


def effective_ridge(eigenvalue: Array, samples: ArrayLike, ridge: ArrayLike) -> Array:
    """kappa = ridge + kappa df1(kappa)/samples, for a ridge on the empirical covariance X^T X/samples.

    Parameters
    ----------
    eigenvalue : (d,) array
        Of the covariance.
    samples, ridge : array_like
        Broadcast against each other; ridge > 0.
    """
    samples, ridge = np.broadcast_arrays(np.asarray(samples, dtype=float), np.asarray(ridge, dtype=float))
    modes = Modes(np.asarray(eigenvalue, dtype=float), np.ones(np.size(eigenvalue)), np.zeros(np.size(eigenvalue)))
    return fixed_point(modes, samples, np.inf, samples * ridge)[1]


# --- risk ----------------------------------------------------------------------------------------------


def risk(sums: Sums, n: ArrayLike, k: ArrayLike, noise: float, slack: ArrayLike | None = None) -> Array:
    """Test risk, noise included, at given effective ridges.

    Parameters
    ----------
    sums : Sums
        At the effective ridge gamma of each point.
    n, k : array_like
        Samples and features, broadcast against ``sums``; z may exceed neither.
    noise : float
        sigma^2.
    slack : array_like, optional
        n - z = delta/kappa, where it is known better than by subtraction.

    Returns
    -------
    array
        Infinite where the risk diverges (z = n = k).
    """
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    slack = np.maximum(n - sums.z, 0.0) if slack is None else np.asarray(slack)
    with np.errstate(divide="ignore", invalid="ignore"):
        # (k - z)/(k - q), which is 1 for the kernel itself.
        share = np.where(np.isinf(k), 1.0, np.maximum(k - sums.z, 0.0) / (k - sums.q))
        denominator = share * (sums.z - sums.q) + slack
        return np.where(denominator > 0, (sums.a - sums.gamma * share * sums.b + noise) * n / denominator, np.inf)


@dataclass(frozen=True)
class Risk:
    """Test and training risk, with the effective ridges behind them."""

    test: Array
    train: Array
    gamma: Array
    kappa: Array
    ridge: Array


def ridge_risk(modes: Modes, n: ArrayLike, k: ArrayLike, ridge: ArrayLike, noise: float) -> Risk:
    """Risk at a given ridge; arguments broadcast, ``k`` may be ``np.inf``."""
    n, k, ridge = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, k, ridge)))
    sums, kappa = fixed_point(modes, n, k, ridge)
    slack = ridge / kappa
    test = risk(sums, n, k, noise, slack)
    return Risk(test, (slack / n) ** 2 * test, sums.gamma, kappa, ridge)


def gamma_table(modes: Modes, n: Array, k: Array, n_nodes: int = 300) -> Sums:
    """Sums on a grid of gamma that holds every ridgeless point (z = n or z = k) of a plane."""
    sizes = np.concatenate([n, k[np.isfinite(k)]])
    levels = effective_levels(modes, np.unique(sizes))
    # Where there are fewer modes than samples or features the ridgeless point is gamma -> 0.
    lowest = levels.min() if levels.min() > 0 else max(1e-12 * modes.eigenvalue[-1], 1e-60)
    grid = np.geomspace(lowest, 1e4 * modes.trace, n_nodes)
    return mode_sums(modes, np.unique(np.concatenate([grid, levels[levels > 0]])))


def optimal_plane(table: Sums, n: Array, k: Array, noise: float) -> tuple[Array, Array]:
    """Least risk over the ridge, and the ridge at which it is reached, for all of a plane.

    At fixed gamma the risk falls in n and in k and more of the grid becomes allowed (delta = (n - z) kappa >= 0,
    kappa >= 0), so the minimum over a table is monotone itself, whatever the spacing of its nodes.

    Returns
    -------
    risk, ridge : (len(k), len(n)) arrays
    """
    best = np.empty((k.size, n.size))
    ridge = np.empty_like(best)
    allowed = table.z[:, None] <= n * (1 + 1e-12)
    for row, width in enumerate(k):
        at = np.flatnonzero(table.z <= width * (1 + 1e-12))
        share = 1.0 if np.isinf(width) else np.maximum(width - table.z[at], 0.0) / (width - table.q[at])
        numerator = table.a[at] - table.gamma[at] * share * table.b[at] + noise
        spread = share * (table.z[at] - table.q[at]) - table.z[at]
        with np.errstate(divide="ignore", invalid="ignore"):
            # Columns are n: everything that depends on gamma alone is a vector.
            risks = numerator[:, None] / np.maximum(1 + spread[:, None] / n, 0.0)
        risks[~allowed[at]] = np.inf
        choice = np.argmin(risks, axis=0)
        best[row] = risks[choice, np.arange(n.size)]
        z, gamma = table.z[at][choice], table.gamma[at][choice]
        ridge[row] = np.maximum(n - z, 0.0) * gamma * (1.0 if np.isinf(width) else np.maximum(1 - z / width, 0.0))
    return best, ridge


def optimal_risk(modes: Modes, n: ArrayLike, k: ArrayLike, noise: float) -> Risk:
    """Risk at the best ridge (which may be 0) for each of a list of (n, k), by refining a table around its minimum."""
    n, k = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (n, k)))
    table = gamma_table(modes, n, k)
    z_most = np.minimum(n, k)[:, None]
    test = np.where(table.z <= z_most * (1 + 1e-12), risk(table, n[:, None], k[:, None], noise), np.inf)
    rows, at = np.arange(n.size), np.argmin(test, axis=1)
    floor = np.maximum(effective_levels(modes, z_most[:, 0]), table.gamma[0])
    x = np.broadcast_to(np.log(np.maximum(table.gamma, floor[:, None])), test.shape)
    share = np.linspace(0, 1, 9)
    for _ in range(6):
        low, high = x[rows, np.maximum(at - 1, 0)], x[rows, np.minimum(at + 1, x.shape[1] - 1)]
        x = low[:, None] + share * (high - low)[:, None]
        sums = mode_sums(modes, np.exp(x))
        test = risk(sums, n[:, None], k[:, None], noise)
        at = np.argmin(test, axis=1)
    gamma, z, best = sums.gamma[rows, at], sums.z[rows, at], test[rows, at]
    slack = np.maximum(n - z, 0.0)
    slack[slack < 1e-9 * n] = 0.0
    kappa = gamma * np.where(np.isinf(k), 1.0, np.maximum(1 - z / k, 0.0))
    return Risk(best, (slack / n) ** 2 * best, gamma, kappa, slack * kappa)


# --- power-law kernels as n -> infinity ------------------------------------------------------------------


def best_fill(spectrum_exponent: float, target_exponent: Array | float, relative_noise: Array | float) -> Array:
    """u = z/n at the best ridge of a kernel regression as n -> infinity; 1 where no ridge is best.

    Root of (1 - 1/alpha)(alpha s u^beta + beta u) = beta - 1 on (0, 1), by bisection. A target smoother than
    beta = 2 alpha + 1 is learned no faster than that one (its error is kappa^2 sum v^2/lambda^2), so beta is capped there.
    """
    alpha = spectrum_exponent
    beta, s = np.broadcast_arrays(np.minimum(np.asarray(target_exponent, float), 2 * alpha + 1), np.asarray(relative_noise, float))

    def excess(u: Array) -> Array:
        return (1 - 1 / alpha) * (alpha * s * u**beta + beta * u) - (beta - 1)

    low, high = np.zeros(beta.shape), np.ones(beta.shape)
    for _ in range(55):
        middle = (low + high) / 2
        below = excess(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(excess(np.ones(beta.shape)) <= 0, 1.0, (low + high) / 2)


def critical_noise(spectrum_exponent: float, target_exponent: Array | float) -> Array:
    """The relative noise (beta - alpha)/(alpha (alpha - 1)) below which interpolation is obligatory; 0 if beta < alpha."""
    alpha = spectrum_exponent
    beta = np.minimum(np.asarray(target_exponent, float), 2 * alpha + 1)
    return np.maximum(beta - alpha, 0.0) / (alpha * (alpha - 1))
