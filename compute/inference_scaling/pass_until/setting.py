"""The truth of a study and its parameters: a law of success against size, eight sizes, the largest held out."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.models.task_law import TaskLaw, step_law
from compute.parameters import Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

# In millions of parameters, near those of the paper's models; the last is held out.
SIZES: Array = np.geomspace(30.0, 2400.0, 8)
CENTER = float(np.sqrt(SIZES[0] * SIZES[-1]))
CURVE_SIZES: Array = np.geomspace(10.0, 100_000.0, 81)

Constant = Annotated[
    float, LogReal("law's constant", "c", low=0.1, high=50.0, help="Of PU = exp(−c N^−α), N in millions: large is hard.")
]
Exponent = Annotated[float, Real("law's exponent", r"\alpha", low=0.05, high=1.0, help="How fast the task gives way to size.")]
Passes = Annotated[int, Integer("passes", "r", low=3, high=50, help="Sampling stops at the r-th success.")]
Cap = Annotated[int, LogInteger("cap", "n_{\\max}", low=100, high=1_000_000, help="Most samples spent on a size.")]
FixedSamples = Annotated[int, LogInteger("fixed samples", "n", low=10, high=10_000, help="Of the usual evaluation.")]
Steps = Annotated[int, Integer("reasoning steps", "s", low=1, high=20, help="All must succeed; each has a law of its own.")]
ExponentSpread = Annotated[
    float, Real("spread of step exponents", r"\delta", low=0.0, high=1.0, help="They run from α(1 − δ) to α(1 + δ).")
]
SecondWeight = Annotated[float, Real("second circuit's weight", "w", low=0.0, high=0.9, help="Share of the time it is used.")]
SecondConstant = Annotated[float, LogReal("second circuit's constant", "c_2", low=1.0, high=1e6, help="Of its law.")]
SecondExponent = Annotated[float, Real("second circuit's exponent", r"\alpha_2", low=0.05, high=2.0, help="Of its law.")]


def truth(
    constant: float, exponent: float, steps: int, spread: float, weight: float, second_constant: float, second_exponent: float
) -> TaskLaw:
    """The law of a study: steps that are equally hard at the middle size, mixed with a second circuit."""
    constants, exponents = step_law(constant, exponent, steps, spread, CENTER)
    return TaskLaw(constants, exponents, weight, second_constant, second_exponent)


def mean_curvature(law: TaskLaw) -> float:
    """Mean of d2y/dx2 from the smallest to the largest size: the slope's change over the range."""
    ends = law.slope(SIZES[[0, -1]])
    return float((ends[1] - ends[0]) / np.log(SIZES[-1] / SIZES[0]))


def said(curvature: float, error: float = 1e-9) -> str:
    """The sign of a curvature of log(−log PU), in words."""
    if abs(curvature) <= error:
        return "straight: a scaling law"
    return "convex: slows down" if curvature > 0 else "concave: accelerates"


def straight_design(sizes: Array) -> Array:
    """Columns 1 and log(N/center)."""
    x = np.log(sizes / CENTER)
    return np.stack([np.ones(x.size), x], axis=1)


def bent_design(sizes: Array) -> Array:
    """Columns 1, log(N/center) and its square."""
    x = np.log(sizes / CENTER)
    return np.stack([np.ones(x.size), x, x**2], axis=1)
