"""Draws of the squared distances, and the sums over them."""

from __future__ import annotations

import numpy as np

from compute.kernel import kernel
from compute.statistical_physics.kernel_density_large_dimension.finite import n_samples
from compute.statistical_physics.kernel_density_large_dimension.limit import Array

MAX_SAMPLES = 100_000


def draw_distances(rng: np.random.Generator, n: int, dimension: int, free_norm: str, n_points: int) -> Array:
    """(n_points, n) squared distances |x - y_i|^2: along x a Gaussian, across it chi-square(d - 1)."""
    norm_x = np.full(n_points, np.sqrt(dimension)) if free_norm == "typical" else np.sqrt(rng.chisquare(dimension, n_points))
    along = norm_x[:, None] - rng.standard_normal((n_points, n))
    return along**2 + 2 * rng.standard_gamma((dimension - 1) / 2, (n_points, n))


@kernel
def log_sums(distance, precision):  # type: ignore[no-untyped-def]
    """(n_points, n_precisions) log sum_i exp(-l D_i/2); terms below e^-40 of the largest are left out."""
    n_points, n = distance.shape
    log_sum = np.empty((n_points, precision.size))
    for r in range(n_points):
        nearest = distance[r].min()
        for j in range(precision.size):
            half = 0.5 * precision[j]
            reach = nearest + 40.0 / half
            total = 0.0
            for i in range(n):
                if distance[r, i] < reach:
                    total += np.exp(-half * (distance[r, i] - nearest))
            log_sum[r, j] = np.log(total) - half * nearest
    return log_sum


def affordable(load: float, dimension: int) -> int:
    n = n_samples(load, dimension)
    return int(n) if n <= MAX_SAMPLES else 0


def chunks(n: int, test_points: int) -> list[int]:
    """How many test points to draw at a time: some 2 million distances."""
    size = max(1, min(test_points, 2_000_000 // max(n, 1)))
    return [min(size, test_points - start) for start in range(0, test_points, size)]
