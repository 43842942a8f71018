r"""Spectra that several labs share: power-law modes with their whole tail, and the Marchenko–Pastur law.

A spectrum is a set of ``Modes``: eigenvalues lambda_i, how many modes each node stands for, and the power
v_i^2 of a target on them. Infinitely many power-law modes become some 340 nodes: the first exactly, the rest by
Gauss–Legendre quadrature in log i, and what lies beyond as one node that has its first two moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import zeta

Array = NDArray[np.float64]


@lru_cache(maxsize=16)
def _legendre(n_nodes: int) -> tuple[Array, Array]:
    """Gauss–Legendre nodes and weights on [-1, 1]; they cost milliseconds to find."""
    return np.polynomial.legendre.leggauss(n_nodes)


@dataclass(frozen=True)
class Modes:
    """A spectrum and a target on it.

    Parameters
    ----------
    eigenvalue : (n_nodes,) array
        Positive, in descending order.
    weight : (n_nodes,) array
        Number of modes that a node stands for; need not be an integer.
    power : (n_nodes,) array
        Sum of the squared target coefficients over the node's modes.
    """

    eigenvalue: Array
    weight: Array
    power: Array

    @property
    def count(self) -> float:
        """Number of modes."""
        return float(self.weight.sum())

    @property
    def trace(self) -> float:
        """Sum of all eigenvalues."""
        return float(self.weight @ self.eigenvalue)


def explicit_modes(eigenvalue: ArrayLike, power: ArrayLike) -> Modes:
    """Modes given one by one, sorted by eigenvalue, largest first."""
    eigenvalue, power = np.asarray(eigenvalue, dtype=float), np.asarray(power, dtype=float)
    order = np.argsort(-eigenvalue, kind="stable")
    return Modes(eigenvalue[order], np.ones(order.size), power[order])


def scaled_modes(eigenvalue: ArrayLike, power: ArrayLike) -> Modes:
    """Modes given one by one, scaled to a top eigenvalue of 1 and a total power of 1."""
    eigenvalue, power = np.asarray(eigenvalue, dtype=float), np.asarray(power, dtype=float)
    return explicit_modes(eigenvalue / eigenvalue.max(), power / power.sum())


def power_law_modes(
    spectrum_exponent: float, target_exponent: float, *, exact: int = 256, per_decade: int = 12, last: float = 1e9
) -> Modes:
    """Infinitely many modes lambda_i = i^-alpha, v_i^2 = i^-beta/zeta(beta), i = 1, 2, …

    Parameters
    ----------
    spectrum_exponent, target_exponent : float
        alpha and beta, both above 1; the target's power sums to 1.
    exact : int
        The first modes are kept one by one.
    per_decade : int
        Gauss–Legendre nodes a decade of i beyond them, up to ``last``.
    last : float
        Beyond it one node carries the tail: its trace, its sum of squares, its power.

    Returns
    -------
    Modes
        Sums of smooth functions of lambda over it differ from those over all modes by a relative 1e-6.
    """
    i = np.arange(1.0, exact + 1)
    start = exact + 0.5  # the midpoint rule backwards: sum_{i > exact} f(i) = int_{exact + 1/2} f
    panels = int(np.ceil(np.log10(last / start)))
    x, w = _legendre(per_decade)
    edges = np.linspace(np.log(start), np.log(last), panels + 1)
    half = np.diff(edges)[:, None] / 2
    node = np.exp(edges[:-1, None] + half * (x + 1)).ravel()
    i = np.concatenate([i, node])
    weight = np.concatenate([np.ones(exact), (half * w).ravel() * node])
    eigenvalue, power = i**-spectrum_exponent, weight * i**-target_exponent
    trace = last ** (1 - spectrum_exponent) / (spectrum_exponent - 1)
    squares = last ** (1 - 2 * spectrum_exponent) / (2 * spectrum_exponent - 1)
    power_left = last ** (1 - target_exponent) / (target_exponent - 1)
    return Modes(
        np.append(eigenvalue, squares / trace),
        np.append(weight, trace**2 / squares),
        np.append(power, power_left) / float(zeta(target_exponent)),
    )


@dataclass(frozen=True, eq=False)  # by identity: what is drawn for a head is kept
class Head:
    """The largest modes one by one; all others only by their sums, as if there were infinitely many small ones."""

    eigenvalue: Array  # (n_modes,)
    power: Array  # (n_modes,)
    tail_trace: float
    tail_power: float

    def modes(self) -> Modes:
        """The same as ``Modes``: the tail is a node of 1e12 modes."""
        if self.tail_trace == 0 and self.tail_power == 0:
            return explicit_modes(self.eigenvalue, self.power)
        many = 1e12
        return Modes(
            np.append(self.eigenvalue, max(self.tail_trace / many, 1e-300)),
            np.append(np.ones(self.eigenvalue.size), many),
            np.append(self.power, self.tail_power),
        )


@lru_cache(maxsize=8)
def power_law_head(spectrum_exponent: float, target_exponent: float, n_modes: int) -> Head:
    """The first modes of ``power_law_modes``, with the sums of the others in closed form (Hurwitz zeta)."""
    i = np.arange(1.0, n_modes + 1)
    total = float(zeta(target_exponent))
    eigenvalue, power = i**-spectrum_exponent, i**-target_exponent / total
    eigenvalue.flags.writeable = power.flags.writeable = False
    return Head(
        eigenvalue,
        power,
        float(zeta(spectrum_exponent, n_modes + 1)),
        float(zeta(target_exponent, n_modes + 1)) / total,
    )


def explicit_head(modes: Modes, n_modes: int) -> Head:
    """The largest of modes given one by one, with the sums of the others."""
    return Head(
        modes.eigenvalue[:n_modes],
        modes.power[:n_modes],
        float(modes.eigenvalue[n_modes:].sum()),
        float(modes.power[n_modes:].sum()),
    )


# --- Marchenko–Pastur ----------------------------------------------------------------------------------


def marchenko_pastur_edges(aspect: float) -> tuple[float, float]:
    """Edges of the spectrum of X X^T, X of shape (N, aspect N) with entries of variance 1/N."""
    return (1 - np.sqrt(aspect)) ** 2, (1 + np.sqrt(aspect)) ** 2


def marchenko_pastur_density(eigenvalue: ArrayLike, aspect: float) -> Array:
    """Density of the positive eigenvalues; its mass is min(1, aspect), the rest lies at 0."""
    eigenvalue = np.asarray(eigenvalue, dtype=float)
    low, high = marchenko_pastur_edges(aspect)
    inside = np.maximum((high - eigenvalue) * (eigenvalue - low), 0.0)
    return np.sqrt(inside) / (2 * np.pi * np.maximum(eigenvalue, 1e-300))


def marchenko_pastur_nodes(aspect: float, n_nodes: int = 240) -> tuple[Array, Array]:
    """Quadrature over the positive eigenvalues of the Marchenko–Pastur law.

    With lambda = (1 - sqrt a)^2 + 4 sqrt a sin^2(phi/2) the density is smooth in phi, and phi = 1e-4 sinh(u)
    spreads the nodes over the scales down to lambda ~ 1e-8, where a = 1 and late times need them.

    Parameters
    ----------
    aspect : float
        a = columns over rows, positive.
    n_nodes : int

    Returns
    -------
    eigenvalue, weight : (n_nodes,) array
        The weights sum to min(1, a).
    """
    scale = 1e-4
    x, w = _legendre(n_nodes)
    top = np.arcsinh(np.pi / scale)
    u = top * (x + 1) / 2
    phi = scale * np.sinh(u)
    root = np.sqrt(aspect)
    eigenvalue = (1 - root) ** 2 + 4 * root * np.sin(phi / 2) ** 2
    jacobian = scale * np.cosh(u) * w * top / 2
    return eigenvalue, jacobian * 2 * aspect * np.sin(phi) ** 2 / (np.pi * eigenvalue)
