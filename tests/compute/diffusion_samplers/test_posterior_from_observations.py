"""Composed bridges against conjugacy, quadrature and simulation; the flow against SciPy's ODE solver."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from compute.diffusion_samplers.posterior_from_observations import bridges, error_against_n, flow_errors, proper_bridges
from compute.diffusion_samplers.posterior_from_observations.amortized import exact_velocity, fit, learned_moments, posterior
from compute.diffusion_samplers.posterior_from_observations.composed import chain_moments, langevin, observe, ode_variance
from compute.models.composed_posterior import Composed, group_sizes, rate, tail_precision
from compute.parameters import ParameterError


def problem(model="normal", n=7, m=2, s0=1.3, sl=0.8, seed=0):
    return observe(model, n, m, s0, sl, np.random.default_rng(seed))


def test_composition_at_time_zero_is_the_conjugate_posterior():
    composed = problem()
    precision = 1 / 1.3**2 + 7 / 0.8**2
    mean = (composed.sizes @ composed.means) / 0.8**2 / precision
    assert composed.precision(0.0) == pytest.approx(precision, rel=1e-12) and composed.mean(0.0) == pytest.approx(mean, rel=1e-12)
    assert composed.sizes.tolist() == [2, 2, 2, 1] and composed.precision(1.0) == pytest.approx(4, abs=2e-4)
    theta = np.linspace(-2, 2, 9)
    assert composed.score(theta, 0.0) == pytest.approx(-precision * (theta - mean), rel=1e-12)


def test_two_modes_end_in_their_posterior_whatever_the_groups():
    theta = np.linspace(-6, 6, 2001)
    for m in (1, 3, 7):
        composed = problem("two modes", m=m)
        density = np.exp(composed.log_bridge(theta, 0.0) - composed.log_bridge(theta, 0.0).max())
        prior = sum(np.exp(-((theta - mode) ** 2) / (2 * 1.3**2)) for mode in composed.modes)
        seen = (composed.sizes @ composed.means) / 7
        true = prior * np.exp(-7 * (theta - seen) ** 2 / (2 * 0.8**2))
        assert density == pytest.approx(true / true.max(), abs=1e-10)


@pytest.mark.parametrize("model", ["normal", "two modes"])
def test_score_is_the_gradient_of_the_bridge(model):
    composed, theta, h = problem(model), np.linspace(-3, 3, 25), 1e-5
    for t in (0.0, 0.3, 0.9):
        numeric = (composed.log_bridge(theta + h, t) - composed.log_bridge(theta - h, t)) / (2 * h)
        assert composed.score(theta, t) == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_least_precision_has_the_known_values():
    t = np.linspace(0, 1, 2001)
    assert tail_precision(t, group_sizes(5, 1), 1.0, 1.0).min() == pytest.approx(3.131, abs=1e-3)
    assert tail_precision(t, group_sizes(2, 1), 0.5, 1.0).min() == pytest.approx(-0.032, abs=1e-3)
    assert tail_precision(t, group_sizes(10, 1), 0.5, 1.0).min() == pytest.approx(-10.6, abs=0.05)
    result = proper_bridges(noise_scale=1.0)
    for n, edge in ((2, 0.503), (10, 0.687), (100, 0.723)):
        at = int(np.argmin(np.abs(result.observations - n)))
        assert result.boundary[at] == pytest.approx(edge, abs=0.012)  # the map's own step is 4%
    with pytest.raises(ParameterError, match="no density"):
        bridges(prior_scale=0.5, observations=10)


def test_particles_follow_the_exact_moments_of_the_chain():
    composed = problem()
    mean, variance = chain_moments(composed, 30, 3, 0.2, 0.15)
    *_, x = langevin(composed, 30, 3, 0.2, 0.15, 40_000, np.random.default_rng(1))
    assert abs(x.mean() - mean) < 4 * x.std() / 200
    assert x.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / x.size))


def test_long_chain_has_the_bias_and_the_width_of_theory():
    composed = problem(m=1)
    mean, variance = chain_moments(composed, 400, 50, 0.1, 0.2)
    precision = float(composed.precision(0.0))
    assert mean - composed.mean(0.0) == pytest.approx(7 * 0.2 / precision, rel=1e-4)  # 400 levels
    assert variance == pytest.approx(1 / precision / (1 - 0.1 / 2), rel=1e-3)


def test_reverse_ode_agrees_with_scipy():
    sizes = group_sizes(5, 1)

    def slope(t, y):
        return -rate(t) / 2 * (1 - tail_precision(t, sizes, 1.2, 0.9)) * y

    found = solve_ivp(slope, (1, 0), [5**-0.5], rtol=1e-10, atol=1e-12).y[0, -1] ** 2
    assert ode_variance(sizes, 1.2, 0.9, 4000) == pytest.approx(found, rel=1e-4)
    # One group of all observations is diffused rightly: the ODE then ends in the posterior.
    assert ode_variance(np.array([5.0]), 1.2, 0.9, 4000) == pytest.approx(1 / (1 / 1.2**2 + 5 / 0.9**2), rel=1e-3)


def test_errors_grow_like_the_root_of_n_and_less_in_groups():
    alone, grouped = error_against_n(score_error=0.1, group_size=1), error_against_n(score_error=0.1, group_size=10)
    many = alone.observations > 10
    slope = np.polyfit(np.log(alone.observations[many]), np.log(alone.bias[many]), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.03)
    assert grouped.bias[-1] == pytest.approx(alone.bias[-1] / 10, rel=1e-9)
    for result in (alone, grouped):
        theory = np.interp(result.tried, result.observations, result.chain_error)
        assert np.all(np.abs(result.simulated - theory) < 4 * result.simulated_error + 0.02 * theory)


def test_exact_flow_ends_in_the_posterior():
    m, s = posterior(np.array([0.7]), 6.0, 1.0, 0.5)
    for start in (-1.0, 0.0, 2.0):
        end = solve_ivp(lambda t, y: exact_velocity(y, t, m, s), (0, 1), [start], rtol=1e-10, atol=1e-12).y[0, -1]
        assert end == pytest.approx(m[0] + np.sqrt(s) * start, abs=1e-7)
    by_steps = flow_errors().exact_by_steps
    assert np.log2(by_steps[-2] / by_steps[-1]) == pytest.approx(2, abs=0.25)  # Heun


def test_learned_flow_is_right_within_training_and_not_beyond():
    coefficients = fit(20_000, 30, 1.0, 1.0, np.random.default_rng(0))
    seen = np.linspace(-1.5, 1.5, 7)
    for n in (1, 5, 20):
        m, s = posterior(seen, float(n), 1.0, 1.0)
        mean, spread = learned_moments(coefficients, seen, n, 16)
        assert np.abs(mean - m).max() < 0.25 * np.sqrt(s) and np.abs(spread / np.sqrt(s) - 1).max() < 0.35
    result = flow_errors(largest_n=10)
    assert result.mean_error[-1] > 5 * result.mean_error[result.n <= 10].max()


def test_one_observation_needs_no_composition():
    composed = Composed(np.zeros(1), 1.0, 1.0, np.array([0.4]), np.array([1.0]))
    whole = composed.whole()
    theta = np.linspace(-2, 2, 7)
    for t in (0.1, 0.6):
        assert composed.score(theta, t) == pytest.approx(whole.score(theta, t))
