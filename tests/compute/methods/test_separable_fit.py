"""Variable projection against SciPy on all parameters, alone and in batches."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from compute.methods.separable_fit import fit_separable

T = np.linspace(0.0, 4.0, 60)
TRUE = (2.0, -1.0, 0.5, 1.7)  # two amplitudes, two rates


def basis(theta):
    phi = np.exp(-theta[:, None, :] * T[None, :, None])
    slopes = np.zeros((2, len(theta), T.size, 2))
    for k in range(2):
        slopes[k, :, :, k] = -T * phi[:, :, k]
    return phi, slopes


def signal(p):
    return p[0] * np.exp(-p[2] * T) + p[1] * np.exp(-p[3] * T)


def test_recovers_a_noise_free_signal():
    found = fit_separable(basis, signal(TRUE), np.ones(T.size), (0.3, 3.0), (0.01, 0.01), (10.0, 10.0))
    assert [*found.linear[0], *found.nonlinear[0]] == pytest.approx(TRUE, rel=1e-6)


def test_agrees_with_scipy_on_every_weighting():
    rng = np.random.default_rng(0)
    y = signal(TRUE) + 0.01 * rng.standard_normal(T.size)
    weights = rng.multinomial(T.size, np.full(T.size, 1 / T.size), size=5).astype(float)
    found = fit_separable(basis, y, weights, (0.3, 3.0), (0.01, 0.01), (10.0, 10.0))
    for k, w in enumerate(weights):
        known = least_squares(lambda p, w=w: np.sqrt(w) * (signal(p) - y), TRUE, xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert found.objective[k] == pytest.approx(2 * known.cost, rel=1e-8)
        assert [*found.linear[k], *found.nonlinear[k]] == pytest.approx(known.x, rel=1e-3)


def test_stays_in_its_box_and_is_best_there():
    y = signal(TRUE)
    found = fit_separable(basis, y, np.ones(T.size), (0.8, 3.0), (0.7, 0.7), (10.0, 10.0))
    assert found.nonlinear.min() == pytest.approx(0.7)
    # On the edge the other rate is free: a fine scan finds nothing better.
    grid = np.linspace(0.71, 9.9, 400)
    scan = np.stack([np.full(grid.size, 0.7), grid], axis=1)
    phi, _ = basis(scan)
    residual = [np.linalg.lstsq(p, y, rcond=None)[1] for p in phi]
    assert found.objective[0] <= min(r[0] for r in residual if r.size) * (1 + 1e-9)
