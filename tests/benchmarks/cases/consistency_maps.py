"""Consistency maps: the fixed point of discrete training by quadrature, and continuous training by SGD."""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri, softmax

from compute.diffusion_samplers.consistency_maps import discrete
from compute.diffusion_samplers.consistency_maps.setting import mixture_of
from compute.diffusion_samplers.consistency_maps.training import (
    BATCH,
    CENTERS_T,
    CENTERS_X,
    N_T,
    N_X,
    WIDTH_T,
    WIDTH_X,
    _train,
    batches,
    unit_scale_of,
)
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    yield _discrete()
    yield _training()


def _discrete() -> Case:
    mixture, n_steps = mixture_of("three_modes_1d", 3.0), 52
    scale, means, width = mixture.scale, mixture.means[:, 0], mixture.width
    z = scale * ndtri((np.arange(discrete.N_LABELS) + 0.5) / discrete.N_LABELS)
    reach = max(6.5 * scale, float(np.abs(means).max()) + 6.5 * width)
    grid = np.linspace(-reach, reach, discrete.N_GRID)
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(discrete.N_NODES)

    def at(f: Array, u: Array) -> Array:
        """Cubic between the grid's points, straight beyond them."""
        j = np.clip(u.astype(int), 1, f.size - 3)
        r = u - j
        inner = -r * (r - 1) * (r - 2) / 6 * f[j - 1] + (r + 1) * (r - 1) * (r - 2) / 2 * f[j]
        inner += -(r + 1) * r * (r - 2) / 2 * f[j + 1] + (r + 1) * r * (r - 1) / 6 * f[j + 2]
        after = f[-1] + (u - f.size + 1) * (f[-1] - f[-2])
        return np.where(u <= 0, f[0] + u * (f[1] - f[0]), np.where(u >= f.size - 1, after, inner))

    def expect(x: Array, f: Array, t: float, t_next: float) -> Array:
        variance = np.cos(t) ** 2 * width**2 + np.sin(t) ** 2 * scale**2
        gain = (np.cos(t) * np.cos(t_next) * width**2 + np.sin(t) * np.sin(t_next) * scale**2) / variance
        gap = x[:, None] - np.cos(t) * means
        share = softmax(np.log(mixture.weights) - 0.5 * gap**2 / variance, axis=1)
        spread = width * scale * np.sin(t - t_next) / np.sqrt(variance)
        ends = (np.cos(t_next) * means + gain * gap)[..., None] + spread * nodes
        return np.sum(share * (at(f, (ends + reach) / (grid[1] - grid[0])) @ (node_weights / node_weights.sum())), axis=1)

    def plain() -> Array:
        times, f = np.linspace(0, np.pi / 2, n_steps + 1), grid
        for n in range(1, n_steps + 1):
            f = expect(z if n == n_steps else grid, f, times[n], times[n - 1])
        return f

    return Case(
        f"map of discrete consistency training, {n_steps} steps, {grid.size} points",
        lambda: discrete.trained_map(mixture, z, n_steps),
        "NumPy",
        plain,
        (discrete._expect,),
    )


def _training() -> Case:
    iterations, rate, c, warm = 600, 6.0, 0.1, 180.0
    mixture = unit_scale_of("three_modes_1d", 3.0)
    x, t, w = batches(mixture, np.random.default_rng(0), iterations, exact_velocity=False)
    centers = CENTERS_X, CENTERS_T, WIDTH_X, WIDTH_T

    def fast() -> Array:
        theta, out = np.zeros((N_X, N_T)), np.empty((iterations, 2))
        _train(theta, x, t, w, rate, c, warm, 0, *centers, out)
        return np.concatenate([theta.ravel(), out.ravel()])

    def plain() -> Array:
        theta, out = np.zeros((N_X, N_T)), np.empty((iterations, 2))
        # The features of all batches at once.
        u, v = ((at[..., None] - center) / size for at, center, size in zip((x, t), centers[:2], centers[2:], strict=True))
        px, pt = np.exp(-0.5 * u**2), np.exp(-0.5 * v**2)
        dx, dt = -u / WIDTH_X * px, -v / WIDTH_T * pt
        cos, sin = np.cos(t), np.sin(t)
        for i in range(iterations):
            by_time = px[i] @ theta
            value = np.vecdot(by_time, pt[i])
            along = w[i] * np.vecdot(dx[i] @ theta, pt[i]) + np.vecdot(by_time, dt[i])
            g = -(cos[i] ** 2) * (value - w[i]) - min(1.0, (i + 1) / warm) * cos[i] * sin[i] * (x[i] + along)
            size = np.sqrt(np.mean(g**2))
            step = px[i].T @ (g[:, None] * pt[i]) / (g.size * (size + c))
            out[i] = size, np.linalg.norm(step)
            theta += rate * step
        return np.concatenate([theta.ravel(), out.ravel()])

    return Case(
        f"{iterations} steps of continuous consistency training, {N_X * N_T} features, batch {BATCH}",
        fast,
        "NumPy",
        plain,
        (_train,),
    )
