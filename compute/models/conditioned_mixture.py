r"""A Gaussian mixture of one covariance, conditioned on a linear observation y = H x + r, r ~ N(0, R).

With S = H C H^T + R and the gain K = C H^T S^{-1}, each component becomes N(mu_k + K (y - H mu_k), C - K H C) and its weight
is multiplied by N(y; H mu_k, S): the posterior is again a mixture of one covariance, exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compute.methods.log_sum_exp import softmax

Array = NDArray[np.float64]


def condition(
    weights: Array, means: Array, covariance: Array, observe: Array, noise: Array, seen: Array
) -> tuple[Array, Array, Array]:
    """Posterior weights, means and covariance given each of n observations.

    Parameters
    ----------
    weights : (n_components,) array
    means : (n_components, d) array
    covariance : (d, d) array
        Shared by the components.
    observe : (m, d) array
        H, of full row rank where the noise vanishes.
    noise : (m, m) array
        R, positive semidefinite.
    seen : (n, m) array
        The observations y.

    Returns
    -------
    weights : (n, n_components) array
    means : (n, n_components, d) array
    covariance : (d, d) array
        The same for all observations.
    """
    across = observe @ covariance  # (m, d)
    spread = across @ observe.T + noise
    gain = np.linalg.solve(spread, across).T  # (d, m)
    gap = seen[:, None, :] - means @ observe.T  # (n, n_components, m)
    logit = np.log(weights) - 0.5 * np.sum(gap * np.linalg.solve(spread, gap[..., None])[..., 0], axis=-1)
    left = covariance - gain @ across
    return softmax(logit), means + gap @ gain.T, 0.5 * (left + left.T)
