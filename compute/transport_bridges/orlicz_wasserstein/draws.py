"""Draws of the mixing measure from a Dirichlet process's posterior, as a film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.location_mixture import outlying_mass
from compute.methods.shared_parameters import gathered
from compute.parameters import LogInteger, Seed
from compute.transport_bridges.orlicz_wasserstein.rates import distances
from compute.transport_bridges.orlicz_wasserstein.setting import (
    DIRICHLET,
    Mixture,
    Phi,
    Power,
    Radius,
    Samples,
    fit_seconds,
    phi_of,
)

Array = NDArray[np.float64]
LEAST_WEIGHT = 1e-5  # drawn

Frames = Annotated[int, LogInteger("draws shown", low=20, high=60, help="One sweep of the sampler each, from a random start.")]


@dataclass(frozen=True)
class Draws(Result):
    """Successive draws of the mixing measure on the line."""

    means: Array  # (n_draws, K)
    weights: Array  # (n_draws, K)
    atoms: Array  # (m,)
    outlying: Array  # (n_draws,)
    distance: dict[str, Array]  # (n_draws,)
    occupied: float  # mean number of atoms with more than one percent, over the later half
    radius: float

    def table(self) -> pl.DataFrame:
        n, K = self.means.shape
        stems = {"draw": np.repeat(np.arange(1, n + 1), K), "location": self.means.ravel(), "weight": self.weights.ravel()}
        traces = {"draw": np.arange(1, n + 1), "outlying_mass": self.outlying} | self.distance
        return pl.concat([pl.DataFrame(stems), pl.DataFrame(traces)], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        later = slice(self.outlying.size // 2, None)
        found: dict[str, float | str] = {f"{name}, later half": float(v[later].mean()) for name, v in self.distance.items()}
        return found | {
            "outlying mass, later half": float(self.outlying[later].mean()),
            "atoms with more than 1%": self.occupied,
            "true atoms": float(self.atoms.size),
        }


def _seconds(*, n_samples: int, truncation: int, draws_shown: int, estimator: str, **_: object) -> float:
    return 0.01 + 4e-4 * draws_shown + fit_seconds(n_samples, truncation, DIRICHLET, draws_shown)


@experiment(seconds=_seconds)
@gathered(Mixture, "mixture")
def posterior_draws(
    *,
    phi: Phi = "exp(x)-1",
    power_p: Power = 2.0,
    n_samples: Samples = 500,
    outlier_radius: Radius = 2.0,
    draws_shown: Frames = 50,
    mixture: Mixture,
    seed: Seed = 0,
) -> Iterator[tuple[float, Draws]]:
    """Run the blocked Gibbs sampler from atoms at random points; with EM chosen the one likeliest measure stands still."""
    rng = np.random.default_rng([seed, 29])
    atoms, young = mixture.on_the_line(), phi_of(phi, power_p)
    x = mixture.sample(atoms, n_samples, rng)
    found = list(mixture.draws(x, draws_shown, rng))
    found = found if len(found) > 1 else found * 2
    means, weights = np.array([m[:, 0] for m, _ in found]), np.array([w for _, w in found])
    gaps = np.array([distances(atoms, m, w, young) for m, w in found])
    yield (
        1.0,
        Draws(
            means,
            np.maximum(weights, LEAST_WEIGHT),
            atoms[:, 0],
            np.array([float(outlying_mass(m, w, atoms, outlier_radius)) for m, w in found]),
            {name: gaps[:, k] for k, name in enumerate(("W₁", "W₂", f"W, {young.name}"))},
            float(np.mean(np.sum(weights[len(found) // 2 :] > 0.01, axis=1))),
            outlier_radius,
        ),
    )
