r"""The error of a Huber fit and of what it predicts, for small noise.

Residuals of standard deviation sigma and rows of Jacobian J give parameters of covariance v sigma^2 (J^T J)^{-1}, where
v = E psi^2/(sigma^2 P(|r| < delta)^2), psi the residual cut at delta: 1 for least squares, pi/2 for least absolute deviations.

References
----------
Huber, "Robust estimation of a location parameter" (1964).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]


def huber_variance(noise: float, delta: float) -> float:
    """v: variance of a Huber location estimate over that of the mean, for normal noise."""
    c = delta / noise
    inside = 2 * norm.cdf(c) - 1
    square = inside - 2 * c * norm.pdf(c) + 2 * c**2 * norm.sf(c)
    return float(square / inside**2)


def linear_error(jacobian: Array, gradient: Array, noise: float, delta: float) -> Array:
    """Standard error of predictions.

    Parameters
    ----------
    jacobian : (n_rows, n_parameters) array
        Of the rows fitted.
    gradient : (n_predictions, n_parameters) array
    noise : float
        sigma of the residuals, 0 or more.
    delta : float
        Threshold of the Huber loss.

    Returns
    -------
    (n_predictions,) array
    """
    if noise == 0:
        return np.zeros(len(gradient))
    _, r = np.linalg.qr(jacobian)
    solved = np.linalg.lstsq(r.T, gradient.T, rcond=None)[0]
    return np.asarray(np.sqrt(huber_variance(noise, delta) * np.sum(solved**2, axis=0)) * noise)
