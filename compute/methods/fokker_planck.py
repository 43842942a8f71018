r"""Densities of diffusions on an interval, by Scharfetter and Gummel's exponentially fitted fluxes.

For df/dt = -dF/du, F = (A + eps C) f - eps D df/du, the flux between centers h apart is that of a stationary law under
constant coefficients,

    F = (eps D/h) (B(-p) f_left - B(p) f_right),  p = (A + eps C) h/(eps D),  B(p) = p/(e^p - 1),

upwind where drift rules, central where diffusion does. Steps in time are implicit: the matrix is an M-matrix, so that
densities stay positive at any step, and no flux leaves the interval, so that mass stays.

dX = u(t, X) dt + sqrt(2 eps) dW is D = 1, A = u, C = 0 in u = x.
"""

from __future__ import annotations

import numpy as np

from compute.kernel import kernel


@kernel
def fokker_planck(density, drift, correction, spread, diffusion, edges, step):  # type: ignore[no-untyped-def]
    """Final densities, for each eps.

    Parameters
    ----------
    density : (n_cells,) array
        At the start, mean of each cell.
    drift, correction, spread : (n_steps, n_cells - 1) arrays
        A, C and D > 0 at the walls between cells, in each step.
    diffusion : (n_diffusions,) array
        Each eps, positive.
    edges : (n_cells + 1,) array
    step : float

    Returns
    -------
    (n_diffusions, n_cells) array
    """
    n_steps, n_walls = drift.shape
    n, m = n_walls + 1, diffusion.size
    width = edges[1:] - edges[:-1]
    gap = 0.5 * (width[1:] + width[:-1])
    # All eps side by side: along the cells each number waits for the one before, across eps none does.
    rho = np.empty((n, m))
    for i in range(n):
        rho[i] = density[i]
    right, left, upper = np.empty((n_walls, m)), np.empty((n_walls, m)), np.empty((n, m))
    for k in range(n_steps):
        for i in range(n_walls):
            for e in range(m):
                eps = diffusion[e]
                rate = step * eps * spread[k, i] / gap[i]
                p = (drift[k, i] + eps * correction[k, i]) * gap[i] / (eps * spread[k, i])
                bernoulli = 1 - 0.5 * p if abs(p) < 1e-6 else p / np.expm1(min(max(p, -500.0), 500.0))
                left[i, e] = rate * bernoulli  # out of the right cell, through this wall
                right[i, e] = rate * (bernoulli + p)  # out of the left cell
        # Thomas's elimination of width rho' + outflow = width rho.
        for e in range(m):
            pivot = width[0] + right[0, e]
            upper[0, e] = -left[0, e] / pivot
            rho[0, e] = width[0] * rho[0, e] / pivot
        for i in range(1, n_walls):
            for e in range(m):
                pivot = width[i] + left[i - 1, e] + right[i, e] + right[i - 1, e] * upper[i - 1, e]
                upper[i, e] = -left[i, e] / pivot
                rho[i, e] = (width[i] * rho[i, e] + right[i - 1, e] * rho[i - 1, e]) / pivot
        i = n - 1
        for e in range(m):
            pivot = width[i] + left[i - 1, e] + right[i - 1, e] * upper[i - 1, e]
            rho[i, e] = (width[i] * rho[i, e] + right[i - 1, e] * rho[i - 1, e]) / pivot
        for i in range(n - 2, -1, -1):
            for e in range(m):
                rho[i, e] -= upper[i, e] * rho[i + 1, e]
    return rho.T.copy()
