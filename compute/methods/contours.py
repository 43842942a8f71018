"""Level lines of a function on a grid: for figures whose other traces move."""

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
    lines_x, lines_y : (n_points,) arrays
        Path after path, each followed by NaN: drawn as one trace, broken between paths.
    """
    n = x.size
    vertex = np.arange(x.size * y.size).reshape(y.size, n)
    a, b, c, d = vertex[:-1, :-1], vertex[:-1, 1:], vertex[1:, 1:], vertex[1:, :-1]
    triangles = np.concatenate([np.stack(t, axis=2).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    height = (z - level).ravel()
    above = height[triangles] > 0
    # A triangle is crossed where one corner is on the other side from the two others; that corner comes first.
    n_above = above.sum(axis=1)
    triangles, above, n_above = (values[(n_above == 1) | (n_above == 2)] for values in (triangles, above, n_above))
    lone = np.where(n_above == 1, above.argmax(axis=1), above.argmin(axis=1))
    rows = np.arange(lone.size)
    first, others = triangles[rows, lone], [triangles[rows, (lone + k) % 3] for k in (1, 2)]
    # Of each end the grid edge that it lies on: neighboring triangles share it.
    edges = np.stack([np.minimum(first, other) * height.size + np.maximum(first, other) for other in others], axis=1)
    used, ends = np.unique(edges, return_inverse=True)
    low, high = used // height.size, used % height.size
    t = height[low] / (height[low] - height[high])
    along = [axis[low] + t * (axis[high] - axis[low]) for axis in (np.tile(x, y.size), np.repeat(y, n))]
    order = np.array([at for chain in _chains(ends.reshape(-1, 2), used.size) for at in (*chain, -1)], dtype=int)
    lines_x, lines_y = (np.where(order < 0, np.nan, np.append(values, np.nan)[order]) for values in along)
    return lines_x, lines_y


def _chains(pairs: NDArray[np.int_], n: int) -> list[list[int]]:
    """The paths that segments between numbered points make; a closed one ends where it began. No point is in three."""
    beside: list[list[int]] = [[] for _ in range(n)]
    for i, j in pairs.tolist():
        beside[i].append(j)
        beside[j].append(i)
    chains = []
    # From the loose ends first; what is left are rings.
    for start in sorted(range(n), key=lambda k: len(beside[k])):
        if beside[start]:
            chain = [start]
            while beside[chain[-1]]:
                last = chain[-1]
                chain.append(beside[last].pop())
                beside[chain[-1]].remove(last)
            chains.append(chain)
    return chains
