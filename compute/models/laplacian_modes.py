r"""Eigenpairs of Laplacians, -Delta phi = lambda phi: in closed form at any points, of a triangle mesh, of a graph.

Functions are orthonormal in L2 of the domain's volume (of a mesh, in its lumped masses; of a graph, in R^n), sorted by
eigenvalue; the constant one, of eigenvalue 0, is left out. Within an eigenspace the basis is one of many: what is built with
weights that depend on the eigenvalue alone, over whole eigenspaces, does not depend on it.

    interval [0, 1]   Neumann: (pi k)^2, sqrt(2) cos(pi k x)
    circle            k^2, cos(k t)/sqrt(pi) and sin(k t)/sqrt(pi)
    torus, cylinder   products: sums of eigenvalues
    sphere            l(l + 1), 2l + 1 real spherical harmonics

References
----------
Pinkall & Polthier, "Computing discrete minimal surfaces and their conjugates" (1993): the cotangent Laplacian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import coo_matrix, csc_matrix, diags
from scipy.sparse.linalg import eigsh
from scipy.special import sph_harm_y

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

SPARSE_FROM = 900  # vertices, above which few eigenpairs come faster by Lanczos's iteration


@dataclass(frozen=True)
class Modes:
    """Eigenvalues with their functions at given points.

    Parameters
    ----------
    eigenvalue : (K,) array
        Upward, all positive.
    function : (n, K) array
        Column k is phi_k.
    """

    eigenvalue: Array
    function: Array


def interval_modes(x: Array, n_modes: int) -> Modes:
    """On [0, 1] with no flux through its ends; ``x`` (n,) within it."""
    k = np.arange(1.0, n_modes + 1)
    return Modes(np.asarray((np.pi * k) ** 2, dtype=float), np.sqrt(2) * np.cos(np.pi * np.multiply.outer(x, k)))


def circle_modes(angle: Array, n_modes: int) -> Modes:
    """On the unit circle; ``angle`` (n,) in radians. Cosine before sine of each frequency."""
    k = np.arange(1, n_modes + 1)
    frequency = (k + 1) // 2
    # A sine is a cosine a quarter of a turn later.
    phase = np.multiply.outer(angle, frequency) - np.where(k % 2 == 0, np.pi / 2, 0.0)
    return Modes(frequency.astype(float) ** 2, np.cos(phase) / np.sqrt(np.pi))


def torus_modes(first: Array, second: Array, n_modes: int) -> Modes:
    """On the flat torus of two angles (n,), each over a full turn."""
    # Frequencies |j| + |k| <= f make 2 f^2 + 2 f + 1 functions, none above f^2.
    highest = int(np.ceil(np.sqrt(n_modes / 2)))
    one, two = (_with_constant(circle_modes(a, 2 * highest), 2 * np.pi) for a in (first, second))
    return _product(one, two, n_modes)


def cylinder_modes(angle: Array, height: Array, n_modes: int, length: float = 1.0) -> Modes:
    """On the unit circle times [0, length], with no flux through its rims.

    Parameters
    ----------
    angle, height : (n,) arrays
        Radians; height within [0, length].
    n_modes : int
    length : float
    """
    highest = _highest_on_cylinder(n_modes, length)
    line = interval_modes(height / length, int(highest * length / np.pi))
    upward = Modes(line.eigenvalue / length**2, line.function / np.sqrt(length))
    around = circle_modes(angle, 2 * highest)
    return _product(_with_constant(around, 2 * np.pi), _with_constant(upward, length), n_modes)


def _highest_on_cylinder(n_modes: int, length: float) -> int:
    """A frequency f such that more than n_modes eigenvalues of the cylinder, with its null one, are at most f^2."""
    f = 1
    while True:
        upward = np.pi * np.arange(int(f * length / np.pi) + 1) / length
        if int(np.sum(2 * np.floor(np.sqrt(f**2 - upward**2)) + 1)) > n_modes:
            return f
        f += 1


def _with_constant(modes: Modes, volume: float) -> Modes:
    constant = np.full((modes.function.shape[0], 1), 1 / np.sqrt(volume))
    return Modes(np.append(0.0, modes.eigenvalue), np.concatenate([constant, modes.function], axis=1))


def _product(one: Modes, two: Modes, n_modes: int) -> Modes:
    """The first n_modes of a product, its constant left out; both factors come with theirs."""
    total = np.add.outer(one.eigenvalue, two.eigenvalue).ravel()
    # Equal sums that differ in rounding keep the order of their factors.
    chosen = np.argsort(np.round(total, 9), kind="stable")[1 : n_modes + 1]
    i, j = np.divmod(chosen, two.eigenvalue.size)
    return Modes(total[chosen], one.function[:, i] * two.function[:, j])


def sphere_modes(points: Array, n_modes: int) -> Modes:
    """On the unit sphere; ``points`` (n, 3) of unit length. Orders m = -l … l of each degree l in turn."""
    colatitude = np.arccos(np.clip(points[:, 2], -1.0, 1.0))
    longitude = np.arctan2(points[:, 1], points[:, 0])
    highest = int(np.ceil(np.sqrt(n_modes + 1))) - 1
    columns: list[Array] = []
    for degree in range(1, highest + 1):
        order = np.arange(degree + 1)
        harmonic = sph_harm_y(degree, order[None, :], colatitude[:, None], longitude[:, None])
        sine, cosine = np.sqrt(2) * harmonic.imag[:, :0:-1], np.sqrt(2) * harmonic.real[:, 1:]
        columns += [sine, harmonic.real[:, :1], cosine]
    degrees = np.repeat(np.arange(1, highest + 1), 2 * np.arange(1, highest + 1) + 1)[:n_modes]
    return Modes((degrees * (degrees + 1)).astype(float), np.concatenate(columns, axis=1)[:, :n_modes])


def cotangent_laplacian(vertices: Array, triangles: Indices) -> tuple[csc_matrix, Array]:
    """Stiffness matrix S (n, n) and lumped masses (n,) of a mesh: S phi = lambda diag(mass) phi.

    Only lengths of edges enter, so that a rigid motion, or any that keeps lengths, changes nothing.

    Parameters
    ----------
    vertices : (n, 3) array
    triangles : (m, 3) array of int
    """
    n = vertices.shape[0]
    corner = vertices[triangles]
    opposite = [corner[:, (k + 2) % 3] - corner[:, (k + 1) % 3] for k in range(3)]
    double_area = np.linalg.norm(np.cross(opposite[0], opposite[1]), axis=1)
    rows, columns, values = [], [], []
    for k in range(3):
        # The angle at corner k weighs the edge across from it.
        cotangent = -np.sum(opposite[(k + 1) % 3] * opposite[(k + 2) % 3], axis=1) / double_area
        i, j = triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        rows += [i, j]
        columns += [j, i]
        values += [cotangent / 2, cotangent / 2]
    weight = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n)).tocsc()
    stiffness = diags(np.asarray(weight.sum(axis=1)).ravel()) - weight
    mass = np.zeros(n)
    np.add.at(mass, triangles.ravel(), np.repeat(double_area / 6, 3))
    return csc_matrix(stiffness), mass


def mesh_modes(vertices: Array, triangles: Indices, n_modes: int) -> Modes:
    """Of a closed connected triangle mesh, at its vertices; see ``cotangent_laplacian``."""
    stiffness, mass = cotangent_laplacian(vertices, triangles)
    root = 1 / np.sqrt(mass)
    symmetric = diags(root) @ stiffness @ diags(root)
    return _modes(csc_matrix(symmetric), n_modes, root)


def graph_modes(adjacency: NDArray[np.bool_] | Array, n_modes: int) -> Modes:
    """Of a connected graph's Laplacian D - A, at its n nodes; n_modes < n."""
    weight = csc_matrix(np.asarray(adjacency, dtype=float))
    degree = np.asarray(weight.sum(axis=1)).ravel()
    return _modes(csc_matrix(diags(degree) - weight), n_modes, np.ones(degree.size))


def _modes(matrix: csc_matrix, n_modes: int, root: Array) -> Modes:
    """The lowest eigenpairs of a symmetric matrix after the null one, functions times ``root``; largest entries positive."""
    n = matrix.shape[0]
    if not 1 <= n_modes < n:
        raise ValueError(f"n_modes: takes an integer from 1 to {n - 1}")
    if n < SPARSE_FROM or n_modes > n // 4:
        value, vector = eigh(matrix.toarray(), subset_by_index=[1, n_modes])
    else:
        scale = float(matrix.diagonal().mean())
        # A shift below zero keeps the factorized matrix definite; the start is fixed, so that the same mesh gives the same bytes.
        start = np.cos(np.arange(n) * 1.618)
        value, vector = eigsh(matrix, k=n_modes + 1, sigma=-1e-3 * scale, v0=start)
        order = np.argsort(value)[1:]
        value, vector = value[order], vector[:, order]
    largest = np.argmax(np.abs(vector), axis=0)
    function = root[:, None] * vector * np.sign(vector[largest, np.arange(n_modes)])
    return Modes(value, function)
