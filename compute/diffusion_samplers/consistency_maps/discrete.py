r"""What discrete consistency training converges to, without a network.

Training compares f at the two ends of a step of length dt of one path, with the same datum and noise:
f_n(x) = E[f_{n-1}(x_{t_{n-1}}) | x_{t_n} = x], f_0(x) = x. Given the component that a datum came from, the two ends are
jointly normal, so that the expectation is a sum of Gaussian ones: the fixed point of the method with a perfect network,
by quadrature. Distillation replaces the expectation by one step of a teacher along the flow; its fixed point is the
teacher's own n-step sampler. Since

    E[x_{t'} | x_t] = cos(t - t') x_t - sin(t - t') v,      v = E[cos t z - sin t x_0 | x_t],

training differs from distillation of Euler's (DDIM's) step only by the curvature of f_{n-1}: Jensen's gap.
For data N(0, sigma_d^2), v = 0 and both give the slope cos(pi/(2N))^N instead of 1.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.diffusion_samplers.consistency_maps.setting import Data, Dt, Separation, mixture_of
from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.methods.flow_map import quantiles
from compute.methods.log_sum_exp import softmax
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

N_GRID = 1025
N_NODES = 8
N_LABELS = 800
N_COARSE = 5
MAX_CURVE = 7


@kernel
def _expect(x, f, low, h, t, t_next, scale, weights, means, width, nodes, node_weights, out):  # type: ignore[no-untyped-def]
    """E[f(x_{t_next}) | x_t] at the points x, with f on a grid from ``low`` in steps of h; cubic between, straight outside."""
    c, s, c_next, s_next = math.cos(t), math.sin(t), math.cos(t_next), math.sin(t_next)
    variance = c * c * width * width + s * s * scale * scale
    gain = (c * c_next * width * width + s * s_next * scale * scale) / variance
    spread = width * scale * math.sin(t - t_next) / math.sqrt(variance)
    m = f.size
    logit = np.empty(means.size)
    for i in range(x.size):
        for k in range(means.size):
            gap = x[i] - c * means[k]
            logit[k] = math.log(weights[k]) - 0.5 * gap * gap / variance
        best = logit.max()
        total = 0.0
        value = 0.0
        for k in range(means.size):
            w = math.exp(logit[k] - best)
            if w < 1e-14:
                continue
            center = c_next * means[k] + gain * (x[i] - c * means[k])
            inner = 0.0
            for q in range(nodes.size):
                u = (center + spread * nodes[q] - low) / h
                if u <= 0:
                    inner += node_weights[q] * (f[0] + u * (f[1] - f[0]))
                elif u >= m - 1:
                    inner += node_weights[q] * (f[m - 1] + (u - m + 1) * (f[m - 1] - f[m - 2]))
                else:
                    j = min(max(int(u), 1), m - 3)
                    r = u - j
                    inner += node_weights[q] * (
                        -r * (r - 1) * (r - 2) / 6 * f[j - 1]
                        + (r + 1) * (r - 1) * (r - 2) / 2 * f[j]
                        - (r + 1) * r * (r - 2) / 2 * f[j + 1]
                        + (r + 1) * r * (r - 1) / 6 * f[j + 2]
                    )
            value += w * inner
            total += w
        out[i] = value / total
    return out


def trained_map(mixture: GaussianMixture, z: Array, n_steps: int, n_grid: int = N_GRID) -> Array:
    """f_N(z) at t = pi/2 after n_steps expectations, for (n,) points of pure noise N(0, scale^2)."""
    scale = mixture.scale
    reach = max(6.5 * scale, float(np.abs(mixture.means).max()) + 6.5 * mixture.width)
    grid = np.linspace(-reach, reach, n_grid)
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(N_NODES)
    node_weights = node_weights / node_weights.sum()
    times = np.linspace(0, np.pi / 2, n_steps + 1)
    f = grid
    for n in range(1, n_steps + 1):
        points = z if n == n_steps else grid
        f = _expect(
            points,
            f,
            -reach,
            grid[1] - grid[0],
            times[n],
            times[n - 1],
            scale,
            mixture.weights,
            mixture.means[:, 0],
            mixture.width,
            nodes,
            node_weights,
            np.empty(points.size),
        )
    return f


def velocity(mixture: GaussianMixture, x: Array, t: float) -> Array:
    """v = E[cos t z - sin t x_0 | x_t = x], the flow's dx/dt, for (n,) points; mixture centered, noise of its own scale."""
    c, s, scale = np.cos(t), np.sin(t), mixture.scale
    variance = c**2 * mixture.width**2 + s**2 * scale**2
    gap = x[:, None] - c * mixture.means[:, 0]
    logits = np.log(mixture.weights) - 0.5 * gap**2 / variance
    w = softmax(logits)
    noise = s * scale**2 * gap / variance
    clean = mixture.means[:, 0] + c * mixture.width**2 * gap / variance
    return np.sum(w * (c * noise - s * clean), axis=1)


def distilled_map(mixture: GaussianMixture, z: Array, n_steps: int, *, heun: bool) -> Array:
    """The teacher's sampler from t = pi/2: Euler's (DDIM's) step in these coordinates, or Heun's."""
    x = z
    times = np.linspace(np.pi / 2, 0, n_steps + 1)
    h = times[0] - times[1]
    for t, t_next in itertools.pairwise(times):
        v = velocity(mixture, x, t)
        x = x - h / 2 * (v + velocity(mixture, x - h * v, t_next)) if heun else np.cos(h) * x - np.sin(h) * v
    return x


def exact_map(mixture: GaussianMixture, labels: Array) -> Array:
    """f at t = pi/2 of noise with those labels: the data's quantiles."""
    return quantiles(mixture, labels, 0.0)


METHODS = ("consistency training", "distilled Euler", "distilled Heun")


@dataclass(frozen=True)
class Discretization(Result):
    """The map from noise to data at one dt, and the error of each method over dt."""

    noise: Array  # (n_labels,) z/scale, evenly spread over the normal law
    exact: Array  # (n_labels,)
    trained: Array  # (n_labels,)
    distilled: Array  # (n_labels,) Euler's
    dt: Array  # (n_dt,) falling
    error: Array  # (3, n_dt) W1 to the data over its scale, of METHODS
    gaussian: Array  # (n_dt,) of training on one Gaussian, exact
    slopes: Array  # (3,) between the last two dt
    variance_ratio: float
    n_steps: int

    def table(self) -> pl.DataFrame:
        maps = pl.DataFrame(
            {
                "noise": self.noise,
                "exact": self.exact,
                "consistency training": self.trained,
                "distilled Euler": self.distilled,
            }
        )
        curves = pl.DataFrame(
            {"dt": self.dt}
            | {f"w1 {name}": row for name, row in zip(METHODS, self.error, strict=True)}
            | {"w1 on one Gaussian": self.gaussian}
        )
        return pl.concat([maps, curves], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        return {
            "steps in time N": float(self.n_steps),
            "W₁/σ_d of training": float(self.error[0, -1]),
            "W₁/σ_d of distilled Heun": float(self.error[2, -1]),
            "order of training": float(self.slopes[0]),
            "order of distilled Heun": float(self.slopes[2]),
            "variance generated ÷ data's": self.variance_ratio,
        }


@experiment
def discretization(*, data: Data = "three_modes_1d", separation: Separation = 3.0, dt: Dt = 0.03) -> Discretization:
    """Fixed points of discrete consistency training and distillation with a perfect network, from dt = 0.3 down to ``dt``.

    The number of steps is pi/(2 dt), rounded. On the line the exact map and all methods keep the order of points, so W1 is
    the mean distance of the maps.
    """
    mixture = mixture_of(data, separation)
    scale = mixture.scale
    labels = ndtri((np.arange(N_LABELS) + 0.5) / N_LABELS)
    z, exact = scale * labels, exact_map(mixture, labels)
    last = max(N_COARSE, round(np.pi / 2 / dt))
    n_curve = 1 if last == N_COARSE else min(MAX_CURVE, 2 + int(np.log2(last / N_COARSE)))
    counts = np.unique(np.rint(np.geomspace(N_COARSE, last, n_curve)).astype(int))
    error = np.empty((3, counts.size))
    for j, n in enumerate(counts):
        maps = (trained_map(mixture, z, n), distilled_map(mixture, z, n, heun=False), distilled_map(mixture, z, n, heun=True))
        error[:, j] = [np.mean(np.abs(f - exact)) / scale for f in maps]
    steps = np.pi / 2 / counts
    slopes = np.zeros(3)
    if counts.size > 1:
        slopes = np.log(error[:, -2] / error[:, -1]) / np.log(steps[-2] / steps[-1])
    return Discretization(
        labels,
        exact,
        maps[0],
        maps[1],
        steps,
        error,
        np.sqrt(2 / np.pi) * (1 - np.cos(steps) ** counts),
        slopes,
        float(np.var(maps[0]) / np.var(exact)),
        int(counts[-1]),
    )
