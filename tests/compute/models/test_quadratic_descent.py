"""SGD on a quadratic: the closed form against its own recursion, a simulation and the limits it must have."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from compute.models.quadratic_descent import best_step_size, loss_surface, mean_loss, power_law_spectrum, simulate

EIGENVALUES = power_law_spectrum(1.2, 60)


def recursion(step_size, batch, steps):
    """E x_j^2 stepped one at a time."""
    second = np.ones(EIGENVALUES.size)
    for _ in range(steps):
        second = (1 - step_size * EIGENVALUES) ** 2 * second + step_size**2 * EIGENVALUES / batch
    return 0.5 * np.sum(EIGENVALUES * second)


@pytest.mark.parametrize("step_size", [0.03, 1.0, 1.9, 2.2])
def test_closed_form_is_the_recursion_also_beyond_the_edge(step_size):
    for steps in (0, 1, 7, 60):
        assert sum(mean_loss(EIGENVALUES, step_size, 4.0, steps)) == pytest.approx(recursion(step_size, 4.0, steps), rel=1e-11)


def test_surface_and_pointwise_agree():
    rates, batches, steps = np.array([0.1, 1.0, 1.5]), np.array([1.0, 8.0]), np.array([50.0, 3.0])
    surface = loss_surface(EIGENVALUES, rates, batches, steps)
    for i in range(2):
        for k in range(3):
            assert surface[i, k] == pytest.approx(sum(mean_loss(EIGENVALUES, rates[k], batches[i], steps[i])), rel=1e-12)


def test_long_runs_rest_on_the_noise_floor():
    start, noise = mean_loss(EIGENVALUES, 0.5, 3.0, 1e7)
    assert start < 1e-12
    assert noise == pytest.approx(0.5 * np.sum(EIGENVALUES * 0.5 / (3.0 * (2 - 0.5 * EIGENVALUES))))


def test_best_step_size_is_scipys():
    batch, steps = np.array([1.0, 16.0, 256.0]), np.array([500.0, 60.0, 8.0])
    rate, loss = best_step_size(EIGENVALUES, batch, steps, low=2e-3, high=1.99)
    for k in range(3):
        found = minimize_scalar(
            lambda x, k=k: sum(mean_loss(EIGENVALUES, np.exp(x), batch[k], steps[k])),
            bounds=(np.log(2e-3), np.log(1.99)),
            method="bounded",
            options={"xatol": 1e-8},
        )
        assert loss[k] == pytest.approx(found.fun, rel=1e-6)
        assert rate[k] == pytest.approx(np.exp(found.x), rel=2e-3)


def test_simulated_runs_have_the_exact_mean():
    rng = np.random.default_rng(5)
    record = np.array([1, 5, 20, 60])
    for step, losses in simulate(EIGENVALUES, 1.1, 2.0, record, 400, rng):
        error = losses.std(ddof=1) / np.sqrt(400)
        assert abs(losses.mean() - sum(mean_loss(EIGENVALUES, 1.1, 2.0, step))) < 4 * error
