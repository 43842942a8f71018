"""Effective ridges of random-feature regression, each the root of one equation."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import brentq

from compute.models import eigenframework
from compute.models.spectra import power_law_modes
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    modes = power_law_modes(1.5, 2.0)
    target = np.geomspace(3.0, 1e4, 60)

    def z(gamma: float) -> float:
        return float(modes.weight @ (modes.eigenvalue / (modes.eigenvalue + gamma)))

    def level(n: float) -> float:
        return float(np.exp(brentq(lambda s: np.log(z(np.exp(s)) / n), -100.0, np.log(modes.trace / n), xtol=1e-12)))

    yield Case(
        "ridge at which 60 numbers of samples are used up",
        lambda: eigenframework.effective_levels(modes, target),
        "SciPy brentq",
        lambda: np.array([level(n) for n in target]),
        (eigenframework._levels,),
    )

    n, k, ridge = np.geomspace(10.0, 1e4, 60), 300.0, 1e-2

    def gamma() -> np.ndarray:
        least = level(k)

        def root(size: float) -> float:
            def excess(s: float) -> float:
                gamma = least + np.exp(s)
                used = z(gamma)
                return float(np.log((used + ridge / (gamma * (1 - used / k))) / size))

            return least + float(np.exp(brentq(excess, np.log(least) - 18, 12.0, xtol=1e-12)))

        return np.array([root(size) for size in n])

    yield Case(
        "effective ridges at 60 numbers of samples, 300 features",
        lambda: eigenframework.fixed_point(modes, n, k, ridge)[0].gamma,
        "SciPy brentq",
        gamma,
        (eigenframework._fixed_points, eigenframework._levels),
        rtol=1e-7,
    )
