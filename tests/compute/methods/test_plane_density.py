"""Quadrature in the plane against Gaussian mixtures, whose masses and moments are exact."""

import numpy as np
import pytest

from compute.methods.distance_to_target import Target
from compute.methods.plane_density import PlaneDensity
from compute.models.gaussian_mixture import GaussianMixture

MIXTURE = GaussianMixture(np.array([0.2, 0.5, 0.3]), np.array([[-2.0, 0.5], [1.5, 1.8], [1.0, -2.0]]), 0.3)


def test_moments_modes_and_masses_of_a_mixture():
    exact = PlaneDensity(lambda x: MIXTURE.log_density(x) + 123.0, 4.5)
    assert exact.mean == pytest.approx(MIXTURE.mean, abs=1e-9)
    assert exact.covariance == pytest.approx(MIXTURE.covariance, rel=1e-6, abs=1e-6)
    order = [1, 2, 0]  # the highest first
    assert exact.centers == pytest.approx(MIXTURE.means[order], abs=4.5 / 128)
    assert exact.exact_masses == pytest.approx(MIXTURE.weights[order], abs=1e-4)


def test_w1_agrees_with_the_exact_projected_mixture():
    exact = PlaneDensity(MIXTURE.log_density, 4.5)
    n = 1000
    target = Target(MIXTURE, n)
    for shift in (0.0, 0.3, 1.0):
        x = MIXTURE.sample(np.random.default_rng(0), n) + shift
        assert exact.w1(x, np.full(n, 1 / n)) == pytest.approx(target.w1(x), abs=0.004)
    # Weights count as copies.
    x = MIXTURE.sample(np.random.default_rng(1), 50)
    copies = np.random.default_rng(2).integers(1, 5, 50)
    repeated = np.repeat(x, copies, axis=0)
    uniform = np.full(len(repeated), 1 / len(repeated))
    assert exact.w1(x, copies / copies.sum()) == pytest.approx(exact.w1(repeated, uniform), abs=1e-12)


def test_samples_are_of_the_density():
    exact = PlaneDensity(MIXTURE.log_density, 4.5)
    x = exact.sample(np.random.default_rng(3), 20_000)
    assert np.all(np.abs(x.mean(axis=0) - MIXTURE.mean) < 4 * np.sqrt(np.diag(MIXTURE.covariance) / len(x)))
    masses = exact.masses(x, np.full(len(x), 1 / len(x)))
    assert np.all(np.abs(masses - exact.exact_masses) < 4 * np.sqrt(exact.exact_masses / len(x)))
