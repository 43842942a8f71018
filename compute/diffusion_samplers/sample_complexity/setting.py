"""Parameters that views of this lab share."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.parameters import LogInteger, LogReal, Real

Smoothness = Annotated[
    float, Real("smoothness", "s", low=0.5, high=3.0, help="Fourier coefficients at frequency 2^j fall like 2^(-js).")
]
NSamples = Annotated[int, LogInteger("samples", "n", low=100, high=100_000)]
EarlyStop = Annotated[
    float, LogReal("early stop", r"T_{\mathrm{low}}", low=1e-6, high=0.1, help="The reverse process is stopped at this time.")
]


def vertex(x: NDArray[np.float64], curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_curves,) where each of (n_curves, n) curves over even x is least, by a parabola through three points."""
    rows = np.arange(curves.shape[0])
    k = np.clip(curves.argmin(axis=1), 1, x.size - 2)
    left, middle, right = (curves[rows, k + shift] for shift in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    return x[k] + np.clip(shift, -1, 1) * (x[1] - x[0])
