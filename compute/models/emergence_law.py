r"""Accuracy that is at chance above an elbow in the pretraining loss, an elbow that finetuning moves.

A model of pretraining loss L finetuned on D examples scores

    accuracy = min(1, chance + slope max(0, elbow(D) - L)),    elbow(D) = e_0 + shift log(1 + D/D_0)^power,

so that few-shot (D = 0) the capability emerges at L = e_0. The loss is tied to compute by L = 1.7 + (C_0/C)^0.15, which turns a
distance in loss into a multiple of compute.

References
----------
Snell et al., "Predicting Emergent Capabilities by Finetuning" (2024), paper 294 of the catalogue: a rectified line whose
elbow moves with finetuning, section 4. Which function of D moves it is left free here, by the power.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernel import kernel

Array = NDArray[np.float64]

LOSS_FLOOR, LOSS_EXPONENT = 1.7, 0.15
EXAMPLES = 50.0  # D_0
SHIFTS, POWERS, SLOPES = (0.0, 0.6), (0.4, 2.5), (0.1, 10.0)
HIGHEST_ELBOW = 4.0
LOW = np.array([LOSS_FLOOR + 0.01, SHIFTS[0], POWERS[0], np.log(SLOPES[0])])  # of elbow, shift, power, log slope
HIGH = np.array([HIGHEST_ELBOW, SHIFTS[1], POWERS[1], np.log(SLOPES[1])])


def loss_of_compute(compute: ArrayLike) -> Array:
    """L of compute in units of C_0."""
    return LOSS_FLOOR + np.asarray(compute, dtype=float) ** -LOSS_EXPONENT


def compute_of_loss(loss: ArrayLike) -> Array:
    """Compute in units of C_0; needs L > 1.7."""
    return (np.asarray(loss, dtype=float) - LOSS_FLOOR) ** (-1 / LOSS_EXPONENT)


def moved_by(examples: ArrayLike, power: Any) -> Array:
    """log(1 + D/D_0)^power, 0 at D = 0 for every power."""
    return np.asarray(np.log1p(np.asarray(examples, dtype=float) / EXAMPLES) ** power)


def accuracy(loss: Array, examples: Array, chance: float, elbow: Any, shift: Any, power: Any, slope: Any) -> Array:
    """The law; everything broadcasts."""
    above: Array = np.maximum(0.0, elbow + shift * moved_by(examples, power) - loss)
    return np.asarray(np.minimum(1.0, chance + slope * above))


@kernel
def _square_errors(loss, log_moved, seen, chance, theta):  # type: ignore[no-untyped-def]
    """(n_points,) sums of squared misses: ``accuracy`` without arrays in between, for a sampler's thousand small calls."""
    out = np.zeros(theta.shape[0])
    for t in range(theta.shape[0]):
        elbow, shift, power, slope = theta[t, 0], theta[t, 1], theta[t, 2], np.exp(theta[t, 3])
        for i in range(loss.size):
            above = max(0.0, elbow + shift * np.exp(power * log_moved[i]) - loss[i])
            out[t] += (seen[i] - min(1.0, chance + slope * above)) ** 2
    return out


@dataclass(frozen=True)
class Finetuned:
    """Accuracies of models after finetuning.

    Parameters
    ----------
    loss, examples, accuracy : (n,) arrays
    chance : float
    noise : float
        Standard deviation of an accuracy.
    """

    loss: Array
    examples: Array
    accuracy: Array
    chance: float
    noise: float

    def log_likelihood(self, theta: Array) -> Array:
        """(n_points,) log likelihoods of (n_points, 4) elbow, shift, power, log slope, up to a constant."""
        return np.asarray(_square_errors(self.loss, self.log_moved, self.accuracy, self.chance, theta)) / (-2 * self.noise**2)

    def log_posterior(self, theta: Array) -> Array:
        """With flat priors within the bounds on elbow, shift, power and log slope."""
        inside = ((theta >= LOW) & (theta <= HIGH)).all(axis=1)
        return np.where(inside, self.log_likelihood(theta), -np.inf)

    @cached_property
    def log_moved(self) -> Array:
        """(n,) logs of ``moved_by`` at power 1; -inf without examples."""
        with np.errstate(divide="ignore"):
            return np.log(moved_by(self.examples, 1.0))


def bounds() -> tuple[Array, Array]:
    """Of elbow, shift, power, log slope."""
    return LOW.copy(), HIGH.copy()


@dataclass(frozen=True)
class GridFit:
    """Least squares over a grid of (elbow, shift, power), the slope profiled out, without the ceiling at 1."""

    theta: Array  # (n_grid, 3)
    rise: Array  # (n_grid, n) max(0, elbow(D) - L)

    @classmethod
    def of(cls, loss: Array, examples: Array, elbows: Array, shifts: Array, powers: Array) -> GridFit:
        """For models of the given losses and finetuning amounts, both (n,)."""
        theta = np.array(np.meshgrid(elbows, shifts, powers, indexing="ij")).reshape(3, -1).T
        e, s, p = theta.T[:, :, None]
        return cls(theta, np.maximum(0.0, e + s * moved_by(examples, p) - loss))

    def best(self, above_chance: Array) -> tuple[Array, float]:
        """Best (3,) place and slope for (n,) accuracies less chance."""
        norm, along = np.sum(self.rise**2, axis=1), self.rise @ above_chance
        slope = np.clip(along / np.maximum(norm, 1e-30), *SLOPES)
        at = int(np.argmin(slope * (slope * norm - 2 * along)))
        return self.theta[at], float(slope[at])
