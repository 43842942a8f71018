"""Laws of value-based reinforcement learning: the optimum against SciPy and differences, fits of planted laws, the toy's exact ends."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from compute.models.markov_decision_process import gridworld, policy_value, value_iteration
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.value_based_rl import cost_curves, data_fit, frontier, ratio_map, toy_law
from compute.scaling_laws.value_based_rl import toy as toy_module
from compute.scaling_laws.value_based_rl.fit import RUNS, TEMPLATE, power_exponent
from compute.scaling_laws.value_based_rl.law import (
    UtdLaw,
    best_utd,
    compute_per_step,
    crossover,
    data_needed,
    least_cost,
    reached,
    total_cost,
)

LAW = UtdLaw(1e5, 2.0, 0.8, 0.4, 0.3)


def test_best_ratio_at_the_defaults():
    assert best_utd(LAW, 1.0, 10.0) == pytest.approx(4.8965, abs=1e-4)
    distance = reached(LAW, 1e7, 10.0)
    assert 1 - distance == pytest.approx(0.7073, abs=1e-4)
    assert best_utd(LAW, distance, 10.0) == pytest.approx(6.1470, abs=1e-4)


@pytest.mark.parametrize("law", [LAW, LAW._replace(batch_exponent=0.95), LAW._replace(alpha=2.0, batch_exponent=0.0)])
@pytest.mark.parametrize("price", [1e-3, 10.0, 1e3])
def test_best_ratio_is_scipys_and_touches_the_frontier(law, price):
    for distance in (1.0, 0.2):
        best = float(best_utd(law, distance, price))
        found = minimize_scalar(
            lambda x, d=distance: float(np.log(total_cost(law, np.exp(x), d, price))),
            bounds=(np.log(best) - 5, np.log(best) + 5),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert np.log(best) == pytest.approx(found.x, abs=1e-4)
        # dC/dD = -delta along the frontier, by central differences.
        s = best * np.exp(np.array([-1e-4, 1e-4]))
        data = data_needed(law, s, distance)
        slope = np.diff(data * compute_per_step(law, s)) / np.diff(data)
        assert slope[0] == pytest.approx(-price, rel=1e-4)


def test_data_falls_to_its_floor():
    curves = cost_curves()
    assert np.all(np.diff(curves.data) < 0) and np.all(curves.data > curves.least_data)
    assert data_needed(LAW, 1e30, 0.5) == pytest.approx(2e5, rel=1e-9)
    # At the crossover, twice the floor.
    assert data_needed(LAW, crossover(LAW, 0.5), 0.5) == pytest.approx(4e5)
    assert curves.best_cost[2] <= curves.total.min() and curves.best_cost[2] == pytest.approx(1e7, rel=1e-6)


def test_budget_line_touches_the_highest_level():
    result = frontier()
    assert result.best_compute + 10 * result.best_data == pytest.approx(result.budget, rel=1e-6)
    # No point of the last level is below the budget's line.
    assert np.all(result.compute[-1] + 10 * result.data[-1] >= result.budget[-1] * (1 - 1e-9))
    assert result.headline()["slope of the frontier there, dC/dD"] == -10


def test_map_is_the_root_and_is_flat_where_the_crossover_stays():
    plane = ratio_map()
    i, j = 45, 20
    at = reached(LAW, float(plane.budget[i]), float(plane.price[j]))
    assert plane.distance[i, j] == pytest.approx(at, rel=2e-3)
    assert plane.utd[i, j] == pytest.approx(float(best_utd(LAW, at, plane.price[j])), rel=2e-3)
    empty = plane.budget[:, None] < plane.edge[None, :]
    assert np.array_equal(np.isnan(plane.utd), empty)
    flat = ratio_map(level_exponent=0.0).utd
    assert np.nanmax(np.nanmax(flat, axis=0) / np.nanmin(flat, axis=0)) == pytest.approx(1, abs=1e-9)
    assert "no level" in ratio_map(budget=1e4).headline()["best ratio σ*"]
    with pytest.raises(ParameterError, match="reaches no level"):
        cost_curves(budget=1e4)
    assert reached(LAW, float(least_cost(LAW, 1.0, 10.0)), 10.0) == 1.0


def test_fit_recovers_the_law_without_noise():
    fits = data_fit(data_noise=1e-3, n_refits=20).fits
    assert [f.alpha for f in fits] == pytest.approx([0.8] * 3, abs=0.01)
    ratio = np.geomspace(0.25, 32, 12)
    exact = toy_module.fit_data(ratio, data_needed(LAW, ratio, 1.0))
    assert exact == pytest.approx([1e5, 2.0, 0.8], rel=1e-6)


def test_fit_is_unbiased_and_its_interval_wide_enough():
    found = [data_fit(seed=s, n_refits=60).fits[0] for s in range(40)]
    alpha = np.array([f.alpha for f in found])
    assert abs(alpha.mean() - 0.8) < 4 * alpha.std(ddof=1) / np.sqrt(40) + 0.02
    covered = np.mean([f.alpha_low <= 0.8 <= f.alpha_high for f in found])
    # A bootstrap of 24 runs falls a little short of 80%.
    assert covered > 0.8 - 4 * np.sqrt(0.16 / 40)


def test_template_and_bad_tables():
    frame, problems = read_table("runs", TEMPLATE.encode(), RUNS)
    assert not problems
    fit = data_fit(runs=frame, n_refits=20)
    assert [f.level for f in fit.fits] == [0.6, 0.8] and fit.truth is None
    assert fit.batch_exponent == pytest.approx(0.39, abs=0.03) and fit.rate_exponent == pytest.approx(0.32, abs=0.03)
    assert fit.fits[1].best > fit.fits[0].best / 3
    assert power_exponent(np.array([1.0, 2, 4]), 5 * np.array([1.0, 2, 4]) ** -0.7)[0] == pytest.approx(0.7)
    with pytest.raises(ParameterError, match="no level with four ratios"):
        data_fit(runs=frame.filter(pl.col("utd") > 4))


def test_toy_without_updates_keeps_the_value_of_its_first_policy():
    rng = np.random.default_rng(4)
    process = gridworld(toy_module.SIZE, 0.3)
    # Values without an order: every action alike, the random policy.
    flat = np.zeros((36, 4))
    ordered = np.tile([1.0, 0.5, 0.9, 0.0], (36, 1)) + 0.2 * rng.standard_normal((36, 4))
    for values in (flat, ordered):
        best = values == values.max(axis=1, keepdims=True)
        policy = (1 - toy_module.EPSILON) * best / best.sum(axis=1, keepdims=True) + toy_module.EPSILON / 4
        exact = policy_value(process, toy_module.DISCOUNT, policy)[0]
        returns = np.concatenate([toy_module.untrained_returns(rng, 0.3, values, 60) for _ in range(40)])
        assert abs(returns.mean() - exact) < 4 * returns.std() / np.sqrt(returns.size)


def test_toy_learns_faster_with_more_updates_and_harder_levels_take_longer():
    toy = toy_law(n_seeds=24)
    assert toy.n_missed == 0
    # Medians over seeds at the two ends, many standard errors apart; and a power between.
    gap = (toy.data[0] - toy.data[-1]) / np.hypot(toy.standard_error[0], toy.standard_error[-1])
    assert gap > 3 and 0.2 < toy.parameters[2] < 3
    assert toy.parameters[0] < 1.2 * toy.data.min()
    harder = toy_law(n_seeds=24, toy_level=0.75, env_noise=0.4)
    assert np.all(harder.data > toy.data)
    again = toy_law(n_seeds=24)
    assert np.array_equal(again.seeds, toy.seeds)
    optimum = value_iteration(gridworld(6, 0.0), 0.95)[0]
    # No policy reaches more than the optimum: twenty perfect episodes take ten steps each at least.
    target = 0.7 * optimum
    fastest = min(toy_module.data_to_level(np.random.default_rng(s), 32.0, 0.0, 0.0, target) for s in range(5))
    assert fastest >= 20 * 10
