"""Transport against POT, closed forms and the properties that define it."""

import numpy as np
import ot
import pytest
from scipy.stats import wasserstein_distance

from compute.methods.optimal_transport import exact, sinkhorn, squared_distance


def problem(seed, n=30, m=40, d=2):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), 1.5 * rng.standard_normal((m, d)) + 0.5
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), squared_distance(x, y), x, y


@pytest.mark.parametrize("epsilon", [1.0, 0.1])
def test_sinkhorn_is_that_of_pot(epsilon):
    a, b, cost, x, y = problem(0)
    assert cost == pytest.approx(ot.dist(x, y), abs=1e-12)
    found = sinkhorn(a, b, cost, epsilon, tolerance=1e-11)
    plan = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", numItermax=100_000, stopThr=1e-12)
    assert np.abs(found.plan - plan).max() < 1e-8
    assert found.cost == pytest.approx(np.sum(plan * cost), abs=1e-8)
    # With the entropy: <P, C> + eps KL(P | a b).
    relative = plan * np.log(plan / (a[:, None] * b))
    assert found.value == pytest.approx(np.sum(plan * cost) + epsilon * relative.sum(), abs=1e-8)


def test_exact_is_that_of_pot_with_its_certificate():
    for seed in range(3):
        a, b, cost, _, _ = problem(seed)
        a[:5] = 0.0
        a /= a.sum()
        found = exact(a, b, cost)
        assert found.cost == pytest.approx(ot.emd2(a, b, cost), abs=1e-8)
        assert found.value == pytest.approx(found.cost, abs=1e-8)
        assert np.all(found.first[:, None] + found.second <= cost + 1e-9)
        assert found.residual < 1e-10


def test_small_regularization_does_not_overflow_and_tends_to_exact():
    a, b, cost, _, _ = problem(3)
    cost = 30 * cost  # the kernel's entries range over e^{-60,000}
    best = exact(a, b, cost).cost
    found = sinkhorn(a, b, cost, 0.05, tolerance=1e-4)
    assert np.isfinite(found.plan).all() and found.residual < 1e-4
    # Relative entropy to a b^T lies between 0 and the entropy of a.
    assert best - 1e-3 < found.value < best - 0.05 * np.sum(a * np.log(a))


def test_on_a_line_it_is_scipys_distance():
    rng = np.random.default_rng(4)
    x, y, a, b = rng.standard_normal(30), rng.standard_normal(25), rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(25))
    assert exact(a, b, np.abs(x[:, None] - y)).cost == pytest.approx(wasserstein_distance(x, y, a, b), abs=1e-9)


def test_marginals_and_warm_start():
    a, b, cost, _, _ = problem(5)
    found = sinkhorn(a, b, cost, 0.1)
    assert np.abs(found.plan.sum(axis=0) - b).max() < 1e-12
    assert np.abs(found.plan.sum(axis=1) - a).sum() == pytest.approx(found.residual, abs=1e-9) and found.residual < 1e-7
    again = sinkhorn(a, b, cost, 0.1, start=found.second)
    assert again.sweeps < 20 < found.sweeps and again.value == pytest.approx(found.value, abs=1e-8)


def test_first_potential_is_the_gradient_in_the_weights():
    a, b, cost, _, _ = problem(6)
    a[3] = 0.0  # a point that carries nothing has a price too
    a /= a.sum()
    away = np.zeros(a.size)
    away[3], away[7] = 1.0, -1.0
    found = sinkhorn(a, b, cost, 0.2, tolerance=1e-11)
    step = 1e-5
    change = sinkhorn(a + step * away, b, cost, 0.2, tolerance=1e-11).value - found.value
    assert change / step == pytest.approx(found.first @ away, abs=1e-3)
    inside = np.zeros(a.size)
    inside[5], inside[7] = 1.0, -1.0
    ends = [sinkhorn(a + s * inside, b, cost, 0.2, tolerance=1e-11).value for s in (-step, step)]
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(found.first @ inside, rel=1e-4, abs=1e-4)
