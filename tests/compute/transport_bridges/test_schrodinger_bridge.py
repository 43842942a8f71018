"""Bridges by four algorithms against closed forms, POT, linear programming's limit and each other."""

import numpy as np
import ot
import pytest
from scipy.integrate import quad
from scipy.optimize import check_grad, minimize
from scipy.stats import norm

from compute.parameters import ParameterError
from compute.transport_bridges.schrodinger_bridge import bundle, energy_dual, flight, light_error, plans, race, speed_map
from compute.transport_bridges.schrodinger_bridge.energy import Dual, features, learn
from compute.transport_bridges.schrodinger_bridge.gaussian import (
    Plan,
    bridge,
    bridge_covariance,
    fit_end,
    fit_start,
    markovian_fitting,
    markovian_rate,
    markovian_step,
    path_covariance,
    proportional_fitting,
    proportional_rate,
    reference_plan,
)
from compute.transport_bridges.schrodinger_bridge.grid import (
    divergence,
    exact_plan,
    markovian_steps,
    monotone_plan,
    proportional_steps,
)
from compute.transport_bridges.schrodinger_bridge.light import LightBridge, brownian_bridges, fit_light
from compute.transport_bridges.schrodinger_bridge.setting import first_plan, line_laws, line_walk, plane_pair


@pytest.mark.parametrize("epsilon,s1", [(1.0, 2.0), (0.05, 0.5), (8.0, 3.0)])
def test_the_bridge_is_a_fixed_point_of_markovian_fitting_at_every_number_of_times(epsilon, s1):
    c = bridge_covariance(1.0, s1, epsilon)
    assert c == pytest.approx(np.sqrt(s1**2 + epsilon**2 / 4) - epsilon / 2, abs=1e-12)
    for n in (1, 2, 7, 50, None):
        assert markovian_step(c, 1.0, s1, epsilon, n) == pytest.approx(c, abs=1e-12)


def test_published_rates():
    assert bridge_covariance(1, 2, 1) == pytest.approx(1.56155, abs=1e-5)
    assert proportional_rate(1, 2, 1, True) == pytest.approx(0.6096, abs=5e-5)
    assert proportional_rate(1, 2, 1, False) == pytest.approx(0.3716, abs=5e-5)
    for n, rate in ((1, 0.5481), (2, 0.3850), (5, 0.2216), (20, 0.1078), (None, 0.0635)):
        assert markovian_rate(1, 2, 1, n) == pytest.approx(rate, abs=5e-5)
    assert proportional_rate(1, 2, 0.01, False) == pytest.approx(0.9900, abs=1e-4)
    assert markovian_rate(1, 2, 0.01, None) == pytest.approx(0.0008, abs=5e-5)


@pytest.mark.parametrize("n", [1, 4, None])
def test_markovian_rate_is_the_derivative_of_the_step(n):
    c, h = bridge_covariance(1.0, 1.7, 0.6), 1e-5
    slope = (markovian_step(c + h, 1.0, 1.7, 0.6, n) - markovian_step(c - h, 1.0, 1.7, 0.6, n)) / (2 * h)
    assert markovian_rate(1.0, 1.7, 0.6, n) == pytest.approx(slope, rel=1e-6)
    found = [p.covariance - c for p in markovian_fitting(1.0, 1.7, 0.6, n, 8, -1.0)]
    assert found[-1] / found[-2] == pytest.approx(slope, rel=0.01)


def test_continuous_step_is_the_limit_and_an_integral():
    c = 0.3
    limit = markovian_step(c, 1.0, 2.0, 1.0, None)
    assert markovian_step(c, 1.0, 2.0, 1.0, 20_000) == pytest.approx(limit, abs=1e-4)
    integral = quad(lambda t: 1 / float(path_covariance(np.array(t), np.array(t), c, 1.0, 2.0, 1.0)), 0, 1)[0]
    assert limit == pytest.approx(2 * np.exp(-integral / 2), abs=1e-10)


def test_proportional_fitting_converges_at_its_rates():
    ends = bridge(1.0, 2.0, 1.0, 1.5)
    runs = proportional_fitting(1.0, 2.0, 1.0, 30, 1.5)
    means = np.array([p.mean[1] - 1.5 for p in runs])
    assert means[12] / means[11] == pytest.approx(0.6096, abs=1e-4)
    centered = np.array([p.covariance - ends.covariance for p in proportional_fitting(1.0, 2.0, 1.0, 30)])
    assert centered[12] / centered[11] == pytest.approx(0.3716, rel=0.01)
    assert runs[-1].covariance == pytest.approx(ends.covariance, abs=1e-10)


def test_half_steps_keep_the_conditional():
    plan = reference_plan(1.0, 0.7)
    moved = fit_end(plan, 0.4, 2.5)
    assert moved.mean[1] == 0.4 and moved.variance[1] == 2.5
    # Regression of start on end, and what it leaves, stay.
    assert moved.covariance / moved.variance[1] == pytest.approx(plan.covariance / plan.variance[1])
    left = [p.variance[0] - p.covariance**2 / p.variance[1] for p in (plan, moved)]
    assert left[0] == pytest.approx(left[1])
    assert fit_start(moved, 0.0, 1.0).variance[0] == 1.0


def test_a_wrong_start_is_kept_by_proportional_and_forgotten_by_markovian_fitting():
    kept = proportional_fitting(1.0, 2.0, 1 / 0.7, 200)[-1].covariance
    assert kept == pytest.approx(1.40944, abs=1e-5)
    for start in (-1.0, 0.0, 1.0):
        assert markovian_fitting(1.0, 2.0, 1.0, 3, 80, start)[-1].covariance == pytest.approx(1.56155, abs=1e-5)


def test_divergence_of_gaussian_plans_is_that_of_a_sum():
    a, b = Plan((0.0, 0.5), (1.0, 2.0), 0.6), Plan((0.1, 0.0), (1.5, 1.0), 0.2)
    x = np.linspace(-9, 9, 241)
    from scipy.stats import multivariate_normal as mvn

    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1)
    logs = [mvn(p.mean, [[p.variance[0], p.covariance], [p.covariance, p.variance[1]]]).logpdf(grid) for p in (a, b)]
    value = np.sum(np.exp(logs[0]) * (logs[0] - logs[1])) * (x[1] - x[0]) ** 2
    assert a.divergence(b) == pytest.approx(value, rel=1e-6)


@pytest.fixture(scope="module")
def chain():
    x, p, q = line_laws("two modes to three", 1.5, 1.0)
    reference = line_walk(x, 0.6, 4)
    return x, p, q, reference, exact_plan(reference, p, q)


def test_the_exact_plan_is_that_of_pot(chain):
    x, p, q, reference, target = chain
    cost = -np.log(np.maximum(reference.whole, 1e-300))
    keep = [law > 1e-14 for law in (p, q)]  # POT's log of empty cells
    plan = ot.sinkhorn(
        p[keep[0]] / p[keep[0]].sum(), q[keep[1]] / q[keep[1]].sum(), cost[np.ix_(*keep)], 1.0, method="sinkhorn_log",
        numItermax=20_000, stopThr=1e-13,
    )  # fmt: skip
    assert np.abs(plan - target[np.ix_(*keep)]).max() < 1e-8
    assert np.allclose(reference.powers[1], reference.powers[1].T) and reference.powers[1].min() >= 0
    assert reference.powers[1].sum(axis=1) == pytest.approx(np.ones(x.size))


def test_the_walk_has_the_variance_of_the_noise(chain):
    x, _, _, reference, _ = chain
    middle = x.size // 2
    assert reference.whole[middle] @ (x - x[middle]) ** 2 == pytest.approx(0.6, rel=0.01)


def test_proportional_fitting_on_the_grid_never_moves_away(chain):
    _, p, q, reference, target = chain
    found = list(proportional_steps(reference, p, q, 15))
    ends = [divergence(q[:, None], plan.sum(axis=0)[:, None]) for plan in found]
    assert np.all(np.diff(ends) <= 1e-14)
    assert np.abs(found[-1].sum(axis=1) - p).max() < 1e-15
    assert divergence(found[-1], target) < 1e-3 * divergence(found[0], target)


@pytest.mark.parametrize("coupling", ["independent", "reversed", "optimal transport"])
def test_markovian_fitting_keeps_both_laws_and_never_moves_away(chain, coupling):
    _, p, q, reference, target = chain
    found = list(markovian_steps(reference, first_plan(coupling, p, q), 12))
    for plan in found:
        assert np.abs(plan.sum(axis=1) - p).max() < 1e-12 and np.abs(plan.sum(axis=0) - q).max() < 1e-9
    values = [divergence(plan, target) for plan in found]
    assert np.all(np.diff(values) <= 1e-12) and values[-1] < 1e-6


def test_the_grid_repeats_the_gaussian_recursions():
    result = race(iterations=8)
    for name in result.grid:
        shown = result.theory[name] > 1e-9
        shown[0] = name == "proportional"  # the independent plan is cut off by the grid differently
        assert np.log(result.grid[name][shown]) == pytest.approx(np.log(result.theory[name][shown]), abs=0.02)
    told = result.headline()
    assert told["rate, proportional, measured"] == pytest.approx(told["rate, proportional, theory"], rel=0.01)
    assert told["rate, Markovian, N = 5, measured"] == pytest.approx(told["rate, Markovian N = 5, theory"], rel=0.01)


def test_the_monotone_plan_is_optimal_transport():
    x, p, q = line_laws("Gaussian to two modes", 1.0, 0.0)
    cost = (x[:, None] - x) ** 2
    assert np.sum(monotone_plan(p, q) * cost) == pytest.approx(ot.emd2_1d(x, x, p, q), abs=1e-10)


def test_one_component_of_a_light_bridge_is_the_gaussian_bridge():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((400, 1)) + 0.3, 2 * rng.standard_normal((400, 1)) - 1
    for epsilon in (0.1, 1.0, 10.0):
        fitted = fit_light(rng, x, y, epsilon, 1)
        exact = bridge_covariance(x.std(), y.std(), epsilon)
        assert fitted.scale[0, 0] * x.var() == pytest.approx(exact, rel=1e-3)
        assert fitted.center[0, 0] + fitted.scale[0, 0] * x.mean() == pytest.approx(y.mean(), abs=2e-3)


def mixture_bridge():
    return LightBridge(np.log([0.4, 0.6]), np.array([[1.0, -0.5], [-2.0, 0.3]]), np.array([[0.8, 0.5], [0.6, 1.2]]), 0.7, 0.0)


def test_light_plan_integrates_its_own_potential():
    light = mixture_bridge()
    x0 = np.array([0.4, -0.3])
    y = np.linspace(-9, 9, 301)
    grid = np.stack(np.meshgrid(y, y, indexing="ij"), axis=-1)
    v = sum(
        np.exp(a) * np.prod(norm.pdf(grid, r, np.sqrt(0.7 * s)), axis=-1)
        for a, r, s in zip(light.log_weight, light.center, light.scale, strict=True)
    )
    tilted = v * np.exp(grid @ x0 / 0.7)
    c = tilted.sum() * (y[1] - y[0]) ** 2
    assert np.exp(light.logits(x0[None])).sum() == pytest.approx(c, rel=1e-6)
    mean = np.sum(tilted[..., None] * grid, axis=(0, 1)) / tilted.sum()
    ends, _ = light.sample_end(np.random.default_rng(0), np.repeat(x0[None], 40_000, axis=0))
    assert np.abs((ends.mean(axis=0) - mean) / (ends.std(axis=0) / 200)).max() < 4
    # The drift at time 0 aims at the plan's own mean; later at that of the Brownian bridge's posterior.
    assert light.drift(x0[None], 0.0)[0] == pytest.approx(mean - x0, abs=1e-6)
    t = 0.6
    later = v * np.exp((grid @ x0 / (1 - t) - t / (1 - t) * np.sum(grid**2, axis=-1) / 2) / 0.7)
    aim = np.sum(later[..., None] * grid, axis=(0, 1)) / later.sum()
    assert light.drift(x0[None], t)[0] == pytest.approx((aim - x0) / (1 - t), abs=1e-6)


def test_the_drift_carries_particles_to_the_plan():
    light, rng = mixture_bridge(), np.random.default_rng(1)
    x = np.repeat([[0.4, -0.3]], 4000, axis=0)
    ends, _ = light.sample_end(rng, x)
    steps = 150
    for k in range(steps):
        x = x + light.drift(x, k / steps) / steps + np.sqrt(0.7 / steps) * rng.standard_normal(x.shape)
    for moment in (lambda z: z, lambda z: z**2):
        gap = moment(x).mean(axis=0) - moment(ends).mean(axis=0)
        assert np.abs(gap / (moment(x).std(axis=0) * np.sqrt(2 / 4000))).max() < 4.5


def test_the_fit_reaches_a_minimum():
    """The objective of the fit is what it says, and no quasi-Newton step from there improves on it much."""
    rng = np.random.default_rng(2)
    start, end = plane_pair("8 Gaussians")
    x, y = start.sample(rng, 300), end.sample(rng, 300)
    fitted = fit_light(rng, x, y, 1.0, 8, steps=400)
    log_c = np.log(np.exp(fitted.logits(x)).sum(axis=1))
    v = sum(
        np.exp(a) * np.prod(norm.pdf(y, r, np.sqrt(s)), axis=1)
        for a, r, s in zip(fitted.log_weight, fitted.center, fitted.scale, strict=True)
    )
    assert fitted.objective == pytest.approx(log_c.mean() - np.log(v).mean(), abs=1e-10)
    better = [fit_light(np.random.default_rng(k), x, y, 1.0, 1).objective for k in range(2)]
    assert better[0] == pytest.approx(better[1], abs=1e-5) and fitted.objective < better[0] - 1


def test_large_noise_makes_ends_independent_of_starts():
    rng = np.random.default_rng(3)
    start, end = plane_pair("8 Gaussians")
    x = start.sample(rng, 4000)
    ends = {e: fit_light(rng, x[:1000], end.sample(rng, 1000), e, 12).sample_end(rng, x)[0] for e in (0.1, 300.0)}
    correlation = {e: np.corrcoef(x[:, 0], y[:, 0])[0, 1] for e, y in ends.items()}
    assert correlation[0.1] > 0.7 and abs(correlation[300.0]) < 4 / np.sqrt(4000) + 0.01
    error = ot.gaussian.empirical_bures_wasserstein_distance(ends[0.1], end.sample(rng, 4000))
    assert error**2 < 0.02 * end.scale**2 * 2


def test_brownian_bridges_have_their_covariance():
    rng = np.random.default_rng(4)
    paths = brownian_bridges(rng, np.zeros((20_000, 1)), np.ones((20_000, 1)), 0.5, np.linspace(0, 1, 5))[:, :, 0]
    assert np.all(paths[0] == 0) and paths[-1] == pytest.approx(np.ones(20_000))
    t = np.linspace(0, 1, 5)[1:4]
    exact = 0.5 * (np.minimum(t[:, None], t) - t[:, None] * t)
    assert np.cov(paths[1:4]) == pytest.approx(exact, abs=4 * 0.125 * np.sqrt(2 / 20_000))
    assert paths[1:4].mean(axis=1) == pytest.approx(t, abs=4 * np.sqrt(0.125 / 20_000))


def test_the_dual_reaches_sinkhorns_value():
    x, p, q = line_laws("Gaussian to two modes", 1.5, 0.5)
    dual = Dual(x, p, q, 0.5, np.eye(x.size))
    best, f = dual.best()
    value, model = dual.value_and_model(f)
    assert value == pytest.approx(best, abs=1e-6) and np.abs(model - q).max() < 1e-8
    # Concave: no potential does better, and the gradient is what the model lacks of the end's law.
    rng = np.random.default_rng(5)
    for _ in range(5):
        assert dual.value_and_model(f + 0.1 * rng.standard_normal(x.size))[0] < best
    trial = -0.1 * x**2
    gradient = check_grad(lambda g: -dual.value_and_model(g)[0], lambda g: dual.value_and_model(g)[1] - q, trial)
    assert gradient < 1e-5
    rich = Dual(x, p, q, 0.5, features(x, 60))
    scaled = minimize(
        lambda w: (-(r := rich.value_and_model(rich.bumps @ w))[0], rich.bumps.T @ (r[1] - q)), np.zeros(62), jac=True, method="L-BFGS-B",
        options={"maxiter": 600, "ftol": 1e-15},
    )  # fmt: skip
    assert 0 <= best + scaled.fun < 1e-3
    own = learn(rich, "exact", 0, rng)[0]
    assert best - own[-1] < 1e-2 and np.all(own <= best + 1e-9)


def test_short_chains_are_biased_and_long_ones_less():
    gaps = {n: energy_dual(epsilon=0.1, langevin_steps=n).gap["fresh chains"][-50:].mean() for n in (5, 150)}
    assert gaps[150] < 0.2 * gaps[5]


def test_views_say_what_they_hold():
    run = flight(samples=100, components=4)
    assert run.paths.shape == (41, 200, 2) and run.sector.max() < 6
    paths = bundle(iterations=3).paths
    assert paths.shape == (4, 60, 7) and np.allclose(paths[0, :, 0], paths[-1, :, 0])
    shown = plans(iterations=2).plans
    assert shown["the bridge"].max() == 1
    near, far = speed_map(epsilon=0.05).headline(), speed_map(epsilon=10.0, inner_times=1).headline()
    assert near["faster here"] == "Markovian" and far["faster here"] == "proportional"
    first = next(iter(light_error.stream()))
    assert first[0] < 1 and first[1].error.shape == (1, 3)


@pytest.mark.parametrize("values,name", [({"epsilon": 0.01}, "epsilon"), ({"epsilon": 0.3, "inner_times": 50}, "inner_times")])
def test_what_the_grid_cannot_hold_is_said(values, name):
    with pytest.raises(ParameterError) as error:
        race(**values)
    assert error.value.name == name
