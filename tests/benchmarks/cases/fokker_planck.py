"""Densities of diffusions on an interval, step by implicit step."""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import solve_banded

from compute.diffusion_samplers.restore_and_degrade import forwards
from compute.methods import fokker_planck
from compute.transport_bridges.stochastic_interpolants.likelihood import EPS, Evolution
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    kernels = (fokker_planck.fokker_planck,)
    system, drift_error, score_error = Evolution("linear", 1.0, 2, 3), 0.3, 0.3
    drift, correction = drift_error * system.density * system.u1, score_error * system.density * system.u2
    spread, begin = system.density**2, np.ones(system.width.size)

    def ratios() -> Array:
        steps = np.full(len(drift), system.step)
        return np.stack([evolve(begin, drift, correction, spread, eps, system.edges, steps)[-1] for eps in EPS])

    yield Case(
        f"densities of {EPS.size} diffusions, {begin.size} cells, {len(drift)} implicit steps",
        lambda: system.ratios(EPS, drift_error, score_error),
        "SciPy solve_banded",
        ratios,
        kernels,
    )

    well = forwards.forward_of("double well", 3.0, 0.4)
    assert isinstance(well, forwards.Gridded)
    times = forwards.HORIZON * (np.arange(forwards.N_TIMES + 1) / forwards.N_TIMES) ** 2

    def double_well() -> Array:
        drift = np.broadcast_to(forwards.double_well(well.edges[1:-1]), (forwards.N_TIMES, forwards.N_CELLS - 1))
        return evolve(well.densities[0], drift, np.zeros_like(drift), np.ones_like(drift), 1.0, well.edges, np.diff(times))

    yield Case(
        f"densities in a double well, {forwards.N_CELLS} cells, {forwards.N_TIMES} implicit steps",
        lambda: forwards.Gridded(well.data, well.force, well.reach).densities,
        "SciPy solve_banded",
        double_well,
        kernels,
    )


def evolve(density: Array, drift: Array, correction: Array, spread: Array, eps: float, edges: Array, steps: Array) -> Array:
    """(n_steps + 1, n_cells) densities; all fluxes at once, then a tridiagonal system a step."""
    width = np.diff(edges)
    gap = 0.5 * (width[1:] + width[:-1])
    p = (drift + eps * correction) * gap / (eps * spread)
    near = np.abs(p) < 1e-6
    bernoulli = np.where(near, 1 - 0.5 * p, p / np.expm1(np.clip(np.where(near, 1.0, p), -500, 500)))
    rate = steps[:, None] * eps * spread / gap
    left, right = rate * bernoulli, rate * (bernoulli + p)
    bands = np.zeros((len(steps), 3, width.size))
    bands[:, 0, 1:], bands[:, 2, :-1], bands[:, 1] = -left, -right, width
    bands[:, 1, :-1] += right
    bands[:, 1, 1:] += left
    found = [density]
    for band in bands:
        found.append(solve_banded((1, 1), band, width * found[-1], check_finite=False))
    return np.array(found)
