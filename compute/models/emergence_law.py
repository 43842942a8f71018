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
def _square_error(loss, log_moved, amount, seen, chance, theta, moved):  # type: ignore[no-untyped-def]
    """Sum of squared misses: ``accuracy`` without arrays in between, for a sampler's many small calls."""
    elbow, shift, power, slope = theta[0], theta[1], theta[2], np.exp(theta[3])
    for a in range(log_moved.size):  # a power for each amount of examples, not for each run
        moved[a] = elbow + shift * np.exp(power * log_moved[a])
    total = 0.0
    for i in range(loss.size):
        above = max(0.0, moved[amount[i]] - loss[i])
        total += (seen[i] - min(1.0, chance + slope * above)) ** 2
    return total


@kernel
def _log_posteriors(theta, loss, log_moved, amount, seen, chance, noise, low, high):  # type: ignore[no-untyped-def]
    """(n_points,) log posteriors of (n_points, d)."""
    out, moved = np.empty(theta.shape[0]), np.empty(log_moved.size)
    for t in range(theta.shape[0]):
        inside = True
        for a in range(theta.shape[1]):
            inside &= low[a] <= theta[t, a] <= high[a]
        error = _square_error(loss, log_moved, amount, seen, chance, theta[t], moved) if inside else np.inf
        out[t] = -error / (2 * noise * noise)
    return out


@kernel
def _walk(x, stretch, partner, log_u, loss, log_moved, amount, seen, chance, noise, low, high):  # type: ignore[no-untyped-def]
    """(n_steps, n_walkers, d) stretch moves of an ensemble, one half against the other in turn; x in place."""
    n_steps, _, half = stretch.shape
    d = x.shape[1]
    chain = np.empty((n_steps, 2 * half, d))
    runs = (loss, log_moved, amount, seen, chance, noise, low, high)
    log_p = _log_posteriors(x, *runs)
    proposal = np.empty((1, d))
    for step in range(n_steps):
        for side in range(2):
            for k in range(half):
                i, j = side * half + k, (1 - side) * half + partner[step, side, k]
                z = stretch[step, side, k]
                for a in range(d):
                    proposal[0, a] = x[j, a] + z * (x[i, a] - x[j, a])
                log_q = _log_posteriors(proposal, *runs)[0]
                if log_u[step, side, k] < (d - 1) * np.log(z) + log_q - log_p[i]:
                    x[i] = proposal[0]
                    log_p[i] = log_q
        chain[step] = x
    return chain


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

    def log_posterior(self, theta: Array) -> Array:
        """(n_points,) log posteriors of (n_points, 4) elbow, shift, power, log slope, flat within their bounds; up to a constant."""
        return np.asarray(_log_posteriors(theta, *self._known))

    def walk(self, start: Array, n_steps: int, rng: np.random.Generator) -> Array:
        """(n_steps, n_walkers, 4) of the posterior by an ensemble of walkers, which needs no step size.

        Walker k proposes Y = X_j + Z (X_k - X_j) for a walker j of the other half and Z of density 1/sqrt(z) on [1/2, 2],
        accepted with probability min(1, Z^{d-1} p(Y)/p(X_k)).

        Parameters
        ----------
        start : (n_walkers, 4) array
            An even number of walkers, more than 8, all where the posterior is positive.

        References
        ----------
        Goodman and Weare, "Ensemble samplers with affine invariance" (2010), section 2, equation 7; in halves as
        Foreman-Mackey et al., "emcee: The MCMC Hammer" (2013), algorithm 3.
        """
        half = len(start) // 2
        moves = (n_steps, 2, half)
        stretch = (rng.random(moves) + 1) ** 2 / 2
        partner, log_u = rng.integers(half, size=moves), np.log(rng.random(moves))
        return np.asarray(_walk(start.copy(), stretch, partner, log_u, *self._known))

    @cached_property
    def _known(self) -> tuple[Any, ...]:
        return self.loss, *self.amounts, self.accuracy, self.chance, self.noise, LOW, HIGH

    @cached_property
    def amounts(self) -> tuple[Array, NDArray[np.int64]]:
        """Logs of ``moved_by`` at power 1 of every amount of examples, -inf without any; and which of them each run has."""
        amounts, each = np.unique(self.examples, return_inverse=True)
        with np.errstate(divide="ignore"):
            return np.log(moved_by(amounts, 1.0)), each.astype(np.int64)


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
