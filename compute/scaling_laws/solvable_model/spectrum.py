"""How features carry on the power law of the data: latent, linear and rectified spectra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import eigvalsh

from compute.experiment import Result, experiment
from compute.parameters import Seed
from compute.scaling_laws.solvable_model.model import Alpha, Features, Latents, latent_head

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSpectrum(Result):
    """Eigenvalues of the covariance of the latents, of linear and of rectified features, each over its largest."""

    latent: Array  # (n_shown,) at ``latent_rank``
    latent_rank: Array
    linear: Array  # (N,)
    rectified: Array  # (N,)
    alpha: float
    latents: int

    def table(self) -> pl.DataFrame:
        rank = np.arange(1.0, self.linear.size + 1)
        return pl.concat(
            [
                pl.DataFrame({"kind": "latents", "rank": self.latent_rank, "eigenvalue_over_largest": self.latent}),
                pl.DataFrame(
                    {"kind": "linear features", "rank": rank[: self.linear_rank], "eigenvalue_over_largest": self.shown_linear}
                ),
                pl.DataFrame({"kind": "rectified features", "rank": rank, "eigenvalue_over_largest": self.rectified}),
            ]
        )

    @property
    def linear_rank(self) -> int:
        """Linear features have no more directions than there are latents."""
        return min(self.linear.size, self.latents)

    @property
    def shown_linear(self) -> Array:
        return self.linear[: self.linear_rank]

    def slope(self, values: Array) -> float | str:
        """Exponent between ranks 5 and a third of the eigenvalues."""
        last = values.size // 3
        if last < 15:
            return "too few features"
        rank = np.arange(5, last)
        return float(-np.polyfit(np.log(rank), np.log(values[4 : last - 1]), 1)[0])

    def headline(self) -> dict[str, float | str]:
        beyond = self.rectified.size > self.latents
        return {
            "exponent of the latents, 1+α": 1 + self.alpha,
            "fitted to linear features": self.slope(self.shown_linear),
            "fitted to rectified features": self.slope(self.rectified),
            "nonzero linear eigenvalues": self.linear_rank,
            "nonzero rectified eigenvalues": self.rectified.size,
            "rectified over linear beyond M": "the rectified spectrum goes on, the linear one has ended"
            if beyond
            else "N is below M",
        }


def rectified_covariance(gram: Array) -> Array:
    """Covariance of max(0, <u, x>) for Gaussian x, from the covariance of the <u, x>.

    E[relu relu'] = s s' (sin t + (pi - t) cos t)/(2 pi) with cos t the correlation, and the mean is s/sqrt(2 pi) (Cho & Saul 2009).
    """
    scale = np.sqrt(np.diag(gram))
    cosine = np.clip(gram / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    angle = np.arccos(cosine)
    return np.asarray(np.outer(scale, scale) * (np.sin(angle) + (np.pi - angle) * cosine - 1) / (2 * np.pi))


def feature_seconds(n_features: int, latents: int, **_: object) -> float:
    n, kept = float(n_features), min(latents, 3 * n_features + 100)
    return float(5e-3 + 1.5e-8 * n * kept + 4e-11 * n**2 * kept + 2.5e-10 * n**3)


@experiment(seconds=feature_seconds)
def feature_spectrum(
    *, alpha: Alpha = 0.8, n_features: Features = 100, latents: Latents = 3000, seed: Seed = 0
) -> Iterator[tuple[float, FeatureSpectrum]]:
    """Spectra of the covariance of N random features, linear (U x) and rectified (max(0, U x)), exact given the draw of U.

    Three latents a feature are kept one by one, the others add their summed variance to the diagonal.
    """
    rng = np.random.default_rng(seed)
    head = latent_head(alpha, latents, n_features)
    weights = rng.standard_normal((n_features, head.eigenvalue.size)) * np.sqrt(head.eigenvalue)
    gram = weights @ weights.T
    gram[np.diag_indices(n_features)] += head.tail_trace
    linear = np.sort(eigvalsh(gram, check_finite=False))[::-1]
    rectified = np.sort(eigvalsh(rectified_covariance(gram), check_finite=False))[::-1]
    rank = np.unique(np.rint(np.geomspace(1, latents, 200)))
    floor = 1e-15
    yield (
        1.0,
        FeatureSpectrum(
            rank ** -(1 + alpha),
            rank,
            np.maximum(linear / linear[0], floor),
            np.maximum(rectified / rectified[0], floor),
            alpha,
            latents,
        ),
    )
