"""The small-runs lab: exact learners, planted laws, and the linear theory of a choice against its simulation."""

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.optimize import curve_fit
from scipy.special import zeta

from compute.models.eigenframework import ridge_risk
from compute.models.spectra import power_law_modes
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.small_runs import best_model_size, choose_model, extrapolate_runs, live_learner
from compute.scaling_laws.small_runs.learners import nearest_neighbor_error, truncated_excess
from compute.scaling_laws.small_runs.planted import (
    PURE,
    RUNS,
    TEMPLATE,
    WITH_FLOOR,
    curve,
    draw_runs,
    fit,
    planted_error,
    robust_z,
)
from compute.scaling_laws.small_runs.selection import gradient, right_choice


def test_mean_has_exponent_one():
    found = live_learner(learner="mean", n_trials=200, largest_samples=1024)
    assert np.all(np.abs(found.simulated - 1 / found.n) < 4 * found.standard_error)
    slopes = [live_learner(learner="mean", n_trials=200, largest_samples=1024, seed=s).pure_exponent for s in range(8)]
    assert abs(np.mean(slopes) - 1) < 4 * np.std(slopes, ddof=1) / np.sqrt(8)


def test_nearest_neighbor_on_the_circle():
    for m in (2, 5, 20, 300):
        known = quad(lambda r, m=m: 2 * m * (1 - 2 * r) ** (m - 1) * (1 - np.cos(2 * np.pi * r)), 0, 0.5, epsabs=1e-13)[0]
        assert nearest_neighbor_error(np.array([m]))[0] == pytest.approx(known, rel=1e-6)
    assert nearest_neighbor_error(np.array([20]))[0] == pytest.approx(0.020987, abs=5e-7)
    assert nearest_neighbor_error(np.array([1e6]))[0] * 1e12 == pytest.approx(np.pi**2, rel=1e-4)
    for noise in (0.0, 0.2):
        found = live_learner(learner="nearest_neighbor", n_trials=200, largest_samples=256, label_noise=noise)
        exact = nearest_neighbor_error(found.n, noise)
        assert np.all(np.abs(found.simulated - exact) < 4 * found.standard_error)


@pytest.mark.parametrize("p,q", [(1.5, 2.0), (2.0, 1.5)])
def test_kernel_regression(p, q):
    found = live_learner(spectrum_exponent=p, target_exponent=q, n_trials=60, largest_samples=64)
    assert found.distance < 2.5  # six sizes that share their data
    n = np.array([1e3, 1e4])
    level = ridge_risk(power_law_modes(p, q), n, np.inf, 1e-12, 0.0).test
    assert -np.diff(np.log(level))[0] / np.log(10) == pytest.approx(min(q - 1, 2 * p), abs=0.1)


def test_truncated_regression_is_exact():
    found = best_model_size(n_trials=200, label_noise=0.3)
    exact = truncated_excess(np.array(100.0), found.simulated_k, 2.0, 0.3)
    assert np.all(np.abs(found.simulated - exact) < 4 * found.standard_error)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert best_model_size(label_noise=0.0, target_exponent=3.0).slope == pytest.approx(1.0, abs=0.01)
    # n (q - 1)/q without noise, as n grows.
    clean = best_model_size(label_noise=0.0, target_exponent=3.0)
    assert clean.best[-1] / clean.n[-1] == pytest.approx(2 / 3, rel=0.02)
    tail = np.sum(np.arange(6, 200_000) ** -2.0) / zeta(2)
    assert truncated_excess(np.array(50.0), np.array(5.0), 2.0, 0.0) == pytest.approx(tail * 49 / 44, rel=1e-4)


def sizes_of(seeds=3):
    return np.repeat(np.geomspace(1e4, 1e7, 7), seeds)


def test_noise_free_law_is_recovered():
    size = sizes_of(1)
    for b, c in ((0.15, 0.2), (0.4, 0.05)):
        error, _ = draw_runs(size, b, c, 0.0, 0.0, np.random.default_rng(0))
        best = fit(WITH_FLOOR, size, error)
        assert best.exponents[0] == pytest.approx(b, rel=1e-6)
        assert np.exp(best.log_coefficients[0]) == pytest.approx(c, rel=1e-6)
    error, _ = draw_runs(size, 0.3, 0.0, 0.0, 0.0, np.random.default_rng(0))
    pure = fit(PURE, size, error)
    assert pure.exponents[0] == pytest.approx(0.3, rel=1e-8)
    np.testing.assert_allclose(curve(pure, pure.parameters, size)[0], error, rtol=1e-8)


def test_straight_fit_is_too_optimistic_beyond_the_range():
    size, far = sizes_of(1), np.geomspace(2e7, 1e11, 9)
    for b in (0.05, 0.15, 0.4):
        for c in (0.05, 0.5):
            error, _ = draw_runs(size, b, c, 0.0, 0.0, np.random.default_rng(0))
            pure = fit(PURE, size, error)
            assert np.all(curve(pure, pure.parameters, far)[0] < planted_error(far, b, c))


def test_fit_agrees_with_curve_fit():
    size = sizes_of(3)
    error, _ = draw_runs(size, 0.2, 0.2, 0.003, 0.0, np.random.default_rng(2))  # all residuals within the Huber threshold
    known, _ = curve_fit(
        lambda x, c, a, b: np.log(c + a * np.exp(-b * (x - np.log(1e4)))), np.log(size), np.log(error), p0=[0.2, 0.4, 0.2]
    )
    best = fit(WITH_FLOOR, size, error)
    assert best.exponents[0] == pytest.approx(known[2], rel=1e-4)
    assert np.exp(best.log_coefficients[0]) == pytest.approx(known[0], rel=1e-4)


def test_bands_hold_the_truth():
    inside = []
    for s in range(60):
        found = extrapolate_runs(seed=s, seeds_per_size=6, extrapolation_factor=10, seed_noise=0.005)
        _, low, high = found.predicted
        inside.append(low <= found.true_error <= high)
    # Percentile bootstraps of 42 runs hold a little less than they say.
    assert np.mean(inside) > 0.95 - 0.04 - 4 * np.sqrt(0.95 * 0.05 / 60)


def test_flags():
    rng = np.random.default_rng(3)
    assert np.mean(robust_z(rng.standard_normal(20_000), 3) > 3.5) == pytest.approx(2.3e-4, abs=4.5e-4)
    found = extrapolate_runs(mistuned_share=0.2, seeds_per_size=10, seed_noise=0.002)
    flagged = found.z > 3.5
    assert np.sum(flagged & found.mistuned) > 0.6 * found.mistuned.sum()  # a lag of 0.1|z| is 3.5 sigma or more in nine of ten
    assert np.sum(flagged & ~found.mistuned) <= 2


def test_choice_theory_against_simulation():
    """At small noise, 600 pairs of studies: a probability of 0.8 is known to 0.016."""
    size, target = sizes_of(3), np.array([1e8])
    for form, name, floor in ((WITH_FLOOR, "with_floor", 0.2), (PURE, "pure", 0.0)):
        gap, noise = (0.004, 0.002) if form is PURE else (0.004, 0.001)
        p = right_choice(size, target, 0.2, floor, name, noise, gap)[0]
        assert 0.6 < p < 0.999
        right = 0
        rng = np.random.default_rng(6)
        truth = [np.log(floor or 1.0), 0.2 * np.log(100), 0.2]
        start = np.array(truth if form is WITH_FLOOR else truth[1:])
        for _ in range(600):
            first, second = (
                fit(form, size, lift * draw_runs(size, 0.2, floor, noise, 0.0, rng)[0], start).log_prediction(target[:, None])[0]
                for lift in (1.0, np.exp(gap))
            )
            right += second > first
        assert abs(right / 600 - p) < 4 * np.sqrt(p * (1 - p) / 600) + 0.005


def test_gradient_against_differences():
    size = np.array([1e5, 1e9])
    for c in (0.2, 1.0):
        found = gradient(size, 0.15, c, "with_floor")
        base = np.array([np.log(c), 0.15 * np.log(100), 0.15])
        for k in range(3):
            step = np.eye(3)[k] * 1e-6
            up, down = (np.log(np.exp(v[0]) + np.exp(v[1]) * size ** -v[2]) for v in (base + step, base - step))
            np.testing.assert_allclose(found[:, k], (up - down) / 2e-6, rtol=1e-6)


def test_map_of_choices():
    found = choose_model(n_studies=40)
    assert np.all(np.diff(found.theory, axis=1) <= 1e-12)  # noise never helps
    assert found.by_largest[0] > 0.999 and found.distance < 3
    assert choose_model(gap=0.0).theory == pytest.approx(0.5)


def test_uploads():
    table, problems = read_table("runs", TEMPLATE.encode(), RUNS)
    assert not problems
    found = extrapolate_runs(runs=table)
    assert found.truth is None and np.isfinite(found.predicted).all()
    assert found.z[7] > 3.5  # the run of the template that did not converge
    with pytest.raises(ParameterError, match="three sizes"):
        extrapolate_runs(runs=table.filter(pl.col("size") < 5e4))
