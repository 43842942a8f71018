r"""Stochastic interpolants between three laws: paths on the simplex, and what they cost (153).

x(alpha) = sum_k alpha_k x_k for independent shapes x_k in the plane and alpha on the simplex; g_k = E[x_k | x(alpha)], and
along a path alpha(t) the law is carried by x' = sum_k alpha_k' g_k. Its kinetic cost int E|b|^2 dt = int alpha'^T G alpha' dt
is measured by the metric G_ij(alpha) = E[g_i . g_j], tabulated once on a triangular grid.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize

from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.methods.grids import grid_table
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.interpolants import Blend, JointMixture, independent
from compute.parameters import Choice, Real, Seed

Array = NDArray[np.float64]

ThirdVertex = Annotated[
    str, Choice("third vertex", options=("waves", "standard normal"), help="The law at the top of the triangle.")
]
PathBend = Annotated[
    float, Real("path bend", "c", low=0.0, high=1.0, help="Largest weight of the third law on the way: 0 keeps to the edge.")
]

N_SIDE = 14
N_PARTICLES, N_SAMPLES = 240, 160
N_TIMES = 31
WIDTH = 0.22
N_PATH = 80


def shapes(third: str) -> tuple[GaussianMixture, ...]:
    """A ring, a cross and the third law, each of about the same size."""
    angle = 2 * np.pi * np.arange(6) / 6
    ring = 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cross = np.array([[0.0, 0.0], [1.7, 1.7], [-1.7, 1.7], [1.7, -1.7], [-1.7, -1.7]])
    waves = np.array([[-2.2, -1.0], [-1.1, 1.0], [0.0, -1.0], [1.1, 1.0], [2.2, -1.0]])
    last = GaussianMixture(np.ones(5), waves, WIDTH) if third == "waves" else GaussianMixture(np.ones(1), np.zeros((1, 2)), 1.0)
    return GaussianMixture(np.ones(6), ring, WIDTH), GaussianMixture(np.ones(5), cross, WIDTH), last


def corner_map(alpha: Array) -> tuple[Array, Array]:
    """Where weights (..., 3) stand in an equilateral triangle: first law left, second right, third on top."""
    return alpha[..., 1] + 0.5 * alpha[..., 2], np.sqrt(0.75) * alpha[..., 2]


def grid() -> Array:
    """(n_points, 3) weights on the triangular grid, by third weight, then by second."""
    n = N_SIDE - 1
    return np.array([[n - j - k, j, k] for k in range(N_SIDE) for j in range(N_SIDE - k)]) / n


def place(j: Array, k: Array) -> Array:
    """Row of ``grid`` that holds second weight j/n and third weight k/n."""
    return k * N_SIDE - k * (k - 1) // 2 + j


def metric(joint: JointMixture, rng: np.random.Generator) -> Array:
    """(n_points, 3, 3) G = E[g_i . g_j] on the grid, from the same draws at every point, as many of each tuple."""
    repeats = max(1, N_SAMPLES // joint.weights.size)
    means = np.repeat(joint.means, repeats, axis=0).transpose(1, 0, 2)
    width = np.sqrt(np.diagonal(joint.covariance[0]))
    ends = means + width[:, None, None] * rng.standard_normal(means.shape)
    found = []
    for alpha in grid():
        g = joint.conditional_means(np.tensordot(alpha, ends, axes=1), Blend(alpha, np.zeros(3)))
        found.append(np.einsum("ind,jnd->ij", g, g) / ends.shape[1])
    return np.array(found)


def interpolate(table: Array, alpha: Array) -> Array:
    """Values of a table on the grid at (n, 3) weights, linear in each small triangle."""
    n = N_SIDE - 1
    u, v = n * alpha[:, 1], n * alpha[:, 2]
    k = np.clip(np.floor(v), 0, n - 1).astype(int)
    j = np.clip(np.floor(u), 0, n - 1 - k).astype(int)
    fu, fv = u - j, v - k
    is_upper = (fu + fv > 1) & (j + k < n - 1)
    base = np.where(is_upper, place(j + 1, np.minimum(k + 1, n - j - 1)), place(j, k))
    wu, wv = np.where(is_upper, 1 - fu, fu), np.where(is_upper, 1 - fv, fv)
    to_u = np.where(is_upper, place(j, k + 1), place(j + 1, k))
    to_v = np.where(is_upper, place(j + 1, k), place(j, k + 1))
    shape = (-1,) + (1,) * (table.ndim - 1)
    w = [a.reshape(shape) for a in (1 - wu - wv, wu, wv)]
    return w[0] * table[base] + w[1] * table[to_u] + w[2] * table[to_v]


def bent(t: Array, bend: float, lean: float = 0.0) -> Array:
    """(n, 3) weights: from the first law to the second, with up to ``bend`` of the third, earlier or later by ``lean``."""
    top = np.clip(4 * t * (1 - t) * (bend + lean * (2 * t - 1)), 0, 1)
    return np.stack([(1 - t) * (1 - top), t * (1 - top), top], axis=1)


def triangle_board(values: Array) -> tuple[Array, Array, Array]:
    """A table on the grid as a map over the equilateral triangle: columns x, rows y, values (NaN outside)."""
    x, y = np.linspace(0, 1, 81), np.linspace(0, np.sqrt(0.75), 71)
    top = np.broadcast_to(y[:, None] / np.sqrt(0.75), (y.size, x.size)).ravel()
    second = np.tile(x, y.size) - 0.5 * top
    alpha = np.stack([1 - second - top, second, top], axis=1)
    inside = alpha.min(axis=1) > -0.004
    found = np.full(alpha.shape[0], np.nan)
    found[inside] = interpolate(values, np.maximum(alpha[inside], 0.0))
    return x, y, found.reshape(y.size, x.size)


def path_cost(table: Array, alpha: Array) -> tuple[float, float]:
    """Kinetic cost of (n + 1, 3) weights at even times, and at its best pacing: the squared length."""
    n = alpha.shape[0] - 1
    step = np.diff(alpha, axis=0)
    g = interpolate(table, 0.5 * (alpha[1:] + alpha[:-1]))
    pieces = np.einsum("ni,nij,nj->n", step, g, step)
    return float(n * pieces.sum()), float(np.sqrt(np.maximum(pieces, 0)).sum() ** 2)


@dataclass(frozen=True)
class Triangle(Result):
    """Particles along a path on the simplex, over the metric of the triangle."""

    board_x: Array  # (n_columns,)
    board_y: Array  # (n_rows,)
    board: Array  # (n_rows, n_columns) E|g_2 - g_1|^2, NaN outside the triangle
    path: Array  # (n_times, 3)
    best_path: Array  # (n_path + 1, 3)
    particles: Array  # (n_times, n, 2)
    angle: Array  # (n,) where each began
    vertices: Array  # (3, n, 2) exact draws of the three laws
    bends: Array  # (n_bends,)
    bend_cost: Array  # (n_bends,)
    cost: float
    simulated_cost: float
    simulated_error: float
    edge_paced: float
    best_paced: float
    distance: float
    floor: float
    third: str

    def table(self) -> pl.DataFrame:
        speed = grid_table("triangle_x", self.board_x, "triangle_y", self.board_y, squared_speed=self.board).drop_nulls()
        n_times, n = self.particles.shape[:2]
        flow = {
            "time_index": np.repeat(np.arange(n_times), n),
            "particle": np.tile(np.arange(n), n_times),
            "x1": self.particles[:, :, 0].ravel(),
            "x2": self.particles[:, :, 1].ravel(),
        }
        curve = {"path_bend": self.bends, "kinetic_cost": self.bend_cost}
        tables = [speed, pl.DataFrame(flow), pl.DataFrame(curve)]
        return pl.concat(tables, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "kinetic cost of this path": self.cost,
            "of its particles": f"{self.simulated_cost:.3g} ± {self.simulated_error:.2g}",
            "of the edge": float(self.bend_cost[0]),
            "of the edge, best pacing": self.edge_paced,
            "least over paths, best pacing": self.best_paced,
            "W₁ to the second law": self.distance,
            "W₁ of exact samples": self.floor,
        }


@experiment
def triangle(*, third_vertex: ThirdVertex = "waves", path_bend: PathBend = 0.3, seed: Seed = 0) -> Triangle:
    """Particles carried by x' = Σ α_k' g_k along a path on the simplex of three laws; cost of every path by one metric (153)."""
    laws = shapes(third_vertex)
    joint = independent(laws)
    table = metric(joint, np.random.default_rng([seed, 1]))
    rng = np.random.default_rng([seed, 2])
    # Shorter steps at the ends, where modes part.
    times = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, N_TIMES))
    path = bent(times, path_bend)
    each = N_PARTICLES // laws[0].n_components
    x = np.repeat(laws[0].means, each, axis=0) + WIDTH * rng.standard_normal((N_PARTICLES, 2))
    angle = np.arctan2(x[:, 1], x[:, 0])
    states, energy = [x], np.zeros(N_PARTICLES)
    for (a, b), dt in zip(itertools.pairwise(path), np.diff(times), strict=True):
        # Heun's rule along the chord from a to b.
        first = joint.velocity(x, Blend(a, b - a))
        second = joint.velocity(x + first, Blend(b, b - a))
        x = x + 0.5 * (first + second)
        energy += 0.5 * np.sum(first**2 + second**2, axis=1) / dt
        states.append(x)
    fine = np.linspace(0, 1, N_PATH + 1)

    def paced(c: Array) -> float:
        return path_cost(table, bent(fine, c[0], c[1]))[1]

    starts = (np.array([0.0, 0.0]), np.array([0.4, 0.0]))
    tries = [minimize(paced, s, method="Nelder-Mead", bounds=[(0, 1), (-0.5, 0.5)], options={"maxfev": 60}) for s in starts]
    best = min(tries, key=lambda r: r.fun).x
    bends = np.linspace(0, 1, 21)
    target = Target(laws[1], N_PARTICLES)
    difference = np.array([-1.0, 1.0, 0.0])
    board = triangle_board(difference @ table @ difference)
    return Triangle(
        *board,
        path,
        bent(fine, best[0], best[1]),
        np.stack(states),
        angle,
        np.stack([law.sample(rng, 200) for law in laws]),
        bends,
        np.array([path_cost(table, bent(fine, float(c)))[0] for c in bends]),
        path_cost(table, bent(fine, path_bend))[0],
        float(energy.mean()),
        float(energy.std(ddof=1) / np.sqrt(N_PARTICLES)),
        path_cost(table, bent(fine, 0.0))[1],
        float(min(r.fun for r in tries)),
        target.w1(x),
        target.noise_floor(rng, 5)[0],
        third_vertex,
    )
