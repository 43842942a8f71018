"""Paired bridges: exact marginals for every eta, orders, the boot step, categories and strings."""

import itertools

import numpy as np
import ot
import polars as pl
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from compute.methods.bridge_sampler import BRIDGES, Bridge, boot, run
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import ParameterError
from compute.transport_bridges.paired_bridges import booting, errors, evaluations, fan, noise_map, raster, substitution
from compute.transport_bridges.paired_bridges.categories import (
    METHODS,
    SCHEDULES,
    bridge_laws,
    joint_of,
    output_law,
    remaining,
    uniform_law,
)
from compute.transport_bridges.paired_bridges.runs import exact_flow, outputs
from compute.transport_bridges.paired_bridges.setting import Paired, Setting, answers, paired
from compute.transport_bridges.paired_bridges.spread import output_deviation
from compute.transport_bridges.paired_bridges.strings import absorbing_valid, bridge_valid, jump_rates

TWO_MODES = GaussianMixture(np.array([0.35, 0.65]), np.array([[-1.5], [1.0]]), 0.25)


# --- the bridge --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BRIDGES)
def test_coefficients_are_those_of_the_paper(name):
    """a, b, c from alpha and sigma alone; the level is c/b; times and levels are inverse to each other."""
    bridge, t = Bridge(name), np.array([0.01, 0.3, 0.77, 0.95])
    growth = 0.1 * t + t**2
    alpha = np.exp(-growth / 2) if name == "VP" else np.ones(4)
    sigma = {"Brownian": np.sqrt(t), "VP": np.sqrt(1 - np.exp(-growth)), "VE": 2 * t}[name]
    alpha_end, sigma_end = (np.exp(-0.55), np.sqrt(1 - np.exp(-1.1))) if name == "VP" else (1, {"Brownian": 1, "VE": 2}[name])
    ratio = (alpha_end / sigma_end) ** 2 / (alpha / sigma) ** 2
    a, b, c = bridge.coefficients(t)
    assert np.allclose(a, alpha / alpha_end * ratio) and np.allclose(b, alpha * (1 - ratio))
    assert np.allclose(c, sigma * np.sqrt(1 - ratio))
    assert np.allclose(bridge.level(t), c / b) and np.allclose(bridge.time(bridge.level(t)), t)
    if name == "Brownian":
        assert np.allclose([a, b, c], [t, 1 - t, np.sqrt(t * (1 - t))])


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_marginals_given_both_ends_do_not_depend_on_eta(eta):
    """With x_0 held: mean a x_T + b x_0, variance c^2 at each time, in 3.5 standard errors."""
    bridge, rng, n, x0, x_end = Bridge("VP"), np.random.default_rng(6), 20_000, 0.8, -1.3
    levels = bridge.level(np.array([0.9, 0.6, 0.3, 0.05]))
    states = run(
        lambda u, _: np.full_like(u, x0), boot(x0, levels[0], rng.standard_normal((n, 1))), levels, order=1, eta=eta, rng=rng
    )
    for u, level in zip(states, levels, strict=True):
        a, b, c = bridge.coefficients(bridge.time(level))
        x = a * x_end + b * u[:, 0]
        assert abs(x.mean() - (a * x_end + b * x0)) < 3.5 * c / np.sqrt(n)
        assert abs(x.var() / c**2 - 1) < 3.5 * np.sqrt(2 / n)


def test_eta_one_is_the_brownian_bridge():
    """Covariance of the reversed path between two times is that of a Brownian bridge, t'(1 - t); eta 0 keeps the noise whole."""
    bridge, rng, n = Bridge("Brownian"), np.random.default_rng(2), 40_000
    t, t_next = 0.7, 0.4
    levels = bridge.level(np.array([t, t_next]))
    for eta, expected in ((1.0, t_next * (1 - t)), (0.0, np.sqrt(t * (1 - t) * t_next * (1 - t_next)))):
        u, v = run(lambda u, _: 0 * u, boot(0.0, levels[0], rng.standard_normal((n, 1))), levels, order=1, eta=eta, rng=rng)
        found = np.mean((1 - t) * u * (1 - t_next) * v)
        assert abs(found - expected) < 4 * 0.5 / np.sqrt(n)


@pytest.mark.parametrize("order,low,high", [(1, 1.9, 2.15), (2, 3.7, 4.4)])
def test_orders_on_the_two_mode_pair(order, low, high):
    """Error against 2000 steps of order 2 falls on doubling by 2.0 (order 1) and 3.9 (order 2; 4.3 from 10 to 20)."""
    bridge = Bridge("Brownian")
    first, last = bridge.level(np.array([0.95, 0.002]))
    start = boot(float(TWO_MODES.mean[0]), first, np.random.default_rng(0).standard_normal((500, 1)))

    def end(n, order):
        return run(TWO_MODES.denoise, start, np.geomspace(first, last, n + 1), order=order, eta=0.0, rng=np.random.default_rng())[
            -1
        ]

    reference = end(2000, 2)
    error = [np.mean(np.abs(end(n, order) - reference)) for n in (10, 20, 40, 80)]
    ratios = np.array(error[:-1]) / error[1:]
    assert np.all((low < ratios) & (ratios < high)), ratios


def test_reference_is_the_exact_flow():
    """Quantiles are kept on the line: 4000 steps agree with Q(F(u))."""
    pair = paired(Setting())
    start = boot(pair.mean, pair.first, norm.ppf((np.arange(99) + 0.5) / 99)[:, None])
    fine = run(
        pair.answers.denoise, start, np.geomspace(pair.first, pair.last, 4001), order=2, eta=0.0, rng=np.random.default_rng()
    )
    assert np.abs(fine[-1] - exact_flow(pair, start, pair.last)).max() < 2e-5


@pytest.mark.parametrize("name", BRIDGES)
def test_gaussian_pair_against_an_ode_solver(name):
    """eta 0 as dx/dt of x = a x_T + b D + c/c' ..., in the time of the paper, by scipy."""
    bridge, law, x_end = Bridge(name), GaussianMixture(np.ones(1), np.array([[0.4]]), 0.6), 1.2
    h = 1e-6

    def velocity(t, x):
        a, b, c = bridge.coefficients(t)
        rate = [
            (after - before) / (2 * h) for after, before in zip(bridge.coefficients(t + h), bridge.coefficients(t - h), strict=True)
        ]
        d = law.denoise(((x - a * x_end) / b)[:, None], float(c / b))[:, 0]
        return rate[0] * x_end + rate[1] * d + rate[2] / c * (x - a * x_end - b * d)

    a, b, c = bridge.coefficients(np.array(0.9))
    z = np.array([-1.5, 0.0, 0.7])
    x = a * x_end + b * 0.4 + c * z
    solved = solve_ivp(velocity, (0.9, 0.05), x, rtol=1e-9, atol=1e-10).y[:, -1]
    levels = np.geomspace(*bridge.level(np.array([0.9, 0.05])), 801)
    u = run(law.denoise, boot(0.4, levels[0], z[:, None]), levels, order=3, eta=0.0, rng=np.random.default_rng())[-1][:, 0]
    a, b, _ = bridge.coefficients(np.array(0.05))
    assert np.abs(a * x_end + b * u - solved).max() < 2e-5


def test_conditional_law_at_the_noise_floor():
    """2000 evaluations, eta 1, late boot: W1 to fresh draws by POT is that between two samples of the law."""
    rng, n = np.random.default_rng(4), 2000
    bridge = Bridge("Brownian")
    first, last = bridge.level(np.array([0.999, 0.002]))
    pair = Paired(bridge, TWO_MODES, 0.7, float(first), float(last))
    ends = outputs(pair, boot(pair.mean, pair.first, rng.standard_normal((n, 1))), 2000, 1, 1.0, rng)[-1][:, 0]
    floor = [ot.wasserstein_1d(TWO_MODES.sample(rng, n)[:, 0], TWO_MODES.sample(rng, n)[:, 0]) for _ in range(20)]
    assert ot.wasserstein_1d(ends, TWO_MODES.sample(rng, n)[:, 0]) < np.mean(floor) + 3 * np.std(floor)


def test_input_shifts_and_weighs_the_answers():
    law = answers(0.7, 2.5, 0.25)
    assert np.allclose(law.means[:, 0], [-1.5, 1.0]) and np.allclose(law.weights, [0.35, 0.65])
    assert answers(2.0, 2.5, 0.25).weights[1] > 0.9


def test_fan():
    result = fan()
    assert result.w1 < 2 * result.floor
    assert result.histogram.sum() * (result.bins[1] - result.bins[0]) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(result.density, result.x) == pytest.approx(1, abs=1e-3)
    single = fan(boot_noise=False)
    assert np.ptp(single.paths, axis=0).max() < 1e-12 and single.spread < 1e-12
    assert np.all(single.paths[:, 0] == 0.7)


def test_evaluations_and_booting():
    result = evaluations()
    assert result.slopes[1] == pytest.approx(-1, abs=0.15) and result.slopes[2] == pytest.approx(-2, abs=0.15)
    assert result.slopes[3] < -2.4
    late = booting()
    assert late.limit[0] < 0.1 * late.limit[-3]
    # First order in 1 - t_1: doubling the gap doubles what is left, once the gap is small but above the quantiles' error.
    slope = np.polyfit(np.log(late.gap[6:10]), np.log(late.limit[6:10]), 1)[0]
    assert slope == pytest.approx(1, abs=0.25)
    assert list(late.best.values()) == sorted(late.best.values())


def test_width_of_the_outputs():
    """The recursion against particles, and against its limit: many steps of eta 1 forget the boot step."""
    for values in ({"steps": 5}, {"steps": 20, "eta": 0.6, "bridge": "VP"}, {"steps": 60, "eta": 1.0, "boot_time": 0.6}):
        assert abs(noise_map(**values).headline()["simulation − theory, SE"]) < 4
    # Of many steps: eta 0 scales the boot's deviation, eta 1 regresses on it, Cov(u_end, u_1)/Var(u_1) = v_end/v_1.
    s = 0.5
    first, last = Bridge("Brownian").level(np.array([0.6, 0.002]))
    v_first, v_end = s**2 + first**2, s**2 + last**2
    exact = np.sqrt([first**2 * v_end / v_first, v_end - s**2 * (v_end / v_first) ** 2]) * s**2 / v_end
    assert np.allclose(output_deviation(np.geomspace(first, last, 8000), s, np.array([0.0, 1.0])), exact, rtol=5e-4)


# --- categories --------------------------------------------------------------------------------------------


def test_pinned_chain_stays_with_the_product_of_its_rates():
    """A point prediction pins the bridge: P(z = x) is the product of the staying rates, and z ends in y."""
    target = np.roll(np.eye(4), 1, axis=1)
    for schedule in SCHEDULES:
        laws = bridge_laws(target, schedule, 7, 0.0)
        assert np.allclose(laws[:, 0, 0], remaining(schedule, 7))
        assert np.allclose(laws[-1], target)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("entropy", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_exact_predictions_give_the_law(method, entropy, steps):
    joint = joint_of(7, entropy, None)
    assert np.abs(output_law(method, joint.target, "cosine", steps, 0.0) - joint.target).max() < 1e-12


def test_coupling_entropy_is_the_one_asked_for():
    for entropy in (0.1, 0.5, 0.9):
        p = joint_of(9, entropy, None).target
        assert np.allclose(-np.sum(p * np.log(p), axis=1) / np.log(9), entropy, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_processes_against_simulation(method):
    """One source, three steps, a predictor that errs: each process simulated letter by letter, from its definition."""
    rng, n, steps, error, x = np.random.default_rng(9), 40_000, 3, 0.2, 1
    target = joint_of(4, 0.6, None).target
    left = remaining("linear", steps)

    def draw(p):
        return np.minimum((np.cumsum(p, axis=1) < rng.random((n, 1))).sum(axis=1), 3)

    def erring(guess):
        return np.where(rng.random(n) < error, rng.integers(4, size=n), guess)

    if method == "bridge":
        z = np.full(n, x)
        for k in range(steps):
            seen = np.array(
                [(left[k] + (1 - left[k]) * (np.arange(4) == x)) * target[x] if v == x else np.eye(4)[v] for v in range(4)]
            )
            guess = erring(draw((seen / seen.sum(axis=1, keepdims=True))[z]))
            z = np.where(rng.random(n) < 1 - left[k + 1] / left[k], guess, z)
    elif method == "absorbing":
        z = erring(draw(np.tile(target[x], (n, 1))))
    else:
        z, signal = rng.integers(4, size=n), left[::-1]
        for low, high in itertools.pairwise(signal):
            seen = target[x] * (low * np.eye(4) + (1 - low) / 4)
            y = erring(draw((seen / seen.sum(axis=1, keepdims=True))[z]))
            keep = low / high
            p = (keep * np.eye(4)[z] + (1 - keep) / 4) * (high * np.eye(4)[y] + (1 - high) / 4)
            z = draw(p / p.sum(axis=1, keepdims=True))
    share = np.bincount(z, minlength=4) / n
    exact = output_law(method, target, "linear", steps, error)[x]
    assert np.all(np.abs(share - exact) < 4.5 * np.sqrt(exact * (1 - exact) / n)), (share, exact)


def test_asking_again_makes_the_bridge_worse():
    result = errors(predictor_error=0.1)
    assert np.all(np.diff(result.tv["bridge"]) > 0) and np.ptp(result.tv["absorbing"]) < 1e-12
    assert np.all(np.diff(result.tv["uniform"]) > 0) and np.all(result.tv["uniform"] < result.tv["bridge"] + 1e-12)
    assert uniform_law(np.eye(3), "linear", 1, 0.3)[0, 0] == pytest.approx(0.7 + 0.1)
    assert abs(result.top[1][0] - result.bayes[1]) < 5 * result.top_error[1][0]


def test_raster():
    result = raster(predictor_error=0.0, coupling_entropy=0.0, steps=2)
    assert result.tv == pytest.approx(0, abs=1e-15)
    assert np.array_equal(result.states[-1], 7 - result.states[0])
    assert raster().headline()["simulation − theory at the source, worst, SE"] < 4


def test_your_pairs():
    table = pl.DataFrame({"source": ["a", "a", "a", "b"], "target": ["u", "u", "v", "u"]})
    joint = joint_of(8, 0.5, table)
    assert joint.labels == ("a", "b", "u", "v") and np.allclose(joint.source, [0.75, 0.25, 0, 0])
    assert np.allclose(joint.target[0], [0, 0, 2 / 3, 1 / 3])
    result = raster(pairs=table, predictor_error=0.0)
    assert result.tv == pytest.approx(0, abs=1e-15) and result.accuracy[0] == pytest.approx(0.75) and result.accuracy[1] > 0
    assert errors(pairs=table).table().height > 0
    with pytest.raises(ParameterError, match="different labels"):
        joint_of(8, 0.5, pl.DataFrame({"source": ["a"], "target": ["a"]}))


# --- strings -----------------------------------------------------------------------------------------------


def test_two_positions_by_hand():
    """L = 2, absorbing: the two positions meet with probability 1/n on the linear schedule, and then fail half the time."""
    for n in (1, 3, 50):
        assert 1 - absorbing_valid(2, jump_rates("linear", n)) == pytest.approx(0.5 / n, rel=1e-10)
    # The bridge in one step: each of two positions changes with probability 1/2.
    assert bridge_valid(2, jump_rates("linear", 1)) == pytest.approx(0.5)


def test_the_bridge_errs_more_by_a_logarithm():
    """n (1 - P) = A log n + B with A = (L - 1)/(2L); of absorbing diffusion it tends to a constant."""
    for length in (2, 5):
        spoiled = [n * (1 - bridge_valid(length, jump_rates("linear", n))) for n in (2**13, 2**14)]
        assert (spoiled[1] - spoiled[0]) / np.log(2) == pytest.approx((length - 1) / (2 * length), rel=0.01)
        masked = [n * (1 - absorbing_valid(length, jump_rates("linear", n))) for n in (400, 800)]
        assert masked[1] == pytest.approx(masked[0], rel=0.01)


def test_strings_against_simulation():
    for values in ({}, {"string_length": 12, "schedule": "cosine", "seed": 3}):
        assert substitution(**values).headline()["simulation − theory, worst, SE"] < 4
