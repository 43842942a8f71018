r"""Forward noising processes x_t = alpha_t x_0 + sigma_t z as paths of one process.

In y = x/alpha every scalar linear process is y = x_0 + s z at the noise level s = sigma/alpha. A family then only
says which level belongs to which time, what law stands at the top, and where a grid of levels spends its steps:

    VP        B = int beta,  alpha^2 = e^{-B},  sigma^2 = 1 - e^{-B}      s = sqrt(e^B - 1)
    sub-VP    the same alpha,  sigma = 1 - e^{-B}                          s = 2 sinh(B/2)
    VE        alpha = 1,  s geometric in time
    EDM       alpha = 1,  s^(1/7) linear in time

References
----------
Song et al. (2021), paper 281 of the catalogue; Karras et al. (2022) for the EDM grid; Li et al. (2024), paper 263,
for the grid of ``log_over_t_levels``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIGMA_MIN = 0.02  # the last level of every grid but for 0
BETA_MIN, BETA_MAX = 0.1, 20.0  # of the linear rate beta(t), t in [0, 1], of 281
RHO = 7.0


@dataclass(frozen=True)
class NoiseSchedule:
    """A family of forward processes.

    Parameters
    ----------
    name : str
    time : callable
        Noise level to a time that the grid spaces evenly; increasing.
    level : callable
        Its inverse.
    alpha : callable
        Noise level to the signal factor alpha of the process.
    """

    name: str
    time: Callable[[Any], Any]
    level: Callable[[Any], Any]
    alpha: Callable[[Any], Any]

    def levels(self, n_steps: int, sigma_max: float, sigma_min: float = SIGMA_MIN) -> Array:
        """(n_steps + 1,) falling levels from sigma_max to sigma_min, then 0: the last step removes what noise is left.

        ``n_steps`` counts that last step too; at 1 there is no other.
        """
        if n_steps == 1:
            return np.array([sigma_max, 0.0])
        inner = self.level(np.linspace(self.time(sigma_max), self.time(sigma_min), n_steps))
        inner[0], inner[-1] = sigma_max, sigma_min  # not off by rounding
        return np.append(inner, 0.0)

    def prior_std(self, sigma_max: float) -> float:
        """Standard deviation, in y, of the Gaussian that stands in for the law at the top.

        VP and sub-VP end near N(0, I) in x, hence at 1/alpha in y; VE and EDM take the noise alone.
        """
        alpha = float(self.alpha(sigma_max))
        return 1 / alpha if alpha < 1 else sigma_max

    def prior(self, rng: np.random.Generator, n: int, dimension: int, sigma_max: float) -> Array:
        """(n, dimension) draws from that Gaussian."""
        return self.prior_std(sigma_max) * rng.standard_normal((n, dimension))


def integrated_rate(t: Array | float) -> Any:
    """B(t) = int_0^t beta of the linear rate."""
    return BETA_MIN * np.asarray(t) + 0.5 * (BETA_MAX - BETA_MIN) * np.asarray(t) ** 2


def time_of_rate(b: Array | float) -> Any:
    """The t at which B(t) = b."""
    return 2 * np.asarray(b) / (BETA_MIN + np.sqrt(BETA_MIN**2 + 2 * (BETA_MAX - BETA_MIN) * np.asarray(b)))


def _one(level: Any) -> Any:
    return np.ones_like(np.asarray(level, dtype=float))


VP = NoiseSchedule(
    "VP",
    time=lambda s: time_of_rate(np.log1p(np.square(s))),
    level=lambda t: np.sqrt(np.expm1(integrated_rate(t))),
    alpha=lambda s: 1 / np.sqrt(1 + np.square(s)),
)
SUB_VP = NoiseSchedule(
    "sub-VP",
    time=lambda s: time_of_rate(2 * np.arcsinh(np.asarray(s) / 2)),
    level=lambda t: 2 * np.sinh(integrated_rate(t) / 2),
    alpha=lambda s: np.exp(-np.arcsinh(np.asarray(s) / 2)),
)
VE = NoiseSchedule("VE", time=np.log, level=np.exp, alpha=_one)
EDM = NoiseSchedule("EDM", time=lambda s: np.power(s, 1 / RHO), level=lambda t: np.power(t, RHO), alpha=_one)


class LogOverT(NoiseSchedule):
    """The VP chain of paper 263, whose levels, the top one too, follow from the number of steps alone."""

    def levels(self, n_steps: int, sigma_max: float, sigma_min: float = SIGMA_MIN) -> Array:
        return log_over_t_levels(n_steps)


LOG_OVER_T = LogOverT("VP log T/T", VP.time, VP.level, VP.alpha)
SCHEDULES: dict[str, NoiseSchedule] = {schedule.name: schedule for schedule in (EDM, VE, VP, SUB_VP, LOG_OVER_T)}


def log_over_t_levels(n_steps: int, c0: float = 2.0, c1: float = 4.0) -> Array:
    """(n_steps + 1,) falling levels of the VP chain of paper 263, then 0.

    alpha_t = 1 - beta_t with beta_1 = T^-c0, beta_{t+1} = (c1 log T/T) min(beta_1 (1 + c1 log T/T)^t, 1), T = n_steps.
    Its top level follows from T.

    Raises
    ------
    ValueError
        Where c1 log T/T is not below 1 (T < 9 at c1 = 4): the chain does not exist.
    """
    rate = c1 * np.log(n_steps) / n_steps
    if not 0 < rate < 1:
        raise ValueError(f"{n_steps} steps are too few: c1 log T/T must be below 1")
    first = n_steps**-c0
    beta = np.concatenate([[first], rate * np.minimum(first * (1 + rate) ** np.arange(1, n_steps), 1.0)])
    return np.append(np.sqrt(np.expm1(-np.cumsum(np.log1p(-beta))))[::-1], 0.0)
