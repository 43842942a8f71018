"""Hyperparameter laws against published values, the toy against its simulation, the bowl against planted optima."""

import numpy as np
import polars as pl
import pytest

from compute.models.kaplan import KAPLAN_RUN, kaplan_loss
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.hyperparameter_laws import batch_trade, law_curves, law_map, plan_table, plateau, sweep_bowl, toy_run
from compute.scaling_laws.hyperparameter_laws.calculator import PLAN_TEMPLATE, PLANS
from compute.scaling_laws.hyperparameter_laws.laws import LAWS, MAX_KAPLAN_PARAMETERS, batch_size, learning_rate
from compute.scaling_laws.hyperparameter_laws.sweep import SWEEP, SWEEP_TEMPLATE, fit_bowls, minima
from compute.scaling_laws.hyperparameter_laws.toy import BATCHES


def test_published_values():
    assert learning_rate("step", 1e9, 1e11) == pytest.approx(1.632e-3, rel=1e-3)
    assert batch_size("step", 1e9, 1e11) == pytest.approx(1.108e6, rel=1e-3)
    # C = 6e20
    assert learning_rate("deepseek", 1e9, 1e11) == pytest.approx(7.88e-4, rel=1e-3)
    assert batch_size("deepseek", 1e9, 1e11) == pytest.approx(1.83e6, rel=2e-3)
    assert pytest.approx(1.21e10, rel=5e-3) == MAX_KAPLAN_PARAMETERS
    assert np.isnan(learning_rate("kaplan", 1.3e10, 1e11)) and learning_rate("kaplan", 1.2e10, 1e11) > 0
    # GPT-3's smallest model by Kaplan's rule, and DeepSeek LLM 67B: 3.2e-4 and 2T tokens at 3.2e-4, 4608 sequences of 4096.
    assert learning_rate("deepseek", 6.7e10, 2e12) == pytest.approx(3.2e-4, rel=0.25)
    assert batch_size("deepseek", 6.7e10, 2e12) == pytest.approx(4608 * 4096, rel=0.25)


def slope(values, x):
    return np.diff(np.log(values)) / np.diff(np.log(x))


def test_slopes_of_the_step_law_on_the_views():
    along_d, along_n = law_curves(along="tokens"), law_curves(along="parameters")
    assert slope(along_d.rate["step"], along_d.x) == pytest.approx(0.307)
    assert slope(along_d.batch["step"], along_d.x) == pytest.approx(0.571)
    assert slope(along_n.rate["step"], along_n.x) == pytest.approx(-0.713)
    assert np.ptp(along_n.batch["step"]) == 0
    optimal = law_curves(along="compute")
    # N and D both grow as C^1/2 along D = 20 N.
    assert slope(optimal.rate["step"], optimal.x) == pytest.approx((0.307 - 0.713) / 2)
    assert slope(optimal.rate["deepseek"], optimal.x) == pytest.approx(-0.125)


def test_band_is_the_worst_of_the_exponents_moved():
    curves = law_curves(exponent_error=0.05)
    pivot_n, pivot_d = np.sqrt(6e7 * 1e9), np.sqrt(2e9 * 1e11)
    for k in (0, 40, 80):
        moved = [
            curves.rate["step"][k] * (1e9 / pivot_n) ** s * (curves.x[k] / pivot_d) ** t
            for s in (-0.05, 0.05)
            for t in (-0.05, 0.05)
        ]
        assert curves.rate["step"][k] * curves.error_factor[k] == pytest.approx(max(moved))


def test_map_and_curves_and_table_say_the_same():
    here = law_map(map_shows="rate over second law", parameters=7e9, tokens=2e12).here
    table = plan_table(plans=pl.DataFrame({"N": [7e9], "D": [2e12]})).table()
    of = {row["law"]: row for row in table.iter_rows(named=True)}
    assert here == pytest.approx(of["step"]["learning_rate"] / of["deepseek"]["learning_rate"])
    assert of["step"]["steps"] == pytest.approx(2e12 / (0.58 * 2e12**0.571))
    assert of["minicpm"]["learning_rate"] is None
    frame, problems = read_table("plans", PLAN_TEMPLATE.encode(), PLANS)
    assert frame.height == 2 and not problems
    with pytest.raises(ParameterError, match="no learning rate"):
        law_map(law="minicpm", map_shows="learning rate")


def test_without_overhead_smaller_batches_never_lose():
    for spectrum in (1.1, 1.2, 2.0):
        found = plateau(step_overhead=0.0, spectrum_exponent=spectrum)
        powers = np.isin(BATCHES, 2.0 ** np.arange(13))
        assert np.all(np.diff(found.valley_loss[powers]) >= -1e-12)
        assert found.reaches_smallest
    with_overhead = plateau(step_overhead=32.0)
    assert 16 <= with_overhead.best[1] <= 128 and not with_overhead.reaches_smallest


def test_plateau_line_lies_at_one_percent():
    found = plateau()
    x, y = (v[np.isfinite(v)] for v in found.plateau)
    assert x.min() > found.step_size[0] and x.max() < 2
    assert x.max() / x.min() >= 2**found.rate_octaves * 0.99
    inside = found.loss <= 1.01 * found.best[2]
    rates, batches = np.meshgrid(found.step_size, found.batch)
    assert rates[inside].min() > 0.95 * x.min() and batches[inside].max() < 1.2 * y.max()


def test_toy_run_is_the_map_and_sgd_agrees():
    run = toy_run(step_size=0.7, batch=4, n_sgd=100, seed=3)
    assert run.headline()["largest gap to SGD, SE"] < 4
    assert run.loss[-1] + 0.5 == pytest.approx(plateau(step_size=0.7, batch=4).here)
    with pytest.raises(ParameterError, match="stability edge"):
        toy_run(step_size=2.5)
    with pytest.raises(ParameterError, match="pays for no step"):
        plateau(toy_budget=100, step_overhead=200)


def test_time_tokens_trade_is_exact_and_is_kaplans_law():
    trade = batch_trade()
    s, e = trade.steps / trade.least_steps[:, None], trade.tokens / (trade.least_steps * trade.critical)[:, None]
    middle = slice(40, 81)  # further out the product loses digits to 1 + small
    assert (s[:, middle] - 1) * (e[:, middle] - 1) == pytest.approx(1, abs=1e-9)
    # The law of the run, solved for the loss by another route, returns the level.
    back = kaplan_loss(KAPLAN_RUN, 1e9, trade.steps[0, 60], trade.batch[0, 60])
    assert back == pytest.approx(2.6, rel=1e-9)
    with pytest.raises(ParameterError, match="out of reach"):
        batch_trade(parameters=6e7, loss_level=2.6)


def test_bowl_finds_a_noise_free_minimum_exactly():
    rng = np.random.default_rng(1)
    z = rng.uniform(-2, 2, size=(20, 2))
    hessian, best = np.array([[0.02, -0.006], [-0.006, 0.008]]), np.array([0.4, -0.9])
    y = 1.1 + 0.5 * np.einsum("ni,ij,nj->n", z - best, hessian, z - best)
    p, convex = fit_bowls(z, y, np.ones((1, 20)))
    assert convex[0] and minima(p)[0] == pytest.approx(best, abs=1e-9)
    # A saddle, and runs at one batch, have none.
    assert not fit_bowls(z, -y, np.ones((1, 20)))[1][0]
    flat = z.copy()
    flat[:, 1] = 0.0
    assert not fit_bowls(flat, y, np.ones((1, 20)))[1][0]


def test_intervals_hold_the_planted_optimum_as_often_as_they_say():
    # A wide window, or noise chooses which runs are kept.
    rate, batch = [], []
    for seed in range(80):
        bowl = sweep_bowl(seed=seed, sweep_runs=60, sweep_noise=5e-3, fit_window=1.0, n_refits=100)
        low, high = np.quantile(bowl.refits, [0.1, 0.9], axis=0)
        batch.append(low[1] <= bowl.planted[1] <= high[1])
        rate.append(np.log2(bowl.best[0] / bowl.planted[0]))
    assert abs(np.mean(batch) - 0.8) < 4 * np.sqrt(0.16 / 80)
    # The cubic rise at large rates is not a parabola's: the bowl errs toward small rates, by less than half an octave.
    assert -0.5 < np.mean(rate) < 0


def test_narrow_windows_remove_the_bias_of_the_cubic():
    def bias(window):
        found = [sweep_bowl(seed=s, sweep_runs=400, sweep_noise=3e-4, fit_window=window, n_refits=20) for s in range(6)]
        return abs(np.mean([np.log2(b.best[0] / b.planted[0]) for b in found]))

    assert bias(0.01) < bias(0.02) < bias(1.0)


def test_template_sweep_fits_and_bad_sweeps_get_a_sentence():
    frame, problems = read_table("sweep", SWEEP_TEMPLATE.encode(), SWEEP)
    assert not problems and frame.height == 15
    bowl = sweep_bowl(sweep=frame)
    assert 5e-4 < bowl.best[0] < 4e-3 and bowl.planted is None
    assert set(bowl.law_excess) == {name for name in LAWS if name not in ("minicpm", "custom")}
    one_batch = frame.with_columns(batch=pl.lit(1e6))
    with pytest.raises(ParameterError, match="without a minimum"):
        sweep_bowl(sweep=one_batch)
    with pytest.raises(ParameterError, match="widen"):
        sweep_bowl(sweep=frame.head(5))
