"""Regression on repeated samples: exact curves against each other and against an independent simulation."""

import numpy as np
import pytest

from compute.models.repeated_regression import one_pass_curve, regression, repeat_sgd, truncated_curve


def plain_sgd(problem, n_kept, steps, decay, rng, n_runs):
    """Test errors of many one-pass runs at once, by NumPy and from the definition."""
    lam, w = problem.eigenvalue, problem.target
    eta = 0.5 / lam[:n_kept].sum()
    weight = np.zeros((n_runs, lam.size))
    out = []
    for t in range(steps[-1] + 1):
        if t in steps:
            out.append(problem.noise**2 + ((w - weight) ** 2) @ lam)
        x = np.sqrt(lam) * rng.standard_normal((n_runs, lam.size))
        y = x @ w + problem.noise * rng.standard_normal(n_runs)
        gradient = ((y - np.sum(weight * x, axis=1)) * eta)[:, None] * x
        gradient[:, n_kept:] = 0
        weight = (1 - decay) * weight + gradient
    return np.array(out)  # (n_steps, n_runs)


@pytest.mark.parametrize("n_kept,decay,noise", [(12, 0.0, 0.3), (5, 0.0, 0.2), (12, 0.02, 0.3)])
def test_exact_curves_against_simulation(n_kept, decay, noise):
    problem = regression(12, 1.3, noise)
    steps = [1, 5, 20, 80, 200]
    runs = plain_sgd(problem, n_kept, steps, decay, np.random.default_rng(3), 4000)
    mean, error = runs.mean(axis=1), runs.std(axis=1, ddof=1) / np.sqrt(4000)
    exact = (
        truncated_curve(problem, n_kept, np.array(steps, float))
        if decay == 0
        else one_pass_curve(problem, 200, decay)[np.array(steps)]
    )
    assert np.all(np.abs(mean - exact) < 4 * error)


def test_recursion_equals_the_spectral_solution():
    problem = regression(200, 1.3, 0.2)
    marks = np.arange(0, 3001, 100)
    np.testing.assert_allclose(one_pass_curve(problem, 3000)[marks], truncated_curve(problem, 200, marks.astype(float)), rtol=1e-11)


def test_target_has_unit_power():
    problem = regression(50, 1.7, 0.0)
    assert np.sum(problem.eigenvalue * problem.target**2) == pytest.approx(1)


def test_one_epoch_of_the_kernel_follows_the_exact_curve():
    problem = regression(30, 1.2, 0.3)
    marks = np.array([0, 1, 3, 10, 30, 100, 300, 600])
    exact = one_pass_curve(problem, 600)[marks]
    rng = np.random.default_rng(5)
    tests, gaps = [], np.zeros(2)
    for _ in range(1500):
        test, _, gap, square = repeat_sgd(problem, 601, marks, rng)
        tests.append(test)
        gaps += gap, square
    error = np.std(tests, axis=0, ddof=1) / np.sqrt(1500)
    assert np.all(np.abs(np.mean(tests, axis=0) - exact) <= 4 * error + 1e-12)
    # Before its update, the next sample has the test error in mean: nothing is over-fitted in one epoch.
    n = 1500 * marks.size
    assert abs(gaps[0] / n) < 4 * np.sqrt(gaps[1] / n / n)


def test_repeating_solves_the_samples_and_stops_learning():
    problem = regression(60, 1.2, 0.0)
    marks = np.array([30, 300, 60_000, 120_000])
    test, train, _, _ = repeat_sgd(problem, 20, marks, np.random.default_rng(1))
    assert train[-1] < 1e-9 < test[-1]  # 20 samples are interpolated, 60 weights are not told by them
    assert test[-1] == pytest.approx(test[-2], rel=1e-3)


def test_interpolant_is_the_minimum_norm_solution():
    """SGD from zero stays in the span of its samples, so that it ends at the least-norm interpolant."""
    problem = regression(15, 1.2, 0.4)
    rng = np.random.default_rng(8)
    test, _, _, _ = repeat_sgd(problem, 6, np.array([400_000]), rng)
    again = np.random.default_rng(8)
    x, y = np.empty((6, 15)), np.empty(6)
    for i in range(6):  # the kernel's order of draws
        y[i] = 0.4 * again.standard_normal()
        x[i] = np.sqrt(problem.eigenvalue) * again.standard_normal(15)
        y[i] += x[i] @ problem.target
    least = np.linalg.pinv(x) @ y
    assert test[0] == pytest.approx(0.16 + np.sum(problem.eigenvalue * (problem.target - least) ** 2), rel=1e-6)
