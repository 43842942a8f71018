"""Pass-until: the negative binomial law, the cap, the fit's intervals, and the sign of curvature."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.stats import binom, nbinom, norm

from compute.inference_scaling import pass_until as lab
from compute.methods import pass_until as pu
from compute.models.task_law import TaskLaw, step_law
from compute.parameters import ParameterError

SIZES = np.geomspace(30, 2400, 8)
X = np.log(SIZES / 270)
DESIGN = np.stack([np.ones(8), X], axis=1)


def one_law(c, alpha):
    return TaskLaw(np.array([c]), np.array([alpha]))


# --- sampling ------------------------------------------------------------------------------------------


def test_waits_are_negative_binomial():
    rng = np.random.default_rng(0)
    p, r, m = np.array([0.5, 0.1, 0.01]), 4, 20_000
    waits = pu.draw_waits(rng, p, r, (m,))[..., -1]
    mean, variance = r / p, r * (1 - p) / p**2
    assert (np.abs(waits.mean(axis=0) - mean) < 4 * np.sqrt(variance / m)).all()
    assert np.allclose(waits.var(axis=0), variance, rtol=0.08)
    for j, value in enumerate(p):
        for level in (0.1, 0.5, 0.9):
            k = nbinom.ppf(level, r, value)
            exact = nbinom.cdf(k, r, value)
            assert abs(np.mean(waits[:, j] - r <= k) - exact) < 4 * np.sqrt(exact * (1 - exact) / m)


def test_estimator_is_unbiased_with_its_known_spread():
    """At r = 5 and small p: mean 1, relative deviation 1/sqrt(3) = 0.577, and r/K reads 1.25 p; sums over the exact law."""
    r, p = 5, 1e-3
    k = np.arange(r, 60_000)
    law = nbinom.pmf(k - r, r, p)
    estimate = (r - 1) / (k - 1) / p
    assert law @ estimate == pytest.approx(1.0, abs=1e-9)
    assert np.sqrt(law @ estimate**2 - 1) == pytest.approx(0.5768, abs=5e-4)
    assert law @ (r / k / p) == pytest.approx(1.25, abs=2e-3)
    waits = pu.draw_waits(np.random.default_rng(1), np.array([p]), r, (40_000,))
    found = pu.estimate(*pu.stop(waits, r, 1e12), r) / p
    assert abs(found.mean() - 1) < 4 * 0.5768 / np.sqrt(40_000)


@pytest.mark.parametrize("cap", [50, 400, 100_000])
def test_the_cap_has_its_exact_law(cap):
    rng, r, m = np.random.default_rng(2), 4, 20_000
    p = np.array([0.003, 0.02, 0.3])
    seen, draws = pu.stop(pu.draw_waits(rng, p, r, (m,)), r, cap)
    hit = binom.cdf(r - 1, cap, p)
    assert (np.abs((seen < r).mean(axis=0) - hit) < 4 * np.sqrt(hit * (1 - hit) / m) + 1e-9).all()
    exact = pu.expected_draws(p, r, cap)
    assert (np.abs(draws.mean(axis=0) - exact) < 4 * draws.std(axis=0) / np.sqrt(m) + 1e-6).all()
    found = pu.estimate(seen, draws, r)
    for level in (0.05, 0.5, 0.95):
        quantile = pu.estimate_quantile(level, p, r, cap)
        slack = 4 * np.sqrt(level * (1 - level) / m)
        assert (np.mean(found <= quantile * (1 + 1e-9), axis=0) >= level - slack).all()
        assert (np.mean(found < quantile * (1 - 1e-9), axis=0) <= level + slack).all()


def test_expected_draws_far_from_the_cap():
    assert pu.expected_draws(0.01, 7, 1e6) == pytest.approx(700, rel=1e-9)
    assert pu.expected_draws(1e-15, 7, 1e6) == pytest.approx(1e6)


# --- the fit -------------------------------------------------------------------------------------------


def test_likelihood_fit_against_a_general_optimizer():
    rng = np.random.default_rng(3)
    for _ in range(8):
        p = one_law(float(rng.uniform(2, 15)), float(rng.uniform(0.2, 0.6))).success(SIZES)
        seen, draws = pu.stop(pu.draw_waits(rng, p, 6), 6, 20_000)
        draws = np.minimum(draws, 1e6)

        def loss(b, seen=seen, draws=draws):
            log_p = -np.exp(np.clip(DESIGN @ b, -30, 6))
            return -np.sum(seen * log_p + (draws - seen) * np.log(-np.expm1(log_p)))

        b, _ = pu.fit_law(DESIGN, seen, draws)
        best = minimize(loss, b + rng.normal(size=2) * 0.1, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        assert np.allclose(b, best.x, atol=1e-5)


@pytest.mark.parametrize("c", [12.0, 30.0])
@pytest.mark.parametrize("r", [3, 8, 30])
def test_intervals_for_the_held_out_size_cover_as_stated(c, r):
    law = one_law(c, 0.3)
    waits = pu.draw_waits(np.random.default_rng(4), law.success(SIZES[:7]), r, (500,))
    seen, draws = pu.stop(waits, r, 1e300)
    guess, error = pu.predict(*pu.fit_law(DESIGN[:7], seen, draws), DESIGN[7])
    z = (guess - np.log(law.minus_log_success(SIZES[7]))) / error
    assert abs(np.mean(np.abs(z) < norm.ppf(0.95)) - 0.9) < 0.04
    assert abs(z.mean()) < 4 / np.sqrt(500) and abs(z.std() - 1) < 0.13


def test_plug_in_line_is_biased_at_small_r():
    """Mean z of 0.93, 0.47 and 0.27 at r = 3, 8, 30 (c = 30), with coverage 0.75, 0.85, 0.89."""
    law = one_law(30.0, 0.3)
    waits = pu.draw_waits(np.random.default_rng(5), law.success(SIZES[:7]), 30, (1500,))
    for r, mean, share in ((3, 0.93, 0.75), (8, 0.47, 0.85), (30, 0.27, 0.89)):
        seen, draws = pu.stop(waits, r, 1e300)
        guess, error = pu.predict(*pu.plug_in_fit(DESIGN[:7], pu.estimate(seen, draws, r), seen), DESIGN[7])
        z = (guess - np.log(law.minus_log_success(SIZES[7]))) / error
        assert abs(z.mean() - mean) < 0.15 and abs(np.mean(np.abs(z) < norm.ppf(0.95)) - share) < 0.04


def test_likelihood_meets_the_information_bound():
    result = lab.prediction(constant=30.0, exponent=0.3, studies=1000)
    ratio = result.error["likelihood"] / result.bound
    assert np.abs(ratio - 1).max() < 0.08
    assert (np.abs(result.bias["likelihood"])[3:] < 4 * result.bias_uncertainty["likelihood"][3:]).all()
    assert result.bias["plug_in"][0] > 6 * result.bias_uncertainty["plug_in"][0]


# --- the law -------------------------------------------------------------------------------------------


def test_the_law_is_a_line():
    law = one_law(30.0, 0.3)
    y = np.log(-np.log(law.success(SIZES)))
    assert np.allclose(np.diff(y) / np.diff(np.log(SIZES)), -0.3, atol=1e-12)
    assert np.allclose(law.slope(SIZES), -0.3, atol=1e-14) and np.allclose(law.curvature(SIZES), 0, atol=1e-13)


def test_steps_are_convex_and_share_the_middle():
    rng = np.random.default_rng(6)
    x = np.linspace(0, 9, 60)
    for _ in range(1000):
        n = int(rng.integers(1, 8))
        law = TaskLaw(np.exp(rng.uniform(-2, 5, n)), rng.uniform(0.02, 1.5, n))
        assert np.diff(np.log(law.minus_log_success(np.exp(x))), 2).min() >= -1e-12
    for steps, spread in ((1, 0.5), (4, 1.0), (20, 0.3)):
        law = TaskLaw(*step_law(30.0, 0.3, steps, spread, 270.0))
        assert law.minus_log_success(270.0) == pytest.approx(30.0 * 270.0**-0.3)


def test_two_circuits_bend_both_ways():
    law = TaskLaw(np.array([8.0]), np.array([0.3]), 0.5, 300.0, 0.7)
    curvature = law.curvature(np.geomspace(1, 1e4, 200))
    assert curvature.min() < -0.01 and curvature.max() > 0.01


def test_slope_and_curvature_against_differences():
    law = TaskLaw(*step_law(20.0, 0.3, 5, 0.8, 270.0), 0.4, 200.0, 0.8)
    x, h = np.log(SIZES), 1e-3

    def y(at):
        return np.log(law.minus_log_success(np.exp(at)))

    assert np.allclose(law.slope(SIZES), (y(x + h) - y(x - h)) / (2 * h), atol=1e-6)
    assert np.allclose(law.curvature(SIZES), (y(x + h) - 2 * y(x) + y(x - h)) / h**2, atol=1e-5)
    assert np.allclose(
        law.success(SIZES), 0.6 * TaskLaw(law.constant, law.exponent).success(SIZES) + 0.4 * np.exp(-200 * SIZES**-0.8)
    )


# --- the lab -------------------------------------------------------------------------------------------


def test_a_study_recovers_its_law_where_the_usual_evaluation_reads_zero():
    result = lab.study(constant=30.0, exponent=0.3, passes=50)
    head = result.headline()
    assert head["sizes that read 0 of n"] >= 3 and abs(head["prediction off by (SE)"]) < 4
    assert abs(head["fitted exponent α"] - 0.3) < 4 * head["its standard error"]
    assert abs(head["measured curvature (SE)"]) < 4
    bent = lab.study(constant=15.0, exponent=0.3, second_weight=0.5, passes=50).headline()
    assert bent["measured curvature (SE)"] < -3


def test_a_study_in_which_nothing_passes_has_no_fit():
    result = lab.study(constant=50.0, exponent=0.05, cap=100)
    assert "none" in result.headline()["fitted law"] and np.isnan(result.fit).all()
    assert (result.estimate == 0).all()


def test_estimators_view_against_its_exact_quantiles():
    result = lab.estimators(studies=2000)
    assert abs(result.headline()["largest gap of its mean to p (SE)"]) < 4
    plateau = (result.success > 1e-4) & (result.success < 1e-2)
    k = 8 + nbinom.ppf([0.95, 0.05], 8, 1e-3)
    low, high = 7 / (k - 1) / 1e-3
    assert np.allclose(result.pass_until[0][plateau], low, rtol=0.02) and np.allclose(
        result.pass_until[2][plateau], high, rtol=0.02
    )
    assert np.allclose(result.reads_zero[1], (1 - result.success) ** 200)


def test_curvature_map_has_no_acceleration_without_a_second_circuit():
    result = lab.curvature_map(steps=8)
    assert (result.curvature[:, 0] >= -1e-12).all() and result.curvature.min() < -0.05
    assert np.all(np.diff(result.curvature[:, 0]) > 0)


def test_own_evaluations():
    sizes = np.array([30, 60, 125, 250, 500, 1000.0])
    p = one_law(30.0, 0.35).success(sizes)
    seen, draws = pu.stop(pu.draw_waits(np.random.default_rng(8), p, 40), 40, 1e9)
    result = lab.own_law(data=pl.DataFrame({"size": sizes, "draws": draws, "passes": seen}), refits=400)
    (task,) = result.tasks
    assert abs(task.exponent - 0.35) < 4 * task.exponent_error
    low, high = task.predicted_interval
    assert 0.8 * low < one_law(30.0, 0.35).success(2400.0) < 1.25 * high
    assert task.p_value > 1e-3 and task.curvature_interval[0] < task.curvature < task.curvature_interval[1]
    # The bootstrap's width is the likelihood's.
    b, covariance = pu.fit_law(np.stack([np.ones(6), np.log(sizes)], axis=1), seen, draws)
    guess, error = pu.predict(b, covariance, np.array([1.0, np.log(2400.0)]))
    wald = np.exp(-np.exp(guess + norm.ppf(0.95) * error * np.array([1, -1])))
    assert np.allclose([low, high], wald, rtol=0.08)


def test_own_evaluations_find_the_bent_task_of_the_example_and_refuse_nonsense():
    easy, late = lab.own_law().tasks
    assert easy.p_value > 0.05 and late.p_value < 1e-3 and late.curvature < 0
    with pytest.raises(ParameterError, match="more passes than draws"):
        lab.own_law(data=pl.DataFrame({"size": [1.0, 2, 3], "draws": [5.0, 5, 5], "passes": [6.0, 1, 1]}))
    with pytest.raises(ParameterError, match="three sizes"):
        lab.own_law(data=pl.DataFrame({"size": [1.0, 2], "draws": [5.0, 5], "passes": [2.0, 1]}))
