"""Tests of two groups against scipy.stats, enumeration, and calibration by Monte Carlo."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2, norm, ttest_ind

from compute.methods.collection_tests import (
    calibrated_harmonic,
    cauchy_combination,
    contrasts,
    harmonic_mean,
    permutation_p,
    welch_p,
)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_welch_against_scipy(rng):
    one, two = rng.standard_normal((6, 8)) * np.logspace(-120, 2, 8), rng.standard_normal((11, 8)) * 3 * np.logspace(-120, 2, 8)
    known = ttest_ind(one[:, 3:], two[:, 3:], equal_var=False).pvalue
    np.testing.assert_allclose(welch_p(one, two)[3:], known, rtol=1e-9)
    # What cannot vary is left out, and the faintest coordinate is as good as its multiple.
    one[:, 2] = two[:, 2] = 1.5
    left = welch_p(one, two)
    assert left.size == 7
    assert left[0] == pytest.approx(ttest_ind(one[:, 0] * 1e120, two[:, 0] * 1e120, equal_var=False).pvalue, rel=1e-9)


@pytest.mark.parametrize("p", [1e-12, 0.003, 0.05, 0.4, 0.8])
def test_equal_p_values_combine_to_themselves(p):
    same = np.full(50, p)
    assert cauchy_combination(same) == pytest.approx(p, rel=1e-9)
    assert harmonic_mean(same) == pytest.approx(p, rel=1e-12)


def test_cauchy_against_its_formula(rng):
    p = rng.uniform(0.001, 0.9, 40)
    known = 0.5 - np.arctan(np.mean(np.tan((0.5 - p) * np.pi))) / np.pi
    assert cauchy_combination(p) == pytest.approx(known, rel=1e-10)
    # A single p-value of 1 must not outweigh all others.
    assert cauchy_combination(np.append(np.full(99, 0.001), 1.0)) < 0.01
    assert cauchy_combination(np.empty(0)) == calibrated_harmonic(np.empty(0)) == 1.0


def test_combinations_of_independent_p_values_are_calibrated(rng):
    p = rng.random((3000, 100))
    for combine in (cauchy_combination, calibrated_harmonic):
        found = np.array([combine(row) for row in p])
        for level in (0.01, 0.05, 0.3):
            assert abs(np.mean(found <= level) - level) < 3.3 * np.sqrt(level * (1 - level) / 3000), (combine, level)
    raw = np.array([harmonic_mean(row) for row in p])
    assert np.mean(raw <= 0.05) > 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / 3000)  # why it is calibrated
    assert calibrated_harmonic(np.full(10, 1e-9)) == pytest.approx(1e-9, rel=1e-4)


def test_dependence_is_forgiven_by_cauchy(rng):
    """Equicorrelated normal coordinates: still near the level, where Fisher's combination is far from it."""
    z = 0.7 * rng.standard_normal((3000, 1)) + np.sqrt(0.51) * rng.standard_normal((3000, 60))
    p = 2 * norm.sf(np.abs(z))
    rate = np.mean([cauchy_combination(row) <= 0.01 for row in p])
    fisher = np.mean(chi2.sf(-2 * np.log(p).sum(axis=1), 120) <= 0.01)
    assert rate < 0.01 + 3.3 * np.sqrt(0.01 * 0.99 / 3000) and fisher > 0.05


def test_permutations_against_enumeration(rng):
    """All 126 ways to choose 4 of 9: the drawn permutations find their share."""
    vectors = rng.standard_normal((9, 3))
    vectors[:4, 0] += 1.2
    gram = vectors @ vectors.T
    every = []
    for chosen in combinations(range(9), 4):
        mine = np.isin(np.arange(9), chosen)
        every.append(np.sum((vectors[mine].mean(axis=0) - vectors[~mine].mean(axis=0)) ** 2))
    exact = np.mean(np.array(every) >= every[0] - 1e-12)
    weights = contrasts(4, 5, 20_000, rng)
    assert np.allclose(weights.sum(axis=1), 0)
    assert permutation_p(gram, weights) == pytest.approx(exact, abs=3.5 * np.sqrt(exact / 20_000))
    # Centering the vectors, or scaling them, changes nothing.
    shifted = 1e-20 * (vectors - vectors.mean(axis=0))
    assert permutation_p(shifted @ shifted.T, weights) == permutation_p(gram, weights)
    assert permutation_p(np.ones((9, 9)), weights) == 1.0
