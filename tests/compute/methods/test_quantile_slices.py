"""Quantiles against POT's transport; distances, maps and turned bases against their definitions."""

import numpy as np
import ot
import pytest

from compute.methods.quantile_slices import (
    N_LEVELS,
    classical_scaling,
    effective_slices,
    eigenspaces,
    embed,
    in_bases,
    quantiles,
    squared_distances,
    turned_bases,
)
from compute.models.laplacian_modes import circle_modes, sphere_modes


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_slices_against_pot(rng):
    """Samples of 64 points: their order statistics are the levels, and W2 is exact."""
    one, two = rng.standard_normal((2, 5, N_LEVELS)) * 2 + np.arange(5)[:, None]
    weight = rng.uniform(0.1, 1, 5)
    vectors = embed(quantiles(np.stack([one, two])), weight)
    known = sum(w * ot.wasserstein_1d(a, b, p=2) for w, a, b in zip(weight, one, two, strict=True))
    assert np.sum((vectors[0] - vectors[1]) ** 2) == pytest.approx(known, abs=1e-10)
    assert squared_distances(vectors)[0, 1] == pytest.approx(known, rel=1e-10)


@pytest.mark.parametrize("n", [1, 7, 10, 64, 100, 500])
def test_quantiles_invert_the_distribution_function(n, rng):
    x = np.sort(rng.standard_normal(n))
    level = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
    # The least x_k with k/n >= level, by definition.
    known = [x[min(k for k in range(n) if (k + 1) / n >= p - 1e-12)] for p in level]
    np.testing.assert_array_equal(quantiles(rng.permutation(x)), known)


def test_finer_levels_approach_transport(rng):
    a, b = rng.standard_normal(300), 0.5 + 2 * rng.standard_normal(170)
    exact = ot.wasserstein_1d(a, b, p=2)
    coarse, fine = (np.mean((quantiles(a, m) - quantiles(b, m)) ** 2) for m in (16, 4096))
    assert fine == pytest.approx(exact, rel=2e-3)
    assert abs(coarse - exact) > abs(fine - exact)


def test_distances_are_euclidean(rng):
    """exp(-s ISW^2) is positive semidefinite and the triangle inequality holds."""
    points = rng.standard_normal((30, 6, 50)) * rng.uniform(0.3, 2, (30, 1, 1))
    square = squared_distances(embed(quantiles(points), rng.random(6)))
    for s in (0.1, 1.0, 30.0):
        assert np.linalg.eigvalsh(np.exp(-s * square)).min() > -1e-10
    distance = np.sqrt(square)
    assert np.all(distance[:, None, :] <= distance[:, :, None] + distance[None, :, :] + 1e-12)


def test_classical_scaling_finds_a_plane(rng):
    plane = rng.standard_normal((12, 2)) @ np.linalg.qr(rng.standard_normal((9, 2)))[0].T
    place, share = classical_scaling(plane)
    np.testing.assert_allclose(squared_distances(place), squared_distances(plane), atol=1e-10)
    assert share.sum() == pytest.approx(1) and share[0] > share[1]


def test_effective_slices():
    assert effective_slices(np.ones(7)) == pytest.approx(7)
    assert effective_slices(np.array([1.0, 1e-9])) == pytest.approx(1)
    assert effective_slices(np.array([1e-250, 1e-250])) == pytest.approx(2)


def test_eigenspaces_are_found_and_turned_within(rng):
    points = rng.standard_normal((40, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    modes = sphere_modes(points, 15)
    assert [s.stop - s.start for s in eigenspaces(modes.eigenvalue)] == [3, 5, 7]
    turn = turned_bases(modes.eigenvalue, 1, rng)
    turned = in_bases(modes, turn)
    np.testing.assert_allclose(turn[0].T @ turn[0], np.eye(15), atol=1e-12)
    # The sum of squares over an eigenspace is (2l + 1)/(4 pi) at every point (Unsold's theorem), whatever the basis.
    for degree, space in enumerate(eigenspaces(turned.eigenvalue), start=1):
        np.testing.assert_allclose(np.sum(turned.function[:, space] ** 2, axis=1), (2 * degree + 1) / (4 * np.pi), atol=1e-10)
    assert np.abs(turned.function - modes.function).max() > 0.1
    assert in_bases(circle_modes(np.array([0.3]), 4), turned_bases(np.array([1.0, 1, 4, 4]), 3, rng)).function.shape == (1, 12)
