r"""Linear stochastic differential equations in several dimensions, dz = F z dt + G dW, and mixtures carried along by them.

    z_t | z_0 ~ N(A_t z_0, N_t),    A_t = e^{F t},    N_t = int_0^t e^{F s} G G^T e^{F^T s} ds.

Both follow from one exponential of a doubled matrix (Van Loan 1978) over a short time and from doubling it,
A_{2t} = A_t^2, N_{2t} = N_t + A_t N_t A_t^T, which stays accurate where the doubled matrix itself would overflow. A mixture
of Gaussians of one covariance stays one, so that its score is exact in the whole space, auxiliary coordinates too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov, solve_triangular

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

TAYLOR_TERMS = 16  # at norm 1/2 the first term left out is below 1e-19


def _taylor(matrix: Array) -> Array:
    """exp of a stack of (…, m, m) matrices of norm at most about 1/2."""
    one = np.eye(matrix.shape[-1])
    total = one + matrix / TAYLOR_TERMS
    for k in range(TAYLOR_TERMS - 1, 0, -1):
        total = one + matrix @ total / k
    return total


@dataclass(frozen=True, eq=False)
class LinearSde:
    """dz = F z dt + G dW with constant coefficients.

    Parameters
    ----------
    drift : (k, k) array
        F, per unit of time.
    diffusion : (k, k) array
        G G^T, symmetric and positive semidefinite.
    """

    drift: Array
    diffusion: Array

    @property
    def dimension(self) -> int:
        return self.drift.shape[0]

    def transition(self, t: Array | float) -> tuple[Array, Array]:
        """A_t and N_t for times t >= 0 of any shape: two arrays of shape t.shape + (k, k)."""
        t, k = np.asarray(t, dtype=float), self.dimension
        norm = max(float(np.abs(self.drift).sum(axis=1).max()), float(np.abs(self.drift).sum(axis=0).max()))
        doublings = max(0, int(np.ceil(np.log2(max(2 * norm * float(t.max(initial=0.0)), 1e-300)))))
        # The noise block is scaled to the drift's size; it enters the answer linearly.
        scale = max(float(np.abs(self.diffusion).max()), 1e-300) / max(norm, 1e-300)
        doubled = np.block([[-self.drift, self.diffusion / scale], [np.zeros((k, k)), self.drift.T]])
        whole = _taylor(doubled * (t / 2**doublings)[..., None, None])
        a = np.swapaxes(whole[..., k:, k:], -1, -2)
        noise = scale * (a @ whole[..., :k, k:])
        for _ in range(doublings):
            noise = noise + a @ noise @ np.swapaxes(a, -1, -2)
            a = a @ a
        return a, 0.5 * (noise + np.swapaxes(noise, -1, -2))

    def flow(self, t: Array | float) -> Array:
        """e^{F t}, also for negative t: shape t.shape + (k, k)."""
        return matrix_exponential(self.drift * np.asarray(t, dtype=float)[..., None, None])

    def stationary(self) -> Array:
        """(k, k) covariance S with F S + S F^T + G G^T = 0; F must be stable."""
        return solve_continuous_lyapunov(self.drift, -self.diffusion)

    def eigenvalues(self) -> NDArray[np.complex128]:
        """(k,) eigenvalues of the drift."""
        return np.linalg.eigvals(self.drift).astype(complex)

    def gap(self) -> float:
        """Rate of the slowest mode, -max Re eigenvalue of the drift."""
        return float(-self.eigenvalues().real.max())


def matrix_exponential(matrices: Array) -> Array:
    """exp of a stack of (…, k, k) matrices: in closed form for k = 2, else by scaling and squaring of all at once."""
    if matrices.shape[-1] == 2:
        return _exponential_of_pairs(matrices)
    size = float(np.abs(matrices).sum(axis=-1).max(initial=0.0))
    doublings = max(0, int(np.ceil(np.log2(max(2 * size, 1e-300)))))
    power = _taylor(matrices / 2**doublings)
    for _ in range(doublings):
        power = power @ power
    return power


def _exponential_of_pairs(m: Array) -> Array:
    """e^h (cosh(d) 1 + sinh(d)/d (m - h 1)) with h = tr m/2 and d^2 = h^2 - det m, of either sign."""
    h = 0.5 * (m[..., 0, 0] + m[..., 1, 1])
    off = 0.5 * (m[..., 0, 0] - m[..., 1, 1])
    square = off * off + m[..., 0, 1] * m[..., 1, 0]
    d = np.sqrt(np.abs(square))
    grow = np.exp(h)
    # e^h cosh d and e^h sinh d without the overflow of cosh alone
    up, down = np.exp(h + d), np.exp(h - d)
    even = np.where(square > 0, 0.5 * (up + down), grow * np.cos(d))
    safe = np.where(d > 1e-4, d, 1.0)
    odd = np.where(square > 0, 0.5 * (up - down), grow * np.sin(d)) / safe
    odd = np.where(d > 1e-4, odd, grow * (1 + square / 6))
    out = np.empty(m.shape)
    out[..., 0, 0], out[..., 1, 1] = even + odd * off, even - odd * off
    out[..., 0, 1], out[..., 1, 0] = odd * m[..., 0, 1], odd * m[..., 1, 0]
    return out


@dataclass(frozen=True, eq=False)
class SharedMixture:
    """A mixture of Gaussians that share one full covariance.

    Parameters
    ----------
    weights : (n_components,) array
    means : (n_components, k) array
    covariance : (k, k) array
        Positive definite.
    """

    weights: Array
    means: Array
    covariance: Array

    def __post_init__(self) -> None:
        factor = np.linalg.cholesky(self.covariance)
        inverse = solve_triangular(factor, np.eye(factor.shape[0]), lower=True)
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "inverse", inverse)
        # In u = L^{-1} z all components are N(., I): the isotropic engine does the rest.
        object.__setattr__(self, "white", GaussianMixture(self.weights, self.means @ inverse.T, 1.0))

    def score(self, z: Array) -> Array:
        """(n, k) gradient of the log density."""
        return self.white.score(z @ self.inverse.T) @ self.inverse  # type: ignore[attr-defined]

    def log_density(self, z: Array) -> Array:
        """(n,) log density."""
        inside = self.white.log_density(z @ self.inverse.T)  # type: ignore[attr-defined]
        return inside + np.sum(np.log(np.diag(self.inverse)))  # type: ignore[attr-defined]

    def responsibilities(self, z: Array) -> Array:
        """(n, n_components) posterior probability of each component."""
        return self.white.responsibilities(z @ self.inverse.T)  # type: ignore[attr-defined]

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, k) independent draws."""
        chosen = rng.choice(self.weights.size, size=n, p=self.white.weights)  # type: ignore[attr-defined]
        return self.means[chosen] + rng.standard_normal((n, self.means.shape[1])) @ self.factor.T  # type: ignore[attr-defined]

    def along(self, direction: Array) -> GaussianMixture:
        """The one-dimensional law of <direction, z>."""
        width = float(np.sqrt(direction @ self.covariance @ direction))
        return GaussianMixture(self.weights, (self.means @ direction)[:, None], width)


class LiftedMixture:
    """A mixture that starts at t = 0 and is carried along by a linear equation; its law at each time asked for is kept.

    Parameters
    ----------
    sde : LinearSde
        In k dimensions.
    weights : (n_components,) array
    means : (n_components, k) array
    covariance : (k, k) array
        Shared by the components at t = 0; it may be singular where noise has filled it by the first time asked for.
    """

    def __init__(self, sde: LinearSde, weights: Array, means: Array, covariance: Array) -> None:
        self.sde, self.weights, self.means, self.covariance = sde, weights, means, covariance
        self._known: dict[float, SharedMixture] = {}

    @classmethod
    def of_data(cls, sde: LinearSde, data: GaussianMixture, auxiliary_variance: Array | Sequence[float] = ()) -> LiftedMixture:
        """Isotropic data in the first coordinates, independent centered Gaussians in the auxiliary ones after them."""
        extra = np.asarray(auxiliary_variance, dtype=float)
        means = np.hstack([data.means, np.zeros((data.n_components, extra.size))])
        return cls(sde, data.weights, means, np.diag(np.concatenate([np.full(data.dimension, data.width**2), extra])))

    def prepare(self, times: Array) -> None:
        """Compute the laws at many times at once."""
        new = np.array(sorted({float(t) for t in np.ravel(times)} - self._known.keys()))
        if new.size:
            a, noise = self.sde.transition(new)
            covariance = a @ self.covariance @ np.swapaxes(a, -1, -2) + noise
            for t, a_t, c_t in zip(new, a, covariance, strict=True):
                self._known[float(t)] = SharedMixture(self.weights, self.means @ a_t.T, c_t)

    def at(self, t: float) -> SharedMixture:
        """The law at time t."""
        if float(t) not in self._known:
            self.prepare(np.array([t]))
        return self._known[float(t)]

    def score(self, z: Array, t: float) -> Array:
        """(n, k) grad log p_t(z)."""
        return self.at(t).score(z)

    def velocity(self, z: Array, t: float) -> Array:
        """(n, k) dz/dt of the probability-flow ODE, F z - (1/2) G G^T score."""
        return z @ self.sde.drift.T - 0.5 * self.score(z, t) @ self.sde.diffusion

    def denoise(self, z: Array, t: float) -> Array:
        """(n, k) E[z_0 | z_t] = A_t^{-1} (z + N_t score), Tweedie's formula."""
        a, noise = self.sde.transition(float(t))
        clean: Array = np.linalg.solve(a, (z + self.score(z, t) @ noise).T).T.astype(np.float64)
        return clean
