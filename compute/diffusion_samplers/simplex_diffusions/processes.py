r"""Four reverse processes from noise to a vertex of the simplex, each with the exact posterior over vertices.

Each knows how to begin, the log-likelihood of each token given its state, how to move one step given the posterior, and where its
state is on the simplex. States are (n, L, …) arrays. In all of them the drift is the posterior's mean of drifts to single vertices.

- Gumbel (paper 005): x = softmax((e_k + g/beta)/tau), tau = 10 e^{-lambda t}. In z = beta tau log x the interpolant stands still,
  z = beta e_k + g, and the published field reads dz/ds = beta w(z) - z with s = lambda t: no temperature in it. The likelihood
  of k, from the Concrete density, is [sum_i e^{-z_i} + (e^beta - 1) e^{-z_k}]^{-K}.
- Jacobi (paper 221): sticks v_j, x_1 = v_1, x_2 = (1 - v_1) v_2, …, stick j with a = 1, b = K - j. For category k sticks before
  k start from 0, stick k from 1, later ones from their stationary law. The reverse drift is f + g^2 d log r/dv, with r the
  transition density over the stationary one.
- Sphere (paper 267): u = sqrt(p), bridges with drift log_u(e_k)/(1 - t) and noise sigma. The posterior is that given the whole
  path, by the running likelihood of its steps: its mean drift gives the same law at every time as the posterior given u alone.
- Bayesian flow (paper 253): y ~ N(b(K e_k - 1), b K I) at accuracy b = beta_1 t^2; the likelihood of k is e^{y_k}. A step draws
  each token from its posterior, and its sender's message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from compute.diffusion_samplers.simplex_diffusions.setting import Constants
from compute.methods.log_sum_exp import softmax
from compute.models.jacobi_diffusion import EndRatio
from compute.models.sphere_bridge import along_geodesic, project_tangent, toward_vertices
from compute.models.token_law import TokenLaw

Array = NDArray[np.float64]

TAU_MAX = 10.0
LAST_TIME = 4.0  # of the Jacobi diffusion, from which it is reversed
SHORTEST_TIME = 0.01  # s t at which its reversal stops
ANGLES = np.linspace(0, np.pi, 162)[1:-1]
STICKS = np.sin(ANGLES / 2) ** 2
TIMES = np.geomspace(SHORTEST_TIME, 4.0 * LAST_TIME, 48)


@dataclass(frozen=True, eq=False)
class Reverse(ABC):
    """A reverse process of ``n_steps`` steps."""

    law: TokenLaw
    constants: Constants
    n_steps: int

    @abstractmethod
    def begin(self, n: int, rng: np.random.Generator) -> Array:
        """A state at the noisy end."""

    @abstractmethod
    def log_likelihood(self, state: Array, step: int) -> Array:
        """(n, L, K), up to a constant, before step ``step``."""

    @abstractmethod
    def advance(self, state: Array, posterior: Array, step: int, rng: np.random.Generator) -> Array:
        """The state after step ``step``."""

    @abstractmethod
    def simplex(self, state: Array, step: int) -> Array:
        """(n, L, K) points of the simplex, before step ``step``."""

    def vertex(self, state: Array) -> NDArray[np.intp]:
        """(n, L) tokens at the end: the likeliest ones."""
        return np.asarray(np.argmax(self.law.posterior(self.log_likelihood(state, self.n_steps)), axis=-1))

    def run(self, n: int, rng: np.random.Generator, look: Callable[[int, Array], None] | None = None) -> NDArray[np.intp]:
        """(n, L) tokens generated; ``look`` is shown the state before each step and after the last."""
        state = self.begin(n, rng)
        for step in range(self.n_steps):
            if look:
                look(step, state)
            state = self.advance(state, self.law.posterior(self.log_likelihood(state, step)), step, rng)
        if look:
            look(self.n_steps, state)
        return self.vertex(state)


def concrete_log_likelihood(z: Array, beta: float) -> Array:
    """Of each category, from z = beta tau log x of the Concrete law."""
    shifted = z - z.min(axis=-1, keepdims=True)
    inverse = np.exp(-shifted)
    return np.asarray(-z.shape[-1] * np.log(inverse.sum(axis=-1, keepdims=True) + np.expm1(beta) * inverse))


@dataclass(frozen=True, eq=False)
class Gumbel(Reverse):
    """By the published field, or by that which carries the noisy interpolant along; guided towards the first category."""

    is_exact: bool = False
    guidance: float = 0.0

    def begin(self, n: int, rng: np.random.Generator) -> Array:
        z = rng.gumbel(size=(n, self.law.length, self.law.n_categories))
        tokens = self.law.sample(rng, n)
        if self.constants.gumbel_start == "interpolant's law":
            z += self.constants.gumbel_beta * (tokens[..., None] == np.arange(self.law.n_categories))
        return z

    def log_likelihood(self, state: Array, step: int) -> Array:
        return concrete_log_likelihood(state, self.constants.gumbel_beta)

    def advance(self, state: Array, posterior: Array, step: int, rng: np.random.Generator) -> Array:
        beta, decay = self.constants.gumbel_beta, self.constants.decay
        if not self.is_exact:
            kept = np.exp(-decay / self.n_steps)
            state = kept * state + (1 - kept) * beta * posterior
        if self.guidance:
            # d log x_1 gets strength dt, so dz_1 = beta tau strength dt, integrated over the step.
            ends = np.exp(-decay * np.array([step, step + 1]) / self.n_steps)
            state = state.copy()
            state[..., 0] += beta * TAU_MAX * self.guidance * (ends[0] - ends[1]) / decay
        return state

    def simplex(self, state: Array, step: int) -> Array:
        tau = TAU_MAX * np.exp(-self.constants.decay * step / self.n_steps)
        return softmax(state / (self.constants.gumbel_beta * tau))

    def vertex(self, state: Array) -> NDArray[np.intp]:
        return np.asarray(np.argmax(state, axis=-1))


@lru_cache(maxsize=128)
def stick_tables(b: float) -> NDArray[np.float32]:
    """(n_times, 4, n_sticks): s t log r from 1 and its derivative in v, and the same from 0, at ``TIMES`` for a = 1."""
    ratio = EndRatio(1.0, b, STICKS)
    return np.array([np.array(ratio.at(float(t))) * t for t in TIMES], dtype=np.float32)


def _between(b: float, time: float) -> Array:
    """The tables at a time between: s t log r is smooth in log t, as it tends to half a squared angle."""
    place = np.clip(np.log(time / TIMES[0]) / np.log(TIMES[1] / TIMES[0]), 0, TIMES.size - 1 - 1e-9)
    k = int(place)
    tables = stick_tables(b)
    return np.asarray(((1 - place + k) * tables[k] + (place - k) * tables[k + 1]) / time)


class Jacobi(Reverse):
    """Sticks run back from their stationary law, by Euler's steps with clipping.

    State: (n, L, 5, K - 1) of the sticks, then log r from 1, its derivative, log r from 0, its derivative.
    """

    def time(self, step: int) -> float:
        """s t before a step."""
        longest = self.constants.speed * LAST_TIME
        return float(longest * (SHORTEST_TIME / longest) ** (step / self.n_steps))

    def _seen(self, v: Array, step: int) -> Array:
        place = np.clip(np.arccos(1 - 2 * v) / (ANGLES[1] - ANGLES[0]) - 1, 0, ANGLES.size - 1 - 1e-9)
        k = place.astype(np.int64)
        part = (place - k)[..., None]
        state = np.empty((*v.shape[:2], 5, v.shape[2]))
        state[:, :, 0] = v
        for j in range(v.shape[-1]):
            table = _between(float(self.law.n_categories - 1 - j), self.time(step)).T
            left, share = k[..., j], part[..., j, :]
            state[:, :, 1:, j] = (1 - share) * table[left] + share * table[left + 1]
        return state

    def begin(self, n: int, rng: np.random.Generator) -> Array:
        K = self.law.n_categories
        return self._seen(rng.beta(1.0, np.arange(K - 1, 0, -1), (n, self.law.length, K - 1)), 0)

    def log_likelihood(self, state: Array, step: int) -> Array:
        return _by_category(state[:, :, 1], state[:, :, 3])

    def advance(self, state: Array, posterior: Array, step: int, rng: np.random.Generator) -> Array:
        v, one, zero = state[:, :, 0], state[:, :, 2], state[:, :, 4]
        b = np.arange(self.law.n_categories - 1, 0, -1)
        dt = self.time(step) - self.time(step + 1)
        # Stick j starts from 1 for category j, from 0 for later ones.
        later = 1 - np.cumsum(posterior, axis=-1)[..., :-1]
        width = v * (1 - v)
        drift = 0.5 * (1 - v - b * v) + width * (posterior[..., :-1] * one + later * zero)
        moved = v + drift * dt + np.sqrt(width * dt) * rng.standard_normal(v.shape)
        return self._seen(np.clip(moved, 1e-7, 1 - 1e-7), step + 1)

    def simplex(self, state: Array, step: int) -> Array:
        return break_stick(state[:, :, 0])


def _by_category(from_one: Array, from_zero: Array) -> Array:
    """Category k: sticks before it from 0, its own from 1; the last category has no stick of its own."""
    before = np.concatenate([np.zeros_like(from_zero[..., :1]), np.cumsum(from_zero, axis=-1)], axis=-1)
    before[..., :-1] += from_one
    return before


def break_stick(v: Array) -> Array:
    """(…, K) points of the simplex of (…, K - 1) sticks."""
    left = np.concatenate([np.ones_like(v[..., :1]), np.cumprod(1 - v, axis=-1)], axis=-1)
    left[..., :-1] *= v
    return np.asarray(left)


class Sphere(Reverse):
    """State: (n, L, 2, K) of the unit vector and the running log-likelihood."""

    def left(self, step: int) -> float:
        """1 - t before a step: steps grow finer towards the end."""
        return float((1 - step / self.n_steps) ** 2)

    def begin(self, n: int, rng: np.random.Generator) -> Array:
        state = np.zeros((n, self.law.length, 2, self.law.n_categories))
        state[..., 0, :] = 1 / np.sqrt(self.law.n_categories)
        return state

    def log_likelihood(self, state: Array, step: int) -> Array:
        return np.asarray(state[..., 1, :])

    def advance(self, state: Array, posterior: Array, step: int, rng: np.random.Generator) -> Array:
        u, weight = state[..., 0, :], state[..., 1, :]
        before, after = self.left(step), self.left(step + 1)
        r, stretch = toward_vertices(u)
        pull = posterior * stretch
        drift = (1 - after / before) * project_tangent(pull, u)
        # Of a Brownian bridge over the step; none in the last.
        variance = self.constants.sphere_noise**2 * (before - after) * after / before
        moved = drift + np.sqrt(variance) * project_tangent(rng.standard_normal(u.shape), u)
        if variance > 0:
            share = 1 - after / before
            weight = weight + share * (moved * stretch - 0.5 * share * r**2) / variance
        return np.stack([along_geodesic(u, moved), weight], axis=-2)

    def simplex(self, state: Array, step: int) -> Array:
        return np.asarray(state[..., 0, :] ** 2)


class BayesianFlow(Reverse):
    """State: the sum of messages y."""

    def begin(self, n: int, rng: np.random.Generator) -> Array:
        return np.zeros((n, self.law.length, self.law.n_categories))

    def log_likelihood(self, state: Array, step: int) -> Array:
        return state

    def advance(self, state: Array, posterior: Array, step: int, rng: np.random.Generator) -> Array:
        K = self.law.n_categories
        accuracy = self.constants.beta1 * (2 * step + 1) / self.n_steps**2
        uniform, below = rng.random(posterior.shape[:-1]), np.zeros(posterior.shape[:-1])
        token = np.zeros(posterior.shape[:-1], dtype=np.intp)
        for k in range(K - 1):
            below += posterior[..., k]
            token += below < uniform
        mean = accuracy * (K * (token[..., None] == np.arange(K)) - 1)
        return np.asarray(state + mean + np.sqrt(accuracy * K) * rng.standard_normal(state.shape))

    def simplex(self, state: Array, step: int) -> Array:
        return softmax(state)


KINDS: dict[str, type[Reverse]] = {"gumbel": Gumbel, "jacobi": Jacobi, "sphere": Sphere, "bayesian flow": BayesianFlow}
