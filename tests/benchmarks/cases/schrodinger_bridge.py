"""Langevin chains of the energy-guided dual."""

from collections.abc import Iterator

import numpy as np

from compute.transport_bridges.schrodinger_bridge import energy
from compute.transport_bridges.schrodinger_bridge.setting import line_laws
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    epsilon, n_steps, rng = 1.0, 20, np.random.default_rng(0)
    step = energy.STEP * epsilon
    x, p, q = line_laws("two modes to three", 2.0, 1.0)
    dual = energy.Dual(x, p, q, epsilon, energy.features(x, 30))
    spacing = x[1] - x[0]
    slope = np.gradient(dual.best()[1], spacing)
    starts = rng.choice(x, energy.N_CHAINS, p=p)
    chains = starts + np.sqrt(epsilon) * rng.standard_normal(energy.N_CHAINS)

    def plain() -> np.ndarray:
        y = chains
        for noise in np.random.default_rng(1).standard_normal((n_steps, chains.size)):
            y = y + 0.5 * step * (np.interp(y, x, slope) + starts - y) / epsilon + np.sqrt(step) * noise
        return y

    yield Case(
        f"{n_steps} steps of {energy.N_CHAINS} Langevin chains",
        lambda: energy._langevin(np.random.default_rng(1), chains, starts, slope, x[0], spacing, epsilon, step, n_steps),
        "NumPy interp",
        plain,
        (energy._langevin,),
    )
