r"""Two blocks (x, y) on the line, each under a clock of its own: what one joint denoiser knows.

x_t = cos(pi t_x/2) x + sin(pi t_x/2) z, likewise y with t_y. The modes stand at (±1, ±1) with weights (1 ± rho)/4, each with
covariance 0.35^2 ((1, rho), (rho, 1)): the whole has correlation rho, and the law of x alone does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.log_sum_exp import softmax
from compute.models.conditioned_mixture import condition
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.linear_sde import SharedMixture
from compute.models.noise_schedule import EDM, SIGMA_MIN
from compute.parameters import Choice, LogInteger, Real

Array = NDArray[np.float64]

Joint = Annotated[str, Choice("joint law", options=("four modes", "normal"))]
Correlation = Annotated[float, Real("correlation", r"\rho", low=-0.95, high=0.95, help="Between x and y; x alone does not change.")]
TimeX = Annotated[float, Real("clock of x", "t_x", low=0.0, high=1.0, help="0 is clean, 1 is pure noise.")]
TimeY = Annotated[float, Real("clock of y", "t_y", low=0.0, high=1.0, help="0 conditions on y, 1 forgets it.")]
Observed = Annotated[float, Real("observed y", "y", low=-2.0, high=2.0)]
Steps = Annotated[int, LogInteger("steps", "n", low=5, high=500, help="Evaluations of the denoiser for one sample.")]
Particles = Annotated[int, LogInteger("particles", low=100, high=5000)]

WIDTH = 0.35
SIGNS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
TOP = 80.0  # noise level that stands for t = 1 where a sampler has to start


@dataclass(frozen=True)
class Pair:
    """The joint law.

    Parameters
    ----------
    name : str
        ``"four modes"``, or ``"normal"`` with unit variances.
    correlation : float
        Between -1 and 1, both excluded.
    """

    name: str
    correlation: float

    @property
    def weights(self) -> Array:
        return np.ones(1) if self.name == "normal" else (1 + self.correlation * SIGNS.prod(axis=1)) / 4

    @property
    def means(self) -> Array:
        return np.zeros((1, 2)) if self.name == "normal" else SIGNS

    @property
    def covariance(self) -> Array:
        """(2, 2) of each component."""
        width = 1.0 if self.name == "normal" else WIDTH
        return width**2 * np.array([[1.0, self.correlation], [self.correlation, 1.0]])

    @property
    def variance(self) -> float:
        """Of x alone."""
        return 1.0 if self.name == "normal" else 1 + WIDTH**2

    def noised(self, time_x: float, time_y: float) -> SharedMixture:
        """The law of (x_t, y_t)."""
        alpha, sigma = clock(np.array([time_x, time_y]))
        return SharedMixture(self.weights, alpha * self.means, np.outer(alpha, alpha) * self.covariance + np.diag(sigma**2))

    def denoise(self, points: Array, time_x: float, time_y: float) -> Array:
        """(n, 2) E[(x, y) | x_t, y_t], the one function that every sampler of this page asks."""
        alpha, sigma = clock(np.array([time_x, time_y]))
        covariance = np.outer(alpha, alpha) * self.covariance + np.diag(sigma**2)
        means = alpha * self.means
        solved = np.linalg.solve(covariance, np.concatenate([alpha[:, None] * self.covariance, means.T], axis=1))
        gain, pull = solved[:, :2].T, solved[:, 2:]  # pull: S^{-1} mu of each component, which its log weight is linear in
        share = softmax(points @ pull + np.log(self.weights) - 0.5 * np.sum(means.T * pull, axis=0))
        return points @ gain.T + share @ self.means @ (np.eye(2) - gain * alpha).T

    def marginal(self) -> GaussianMixture:
        """The law of x alone; of y too."""
        width = float(np.sqrt(self.covariance[0, 0]))
        return GaussianMixture(self.weights, self.means[:, :1], width)

    def given(self, seen: float, time_y: float, x_seen: float = 0.0, time_x: float = 1.0) -> GaussianMixture:
        """The law of x given y_t, and given x_t too unless t_x is 1."""
        alpha, sigma = clock(np.array([time_x, time_y]))
        used = np.array([True, True]) if time_x < 1 else np.array([False, True])
        observe, noise = np.diag(alpha)[used], np.diag(sigma**2)[used][:, used]
        values = np.array([[x_seen, seen]])[:, used]
        if time_y == 1.0 and time_x == 1.0:
            return self.marginal()
        weights, means, covariance = condition(self.weights, self.means, self.covariance, observe, noise, values)
        return GaussianMixture(weights[0], means[0][:, :1], float(np.sqrt(max(covariance[0, 0], 0.0))))


def clock(time: Array | float) -> tuple[Array, Array]:
    """alpha and sigma at a time from 0 to 1, exactly (0, 1) at the end."""
    angle = 0.5 * np.pi * np.asarray(time, dtype=float)
    return np.where(np.asarray(time) == 1.0, 0.0, np.cos(angle)), np.sin(angle)


def level_of(time: float) -> float:
    """Noise level sigma/alpha of a time; ``TOP`` where it is higher or infinite."""
    alpha, sigma = clock(time)
    return min(TOP, float(sigma) / max(float(alpha), 1e-12))


def time_of(level: float) -> float:
    """The time of a noise level."""
    return float(2 / np.pi * np.arctan(level))


def levels_from(top: float, steps: int) -> Array:
    """Falling noise levels from ``top`` to 0 in that many steps."""
    return EDM.levels(steps, top, min(SIGMA_MIN, top / 4))


def given_clean(pair: Pair, points: Array, level: float, seen: Array | float, time_y: float) -> Array:
    """(n,) E[x | x_t, y_t] at points x_t/alpha of a noise level, asked from the joint denoiser.

    Parameters
    ----------
    points : (n,) array
        x_t/alpha.
    seen : float or (n,) array
        y_t.
    """
    time_x = time_of(level)
    alpha, _ = clock(time_x)
    state = np.stack([alpha * points, np.broadcast_to(seen, points.shape)], axis=1)
    return pair.denoise(state, time_x, time_y)[:, 0]


# --- denoising error over the clock square -------------------------------------------------------------------------

N_NODES = 14
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(N_NODES)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


def denoising_error(pair: Pair, time_x: Array, time_y: Array, nodes: Array = NODES, weights: Array = NODE_WEIGHTS) -> Array:
    """E Var(x | x_t, y_t)/Var(x) at times of any one shape, by Gauss-Hermite quadrature within each component.

    E Var = Var(x) - E E[x | x_t, y_t]^2; by symmetry two of the four components tell all.
    """
    shape = np.shape(time_x)
    (ax, sx), (ay, sy) = clock(np.ravel(time_x)), clock(np.ravel(time_y))
    c = pair.covariance
    # Covariance of (x_t, y_t) within a component, its inverse and its Cholesky factor, elementwise over cells.
    xx, yy, xy = ax**2 * c[0, 0] + sx**2, ay**2 * c[1, 1] + sy**2, ax * ay * c[0, 1]
    determinant = xx * yy - xy**2
    # The first row of the gain C A S^{-1}.
    gx = (ax * c[0, 0] * yy - ay * c[0, 1] * xy) / determinant
    gy = (ay * c[0, 1] * xx - ax * c[0, 0] * xy) / determinant
    if pair.name == "normal":
        return np.asarray(1 - (gx * ax * c[0, 0] + gy * ay * c[0, 1]) / pair.variance).reshape(shape)
    low = (np.sqrt(xx), xy / np.sqrt(xx), np.sqrt(determinant / xx))
    z1, z2 = (z.ravel() for z in np.meshgrid(nodes, nodes, indexing="ij"))
    area = np.outer(weights, weights).ravel()
    total = np.zeros(xx.size)
    cross = xy * ax * ay / determinant  # mu^T A S^{-1} A mu of (1, 1) is that of (1, -1) less 4 cross
    same, other = (1 + pair.correlation) * np.exp(2 * cross), (1 - pair.correlation)
    for sign in (1.0, -1.0):
        px = ax[:, None] + low[0][:, None] * z1
        py = sign * ay[:, None] + low[1][:, None] * z1 + low[2][:, None] * z2
        # Twice the slopes of a component's logit in its two signs.
        bx = 2 * (ax / determinant)[:, None] * (yy[:, None] * px - xy[:, None] * py)
        by = 2 * (ay / determinant)[:, None] * (xx[:, None] * py - xy[:, None] * px)
        u, v = np.exp(-np.clip(bx, -300, 300)), np.exp(-np.clip(by, -300, 300))
        pp, pm, mp, mm = same[:, None], other * v, other * u, same[:, None] * u * v
        whole = pp + pm + mp + mm
        mean_x, mean_y = (pp + pm - mp - mm) / whole, (pp + mp - pm - mm) / whole
        guess = gx[:, None] * px + gy[:, None] * py + (1 - gx * ax)[:, None] * mean_x - (gy * ay)[:, None] * mean_y
        total += (1 + sign * pair.correlation) / 2 * (guess**2 @ area)
    return np.asarray(1 - total / pair.variance).reshape(shape)
