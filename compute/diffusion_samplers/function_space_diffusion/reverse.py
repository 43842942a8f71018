r"""Back from noise, mode by mode, with the exact score of functions.

Forward, each mode k follows dX = -X/2 dt + sqrt(r_k) dW, so that component j of the data has, at time t, the mean
m_j e^{-t/2} and the variance V_k = v_k e^{-t} + r_k (1 - e^{-t}). With shares w_j of the components at x, which all modes decide
together, the score is (sum_j w_j m_jk e^{-t/2} - x_k)/V_k, and backward

    stochastic      dx = (x/2 + r score) dt + sqrt(r) dW,        deterministic   dx = (x/2 + r score/2) dt.

Times are geometric from T down to min(1, v_K/r_K)/100, then one Euler step to 0. For Gaussian data, one component, each step
multiplies a mode by 1 + h/2 - c h r/V (c = 1 or 1/2) and adds noise: its variance after all steps is a recursion, exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from compute.diffusion_samplers.function_space_diffusion.setting import Array, FieldLaw
from compute.methods.log_sum_exp import softmax


def time_grid(last_ratio: float, horizon: float, steps: int) -> Array:
    """(steps + 1,) times downward from the horizon to 0, for v_K/r_K = ``last_ratio``."""
    last = 0.01 * min(1.0, last_ratio)
    return np.append(np.geomspace(horizon, last, steps), 0.0)


def score(law: FieldLaw, x: Array, t: float) -> Array:
    """(n, K) gradient of the log density of coefficients x (n, K) at time t."""
    variance = law.variance(t)
    means = law.means * np.exp(-t / 2)
    return np.asarray((shares(law, x, t) @ means - x) / variance)


def shares(law: FieldLaw, x: Array, t: float) -> Array:
    """(n, J) posterior probabilities of the components at time t."""
    means = law.means * np.exp(-t / 2)
    scaled = means / law.variance(t)
    logit = x @ scaled.T - 0.5 * np.sum(scaled * means, axis=1)
    return softmax(logit)


def start_law(rng: np.random.Generator, law: FieldLaw, horizon: float, start: str, n: int) -> Array:
    """(n, K) coefficients to start from: stationary noise, or the law at the horizon."""
    z = rng.standard_normal((n, law.noise.size))
    if start == "noise":
        return np.asarray(np.sqrt(law.noise) * z)
    chosen = rng.integers(law.means.shape[0], size=n)
    return np.asarray(law.means[chosen] * np.exp(-horizon / 2) + np.sqrt(law.variance(horizon)) * z)


def walk_back(rng: np.random.Generator, law: FieldLaw, x: Array, times: Array, reverse: str) -> Iterator[Array]:
    """States (n, K) at each of the times, the first as given."""
    is_stochastic = reverse == "stochastic"
    pull = law.noise if is_stochastic else law.noise / 2
    mixed = law.means.shape[0] > 1
    yield x
    for t, after in pairwise(times):
        h = t - after
        drift = x / 2 + pull * score(law, x, t) if mixed else x * (0.5 - pull / law.variance(t))
        x = x + h * drift
        if is_stochastic:
            x = x + np.sqrt(h * law.noise) * rng.standard_normal(x.shape)
        yield x


def variance_after(law: FieldLaw, times: Array, reverse: str, first: Array) -> Array:
    """(K,) variance of each mode at 0 of the same steps on one component, from the variance ``first`` (K,) at the top."""
    is_stochastic = reverse == "stochastic"
    pull = law.noise if is_stochastic else law.noise / 2
    variance = first
    for t, after in pairwise(times):
        h = t - after
        variance = variance * (1 + h / 2 - h * pull / law.variance(t)) ** 2
        if is_stochastic:
            variance = variance + h * law.noise
    return variance


def variance_in_continuum(law: FieldLaw, horizon: float, reverse: str, start: str) -> Array:
    """(K,) the same with infinitely many steps: v + G^2 (r - r q), G = v e^{-T/2}/(r q), or v/q; v from the law at T."""
    if start != "noise":
        return law.data
    top = law.variance(horizon)
    if reverse == "stochastic":
        return np.asarray(law.data + (law.data * np.exp(-horizon / 2) / top) ** 2 * (law.noise - top))
    return np.asarray(law.data * law.noise / top)
