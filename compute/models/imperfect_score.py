r"""A denoiser that is wrong in a known way: D^ = D + size * psi(sigma) * u(y).

u is a fixed smooth field, bounded by 1 in every coordinate, and psi says at which noise levels the error lives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Denoiser = Callable[[Array, float], Array]

PROFILES: dict[str, Callable[[float], float]] = {
    "uniform": lambda sigma: sigma / (1 + sigma),
    "early": lambda sigma: float(sigma > 1),
    "late": lambda sigma: sigma * (sigma < 0.5),
}


def field(y: Array) -> Array:
    """u_j(y) = cos(y_j + y_{j+1} + j), indices modulo the dimension: (n, d) to (n, d)."""
    neighbor = np.roll(y, -1, axis=1) if y.shape[1] > 1 else 0.0
    return np.cos(y + neighbor + np.arange(y.shape[1]))


def perturbed(denoise: Denoiser, size: float, profile: str = "uniform") -> Denoiser:
    """The denoiser with that error; itself at size 0."""
    if size == 0:
        return denoise
    psi = PROFILES[profile]
    return lambda y, sigma: denoise(y, sigma) + size * psi(sigma) * field(y)
