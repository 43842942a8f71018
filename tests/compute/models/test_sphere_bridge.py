"""Bridges on the sphere: the radial law against walkers on the sphere itself, and flat limits."""

import numpy as np
import pytest
from scipy.stats import kstest

from compute.models.sphere_bridge import along_geodesic, project_tangent, radius_density, toward_vertices, walk_to_vertex


@pytest.mark.parametrize("time,noise,n_categories", [(0.5, 1.0, 3), (0.8, 0.4, 3), (0.5, 2.0, 8), (0.3, 0.7, 2)])
def test_walkers_follow_the_radial_law(time, noise, n_categories):
    r, density = radius_density(time, noise, n_categories)
    step = r[1] - r[0]
    assert density.min() > -1e-9 and density.sum() * step == pytest.approx(1, abs=1e-12)
    edges, below = np.arange(r.size + 1) * step, np.concatenate([[0.0], np.cumsum(density) * step])
    drawn = walk_to_vertex(time, noise, n_categories, 2500, 150, np.random.default_rng(n_categories))
    assert kstest(drawn, lambda x: np.interp(x, edges, below)).pvalue > 1e-3


def test_small_noise_is_a_brownian_bridge():
    """Flat: the distance's spread about the straight path is sigma sqrt(t(1-t))."""
    r, density = radius_density(0.4, 0.2, 3)
    step = r[1] - r[0]
    mean = np.sum(r * density) * step
    start = np.arccos(1 / np.sqrt(3))
    assert mean == pytest.approx(0.6 * start, abs=0.02)
    assert np.sqrt(np.sum((r - mean) ** 2 * density) * step) == pytest.approx(0.2 * np.sqrt(0.24), rel=0.03)


def test_geometry():
    rng = np.random.default_rng(0)
    u = rng.standard_normal((20, 5))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = 0.4 * project_tangent(rng.standard_normal((20, 5)), u)
    moved = along_geodesic(u, v)
    assert np.linalg.norm(moved, axis=1) == pytest.approx(1, abs=1e-14)
    length = np.linalg.norm(v, axis=1)
    near = length < np.pi
    assert np.arccos(np.sum(moved * u, axis=1))[near] == pytest.approx(length[near], abs=1e-7)
    # The logarithm leads to the vertex.
    r, stretch = toward_vertices(u)
    for k in range(5):
        logarithm = stretch[:, k : k + 1] * (np.eye(5)[k] - u[:, k : k + 1] * u)
        assert along_geodesic(u, logarithm)[:, k] == pytest.approx(1, abs=1e-10)
        assert np.linalg.norm(logarithm, axis=1) == pytest.approx(r[:, k], abs=1e-10)
