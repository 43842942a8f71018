r"""Reverse samplers on Gaussian data, where every first-order step is linear: exact moments, and their continuum limit.

For data N(m, s^2) and a step of the extended reverse SDE from sigma to sigma', r = (sigma'/sigma)^{1 + eta} and
g = (s^2 + r sigma^2)/(s^2 + sigma^2),

    mean'  = m + g (mean - m),    variance' = g^2 variance + sigma'^2 - r^2 sigma^2.

A step loses s^2 sigma^2 (1 - r)^2/(s^2 + sigma^2) of variance, and the run forgets its start as
(s^2/(s^2 + sigma_max^2))^{(1 + eta)/2}: noise forgets faster and costs more steps. Derived here.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from compute.methods.contours import level_lines
from compute.methods.distance_to_target import normal_w1
from compute.models.noise_schedule import SIGMA_MIN, NoiseSchedule

Array = NDArray[np.float64]


def euler_scale_error(n_steps: Array, sigma_max: float, std: float) -> Array:
    """1 - (output scale)/(exact scale) of Euler on N(0, std^2) data on its best grid of n_steps from sigma_max to 0.

    With theta = arctan(sigma/std) an Euler step scales by cos(theta - theta')  relative to the exact flow, so equal steps in
    theta are best: 1 - cos(theta_max/K)^K.
    """
    return 1 - np.cos(np.arctan(sigma_max / std) / n_steps) ** n_steps


def w1_after_er_sde(eta: Array, levels: Array, prior_std: Array, mean: float, std: float) -> Array:
    """Exact W1 to N(mean, std^2) of ER-SDE 1 from N(0, prior_std^2).

    Parameters
    ----------
    eta : array
    levels : (n_steps + 1, …) array
        Falling to 0; shapes of eta, levels[i] and prior_std broadcast.
    prior_std : array
    mean, std : float
    """
    shape = np.broadcast_shapes(np.shape(eta), np.shape(levels)[1:], np.shape(prior_std))
    gap, variance = np.full(shape, -mean), np.broadcast_to(np.square(prior_std), shape)
    for sigma, sigma_next in itertools.pairwise(levels):
        r = (sigma_next / sigma) ** (1 + eta)
        g = (std**2 + r * sigma**2) / (std**2 + sigma**2)
        gap = g * gap
        variance = g**2 * variance + sigma_next**2 - r**2 * sigma**2
    return normal_w1(gap, np.sqrt(np.maximum(variance, 0.0)) - std)


def w1_in_continuum(
    eta: float, n_steps: Array, schedule: NoiseSchedule, sigma_max: Array, prior_std: Array, mean: float, std: float
) -> Array:
    """``w1_after_er_sde`` to first order in the step size: forgetting of the start, plus the variance lost in steps.

    In a step of h in log sigma the loss is (1 + eta)^2 h^2 s^2 sigma^2/(s^2 + sigma^2), of which later steps forget all
    but (s^2/(s^2 + sigma^2))^{1 + eta}.

    Parameters
    ----------
    eta : float
    n_steps, sigma_max, prior_std : (n,) arrays
    """
    grid = np.geomspace(SIGMA_MIN, sigma_max, 120)  # (120, n)
    log_step = np.log(grid[1] / grid[0])
    pace = np.gradient(schedule.time(grid), axis=0) / log_step  # d time/d log sigma
    h = (schedule.time(sigma_max) - schedule.time(SIGMA_MIN)) / (n_steps - 1) / pace
    left = std**2 / (std**2 + grid**2)
    lost = np.sum((1 + eta) ** 2 * h * std**2 * (1 - left) * left ** (1 + eta) * log_step, axis=0)
    lost = lost + std**2 * SIGMA_MIN**2 / (std**2 + SIGMA_MIN**2)  # the last step
    forget = (std**2 / (std**2 + sigma_max**2)) ** ((1 + eta) / 2)
    variance = std**2 + (prior_std**2 - std**2 - sigma_max**2) * forget**2 - lost
    return normal_w1(mean * forget, np.sqrt(np.maximum(variance, 0.0)) - std)


def tie_line(schedule: NoiseSchedule, n_steps: Array, sigma_max: Array, mean: float, std: float) -> tuple[Array, Array]:
    """Where in the plane (n_steps, sigma_max) the ODE and the reverse SDE err equally, in the continuum theory.

    Returns
    -------
    n_steps, sigma_max : (3 n_segments,) arrays
        Line segments, broken by NaN: with a prior that is too wide there can be several such lines.
    """
    n, top = (values.ravel() for values in np.meshgrid(n_steps, sigma_max))
    prior_std = np.array([schedule.prior_std(s) for s in top])
    smooth, noisy = (w1_in_continuum(eta, n, schedule, top, prior_std, mean, std) for eta in (0.0, 1.0))
    advantage = np.log(noisy / smooth).reshape(sigma_max.size, n_steps.size)
    x, y = level_lines(np.log(n_steps), np.log(sigma_max), advantage, 0.0)
    return np.exp(x), np.exp(y)
