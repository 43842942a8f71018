"""Orlicz-Wasserstein distances against POT, closed forms, and the properties that define them."""

import numpy as np
import ot
import pytest

from compute.methods.orlicz import (
    EXPONENTIAL,
    GAUSSIAN,
    by_entropic_cost,
    by_linear_programs,
    monotone_coupling,
    on_the_line,
    orlicz_norm,
    power,
    without_dust,
)

PHIS = (power(1), power(2), power(3.5), EXPONENTIAL, GAUSSIAN)


def line(seed, n=12, m=9):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.dirichlet(np.ones(n)), rng.normal(size=m) + 1, rng.dirichlet(np.ones(m))


def gaps(x, y):
    return np.linalg.norm(x[:, None] - y, axis=2)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_powers_give_the_wasserstein_distances_of_pot(p):
    x, a, y, b = line(0)
    assert on_the_line(x, a, y, b, power(p)) == pytest.approx(ot.wasserstein_1d(x, y, a, b, p=p) ** (1 / p), abs=1e-10)
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=(12, 2)), rng.normal(size=(9, 2))
    cost = gaps(u, v)
    found = by_linear_programs(a, b, cost, power(p))
    assert found.distance == pytest.approx(ot.emd2(a, b, cost**p) ** (1 / p), abs=1e-8)
    assert found.plan.sum(axis=1) == pytest.approx(a, abs=1e-8) and found.plan.sum(axis=0) == pytest.approx(b, abs=1e-8)


@pytest.mark.parametrize("phi,factor", [(EXPONENTIAL, 1 / np.log(2)), (GAUSSIAN, 1 / np.sqrt(np.log(2))), (power(4), 1.0)])
def test_two_atoms(phi, factor):
    one = np.ones(1)
    assert on_the_line(np.zeros(1), one, np.array([3.0]), one, phi) == pytest.approx(3 * factor, rel=1e-12)
    assert by_linear_programs(one, one, np.array([[3.0]]), phi).distance == pytest.approx(3 * factor, rel=1e-12)


@pytest.mark.parametrize("phi", PHIS, ids=lambda phi: phi.name)
def test_norm_solves_its_equation_and_knows_zero(phi):
    rng = np.random.default_rng(2)
    d, m = rng.exponential(size=20) * 10.0 ** rng.integers(-3, 4, 20), rng.dirichlet(np.ones(20))
    k = orlicz_norm(d, m, phi)
    assert m @ phi.value(d / k) == pytest.approx(1, abs=1e-9)
    assert orlicz_norm(np.zeros(3), np.ones(3) / 3, phi) == 0
    assert phi.inverse(phi.value(np.array([0.1, 1.0, 3.0]))) == pytest.approx([0.1, 1.0, 3.0])


@pytest.mark.parametrize("phi", PHIS, ids=lambda phi: phi.name)
def test_it_is_a_distance(phi):
    for seed in range(5):
        x, a, y, b = line(seed)
        z, c = np.random.default_rng(50 + seed).normal(size=7), np.full(7, 1 / 7)
        xy = on_the_line(x, a, y, b, phi)
        assert on_the_line(y, b, x, a, phi) == pytest.approx(xy, rel=1e-12)
        assert on_the_line(5 * x - 2, a, 5 * y - 2, b, phi) == pytest.approx(5 * xy, rel=1e-10)
        assert xy <= on_the_line(x, a, z, c, phi) + on_the_line(z, c, y, b, phi) + 1e-12
        assert on_the_line(x, a, x, a, phi) == pytest.approx(0, abs=1e-12)
        # Jensen.
        assert on_the_line(x, a, y, b, power(1)) <= phi.inverse(np.array(1.0)) * xy * (1 + 1e-12)


def test_a_larger_function_gives_a_larger_distance():
    for seed in range(5):
        x, a, y, b = line(seed)
        # x <= exp(x) - 1, and (exp(x) - 1)/... >= x^2/2: on distances, x^2/2 scales k by sqrt 2.
        e = on_the_line(x, a, y, b, EXPONENTIAL)
        assert on_the_line(x, a, y, b, power(1)) <= e
        assert on_the_line(x, a, y, b, power(2)) <= np.sqrt(2) * e
        assert on_the_line(x, a, y, b, power(2)) <= on_the_line(x, a, y, b, GAUSSIAN)


@pytest.mark.parametrize("phi", [power(2), EXPONENTIAL, GAUSSIAN], ids=lambda phi: phi.name)
def test_linear_programs_on_the_line_are_the_monotone_coupling(phi):
    for seed in range(4):
        x, a, y, b = line(seed)
        found = by_linear_programs(a, b, np.abs(x[:, None] - y), phi)
        assert found.distance == pytest.approx(on_the_line(x, a, y, b, phi), rel=1e-9)


@pytest.mark.parametrize("phi", [EXPONENTIAL, GAUSSIAN], ids=lambda phi: phi.name)
def test_in_the_plane_it_is_where_the_optimal_cost_is_one(phi):
    rng = np.random.default_rng(3)
    u, v, a, b = rng.normal(size=(4, 2)) * 3, rng.normal(size=(8, 2)) * 3, rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(8))
    cost = gaps(u, v)
    k = by_linear_programs(a, b, cost, phi).distance
    assert ot.emd2(a, b, phi.value(cost / k)) == pytest.approx(1, abs=1e-7)
    # Bisection on k, as the definition says.
    low, high = 0.2 * k, 5 * k
    for _ in range(45):
        middle = np.sqrt(low * high)
        is_above = ot.emd2(a, b, np.minimum(phi.value(cost / middle), 1e6)) > 1
        low, high = (middle, high) if is_above else (low, middle)
    assert k == pytest.approx(high, rel=1e-7)


def test_monotone_coupling_has_its_marginals_and_order():
    x, a, y, b = line(4)
    mass, start, end = monotone_coupling(x, a, y, b)
    for points, weights, ends in ((x, a, start), (y, b, end)):
        assert [mass[ends == p].sum() for p in points] == pytest.approx(weights, abs=1e-12)
    order = np.argsort(start, kind="stable")
    assert np.all(np.diff(np.maximum.accumulate(end[order])) >= 0)


def test_entropic_costs_enclose_the_distance_and_tend_to_it():
    rng = np.random.default_rng(5)
    u, v = rng.normal(size=(3, 2)) * 3, rng.normal(size=(8, 2)) * 3
    a, b = np.full(3, 1 / 3), rng.dirichlet(np.ones(8))
    exact = by_linear_programs(a, b, gaps(u, v), EXPONENTIAL).distance
    errors = []
    for epsilon in (0.3, 0.03):
        above = by_entropic_cost(a, b, gaps(u, v), (gaps(u, u), gaps(v, v)), EXPONENTIAL, epsilon, is_debiased=False)
        below = by_entropic_cost(a, b, gaps(u, v), (gaps(u, u), gaps(v, v)), EXPONENTIAL, epsilon)
        assert below < exact < above
        errors.append(above - exact)
    assert errors[1] < 0.2 * errors[0]
    # At its own k the entropic cost by POT is one.
    cost = EXPONENTIAL.value(gaps(u, v) / above)
    plan = ot.sinkhorn(a, b, cost, 0.03, method="sinkhorn_log", numItermax=100_000, stopThr=1e-11)
    assert np.sum(plan * cost) + 0.03 * np.sum(plan * np.log(plan / np.outer(a, b))) == pytest.approx(1, abs=2e-3)


def test_dust_is_left_out():
    means, weights = without_dust(np.arange(6.0).reshape(3, 2), np.array([0.4, 1e-9, 0.6 - 1e-9]))
    assert means.shape == (2, 2) and weights.sum() == pytest.approx(1, abs=1e-15)
