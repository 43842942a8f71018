r"""Integrators of the reverse flow in phase space (paper 207), each one function of one signature.

``step(run, z, t, t_next)`` moves (n, k) states down from t to t_next along dz/dt = F z - (1/2) G G^T s(z, t). In phase space
z = (x, m), and the vector field splits into P, which moves x with m held, and Q, which moves m with x held:

    P  dx/dt = (beta/2)(-Gamma x + m/M - Gamma s_x),        Q  dm/dt = (beta/2)(-x - nu m - M nu s_m).

    euler       z + h f(z, t)
    conjugate   z^ = e^{(B - F) t} z;  z^' = z^ + h A B z + (Phi' - Phi) eps,  eps = -L^T s,  Phi = int A (1/2) G G^T L^{-T}
    naive       P, then Q, each an Euler step: order 1
    symmetric   Q/2, P, Q/2, each a midpoint step in its own time: order 2, six scores
    reduced     Q/2, P, Q/2 by Euler steps; the first two share one score: order 1, two scores
    stochastic  exact noise step of the reverse SDE (O), then Q and P by Euler steps: order 1 in law

h = t_next - t < 0. For the conjugate method L L^T is the covariance of z_t given x_0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compute.models.linear_sde import LiftedMixture, LinearSde, matrix_exponential

Array = NDArray[np.float64]

BOUND = 1e6  # where a state that runs away is held
NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


@dataclass
class Run:
    """What a step may use besides the state.

    Parameters
    ----------
    law : LiftedMixture
        Its exact score.
    rng : numpy.random.Generator
    kernel_start : (k, k) array
        Covariance of z_0 given the data: of the auxiliary coordinates alone.
    shift : (k, k) array
        B of the conjugate method.
    """

    law: LiftedMixture
    rng: np.random.Generator
    kernel_start: Array
    shift: Array
    gains: dict[tuple[float, float], tuple[Array, Array]] = field(default_factory=dict)

    def prepare(self, times: Array) -> None:
        """The linear maps of every conjugate step of a falling grid."""
        linear, gain = conjugate_maps(self.law.sde, self.kernel_start, self.shift[None], times)
        for i, pair in enumerate(itertools.pairwise(times.tolist())):
            self.gains[pair] = (linear[0, i], gain[0, i])


def kernel_factors(sde: LinearSde, kernel_start: Array, t: Array) -> Array:
    """L_t with L L^T = Cov[z_t | x_0]: shape t.shape + (k, k)."""
    a, noise = sde.transition(t)
    return np.asarray(np.linalg.cholesky(a @ kernel_start @ np.swapaxes(a, -1, -2) + noise), dtype=np.float64)


def conjugate_maps(sde: LinearSde, kernel_start: Array, shifts: Array, times: Array) -> tuple[Array, Array]:
    """A conjugate step is z' = linear z + gain s(z, t); both matrices, for each shift B and each step of a grid.

    linear = e^{(F - B) h} (1 + h B),  gain = -e^{(F - B) h} int_t^{t'} e^{(B - F)(s - t)} (1/2) G G^T L_s^{-T} ds L_t^T, the
    integral by Gauss-Legendre quadrature (paper 207, its section 3, in coordinates free of A_t).

    Parameters
    ----------
    shifts : (n_shifts, k, k) array
    times : (n_steps + 1,) array

    Returns
    -------
    linear, gain : (n_shifts, n_steps, k, k) arrays
    """
    start, h = times[:-1], np.diff(times)
    ahead = 0.5 * h[:, None] * (1 + NODES)
    inverse = np.linalg.inv(kernel_factors(sde, kernel_start, start[:, None] + ahead))
    inside = 0.5 * sde.diffusion @ np.swapaxes(inverse, -1, -2)  # (n_steps, n_nodes, k, k)
    first = np.swapaxes(kernel_factors(sde, kernel_start, start), -1, -2)
    k = sde.dimension
    linear = np.empty((len(shifts), len(h), k, k))
    gain = np.empty_like(linear)
    for j, shift in enumerate(shifts):
        turn = matrix_exponential((shift - sde.drift) * ahead[..., None, None])
        back = matrix_exponential((sde.drift - shift) * h[:, None, None])
        integral = np.einsum("q,sqij->sij", WEIGHTS, turn @ inside) * (0.5 * h)[:, None, None]
        linear[j] = back @ (np.eye(k) + h[:, None, None] * shift)
        gain[j] = -back @ integral @ first
    return linear, gain


Step = Callable[[Run, Array, float, float], Array]


@dataclass(frozen=True)
class Integrator:
    """A step and what is known of it."""

    name: str
    step: Step
    evaluations: int
    order: int
    is_random: bool = False

    def n_steps(self, nfe: int) -> int:
        """Steps that nfe evaluations pay for beside the last denoising; at least one."""
        return max(1, (nfe - 1) // self.evaluations)


def euler(run: Run, z: Array, t: float, t_next: float) -> Array:
    return z + (t_next - t) * run.law.velocity(z, t)


def conjugate(run: Run, z: Array, t: float, t_next: float) -> Array:
    if (t, t_next) not in run.gains:
        run.prepare(np.array([t, t_next]))
    linear, gain = run.gains[t, t_next]
    return z @ linear.T + run.law.score(z, t) @ gain.T


def _part(run: Run, z: Array, score: Array, which: int) -> Array:
    """The field's component ``which`` (0 moves x, 1 moves m) with a given score."""
    sde = run.law.sde
    return z @ sde.drift[which] - 0.5 * sde.diffusion[which, which] * score[:, which]


def _moved(z: Array, which: int, by: Array) -> Array:
    out = z.copy()
    out[:, which] += by
    return out


def _midpoint(run: Run, z: Array, which: int, t: float, t_next: float) -> Array:
    h = t_next - t
    half = _moved(z, which, 0.5 * h * _part(run, z, run.law.score(z, t), which))
    return _moved(z, which, h * _part(run, half, run.law.score(half, t + 0.5 * h), which))


def naive(run: Run, z: Array, t: float, t_next: float) -> Array:
    for which in (0, 1):
        z = _moved(z, which, (t_next - t) * _part(run, z, run.law.score(z, t), which))
    return z


def symmetric(run: Run, z: Array, t: float, t_next: float) -> Array:
    middle = 0.5 * (t + t_next)
    z = _midpoint(run, z, 1, t, middle)
    z = _midpoint(run, z, 0, t, t_next)
    return _midpoint(run, z, 1, middle, t_next)


def reduced(run: Run, z: Array, t: float, t_next: float) -> Array:
    h = t_next - t
    score = run.law.score(z, t)
    z = _moved(z, 1, 0.5 * h * _part(run, z, score, 1))
    z = _moved(z, 0, h * _part(run, z, score, 0))
    return _moved(z, 1, 0.5 * h * _part(run, z, run.law.score(z, t_next), 1))


def stochastic(run: Run, z: Array, t: float, t_next: float) -> Array:
    """Reverse SDE: with q = diag(GG^T), rates q/(2 stationary variance), an Ornstein-Uhlenbeck step, then the rest."""
    h, sde = t - t_next, run.law.sde
    rate = -np.diag(sde.drift)
    keep = np.exp(-rate * h)
    spread = np.sqrt(np.where(rate > 0, np.diag(sde.diffusion) * -np.expm1(-2 * rate * h) / np.maximum(2 * rate, 1e-300), 0.0))
    z = z * keep + spread * run.rng.standard_normal(z.shape)
    # What the noise step has added, -rate z, comes off again: the reverse drift is -F z + G G^T s.
    for which in (1, 0):
        push = -(z @ sde.drift[which]) + sde.diffusion[which, which] * run.law.score(z, t)[:, which] + rate[which] * z[:, which]
        z = _moved(z, which, h * push)
    return z


def heun(run: Run, z: Array, t: float, t_next: float) -> Array:
    h = t_next - t
    slope = run.law.velocity(z, t)
    return z + 0.5 * h * (slope + run.law.velocity(z + h * slope, t_next))


def rk4(run: Run, z: Array, t: float, t_next: float) -> Array:
    """In sqrt(t), in which the flow is smooth down to the first time."""
    u, h = np.sqrt(t), np.sqrt(t_next) - np.sqrt(t)

    def slope(state: Array, at: float) -> Array:
        return 2 * at * run.law.velocity(state, at * at)

    k1 = slope(z, u)
    k2 = slope(z + 0.5 * h * k1, u + 0.5 * h)
    k3 = slope(z + 0.5 * h * k2, u + 0.5 * h)
    k4 = slope(z + h * k3, u + h)
    return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


INTEGRATORS = {
    i.name: i
    for i in (
        Integrator("symmetric split", symmetric, 6, 2),
        Integrator("reduced split", reduced, 2, 1),
        Integrator("naive split", naive, 2, 1),
        Integrator("conjugate", conjugate, 1, 1),
        Integrator("euler", euler, 1, 1),
        Integrator("stochastic split", stochastic, 2, 1, is_random=True),
    )
}
HEUN, RK4 = Integrator("Heun", heun, 2, 2), Integrator("RK4", rk4, 4, 4)


def time_grid(n_steps: int, horizon: float, first: float) -> Array:
    """(n_steps + 1,) falling times, even in sqrt(t): the score is stiff near the data."""
    times = np.linspace(np.sqrt(horizon), np.sqrt(first), n_steps + 1) ** 2
    times[0], times[-1] = horizon, first
    return times


def path(step: Step, run: Run, z: Array, times: Array) -> list[Array]:
    """(n_times) states, the start first."""
    run.law.prepare(times)
    if step is conjugate:
        run.prepare(times)
    states = [z]
    for t, t_next in itertools.pairwise(times.tolist()):
        z = np.clip(step(run, z, t, t_next), -BOUND, BOUND)
        states.append(z)
    return states
