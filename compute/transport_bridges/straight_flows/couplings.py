r"""Flows on the line from N(0, 1) to data under a coupling: velocity, curvature, and Euler steps.

Every coupling here keeps both laws. With T = Phi^{-1}(F(x)), the noise that transport pairs with x,

    z = rho T(x) + sqrt(1 - rho^2) xi,        x_t = (1 - t) z + t x.

rho = 0 pairs at random, rho = 1 is the monotone pairing that one reflow gives on the line, and rho = sqrt(1 - b^2) is the
annealed pairing of level b, x_0' = sqrt(1 - b^2) x_0 + b x_0''. The flow's velocity is v = E[x - z | x_t], and

    curvature = int E Var(x - z | x_t) dt = E|x - z|^2 - int E|v|^2 dt.

Between N(0, 1) and N(0, s^2) it is s phi sin(phi) with phi = arccos(rho).

References
----------
Lee, Kim & Ye, "Minimizing Trajectory Curvature of ODE-based Generative Models" (2023), paper 292; Zhu et al., "SlimFlow" (2024),
paper 101 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

N_NODES = 240
TAIL = 1e-5  # probability left out at either end
N_PLACES = 161
SMEAR = 0.25  # of a squared cell: neighbors overlap and a cell is followed linearly


def data_law(name: str, scale: float) -> GaussianMixture:
    """Data on the line of mean 0 and deviation ``scale``."""
    means, width, weights = {
        "Gaussian": ([0.0], 1.0, [1.0]),
        "two modes": ([-0.9, 0.9], np.sqrt(1 - 0.81), [0.5, 0.5]),
        "five modes": ([-2.0, -1.0, 0.0, 1.0, 2.0], 0.2, [0.2, 0.2, 0.2, 0.2, 0.2]),
        "two uneven modes": ([-0.6, 1.4], 0.3, [0.7, 0.3]),
    }[name]
    raw = GaussianMixture(np.array(weights), np.array(means)[:, None], float(width))
    share = scale / raw.scale
    return GaussianMixture(raw.weights, share * (raw.means - raw.mean), share * raw.width)


@dataclass(frozen=True, eq=False)
class Coupling:
    """Pairs of noise and data, cell by cell of the data.

    Parameters
    ----------
    x, noise : (n,) arrays
        The middle of each cell and the noise T(x) that transport pairs with it.
    weight : (n,) array
        Probability of each cell.
    x_slope, noise_slope : (n,) arrays
        Change of x and T over a cell.
    rho : float
    """

    x: Array
    noise: Array
    weight: Array
    x_slope: Array
    noise_slope: Array
    rho: float

    @property
    def residual(self) -> float:
        """sqrt(1 - rho^2)."""
        return float(np.sqrt(max(1 - self.rho**2, 0.0)))

    @property
    def energy(self) -> float:
        """E|x - z|^2."""
        return float(self.weight @ (self.x - self.rho * self.noise) ** 2 + self.residual**2)


def couple(law: GaussianMixture, rho: float) -> Coupling:
    """The coupling of correlation rho between noise and the noise that transport pairs with the data."""
    first, last = law.quantile(np.array([TAIL, 1 - TAIL]))
    edges = np.linspace(first, last, N_NODES + 1)
    x = (edges[1:] + edges[:-1]) / 2
    level = law.cdf(edges)
    weight = np.diff(level) / (level[-1] - level[0])
    return Coupling(x, ndtri(law.cdf(x)), weight, np.diff(edges), np.diff(ndtri(level)), rho)


@dataclass(frozen=True, eq=False)
class Moment:
    """The flow at one time, on a grid of places.

    Parameters
    ----------
    place, velocity, density : (n_places,) arrays
        x_t; E[x - z | x_t]; density.
    standardized : (n_places, n_cells) array
        Places from each cell's center, in its widths.
    weight : (n_cells,) array
    """

    place: Array
    velocity: Array
    density: Array
    standardized: Array
    weight: Array

    @property
    def level(self) -> Array:
        """(n_places,) distribution function; half of the work, and steps along the flow do without."""
        return np.asarray(ndtr(self.standardized) @ self.weight)


def moment(pairs: Coupling, t: float, place: Array | None = None) -> Moment:
    """Velocity and law of x_t: a sum over cells of x, each followed linearly, so that t = 1 and rho = 1 are no exception."""
    center = t * pairs.x + (1 - t) * pairs.rho * pairs.noise
    slope = t * pairs.x_slope + (1 - t) * pairs.rho * pairs.noise_slope
    own = (1 - t) * pairs.residual
    cell = SMEAR * slope**2
    variance = np.maximum(own**2 + cell, 1e-12)
    width = np.sqrt(variance)
    if place is None:
        place = np.linspace((center - 3 * width).min(), (center + 3 * width).max(), N_PLACES)
    z = (place[:, None] - center) / width
    each = np.exp(-0.5 * z**2) * (pairs.weight / width)
    total = np.maximum(each.sum(axis=1), 1e-300)
    away = z / width  # (y - c)/variance
    toward = SMEAR * slope * (pairs.x_slope - pairs.rho * pairs.noise_slope) - (1 - t) * pairs.residual**2
    velocity = np.einsum("ij,ij->i", each, pairs.x - pairs.rho * pairs.noise + toward * away) / total
    return Moment(place, velocity, total / np.sqrt(2 * np.pi), z, pairs.weight)


def curvature(pairs: Coupling, times: int = 24) -> float:
    """int E Var(x - z | x_t) dt by Gauss–Legendre in t and the trapezoid rule in x_t."""
    nodes, weights = np.polynomial.legendre.leggauss(times)
    total = 0.0
    for t, w in zip((nodes + 1) / 2, weights / 2, strict=True):
        now = moment(pairs, float(t))
        total += w * float(np.trapezoid(now.density * now.velocity**2, now.place) / np.trapezoid(now.density, now.place))
    return float(max(pairs.energy - total, 0.0))


def flow_lines(pairs: Coupling, levels: Array, times: Array) -> Array:
    """(n_times, n_levels) exact paths: on the line a flow keeps the level u of every particle."""
    return np.stack([np.interp(levels, (now := moment(pairs, float(t))).level, now.place) for t in times])


def euler(pairs: Coupling, start: Array, steps: int) -> Array:
    """(steps + 1, n) positions of Euler's method from starts (n,)."""
    path = [np.asarray(start, dtype=float)]
    for k in range(steps):
        order = np.argsort(path[-1])
        now = moment(pairs, k / steps, path[-1][order])
        moved = np.empty_like(path[-1])
        moved[order] = now.velocity
        path.append(path[-1] + moved / steps)
    return np.array(path)


def gaussian_curvature(rho: ArrayLike, scale: ArrayLike) -> Array:
    """s phi sin(phi), phi = arccos(rho)."""
    angle = np.arccos(np.asarray(rho, dtype=float))
    return np.asarray(scale, dtype=float) * angle * np.sin(angle)
