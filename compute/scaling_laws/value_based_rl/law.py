r"""Data and compute of value-based reinforcement learning against the updates-to-data ratio, and what a budget should buy.

To reach a level J at sigma updates per environment step takes

    D(sigma) = Dmin (1 + (beta/sigma)^alpha)  environment steps,      C(sigma) = k sigma^{1 - alpha_B} D(sigma)  compute,

for the best batch shrinks as sigma^{-alpha_B}. A budget F = C + delta D is least where

    k (1 - alpha_B) sigma^{1 - alpha_B} (1 + (sigma/beta)^alpha) = alpha (k sigma^{1 - alpha_B} + delta),

which has one root for alpha_B < 1. Higher levels cost more: Dmin = D_0 (1 - J)^{-p}, beta = beta_0 (1 - J)^{-p_beta}.

References
----------
Rybkin et al., "Value-Based Deep RL Scales Predictably" (2025), paper 379 of the catalogue; the forms in J are ours.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from compute.parameters import LogReal, ParameterError, Real

Array = NDArray[np.float64]

COMPUTE_SCALE = 3.0  # k
DATA_EXPONENT = 1.0  # p
SPAN = 70.0  # of log sigma about 0: beyond it nothing that can be set leads
LEAST_DISTANCE = 1e-14  # of 1 - J

Utd = Annotated[
    float, LogReal("updates to data", r"\sigma", low=0.25, high=32, help="Gradient updates per environment step: your setting.")
]
DataFloor = Annotated[float, LogReal("data floor at J = 0", r"D_{0}", low=1e3, high=1e7, unit="steps")]
Beta0 = Annotated[float, LogReal("crossover at J = 0", r"\beta_{0}", low=0.1, high=10, help="The ratio at which data doubles.")]
Alpha = Annotated[float, Real("data exponent", r"\alpha", low=0.2, high=2.0)]
BatchExponent = Annotated[
    float,
    Real(
        "batch exponent", r"\alpha_{B}", low=0.0, high=0.95, help="Batches shrink as σ^(−α_B); at 1 compute would no longer grow."
    ),
]
DataPrice = Annotated[
    float, LogReal("price of a step", r"\delta", low=1e-3, high=1e3, help="Compute units one environment step costs.")
]
BudgetTotal = Annotated[float, LogReal("budget", "F", low=1e4, high=1e10, unit="compute units")]
LevelExponent = Annotated[
    float,
    Real(
        "how the crossover grows with the level", r"p_{\beta}", low=0.0, high=1.0, help="At 0 the best ratio is free of the budget."
    ),
]


class UtdLaw(NamedTuple):
    """D_0, beta_0, alpha, alpha_B and p_beta; every field a float or an array that broadcasts."""

    data_floor: float
    beta0: float
    alpha: float
    batch_exponent: float
    level_exponent: float


def least_data(law: UtdLaw, distance: ArrayLike) -> Array:
    """Dmin at 1 - J."""
    return law.data_floor * np.asarray(distance, dtype=float) ** -DATA_EXPONENT


def crossover(law: UtdLaw, distance: ArrayLike) -> Array:
    """beta at 1 - J."""
    return law.beta0 * np.asarray(distance, dtype=float) ** -law.level_exponent


def data_needed(law: UtdLaw, utd: ArrayLike, distance: ArrayLike) -> Array:
    """D(sigma) at 1 - J, broadcast."""
    return least_data(law, distance) * (1 + (crossover(law, distance) / np.asarray(utd, dtype=float)) ** law.alpha)


def compute_per_step(law: UtdLaw, utd: ArrayLike) -> Array:
    """k sigma^{1 - alpha_B}: C = this times D."""
    return COMPUTE_SCALE * np.asarray(utd, dtype=float) ** (1 - law.batch_exponent)


def total_cost(law: UtdLaw, utd: ArrayLike, distance: ArrayLike, price: ArrayLike) -> Array:
    """F = C + delta D."""
    return data_needed(law, utd, distance) * (compute_per_step(law, utd) + np.asarray(price, dtype=float))


def _imbalance(law: UtdLaw, log_utd: Array, log_beta: Array, price: Array) -> Array:
    """Sign of dF/dsigma: of k m sigma^m (1 + (sigma/beta)^alpha) - alpha (k sigma^m + delta)."""
    m = 1 - law.batch_exponent
    growth = np.log1p(np.exp(np.minimum(law.alpha * (log_utd - log_beta), 600.0)))
    left = np.log(COMPUTE_SCALE * m) + m * log_utd + growth
    right = np.log(law.alpha) + np.logaddexp(np.log(COMPUTE_SCALE) + m * log_utd, np.log(price))
    return left - right


def best_utd(law: UtdLaw, distance: ArrayLike, price: ArrayLike) -> Array:
    """sigma* at 1 - J and a price, broadcast, by bisection in its logarithm."""
    log_beta, delta = np.broadcast_arrays(np.log(crossover(law, distance)), np.asarray(price, dtype=float))
    low, high = np.full(delta.shape, -SPAN), np.full(delta.shape, SPAN)
    for _ in range(54):
        middle = 0.5 * (low + high)
        above = _imbalance(law, middle, log_beta, delta) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.exp(0.5 * (low + high))


def least_cost(law: UtdLaw, distance: ArrayLike, price: ArrayLike) -> Array:
    """min over sigma of F at 1 - J."""
    return total_cost(law, best_utd(law, distance, price), distance, price)


def reached(law: UtdLaw, budget: float, price: float) -> float:
    """1 - J of the level that a budget reaches when it is spent best.

    Raises
    ------
    ParameterError
        For a budget below the least cost of J = 0.
    """
    first = float(least_cost(law, 1.0, price))
    if budget < first:
        raise ParameterError(
            "budget", f"reaches no level: even J = 0 costs {first:.3g} here; raise it, or lower D₀ or the price of a step."
        )
    if budget == first:
        return 1.0
    log_distance = brentq(
        lambda x: float(np.log(least_cost(law, np.exp(x), price)) - np.log(budget)), np.log(LEAST_DISTANCE), 0.0, xtol=1e-10
    )
    return float(np.exp(log_distance))
