r"""Derivatives of the probability-flow map: forward sensitivities, backpropagation through a sampler, and the adjoint ODE.

With C the posterior covariance, dD/dy = C/sigma^2 is symmetric, and the flow's velocity v = (y - D)/sigma has the Jacobian
J = (I - C/sigma^2)/sigma. For a loss l of the end point, a = dl/dy obeys da/dsigma = -J a along the flow.

*Backpropagation* takes the derivative of the discrete sampler, exactly, and stores its states. The *adjoint* (paper 494)
stores nothing: it follows y back up together with a, by the same kind of steps. In which variables it does so matters.
A form is a factor k(sigma), for w = k y and a/k, and a clock p(sigma):

    noise        w = y, p = sigma: dy/dsigma = v, the noise-prediction form that 494 reaches from VP by y = x/alpha
    data         w = y/sigma, p = 1/sigma: dw/dp = D, so that the linear part is exact
    VP time      w = alpha y, p = t of the linear VP schedule: no reparametrization
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import BETA_MAX, BETA_MIN, VP

Array = NDArray[np.float64]


def denoiser_product(mixture: GaussianMixture, y: Array, sigma: float, a: Array) -> Array:
    """(n, d) (C/sigma^2) a at the rows of y: the derivative of the denoiser along a, or its transpose applied to a."""
    y, a = np.ascontiguousarray(y, dtype=float), np.ascontiguousarray(a, dtype=float)
    return np.asarray(_denoiser_product(y, sigma, a, np.log(mixture.weights), mixture.means, mixture.width))


@kernel
def _denoiser_product(y, sigma, a, log_weights, means, width):  # type: ignore[no-untyped-def]
    """Row by row: steering calls it for one noise at a time, where array operations would cost more than their sums."""
    n, d = y.shape
    variance = width * width + sigma * sigma
    keep = width * width / variance
    out = np.empty((n, d))
    logit = np.empty(log_weights.size)
    for i in range(n):
        for k in range(log_weights.size):
            square = 0.0
            for j in range(d):
                square += (y[i, j] - means[k, j]) ** 2
            logit[k] = log_weights[k] - 0.5 * square / variance
        best = logit.max()
        mean, second = np.zeros(d), np.zeros(d)
        total, along = 0.0, 0.0
        for k in range(log_weights.size):
            w = np.exp(logit[k] - best)
            product = 0.0
            for j in range(d):
                product += a[i, j] * means[k, j]
            total += w
            along += w * product
            for j in range(d):
                mean[j] += w * means[k, j]
                second[j] += w * product * means[k, j]
        for j in range(d):
            among = second[j] / total - mean[j] * along / (total * total)
            out[i, j] = (1 - keep) ** 2 * among / sigma**2 + keep * a[i, j]
    return out


def _jacobian_product(mixture: GaussianMixture, y: Array, sigma: float, a: Array) -> Array:
    return (a - denoiser_product(mixture, y, sigma, a)) / sigma


def jacobian(mixture: GaussianMixture, y: Array, sigma_max: float, sigma_min: float, n_steps: int = 200) -> tuple[Array, Array]:
    """End points (n, d) and derivative (n, d, d) d end/d start of the flow from sigma_max down: RK4 in log sigma.

    Row i, column j of the derivative is d end_i/d start_j.
    """
    grid = np.geomspace(sigma_max, sigma_min, n_steps + 1)
    h = np.log(sigma_min / sigma_max) / n_steps
    m = np.broadcast_to(np.eye(y.shape[1]), (*y.shape, y.shape[1]))

    def slope(y: Array, m: Array, sigma: float) -> tuple[Array, Array]:
        return y - mixture.denoise(y, sigma), m - mixture.posterior_covariance(y, sigma) / sigma**2 @ m

    for high, low in itertools.pairwise(grid):
        middle = float(np.sqrt(high * low))
        k1, m1 = slope(y, m, high)
        k2, m2 = slope(y + h / 2 * k1, m + h / 2 * m1, middle)
        k3, m3 = slope(y + h / 2 * k2, m + h / 2 * m2, middle)
        k4, m4 = slope(y + h * k3, m + h * m3, low)
        y, m = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), m + h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)
    return y, m


def states(mixture: GaussianMixture, y: Array, levels: Array, *, heun: bool) -> list[Array]:
    """The sampler's states at falling levels; a step to 0 is Euler's."""
    found = [y]
    for sigma, sigma_next in itertools.pairwise(levels):
        h = sigma_next - sigma
        slope = (y - mixture.denoise(y, sigma)) / sigma
        if heun and sigma_next > 0:
            ahead = y + h * slope
            slope = (slope + (ahead - mixture.denoise(ahead, sigma_next)) / sigma_next) / 2
        y = y + h * slope
        found.append(y)
    return found


def backpropagate(mixture: GaussianMixture, stored: list[Array], levels: Array, a: Array, *, heun: bool) -> Array:
    """(n, d) dl/d start of the discrete sampler from a = dl/d end, through the states that it stored."""
    for y, sigma, sigma_next in zip(stored[-2::-1], levels[-2::-1], levels[:0:-1], strict=True):
        h = sigma_next - sigma
        if heun and sigma_next > 0:
            ahead = y + h * (y - mixture.denoise(y, sigma)) / sigma
            b = _jacobian_product(mixture, ahead, sigma_next, a)
            a = a + h / 2 * (b + _jacobian_product(mixture, y, sigma, a + h * b))
        else:
            a = a + h * _jacobian_product(mixture, y, sigma, a)
    return a


@dataclass(frozen=True)
class Form:
    """Variables in which the adjoint is followed: w = factor(sigma) y against clock(sigma)."""

    clock: Callable[[float], float]
    pace: Callable[[float], float]  # dsigma/dclock
    factor: Callable[[float], float]
    growth: Callable[[float], float]  # d log factor/dsigma


def _vp_time(sigma: float) -> float:
    return float(VP.time(sigma))


def _vp_pace(sigma: float) -> float:
    beta = BETA_MIN + (BETA_MAX - BETA_MIN) * _vp_time(sigma)
    return float(beta * (1 + sigma**2) / (2 * sigma))


FORMS = {
    "VP time": Form(_vp_time, _vp_pace, lambda s: 1 / np.sqrt(1 + s * s), lambda s: -s / (1 + s * s)),
    "noise": Form(lambda s: s, lambda s: 1.0, lambda s: 1.0, lambda s: 0.0),
    "data": Form(lambda s: 1 / s, lambda s: -s * s, lambda s: 1 / s, lambda s: -1 / s),
}


def adjoint(mixture: GaussianMixture, end: Array, levels: Array, a: Array, form: Form, *, heun: bool) -> tuple[Array, Array]:
    """dl/d start and the start itself, (n, d) each, as followed up from the end over falling positive levels.

    Parameters
    ----------
    mixture : GaussianMixture
    end : (n, d) array
        Where the sampler arrived, at ``levels[-1]``.
    levels : (n_steps + 1,) array
    a : (n, d) array
        dl/d end.
    form : Form
    heun : bool
        Heun's steps; Euler's if not.
    """

    def slopes(w: Array, b: Array, sigma: float) -> tuple[Array, Array]:
        k, pace = form.factor(sigma), form.pace(sigma)
        linear = form.growth(sigma) + 1 / sigma
        y = w / k
        rise = pace * (linear * w - k / sigma * mixture.denoise(y, sigma))
        return rise, -pace * (linear * b - denoiser_product(mixture, y, sigma, b) / sigma)

    w, b = form.factor(levels[-1]) * end, a / form.factor(levels[-1])
    for low, high in zip(levels[:0:-1], levels[-2::-1], strict=True):
        h = form.clock(high) - form.clock(low)
        dw, db = slopes(w, b, low)
        if heun:
            dw2, db2 = slopes(w + h * dw, b + h * db, high)
            dw, db = (dw + dw2) / 2, (db + db2) / 2
        w, b = w + h * dw, b + h * db
    k = form.factor(levels[0])
    return b * k, w / k
