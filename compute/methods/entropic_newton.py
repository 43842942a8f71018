r"""Entropic transport of small problems by Newton's method, where Sinkhorn's iteration would need too many sweeps.

With g(f)_j = -eps log sum_i a_i exp((f_i - C_ij)/eps) the value of OT_eps (see ``compute.methods.optimal_transport``) is

    max_f D(f) = <a, f> + <b, g(f)>,    grad D = a - P 1,    -eps Hess D = diag(P 1) - P diag(1/b) P^T,

concave in as many variables as there are points on the first side: a damped Newton step costs one small linear system. A step of
Sinkhorn's, which always climbs, goes between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compute.methods.log_sum_exp import log_sum_exp

Array = NDArray[np.float64]

MOST_STEPS = 60
TOLERANCE = 1e-9  # of the first marginal


def _fit_second(f: Array, cost: Array, log_a: Array, epsilon: float) -> Array:
    return -epsilon * log_sum_exp((f - cost.T) / epsilon + log_a)


def entropic_value(a: Array, b: Array, cost: Array, epsilon: float, start: Array | None = None) -> tuple[float, Array, float]:
    """The value of entropic transport, <P, C> + eps KL(P | a b^T) at its optimum.

    Parameters
    ----------
    a, b : (n,), (m,) arrays
        Positive weights, each summing to one; n up to about 60.
    cost : (n, m) array
    epsilon : float
        Positive.
    start : (n,) array, optional
        A first potential to start from; without one, larger eps are solved first.

    Returns
    -------
    value : float
    potential : (n,) array
    residual : float
        Sum of absolute errors of the first marginal.
    """
    f = np.zeros(a.size) if start is None else start
    levels = [epsilon]
    while start is None and levels[-1] < 0.3 * float(np.ptp(cost)):
        levels.append(4 * levels[-1])
    log_a, log_b = np.log(a), np.log(b)
    for level in reversed(levels):
        f, value, residual = _climb(f, a, b, cost, level, log_a, log_b)
    return value, f, residual


def _climb(f: Array, a: Array, b: Array, cost: Array, epsilon: float, log_a: Array, log_b: Array) -> tuple[Array, float, float]:
    for _ in range(MOST_STEPS):
        g = _fit_second(f, cost, log_a, epsilon)
        f = -epsilon * log_sum_exp((g - cost) / epsilon + log_b)  # Sinkhorn's step
        g = _fit_second(f, cost, log_a, epsilon)
        value = float(a @ f + b @ g)
        plan = a[:, None] * b * np.exp((f[:, None] + g - cost) / epsilon)
        row = plan.sum(axis=1)
        slope = a - row
        residual = float(np.abs(slope).sum())
        if residual < TOLERANCE:
            break
        curvature = (np.diag(row) - (plan / b) @ plan.T) / epsilon
        # Constants move nothing, and nearly certain plans curve little: both are damped.
        step = np.linalg.solve(curvature + np.eye(a.size) * (1e-10 + 1e-3 * residual) / epsilon, slope)
        share = 1.0
        while share > 1e-3:
            tried = f + share * step
            if a @ tried + b @ _fit_second(tried, cost, log_a, epsilon) >= value:
                f = tried
                break
            share *= 0.4
    return f, value, residual
