r"""Linear forward noise: in the plane of the data (paper 116), and with auxiliary coordinates (paper 197).

    116    dx = -(beta/2) (R^{-1} + Omega) x dt + sqrt(beta) R^{-1/2} dW,   R^{-1} = turned diag(a, 1),  Omega = omega [[0, 1], [-1, 0]]
    197    dy = -beta (Q + D) y dt + sqrt(2 beta D) dW                      on (x, K auxiliaries), Q skew, D >= 0

Both are stationary at N(0, I) whatever their skew part. In the plane the eigenvalues of minus the drift are

    (beta/2) [(a + 1)/2 +- sqrt((a - 1)^2/4 - omega^2)],

so that the gap rises with omega up to omega = |a - 1|/2 and stays at (beta/2)(a + 1)/2 beyond, where paths spiral.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.models.gaussian_mixture import GaussianMixture, preset
from compute.models.imperfect_score import field
from compute.models.linear_sde import LiftedMixture, LinearSde, SharedMixture
from compute.parameters import Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

SEPARATION, FIRST_TIME = 2.0, 1e-3
TOWARD = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])  # where the data's mean is moved to

Anisotropy = Annotated[
    float, LogReal("anisotropy", "a", low=1.0, high=20.0, help="Noise on the fast axis over noise on the slow one.")
]
Angle = Annotated[float, Real("angle", r"\varphi", unit="degrees", low=0.0, high=180.0, help="Of the fast axis.")]
Omega = Annotated[float, Real("rotation", r"\omega", low=0.0, high=10.0, help="The skew part of the drift.")]
Beta = Annotated[float, LogReal("noise rate", r"\beta", low=0.5, high=20.0)]
Horizon = Annotated[float, Real("horizon", "T", low=0.5, high=10.0, help="Time at which noise is taken for N(0, I).")]
Offset = Annotated[float, Real("offset", r"\delta", low=0.0, high=3.0, help="Distance of the data's mean from 0.")]
Nfe = Annotated[int, LogInteger("evaluations", "n", low=5, high=500, help="Evaluations of the score for one sample.")]
ScoreError = Annotated[
    float, Real("score error", r"\varepsilon", low=0.0, high=0.3, help="Size of a smooth wrong field added to the score.")
]
Auxiliary = Annotated[int, Integer("auxiliary dimensions", "K", low=0, high=3, help="Of the process that is learned.")]
Damping = Annotated[
    float,
    LogReal("damping", "D", low=0.1, high=5.0, help="Friction of CLD and of the third-order process, over its critical value."),
]


def planar(anisotropy: float, angle: float, omega: float, beta: float) -> LinearSde:
    """The process of paper 116 in the plane."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.array([[c, -s], [s, c]])
    inverse = turn @ np.diag([anisotropy, 1.0]) @ turn.T
    return LinearSde(-0.5 * beta * (inverse + omega * np.array([[0.0, 1.0], [-1.0, 0.0]])), beta * inverse)


def planar_eigenvalues(anisotropy: Array | float, omega: Array | float, beta: float) -> NDArray[np.complex128]:
    """Of minus the drift, the slow one first: shape of the arguments + (2,)."""
    middle = 0.5 * (np.asarray(anisotropy) + 1)
    root = np.sqrt((0.5 * (np.asarray(anisotropy) - 1)) ** 2 - np.square(omega) + 0j)
    return np.asarray(0.5 * beta * np.stack([middle - root, middle + root], axis=-1), dtype=np.complex128)


def chain(couplings: Array, frictions: Array, beta: float) -> LinearSde:
    """The process of paper 197 whose skew part couples neighbors: x to the first auxiliary, that to the second, …

    Parameters
    ----------
    couplings : (K,) array
    frictions : (K + 1,) array
        Diagonal of D, not negative.
    """
    skew = np.diag(np.asarray(couplings, dtype=float), 1)
    d = np.diag(np.asarray(frictions, dtype=float))
    return LinearSde(-beta * (skew.T - skew + d), 2 * beta * d)


def variance_preserving(beta: float) -> LinearSde:
    """K = 0, D = 1: mean e^{-int beta}, variance 1 - e^{-2 int beta}."""
    return chain(np.empty(0), np.ones(1), beta)


def damped(damping: float, beta: float) -> LinearSde:
    """CLD: noise on one auxiliary only; (lambda - 1)^2 at damping 1."""
    return chain(np.ones(1), np.array([0.0, 2.0 * damping]), beta)


def third_order(damping: float, beta: float) -> LinearSde:
    """Noise on the second auxiliary only; couplings 1 and sqrt 8 and friction 3 sqrt 3 give (lambda - sqrt 3)^3."""
    return chain(np.array([1.0, np.sqrt(8.0)]), np.array([0.0, 0.0, 3 * np.sqrt(3.0) * damping]), beta)


@lru_cache(maxsize=16)
def planar_data(offset: float) -> GaussianMixture:
    """Six modes on a circle of radius 2 about a mean at distance ``offset`` from 0."""
    ring = preset("ring_2d", SEPARATION)
    return GaussianMixture(ring.weights, ring.means + offset * TOWARD, ring.width)


def time_grid(n_steps: int, horizon: float) -> Array:
    """(n_steps + 1,) falling times, even in sqrt(t)."""
    times = np.linspace(np.sqrt(horizon), np.sqrt(FIRST_TIME), n_steps + 1) ** 2
    times[0], times[-1] = horizon, FIRST_TIME
    return times


def n_steps_of(nfe: int) -> int:
    """Heun steps that nfe evaluations pay for beside the last denoising; at least one."""
    return max(1, (nfe - 1) // 2)


def reverse_flow(law: LiftedMixture, z: Array, nfe: int, horizon: float, score_error: float = 0.0) -> Iterator[tuple[float, Array]]:
    """Heun steps of the probability flow, and E[z_0 | z] at the end: time and (n, k) states, the start first.

    A wrong score is s + score_error u(z) with the bounded smooth field of ``imperfect_score``. States are held at 10^6.
    """
    times = time_grid(n_steps_of(nfe), horizon)
    law.prepare(times)
    diffusion = law.sde.diffusion

    def velocity(state: Array, t: float) -> Array:
        right = law.velocity(state, t)
        return right - 0.5 * score_error * field(state) @ diffusion if score_error > 0 else right

    yield horizon, z
    for t, t_next in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        h = t_next - t
        slope = velocity(z, t)
        ahead = np.clip(z + h * slope, -1e6, 1e6)
        z = np.clip(z + 0.5 * h * (slope + velocity(ahead, t_next)), -1e6, 1e6)
        yield t_next, z
    yield 0.0, np.clip(law.denoise(z, FIRST_TIME), -1e6, 1e6)


@lru_cache(maxsize=16)
def normal_nodes(n_nodes: int, k: int) -> tuple[Array, Array]:
    """(n_nodes^k, k) nodes and (n_nodes^k,) weights of Gauss-Hermite quadrature over N(0, I)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    weights = weights / weights.sum()
    mesh = np.stack([g.ravel() for g in np.meshgrid(*[nodes] * k)], axis=1)
    return mesh, np.prod(np.stack([g.ravel() for g in np.meshgrid(*[weights] * k)], axis=1), axis=1)


def divergence_to_normal(law: SharedMixture, n_nodes: int = 16) -> float:
    """KL(law || N(0, I)) by Gauss-Hermite quadrature over each component, n_nodes in each of k directions."""
    k = law.means.shape[1]
    mesh, mass = normal_nodes(n_nodes, k)
    factor = np.linalg.cholesky(law.covariance)
    points = (law.means[:, None, :] + mesh @ factor.T).reshape(-1, k)
    ratio = law.log_density(points) + 0.5 * np.sum(points**2, axis=1) + 0.5 * k * np.log(2 * np.pi)
    return float(law.weights @ (ratio.reshape(law.weights.size, -1) @ mass))
