"""Densities of diffusions against the Ornstein-Uhlenbeck process, whose law is known."""

import numpy as np
import pytest
from scipy.stats import norm

from compute.methods.fokker_planck import fokker_planck


@pytest.mark.parametrize("eps", [0.05, 0.5])
def test_ornstein_uhlenbeck(eps):
    """dX = -X dt + sqrt(2 eps) dW from N(1, 0.3^2): mean e^-t, variance eps + (0.09 - eps) e^-2t."""
    mean, variance = np.exp(-1), eps + (0.09 - eps) * np.exp(-2)
    errors = []
    for n, n_steps in ((400, 200), (800, 800)):
        edges = np.linspace(-5, 5, n + 1)
        walls = edges[1:-1]
        start = np.diff(norm.cdf(edges, 1, 0.3)) / np.diff(edges)
        drift = np.tile(-walls, (n_steps, 1))
        found = fokker_planck(start, drift, 0 * drift, np.ones_like(drift), np.array([eps]), edges, 1 / n_steps)[0]
        assert found.min() >= 0 and abs(found @ np.diff(edges) - 1) < 1e-10
        errors.append(np.abs(found - np.diff(norm.cdf(edges, mean, np.sqrt(variance))) / np.diff(edges)).sum() * 10 / n)
    assert errors[0] < 0.03 and errors[1] < 0.6 * errors[0]


def test_stationary_law_stays_on_an_uneven_grid():
    """Ratio coordinates: D any, drift zero leaves a constant alone; a correction alone leaves exp(int C/D)."""
    edges = np.linspace(0, 1, 61) ** 1.5
    ones = np.ones((50, 59))
    assert np.allclose(fokker_planck(np.ones(60), 0 * ones, 0 * ones, ones, np.array([0.3]), edges, 0.1), 1, atol=1e-12)
    found = fokker_planck(np.ones(60), 0 * ones, 2 * ones, ones, np.array([3.0]), edges, 1.0)[0]
    middle = 0.5 * (edges[1:] + edges[:-1])
    assert np.ptp(np.log(found) - 2 * middle) < 1e-8
