r"""Counts that die unit by unit, and their births in reverse: laws by exact transition matrices (184).

Each of the o_0 units survives to time t with probability a = e^-t: o_t | o_0 ~ Bin(o_0, a), with law q_a. In reverse units
are born at the rate

    (E[o_0 | o_t] - o_t) e^-t/(1 - e^-t) = (o + 1) q_a(o + 1)/q_a(o),

and between the levels a < b, given o_0, the number born is Bin(o_0 - o, (b - a)/(1 - a)). Four samplers on a grid of levels:

    exact              o_0 is drawn from its posterior: P(o' | o) = q_b(o') Bin(o', a/b)(o)/q_a(o), right on any grid
    tau-leap           Poisson births with the mean (E[o_0 | o] - o)(b - a)/(1 - a), cut off at M
    rounded mean       o_0 is replaced by its posterior mean, rounded to the nearest count
    randomly rounded   the same, rounded up with the probability of the fraction, so that births keep their mean

Laws start from the black o = 0 at the lowest level.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel

Array = NDArray[np.float64]

SAMPLERS = ("exact", "tau-leap", "rounded mean", "randomly rounded")


@kernel
def _thinning(m, a):  # type: ignore[no-untyped-def]
    """(m + 1, m + 1) Bin(o_0, a)(o) by Pascal's rule: sums of what is positive."""
    out = np.zeros((m + 1, m + 1))
    out[0, 0] = 1.0
    for n in range(1, m + 1):
        out[n, 0] = (1 - a) * out[n - 1, 0]
        for o in range(1, n + 1):
            out[n, o] = a * out[n - 1, o - 1] + (1 - a) * out[n - 1, o]
    return out


@kernel
def _posterior_mean(p, thinning):  # type: ignore[no-untyped-def]
    """Law q of what is left, and E[o_0 | o], which is o where nothing can be left."""
    m = p.size - 1
    q = np.zeros(m + 1)
    mean = np.zeros(m + 1)
    for n in range(m + 1):
        for o in range(n + 1):
            w = p[n] * thinning[n, o]
            q[o] += w
            mean[o] += n * w
    for o in range(m + 1):
        mean[o] = mean[o] / q[o] if q[o] > 1e-290 else float(o)
    return q, mean


@kernel
def _binomial(n, rate, out):  # type: ignore[no-untyped-def]
    """Weights of Bin(n, rate) into out[0..n], from the end that does not underflow."""
    if rate <= 0.5:
        out[0] = (1 - rate) ** n
        for k in range(n):
            out[k + 1] = out[k] * (n - k) / (k + 1) * rate / (1 - rate)
    else:
        out[n] = rate**n
        for k in range(n, 0, -1):
            out[k - 1] = out[k] * k / (n - k + 1) * (1 - rate) / rate


@kernel
def _propagate(p, levels):  # type: ignore[no-untyped-def]
    """(4, M + 1) laws at the last level of the four samplers, started from black at the first."""
    m = p.size - 1
    laws = np.zeros((4, m + 1))
    laws[:, 0] = 1.0
    born = np.empty(m + 1)
    q, mean = _posterior_mean(p, _thinning(m, levels[0]))
    for k in range(levels.size - 1):
        a, b = levels[k], levels[k + 1]
        rate = (b - a) / (1 - a)
        q_next, mean_next = _posterior_mean(p, _thinning(m, b))
        back = _thinning(m, a / b)
        after = np.zeros((4, m + 1))
        for o in range(m + 1):
            if q[o] > 1e-290:
                for to in range(o, m + 1):
                    after[0, to] += laws[0, o] * q_next[to] * back[to, o] / q[o]
            else:
                after[0, o] += laws[0, o]
            missing = max(mean[o] - o, 0.0)
            weight = math.exp(-missing * rate)
            rest = 1.0
            for j in range(m - o):
                after[1, o + j] += laws[1, o] * weight
                rest -= weight
                weight *= missing * rate / (j + 1)
            after[1, m] += laws[1, o] * max(rest, 0.0)
            # Rounding noise of the sum must not become a birth that cannot be.
            low = int(math.floor(missing + 1e-9))
            part = max(missing - low, 0.0)
            for n in range(low, low + 1 + (part > 1e-9)):
                share = part if n > low else 1 - part
                _binomial(n, rate, born)
                for j in range(n + 1):
                    if n == int(math.floor(missing + 0.5)):
                        after[2, o + j] += laws[2, o] * born[j]
                    after[3, o + j] += laws[3, o] * share * born[j]
        laws = after
        q, mean = q_next, mean_next
    return laws


def thinning(m: int, survival: float) -> Array:
    """(m + 1, m + 1) law of the units left, o, of each initial count o_0: rows sum to 1."""
    return _thinning(m, float(survival))


def posterior_mean(p: Array, survival: float) -> tuple[Array, Array]:
    """Law q of the count left and E[o_0 | o], each (M + 1,)."""
    return _posterior_mean(p, _thinning(p.size - 1, float(survival)))


def birth_rate(p: Array, survival: float) -> Array:
    """(M + 1,) reverse birth rate at each count, per unit of t, from the posterior mean."""
    _, mean = posterior_mean(p, survival)
    return (mean - np.arange(p.size)) * survival / (1 - survival)


def reverse_kernel(p: Array, low: float, high: float) -> Array:
    """(M + 1, M + 1) exact P(o' at the level high | o at the level low): rows sum to 1, or to 0 where o cannot be."""
    q, _ = posterior_mean(p, low)
    after, _ = posterior_mean(p, high)
    back = _thinning(p.size - 1, low / high)
    return np.where(q[:, None] > 1e-290, (after[:, None] * back).T / np.maximum(q[:, None], 1e-290), 0.0)


def output_laws(p: Array, levels: Array) -> dict[str, Array]:
    """By sampler, the (M + 1,) law at the last level, exactly, from black at the first."""
    return dict(zip(SAMPLERS, _propagate(np.asarray(p, dtype=float), np.asarray(levels, dtype=float)), strict=True))
