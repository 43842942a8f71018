"""The best size and active share of a mixture of experts under a budget, each the root of a slope."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import brentq

from compute.models import sparsity_law
from compute.models.sparsity_law import ABNAR, BISECTIONS, LOG_SMALLEST_SIZE, Budget
from compute.scaling_laws.moe_sparsity.maps import SIZES
from compute.scaling_laws.moe_sparsity.optima import COMPUTE
from tests.benchmarks.kernels import Case

BUDGET, CAP, SMALLEST = Budget(1e6, 1e3), 3e10, 0.02


def cases() -> Iterator[Case]:
    kernels = (sparsity_law._log_share, sparsity_law._slopes)
    yield Case(
        f"best size and share at {COMPUTE.size} budgets",
        lambda: np.stack(sparsity_law.optimum(ABNAR, COMPUTE, smallest_share=SMALLEST, largest_size=CAP, budget=BUDGET)),
        "SciPy brentq",
        lambda: np.exp(np.array([optimum(float(c)) for c in COMPUTE]).T),
        (sparsity_law._optima, *kernels),
    )
    yield Case(
        f"best share at {SIZES.size} sizes",
        lambda: sparsity_law.best_share(ABNAR, SIZES, 1e21, smallest_share=1e-3, budget=BUDGET),
        "NumPy, all sizes at once",
        lambda: np.exp(shares(np.log(SIZES), 1e21, math.log(1e-3))),
        (sparsity_law._shares, *kernels),
    )


def left(log_n: Any, log_x: Any, compute: float, exp: Callable[[Any], Any]) -> Any:
    """Tokens that the budget leaves."""
    return (compute - BUDGET.memory_price * exp(log_n)) / (6 * exp(log_n + log_x)) - BUDGET.served_tokens / 3


def slopes(log_n: Any, log_x: Any, tokens: Any, compute: float, exp: Callable[[Any], Any]) -> tuple[Any, Any]:
    """dL/dlog N and dL/dlog x within a budget, of numbers or of arrays."""
    law = ABNAR
    pressure = law.beta * law.b * tokens ** -(law.beta + 1) / (6 * exp(log_n + log_x))
    routed = law.d * exp(-law.delta * log_x - law.gamma * log_n)
    in_size = -law.alpha * law.a * exp(-law.alpha * log_n) - law.gamma * routed + pressure * compute
    in_share = -law.lambda_ * law.c * exp(-law.lambda_ * log_x) - law.delta * routed
    return in_size, in_share + pressure * (compute - BUDGET.memory_price * exp(log_n))


def optimum(compute: float) -> tuple[float, float]:
    """log N and log x of least loss: a root of the slope in x within one in N."""

    def slope(log_n: float, log_x: float, which: int) -> float:
        tokens = left(log_n, log_x, compute, math.exp)
        return slopes(log_n, log_x, tokens, compute, math.exp)[which] if tokens > 0 else 1e300

    def share(log_n: float) -> float:
        low = math.log(SMALLEST)
        if slope(log_n, low, 1) >= 0:
            return low
        return 0.0 if slope(log_n, 0.0, 1) <= 0 else brentq(lambda log_x: slope(log_n, log_x, 1), low, 0.0, xtol=1e-13)

    def in_size(log_n: float) -> float:
        return slope(log_n, share(log_n), 0)

    high = math.log(CAP)
    log_n = brentq(in_size, LOG_SMALLEST_SIZE, high, xtol=1e-12) if in_size(high) > 0 else high
    return log_n, share(log_n)


def shares(log_n: np.ndarray, compute: float, log_low: float) -> np.ndarray:
    """log x of least loss at each size, by bisection."""

    def slope(log_x: np.ndarray) -> np.ndarray:
        tokens = left(log_n, log_x, compute, np.exp)
        return np.where(tokens > 0, slopes(log_n, log_x, np.maximum(tokens, 1e-300), compute, np.exp)[1], np.inf)

    low, high = np.full(log_n.size, log_low), np.zeros(log_n.size)
    first, last = slope(low), slope(high)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        above = slope(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(first >= 0, log_low, np.where(last <= 0, 0.0, 0.5 * (low + high)))
