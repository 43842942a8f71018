r"""The bilinear law of routed language models, its effective parameter count and its cut-off.

log10 L = a log10 N + b log10 Eh + c log10 N log10 Eh + d, with the saturated number of experts Eh between E_start (at E = 1)
and E_max: 1/Eh = 1/(E - 1 + (1/E_start - 1/E_max)^{-1}) + 1/E_max. N counts the parameters that a token uses.

References
----------
Clark et al., "Unified Scaling Laws for Routed Language Models" (2022), paper 213 of the catalogue: their equations 1, 2 and 7
and the constants of their table 2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class RoutedLaw(NamedTuple):
    """Six constants; floats, or arrays that broadcast. Logs are to base 10."""

    a: Array | float
    b: Array | float
    c: Array | float
    d: Array | float
    start: Array | float
    top: Array | float


PUBLISHED = {
    "s_base": RoutedLaw(-0.082, -0.108, 0.009, 1.104, 1.847, 314.478),
    "rl_r": RoutedLaw(-0.083, -0.126, 0.012, 1.111, 1.880, 469.982),
    "hash": RoutedLaw(-0.087, -0.136, 0.012, 1.157, 4.175, 477.741),
}
QUOTED_CUTOFF = {"s_base": 937e9, "rl_r": 85e9, "hash": 83e9}  # from constants before rounding
FITTED_SIZE = (1.5e7, 1.3e9)
FITTED_EXPERTS = 512
ROUNDING = 5e-4  # of a, b, c and d as printed


def saturated(law: RoutedLaw, experts: ArrayLike) -> Array:
    """Eh, from E_start at one expert to E_max at infinitely many."""
    start, top = np.asarray(law.start, dtype=float), np.asarray(law.top, dtype=float)
    shift = 1 / (1 / start - 1 / top)
    return 1 / (1 / (np.asarray(experts, dtype=float) - 1 + shift) + 1 / top)


def log_loss(law: RoutedLaw, size: ArrayLike, experts: ArrayLike) -> Array:
    """log10 L, broadcast."""
    x, z = np.log10(size), np.log10(saturated(law, experts))
    return np.asarray(law.a * x + law.b * z + law.c * x * z + law.d)


def loss(law: RoutedLaw, size: ArrayLike, experts: ArrayLike) -> Array:
    """L in nats per token, broadcast."""
    return 10 ** log_loss(law, size, experts)


def slope_in_size(law: RoutedLaw, saturated_experts: ArrayLike) -> Array:
    """alpha(Eh) = a + c log10 Eh: the slope of log L in log N."""
    return np.asarray(law.a + law.c * np.log10(saturated_experts))


def effective_parameters(law: RoutedLaw, size: ArrayLike, experts: ArrayLike) -> Array:
    """Nbar, the size of the dense model of the same loss: N^{alpha(Eh)/alpha(E_start)} (Eh/E_start)^{b/alpha(E_start)}."""
    many = saturated(law, experts)
    dense = slope_in_size(law, law.start)
    log_n = (slope_in_size(law, many) * np.log10(size) + law.b * np.log10(many / law.start)) / dense
    return np.asarray(10**log_n)


def cutoff(law: RoutedLaw) -> Array:
    """N = 10^{-b/c} from which on more experts do not lower the loss; NaN for c <= 0, where they always do."""
    b, c = np.asarray(law.b, dtype=float), np.asarray(law.c, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(c > 0, 10 ** np.clip(-b / np.where(c > 0, c, 1.0), -300, 300), np.nan)


def cutoff_within_rounding(law: RoutedLaw) -> tuple[float, float]:
    """Least and largest cut-off of constants that round to the printed ones; infinite where c may vanish."""
    low = 10 ** (-(law.b + ROUNDING) / (law.c + ROUNDING))
    c = law.c - ROUNDING
    return float(low), float(10 ** (-(law.b - ROUNDING) / c)) if c > 0 else np.inf


def cost_ratio(law: RoutedLaw, size: ArrayLike, experts: ArrayLike) -> Array:
    """Nbar/N: the dense parameters that a routed one is worth."""
    return effective_parameters(law, size, experts) / np.asarray(size)
