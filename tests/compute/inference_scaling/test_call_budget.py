"""Call budget: selection limits, the verified pick, ensembles, stacks by brute force, and searches."""

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from compute.inference_scaling import call_budget as lab
from compute.inference_scaling.call_budget.sizes import accuracy_tables
from compute.inference_scaling.call_budget.stacks import expected_random_regret
from compute.methods import discrete_search as search
from compute.methods import inference_stack as stacks
from compute.methods.inference_stack import Qualities, Stack
from compute.models.problem_difficulty import SUCCESS, draw_correlated, logit_normal_difficulty
from compute.parameters import ParameterError

# --- sizes ---------------------------------------------------------------------------------------------


def test_ranker_between_one_sample_and_coverage():
    """AUC 0.5 is pass@1 at every k; AUC -> 1 is coverage."""
    k = np.array([1.0, 3, 10, 30])
    assert np.allclose(accuracy_tables(k, 0.5)["ranker"], SUCCESS, atol=1e-6)
    law = logit_normal_difficulty(-1.0, 1.5)
    sure = accuracy_tables(k, 1 - 1e-9)
    assert np.allclose(sure["ranker"] @ law.weight, law.coverage(k), atol=1e-5)
    assert np.allclose(sure["tests"] @ law.weight, law.coverage(k), atol=1e-12)
    assert (accuracy_tables(np.array([0.0, 2]), 0.7)["ranker"][0] == 0).all()


def test_auc_is_the_probability_of_the_right_order():
    for auc in (0.5, 0.65, 0.9):
        gap = float(stacks.score_gap(auc))
        assert norm.cdf(gap / np.sqrt(2)) == pytest.approx(auc)
        # One right and one wrong sample: the best-scored of the two is right with probability AUC.
        rng = np.random.default_rng(0)
        wins = np.mean(rng.standard_normal(40_000) + gap > rng.standard_normal(40_000))
        assert abs(wins - auc) < 4 * np.sqrt(0.25 / 40_000)


def test_budget_curves_against_quadrature_and_simulation():
    result = lab.budget_curves(problems=8000, seed=1)
    assert result.headline()["largest gap, theory to simulation (SE)"] < 4
    theta = -0.4 * np.log2(5.4)
    for budget, k in ((1.0, 5), (4.0, 21)):
        exact = quad(lambda z, k=k: (1 - (1 - expit(theta + 2 * z)) ** k) * norm.pdf(z), -9, 9, limit=200)[0]
        assert result.exact["small, tests"][np.searchsorted(result.budget, budget)] == pytest.approx(exact, abs=1e-7)
    large = result.exact["large, tests"]
    assert (large[result.budget < 1] == 0).all() and large[np.searchsorted(result.budget, 1.0)] == pytest.approx(0.5)


def test_five_small_beat_one_large_with_tests_but_not_with_a_weak_ranker():
    """The finding of 174, in its miniature."""
    head = lab.winner_map().headline()
    assert head["small − large here, tests"] > 0.1 and head["small − large here, ranker"] < -0.02


def test_map_agrees_with_curves_and_break_even():
    plane = lab.winner_map()
    curves = lab.budget_curves(ability_gap=0.75, problems=100)
    row, col = np.argmin(np.abs(plane.ability_gap - 0.75)), np.argmin(np.abs(plane.budget - 2.0))
    assert plane.budget[col] == pytest.approx(2.0) and plane.ability_gap[row] == pytest.approx(0.75)
    at = np.searchsorted(curves.budget, 2.0)
    for way in ("tests", "ranker"):
        difference = curves.exact[f"small, {way}"][at] - curves.exact[f"large, {way}"][at]
        assert plane.advantage[way][row, col] == pytest.approx(difference, abs=1e-12)
    cross = lab.crossover()
    at_gap = lab.winner_map(ability_gap=cross.tests["R = 5.4"]).headline()["small − large here, tests"]
    assert abs(at_gap) < 1e-3
    assert all(np.all(np.diff(gap[np.isfinite(gap)]) > -1e-9) for gap in cross.gap.values())
    assert all(cross.gap[name][-1] < cross.tests[name] for name in cross.gap)
    with pytest.raises(ParameterError, match="no large call"):
        lab.crossover(budget=0.5)


# --- ensembles and operators ---------------------------------------------------------------------------


def test_equal_models_that_fail_together_are_one_model():
    """rho = 1: M models x k draws cover as one model x Mk; rho = 0 covers strictly more; by Gauss–Hermite quadrature."""
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    models, k, spread = 3, 4, 1.5
    failure = (1 - expit(spread * z)) ** k

    def uncovered(rho):
        inner = np.array([w @ (1 - expit(spread * (np.sqrt(rho) * s + np.sqrt(1 - rho) * z))) ** k for s in z])
        return w @ inner**models

    together = logit_normal_difficulty(0.0, spread).failure(models * k)
    assert uncovered(1.0) == pytest.approx(w @ failure**models, abs=1e-12)
    assert uncovered(1.0) == pytest.approx(float(together), abs=1e-7)
    assert uncovered(0.0) == pytest.approx((w @ failure) ** models, abs=1e-12) and uncovered(0.0) < 0.5 * uncovered(1.0)
    for rho in (0.0, 1.0):
        success = draw_correlated(np.random.default_rng(2), np.zeros(models), spread, rho, 40_000)
        missed = np.prod((1 - success) ** k, axis=0)
        assert abs(missed.mean() - uncovered(rho)) < 4 * missed.std() / 200


def test_verified_pick_formula():
    """0.582584 at p 0.3, T 0.8, F 0.2, K 5; T = F is one sample; a perfect verifier is coverage; Monte Carlo."""
    p = np.array([0.3])
    assert stacks.verified_pick(p, Qualities(0.8, 0.2, 0.5, 1, 0), 5)[0, 0] == pytest.approx(0.582584, abs=1e-6)
    assert np.allclose(stacks.verified_pick(SUCCESS, Qualities(0.6, 0.6, 0.5, 1, 0), [1, 4, 9]), SUCCESS, atol=1e-12)
    perfect = stacks.verified_pick(SUCCESS, Qualities(1.0, 0.0, 0.5, 1, 0), [1, 4, 9])
    assert np.allclose(perfect, 1 - (1 - SUCCESS) ** np.array([[1], [4], [9]]), atol=1e-12)
    rng = np.random.default_rng(3)
    right = rng.random((40_000, 5)) < 0.3
    passed = rng.random((40_000, 5)) < np.where(right, 0.8, 0.2)
    passed[~passed.any(axis=1)] = True
    value = (right & passed).sum(axis=1) / passed.sum(axis=1)
    assert abs(value.mean() - 0.582584) < 4 * value.std() / 200


def by_hand(draws, stack, q, question):
    """One question of one stack, candidate by candidate."""
    gap = float(stacks.score_gap(q.ranker_auc))
    pool = []
    for m in range(stack.models):
        for s in range(stack.samples):
            right = bool(draws.right[question, m, s])
            limit = q.recall if right else q.false_positive_rate
            pool.append((right, draws.uniform[question, m, s] < limit, draws.noise[question, m, s] + gap * right))
    if stack.verify and any(c[1] for c in pool):
        pool = [c for c in pool if c[1]]
    if stack.keep:
        pool = sorted(pool, key=lambda c: -c[2])[: stack.keep]
    hits = sum(c[0] for c in pool)
    if stack.finish == "pick":
        return hits / len(pool)
    if stack.finish == "vote":
        return 0.5 if 2 * hits == len(pool) else float(2 * hits > len(pool))
    return q.fuse_hit if hits else q.fuse_luck


def test_every_stack_by_hand():
    q = Qualities(0.8, 0.3, 0.7, 0.75, 0.1)
    architectures = stacks.all_stacks(70, 8)
    draws = stacks.draw_candidates(np.random.default_rng(4), -0.3 * np.arange(8), 1.5, 0.5, 6, 32)
    found = stacks.evaluate(draws, architectures, q)
    for stack, row in zip(architectures, found, strict=True):
        assert np.allclose(row, [by_hand(draws, stack, q, i) for i in range(6)]), stack
    assert len({s.features for s in architectures}) == len(architectures)


def test_calls_are_counted():
    assert Stack(2, 4, True, 4, "fuse").calls == 8 + 8 + 1 + 1
    assert Stack(1, 1, False, 0, "pick").calls == 1 and Stack(4, 1, False, 0, "vote").calls == 4
    for budget in (1, 5, 20):
        assert all(s.calls <= budget and s.models <= 4 for s in stacks.all_stacks(budget, 4))
    assert 1 <= len(stacks.all_stacks(200, 8)) <= 500


def test_cloud_meets_its_exact_lines_and_its_front_is_one():
    result = lab.stack_cloud(questions=4000, seed=5)
    assert result.gap < 4
    for j in result.front:
        cheaper = result.accuracy[result.calls < result.calls[j]]
        assert cheaper.size == 0 or result.accuracy[j] > cheaper.max()
    perfect = lab.stack_cloud(recall=1.0, false_positive_rate=0.0, questions=400)
    assert perfect.stacks[perfect.best].verify


# --- the best stack and searches -----------------------------------------------------------------------


def test_diversity_pays():
    result = lab.best_stacks(questions=600, model_step=0.0)
    assert np.isfinite(result.accuracy).all()
    assert (result.accuracy[0] > result.accuracy[-1] + 0.02).all()  # independent against correlated models
    assert (result.accuracy[:, 0] > result.accuracy[:, -1]).all()  # a good verifier against a bad one
    assert all("verify" in w for w in result.winner[:, 0])


def test_searches_never_beat_exhaustion_and_regret_never_grows():
    rng = np.random.default_rng(6)
    architectures = stacks.all_stacks(40, 8)
    features = np.array([s.features for s in architectures])
    values = rng.random(len(architectures))
    for method in search.SEARCHES.values():
        looked = method(np.random.default_rng(7), features, values, len(values))
        assert sorted(looked) == list(range(len(values)))  # all of them, once
        path = search.regret(values, looked)
        assert (path >= 0).all() and (np.diff(path) <= 0).all() and path[-1] == 0


def test_gaussian_process_finds_the_top_of_a_smooth_space_sooner():
    features = np.array([(i, j) for i in range(12) for j in range(12)])
    values = -((features - np.array([8.0, 3.0])) ** 2).sum(axis=1) / 40
    regrets = {
        name: np.mean([search.regret(values, method(np.random.default_rng(s), features, values, 20))[-1] for s in range(8)])
        for name, method in search.SEARCHES.items()
    }
    assert regrets["gaussian_process"] < 0.05 < regrets["random"]


def test_expected_regret_of_random_search():
    values = np.random.default_rng(8).random(30)
    exact = expected_random_regret(values, 30)
    assert exact[0] == pytest.approx(values.max() - values.mean()) and exact[-1] == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(9)
    runs = np.array([search.regret(values, search.random_search(rng, None, values, 30)) for _ in range(3000)])
    assert (np.abs(runs.mean(axis=0) - exact) <= 4.5 * runs.std(axis=0) / np.sqrt(3000) + 1e-9).all()


def test_search_view():
    result = lab.search_regret(questions=200, searches=5)
    assert all((np.diff(m) <= 1e-12).all() and (m >= 0).all() for m in result.median.values())
    few = lab.search_regret(call_budget=4, searches=5)
    assert few.n_stacks == len(stacks.all_stacks(4, 8)) and all(m[-1] == 0 for m in few.median.values())


# --- a reader's models ---------------------------------------------------------------------------------


def test_your_models():
    result = lab.your_models()
    small, large = result.models
    assert small.coverage[0] == pytest.approx(np.mean([48, 31, 22, 14, 9, 6, 4, 2, 1, 1, 0, 0, 0, 3, 17, 40]) / 50)
    assert large.spent[0] == 5.4 and (small.low <= small.coverage).all() and (small.coverage <= small.high).all()
    assert result.headline()["best at 5.4"] == "small, 5 samples"
    frame = pl.DataFrame({"problem": ["a", "b"], "model": ["m", "m"], "samples": [4.0, 4], "correct": [1.0, 3], "price": [1.0, 1]})
    one = lab.your_models(data=frame, spending=2.0)
    # 1 - C(3, 2)/C(4, 2) and 1 - 0: half and one.
    assert one.headline()["its coverage"] == pytest.approx((0.5 + 1.0) / 2)
    with pytest.raises(ParameterError, match="more correct"):
        lab.your_models(data=frame.with_columns(correct=pl.lit(9.0)))
