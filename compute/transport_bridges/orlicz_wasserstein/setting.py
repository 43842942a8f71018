"""What the views share: the true mixture, the estimators and the choice of Phi. Lengths are in widths of the normal components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.location_mixture import Draw, best_em, gibbs
from compute.methods.orlicz import EXPONENTIAL, GAUSSIAN, Young, power
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

PHIS = ("exp(x)-1", "exp(x^2)-1", "x^p")
DIRICHLET, EM = "Dirichlet process", "EM"
EM_STEPS, EM_STARTS = 100, 2
BURN_IN = 30

Phi = Annotated[str, Choice("Φ", options=PHIS, help="The convex function that prices a distance.")]
Power = Annotated[float, Real("power", "p", low=1.0, high=8.0, when=("phi", ("x^p",)))]
Samples = Annotated[int, LogInteger("samples", "n", low=50, high=20_000)]
Truncation = Annotated[int, Integer("fitted atoms", "K", low=2, high=30, help="Of EM, or where the stick of the process is cut.")]
Concentration = Annotated[
    float,
    LogReal("concentration", r"\alpha", low=0.1, high=10.0, when=("estimator", (DIRICHLET,)), help="Of the Dirichlet process."),
]
PriorWidth = Annotated[
    float,
    LogReal(
        "width of the base measure",
        "t",
        low=1.0,
        high=20.0,
        when=("estimator", (DIRICHLET,)),
        help="Where atoms without data fall.",
    ),
]
TrueAtoms = Annotated[int, Integer("true atoms", "m", low=1, high=5)]
Spacing = Annotated[float, Real("spacing of true atoms", r"\Delta", low=1.0, high=10.0)]
Radius = Annotated[
    float, LogReal("outlier radius", "r", low=0.3, high=20.0, help="An atom is an outlier farther than this from all true ones.")
]
Estimator = Annotated[str, Choice("estimator", options=(DIRICHLET, EM))]


@dataclass(frozen=True)
class Mixture:
    """The truth and how it is fitted."""

    estimator: Estimator = DIRICHLET
    truncation: Truncation = 20
    true_atoms: TrueAtoms = 3
    spacing: Spacing = 4.0
    concentration: Concentration = 1.0
    prior_width: PriorWidth = 6.0

    def on_the_line(self) -> Array:
        """(m, 1) atoms, centered."""
        return np.asarray(self.spacing * (np.arange(self.true_atoms) - (self.true_atoms - 1) / 2))[:, None]

    def in_the_plane(self) -> Array:
        """(m, 2) atoms: corners of a regular polygon with this side."""
        m = self.true_atoms
        if m == 1:
            return np.zeros((1, 2))
        angle = np.pi / 2 - 2 * np.pi * np.arange(m) / m
        return np.asarray(self.spacing / (2 * np.sin(np.pi / m)) * np.stack([np.cos(angle), np.sin(angle)], axis=1))

    def sample(self, atoms: Array, n: int, rng: np.random.Generator) -> Array:
        """(n, d) points: atoms with equal weights, each with a normal law of width 1 around it."""
        return np.asarray(atoms[rng.integers(len(atoms), size=n)] + rng.standard_normal((n, atoms.shape[1])))

    def draws(self, x: Array, n_sweeps: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Mixing measures (means, weights): each sweep of the posterior, or the one of the largest likelihood."""
        if self.estimator == EM:
            fit = best_em(x, self.truncation, 1.0, EM_STEPS, EM_STARTS, rng)
            yield fit.means, fit.weights
        else:
            for draw in self.posterior(x, n_sweeps, rng):
                yield draw.means, draw.weights

    def posterior(self, x: Array, n_sweeps: int, rng: np.random.Generator) -> Iterator[Draw]:
        """Sweeps of the Dirichlet process's posterior."""
        return gibbs(x, self.truncation, 1.0, self.concentration, self.prior_width, n_sweeps, rng)


def phi_of(phi: str, p: float) -> Young:
    return {"exp(x)-1": EXPONENTIAL, "exp(x^2)-1": GAUSSIAN}.get(phi) or power(p)


def fit_seconds(n: float, truncation: int, estimator: str, n_sweeps: int) -> float:
    """Of one fit, measured."""
    sweeps = EM_STEPS * EM_STARTS if estimator == EM else n_sweeps
    return sweeps * (6e-5 + n * truncation * 1.5e-8)
