"""Multi-draft speculative sampling: formulas against enumeration, the linear program, and each other."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import chisquare

from compute.methods import multi_draft as md
from compute.methods.multi_draft_plan import count_supports, draw_plan, optimal_plan


def pairs(seed, count, most=6):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        n, drafts = int(rng.integers(2, most)), int(rng.integers(1, 5))
        yield rng.dirichlet(np.ones(n)), rng.dirichlet(np.full(n, 0.5)), drafts


def lp_over_tuples(drafts, q):
    """The optimal acceptance as a linear program over all tuples; one law a draft, not necessarily the same."""
    tuples = list(product(range(q.size), repeat=len(drafts)))
    edges = [(i, y) for i, t in enumerate(tuples) for y in set(t)]
    matrix = np.zeros((len(tuples) + q.size, len(edges)))
    for e, (i, y) in enumerate(edges):
        matrix[i, e] = matrix[len(tuples) + y, e] = 1
    mass = [np.prod([p[x] for p, x in zip(drafts, t, strict=True)]) for t in tuples]
    return -linprog(-np.ones(len(edges)), A_ub=matrix, b_ub=np.concatenate([mass, q])).fun


def min_cut(drafts, q):
    """min over all 2^n sets of q(S) + 1 - prod_k p_k(S)."""
    sets = [list(s) for size in range(q.size + 1) for s in combinations(range(q.size), size)]
    return min(q[s].sum() + 1 - np.prod([p[s].sum() for p in drafts]) for s in sets)


def test_linear_program_is_the_minimum_cut():
    rng = np.random.default_rng(0)
    for _ in range(12):
        n, k = int(rng.integers(2, 6)), int(rng.integers(1, 4))
        drafts, q = rng.dirichlet(np.ones(n), k), rng.dirichlet(np.full(n, 0.5))
        assert lp_over_tuples(drafts, q) == pytest.approx(min_cut(drafts, q), abs=1e-9)


def test_prefix_formula_is_the_minimum_over_all_subsets():
    for p, q, k in pairs(1, 200, most=8):
        assert md.optimal_acceptance(p, q, k) == pytest.approx(min_cut([p] * k, q), abs=1e-12)
        cut = md.minimizing_set(p, q, k)
        assert q[cut].sum() + 1 - p[cut].sum() ** k == pytest.approx(min_cut([p] * k, q) if cut.size else 1.0, abs=1e-12)


def test_plan_over_supports_is_optimal_and_feasible():
    for p, q, k in pairs(2, 25):
        plan = optimal_plan(p, q, k)
        assert plan.acceptance == pytest.approx(float(md.optimal_acceptance(p, q, k)), abs=1e-9)
        assert plan.probability.sum() == pytest.approx(1.0, abs=1e-12) and len(plan.supports) == count_supports(p.size, k)
        assert (plan.accepted <= q + 1e-9).all() and (plan.choice.sum(axis=1) <= 1 + 1e-9).all()


def test_greedy_accepted_law_against_a_linear_program_with_worths():
    """Maximize sum a(y) worth(y) over a <= q, a(S) <= 1 - (1 - p(S))^K for every S."""
    rng = np.random.default_rng(3)
    for p, q, k in pairs(3, 40):
        worth = 1 + rng.random(p.size)
        sets = [list(s) for size in range(1, p.size + 1) for s in combinations(range(p.size), size)]
        matrix = np.array([[float(y in s) for y in range(p.size)] for s in sets])
        solved = linprog(-worth, A_ub=matrix, b_ub=[1 - (1 - p[s].sum()) ** k for s in sets], bounds=[(0, b) for b in q])
        accepted = md.best_accepted(p, q, k, worth)
        assert accepted @ worth == pytest.approx(-solved.fun, abs=1e-9)
        assert accepted.sum() == pytest.approx(float(md.optimal_acceptance(p, q, k)), abs=1e-9)


def test_importance_law_against_the_sum_over_tuples():
    for p, q, k in pairs(4, 25):
        weight, law = q / p, np.zeros(p.size)
        for t in product(range(p.size), repeat=k):
            index = list(t)
            np.add.at(law, index, p[index].prod() * weight[index] / weight[index].sum())
        assert np.abs(md.importance_law(p, q, k) - law).max() < 1e-9


def test_one_draft_is_single_draft_speculation():
    for p, q, _ in pairs(5, 20):
        for scheme in ("optimal", "importance", "k_seq", "recursive"):
            assert md.acceptance(scheme, p, q, 1) == pytest.approx(np.minimum(p, q).sum(), abs=1e-8)
        assert md.acceptance("naive", p, q, 1) == pytest.approx(p @ q)


def test_identical_laws_always_accept():
    p = np.random.default_rng(6).dirichlet(np.ones(7))
    for scheme in ("optimal", "importance", "k_seq", "recursive"):
        assert np.allclose(md.acceptance(scheme, p, p, np.array([1.0, 2, 5])), 1, atol=1e-8)


def test_k_seq_ratio_solves_its_equation():
    for p, q, k in pairs(7, 50):
        rho = float(md.sequential_ratio(p, q, k))
        beta = np.minimum(p, q / rho).sum()
        assert 1 - (1 - beta) ** k == pytest.approx(rho * beta, abs=1e-9) and 1 <= rho <= k


def test_no_scheme_accepts_more_than_the_bound_and_laws_stay_below_the_target():
    for p, q, k in pairs(8, 100, most=12):
        best = md.optimal_acceptance(p, q, k)
        for scheme in md.PRACTICAL:
            assert md.acceptance(scheme, p, q, k) <= best + 1e-8
            assert (md.accepted_law(scheme, p, q, k) <= q + 1e-12).all()


def test_batches_and_counts_agree_with_one_at_a_time():
    rng = np.random.default_rng(9)
    p, q, counts = rng.dirichlet(np.ones(5), (3, 2)), rng.dirichlet(np.ones(5), (3, 2)), np.array([1.0, 3, 4])
    for scheme in md.SCHEMES:
        many = md.acceptance(scheme, p, q, counts)
        assert many.shape == (3, 3, 2)
        one = [[[float(md.acceptance(scheme, p[i, j], q[i, j], int(k))) for j in range(2)] for i in range(3)] for k in counts]
        assert np.allclose(many, one, atol=1e-9)


def test_zero_probabilities_and_extreme_ratios():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.2, 0.0, 0.8])
    assert md.optimal_acceptance(p, q, 2) == pytest.approx(0.2)
    assert all(md.acceptance(s, p, q, 4) == pytest.approx(0.2) for s in ("importance", "k_seq", "recursive"))
    p, q = np.array([1 - 1e-25, 1e-25]), np.array([1e-25, 1 - 1e-25])
    assert all(0 <= float(md.acceptance(s, p, q, 8)) < 1e-9 for s in md.SCHEMES)


@pytest.mark.parametrize("k", [2, 4])
def test_outputs_follow_the_target_and_acceptance_the_formula(k):
    rng = np.random.default_rng(10)
    m = 100_000
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.full(6, 0.7))
    drafts = md.draw_tokens(rng, p, (m, k))
    for scheme in md.SCHEMES:
        if scheme == "optimal":
            output, accepted = draw_plan(rng, optimal_plan(p, q, k), p, q, drafts)
        else:
            output, accepted = md.Sampler(scheme, p, q, k).choose(rng, drafts)
        assert chisquare(np.bincount(output, minlength=6), q * m).pvalue > 1e-4, scheme
        assert (drafts == output[:, None]).any(axis=1)[accepted].all()
        exact = float(md.acceptance(scheme, p, q, k))
        assert abs(accepted.mean() - exact) <= 4 * np.sqrt(max(exact * (1 - exact), 0) / m) + 1e-9, scheme
