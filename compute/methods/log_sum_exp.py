"""Sums of exponentials in logarithms, for loops that take many small ones.

SciPy's functions of these names ask each time what kind of array they were given, which for a few thousand numbers takes
longer than the answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


SHORT = 6


def _over_last(operation: np.ufunc, values: Array) -> Array:
    """Reduced over the last axis; column by column where it is short, as a reduction pays for every row."""
    n = values.shape[-1]
    if not 0 < n <= SHORT:
        return np.asarray(operation.reduce(values, axis=-1))
    out = values[..., 0].copy()
    for k in range(1, n):
        out = np.asarray(operation(out, values[..., k]))
    return out


def log_sum_exp(logits: Array) -> Array:
    """log sum exp over the last axis.

    Parameters
    ----------
    logits : (..., n) array
        Minus infinity is a weight of zero; where all are, so is the sum's logarithm.

    Returns
    -------
    (...) array
    """
    top = _over_last(np.maximum, logits)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(_over_last(np.add, np.exp(logits - top[..., None]))))


def softmax(logits: Array) -> Array:
    """Weights proportional to exp, which sum to one over the last axis; the same shape. Not all logits are minus infinity."""
    weight = np.exp(logits - _over_last(np.maximum, logits)[..., None])
    weight /= _over_last(np.add, weight)[..., None]
    return np.asarray(weight)
