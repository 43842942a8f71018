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
    n = n_walls + 1
    width = edges[1:] - edges[:-1]
    gap = 0.5 * (width[1:] + width[:-1])
    out = np.empty((diffusion.size, n))
    right, left, upper = np.empty(n_walls), np.empty(n_walls), np.empty(n)
    for e in range(diffusion.size):
        eps = diffusion[e]
        rho = density.copy()
        for k in range(n_steps):
            for i in range(n_walls):
                rate = step * eps * spread[k, i] / gap[i]
                p = (drift[k, i] + eps * correction[k, i]) * gap[i] / (eps * spread[k, i])
                bernoulli = 1 - 0.5 * p if abs(p) < 1e-6 else p / np.expm1(min(max(p, -500.0), 500.0))
                left[i] = rate * bernoulli  # out of the right cell, through this wall
                right[i] = rate * (bernoulli + p)  # out of the left cell
            # Thomas's elimination of width rho' + outflow = width rho.
            pivot = width[0] + right[0]
            upper[0] = -left[0] / pivot
            rho[0] = width[0] * rho[0] / pivot
            for i in range(1, n):
                diagonal = width[i] + left[i - 1]
                if i < n_walls:
                    diagonal += right[i]
                pivot = diagonal + right[i - 1] * upper[i - 1]
                if i < n_walls:
                    upper[i] = -left[i] / pivot
                rho[i] = (width[i] * rho[i] + right[i - 1] * rho[i - 1]) / pivot
            for i in range(n - 2, -1, -1):
                rho[i] -= upper[i] * rho[i + 1]
        out[e] = rho
    return out
