"""Resampling: counts, unbiasedness, effective sizes."""

import numpy as np
import pytest

from compute.methods.resampling import effective_fraction, normalized, systematic


def test_systematic_counts_are_floor_or_ceiling():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(50, 0.3))
    for _ in range(20):
        counts = np.bincount(systematic(rng, weights), minlength=50)
        assert counts.sum() == 50
        assert np.all(counts >= np.floor(50 * weights - 1e-9)) and np.all(counts <= np.ceil(50 * weights + 1e-9))


def test_systematic_is_unbiased():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(7))
    n_draws = 4000
    mean = sum(np.bincount(systematic(rng, weights, 20), minlength=7) for _ in range(n_draws)) / n_draws
    fraction = 20 * weights - np.floor(20 * weights)
    error = np.sqrt(fraction * (1 - fraction) / n_draws)
    assert np.all(np.abs(mean - 20 * weights) < 4 * error + 1e-12)


def test_effective_fraction():
    assert effective_fraction(np.full(10, -700.0)) == pytest.approx(1)
    assert effective_fraction(np.array([0.0] + [-1e4] * 9)) == pytest.approx(0.1)
    assert effective_fraction(np.log(np.array([1.0, 3.0]))) == pytest.approx(16 / (2 * 10))
    assert normalized(np.array([1e4, 1e4 + np.log(3)])) == pytest.approx([0.25, 0.75])
