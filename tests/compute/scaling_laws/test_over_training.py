"""The over-training lab: its intervals cover, its linear theory agrees with its simulation, its fits with SciPy's."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import curve_fit

from compute.models import over_training as ot
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.over_training import downstream_error, extrapolate_loss, lifetime_cost, prediction_error
from compute.scaling_laws.over_training.accuracy import gradient, linear_error, true_parameters
from compute.scaling_laws.over_training.study import (
    RUNS,
    TEMPLATE,
    as_over_training,
    draw_runs,
    fit_error,
    fit_loss,
    plan,
    predict,
    resample_loss,
)

LAW, ERRORS = ot.PUBLISHED["redpajama"], ot.PUBLISHED_ERRORS["redpajama"]


def test_intervals_of_a_planted_study_are_right():
    """24 runs predict C = 1e22, M = 320: error over bootstrap standard error has deviation 1."""
    compute, multiplier = plan(2.5e20, 6, "grid")
    here = np.array([1e22]), np.array(320.0)
    z, covered = [], []
    for s in range(100):
        rng = np.random.default_rng([7, s])
        runs = draw_runs(LAW, ERRORS, compute, multiplier, 0.003, 0.0, rng)
        fit = fit_loss(runs, False)
        found = np.log(resample_loss(runs, fit, 60, 0.003, rng).refit_losses(*here)[:, 0])
        off = np.log(predict(fit, *here)[0] / ot.loss(LAW, 1e22, 320.0))
        z.append(off / found.std(ddof=1))
        covered.append(abs(off) < 1.96 * found.std(ddof=1))
    assert np.std(z) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(z)) < 0.4  # four standard errors
    assert np.mean(covered) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 100)


@pytest.mark.parametrize("free", [False, True])
def test_noise_free_runs_return_the_truth(free):
    runs = draw_runs(LAW, ERRORS, *plan(2.5e19, 4, "grid"), 0.0, 0.0, np.random.default_rng(0))
    fit = fit_loss(runs, free)
    np.testing.assert_allclose(fit.parameters, true_parameters(LAW, free), rtol=1e-4)
    if not free:
        assert as_over_training(fit) == pytest.approx(LAW, rel=1e-3)
    assert extrapolate_loss(seed_noise=0.0).headline()["error, %"] == pytest.approx(0, abs=1e-3)


def test_start_at_the_truth_finds_the_same_minimum_as_many_starts():
    for s in range(20):
        runs = draw_runs(LAW, ERRORS, *plan(2.5e19, 4, "grid"), 0.003, 0.0, np.random.default_rng(s))
        one, many = fit_loss(runs, False, true_parameters(LAW, False)), fit_loss(runs, False)
        assert one.objective <= many.objective * (1 + 1e-6)


def test_gradient_against_differences():
    c, m = np.array([1e18, 3e20]), np.array([20.0, 320.0])
    runs = draw_runs(LAW, ERRORS, *plan(2.5e19, 4, "grid"), 0.0, 0.0, np.random.default_rng(0))
    for free in (False, True):
        fit = fit_loss(runs, free)
        p = true_parameters(LAW, free)
        for k in range(p.size):
            step = np.zeros(p.size)
            step[k] = 1e-6
            up, down = (predict(type(fit)(fit.form, p + s, 0.0, 0, True), c, m) for s in (step, -step))
            np.testing.assert_allclose(gradient(LAW, c, m, free)[:, k], np.log(up / down) / 2e-6, rtol=1e-5, atol=1e-9)


def test_linear_theory_against_simulation():
    """Large cutoff, small noise, where the law is linear in its constants; 400 studies tell a deviation to 3.5%."""
    runs = plan(1e21, 6, "grid")
    target = np.array([1e21, 1e22, 1e23]), np.array(640.0)
    off = []
    for s in range(400):
        seen = draw_runs(LAW, ERRORS, *runs, 1e-3, 0.0, np.random.default_rng([3, s]))
        off.append(np.log(predict(fit_loss(seen, False, true_parameters(LAW, False)), *target) / ot.loss(LAW, *target)))
    np.testing.assert_allclose(np.std(off, axis=0), linear_error(LAW, runs, target, 1e-3), rtol=0.15)


def test_map_is_worse_further_out_and_with_five_runs():
    grid, five = prediction_error(n_studies=20), prediction_error(n_studies=20, design="five_runs")
    assert np.all(np.diff(grid.theory[np.searchsorted(grid.compute, 1e20) :, 4]) > 0)
    assert np.median(five.theory / grid.theory) > 1.5
    assert grid.distance < 3


def test_error_law_against_curve_fit():
    rng = np.random.default_rng(2)
    level = rng.uniform(2.3, 5.5, 40)
    err = ot.error(ERRORS, level) + 0.003 * rng.standard_normal(40)
    known, _ = curve_fit(lambda x, eps, k, gamma: eps - k * np.exp(-gamma * x), level, err, p0=ERRORS, maxfev=20000)
    law = fit_error(level, err).law
    assert law is not None
    assert tuple(law) == pytest.approx(tuple(known), rel=1e-3)
    exact = fit_error(level, ot.error(ERRORS, level)).law
    assert tuple(exact) == pytest.approx(tuple(ERRORS), rel=1e-6)
    straight = fit_error(level, 0.1 + 0.1 * level)
    assert straight.law is None and straight(np.array([3.0])) == pytest.approx(0.4)


def test_downstream_bands_cover():
    z = []
    for s in range(40):
        found = downstream_error(seed=s, n_bootstrap=40)
        z.append((found.predicted - found.true_error) / found.error)
    # 12 per cent is the error of a deviation from 40 studies; the bands of 40 refits add as much.
    assert np.std(z) == pytest.approx(1.0, abs=0.5) and abs(np.mean(z)) < 0.8


def test_lifetime():
    assert lifetime_cost().best[0] == pytest.approx(7.427, rel=1e-3)
    result = lifetime_cost(served_tokens=1e13)
    assert np.all(result.best_cost <= result.cost.min(axis=1) * (1 + 1e-12))
    assert np.all(np.diff(result.best[np.argsort(result.volumes)]) >= 0)
    # The curves pass through the run itself.
    here = np.exp(np.interp(np.log(640), np.log(result.multiplier), np.log(result.cost[-1])))
    assert here == pytest.approx(result.plan_cost, rel=2e-3)


def test_uploads():
    table, problems = read_table("runs", TEMPLATE.encode(), RUNS)
    assert not problems
    found = extrapolate_loss(runs=table)
    assert found.true_loss is None and np.isfinite(found.predicted)
    assert 0 < downstream_error(runs=table).predicted < 1
    bad, problems = read_table("runs", (TEMPLATE + "1e8,2e9,nan,0.5,mine\n1e8,2e9,3,1.5,mine\n").encode(), RUNS)
    assert bad.height == table.height and len(problems) == 2
    other, _ = read_table("runs", (TEMPLATE + "1e8,2e9,9,0.5,other\n").encode(), RUNS)
    assert extrapolate_loss(runs=other).predicted == found.predicted  # another training set is left out
    with pytest.raises(ParameterError, match="4 constants"):
        extrapolate_loss(runs=table.head(3))
    with pytest.raises(ParameterError, match="error"):
        downstream_error(runs=table.with_columns(pl.lit(None, dtype=pl.Float64).alias("error")))
