"""Level lines of a function on a grid, as line segments: for figures whose other traces move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def level_lines(x: Array, y: Array, z: Array, level: float) -> tuple[Array, Array]:
    """The line z = level, by linear interpolation on the two triangles of each grid cell.

    Parameters
    ----------
    x : (n,) array
    y : (m,) array
    z : (m, n) array
    level : float

    Returns
    -------
    lines_x, lines_y : (3 n_segments,) arrays
        Both ends of each segment, then NaN: drawn as one trace, broken between segments.
    """
    x_grid, y_grid = np.meshgrid(x, y)
    corners = np.stack([x_grid, y_grid, z - level], axis=-1)
    a, b, c, d = corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]
    triangles = np.concatenate([np.stack(t, axis=2).reshape(-1, 3, 3) for t in ((a, b, c), (a, c, d))])
    above = triangles[:, :, 2] > 0
    # A triangle is crossed where one corner is on the other side from the two others; that corner comes first.
    n_above = above.sum(axis=1)
    triangles, above, n_above = (values[(n_above == 1) | (n_above == 2)] for values in (triangles, above, n_above))
    lone = np.where(n_above == 1, above.argmax(axis=1), above.argmin(axis=1))
    rows = np.arange(lone.size)
    first, ends = triangles[rows, lone], []
    for other in (triangles[rows, (lone + 1) % 3], triangles[rows, (lone + 2) % 3]):
        t = (first[:, 2] / (first[:, 2] - other[:, 2]))[:, None]
        ends.append(first[:, :2] + t * (other[:, :2] - first[:, :2]))
    lines = np.stack([*ends, np.full((lone.size, 2), np.nan)], axis=1).reshape(-1, 2)
    return lines[:, 0], lines[:, 1]
