r"""Optimal transport between weighted points: entropic by Sinkhorn's iteration, exact by linear programming.

For weights a (n), b (m), each summing to one, and a cost C (n, m),

    OT_eps(a, b) = min_P <P, C> + eps KL(P | a b^T) = max_{f, g} <a, f> + <b, g> - eps (<a b^T, exp((f + g - C)/eps)> - 1),

P over plans with marginals a and b. At the optimum P_ij = a_i b_j exp((f_i + g_j - C_ij)/eps), and the gradient of OT_eps in
a is f, up to a constant; eps = 0 is the linear program, whose dual potentials play the same role.

Sinkhorn's iteration works on scalings u, v of a kernel exp((f + g - C)/eps), two matrix-vector products a sweep; where they
grow they are absorbed into f and g by a sweep in the log domain, so that eps may be small beside the cost.

References
----------
Cuturi, "Sinkhorn distances" (2013). Schmitzer, "Stabilized sparse scaling algorithms for entropy regularized transport
problems" (2019), for absorption and for the warm start from larger eps.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from compute.methods.log_sum_exp import log_sum_exp

Array = NDArray[np.float64]

BLOCK = 10  # sweeps between two looks at the error
LARGEST_LOG = 50.0  # of a scaling, before it is absorbed


@dataclass(frozen=True)
class Transport:
    """A plan with its dual potentials.

    Parameters
    ----------
    plan : (n, m) array
    first, second : (n,), (m,) arrays
        Dual potentials f and g, also at points of weight zero.
    cost : float
        <P, C>.
    value : float
        <a, f> + <b, g>: the optimal value, with the entropy's part.
    residual : float
        Sum of absolute errors of the plan's first marginal; the second is exact.
    sweeps : int
    """

    plan: Array
    first: Array
    second: Array
    cost: float
    value: float
    residual: float
    sweeps: int


def squared_distance(x: Array, y: Array) -> Array:
    """(n, m) squared Euclidean distances of (n, d) and (m, d) points."""
    square = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1) - 2 * x @ y.T
    return np.asarray(np.maximum(square, 0.0))


def soft_minimum(cost: Array, potential: Array, log_weight: Array, epsilon: float) -> Array:
    """(n,) values -eps log sum_j w_j exp((g_j - C_ij)/eps): the first potential that fits the second."""
    return np.asarray(-epsilon * log_sum_exp((potential - cost) / epsilon + log_weight))


def sinkhorn(
    a: Array,
    b: Array,
    cost: Array,
    epsilon: float,
    *,
    start: Array | None = None,
    tolerance: float = 1e-7,
    max_sweeps: int = 20_000,
) -> Transport:
    """Entropic transport.

    Parameters
    ----------
    a, b : (n,), (m,) arrays
        Weights, nonnegative, each summing to one.
    cost : (n, m) array
    epsilon : float
        Regularization, > 0, in units of the cost.
    start : (m,) array, optional
        A second potential to start from; without one, larger eps are solved first.
    tolerance : float
        On ``Transport.residual``.
    max_sweeps : int
        Where the iteration gives up; see ``Transport.residual`` for what it reached.

    Returns
    -------
    Transport
    """
    rows, columns = a > 0, b > 0
    part = cost if rows.all() and columns.all() else cost[np.ix_(rows, columns)]
    a_, b_ = a[rows], b[columns]
    if start is None:
        g = np.zeros(b_.size)
        for coarse in _larger(epsilon, float(np.ptp(part))):
            _, g, _, _ = _iterate(a_, b_, part, coarse, g, 1e-2, 2 * BLOCK)
    else:
        g = start[columns]
    f, g, residual, sweeps = _iterate(a_, b_, part, epsilon, g, tolerance, max_sweeps)
    plan = np.zeros_like(cost, dtype=float)
    inner = a_[:, None] * b_ * np.exp((f[:, None] + g - part) / epsilon)
    plan[np.ix_(rows, columns)] = inner
    first = np.empty(a.size)
    first[rows] = f
    if not rows.all():
        first[~rows] = soft_minimum(cost[~rows][:, columns], g, np.log(b_), epsilon)
    second = np.empty(b.size)
    second[columns] = g
    if not columns.all():
        second[~columns] = soft_minimum(cost[rows][:, ~columns].T, f, np.log(a_), epsilon)
    return Transport(plan, first, second, float(np.sum(inner * part)), float(a_ @ f + b_ @ g), residual, sweeps)


def _larger(epsilon: float, span: float) -> Array:
    """Regularizations from the cost's span down to eps, the last left out, each a quarter of the one before."""
    n = int(np.ceil(np.log(max(span / epsilon, 1.0)) / np.log(4.0)))
    return np.asarray(epsilon * 4.0 ** np.arange(n, 0, -1))


def _iterate(
    a: Array, b: Array, cost: Array, epsilon: float, g: Array, tolerance: float, max_sweeps: int
) -> tuple[Array, Array, float, int]:
    """Sweeps to a tolerance: potentials, residual of the first marginal, sweeps made."""
    log_a, log_b = np.log(a), np.log(b)
    columns = np.ascontiguousarray(cost.T)
    sweeps = 0
    while True:
        f = soft_minimum(cost, g, log_b, epsilon)
        g = soft_minimum(columns, f, log_a, epsilon)
        sweeps += 1
        kernel = np.exp((f[:, None] + g - cost) / epsilon)
        left, right = kernel * b, np.ascontiguousarray((kernel * a[:, None]).T)
        u, v = np.ones(a.size), np.ones(b.size)
        while True:
            # One absorbed kernel is good for as long as its scalings stay moderate.
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                before_u, before_v = u, v
                for _ in range(BLOCK):
                    u = 1 / (left @ v)
                    v = 1 / (right @ u)
                residual = float(a @ np.abs(u * (left @ v) - 1))
            lowest, highest = min(float(u.min()), float(v.min())), max(float(u.max()), float(v.max()))
            if not isfinite(residual) or not lowest > 0:
                u, v = before_u, before_v  # the scalings ran away within a block: a step in the log domain instead
                residual = np.inf
                break
            sweeps += BLOCK
            largest = max(log(highest), -log(lowest))
            if residual < tolerance or sweeps >= max_sweeps or largest > LARGEST_LOG:
                break
        f, g = f + epsilon * np.log(u), g + epsilon * np.log(v)
        if residual < tolerance or sweeps >= max_sweeps:
            return f, g, residual, sweeps


def exact(a: Array, b: Array, cost: Array) -> Transport:
    """Exact transport by linear programming (HiGHS), for up to about 150 x 150 points.

    Parameters and returns as in ``sinkhorn``; ``value`` equals ``cost``, and the potentials satisfy f_i + g_j <= C_ij.
    """
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    part = cost[np.ix_(rows, columns)]
    n, m = part.shape
    # One equation a row and a column; the last follows from the others, as both sides sum to one.
    places = np.arange(n * m)
    equations = csr_matrix(
        (np.ones(2 * n * m), (np.concatenate([places // m, n + places % m]), np.concatenate([places, places]))),
        shape=(n + m, n * m),
    )
    solved = linprog(part.ravel(), A_eq=equations[:-1], b_eq=np.concatenate([a[rows], b[columns]])[:-1], method="highs")
    if solved.status != 0:
        raise RuntimeError(f"the linear program was not solved: {solved.message}")
    dual = np.append(solved.eqlin.marginals, 0.0)
    f, g = dual[:n], dual[n:]
    plan = np.zeros_like(cost, dtype=float)
    plan[np.ix_(rows, columns)] = solved.x.reshape(n, m)
    first = np.min(cost[:, columns] - g, axis=1)
    first[rows] = f
    second = np.min(cost - first[:, None], axis=0)
    second[columns] = g
    residual = float(np.abs(plan.sum(axis=1) - a).sum())
    return Transport(plan, first, second, float(solved.fun), float(a @ first + b @ second), residual, int(solved.nit))
