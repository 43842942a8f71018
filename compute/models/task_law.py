r"""The task scaling law of pass-until, and the two hypotheses about departures from it.

Success against model size N is PU = exp(-c N^-alpha): in y = log(-log PU) against x = log N a line of slope -alpha.
A task of several steps multiplies such laws, h = sum_j c_j N^-alpha_j in place of c N^-alpha, and y is then convex,
as a log-sum-exp of lines: growth slows down, it never jumps. Several circuits mix them, PU = sum_i w_i exp(-h_i), and y
can be concave: growth that accelerates.

References
----------
Hu et al., "Unlock Predictable Scaling from Emergent Abilities" (2023), paper 093 of the catalogue: the law, emergence as
curvature, the multi-step and the multiple-circuits hypotheses. Derivatives are derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TaskLaw:
    """Success of one sample against model size.

    Parameters
    ----------
    constant, exponent : (n_steps,) arrays
        c_j and alpha_j of the steps of the first circuit.
    second_weight : float
        Weight of the second circuit, in [0, 1).
    second_constant, second_exponent : float
        Its one step.
    """

    constant: Array
    exponent: Array
    second_weight: float = 0.0
    second_constant: float = 1.0
    second_exponent: float = 1.0

    def _circuits(self, size: ArrayLike) -> tuple[Array, Array, Array, Array]:
        """Of each circuit: weight, h, dh/dx and d2h/dx2, x = log N; ``(2, ...)`` but the weight ``(2,)``."""
        x = np.log(np.asarray(size, dtype=float))
        steps = self.constant * np.exp(-self.exponent * x[..., None])
        second = self.second_constant * np.exp(-self.second_exponent * x)
        h = np.stack([steps.sum(axis=-1), second])
        slope = np.stack([-(steps * self.exponent).sum(axis=-1), -self.second_exponent * second])
        bend = np.stack([(steps * self.exponent**2).sum(axis=-1), self.second_exponent**2 * second])
        return np.array([1 - self.second_weight, self.second_weight]), h, slope, bend

    def _shares(self, weight: Array, h: Array) -> tuple[Array, Array]:
        """-log PU, and the share of success that each circuit has."""
        with np.errstate(divide="ignore"):
            log_weight = np.log(weight).reshape((2,) + (1,) * (h.ndim - 1))
        minus_log = -np.logaddexp(log_weight[0] - h[0], log_weight[1] - h[1])
        return minus_log, np.exp(log_weight - h + minus_log)

    def minus_log_success(self, size: ArrayLike) -> Array:
        """-log PU."""
        weight, h, _, _ = self._circuits(size)
        return self._shares(weight, h)[0]

    def success(self, size: ArrayLike) -> Array:
        """PU."""
        return np.exp(-self.minus_log_success(size))

    def slope(self, size: ArrayLike) -> Array:
        """dy/dx of y = log(-log PU): -alpha for the law itself."""
        weight, h, slope, _ = self._circuits(size)
        minus_log, share = self._shares(weight, h)
        return np.asarray(np.sum(share * slope, axis=0) / minus_log)

    def curvature(self, size: ArrayLike) -> Array:
        """d2y/dx2: with L = -log PU, L' = E h' and L'' = E h'' - Var h' over circuits, it is L''/L - (L'/L)^2."""
        weight, h, slope, bend = self._circuits(size)
        minus_log, share = self._shares(weight, h)
        first = np.sum(share * slope, axis=0)
        second = np.sum(share * bend, axis=0) - np.sum(share * (slope - first) ** 2, axis=0)
        return np.asarray(second / minus_log - (first / minus_log) ** 2)


def step_law(constant: float, exponent: float, steps: int, spread: float, center: float) -> tuple[Array, Array]:
    """c_j and alpha_j of steps that are equally hard at the size ``center``, with exponents alpha (1 -+ spread).

    The whole is as hard at ``center`` as the one law c N^-alpha there, whatever the number of steps and their spread.
    """
    place = np.linspace(-1.0, 1.0, steps) if steps > 1 else np.zeros(1)
    exponents = exponent * (1 + spread * place)
    return constant / steps * center ** (exponents - exponent), exponents
