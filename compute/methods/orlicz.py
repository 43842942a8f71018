r"""Orlicz-Wasserstein distances between weighted points.

For a convex Phi on [0, inf) with Phi(0) = 0,

    W_Phi(mu, nu) = inf_pi inf {k > 0: E_pi Phi(|x - y|/k) <= 1},

which is W_p for Phi = x^p. On the line the monotone coupling is optimal for every k, since Phi(|.|/k) is convex, so that one equation
in k remains. Elsewhere the best plan depends on k: from a plan, its own k (the Orlicz norm of the distance under it) is solved; then
the plan that is optimal at that k; and so on. k falls at every turn, and the vertices of the polytope of plans are finitely many, so
that it ends, at W_Phi: at a fixed point the optimal cost is 1.

By Markov's inequality mass of nu farther than r from every atom of mu is at most 1/Phi(r/W_Phi).

References
----------
Guha, Ho and Nguyen, "On excess mass behavior in Gaussian mixture models with Orlicz-Wasserstein distances" (2023), paper 402 of the
catalogue. Krasnoselskii and Rutickii, "Convex functions and Orlicz spaces" (1961).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from compute.methods.entropic_newton import entropic_value
from compute.methods.optimal_transport import exact

Array = NDArray[np.float64]

DEAREST = 1e7  # costs are cut here: mass 1e-6 at this cost is ten times what a plan may cost at all
LEAST_WEIGHT = 1e-6  # that a linear program keeps apart from 0
MOST_PLANS = 60


@dataclass(frozen=True)
class Young:
    """A convex function with Phi(0) = 0, and its inverse.

    Parameters
    ----------
    name : str
    value, inverse : callables
        Of arrays of nonnegative numbers.
    """

    name: str
    value: Callable[[Array], Array]
    inverse: Callable[[Array], Array]


def without_dust(means: Array, weights: Array) -> tuple[Array, Array]:
    """A measure's atoms of weight ``LEAST_WEIGHT`` and more, which linear programs can tell from none."""
    kept = weights >= LEAST_WEIGHT
    return means[kept], weights[kept] / weights[kept].sum()


def power(p: float) -> Young:
    """x^p, whose distance is W_p."""
    return Young(f"x^{p:g}", lambda x: np.asarray(x**p), lambda y: np.asarray(y ** (1 / p)))


EXPONENTIAL = Young("exp(x)-1", lambda x: np.expm1(np.minimum(x, 700.0)), np.log1p)
GAUSSIAN = Young("exp(x^2)-1", lambda x: np.expm1(np.minimum(x**2, 700.0)), lambda y: np.sqrt(np.log1p(y)))


def orlicz_norm(distance: Array, mass: Array, phi: Young) -> float:
    """The k at which sum_j m_j Phi(d_j/k) = 1.

    Parameters
    ----------
    distance, mass : (n,) arrays
        Nonnegative; the masses sum to one.
    phi : Young

    Returns
    -------
    float
        0 where all mass is at distance 0.
    """
    kept = (mass > 0) & (distance > 0)
    d, m = distance[kept], mass[kept]
    if not d.size:
        return 0.0
    # Each term alone needs this k, and no k beyond the second is needed: so that nothing overflows between.
    low = float(np.max(d / phi.inverse(1 / m)))
    high = float(np.max(d) / phi.inverse(np.array(1.0)))
    if high <= low * (1 + 1e-15):
        return low
    # In log k the sum is smooth and falling.
    found = brentq(lambda s: float(m @ phi.value(d * np.exp(-s))) - 1, np.log(low) - 1e-12, np.log(high) + 1e-12, xtol=1e-14)
    return float(np.exp(found))


def monotone_coupling(x: Array, a: Array, y: Array, b: Array) -> tuple[Array, Array, Array]:
    """Of points on the line: masses of its pairs, and where each leads from and to.

    Parameters
    ----------
    x, y : (n,), (m,) arrays
    a, b : (n,), (m,) arrays
        Weights, each summing to one.

    Returns
    -------
    mass, start, end : (n_pairs,) arrays
    """
    i, j = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    above, beyond = np.cumsum(a[i]), np.cumsum(b[j])
    above, beyond = above / above[-1], beyond / beyond[-1]
    levels = np.unique(np.concatenate([above, beyond]))
    middle = levels - 0.5 * np.diff(np.concatenate([[0.0], levels]))
    first, second = np.searchsorted(above, middle), np.searchsorted(beyond, middle)
    mass = np.diff(np.concatenate([[0.0], levels]))
    return mass, x[i][np.minimum(first, x.size - 1)], y[j][np.minimum(second, y.size - 1)]


def on_the_line(x: Array, a: Array, y: Array, b: Array, phi: Young) -> float:
    """W_Phi of weighted points on the line; parameters as in ``monotone_coupling``."""
    mass, start, end = monotone_coupling(x, a, y, b)
    return orlicz_norm(np.abs(start - end), mass, phi)


@dataclass(frozen=True)
class OrliczPlan:
    """A distance with its plan.

    Parameters
    ----------
    distance : float
    plan : (n, m) array
    n_plans : int
        Linear programs solved.
    """

    distance: float
    plan: Array
    n_plans: int


def by_linear_programs(a: Array, b: Array, distance: Array, phi: Young) -> OrliczPlan:
    """W_Phi of weighted points anywhere.

    Parameters
    ----------
    a, b : (n,), (m,) arrays
        Weights, each summing to one, none but 0 below ``LEAST_WEIGHT``; up to about 60 x 60.
    distance : (n, m) array
    phi : Young

    Returns
    -------
    OrliczPlan
    """
    found = exact(a, b, distance)
    k, plan = orlicz_norm(distance.ravel(), np.maximum(found.plan, 0).ravel(), phi), found.plan
    n_plans = 1
    while k > 0 and n_plans < MOST_PLANS:
        n_plans += 1
        found = exact(a, b, np.minimum(phi.value(distance / k), DEAREST))
        better = orlicz_norm(distance.ravel(), np.maximum(found.plan, 0).ravel(), phi)
        if better >= k * (1 - 1e-12):
            break
        k, plan = better, found.plan
    return OrliczPlan(k, np.maximum(plan, 0.0), n_plans)


def by_entropic_cost(
    a: Array,
    b: Array,
    across: Array,
    within: tuple[Array, Array],
    phi: Young,
    epsilon: float,
    *,
    is_debiased: bool = True,
    exact_distance: float | None = None,
) -> float:
    """W_Phi with the transport cost at each k replaced by its entropic value, debiased as in Sinkhorn's divergence.

    Parameters
    ----------
    a, b : (n,), (m,) arrays
        Weights, each summing to one.
    across : (n, m) array
        Distances.
    within : ((n, n) array, (m, m) array)
        Distances inside each measure.
    phi : Young
    epsilon : float
        In units of the cost, which is 1 at the solution.
    is_debiased : bool
        Whether half the entropic cost of each measure to itself is taken off; it is the value <P, C> + eps KL that counts otherwise.
    exact_distance : float, optional
        W_Phi, if known, which the search starts from; solved for otherwise.

    Returns
    -------
    float
    """

    # A plan of cost 1 moves no whole atom at a higher cost than one over its weight.
    dearest = min(DEAREST, 10 / float(min(a.min(), b.min())))
    last: list[Array | None] = [None, None, None]  # potentials at the k before, to start from

    def entropic(place: int, a: Array, b: Array, distance: Array) -> float:
        price = np.minimum(phi.value(distance), dearest)
        value, last[place], _ = entropic_value(a, b, price, epsilon, last[place])
        return value

    @lru_cache(maxsize=64)  # an end keeps its sign, though iterations from elsewhere would end a little differently
    def excess(log_k: float) -> float:
        k = float(np.exp(log_k))
        value = entropic(0, a, b, across / k)
        if is_debiased:
            value -= 0.5 * (entropic(1, a, a, within[0] / k) + entropic(2, b, b, within[1] / k))
        return value - 1

    # Out from the exact distance, where the two differ little, by ever longer steps.
    near = float(np.log(exact_distance or by_linear_programs(a, b, across, phi).distance))
    step, here = 0.05, excess(near)
    while True:
        other = near + step if here > 0 else near - step
        there = excess(other)
        if (there > 0) != (here > 0) or step > 20:
            break
        near, here, step = other, there, 2 * step
    return float(np.exp(brentq(excess, *sorted((near, other)), xtol=1e-4)))
