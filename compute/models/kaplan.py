r"""Kaplan's law of a training run: L = (Nc/N)^{alpha_N} + (Sc/S_min)^{alpha_S}, at any batch size.

A run of S steps at batch B tokens is worth S_min = S/(1 + B_crit/B) steps at an infinite batch, and the tokens
E = S B it costs are E_min = E/(1 + B/B_crit) at a vanishing one, so (S/S_min - 1)(E/E_min - 1) = 1.
The critical batch B_crit = B* L^{-1/alpha_B} depends on the loss itself.

References
----------
Kaplan et al. (2020), equations 1.4, 1.6 and 5.4; Su et al. (2024), paper 382 of the catalogue, whose step-by-step estimation
``fit_kaplan`` follows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MAX_STEPS = 60


class KaplanConstants(NamedTuple):
    """Nc in parameters, Sc in steps, B* in tokens; exponents alpha_N, alpha_S, alpha_B."""

    parameter_scale: float
    alpha_parameters: float
    step_scale: float
    alpha_steps: float
    batch_scale: float
    alpha_batch: float


KAPLAN_RUN = KaplanConstants(6.5e13, 0.077, 2.1e3, 0.76, 2.1e8, 0.21)


def converged_loss(constants: KaplanConstants, n_parameters: ArrayLike) -> Array:
    """(Nc/N)^{alpha_N}: the loss after infinitely many steps."""
    return (constants.parameter_scale / np.asarray(n_parameters, dtype=float)) ** constants.alpha_parameters


def critical_batch(constants: KaplanConstants, loss: ArrayLike) -> Array:
    """B_crit(L) = B* L^{-1/alpha_B}, in tokens."""
    return constants.batch_scale * np.asarray(loss, dtype=float) ** (-1 / constants.alpha_batch)


def minimal_steps(constants: KaplanConstants, n_parameters: ArrayLike, loss: ArrayLike) -> Array:
    """S_min that brings a model of size N to a loss; infinite at or below its converged loss."""
    gap = np.asarray(loss, dtype=float) - converged_loss(constants, n_parameters)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = constants.step_scale * gap ** (-1 / constants.alpha_steps)
    return np.where(gap > 0, steps, np.inf)


def steps_to_loss(constants: KaplanConstants, n_parameters: ArrayLike, loss: ArrayLike, batch: ArrayLike) -> Array:
    """S = S_min (1 + B_crit/B)."""
    return minimal_steps(constants, n_parameters, loss) * (1 + critical_batch(constants, loss) / np.asarray(batch, dtype=float))


def kaplan_loss(constants: KaplanConstants, n_parameters: ArrayLike, steps: ArrayLike, batch: ArrayLike) -> Array:
    """The loss after S steps at batch B, broadcast.

    It solves L = L_N + (Sc (1 + B_crit(L)/B)/S)^{alpha_S}. A larger L lowers B_crit and so the right side: left minus right
    increases in the logarithm of L - L_N, and Newton's method kept within a shrinking bracket finds its only root.
    """
    n, s, b = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n_parameters, steps, batch)))
    floor = converged_loss(constants, n)
    most = np.log(constants.step_scale / s) * constants.alpha_steps
    low = most  # B_crit = 0
    high = most + constants.alpha_steps * np.log1p(critical_batch(constants, floor) / b)
    x = 0.5 * (low + high)
    for _ in range(MAX_STEPS):
        gap = np.exp(x)
        ratio = critical_batch(constants, floor + gap) / b
        above = x - most - constants.alpha_steps * np.log1p(ratio)
        slope = 1 + constants.alpha_steps / constants.alpha_batch * ratio / (1 + ratio) * gap / (floor + gap)
        low, high = np.where(above > 0, low, x), np.where(above > 0, x, high)
        newton = x - above / slope
        step = np.where((newton < low) | (newton > high), 0.5 * (low + high), newton) - x
        x = x + step
        if np.max(np.abs(step)) < 1e-14:
            break
    return floor + np.exp(x)


class KaplanObservations(NamedTuple):
    """What small runs show: converged losses, steps to a loss at several batches, and one trajectory a size."""

    sizes: Array  # (n_sizes,)
    converged: Array  # (n_sizes,) noisy
    sweep_batch: Array  # (n_batches,)
    sweep_loss: Array  # (n_levels,) losses reached by the largest size
    sweep_steps: Array  # (n_levels, n_batches) noisy
    steps: Array  # (n_steps,)
    batch: float  # of the trajectories
    trajectory: Array  # (n_sizes, n_steps) noisy


def observe(
    constants: KaplanConstants, rng: np.random.Generator, *, largest: float, smallest: float, batch: float, noise_sigma: float
) -> KaplanObservations:
    """Draw the small runs; noise is log-normal on every loss that is read.

    A sweep reads when a noisy loss crosses a level: the steps at which the law passes the level divided by the noise.
    """
    sizes = np.geomspace(smallest, largest, 6)
    converged = converged_loss(constants, sizes) * np.exp(noise_sigma * rng.standard_normal(sizes.size))
    floor = float(converged_loss(constants, sizes[-1]))
    levels = floor * np.array([1.08, 1.14, 1.22, 1.33, 1.47, 1.65])
    batches = np.geomspace(critical_batch(constants, levels[-1]) / 8, critical_batch(constants, levels[0]) * 8, 8)
    # Noise must not push a level below what the model can reach.
    read = np.maximum(levels[:, None] * np.exp(noise_sigma * rng.standard_normal((levels.size, batches.size))), floor * 1.02)
    sweep = steps_to_loss(constants, sizes[-1], read, batches[None, :])
    steps = np.geomspace(300, 3e5, 24)
    trajectory = kaplan_loss(constants, sizes[:, None], steps[None, :], batch)
    trajectory = trajectory * np.exp(noise_sigma * rng.standard_normal(trajectory.shape))
    return KaplanObservations(sizes, converged, batches, levels, sweep, steps, batch, trajectory)


def fit_kaplan(seen: KaplanObservations) -> KaplanConstants:
    """Estimate the six constants step by step.

    1. alpha_N, Nc: a line through log converged loss against log N.
    2. alpha_B, B*: at each level S is linear in 1/B with intercept S_min and slope S_min B_crit, fitted in the logs;
       then a line through log B_crit against log L.
    3. alpha_S, Sc: a line through log(L - L_N) against log S_min along the trajectories, weighed by what noise leaves.
    """
    slope, constant = np.polyfit(np.log(seen.sizes), np.log(seen.converged), 1)
    alpha_n = -slope
    scale_n = np.exp(constant / alpha_n)

    critical = _critical_batch_of_sweep(seen.sweep_batch, seen.sweep_steps)
    slope, constant = np.polyfit(np.log(seen.sweep_loss), np.log(critical), 1)
    alpha_b, scale_b = -1 / slope, np.exp(constant)

    partial = KaplanConstants(float(scale_n), float(alpha_n), 1.0, 1.0, float(scale_b), float(alpha_b))
    gap = seen.trajectory - converged_loss(partial, seen.sizes)[:, None]
    effective = seen.steps / (1 + critical_batch(partial, seen.trajectory) / seen.batch)
    # Noise in L is noise/gap in log gap: rows within a tenth of the floor say little and are left out.
    kept = gap > 0.1 * seen.trajectory
    weight = (gap / seen.trajectory)[kept]
    slope, constant = np.polyfit(np.log(effective[kept]), np.log(gap[kept]), 1, w=weight)
    alpha_s = -slope
    return partial._replace(step_scale=float(np.exp(constant / alpha_s)), alpha_steps=float(alpha_s))


def _critical_batch_of_sweep(batch: Array, steps: Array) -> Array:
    """(n_levels,) B_crit of S = S_min (1 + B_crit/B), least squares in log S by Gauss-Newton on log B_crit."""
    x = np.full(len(steps), np.log(np.median(batch)))
    log_steps = np.log(steps)
    for _ in range(50):
        ratio = np.exp(x)[:, None] / batch
        residual = log_steps - np.log1p(ratio)
        slope = ratio / (1 + ratio)
        centered = slope - slope.mean(axis=1, keepdims=True)
        step = np.clip(np.sum(centered * residual, axis=1) / np.sum(centered**2, axis=1), -1.0, 1.0)
        x = np.clip(x + step, 0.0, 60.0)
        if np.max(np.abs(step)) < 1e-12:
            break
    return np.exp(x)
