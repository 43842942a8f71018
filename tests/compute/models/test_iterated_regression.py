"""Iterated least squares against pseudo-inverses of drawn matrices, its own chains, and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from compute.models import iterated_regression as ir


@pytest.mark.parametrize("d,T,s", [(20, 26, 23), (10, 14, 5), (20, 14, 9), (8, 5, 4)])
def test_mixing_gain_is_the_mean_over_drawn_designs(d, T, s):
    rng = np.random.default_rng(d + T + s)
    draws = 4000
    x = rng.standard_normal((draws, T, d))
    kept = np.linalg.pinv(x)[:, :, :s] @ x[:, :s]
    gain = np.sum(kept**2, axis=(1, 2)) / d
    assert abs(gain.mean() - ir.mixing_gain(d, T, s)) < 4 * gain.std() / np.sqrt(draws)


def test_mixing_gain_at_known_points():
    assert ir.mixing_gain(20, 26, 23) == pytest.approx(1.1788, abs=1e-4)
    assert ir.mixing_gain(20, 26, 26) == pytest.approx(1, rel=1e-12)
    assert ir.mixing_gain(20, 26, 0) == 0
    assert ir.mixing_gain(20, 12, 12) == pytest.approx(12 / 20)
    assert np.all(np.isnan(ir.mixing_gain(20, np.array([19, 20, 21]), 5)))


def test_mixing_gain_approaches_its_limit():
    r, p, d = 0.8, 0.3, 10**6
    limit = (1 - p) * (1 - p - r + 2 * p * r) / (1 - r)
    assert ir.mixing_gain(d, d / r, (1 - p) * d / r) == pytest.approx(limit, rel=1e-4)


def test_boundary_is_where_the_gain_is_one():
    for T in (16.0, 18.0, 22.0, 26.0, 28.0):
        low, high = ir.critical_real_fraction(20, T)
        assert ir.mixing_gain(20, T, (1 - high) * T) == pytest.approx(1, rel=1e-9)
        assert ir.mixing_gain(20, T, (1 - low) * T) == pytest.approx(1, rel=1e-9)
        assert ir.mixing_gain(20, T, (1 - (low + high) / 2) * T) > 1
        assert ir.mixing_gain(20, T, (1 - (1 + high) / 2) * T) < 1
    assert np.isnan(ir.critical_real_fraction(20, 40.0)[1])
    exact = ir.critical_real_fraction(1e6, np.array([0.9e6, 1.2e6]))
    limit = ir.critical_real_fraction_limit(np.array([0.9, 1.2]))
    assert np.allclose(exact, limit, atol=1e-4)
    assert limit[1][1] == pytest.approx((3 / 1.2 - 2) / (2 / 1.2 - 1))


@pytest.mark.parametrize("policy", ["replace", "accumulate", "mix"])
def test_chains_follow_their_exact_errors(policy):
    g = np.array([1, 4, 8])
    errors = ir.simulate_chains(np.random.default_rng(7), policy, 2000, 10, 30, 6, 1.0, 1e-9, 8)[g - 1]
    exact = {
        "replace": ir.mixed_error(10, 30, 30, 1.0, g),
        "accumulate": ir.accumulated_error(10, 30, 1.0, g),
        "mix": ir.mixed_error(10, 30, 24, 1.0, g),
    }[policy]
    assert np.all(np.abs(errors.mean(axis=1) - exact) < 3.5 * errors.std(axis=1) / np.sqrt(2000))
    if policy == "replace":
        assert exact == pytest.approx(g * 10 / 19)
    if policy == "accumulate":
        assert exact[-1] == pytest.approx(0.730, abs=1e-3)


@pytest.mark.parametrize("policy,real", [("replace", 0), ("mix", 4)])
def test_chains_with_fewer_rows_than_dimensions(policy, real):
    errors = ir.simulate_chains(np.random.default_rng(3), policy, 2000, 20, 12, real, 0.5, 1e-9, 6)
    exact = ir.mixed_error(20, 12, 12 - real, 0.5, np.arange(1, 7))
    assert np.all(np.abs(errors.mean(axis=1) - exact) < 3.5 * errors.std(axis=1) / np.sqrt(2000))
    # Minimum-norm chains lose every direction in the end: |w0|^2 (1 - eta^g) and the noise.
    eta = 12 / 20
    assert ir.mixed_error(20, 12, 12, 0.5, 6) == pytest.approx((1 - eta**6) * (1 + 0.25 * 12 / 7 / (1 - eta)))


def test_accumulated_error_stays_below_its_bound():
    for T in (12, 15, 40, 1000):
        errors = ir.accumulated_error(10, T, 1.0, np.arange(1001))
        assert np.all(np.diff(errors) > 0) and errors[-1] < 10 / (T - 11) * np.pi**2 / 6


def test_replacing_with_a_ridge_agrees_with_chains():
    g = np.array([1, 3, 10])
    errors = ir.simulate_chains(np.random.default_rng(1), "replace", 60, 80, 100, 0, 0.5, 0.2, 10)[g - 1]
    exact = ir.replaced_ridge_error(1.25, 0.5, 0.2, g)
    assert np.all(np.abs(errors.mean(axis=1) - exact) < 4 * errors.std(axis=1) / np.sqrt(60) + 2 / 80 * exact)
    # A vanishing ridge is least squares.
    assert ir.replaced_ridge_error(3.0, 0.5, 1e-10, g) == pytest.approx(g * 0.25 / 2, rel=1e-6)


def test_wishart_draws_have_the_mean_inverse_of_a_wishart():
    for rows, expected in ((9, 1 / (9 - 4 - 1)), (30, 1 / 25)):
        gram, factor = ir.draw_wishart(np.random.default_rng(0), 4000, 4, rows)
        assert np.allclose(gram, factor @ factor.transpose(0, 2, 1))
        inverse = np.trace(np.linalg.inv(gram), axis1=1, axis2=2) / 4
        assert abs(inverse.mean() - expected) < 4 * inverse.std() / np.sqrt(4000)


def test_last_fit_on_clean_labels_is_scikit_learns_ridge():
    d, ridge, rng = 60, 0.02, np.random.default_rng(5)
    fit = ir.LastFit(np.arange(1.0, d + 1) ** -1.2, 300, 0.5)
    truth = np.full(d, np.sqrt(fit.signal))
    for rows in (40, 150):
        errors = []
        for _ in range(150):
            x = rng.standard_normal((rows, d)) * np.sqrt(fit.eigenvalue)
            model = Ridge(alpha=rows * ridge, fit_intercept=False).fit(x, x @ truth + 0.5 * rng.standard_normal(rows))
            errors.append(fit.eigenvalue @ (model.coef_ - truth) ** 2)
        # The deterministic equivalent is off by a relative O(1/d).
        exact = fit.error(rows, ridge, 0)
        assert abs(np.mean(errors) - exact) < 3.5 * np.std(errors) / np.sqrt(150) + exact / d


def test_last_fit_on_old_labels():
    fit = ir.LastFit(np.arange(1.0, 101) ** -1.2, 300, 0.5)
    assert fit.error(np.array([80, 200]), 0.02, 4) == pytest.approx([0.3571, 0.2661], abs=1e-4)
    *_, (_, mean, error) = ir.simulate_last_fit(2, 200, fit, np.array([80.0, 200.0]), 0.02, np.array([0, 4]))
    exact = fit.error(np.array([80, 200]), 0.02, np.array([[0], [4]]))
    assert np.all(np.abs(mean - exact) < 3.5 * error + 0.01 * exact)
    # Isotropic, no ridge, endless rows: only the drift is left, g sigma^2 d/(T0 - d - 1).
    flat = ir.LastFit(np.ones(20), 60, 1.0)
    assert flat.error(1e10, 1e-9, 5) == pytest.approx(5 * 20 / 39, rel=1e-6)
    assert flat.error(50.0, 1e-12, 5) == pytest.approx(5 * 20 / 39 + 20 / 30, rel=1e-6)


def test_best_ridge_of_clean_isotropic_labels_is_the_bayes_one():
    fit = ir.LastFit(np.ones(20), 60, 0.7)
    rows = np.array([10.0, 40.0, 1000.0])
    best, error = fit.best_ridge(rows, 0)
    # |w|^2 = 1 over d directions: the posterior mean has ridge sigma^2 d/T.
    assert best == pytest.approx(0.49 * 20 / rows, rel=0.03)
    assert np.all(error <= fit.error(rows, 0.49 * 20 / rows, 0) * (1 + 1e-4))
