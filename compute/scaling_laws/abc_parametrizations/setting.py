"""What the views of the lab share: parameters, the ladder of widths, fitted exponents."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.stats import linregress

from compute.models.width_parametrization import power_law_task
from compute.parameters import Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

N_INPUTS = 8
TASK = power_law_task(N_INPUTS, 1.0)
SMALLEST_WIDTH = 32

OutputInit = Annotated[
    float, Real("readout start", "w", low=0.0, high=1.5, help="The readout starts with standard deviation n^-w, w = a + b of it.")
]
HiddenRate = Annotated[
    float,
    Real("hidden rate", "h", low=-0.5, high=2.0, help="Hidden layers learn at rate n^-h (the first at n^(1-h)), h = c + 2a (+ 1)."),
]
OutputRate = Annotated[
    float, Real("readout rate", "o", low=0.0, high=2.0, help="The readout learns at rate n^-o, o = c + 2a of the readout.")
]
LearningRate = Annotated[float, LogReal("learning rate", r"\eta", low=0.05, high=2.0, help="The constant before the power of n.")]
Steps = Annotated[int, Integer("steps", "T", low=2, high=50, help="Full-batch gradient steps.")]
LargestWidth = Annotated[int, LogInteger("largest width", r"n_{\max}", low=64, high=2048, help="Widths double from 32 up to it.")]
Seeds = Annotated[int, LogInteger("seeds", "R", low=2, high=64, help="Networks drawn at each width.")]


def ladder(largest: int) -> list[int]:
    """Widths doubling from 32, the largest last."""
    return sorted({SMALLEST_WIDTH << k for k in range(12) if SMALLEST_WIDTH << k < largest} | {largest})


def slope(width: Array, values: Array) -> tuple[float, float] | None:
    """Slope of log values (n_widths, n_seeds) in log width and its standard error; None without two widths and positive values."""
    kept = np.isfinite(values) & (values > 0)
    x = np.broadcast_to(np.asarray(width, dtype=float)[:, None], values.shape)[kept]
    if np.unique(x).size < 2 or x.size < 3:
        return None
    line = linregress(np.log(x), np.log(values[kept]))
    return float(line.slope), float(line.stderr)


def slope_words(found: tuple[float, float] | None) -> str:
    """A slope for the headline."""
    return "none: it diverged" if found is None else f"{found[0] + 0.0:.2f} ± {found[1]:.2f}"


def or_null(values: Array) -> list[float | None]:
    """For a table: null where there is no number."""
    return [float(v) if np.isfinite(v) else None for v in np.asarray(values, dtype=float).ravel()]
