r"""SGD on a quadratic with the noise of well-specified regression: the loss in closed form at any step size and batch.

In the eigenbasis of the Hessian, lam_1 >= lam_2 >= …, a step at batch B moves mode j by

    x_j <- (1 - eta lam_j) x_j + eta g_j,      g_j ~ N(0, lam_j / B),      x_j(0) = 1.

Each mode is an autoregression, so after T steps

    E x_j^2 = (1 - eta lam_j)^{2T} (1 - v_j) + v_j,      v_j = eta / (B (2 - eta lam_j)),

and the loss is (1/2) sum_j lam_j E x_j^2: what is left of the start, and a floor of noise that the step size over the batch sets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LARGEST_LOG = 200.0  # beyond the stability edge the loss grows without bound
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)


def power_law_spectrum(exponent: float, n_modes: int) -> Array:
    """lam_j = j^-exponent, j = 1 … n_modes."""
    return np.arange(1, n_modes + 1, dtype=float) ** -exponent


def mean_loss(eigenvalues: Array, step_size: ArrayLike, batch: ArrayLike, steps: ArrayLike) -> tuple[Array, Array]:
    """What is left of the start, and the noise, at paired settings.

    Parameters
    ----------
    eigenvalues : (n_modes,) array
    step_size, batch, steps : arrays that broadcast together
        No ``step_size`` times an eigenvalue may be exactly 2.

    Returns
    -------
    start, noise : arrays of the broadcast shape
        Their sum is the expected loss.
    """
    eta, b, t = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (step_size, batch, steps)))
    scaled = eta[..., None] * eigenvalues
    with np.errstate(divide="ignore"):
        log_factor = 2 * np.log(np.abs(1 - scaled))
    # 0 steps leave a mode that one step would erase.
    power = np.where(t[..., None] > 0, t[..., None] * np.maximum(log_factor, -1e300), 0.0)
    power = np.minimum(power, LARGEST_LOG)
    start = 0.5 * np.sum(eigenvalues * np.exp(power), axis=-1)
    noise = -0.5 * np.sum(eigenvalues * np.expm1(power) * (eta / b)[..., None] / (2 - scaled), axis=-1)
    return start, noise


def loss_surface(eigenvalues: Array, step_size: Array, batch: Array, steps: Array) -> Array:
    """The loss on a grid of step sizes and batches, each batch with its own number of steps.

    Parameters
    ----------
    eigenvalues : (n_modes,) array
    step_size : (n_rates,) array
        Times an eigenvalue nowhere exactly 2.
    batch, steps : (n_batches,) arrays

    Returns
    -------
    (n_batches, n_rates) array
    """
    scaled = step_size[:, None] * eigenvalues
    with np.errstate(divide="ignore"):
        log_factor = 2 * np.log(np.abs(1 - scaled))
    weight = eigenvalues * step_size[:, None] / (2 - scaled)
    out = np.empty((batch.size, step_size.size))
    for k in range(batch.size):
        if steps[k] <= 0:
            out[k] = 0.5 * eigenvalues.sum()
            continue
        kept = np.exp(np.minimum(steps[k] * log_factor, LARGEST_LOG))
        out[k] = 0.5 * (kept @ eigenvalues + np.sum(weight * (1 - kept), axis=1) / batch[k])
    return out


def best_step_size(eigenvalues: Array, batch: ArrayLike, steps: ArrayLike, *, low: float, high: float) -> tuple[Array, Array]:
    """The step size of least loss at each batch, by golden section on its logarithm around the best of a coarse grid.

    Parameters
    ----------
    eigenvalues : (n_modes,) array
    batch, steps : (n,) arrays
        Steps at least 1.
    low, high : float
        Bounds of the search; ``high`` below the stability edge 2 / lam_1.

    Returns
    -------
    step_size, loss : (n,) arrays
    """
    b, t = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (batch, steps))
    grid = np.log(np.geomspace(low, high, 41))
    best = np.argmin(loss_surface(eigenvalues, np.exp(grid), b, t), axis=1)
    left, right = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, grid.size - 1)]

    def level(x: Array) -> Array:
        return np.add(*mean_loss(eigenvalues, np.exp(x), b, t))

    inner, outer = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
    f_inner, f_outer = level(inner), level(outer)
    for _ in range(18):
        is_left = f_inner < f_outer
        left, right = np.where(is_left, left, inner), np.where(is_left, outer, right)
        new = np.where(is_left, right - GOLDEN * (right - left), left + GOLDEN * (right - left))
        f_new = level(new)
        inner, outer = np.where(is_left, new, outer), np.where(is_left, inner, new)
        f_inner, f_outer = np.where(is_left, f_new, f_outer), np.where(is_left, f_inner, f_new)
    x = 0.5 * (left + right)
    return np.exp(x), level(x)


def simulate(
    eigenvalues: Array, step_size: float, batch: float, record: NDArray[np.int64], n_runs: int, rng: np.random.Generator
) -> Iterator[tuple[int, Array]]:
    """Losses of independent SGD runs, step by step.

    Parameters
    ----------
    eigenvalues : (n_modes,) array
    step_size, batch : float
    record : (n_records,) increasing array
        Steps after which the losses are reported.
    n_runs : int
    rng : numpy.random.Generator

    Yields
    ------
    (int, (n_runs,) array)
        A recorded step, and the loss of each run after it.
    """
    x = np.ones((n_runs, eigenvalues.size))
    shrink, noise = 1 - step_size * eigenvalues, step_size * np.sqrt(eigenvalues / batch)
    step = 0
    for target in record:
        for _ in range(int(target) - step):
            x *= shrink
            x += noise * rng.standard_normal(x.shape)
        step = int(target)
        yield step, 0.5 * (x**2) @ eigenvalues
