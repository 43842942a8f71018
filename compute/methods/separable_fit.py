r"""Least squares where most parameters are linear: y = Phi(theta) beta, by variable projection, many weightings at once.

For given theta the best beta is a linear solve; what is left is a search over theta alone, here by damped Gauss-Newton
steps with Kaufman's Jacobian P_perp (dPhi/dtheta) beta. All refits of a bootstrap move together as one batch.

References
----------
Golub & Pereyra (1973); Kaufman (1975).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Basis = Callable[[Array], tuple[Array, Array]]

MAX_ITERATIONS = 100
STALLS = 8  # steps refused in a row, each with ten times the damping, before a descent is over
RIDGE = 1e-12  # of the largest entry of the normal matrix: only against exact collinearity


@dataclass(frozen=True)
class SeparableFit:
    """Best parameters for each weighting.

    Parameters
    ----------
    linear : (n_fits, n_linear) array
    nonlinear : (n_fits, n_nonlinear) array
    objective : (n_fits,) array
        Weighted sum of squares.
    """

    linear: Array
    nonlinear: Array
    objective: Array


def _project(phi: Array, y: Array, weights: Array) -> tuple[Array, Array, Array, Array]:
    """Best linear parameters, residuals, objective and the normal matrix of each weighting."""
    weighted = phi * weights[:, :, None]
    normal = np.swapaxes(weighted, 1, 2) @ phi
    top = np.max(np.abs(normal), axis=(1, 2))
    normal = normal + RIDGE * top[:, None, None] * np.eye(phi.shape[2])
    beta = np.linalg.solve(normal, (np.swapaxes(weighted, 1, 2) @ y)[..., None])[..., 0]
    residual = y - (phi @ beta[..., None])[..., 0]
    return beta, residual, np.sum(weights * residual**2, axis=1), normal


def fit_separable(
    basis: Basis, y: ArrayLike, weights: ArrayLike, start: ArrayLike, low: ArrayLike, high: ArrayLike
) -> SeparableFit:
    """Minimize sum_i w_i (y_i - Phi_i(theta) beta)^2 over theta in a box and beta, for each row of weights.

    Parameters
    ----------
    basis : callable
        From theta, (n_fits, n_nonlinear), to Phi, (n_fits, n, n_linear), and its derivative in each component of theta,
        (n_nonlinear, n_fits, n, n_linear). Center its columns: the normal equations are solved as they are.
    y : (n,) array
    weights : (n_fits, n) array
        Such as how often a bootstrap drew each row.
    start : (n_nonlinear,) or (n_fits, n_nonlinear) array
    low, high : (n_nonlinear,) arrays
        The box; a step out of it is cut back to its edge.
    """
    y, weights = np.asarray(y, dtype=float), np.atleast_2d(np.asarray(weights, dtype=float))
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    theta = np.clip(np.broadcast_to(start, (len(weights), low.size)).astype(float), low, high)
    damping = np.full(len(weights), 1e-3)
    phi, slope = basis(theta)
    beta, residual, objective, normal = _project(phi, y, weights)
    still = np.zeros(len(weights), dtype=int)
    for _ in range(MAX_ITERATIONS):
        # Kaufman: the residual changes by -P_perp (dPhi_k beta), the projection being off the columns of Phi.
        moved = np.einsum("kfnl,fl->fnk", slope, beta)
        along = np.linalg.solve(normal, np.swapaxes(phi * weights[:, :, None], 1, 2) @ moved)
        jacobian = moved - phi @ along
        gradient = np.einsum("fnk,fn->fk", jacobian, weights * residual)
        curvature = np.einsum("fnk,fn,fnl->fkl", jacobian, weights, jacobian)
        # On an edge of the box, a component that points out of it is held.
        held = ((theta <= low) & (gradient < 0)) | ((theta >= high) & (gradient > 0))
        diagonal = np.einsum("fkk->fk", curvature) * (1 + damping[:, None]) + 1e-30
        system = np.where(held[:, :, None] | held[:, None, :], 0.0, curvature)
        index = np.arange(low.size)
        system[:, index, index] = np.where(held, 1.0, diagonal)
        step = np.linalg.solve(system, np.where(held, 0.0, gradient)[..., None])[..., 0]
        trial = np.clip(theta + step, low, high)
        new_phi, new_slope = basis(trial)
        new_beta, new_residual, new_objective, new_normal = _project(new_phi, y, weights)
        better = new_objective < objective
        gained = np.where(better, objective - new_objective, 0.0)
        still = np.where(gained > 1e-12 * objective, 0, still + 1)
        damping = np.clip(np.where(better, damping * 0.2, damping * 10), 1e-4, 1e8)
        keep = better[:, None]
        theta, beta = np.where(keep, trial, theta), np.where(keep, new_beta, beta)
        residual, objective = np.where(keep, new_residual, residual), np.where(better, new_objective, objective)
        phi, normal = np.where(keep[..., None], new_phi, phi), np.where(keep[..., None], new_normal, normal)
        slope = np.where(keep[None, ..., None], new_slope, slope)
        if np.all(still >= STALLS):
            break
    return SeparableFit(beta, theta, objective)
