r"""Serial reproduction on a line: hear a stimulus through noise, guess it anew from the posterior, pass the guess on.

On a grid of points s with prior pi and noise p(x|s), one round is T(s'|s) = sum_x p(s'|x) p(x|s). With the exact posterior
p(s'|x) = pi(s') p(x|s')/p(x) it is reversible in pi, and with B = diag(pi)^{1/2} P diag(p_x)^{-1/2} its symmetric form is B B^T, so that
all eigenvalues lie in [0, 1]. For normal prior and noise of variances s^2 and sigma^2 they are rho^n, rho = s^2/(s^2 + sigma^2)
(Mehler's formula). Paper 142 reads a diffusion model as such a chain with falling noise.

An imperfect guesser knows the posterior only in part: with probability ``error`` it draws from the normal law of the posterior's mean and
variance, as a denoiser does that is fitted by squared error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Array = NDArray[np.float64]


def _normal(gap: Array, sigma: float) -> Array:
    return np.exp(-0.5 * (gap / sigma) ** 2)


def _bimodal(gap: Array, sigma: float) -> Array:
    return _normal(gap - sigma, sigma / 3) + _normal(gap + sigma, sigma / 3)


def _laplace(gap: Array, sigma: float) -> Array:
    return np.exp(-np.sqrt(2) * np.abs(gap) / sigma)


def _fade(gap: Array, sigma: float) -> Array:
    fade = -np.expm1(-sigma)
    return (1 - fade) * (np.abs(gap) < 1e-9) + fade / gap.shape[1]


FAMILIES: dict[str, Callable[[Array, float], Array]] = {
    "Gaussian": _normal,
    "bimodal": _bimodal,
    "Laplace": _laplace,
    "fade to uniform": _fade,
}


def noise_matrix(points: Array, family: str, sigma: float) -> Array:
    """(n, n) p(x | s), rows s; ``"fade to uniform"`` forgets the stimulus with probability 1 - e^{-sigma}.

    Parameters
    ----------
    points : (n,) array
        An even grid.
    family : str
        One of ``FAMILIES``; all but the last have a scale of about sigma.
    sigma : float
        Positive. Noise far below the spacing of the grid leaves a stimulus where it is.
    """
    # A floor far below any rounding that matters keeps far rows from vanishing.
    matrix = FAMILIES[family](points - points[:, None], sigma) + 1e-290
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def guess_matrix(points: Array, prior: Array, noise: Array, error: float = 0.0) -> Array:
    """(n, n) p(s' | x), rows x: the posterior, mixed with ``error`` of the normal law of its mean and variance."""
    joint = (prior[:, None] * noise).T
    total = joint.sum(axis=1, keepdims=True)
    exact = joint / np.maximum(total, 1e-300)
    if error == 0:
        return np.asarray(exact)
    mean = exact @ points
    variance = np.maximum(exact @ points**2 - mean**2, 0.0) + (points[1] - points[0]) ** 2 / 12
    blunt = np.exp(-0.5 * (points - mean[:, None]) ** 2 / variance[:, None])
    return np.asarray((1 - error) * exact + error * blunt / blunt.sum(axis=1, keepdims=True))


def round_matrix(points: Array, prior: Array, family: str, sigma: float, error: float = 0.0) -> Array:
    """(n, n) T(s' | s), rows s."""
    noise = noise_matrix(points, family, sigma)
    return np.asarray(noise @ guess_matrix(points, prior, noise, error))


def eigenvalues(points: Array, prior: Array, family: str, sigma: float, n: int) -> Array:
    """(n,) largest eigenvalues of the exact round, falling; the first is 1."""
    noise = noise_matrix(points, family, sigma)
    heard = prior @ noise
    half = np.sqrt(prior)[:, None] * noise / np.sqrt(np.maximum(heard, 1e-300))
    size = prior.size
    return np.asarray(eigh(half @ half.T, eigvals_only=True, subset_by_index=[size - n, size - 1])[::-1])


def divergence(law: Array, prior: Array) -> Array:
    """KL(law || prior) in nats, over the last axis."""
    ratio = np.log(np.maximum(law, 1e-300)) - np.log(np.maximum(prior, 1e-300))
    return np.asarray(np.sum(np.where(law > 0, law * ratio, 0.0), axis=-1))


def schedule(top: float, steps: int, power: float) -> Array:
    """(steps,) falling noise levels top ((N - i)/N)^power, i = 0 … N - 1."""
    return top * (1 - np.arange(steps) / steps) ** power
