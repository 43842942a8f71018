r"""The heat kernel of SU(3) on its maximal torus, by characters.

For eigenvalues e^{i theta_1}, e^{i theta_2}, e^{i theta_3} of product 1, over representations (p, q) of dimension d_pq and Casimir
C_pq,

    k_t = sum_{p,q} d_pq chi_pq e^{-C_pq t/2},    d = (p+1)(q+1)(p+q+2)/2,    C = (p^2 + q^2 + pq + 3p + 3q)/3,

the density of a class in respect to Haar measure. Weyl's formula writes chi as a ratio of alternating sums of e^{i(l_1 a + l_2 b)},
l = (p + q + 2, q + 1), so that all representations are summed by matrix products. The density over (theta_1, theta_2) is k_t times
Weyl's |Vandermonde|^2/(24 pi^2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PERMUTATIONS = (((0, 1), 1), ((1, 2), 1), ((2, 0), 1), ((1, 0), -1), ((2, 1), -1), ((0, 2), -1))


def casimir(p: Array, q: Array) -> Array:
    """C_pq; 4/3 for the defining representation."""
    return np.asarray((p * p + q * q + p * q + 3 * p + 3 * q) / 3)


def vandermonde(theta_1: Array, theta_2: Array) -> NDArray[np.complex128]:
    """Product of e^{i theta_j} - e^{i theta_k} over j < k."""
    a, b, c = (np.exp(1j * angle) for angle in (theta_1, theta_2, -theta_1 - theta_2))
    return np.asarray((a - b) * (a - c) * (b - c))


def kernel(theta_1: Array, theta_2: Array, t: float, most: int = 24) -> Array:
    """k_t at classes off the walls of the chamber, (n,), with p, q < ``most``."""
    p, q = np.meshgrid(np.arange(most, dtype=float), np.arange(most, dtype=float), indexing="ij")
    weight = (p + 1) * (q + 1) * (p + q + 2) / 2 * np.exp(-casimir(p, q) * t / 2)
    table = np.zeros((2 * most + 1, most + 1))
    table[(p + q + 2).astype(int), (q + 1).astype(int)] = weight
    angles = (theta_1, theta_2, -theta_1 - theta_2)
    first = [np.exp(1j * np.outer(angle, np.arange(2 * most + 1))) for angle in angles]
    second = [f[:, : most + 1] for f in first]
    total = sum(sign * np.einsum("nl,nl->n", first[j] @ table, second[k]) for (j, k), sign in PERMUTATIONS)
    return np.asarray(np.real(total / vandermonde(theta_1, theta_2)))


def weyl_density(theta_1: Array, theta_2: Array) -> Array:
    """Of Haar measure over (theta_1, theta_2) in [-pi, pi]^2; integrates to 1."""
    return np.asarray(np.abs(vandermonde(theta_1, theta_2)) ** 2 / (24 * np.pi**2))
