r"""Both fittings between any two laws on a grid: finite Markov chains, so that every projection is exact.

The reference is a random walk on the grid, N + 1 equal steps of a kernel G prop. exp(-(x - y)^2 (N + 1)/(2 eps)), made symmetric and
stochastic; K_i = G^i. Its bridge between p and q is the plan prop. to K_{N+1} with those marginals.

*Proportional fitting* scales rows and columns of K_{N+1} (Sinkhorn). *Markovian fitting* fills a plan in with the walk's own
bridges: with A = plan/K_{N+1} (elementwise), the law of neighbors is

    J_i = G * (K_i^T A K_{N-i}^T)     (elementwise product),

and the next plan is the product of the transitions that the J_i imply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.methods.optimal_transport import sinkhorn

Array = NDArray[np.float64]

FLOOR = 1e-300


@dataclass(frozen=True, eq=False)
class Walk:
    """A reference walk on a grid.

    Parameters
    ----------
    x : (n,) array
    powers : (N + 2, n, n) array
        Transition matrices over 0, 1, …, N + 1 steps.
    """

    x: Array
    powers: Array

    @property
    def whole(self) -> Array:
        """(n, n) transition over the whole time."""
        return np.asarray(self.powers[-1])


def walk(x: Array, epsilon: float, inner_times: int) -> Walk:
    """The walk of variance eps in N + 1 steps; reversible, uniform on the grid."""
    step = np.exp(-((x[:, None] - x) ** 2) * (inner_times + 1) / (2 * epsilon))
    step /= step[x.size // 2].sum()
    # What would leave the grid stays where it is: symmetric and stochastic.
    step[np.diag_indices(x.size)] += 1 - step.sum(axis=1)
    powers = [np.eye(x.size)]
    for _ in range(inner_times + 1):
        powers.append(powers[-1] @ step)
    return Walk(x, np.stack(powers))


def exact_plan(reference: Walk, p: Array, q: Array) -> Array:
    """The static bridge: the scaling of the whole walk that has both marginals."""
    cost = -np.log(np.maximum(reference.whole, FLOOR))
    return sinkhorn(p, q, cost, 1.0, tolerance=1e-12, max_sweeps=4000).plan


def proportional_steps(reference: Walk, p: Array, q: Array, iterations: int) -> Iterator[Array]:
    """Plans after 0, 1, … iterations; each fits the end, then the start."""
    kernel = reference.whole
    u, v = p.copy(), np.ones(q.size)
    yield u[:, None] * kernel
    for _ in range(iterations):
        v = q / np.maximum(u @ kernel, FLOOR)
        u = p / np.maximum(kernel @ v, FLOOR)
        yield u[:, None] * kernel * v


def markovian_steps(reference: Walk, plan: Array, iterations: int) -> Iterator[Array]:
    """Plans after 0, 1, … iterations from a plan with the right marginals."""
    powers = reference.powers
    inner = powers.shape[0] - 2
    step, whole = powers[1], np.maximum(powers[-1], FLOOR)
    yield plan
    for _ in range(iterations):
        tilted = plan / whole
        plan = np.diag(plan.sum(axis=1))
        for i in range(inner + 1):
            joint = step * (powers[i].T @ tilted @ powers[inner - i].T)
            plan = plan @ (joint / np.maximum(joint.sum(axis=1), FLOOR)[:, None])
        yield plan


def divergence(plan: Array, other: Array) -> float:
    """KL(plan || other) of two laws on the grid."""
    seen = plan > 1e-250
    return max(float(np.sum(plan[seen] * np.log(plan[seen] / np.maximum(other[seen], FLOOR))) + other.sum() - plan.sum()), 0.0)


def monotone_plan(p: Array, q: Array) -> Array:
    """The plan of optimal transport for a convex cost on the line: quantile to quantile."""
    plan = np.zeros((p.size, q.size))
    i = j = 0
    left, right = p.copy(), q.copy()
    while i < p.size and j < q.size:
        moved = min(left[i], right[j])
        plan[i, j] += moved
        left[i] -= moved
        right[j] -= moved
        if left[i] <= right[j]:
            i += 1
        else:
            j += 1
    return plan
