r"""Sums over a geometric spectrum of any dimension with at most 16 terms.

d eigenvalues evenly spaced in their logarithm from 1/sqrt(kappa) to sqrt(kappa). A sum of a smooth function over them is
d times a mean over the uniform law on d equally spaced points, and the Gauss rule of that discrete law with n nodes is
exact for polynomials of degree 2n - 1 in log eigenvalue. Its Jacobi matrix is that of the discrete Chebyshev (Gram)
polynomials, whose off-diagonal squares are k^2 (d^2 - k^2)/(4 (4k^2 - 1)) at unit spacing (NIST DLMF 18.19-18.22, Hahn at
alpha = beta = 0).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

Array = NDArray[np.float64]

MAX_NODES = 16


def geometric_spectrum(dimension: int, condition: float, max_nodes: int = MAX_NODES) -> tuple[Array, Array]:
    """Eigenvalues and how many each stands for; all of them where ``dimension`` <= ``max_nodes``.

    Parameters
    ----------
    dimension : int
        1 gives the eigenvalue 1.
    condition : float
        Largest over smallest eigenvalue, at least 1.

    Returns
    -------
    eigenvalues, multiplicity : (min(dimension, max_nodes),) arrays
        Increasing; the multiplicities sum to the dimension.
    """
    half = 0.5 * np.log(condition)
    if dimension <= max_nodes:
        position = np.linspace(-1, 1, dimension) if dimension > 1 else np.zeros(1)
        return np.exp(half * position), np.ones(dimension)
    k = np.arange(1.0, max_nodes)
    beside = np.sqrt(k**2 * (dimension**2 - k**2) / (4 * (4 * k**2 - 1)))
    nodes, vectors = eigh_tridiagonal(np.zeros(max_nodes), beside)
    return np.exp(half * nodes / (0.5 * (dimension - 1))), dimension * vectors[0] ** 2
