r"""The Schrodinger bridge between Gaussians on the line, and two fittings that reach it, all in closed form.

The reference is Brownian motion of variance eps over [0, 1]; the static cost is |x - y|^2/2 with regularization eps. Between
N(0, s0^2) and N(m, s1^2) the bridge's covariance of start and end is

    c* = sqrt(s0^2 s1^2 + eps^2/4) - eps/2,        rho* = c*/(s0 s1).

*Proportional fitting* (Sinkhorn) replaces one marginal at a time and keeps the conditional. Means converge by rho*^2 an iteration
(two half steps), covariances by rho*^4.

*Markovian fitting* with N inner times t_i fills a plan in by Brownian bridges, then keeps only the transitions between neighbors:

    c <- s0 s1 prod_i Cov(t_i, t_{i+1})/sqrt(V_i V_{i+1}),
    Cov(t, u) = (1-t)(1-u) s0^2 + t u s1^2 + [(1-t) u + t (1-u)] c + eps t (1-u),

which keeps both marginals. Its rate is the derivative of that map at c*. As N grows the map tends to
s0 s1 exp(-(eps/2) int dt/V_t) and the rate to c* eps int t (1-t)/V_t^2 dt.

References
----------
Selikhanovych et al., "Adversarial Schrodinger Bridge Matching" (2024), paper 259; Tang et al., "Simplified Diffusion Schrodinger
Bridge" (2024), paper 146 of the catalogue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


@dataclass(frozen=True)
class Plan:
    """A Gaussian law of start and end.

    Parameters
    ----------
    mean : (float, float)
    variance : (float, float)
    covariance : float
    """

    mean: tuple[float, float]
    variance: tuple[float, float]
    covariance: float

    @property
    def correlation(self) -> float:
        return self.covariance / float(np.sqrt(self.variance[0] * self.variance[1]))

    def divergence(self, other: Plan) -> float:
        """KL(self || other); infinite where this plan is degenerate."""
        a = np.array([[self.variance[0], self.covariance], [self.covariance, self.variance[1]]])
        b = np.array([[other.variance[0], other.covariance], [other.covariance, other.variance[1]]])
        gap = np.array(self.mean) - np.array(other.mean)
        determinant = max(self.variance[0] * self.variance[1] - self.covariance**2, 0.0)
        if determinant < 1e-300:
            return float("inf")
        inverse = np.linalg.inv(b)
        log_ratio = np.log(np.linalg.det(b)) - np.log(determinant)
        # Rounding may leave it a little below zero.
        return max(0.5 * float(np.trace(inverse @ a) - 2 + gap @ inverse @ gap + log_ratio), 0.0)


def bridge_covariance(s0: float, s1: float, epsilon: float) -> float:
    """c*, in a form without cancellation at large eps."""
    return s0**2 * s1**2 / (math.sqrt(s0**2 * s1**2 + epsilon**2 / 4) + epsilon / 2)


def bridge(s0: float, s1: float, epsilon: float, gap: float = 0.0) -> Plan:
    """The static bridge between N(0, s0^2) and N(gap, s1^2)."""
    return Plan((0.0, gap), (s0**2, s1**2), bridge_covariance(s0, s1, epsilon))


# --- proportional fitting -------------------------------------------------------------------------------


def reference_plan(s0: float, epsilon: float) -> Plan:
    """Start in N(0, s0^2), then Brownian motion of variance eps."""
    return Plan((0.0, 0.0), (s0**2, s0**2 + epsilon), s0**2)


def fit_end(plan: Plan, mean: float, variance: float) -> Plan:
    """Give the end its law, keep the law of the start given the end."""
    gain = plan.covariance / plan.variance[1]
    left = plan.variance[0] - gain * plan.covariance
    return Plan((plan.mean[0] + gain * (mean - plan.mean[1]), mean), (left + gain**2 * variance, variance), gain * variance)


def fit_start(plan: Plan, mean: float, variance: float) -> Plan:
    """Give the start its law, keep the law of the end given the start."""
    turned = Plan(plan.mean[::-1], plan.variance[::-1], plan.covariance)
    fitted = fit_end(turned, mean, variance)
    return Plan(fitted.mean[::-1], fitted.variance[::-1], fitted.covariance)


def proportional_fitting(s0: float, s1: float, epsilon: float, iterations: int, gap: float = 0.0) -> list[Plan]:
    """Plans after 0, 1, … iterations from the reference; each fits the end, then the start."""
    plans = [reference_plan(s0, epsilon)]
    for _ in range(iterations):
        plans.append(fit_start(fit_end(plans[-1], gap, s1**2), 0.0, s0**2))
    return plans


def proportional_rate(s0: float, s1: float, epsilon: float, has_gap: bool) -> float:
    """Factor on the plan's error per iteration: rho*^2 where means are to be found, rho*^4 where they are not."""
    rho = bridge_covariance(s0, s1, epsilon) / (s0 * s1)
    return rho**2 if has_gap else rho**4


# --- Markovian fitting ----------------------------------------------------------------------------------


def path_covariance(t: Array, u: Array, c: float | Array, s0: float, s1: float, epsilon: float | Array) -> Array:
    """Cov(x_t, x_u) for t <= u, of a plan filled in by Brownian bridges."""
    mixed = (1 - t) * u + t * (1 - u)
    return np.asarray((1 - t) * (1 - u) * s0**2 + t * u * s1**2 + mixed * c + epsilon * t * (1 - u))


def markovian_step(c: float, s0: float, s1: float, epsilon: float, inner_times: int | None) -> float:
    """The covariance of start and end after one iteration; ``None`` for continuous time."""
    if inner_times is None:
        variance = path_covariance(NODES, NODES, c, s0, s1, epsilon)
        return float(s0 * s1 * np.exp(-epsilon / 2 * (WEIGHTS @ (1 / variance))))
    t = np.linspace(0, 1, inner_times + 2)
    variance = path_covariance(t, t, c, s0, s1, epsilon)
    neighbors = path_covariance(t[:-1], t[1:], c, s0, s1, epsilon)
    return float(s0 * s1 * np.prod(neighbors / np.sqrt(variance[:-1] * variance[1:])))


def markovian_fitting(
    s0: float, s1: float, epsilon: float, inner_times: int | None, iterations: int, start: float, gap: float = 0.0
) -> list[Plan]:
    """Plans after 0, 1, … iterations from a correlation ``start``; means and variances are right from the beginning."""
    plans = [Plan((0.0, gap), (s0**2, s1**2), start * s0 * s1)]
    for _ in range(iterations):
        c = markovian_step(plans[-1].covariance, s0, s1, epsilon, inner_times)
        plans.append(Plan((0.0, gap), (s0**2, s1**2), c))
    return plans


def markovian_rates(s0: float, s1: float, epsilon: Array, inner_times: int | None) -> Array:
    """Factor on the error of the covariance per iteration, near the bridge.

    Parameters
    ----------
    s0, s1 : float
        Deviations of start and end.
    epsilon : (n,) array
    inner_times : int, optional
        ``None`` for continuous time.

    Returns
    -------
    (n,) array
    """
    c = np.array([[bridge_covariance(s0, s1, float(e))] for e in epsilon])
    noise = epsilon[:, None]
    if inner_times is None:
        variance = path_covariance(NODES, NODES, c, s0, s1, noise)
        return np.asarray((c * noise * (NODES * (1 - NODES) / variance**2)) @ WEIGHTS)
    grid = np.linspace(0, 1, inner_times + 2)
    t, u = grid[:-1], grid[1:]
    between = ((1 - t) * u + t * (1 - u)) / path_covariance(t, u, c, s0, s1, noise)
    at = grid * (1 - grid) / path_covariance(grid, grid, c, s0, s1, noise)
    return np.asarray((c * (between - at[:, :-1] - at[:, 1:])).sum(axis=1))


def markovian_rate(s0: float, s1: float, epsilon: float, inner_times: int | None) -> float:
    """The same at one noise."""
    return float(markovian_rates(s0, s1, np.array([epsilon]), inner_times)[0])
