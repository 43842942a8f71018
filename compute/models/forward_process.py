r"""Scalar linear forward processes in their own time: dx = -f(t) x dt + g(t) dW, by closed forms.

x_t = alpha_t x_0 + sigma_t z. Four families of paper 156 of the catalogue, with one constant fixed in each:

    VP constant   f = 1/2,       g^2 = 1         alpha^2 = e^{-t},            sigma^2 = 1 - e^{-t}
    VP linear     f = beta/2,    g^2 = beta      beta = 0.1 + t,  B = 0.1 t + t^2/2 in the place of t
    VE poly       f = 0,         g^2 = 2 t       alpha = 1,  sigma = t
    VE exp        f = 0,         g^2 = e^{2t}    alpha = 1,  sigma^2 = (e^{2t} - 1)/2

``noise_schedule`` knows the same processes by their noise level alone, for samplers that never look at the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ForwardProcess:
    """A family of forward processes.

    Parameters
    ----------
    name : str
    clock : callable
        Time to the one increasing function that the family is made of: B = int beta (VP) or sigma^2 (VE).
    rate : callable
        Its derivative, g^2.
    preserves_variance : bool
        VP, else VE.
    """

    name: str
    clock: Callable[[Any], Any]
    rate: Callable[[Any], Any]
    preserves_variance: bool

    def alpha(self, t: Any) -> Any:
        """Signal factor alpha_t."""
        return np.exp(-0.5 * self.clock(t)) if self.preserves_variance else np.ones_like(np.asarray(t, dtype=float))

    def variance(self, t: Any) -> Any:
        """Noise variance sigma_t^2."""
        return -np.expm1(-self.clock(t)) if self.preserves_variance else self.clock(t)

    def level(self, t: Any) -> Any:
        """Noise level sigma_t/alpha_t."""
        return np.sqrt(np.expm1(self.clock(t)) if self.preserves_variance else self.clock(t))

    def pull(self, t: Any) -> Any:
        """f(t)."""
        return 0.5 * self.rate(t) if self.preserves_variance else np.zeros_like(np.asarray(t, dtype=float))

    def growth(self, t: Any, t_next: Any) -> Any:
        """alpha(t_next)/alpha(t): what the linear part does to x from t down to t_next."""
        lapse = self.clock(t) - self.clock(t_next)
        return np.exp(0.5 * lapse) if self.preserves_variance else np.ones_like(lapse)

    def score_weight(self, t: Any, t_next: Any) -> Any:
        """(1/2) int_{t_next}^t alpha(t_next)/alpha(u) g(u)^2 du: what a constant score adds to x meanwhile."""
        lapse = self.clock(t) - self.clock(t_next)
        return np.expm1(0.5 * lapse) if self.preserves_variance else 0.5 * lapse

    def noise_between(self, t: Any, t_next: Any) -> Any:
        """Variance of x_t given x at the earlier time t_next."""
        lapse = self.clock(t) - self.clock(t_next)
        return -np.expm1(-lapse) if self.preserves_variance else lapse


VP_CONSTANT = ForwardProcess("VP constant", lambda t: 1.0 * np.asarray(t), lambda t: np.ones_like(np.asarray(t, dtype=float)), True)
VP_LINEAR = ForwardProcess("VP linear", lambda t: 0.1 * np.asarray(t) + 0.5 * np.square(t), lambda t: 0.1 + np.asarray(t), True)
VE_POLY = ForwardProcess("VE poly", np.square, lambda t: 2.0 * np.asarray(t), False)
VE_EXP = ForwardProcess("VE exp", lambda t: 0.5 * np.expm1(2.0 * np.asarray(t)), lambda t: np.exp(2.0 * np.asarray(t)), False)
PROCESSES: dict[str, ForwardProcess] = {p.name: p for p in (VP_CONSTANT, VP_LINEAR, VE_POLY, VE_EXP)}
