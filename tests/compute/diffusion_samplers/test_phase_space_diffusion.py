"""Phase-space diffusion: stationarity, damping, orders, and the closed forms of the bridge against simulation."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm, solve_continuous_lyapunov

from compute.diffusion_samplers import phase_space_diffusion as lab
from compute.diffusion_samplers.phase_space_diffusion import bridge_law, flow, process
from compute.diffusion_samplers.phase_space_diffusion import integrators as it
from compute.models.diffusion_setting import mixture_of, target_of
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.linear_sde import LiftedMixture

GAUSSIAN = GaussianMixture(np.ones(1), np.zeros((1, 1)), 0.3)


def test_stationary_law_for_any_damping():
    for gamma, friction, inverse_mass in ((0.0, 4.0, 4.0), (0.3, 0.5, 9.0), (2.0, 1.0, 0.3)):
        sde = process.phase_space(gamma, friction, inverse_mass)
        found = solve_continuous_lyapunov(sde.drift, -sde.diffusion)
        assert np.allclose(found, np.diag([1, 1 / inverse_mass]), atol=1e-12)


def test_eigenvalues_meet_on_the_parabola_and_the_gap_is_largest_there():
    result = lab.damping_map(gamma=0.5)
    for x, y in zip(*result.critical, strict=True):
        eigenvalues = process.phase_space(0.5, x, y).eigenvalues()
        assert abs(eigenvalues[0] - eigenvalues[1]) < 1e-5
    rng = np.random.default_rng(0)
    for gamma, friction, inverse_mass in rng.uniform([0, 0.1, 0.1], [2, 8, 16], (30, 3)):
        gap = float(process.gap_over_half_beta(gamma, friction, inverse_mass))
        assert 0.5 * process.BETA * gap == pytest.approx(process.phase_space(gamma, friction, inverse_mass).gap(), abs=1e-6)
    frictions = np.linspace(0.5, 8, 4000)
    gaps = process.gap_over_half_beta(0.5, frictions, 4.0)
    assert frictions[gaps.argmax()] == pytest.approx(0.5 + 2 * 2.0, abs=0.01)
    assert gaps.max() == pytest.approx(0.5 + 2.0, abs=0.01)
    assert lab.damping_map(gamma=0.0, friction=4.0, inverse_mass=4.0).headline()["regime"] == "critically damped"
    assert lab.damping_map().headline()["regime"] == "underdamped"


def gaussian_run(shift=0.0):
    law = LiftedMixture.of_data(process.phase_space(0.3, 4.0, 4.0), GAUSSIAN, [0.01])
    return it.Run(law, np.random.default_rng(0), np.diag([0.0, 0.01]), shift * np.eye(2))


def test_orders_on_a_linear_score():
    # The flow of Gaussian data is linear; its exact map comes from SciPy's solver, not from this code.
    run = gaussian_run()
    sde = run.law.sde

    def rate(t, flat):
        inverse = np.linalg.inv(run.law.at(t).covariance)
        return ((sde.drift + 0.5 * sde.diffusion @ inverse) @ flat.reshape(2, 2)).ravel()

    first = 0.1
    exact = solve_ivp(rate, (1.0, first), np.eye(2).ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(2, 2)
    orders = {}
    for name, method in {**it.INTEGRATORS, "Heun": it.HEUN, "RK4": it.RK4}.items():
        if method.is_random:
            continue
        errors = []
        for n in (160, 320):
            times = np.linspace(1.0, first, n + 1)
            end = it.path(method.step, run, np.eye(2), times)[-1]
            errors.append(np.abs(end.T - exact).max())
        orders[name] = np.log2(errors[0] / errors[1])
    assert orders["symmetric split"] == pytest.approx(2, abs=0.1)
    assert orders["Heun"] == pytest.approx(2, abs=0.1)
    assert orders["RK4"] == pytest.approx(4, abs=0.3)
    for name in ("naive split", "euler", "conjugate"):
        assert orders[name] == pytest.approx(1, abs=0.1), name
    whole = flow.exact_flow(0.3, 4.0, 4.0)
    late = solve_ivp(rate, (1.0, 1e-3), np.eye(2).ravel(), rtol=1e-10, atol=1e-13).y[:, -1].reshape(2, 2)
    assert np.allclose(whole, late, atol=1e-5)


def test_reduced_split_is_of_order_one_in_the_end():
    run = gaussian_run()
    ends = [it.path(it.reduced, run, np.eye(2), np.linspace(1.0, 0.1, n + 1))[-1] for n in (1000, 2000, 4000)]
    ratio = np.abs(ends[0] - ends[1]).max() / np.abs(ends[1] - ends[2]).max()
    assert np.log2(ratio) == pytest.approx(1, abs=0.25)


def test_conjugate_without_a_score_is_exact_in_one_step():
    run = gaussian_run()
    run.prepare(np.array([1.0, 0.3]))
    linear, gain = run.gains[1.0, 0.3]
    assert np.allclose(linear, expm(run.law.sde.drift * -0.7), rtol=1e-10)
    # In one dimension its score term is DDIM: z' = (a'/a) z + (sigma' - (a'/a) sigma) eps.
    flat = process.variance_preserving()
    linear, gain = it.conjugate_maps(flat, np.zeros((1, 1)), np.zeros((1, 1, 1)), np.array([0.8, 0.7]))
    a, sigma = np.exp(-4 * np.array([0.8, 0.7])), np.sqrt(-np.expm1(-8 * np.array([0.8, 0.7])))
    assert linear[0, 0, 0, 0] == pytest.approx(a[1] / a[0], rel=1e-12)
    assert gain[0, 0, 0, 0] == pytest.approx(-(sigma[1] - a[1] / a[0] * sigma[0]) * sigma[0], rel=1e-8)


def test_every_integrator_samples_the_data():
    mixture = mixture_of(process.DATA, 2.0)
    _, floor, spread = target_of(mixture, flow.N_PARTICLES)
    for name in it.INTEGRATORS:
        run = lab.phase_flow(separation=2.0, integrator=name, nfe=500, seed=3)
        assert run.error < floor + 4 * spread + (0.05 if it.INTEGRATORS[name].order == 1 else 0), name


def test_evaluations_are_counted():
    law = gaussian_run().law
    calls = []
    score = law.score
    law.score = lambda z, t: (calls.append(t), score(z, t))[1]
    for method in (*it.INTEGRATORS.values(), it.HEUN, it.RK4):
        run = it.Run(law, np.random.default_rng(0), np.diag([0.0, 0.01]), np.zeros((2, 2)))
        calls.clear()
        it.path(method.step, run, np.ones((2, 2)), it.time_grid(5, 1.0, 1e-3))
        assert len(calls) == 5 * method.evaluations, method.name


def test_linear_error_is_what_a_run_shows():
    shift = flow.shift_of(0.5, "ones")
    error, _ = flow.linear_error(0.3, 4.0, 4.0, shift[None], 40)
    run = gaussian_run()
    run.shift = shift
    start = run.law.at(1.0).sample(np.random.default_rng(1), 20000)
    end = it.path(it.conjugate, run, start, it.time_grid(40, 1.0, 1e-3))[-1]
    squares = (end - start @ flow.exact_flow(0.3, 4.0, 4.0).T)[:, 0] ** 2 / 0.09
    assert abs(squares.mean() - error[0] ** 2) < 4 * squares.std() / np.sqrt(20000)
    best = lab.stability_map()
    assert best.at_error < 0.7 * best.plain_error
    assert lab.stability_map(conjugate_lambda=2.0, nfe=16).at_radius > 2


def test_bridge_moments_against_an_ode_solve():
    # First and second moments of the linear equation given x_1 = 0, started as the bridge starts.
    g, k = 1.3, 0.4

    def rate(t, flat):
        tau = 1 - t
        drift = np.array([[0, 1], [-4 / tau**2, -4 / tau]])
        c = flat.reshape(2, 2)
        return (drift @ c + c @ drift.T + np.diag([0, g * g])).ravel()

    for t in (0.2, 0.6, 0.95):
        solved = solve_ivp(rate, (0, t), np.array([1, k, k, 1.0]), rtol=1e-11, atol=1e-13, method="DOP853")
        exact = solved.y[:, -1].reshape(2, 2)
        tau = 1 - t
        _, start = bridge_law.mean_gains(tau)
        closed = start @ np.array([[1, k], [k, 1.0]]) @ start.T + g * g * bridge_law.noise_covariance(tau)
        assert np.allclose(closed, exact, atol=1e-9)
        turn = np.array([[1, tau], [0, 1]])  # (x, v) to (x + tau v, v)
        aimed = bridge_law.Bridge(GAUSSIAN, g, k).covariance(tau)
        assert np.allclose(aimed, turn @ exact @ turn.T, atol=1e-9)
    assert np.allclose(bridge_law.mean_gains(1.0)[1], np.eye(2), atol=1e-15)


def test_optimal_control_reduces_to_the_bridge_law():
    rng = np.random.default_rng(2)
    x1, x, v, tau = rng.uniform(0.2, 2, 4)
    v1 = (x1 - x) / tau
    assert 6 * (x1 - x - v * tau) / tau**2 - 2 * (v1 - v) / tau == pytest.approx(4 / tau * ((x1 - x) / tau - v))
    # It is a minimum of energy: the control to (x_1, v_1), integrated, arrives there.
    end = solve_ivp(
        lambda t, z: [z[1], 6 * (x1 - z[0] - z[1] * (tau - t)) / (tau - t) ** 2 - 2 * (v1 - z[1]) / (tau - t)],
        (0, tau * (1 - 1e-4)),
        [x, v],
        rtol=1e-8,
    ).y[:, -1]
    assert end == pytest.approx([x1, v1], abs=1e-3)


def test_point_mass_is_hit_exactly_and_push_gain_is_an_integral():
    point = GaussianMixture(np.ones(1), np.array([[1.7]]), 1e-9)
    law = bridge_law.Bridge(point, 0.0, 0.0)
    assert np.allclose(bridge_law.sample(law, 6, 50, False, 0)[-1].estimate, 1.7, atol=1e-7)
    s = np.linspace(0.4, 0.9, 20001)
    force = np.stack([bridge_law.propagator(u, 0.4)[:, 1] for u in s])
    assert bridge_law.push_gain(0.9, 0.4) == pytest.approx(np.trapezoid(force, s, axis=0), abs=1e-7)


def test_bridge_samples_keep_the_law_at_every_time():
    mixture = mixture_of(process.DATA, 2.0)
    law = bridge_law.Bridge(mixture, 1.5, 0.3)
    n = 6000
    for is_random in (True, False):
        states = bridge_law.sample(law, 160, n, is_random, 1)
        for state in (states[60], states[110]):
            tau = state.tau
            p = (state.x + tau * state.v)[:, 0]
            exact = (1 - tau**4) ** 2 * mixture.covariance[0, 0] + law.covariance(tau)[0, 0]
            square = (p - p.mean()) ** 2
            assert abs(square.mean() - exact) < 4 * square.std() / np.sqrt(n) + 0.02 * exact
        modes = np.bincount(mixture.responsibilities(states[-1].estimate).argmax(axis=1), minlength=3) / n
        # Four standard errors, plus what 160 first-order steps may leave.
        assert np.all(np.abs(modes - mixture.weights) < 4 * np.sqrt(mixture.weights * (1 - mixture.weights) / n) + 0.01)


def test_velocity_score_against_differences():
    mixture = mixture_of(process.DATA, 2.0)
    law, tau = bridge_law.Bridge(mixture, 0.8, -0.5), 0.35
    signal, start = bridge_law.mean_gains(tau)
    first = np.array([[1, -0.5], [-0.5, 1.0]])
    covariance = start @ first @ start.T + 0.64 * bridge_law.noise_covariance(tau) + 0.09 * np.outer(signal, signal)

    def log_density(x, v):
        gaps = np.array([[x, v] - signal * m for m in mixture.means[:, 0]])
        return np.log(mixture.weights @ np.exp(-0.5 * np.einsum("ki,ij,kj->k", gaps, np.linalg.inv(covariance), gaps)))

    for x, v in ((0.3, 1.0), (1.5, -2.0)):
        slope = (log_density(x, v + 1e-5) - log_density(x, v - 1e-5)) / 2e-5
        at = np.array([[x]]), np.array([[v]])
        found = law.velocity_score(*at, law.estimate(*at, tau), tau)
        assert found[0, 0] == pytest.approx(slope, abs=1e-5)


def test_early_estimates():
    result = lab.early_estimate(nfe=120)
    late = result.time > 0.03
    theory = np.interp(result.time[late], result.curve_time, result.exact)
    assert np.all(np.abs(result.spread[late] - theory) < 4 * result.spread_error[late] + 0.03)
    head = result.headline()
    with_velocity, without = list(head.values())[:2]
    assert with_velocity < 0.5 * without
    # Known share against a plain simulation of the channel.
    mixture = mixture_of("ring_2d", 3.0)
    rng = np.random.default_rng(5)
    x = mixture.sample(rng, 50000)
    square = np.sum(mixture.denoise(x + 1.5 * rng.standard_normal(x.shape), 1.5) ** 2, axis=1)
    exact = bridge_law.known_share(mixture, np.array([1.5]))[0] * np.trace(mixture.covariance)
    assert abs(square.mean() - exact) < 4 * square.std() / np.sqrt(50000)
