"""Straight flows against closed forms, quadrature, scipy's integrators, bent paths, and Monte Carlo."""

import numpy as np
import ot
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import ndtri

from compute.transport_bridges.straight_flows import bending, flow, knowledge, schedules, step_curve
from compute.transport_bridges.straight_flows.couplings import (
    couple,
    curvature,
    data_law,
    euler,
    flow_lines,
    gaussian_curvature,
    moment,
)
from compute.transport_bridges.straight_flows.schedules import (
    SCHEDULES,
    angles,
    cone,
    knowledge_of_law,
    knowledge_of_points,
    schedule,
)
from compute.transport_bridges.straight_flows.views import one_step_error

T = np.linspace(0, 1, 4001)
Q = np.tan(np.minimum(angles(), np.pi / 2 - 1e-6))


@pytest.mark.parametrize("rho,s,known", [(0.0, 1.0, np.pi / 2), (0.5, 2.0, 1.81380), (-0.6, 0.7, 1.24001)])
def test_curvature_between_gaussians(rho, s, known):
    exact = float(gaussian_curvature(rho, s))
    assert exact == pytest.approx(known, abs=1e-5)

    def variance(t):
        return s**2 * (1 - rho**2) / ((1 - t) ** 2 + t**2 * s**2 + 2 * t * (1 - t) * rho * s)

    assert exact == pytest.approx(quad(variance, 0, 1)[0], abs=1e-8)
    assert curvature(couple(data_law("Gaussian", s), rho)) == pytest.approx(exact, rel=1e-3)


def test_curvature_of_modes_by_monte_carlo():
    """Var(x - z | x_t) in bins of x_t, over drawn pairs."""
    law, rho = data_law("two modes", 1.0), 0.5
    rng = np.random.default_rng(0)
    n = 200_000
    u = rng.random(n)
    x = np.interp(u, (grid := (np.arange(20_000) + 0.5) / 20_000), law.quantile(grid))
    z = rho * ndtri(u) + np.sqrt(1 - rho**2) * rng.standard_normal(n)
    t = rng.random(n)
    y = (1 - t) * z + t * x
    total, pieces = 0.0, 20
    for k in range(pieces):
        mine = (t >= k / pieces) & (t < (k + 1) / pieces)
        order = np.argsort(y[mine])
        groups = np.array_split((x - z)[mine][order], 100)
        total += np.mean([g.var(ddof=1) for g in groups]) / pieces
    spread = np.sqrt(2 / n) * 2
    # Within a bin of 1/20 in time and 1/100 of the mass the mean moves a little, which only adds.
    assert curvature(couple(law, rho)) == pytest.approx(total, abs=4 * spread + 0.01)


def test_velocity_of_the_independent_pair_is_the_mixtures_own():
    law = data_law("two uneven modes", 1.3)
    for t in (0.2, 0.5, 0.8):
        place = np.linspace(-1.5, 1.5, 9)
        found = moment(couple(law, 0.0), t, place)
        x = law.denoise((place / t)[:, None], (1 - t) / t)[:, 0]
        assert found.velocity == pytest.approx((x - place) / (1 - t), abs=0.02)
        noised = law.noised((1 - t) / t)
        assert found.density == pytest.approx(noised.pdf(place / t) / t, rel=0.02, abs=1e-3)
        assert found.level == pytest.approx(noised.cdf(place / t), abs=2e-3)


def test_flow_lines_solve_their_equation():
    law = data_law("two modes", 1.0)
    pairs = couple(law, 0.3)
    level = np.array([0.1, 0.35, 0.8])
    lines = flow_lines(pairs, level, np.array([0.1, 0.9]))
    solved = solve_ivp(lambda t, y: moment(pairs, t, y).velocity, (0.1, 0.9), lines[0], rtol=1e-7, atol=1e-8)
    assert solved.y[:, -1] == pytest.approx(lines[1], abs=6e-3)


@pytest.mark.parametrize("name", ["two modes", "five modes", "two uneven modes"])
def test_a_reflow_is_straight_and_one_step_is_exact(name):
    law = data_law(name, 1.0)
    pairs = couple(law, 1.0)
    assert curvature(pairs) < 1e-6
    level = (np.arange(300) + 0.5) / 300
    ends = euler(pairs, ndtri(level), 1)[-1]
    assert np.mean(np.abs(ends - law.quantile(level))) < 2e-3
    # It is optimal transport, and no other coupling has less energy.
    assert pairs.energy == pytest.approx(ot.emd2_1d(pairs.x, pairs.noise, pairs.weight, pairs.weight), abs=1e-6)
    energies = [couple(law, r).energy for r in (1.0, 0.9, 0.5, 0.0, -0.9)]
    assert np.all(np.diff(energies) > 0)


def test_every_coupling_keeps_both_laws():
    law = data_law("five modes", 2.0)
    assert law.scale == pytest.approx(2.0) and law.mean[0] == pytest.approx(0)
    for rho in (-0.7, 0.0, 0.9):
        pairs = couple(law, rho)
        start, end = moment(pairs, 0.0), moment(pairs, 1.0)
        middle = np.abs(start.place) < 2
        assert start.level[middle] == pytest.approx(np.vectorize(lambda v: quad(lambda w: np.exp(-w * w / 2) / np.sqrt(2 * np.pi), -9, v)[0])(start.place[middle]), abs=3e-3)  # fmt: skip
        assert end.level == pytest.approx(law.cdf(end.place), abs=6e-3)


def test_one_step_between_gaussians():
    for rho, s in ((0.4, 1.5), (-0.6, 0.8)):
        level = (np.arange(2000) + 0.5) / 2000
        ends = np.sort(euler(couple(data_law("Gaussian", s), rho), ndtri(level), 1)[-1])
        assert np.mean(np.abs(ends - s * ndtri(level))) == pytest.approx(
            float(one_step_error(np.array(rho), np.array(s))), rel=0.01
        )


def test_fully_known_data_make_conditional_ot_optimal():
    found = cone(np.ones(angles().size))
    assert found.total == pytest.approx(np.pi / 2, abs=1e-6) and found.least == pytest.approx(2, abs=1e-5)
    a, m = found.best(T)
    assert a == pytest.approx(T, abs=1e-3) and m == pytest.approx(1 - T, abs=1e-3)
    assert found.energy(T, 1 - T)[0] == pytest.approx(2, abs=1e-4)


def test_gaussian_data_cost_nothing_on_the_circle():
    found = cone(knowledge_of_law(data_law("Gaussian", 1.0), Q))
    assert found.total == pytest.approx(0, abs=1e-4)
    for name in ("VP trigonometric", "cosine squared"):
        assert found.energy(*schedule(name, T))[0] == pytest.approx(0, abs=1e-6)
    # Off it only the radius costs: int r'^2 dt of the straight path.
    exact = quad(lambda t: (2 * t - 1) ** 2 / (t * t + (1 - t) ** 2), 0, 1)[0]
    assert found.energy(T, 1 - T)[0] == pytest.approx(exact, abs=1e-4)


@pytest.fixture(scope="module")
def two_modes():
    return cone(knowledge_of_law(data_law("two modes", 1.0), Q))


def test_energies_of_two_modes(two_modes):
    assert two_modes.total == pytest.approx(0.25166, abs=2e-5)
    assert two_modes.least == pytest.approx(0.06300, abs=1e-5)
    assert two_modes.energy(T, 1 - T)[0] == pytest.approx(0.49753, abs=5e-5)
    assert two_modes.energy(*schedule("VP trigonometric", T))[0] == pytest.approx(0.10733, abs=5e-5)


def test_energy_is_that_of_the_velocity(two_modes):
    """E|v|^2 by quadrature over the noised mixture, with no use of the metric."""
    law = data_law("two modes", 1.0)
    x = np.linspace(-8, 8, 4001)

    def density(t):
        a, m, da, dm = t, 1 - t, 1.0, -1.0
        y = law.noised(m / a)
        known = law.denoise((x / a)[:, None], m / a)[:, 0]
        v = da * known + dm * (x - a * known) / m
        return np.trapezoid(y.pdf(x / a) / a * v**2, x)

    assert quad(density, 1e-3, 1 - 1e-3, limit=60, epsabs=1e-5)[0] == pytest.approx(0.4975, abs=2.5e-3)


def test_no_path_nearby_is_cheaper(two_modes):
    """The metric written out in (r, p), at the chord and at paths bent away from it."""
    a, m = two_modes.best(T)

    def energy(r, p):
        middle = (p[1:] + p[:-1]) / 2
        speed = np.interp(middle, two_modes.angle, two_modes.speed)
        dt = T[1] - T[0]
        return np.sum(np.diff(r) ** 2 + ((r[1:] + r[:-1]) / 2 * speed * np.diff(p)) ** 2) / dt

    r, p = np.hypot(a, m), np.arctan2(a, m)
    least = energy(r, p)
    assert least == pytest.approx(two_modes.least, rel=2e-3)
    for j in range(1, 7):
        bend = np.sin(j * np.pi * T)
        for size in (-0.03, 0.03):
            assert energy(r + size * bend, p) > least + 1e-4
            moved = np.maximum.accumulate(np.clip(p + size * bend, 0, np.pi / 2))
            assert energy(r, moved) > least + 1e-6
    density = two_modes.energy(a, m)[1]
    assert density[20:-20] == pytest.approx(np.full(density.size - 40, two_modes.least), rel=1e-3)


def test_finite_sets():
    alone = cone(knowledge_of_points(np.random.default_rng(0), 1, 3, Q))
    assert alone.total == pytest.approx(np.pi / 2, abs=1e-6)
    # Two opposite points on a line are the two modes of no width: the same lambda by quadrature.
    rng = np.random.default_rng(1)
    q = np.array([0.3, 1.0, 2.0])
    z = np.linspace(-9, 9, 4001)
    exact = [np.trapezoid(np.exp(-0.5 * (z - k) ** 2) / np.sqrt(2 * np.pi) * np.tanh(k * z) ** 2, z) for k in q]
    drawn = []
    while len(drawn) < 40:
        seed = int(rng.integers(10_000))
        if np.prod(np.random.default_rng(seed).standard_normal((2, 1))) < 0:
            drawn.append(knowledge_of_points(np.random.default_rng(seed), 2, 1, q))
    mean, error = np.mean(drawn, axis=0), np.std(drawn, axis=0, ddof=1) / np.sqrt(40)
    assert np.abs((mean - exact) / error).max() < 4
    high, low = (cone(knowledge_of_points(np.random.default_rng(0), 100, d, Q)).total for d in (200, 3))
    assert low < high < np.pi / 2 + 1e-6 and high > 1.4


def test_views_say_what_they_hold():
    shown = flow(rho=1.0, nfe=1).headline()
    assert shown["W₁ after 1 Euler steps, chosen"] < 0.01 < shown["W₁ after 1 Euler steps, independent"]
    assert shown["curvature, chosen"] < 1e-6
    assert bending(rho=0.0, data="Gaussian").headline()["curvature, Gaussian data"] == pytest.approx(np.pi / 2)
    energies = schedules(source="the line").energy
    assert min(energies, key=energies.get) == "kinetic optimal" and set(SCHEDULES) < set(energies)
    curve = step_curve().error
    assert curve["ρ = 0.98"][-1] < curve["ρ = 0.5"][-1] < curve["ρ = 0"][-1]
    done, first = next(iter(knowledge.stream()))
    assert done < 1 and first.total[2].size == 1 and first.total[2][0] == pytest.approx(np.pi / 2, abs=1e-6)
