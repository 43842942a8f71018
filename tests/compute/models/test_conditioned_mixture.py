"""Conditioning against one normal law by hand, and against importance weighting."""

import numpy as np
import pytest

from compute.models.conditioned_mixture import condition


def test_one_component_is_the_linear_gaussian_formula():
    covariance = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.2], [0.1, -0.2, 0.5]])
    mean, h, r, y = np.array([[0.5, -1.0, 0.2]]), np.array([[1.0, 1.0, 1.0]]), np.array([[0.3]]), np.array([[2.0]])
    weights, means, left = condition(np.ones(1), mean, covariance, h, r, y)
    precision = np.linalg.inv(covariance) + h.T @ h / 0.3
    expected = np.linalg.solve(precision, np.linalg.solve(covariance, mean[0]) + h[0] * 2.0 / 0.3)
    assert left == pytest.approx(np.linalg.inv(precision), abs=1e-12)
    assert means[0, 0] == pytest.approx(expected, abs=1e-12) and weights[0, 0] == 1.0


def test_mixture_agrees_with_importance_weights():
    rng = np.random.default_rng(0)
    weights, means = np.array([0.2, 0.5, 0.3]), np.array([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.5]])
    covariance = np.array([[0.4, 0.1], [0.1, 0.3]])
    n = 200_000
    x = means[rng.choice(3, n, p=weights)] + rng.standard_normal((n, 2)) @ np.linalg.cholesky(covariance).T
    h, r, y = np.array([[1.0, -0.5]]), np.array([[0.5]]), np.array([[0.7]])
    like = np.exp(-0.5 * (y[0, 0] - x @ h[0]) ** 2 / 0.5)
    posterior_weights, posterior_means, _ = condition(weights, means, covariance, h, r, y)
    mean = posterior_weights[0] @ posterior_means[0]
    effective = like.sum() ** 2 / (like**2).sum()
    found = like @ x / like.sum()
    spread = np.sqrt(like @ (x - found) ** 2 / like.sum() / effective)
    assert np.all(np.abs(mean - found) < 4 * spread)
    # Without noise the observation holds exactly.
    _, exact, left = condition(weights, means, covariance, h, np.zeros((1, 1)), y)
    assert exact[0] @ h[0] == pytest.approx(np.full(3, 0.7), abs=1e-12) and h[0] @ left @ h[0] == pytest.approx(0, abs=1e-12)
