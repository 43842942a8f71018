"""Gradient flow of a linear student against closed limits, ridge regression and Euler steps."""

import numpy as np
import pytest

from compute.models import linear_student as student


@pytest.mark.parametrize("aspect,init_ratio", [(0.3, 1.0), (0.8, 0.0), (1.5, 0.4), (4.0, 2.0)])
def test_late_error_is_the_closed_limit(aspect, init_ratio):
    noise = 0.2
    late = float(student.generalization_error(aspect, 1e6, noise, init_ratio))
    frozen = max(1 - aspect, 0) * (1 + init_ratio)
    exact = frozen + noise * (1 / (aspect - 1) if aspect > 1 else aspect / (1 - aspect)) + noise
    assert late == pytest.approx(exact, rel=1e-6)
    assert student.limiting_error(aspect, noise, init_ratio) == pytest.approx(exact, rel=1e-12)


def test_start_is_the_error_of_the_initial_weights():
    assert student.generalization_error(0.6, 0.0, 0.2, 0.3) == pytest.approx(1.3 + 0.2)
    assert student.training_error(2.5, 0.0, 0.2, 0.3) == pytest.approx(1.3 + 0.2)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_simulation_follows_theory(aspect):
    time = np.array([0.3, 1.0, 5.0, 40.0])
    *_, (_, mean, error) = student.simulate_many(1, 100, 120, aspect, time, 0.2, 0.3)
    exact = (student.generalization_error(aspect, time, 0.2, 0.3), student.training_error(aspect, time, 0.2, 0.3))
    # At 120 parameters the mean is off the limit by a relative O(1/N).
    assert np.all(np.abs(mean - exact) < 4 * error + 3 / 120 * np.array(exact))


def test_reference_point():
    assert student.generalization_error(0.6, 1.0, 0.2, 0.3) == pytest.approx(0.985, abs=5e-4)


def test_exact_flow_is_the_limit_of_gradient_descent():
    n, aspect, noise, init_ratio = 30, 1.4, 0.3, 0.5
    test, train = student.simulate(np.random.default_rng(4), n, aspect, np.array([2.0]), noise, init_ratio)
    # The same draws, in the same order, stepped by hand.
    rng = np.random.default_rng(4)
    inputs = rng.standard_normal((n, 42)) / np.sqrt(n)
    teacher = rng.standard_normal(n)
    weights = np.sqrt(init_ratio) * rng.standard_normal(n)
    labels = teacher @ inputs + np.sqrt(noise) * rng.standard_normal(42)
    steps = 20_000
    for _ in range(steps):
        weights = weights + 2.0 / steps * (inputs @ (labels - weights @ inputs))
    assert test[0] == pytest.approx(np.mean((teacher - weights) ** 2) + noise, rel=1e-3)
    assert train[0] == pytest.approx(np.mean((labels - weights @ inputs) ** 2), rel=1e-3)


@pytest.mark.parametrize("noise", [0.01, 0.2, 2.0])
def test_best_ridge_is_never_worse_than_the_best_stop(noise):
    for aspect in (0.1, 0.5, 0.97, 1.0, 1.3, 10.0):
        levels = student.levels(aspect, noise, 0.0)
        assert levels.best_ridge <= levels.stop_error * (1 + 1e-12)
        assert levels.stop_error <= levels.limit


def test_best_ridge_error_agrees_with_ridge_regression_on_drawn_data():
    n, noise, rng = 200, 0.2, np.random.default_rng(2)
    errors = []
    for _ in range(60):
        inputs = rng.standard_normal((n, 160)) / np.sqrt(n)
        teacher = rng.standard_normal(n)
        labels = teacher @ inputs + np.sqrt(noise) * rng.standard_normal(160)
        fit = np.linalg.solve(inputs @ inputs.T + noise * np.eye(n), inputs @ labels)
        errors.append(np.mean((fit - teacher) ** 2) + noise)
    assert abs(np.mean(errors) - student.best_ridge_error(0.8, noise)) < 4 * np.std(errors) / np.sqrt(60)


def test_without_noise_nothing_is_gained_by_stopping():
    time, error = student.optimal_stopping(1.5, 0.0, 0.0)
    assert np.isinf(time) and error == 0
    assert sum(student.learned_mass(0.3, 7.0)) == pytest.approx(1)
