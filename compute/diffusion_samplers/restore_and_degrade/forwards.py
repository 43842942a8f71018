r"""Forward processes dx = f(x) dt + sqrt(2) dW from a mixture of Gaussians, with the score of every law in between.

Linear drifts f = -(kappa + omega J) x, J a quarter turn, keep a mixture a mixture: x_t = e^{-kappa t} R(-omega t) x_0
+ sqrt(v_t) z with v_t = (1 - e^{-2 kappa t})/kappa, 2t for kappa = 0. The double well has no such form; its densities are
solved for on a grid by ``compute.methods.fokker_planck``, which also serves to check it on a drift that has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.methods.fokker_planck import fokker_planck
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

HORIZON = 1.5
FORWARDS = ("OU", "VE", "double well", "skew")
TURN = 2.0  # omega of the skew drift: 3 radians over the horizon
QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])

N_CELLS = 320
N_TIMES = 300


class Forward(Protocol):
    """What samplers need to know of a forward process."""

    @property
    def data(self) -> GaussianMixture:
        """The law at time 0."""

    def __hash__(self) -> int: ...

    def drift(self, x: Array) -> Array:
        """(n, d) f(x)."""

    def score(self, x: Array, t: float) -> Array:
        """(n, d) grad log q_t(x)."""

    def start(self, n: int) -> Array:
        """(n, d) points that stand for q_T: means of its n cells of equal probability, or a sequence that fills it evenly."""

    def marginal(self, x: Array, t: float) -> Array:
        """(n,) density of the first coordinate at time t."""


def cell_means(law: GaussianMixture, n: int) -> Array:
    """(n,) mean of a law on the line within each of n cells of equal probability, in order."""
    edges = np.concatenate([[-np.inf], law.quantile(np.arange(1, n) / n), [np.inf]])
    return n * np.diff(law.mean_below(edges))


@dataclass(frozen=True, eq=False)
class Linear:
    """f(x) = -(kappa + omega J) x; omega only in the plane."""

    data: GaussianMixture
    kappa: float
    omega: float = 0.0

    def matrix(self, t: float) -> Array:
        """(d, d) e^{-(kappa + omega J) t}."""
        if self.data.dimension == 1:
            return np.full((1, 1), np.exp(-self.kappa * t))
        turn = self.omega * t
        return np.exp(-self.kappa * t) * (np.cos(turn) * np.eye(2) - np.sin(turn) * QUARTER)

    def law(self, t: float) -> GaussianMixture:
        """q_t."""
        variance = -math.expm1(-2 * self.kappa * t) / self.kappa if self.kappa else 2 * t
        width = math.sqrt(math.exp(-2 * self.kappa * t) * self.data.width**2 + variance)
        means = self.data.means @ self.matrix(t).T if self.omega else math.exp(-self.kappa * t) * self.data.means
        return GaussianMixture(self.data.weights, means, width)

    def drift(self, x: Array) -> Array:
        out = -self.kappa * x
        return out - self.omega * x @ QUARTER.T if self.omega else out

    def score(self, x: Array, t: float) -> Array:
        return self.law(t).score(x)

    def start(self, n: int) -> Array:
        law = self.law(HORIZON)
        if law.dimension == 1:
            return cell_means(law, n)[:, None]
        # Means lie on the turned first axis; across it the law is normal. Roberts' additive sequence fills the square.
        along = self.matrix(HORIZON)[:, 0] * np.exp(self.kappa * HORIZON)
        across = QUARTER @ along
        k, golden = np.arange(1, n + 1)[:, None], 1.324717957244746
        u = (0.5 + k * np.array([1 / golden, 1 / golden**2])) % 1
        return law.project(along).quantile(u[:, 0])[:, None] * along + law.width * ndtri(u[:, 1])[:, None] * across

    def marginal(self, x: Array, t: float) -> Array:
        axis = np.eye(self.data.dimension)[0]
        return self.law(t).project(axis).pdf(x)


@dataclass(frozen=True, eq=False)
class Gridded:
    """Any drift on the line, its densities solved for on a grid of cells between walls.

    Parameters
    ----------
    data : GaussianMixture
    force : callable
        (n,) positions to drifts.
    reach : float
        The walls stand at plus and minus this.
    """

    data: GaussianMixture
    force: Callable[[Array], Array]
    reach: float

    def __post_init__(self) -> None:
        edges = np.linspace(-self.reach, self.reach, N_CELLS + 1)
        width = edges[1] - edges[0]
        density = np.diff(self.data.cdf(edges)) / width
        # Steps grow with time: right after the start the law changes fastest.
        times = HORIZON * (np.arange(N_TIMES + 1) / N_TIMES) ** 2
        drift = self.force(edges[1:-1])[None]
        nothing, one, unit = np.zeros_like(drift), np.ones_like(drift), np.ones(1)
        densities = [density]
        for step in np.diff(times):
            densities.append(fokker_planck(densities[-1], drift, nothing, one, unit, edges, step)[0])
        found = np.array(densities)
        centers = 0.5 * (edges[1:] + edges[:-1])
        slopes = np.gradient(np.log(np.maximum(found, 1e-280)), width, axis=1)
        slopes[0] = self.data.score(centers[:, None])[:, 0]  # known
        for name, value in (("edges", edges), ("centers", centers), ("densities", found), ("slopes", slopes)):
            object.__setattr__(self, name, value)

    def drift(self, x: Array) -> Array:
        return self.force(x)

    def _row(self, table: Array, t: float) -> Array:
        """A row of a table over times, between two rows where t is between them."""
        place = N_TIMES * np.sqrt(t / HORIZON)
        k = min(int(place), N_TIMES - 1)
        return (k + 1 - place) * table[k] + (place - k) * table[k + 1]

    def score(self, x: Array, t: float) -> Array:
        row = self._row(self.slopes, t)  # type: ignore[attr-defined]
        return np.interp(x[:, 0], self.centers, row)[:, None]  # type: ignore[attr-defined]

    def quantile(self, p: Array, t: float) -> Array:
        """The x below which a share p of q_t lies."""
        density = self._row(self.densities, t)  # type: ignore[attr-defined]
        cdf = np.concatenate([[0.0], np.cumsum(density)])
        return np.interp(p, cdf / cdf[-1], self.edges)  # type: ignore[attr-defined]

    def start(self, n: int) -> Array:
        fine = self.quantile((np.arange(8 * n) + 0.5) / (8 * n), HORIZON)
        return fine.reshape(n, 8).mean(axis=1)[:, None]

    def marginal(self, x: Array, t: float) -> Array:
        return np.interp(x, self.centers, self._row(self.densities, t))  # type: ignore[attr-defined]


def double_well(x: Array) -> Array:
    """The force x - x^3/4: wells at -2 and 2, a barrier of height 1 between them."""
    return x - 0.25 * x**3


@lru_cache(maxsize=32)
def forward_of(name: str, separation: float, width: float) -> Forward:
    """The process of that name; data are two equal modes, ``separation`` apart and ``width`` wide."""
    half = 0.5 * separation
    means = np.array([[-half, 0.0], [half, 0.0]]) if name == "skew" else np.array([[-half], [half]])
    data = GaussianMixture(np.ones(2), means, width)
    if name == "double well":
        return Gridded(data, double_well, max(6.0, half + 5 * width))
    return Linear(data, 0.0 if name == "VE" else 1.0, TURN if name == "skew" else 0.0)
