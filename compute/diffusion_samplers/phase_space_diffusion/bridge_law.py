r"""The phase bridge of paper 128: its law in closed form, its samplers, and what a state already says of its end.

    dx = v dt,    dv = a dt + g dW,    a = (4/tau)((x_1 - x)/tau - v),    tau = 1 - t

brings a particle to x_1 at t = 1 with least energy among ends of velocity (x_1 - x)/tau. Given x_1, u = x - x_1 is a combination
of tau and tau^4, which gives mean and covariance of (x, v) below. As x_1 enters the mean linearly, a state says of x_1
what y = x_1 + sigma z says at an effective noise level sigma(t): the denoiser of ``gaussian_mixture`` is all that is needed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]


def mean_gains(tau: Array | float) -> tuple[Array, Array]:
    """Given x_1: E(x, v) = (1 - A, -A') x_1 + matrix (x_0, v_0).

    A = (4 tau - tau^4)/3 and B = (tau - tau^4)/3; primes are derivatives in t = 1 - tau.

    Returns
    -------
    signal : (2,) + tau.shape array
    start : (2, 2) + tau.shape array
    """
    tau = np.asarray(tau, dtype=float)
    a, b = (4 * tau - tau**4) / 3, (tau - tau**4) / 3
    a_dot, b_dot = -(4 - 4 * tau**3) / 3, -(1 - 4 * tau**3) / 3
    return np.stack([1 - a, -a_dot]), np.stack([np.stack([a, b]), np.stack([a_dot, b_dot])])


def noise_covariance(tau: Array | float) -> Array:
    """(2, 2) + tau.shape covariance of (x, v) given x_1 and the start, at g = 1."""
    tau = np.asarray(tau, dtype=float)
    xx = tau**2 - 1.8 * tau**3 + tau**5 - 0.2 * tau**8
    xv = -(tau - 2.7 * tau**2 + 2.5 * tau**4 - 0.8 * tau**7)
    vv = 1 - 1.8 * tau + 4 * tau**3 - 3.2 * tau**6
    return np.stack([np.stack([xx, xv]), np.stack([xv, vv])]) / 9


def propagator(tau: float, tau_next: float) -> Array:
    """(2, 2) map of (x - x_1, v) from tau to tau_next with x_1 held: u is spanned by tau and tau^4."""

    def basis(s: float) -> Array:
        return np.array([[s, s**4], [-1.0, -4 * s**3]])

    return basis(tau_next) @ np.linalg.inv(basis(tau))


def push_gain(tau: float, tau_next: float) -> Array:
    """(2,) what a unit force held from tau to tau_next adds to (x, v)."""
    inside = np.array([(tau - tau_next) / 3, -(tau_next**-2 - tau**-2) / 6])
    return np.array([[tau_next, tau_next**4], [-1.0, -4 * tau_next**3]]) @ inside


@dataclass(frozen=True, eq=False)
class Bridge:
    """A bridge from N(0, [[1, k], [k, 1]]) in each coordinate to a mixture.

    Parameters
    ----------
    data : GaussianMixture
    noise : float
        g.
    start_correlation : float
        k, between position and velocity at t = 0.
    """

    data: GaussianMixture
    noise: float
    start_correlation: float

    def covariance(self, tau: float) -> Array:
        """(2, 2) covariance of (p, v) given x_1, p = x + tau v the point that v aims at.

        p = (1 - tau^4) x_1 + tau^4 (x_0 + v_0) + noise. Near the end x and v are almost proportional, and the
        covariance of (x, v) would lose its determinant to rounding.
        """
        slow = -np.array([4 - 4 * tau**3, 1 - 4 * tau**3]) / 3
        start = np.array([[tau**4, tau**4], slow])
        first = np.array([[1.0, self.start_correlation], [self.start_correlation, 1.0]])
        cross = 0.1 * tau**2 + tau**4 / 6 - 4 * tau**7 / 15
        noise = np.array([[0.2 * (tau**3 - tau**8), cross], [cross, float(noise_covariance(tau)[1, 1])]])
        return start @ first @ start.T + self.noise**2 * noise

    def _signal(self, tau: float) -> Array:
        """(2,) factors of x_1 in the mean of (p, v)."""
        return np.array([1 - tau**4, 4 * (1 - tau**3) / 3])

    def _precision(self, tau: float) -> Array:
        """Inverse of ``covariance``, entry by entry: its entries differ by tau^8."""
        (pp, pv), (_, vv) = self.covariance(tau)
        return np.array([[vv, -pv], [-pv, pp]]) / (pp * vv - pv * pv)

    def reading(self, tau: float) -> tuple[Array, float]:
        """(2,) weights and level sigma such that weights . (p, v) = x_1 + sigma z says all that (x, v) says of x_1."""
        signal = self._signal(tau)
        solved = self._precision(tau) @ signal
        precision = float(signal @ solved)
        return solved / precision, precision**-0.5

    def estimate(self, x: Array, v: Array, tau: float) -> Array:
        """(n, d) E[x_1 | x, v]; the data's mean at tau = 1, where nothing is known."""
        if tau >= 1:
            return np.tile(self.data.mean, (x.shape[0], 1))
        weights, sigma = self.reading(tau)
        return self.data.denoise(weights[0] * (x + tau * v) + weights[1] * v, sigma)

    def velocity_score(self, x: Array, v: Array, estimate: Array, tau: float) -> Array:
        """(n, d) derivative of log p(x, v) in v at fixed x, by the posterior mean of x_1."""
        signal, inverse = self._signal(tau), self._precision(tau)
        p_gap, v_gap = x + tau * v - signal[0] * estimate, v - signal[1] * estimate
        row = tau * inverse[0] + inverse[1]  # p moves with v
        return -(row[0] * p_gap + row[1] * v_gap)

    def start(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        k = self.start_correlation
        x, other = rng.standard_normal((2, n, self.data.dimension))
        return x, k * x + np.sqrt(1 - k**2) * other


@dataclass(frozen=True)
class State:
    """Particles at one time."""

    tau: float
    x: Array  # (n, d)
    v: Array  # (n, d)
    estimate: Array  # (n, d) E[x_1 | x, v]


def tau_grid(nfe: int) -> Array:
    """(nfe,) times to go, from 1 to 1/nfe^2, dense at the start, where the estimate forms; the last estimate is the sample."""
    return 1 - (1 - nfe**-2) * np.linspace(0.0, 1.0, nfe) ** 2


def sample(bridge: Bridge, nfe: int, n: int, is_random: bool, seed: int) -> list[State]:
    """The few-step integrator: over each step the estimate (and, for the ODE, the score) is held, the rest is exact.

    Parameters
    ----------
    bridge : Bridge
    nfe : int
        At least 2.
    n : int
    is_random : bool
        AGM-SDE, else AGM-ODE, whose acceleration is a - (g^2/2) d/dv log p.
    seed : int

    Returns
    -------
    list of State
        One an evaluation.
    """
    rng = np.random.default_rng([seed, 3])
    x, v = bridge.start(rng, n)
    grid = tau_grid(nfe).tolist()
    states = []
    for tau, tau_next in itertools.pairwise([*grid, 0.0]):
        guess = bridge.estimate(x, v, tau)
        states.append(State(tau, x, v, guess))
        if tau_next == 0:
            break
        step = propagator(tau, tau_next)
        u = x - guess
        x_next = guess + step[0, 0] * u + step[0, 1] * v
        v_next = step[1, 0] * u + step[1, 1] * v
        if bridge.noise > 0 and is_random:
            factor = _square_root(noise_covariance(tau_next) - step @ noise_covariance(tau) @ step.T)
            z = bridge.noise * rng.standard_normal((2, *x.shape))
            x_next = x_next + factor[0, 0] * z[0]
            v_next = v_next + factor[1, 0] * z[0] + factor[1, 1] * z[1]
        elif bridge.noise > 0:
            push = -0.5 * bridge.noise**2 * bridge.velocity_score(x, v, guess, tau)
            gain = push_gain(tau, tau_next)
            x_next, v_next = x_next + gain[0] * push, v_next + gain[1] * push
        x, v = x_next, v_next
    return states


def _square_root(covariance: Array) -> Array:
    """Lower factor of a (2, 2) covariance that rounding may have left a little short of definite."""
    first = np.sqrt(max(covariance[0, 0], 0.0))
    cross = covariance[1, 0] / first if first > 0 else 0.0
    return np.array([[first, 0.0], [cross, np.sqrt(max(covariance[1, 1] - cross**2, 0.0))]])


def known_share(data: GaussianMixture, sigma: Array) -> Array:
    """Var E[x_1 | y] / Var x_1 for y = x_1 + sigma z at each level: squared correlation of the estimate with its end.

    In at most two dimensions, by Gauss-Hermite quadrature over each component.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    mesh = np.stack([g.ravel() for g in np.meshgrid(*[nodes] * data.dimension)], axis=1)
    mass = np.prod(np.stack([g.ravel() for g in np.meshgrid(*[weights] * data.dimension)], axis=1), axis=1)
    total = float(np.trace(data.covariance))
    share = []
    for level in np.atleast_1d(sigma):
        spread = float(np.hypot(data.width, level))
        points = (data.means[:, None, :] + spread * mesh).reshape(-1, data.dimension)
        square = np.sum((data.denoise(points, float(level)) - data.mean) ** 2, axis=1).reshape(data.n_components, -1)
        share.append(float(data.weights @ square @ mass) / total)
    return np.array(share)
