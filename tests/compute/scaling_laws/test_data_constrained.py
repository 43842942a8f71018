"""The data-constrained lab: planted constants come back, theory and simulation agree, limits hold."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from compute.models import repeated_tokens as rt
from compute.models.repeated_regression import regression, truncated_curve
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.data_constrained import (
    effective_data,
    epoch_curves,
    fit_runs,
    fixed_compute,
    optimal_allocation,
    repeat_map,
)
from compute.scaling_laws.data_constrained.fit import HUBER_DELTA, RUNS, TEMPLATE, fit_decays, plant_runs


def test_the_published_pair_on_the_map():
    here = repeat_map(n_parameters=6.34e9, epochs=2.42e11 / 2.5e10)
    assert here.headline()["loss where you stand"] == pytest.approx(2.2256440889984477, rel=1e-10)
    assert here.headline()["optimal epochs at C"] == pytest.approx(9.493, rel=1e-3)
    # Every point of the path is the best of its compute on the map.
    plane = repeat_map()
    n, e = plane.frontier
    for k in (10, 40, 60):
        spent = n[k] * e[k]
        across = rt.loss(rt.PUBLISHED, plane.parameters, spent / plane.parameters * 2.5e10, 2.5e10)
        assert rt.loss(rt.PUBLISHED, n[k], e[k] * 2.5e10, 2.5e10) <= across.min()


def test_epochs_grow_faster_than_size_where_repeats_keep_their_worth_longer():
    plan = optimal_allocation()
    beyond = plan.compute > 1e21
    assert np.all((plan.tokens / 2.5e10)[beyond] > (plan.parameters / plan.deserved)[beyond])
    swapped = optimal_allocation(decay_tokens=5.309743, decay_parameters=15.387756)
    assert np.all((swapped.tokens / 2.5e10)[beyond] < (swapped.parameters / swapped.deserved)[beyond])
    assert np.all(plan.loss >= plan.free_loss - 1e-12) and np.all(plan.loss <= plan.one_epoch_loss + 1e-12)


def test_worth_of_the_first_epoch_is_one_and_few_samples_saturate():
    few = effective_data(unique_samples=50, n_seeds=32)
    assert abs(few.measured[0] - 1) < 4 * few.measured_error[0]
    assert few.measured[-1] < 6 and few.fitted_decay is not None
    many = effective_data(unique_samples=1000, n_seeds=2)
    assert many.measured[np.searchsorted(many.measured_epochs, 10)] > 7  # as many samples as needed: repeats are as new


def test_label_noise_makes_repetition_harmful():
    noisy = effective_data(unique_samples=200, label_noise=0.3, n_seeds=24)
    found = np.flatnonzero(np.isfinite(noisy.measured))
    assert noisy.measured[found[-1]] < 0.5 * np.nanmax(noisy.measured)
    assert noisy.fitted_decay is None and isinstance(noisy.headline()["regression: its own R*"], str)


@pytest.mark.parametrize("decay,noise", [(0.0, 0.2), (0.01, 0.2)])
def test_one_epoch_follows_the_exact_curve(decay, noise):
    curves = epoch_curves(updates=1500, n_seeds=24, label_noise=noise, weight_decay=decay)
    exact = np.interp(curves.steps, curves.exact_steps, curves.exact)
    z = (curves.test[0] - exact) / curves.test_error[0]
    # 26 marks of 24 runs each, Student's t: 4.5 of its standard errors.
    assert np.all(np.abs(z) < 4.5)
    assert abs(curves.gap) < 4
    assert curves.test[0, -1] < curves.test[1, -1] < curves.test[2, -1] < curves.test[3, -1]


def test_valley_is_the_least_error_of_all_integer_sizes():
    valley = fixed_compute(label_noise=0.1)
    problem = regression(400, 1.3, 0.1)
    for k in (5, 15, 25):
        budget = valley.compute[k]
        sizes = np.arange(2, 201)
        level = np.array([truncated_curve(problem, int(n), np.array([budget / n]))[0] for n in sizes]) - 0.01
        assert valley.valley_features[k] == pytest.approx(sizes[np.argmin(level)], rel=0.06)
        assert valley.valley_excess[k] == pytest.approx(level.min(), rel=2e-3)
    # At the valley itself nothing is gained.
    k = 20
    n = round(valley.valley_features[k])
    at = fixed_compute(label_noise=0.1, n_features=n, updates_per_feature=valley.compute[k] / n**2)
    assert at.speed_up == pytest.approx(1, abs=0.03)


def test_noise_free_runs_return_the_planted_constants():
    for fit_all in (False, True):
        result = fit_runs(noise_sigma=1e-4, n_runs=400, decay_tokens=8.0, decay_parameters=3.0, fit_all=fit_all, n_bootstrap=10)
        assert result.decay == pytest.approx((8.0, 3.0), rel=0.02)


def test_fit_reaches_the_least_huber_loss():
    rng = np.random.default_rng(4)
    n, d, u, loss = plant_runs(rt.PUBLISHED, rng, 60, 0.01)

    def objective(p):
        model = rt.RepeatedLaw(rt.PUBLISHED.law, *np.exp(p))
        r = np.abs(np.log(rt.loss(model, n, d, u) / loss))
        return np.sum(np.where(r <= HUBER_DELTA, r**2 / 2, HUBER_DELTA * (r - HUBER_DELTA / 2)))

    found = fit_decays(n, d, u, loss, start=np.log([15.0, 5.0]), law=rt.PUBLISHED.law)
    best = min(minimize(objective, s, method="Nelder-Mead", tol=1e-12).fun for s in ([2.7, 1.7], [1.0, 1.0], [4.0, 3.0]))
    assert objective(found) <= best * (1 + 1e-4)


def test_bootstrap_error_is_the_spread_over_studies():
    found = []
    for s in range(60):
        data = plant_runs(rt.PUBLISHED, np.random.default_rng([9, s]), 60, 0.01)
        found.append(fit_decays(*data, start=np.log([15.4, 5.3]), law=rt.PUBLISHED.law)[0])
    boot = np.mean([np.std(np.log(fit_runs(seed=s, noise_sigma=0.01, n_bootstrap=60).refits[:, 0]), ddof=1) for s in range(6)])
    # A deviation from 60 studies is known to 9%, the mean of six bootstraps to 7%: four standard errors of the ratio.
    assert boot == pytest.approx(np.std(found, ddof=1), rel=0.45)
    assert abs(np.mean(found) - np.log(15.387756)) < 4 * np.std(found) / np.sqrt(60)


def test_uploads():
    table, problems = read_table("runs", TEMPLATE.encode(), RUNS)
    assert not problems and table.height == 12
    result = fit_runs(runs=table, n_bootstrap=10)
    assert np.all(np.isfinite(list(result.decay))) and result.truth is None
    broken, problems = read_table("runs", (TEMPLATE + "1e9,oops,1e9,3\n").encode(), RUNS)
    assert broken.height == 12 and len(problems) == 1
    with pytest.raises(ParameterError, match="4 or more"):
        fit_runs(runs=table.head(3))
    with pytest.raises(ParameterError, match="epochs"):
        fit_runs(runs=table.with_columns(pl.col("D").alias("U")))
