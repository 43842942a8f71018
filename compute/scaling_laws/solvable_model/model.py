r"""Ridge regression on N random features of T samples with M power-law latents: its loss in closed form.

Latents x_I have variance lambda_I = I^{-(1+alpha)}, I = 1..M; labels are <w, x> + noise with isotropic w of unit variance; the
features are U x with an N x M Gaussian U of unit variance; the ridge gamma stands on the sum of squares. With

    z = sum lambda/(lambda + kappa),  q = sum (lambda/(lambda + kappa))^2,  gamma = kappa (N - z)(T - z),

the test loss as N, T grow together is

    L = [kappa N T (z - q) + sigma^2 T (N - q)]/[N T - q (N + T) + 2 q z - z^2],

which counts the test point's own noise. Without noise it is symmetric in N and T. It is the random-feature eigenframework
(``compute.models.eigenframework``) at eigenvalues lambda_I, target power lambda_I and ridge gamma/N on the mean kernel.

References
----------
Maloney, Roberts & Sully, "A Solvable Model of Neural Scaling Laws" (2022), paper 359 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.models.eigenframework import fixed_point, gamma_table, optimal_plane, optimal_risk
from compute.models.spectra import Head, Modes, explicit_head, explicit_modes
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

EXACT = 200  # modes kept one by one
NODES = 24  # Gauss-Legendre nodes for those beyond
LOWEST, HIGHEST = 5.0, 2000.0  # features and samples

Alpha = Annotated[float, Real("spectrum exponent", r"\alpha", low=0.1, high=2.0, help="Latent variances fall as I^-(1+α).")]
Features = Annotated[int, LogInteger("features", "N", low=5, high=2000, help="Parameters of the model.")]
Samples = Annotated[int, LogInteger("samples", "T", low=5, high=2000, help="Training points.")]
Latents = Annotated[int, LogInteger("latents", "M", low=100, high=20_000, help="Where the power law of the data ends.")]
Ridge = Annotated[
    float,
    LogReal("ridge", r"\gamma", low=1e-8, high=1e4, help="On the sum of squares; a matrix of features has entries of order 1."),
]
RidgeChoice = Annotated[
    str,
    Choice("ridge at each point", options=("fixed", "optimal"), help="The ridge of the slider, or the best one at each (N, T)."),
]
LabelNoise = Annotated[
    float, Real("label noise", r"\sigma", low=0.0, high=0.5, help="Standard deviation; the labels' own is above 1.")
]
Repeats = Annotated[int, Integer("simulated draws", "R", low=0, high=50, help="Independent data and features behind each point.")]


@cache
def _quadrature() -> tuple[Array, Array]:
    x, w = np.polynomial.legendre.leggauss(NODES)
    return x, w


def latent_modes(alpha: float, latents: int) -> Modes:
    """The M latents: the first one by one, the rest by Gauss-Legendre quadrature in log I.

    Returns
    -------
    Modes
        Sums of smooth functions of lambda over it differ from those over all M by a relative 1e-6.
    """
    exact = min(EXACT, latents)
    i = np.arange(1.0, exact + 1)
    weight = np.ones(exact)
    if latents > exact:
        x, w = _quadrature()
        low, high = np.log([exact + 0.5, latents + 0.5])
        node = np.exp(low + (high - low) * (x + 1) / 2)
        i, weight = np.append(i, node), np.append(weight, (high - low) / 2 * w * node)
    eigenvalue = i ** -(1 + alpha)
    return Modes(eigenvalue, weight, weight * eigenvalue)


def latent_head(alpha: float, latents: int, n: int) -> Head:
    """What a simulation with at most n samples keeps one by one: three latents a sample; the others act by their sum."""
    eigenvalue = np.arange(1.0, latents + 1) ** -(1 + alpha)
    return explicit_head(explicit_modes(eigenvalue, eigenvalue), min(latents, 3 * n + 100))


@dataclass(frozen=True)
class Loss:
    """The loss with what is behind it, each of the common shape of N, T and ridge."""

    loss: Array
    kappa: Array
    ridge: Array


def fixed_ridge_loss(modes: Modes, n: ArrayLike, t: ArrayLike, ridge: ArrayLike, noise: float) -> Loss:
    """The loss at a given ridge.

    Parameters
    ----------
    n, t, ridge : array_like
        Features, samples and gamma > 0, broadcast against each other.
    noise : float
        Variance of the label noise.
    """
    n, t, ridge = (np.array(v) for v in np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, t, ridge))))
    # Symmetric in N and T: the smaller is put first so that swapping them gives the same bytes.
    small, large = np.minimum(n, t), np.maximum(n, t)
    sums, _ = fixed_point(modes, large, small, ridge / small)
    kappa, z, q = sums.gamma, sums.z, sums.q
    product = ridge / kappa  # (N - z)(T - z)
    wide = large - z
    narrow = product / wide  # of the smaller, where subtraction would cancel
    denominator = product + (z - q) * (wide + narrow)
    clean = kappa * n * t * (z - q) / denominator
    left_n = np.where(n <= t, narrow, wide)
    return Loss(clean + noise * t * (left_n + z - q) / denominator, kappa, ridge)


def optimal_ridge_loss(modes: Modes, n: ArrayLike, t: ArrayLike, noise: float) -> Loss:
    """The least loss over the ridge, for a list of (N, T)."""
    n, t = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (n, t)))
    best = optimal_risk(modes, t, n, noise)
    return Loss(best.test, best.gamma, best.ridge * n)


def optimal_ridge_plane(modes: Modes, n: Array, t: Array, noise: float) -> Loss:
    """The least loss over the ridge on a plane, (len(t), len(n)) arrays."""
    loss, ridge = optimal_plane(gamma_table(modes, t, n), t, n, noise)
    return Loss(loss.T, np.empty(0), (ridge * n[:, None]).T)


def asymptote(alpha: float, size: ArrayLike) -> Array:
    """(pi/((1+alpha) sin(pi/(1+alpha))))^{1+alpha} N^-alpha: ridgeless, with the other size and M infinite."""
    s = 1 + alpha
    return np.asarray((np.pi / (s * np.sin(np.pi / s))) ** s * np.asarray(size, dtype=float) ** -alpha)


def local_exponents(modes: Modes, n: float, t: float, ridge: float | None, noise: float) -> tuple[float, float]:
    """-d log L/d log N and -d log L/d log T; ``ridge`` None is the best at each point."""
    step = 1.02
    at_n, at_t = np.array([n / step, n * step, n, n]), np.array([t, t, t / step, t * step])
    found = optimal_ridge_loss(modes, at_n, at_t, noise) if ridge is None else fixed_ridge_loss(modes, at_n, at_t, ridge, noise)
    log_loss = np.log(np.maximum(found.loss, 1e-300))
    width = 2 * np.log(step)
    return float((log_loss[0] - log_loss[1]) / width), float((log_loss[2] - log_loss[3]) / width)


def frontier(sizes: Array, log_loss: Array) -> tuple[Array, Array]:
    """The best N and T on each line N T = const of a plane whose log-spaced axes are both ``sizes``.

    The lines are the grid's antidiagonals; a parabola through the least value and its neighbors places the minimum between nodes.
    Lines whose minimum lies at an end of the grid are left out.
    """
    n_sizes, step = sizes.size, np.log(sizes[1] / sizes[0])
    flipped = log_loss[::-1]
    best_n, best_t = [], []
    for offset in range(-n_sizes + 5, n_sizes - 4):
        values = np.diagonal(flipped, offset)
        k = int(np.argmin(values))
        if k in (0, values.size - 1):
            continue
        left, here, right = values[k - 1 : k + 2]
        curvature = left - 2 * here + right
        shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
        column = k + max(offset, 0)
        row = n_sizes - 1 - (k + max(-offset, 0))
        best_n.append(sizes[column] * np.exp(step * shift))
        best_t.append(sizes[row] * np.exp(-step * shift))
    return np.array(best_n), np.array(best_t)
