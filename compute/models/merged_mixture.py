r"""A Gaussian mixture at several depths: components merged in pairs into fewer Gaussians of the same moments.

Ward's tree over the component means is cut at 2^l clusters; a cluster becomes one Gaussian with its weight, mean and covariance.
Depth 0 is the Gaussian of the whole mixture, whose denoiser is linear; at the last depth every component stands for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, ward

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FullMixture:
    """A mixture of Gaussians with covariances of their own.

    Parameters
    ----------
    weights : (n_components,) array
    means : (n_components, d) array
    covariances : (n_components, d, d) array
    """

    weights: Array
    means: Array
    covariances: Array

    def denoise(self, y: Array, sigma: float) -> Array:
        """(n, d) E[x | y] at noise level sigma."""
        noisy = self.covariances + sigma**2 * np.eye(self.means.shape[1])
        inverse = np.linalg.inv(noisy)
        gap = y - self.means[:, None, :]  # (n_components, n, d)
        pulled = gap @ inverse  # symmetric
        _, log_volume = np.linalg.slogdet(noisy)
        logit = np.log(self.weights)[:, None] - 0.5 * log_volume[:, None] - 0.5 * np.sum(pulled * gap, axis=2)
        weight = np.exp(logit - logit.max(axis=0))
        weight /= weight.sum(axis=0)
        return np.einsum("kn,kni->ni", weight, self.means[:, None, :] + pulled @ self.covariances)


def depths(mixture: GaussianMixture) -> list[FullMixture]:
    """The mixture at depths 0, 1, … L, the last exact; L is the least with 2^L >= n_components."""
    n, d = mixture.means.shape
    last = int(np.ceil(np.log2(n))) if n > 1 else 0
    tree = ward(mixture.means) if n > 1 else None
    found = []
    for depth in range(last + 1):
        size = min(2**depth, n)
        owner = np.zeros(n, dtype=int) if tree is None else cut_tree(tree, n_clusters=size)[:, 0]
        weights, means, covariances = np.empty(size), np.empty((size, d)), np.empty((size, d, d))
        for k in range(size):
            mine = owner == k
            share = mixture.weights[mine]
            weights[k] = share.sum()
            means[k] = share @ mixture.means[mine] / weights[k]
            centered = mixture.means[mine] - means[k]
            covariances[k] = (share * centered.T) @ centered / weights[k] + mixture.width**2 * np.eye(d)
        found.append(FullMixture(weights, means, covariances))
    return found
