r"""A noisy geodesic bridge to a vertex of the sphere's orthant, by its distance to that vertex.

With K categories, u = sqrt(p) maps the simplex into the unit sphere S^{K-1}, category k to the unit vector e_k. The bridge

    dX = gamma_t log_X(e_k) dt + sigma dB,    gamma_t = 1/(1 - t),    t from 0 to 1,

(a noise that depends on time is this one on another clock) has a distance r to e_k that is a diffusion by itself:

    dr = (-gamma_t r + (sigma^2/2)(K - 2) cot r) dt + sigma dB.

Its density is solved here by finite volumes: with f = g sin^{K-2} r exp(-gamma_t r^2/sigma^2) the flux is minus (sigma^2/2) times
that weight times dg/dr, which keeps the density positive and its mass one (Chang and Cooper's scheme); time steps are implicit.

References
----------
Jo and Hwang, "Continuous diffusion model for language modeling" (2025), paper 267 of the catalogue: bridges on the statistical
manifold and their radial symmetry.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded

Array = NDArray[np.float64]

N_CELLS = 600
N_STEPS = 160


def _dot(u: Array, v: Array) -> Array:
    """(…, 1) inner products; of few coordinates far faster than a sum along them."""
    return np.asarray(np.einsum("...k,...k->...", u, v)[..., None])


def toward_vertices(u: Array) -> tuple[Array, Array]:
    """Distances r to the vertices and r/sin r, each of the shape (…, K) of the unit vectors ``u``."""
    r = np.arccos(np.clip(u, -1, 1))
    return r, 1 / np.maximum(np.sinc(r / np.pi), 1e-3)


def project_tangent(v: Array, u: Array) -> Array:
    """What of ``v`` is tangent to the sphere at the unit vectors ``u``."""
    return np.asarray(v - _dot(v, u) * u)


def along_geodesic(u: Array, v: Array) -> Array:
    """The end of the geodesic from unit vectors ``u`` with tangent ``v``."""
    length = np.sqrt(_dot(v, v))
    moved = np.cos(length) * u + np.sinc(length / np.pi) * v
    return np.asarray(moved / np.sqrt(_dot(moved, moved)))


def _weight_ratio(r: Array, gamma: float, noise: float, n_categories: int) -> Array:
    """log of weight(right center)/weight(left center) over the inner faces of cells with centers r."""
    log_weight = (n_categories - 2) * np.log(np.sin(r)) - gamma * r**2 / noise**2
    return np.asarray(np.diff(log_weight))


def _rates(r: Array, gamma: float, noise: float, n_categories: int) -> tuple[Array, Array]:
    """Rates at which mass hops from each cell to the right, and from each right neighbor back."""
    step = r[1] - r[0]
    w = _weight_ratio(r, gamma, noise, n_categories)
    # Bernoulli's function w/(e^w - 1) of the drop: exact for a constant drift between two centers.
    safe = np.where(np.abs(w) < 1e-8, 1.0, w)
    back = np.where(np.abs(w) < 1e-8, 1.0, safe / np.expm1(np.clip(safe, -600, 600)))
    scale = 0.5 * noise**2 / step**2
    return scale * (back + w), scale * back


def radius_density(time: float, noise: float, n_categories: int) -> tuple[Array, Array]:
    """Density of the distance to the vertex at ``time``, from the middle of the simplex.

    Parameters
    ----------
    time : float
        Within (0, 1); the grid resolves the density while noise sqrt(1 - time) > 0.01.
    noise : float
        sigma.
    n_categories : int
        K, at least 2.

    Returns
    -------
    r, density : (N_CELLS,) arrays
    """
    step = np.pi / N_CELLS
    r = np.asarray((np.arange(N_CELLS) + 0.5) * step, dtype=float)
    start = float(np.arccos(1 / np.sqrt(n_categories)))
    # Until it is a few cells wide the density is normal, about a path that is all but straight.
    first = min((3 * step / noise) ** 2, 0.5 * time)
    mean = start * (1 - first) + 0.5 * noise**2 * (n_categories - 2) / np.tan(start) * first
    mass = np.exp(-0.5 * (r - mean) ** 2 / (noise**2 * first * (1 - first)))
    mass /= mass.sum()
    left = np.geomspace(1 - first, 1 - time, N_STEPS + 1)
    for before, after in pairwise(left):
        dt = before - after
        up, down = _rates(r, 1 / (0.5 * (before + after)), noise, n_categories)
        out = np.zeros(N_CELLS)
        out[:-1] += up
        out[1:] += down
        # Two implicit half steps of Alexander's method: second order, and it damps what the grid does not resolve.
        part = 1 - np.sqrt(0.5)
        banded = np.zeros((3, N_CELLS))
        banded[1] = 1 + part * dt * out
        banded[0, 1:], banded[2, :-1] = -part * dt * down, -part * dt * up

        def move(m: Array, up: Array = up, down: Array = down, out: Array = out) -> Array:
            change = -out * m
            change[1:] += up * m[:-1]
            change[:-1] += down * m[1:]
            return change

        one = solve_banded((1, 1), banded, mass)
        mass = solve_banded((1, 1), banded, mass + (1 - part) * dt * move(one))
    return r, np.asarray(mass / step, dtype=float)


def walk_to_vertex(time: float, noise: float, n_categories: int, n: int, n_steps: int, rng: np.random.Generator) -> Array:
    """(n,) distances at ``time`` of walkers on the sphere itself, n_steps geodesic steps from the middle to the first vertex."""
    u = np.full((n, n_categories), 1 / np.sqrt(n_categories))
    left = np.geomspace(1.0, 1 - time, n_steps + 1)
    for before, after in pairwise(left):
        stretch = toward_vertices(u[:, :1])[1]
        pull = -u[:, :1] * u
        pull[:, 0] += 1
        # Over a step the bridge without noise goes the share 1 - after/before of its way.
        drift = (1 - after / before) * stretch * pull
        shake = noise * np.sqrt((before - after) * after / before) * rng.standard_normal(u.shape)
        u = along_geodesic(u, drift + project_tangent(shake, u))
    return np.asarray(np.arccos(np.clip(u[:, 0], -1, 1)))
