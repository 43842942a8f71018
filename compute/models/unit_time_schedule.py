r"""Published variance-preserving schedules over the unit of time, and the 1000-step chains they stand for.

x_t = alpha_t x_0 + sigma_t z with alpha^2 + sigma^2 = 1, by B(t) = int beta or by alpha itself:

    linear                  beta = beta_min + (20 - beta_min) t                              (Ho et al. 2020; Song et al. 2021)
    quadratic               sqrt(beta) linear from sqrt(beta_min) to sqrt(20)
    SD scaled-linear        sqrt(beta) linear from sqrt(0.85) to sqrt(12)                    (Rombach et al. 2022)
    cosine                  alpha = cos(c(t))/cos(c(0)), c = (pi/2)(t + 0.008)/1.008         (Nichol and Dhariwal 2021)
    cosine without offset   alpha = cos(pi t/2)

sigma is written so that it does not cancel near t = 0, where it matters here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BETA_MAX = 20.0
SD_ENDS = (0.85, 12.0)
OFFSET = 0.008
SCHEDULE_NAMES = ("linear", "SD scaled-linear", "quadratic", "cosine", "cosine without offset")


def signal_and_noise(name: str, t: Any, beta_min: float = 0.1) -> tuple[Any, Any]:
    """alpha_t and sigma_t of the schedule of that name, for t of any shape in [0, 1].

    ``beta_min`` matters to ``linear`` and ``quadratic`` alone.
    """
    t = np.asarray(t, dtype=float)
    if name.startswith("cosine"):
        offset = OFFSET if name == "cosine" else 0.0
        start, lapse = 0.5 * np.pi * offset / (1 + offset), 0.5 * np.pi * t / (1 + offset)
        alpha = np.cos(start + lapse) / np.cos(start)
        # 1 - cos^2(a + b)/cos^2 a = sin(b) sin(2a + b)/cos^2 a.
        return alpha, np.sqrt(np.sin(lapse) * np.sin(2 * start + lapse)) / np.cos(start)
    if name == "linear":
        b = beta_min * t + 0.5 * (BETA_MAX - beta_min) * t**2
    else:
        low, high = np.sqrt(SD_ENDS if name.startswith("SD") else (beta_min, BETA_MAX))
        step = high - low
        b = t * (low**2 + low * step * t + step**2 * t**2 / 3)
    return np.exp(-0.5 * b), np.sqrt(-np.expm1(-b))


def rate_at_zero(name: str, beta_min: float = 0.1) -> float:
    """beta(0) = d sigma^2/dt at t = 0."""
    if name.startswith("cosine"):
        offset = OFFSET if name == "cosine" else 0.0
        return float(np.pi / (1 + offset) * np.tan(0.5 * np.pi * offset / (1 + offset)))
    return SD_ENDS[0] if name.startswith("SD") else beta_min


def chain_betas(name: str, steps: int = 1000) -> Array:
    """(steps,) the published chain: noise variance added in each step.

    ``linear`` from 1e-4 to 0.02 (Ho et al. 2020), ``SD scaled-linear`` from 0.00085 to 0.012, ``cosine`` capped at 0.999.
    """
    if name == "linear":
        return np.linspace(1e-4, 0.02, steps)
    if name == "SD scaled-linear":
        return np.linspace(np.sqrt(0.00085), np.sqrt(0.012), steps) ** 2
    if name == "cosine":
        square = np.square(signal_and_noise("cosine", np.arange(steps + 1) / steps)[0])
        return np.minimum(1 - square[1:] / square[:-1], 0.999)
    raise ValueError(f"no chain of {name} is published")


def terminal_snr(betas: Array) -> float:
    """Signal left at the end over noise, alpha_T^2/(1 - alpha_T^2)."""
    log_square = float(np.sum(np.log1p(-betas)))
    return float(np.exp(log_square) / -np.expm1(log_square))
