"""The sparsity law against grids, SciPy's minimizers and identities of its optimum."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize, minimize_scalar

from compute.models import sparsity_law as sl
from compute.models.sparsity_law import ABNAR, Budget


def within(compute, n, x, budget=Budget()):
    return sl.loss(ABNAR, n, sl.tokens_within(compute, n, x, budget), x)


def test_fixed_tokens_closed_form():
    share = sl.best_share_at_fixed_tokens(ABNAR, np.array([1e9, 5.8e9, 1e10, 1e11, 1e12]))
    assert share[:2] == pytest.approx([1.0, 1.0])
    assert share[2:] == pytest.approx([0.769, 0.250, 0.0813], rel=2e-3)
    assert np.diff(np.log(share[2:])) / np.log(10) == pytest.approx(-0.488, abs=1e-3)
    x = np.geomspace(1e-3, 1, 20_001)
    for n, best in ((1e9, share[0]), (1e11, share[3])):
        assert x[np.argmin(sl.loss(ABNAR, n, 1e11, x))] == pytest.approx(best, rel=1e-3)


def test_without_the_gain_from_sparsity_dense_is_best():
    assert sl.best_share_at_fixed_tokens(ABNAR._replace(lambda_=0.05), np.array([1e9, 1e13])) == pytest.approx(1.0)


def test_fixed_compute_root_against_a_grid_and_its_own_equation():
    x = np.geomspace(1e-3, 1, 10_000)
    for n, compute in ((1e9, 1e20), (1e10, 1e21), (1e11, 1e22)):
        best = sl.best_share(ABNAR, n, compute, smallest_share=1e-3)[0]
        assert best == pytest.approx(x[np.argmin(within(compute, n, x))], rel=1e-3)
        mu = -ABNAR.lambda_

        def balance(t, n=n, compute=compute, mu=mu):
            left = ABNAR.c * mu * t**mu + ABNAR.beta * ABNAR.b * (6 * n / compute) ** ABNAR.beta * t**ABNAR.beta
            return left - ABNAR.delta * ABNAR.d * n**-ABNAR.gamma * t**-ABNAR.delta

        assert best == pytest.approx(min(1.0, brentq(balance, 1e-6, 1e3)), rel=1e-9)


@pytest.mark.parametrize("budget", [Budget(), Budget(1e12, 0.0), Budget(0.0, 3e10), Budget(1e12, 1e10)])
def test_free_optimum_against_scipy(budget):
    """Nelder-Mead in (log N, log x), which knows nothing of the envelope theorem."""
    compute = 1e22
    n, x = sl.optimum(ABNAR, compute, smallest_share=1e-3, largest_size=2e11, budget=budget)

    def penalized(p):
        outside = p[0] > np.log(2e11) or p[1] > 0 or p[1] < np.log(1e-3)
        if outside or sl.tokens_within(compute, np.exp(p[0]), np.exp(p[1]), budget) <= 0:
            return 1e3
        return float(within(compute, np.exp(p[0]), np.exp(p[1]), budget))

    starts = [(np.log(n0), np.log(x0)) for n0, x0 in ((1e9, 0.3), (1e10, 0.05), (1.5e11, 0.01))]
    found = [minimize(penalized, s, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000}) for s in starts]
    best = min(found, key=lambda f: f.fun)
    value = float(within(compute, n, x, budget)[0])
    assert value <= best.fun + 1e-10
    assert value == pytest.approx(best.fun, abs=2e-6)


def test_capped_optimum_of_the_plan():
    n, x = sl.optimum(ABNAR, [1e21, 1e22], smallest_share=0.02, largest_size=1e11)
    assert n == pytest.approx([8.33e10, 1e11], rel=2e-3)
    assert 1 - x == pytest.approx([0.98, 0.9744], abs=2e-4)


def test_without_a_cap_sparsity_has_no_end():
    sparsity = 1 - np.geomspace(1e-3, 1, 31)
    for compute in (1e18, 1e21, 1e25):
        best = []
        for s in sparsity:
            size = np.geomspace(1e5, 1e18, 3000)
            best.append(np.min(within(compute, size, 1 - s)))
        assert np.all(np.diff(best) > 0)  # sparsity falls along the array
        _, x = sl.optimum(ABNAR, compute, smallest_share=1e-3, largest_size=1e18)
        assert x == pytest.approx(1e-3)
    # The stationary point exists, at the sparsity that the words quote.
    n, x = sl.optimum(ABNAR, 1e21, smallest_share=1e-30, largest_size=1e60)
    assert (n[0], x[0]) == (pytest.approx(2.7e22, rel=0.05), pytest.approx(6.0e-14, rel=0.05))
    step = 1.5
    for dn, dx in ((step, 1), (1 / step, 1), (1, step), (1, 1 / step)):
        assert within(1e21, n * dn, x * dx) > within(1e21, n, x)


def test_dense_models_are_a_plain_law():
    compute = 1e21
    n, x = sl.optimum(ABNAR, compute, smallest_share=1.0, largest_size=1e16)

    def dense(log_n):
        n = np.exp(log_n)
        tokens = compute / (6 * n)
        reducible = ABNAR.a / n**ABNAR.alpha + ABNAR.d / n**ABNAR.gamma + ABNAR.b / tokens**ABNAR.beta
        return ABNAR.c + ABNAR.e + reducible

    found = minimize_scalar(dense, bounds=(np.log(1e7), np.log(1e12)), method="bounded", options={"xatol": 1e-10})
    assert x[0] == 1.0
    assert np.log(n[0]) == pytest.approx(found.x, abs=1e-5)
    assert float(within(compute, n, x)[0]) == pytest.approx(found.fun, abs=1e-12)


@pytest.mark.parametrize("budget", [Budget(), Budget(1e12, 3e10)])
def test_fixed_share_frontier_is_the_optimum(budget):
    for share in (1.0, 0.1):
        sizes = np.array([1e8, 3e9, 1e11])
        compute, tokens, level = sl.fixed_share_frontier(ABNAR, sizes, share, budget)
        for k, n in enumerate(sizes):
            assert sl.tokens_within(compute[k], n, share, budget) == pytest.approx(tokens[k], rel=1e-9)
            near = n * np.array([0.97, 1.03])
            left = sl.tokens_within(compute[k], near, share, budget)
            assert np.all(sl.loss(ABNAR, near, left, share) > level[k])


def test_dense_compute_inverts_the_dense_frontier():
    for budget in (Budget(), Budget(1e11, 1e9)):
        compute = np.array([1e19, 1e21, 1e24])
        n, x = sl.optimum(ABNAR, compute, smallest_share=1.0, largest_size=1e16, budget=budget)
        level = within(compute, n, x, budget)
        assert sl.dense_compute(ABNAR, level, budget) == pytest.approx(compute, rel=1e-4)
    assert np.isnan(sl.dense_compute(ABNAR, ABNAR.c + ABNAR.e))


def test_parameters_round_trip():
    assert sl.law_from_parameters(sl.parameters_from_law(ABNAR)) == pytest.approx(ABNAR, rel=1e-12)
