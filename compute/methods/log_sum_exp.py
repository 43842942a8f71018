"""Sums of exponentials in logarithms, for loops that take many small ones.

SciPy's functions of these names ask each time what kind of array they were given, which for a few thousand numbers takes
longer than the answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
    top = logits.max(axis=-1)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(np.exp(logits - top[..., None]).sum(axis=-1)))


def softmax(logits: Array) -> Array:
    """Weights proportional to exp of finite logits, which sum to one over the last axis; the same shape."""
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    return np.asarray(weight)
