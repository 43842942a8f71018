"""Grids that maps and curves are computed on, and their tables."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]


def integers(high: float, n: int) -> Array:
    """At most n integers from 1 to ``high``, even in the logarithm."""
    return np.unique(np.rint(np.geomspace(1, high, n)))


def grid_table(x_name: str, x: Array, y_name: str, y: Array, **maps: Array) -> pl.DataFrame:
    """A map as a tidy table; NaN, which says that a value does not exist, becomes null."""
    X, Y = np.meshgrid(x, y)
    columns = {name: np.broadcast_to(np.asarray(z, dtype=float), X.shape).ravel() for name, z in maps.items()}
    return pl.DataFrame({x_name: X.ravel(), y_name: Y.ravel(), **columns}).with_columns(pl.col(list(maps)).fill_nan(None))
