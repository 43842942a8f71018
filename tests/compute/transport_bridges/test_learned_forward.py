"""A learned forward process against entropies by quadrature, exact denoisers, difference quotients, brute force and scipy's integrator."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from compute.transport_bridges.straight_flows import learned_forward_process
from compute.transport_bridges.straight_flows.couplings import data_law
from compute.transport_bridges.straight_flows.learned_forward import (
    END_NOISE,
    bound_and_bending,
    euler_steps,
    fit,
    flow_paths,
    forward_process,
    moments,
    places,
    time_functions,
)

LAWS = ["Gaussian", "two modes", "two uneven modes", "five modes"]


def entropy(law):
    def integrand(z):
        p = float(law.pdf(np.array([z]))[0])
        return -p * np.log(p) if p > 0 else 0.0

    return quad(integrand, -9, 9, limit=400, points=law.means[:, 0].tolist())[0]


@pytest.fixture
def bent():
    """A process far from linear."""
    law = data_law("two uneven modes", 1.0)
    return law, forward_process(law, 4).fitted(0.5 * np.random.default_rng(0).standard_normal(16))


@pytest.mark.parametrize("name", LAWS)
def test_the_linear_bound_is_the_entropy_of_noised_data(name):
    law = data_law(name, 1.0)
    bound = bound_and_bending(forward_process(law, 3))[0]
    assert bound == pytest.approx(entropy(law.noised(END_NOISE)), abs=2e-4)
    assert bound > entropy(law)
    if name == "Gaussian":
        assert bound == pytest.approx(0.5 * np.log(2 * np.pi * np.e * (1 + END_NOISE**2)), abs=2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_no_other_process_has_a_lower_bound(seed):
    rng = np.random.default_rng(seed)
    law = data_law(LAWS[seed % 4], 1.0)
    process = forward_process(law, 4).fitted(rng.uniform(0.05, 1) * rng.standard_normal(16))
    bound = bound_and_bending(process, 40, 161)[0]
    assert bound > entropy(law.noised(END_NOISE)) - 2e-4


def test_without_coefficients_the_flow_is_the_linear_one():
    law = data_law("two modes", 1.0)
    z = np.linspace(-2, 2, 9)
    for t in (0.1, 0.5, 0.95):
        sigma = 1 - t + END_NOISE * t
        guess = law.denoise(z[:, None] / t, sigma / t)[:, 0]
        known = guess - (1 - END_NOISE) * (z - t * guess) / sigma
        now = moments(forward_process(law, 3), np.array([t]), z[None])
        np.testing.assert_allclose(now.velocity[0], known, atol=1e-3)
        np.testing.assert_allclose(now.density[0] / now.density[0, 4], law_at(law, z, t, sigma), atol=1e-4, rtol=1e-3)


def law_at(law, z, t, sigma):
    p = law.noised(sigma / t).pdf(z / t)
    return p / p[4]


def test_time_functions_have_their_derivatives():
    t, h = np.linspace(0, 1, 7), 1e-5
    value, first, second = time_functions(t, 4)
    assert np.abs(value[[0, -1]]).max() < 1e-13
    np.testing.assert_allclose(value[:, 1], t * (1 - t) * (2 * t - 1), atol=1e-14)
    np.testing.assert_allclose(first, (time_functions(t + h, 4)[0] - time_functions(t - h, 4)[0]) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(second, (time_functions(t + h, 4)[1] - time_functions(t - h, 4)[1]) / (2 * h), atol=1e-7)


@pytest.mark.parametrize("t", [0.05, 0.4, 0.9])
def test_acceleration_by_differences(bent, t):
    _, process = bent
    at, h, z = np.array([t]), 1e-5, np.linspace(-1.5, 1.5, 9)[None]
    now = moments(process, at, z)
    ahead, behind = (moments(process, at + d, z + d * now.velocity).velocity for d in (h, -h))
    np.testing.assert_allclose(now.acceleration, (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-4)


def test_the_bound_rate_by_brute_force(bent):
    """At one time: draw x and e, sort z_t into bins, and take the best of many diffusions by their variances within bins."""
    law, process = bent
    t, n = 0.55, 400_000
    rng = np.random.default_rng(1)
    x = law.sample(rng, n)[:, 0]
    q, h = process.at(np.array([t]), x), 1e-6
    e = rng.standard_normal(n)
    path = [(c := process.at(np.array([t + d]), x)).mean[0] + c.scale[0] * e for d in (h, -h)]
    f, s = (path[0] - path[1]) / (2 * h), -e / q.scale[0]
    order = np.argsort(q.mean[0] + q.scale[0] * e)

    def integrand(log_g2):
        g2 = np.exp(log_g2)
        drift = (f + g2 * s / 2)[order].reshape(400, -1)
        # Within a bin the mean drifts along a line: a variance about it, not about the bin's mean.
        line = np.linspace(-1, 1, drift.shape[1])
        off = drift - drift.mean(axis=1, keepdims=True)
        off = off - (off @ line / (line @ line))[:, None] * line
        return float(np.mean(off**2) / (2 * g2))

    best = minimize_scalar(integrand, bounds=(-5, 5), method="bounded").fun
    rate = moments(process, np.array([t]), places(process, np.array([t]), 241)).rate[0]
    assert rate == pytest.approx(best, rel=0.02)


def test_the_flow_carries_the_marginals(bent):
    """Paths by levels are those of scipy's integrator along v, and end at the law of x + delta e."""
    law, process = bent
    level = np.array([0.05, 0.3, 0.5, 0.8, 0.97])
    t = np.linspace(0, 1, 5)
    path = flow_paths(process, level, t)
    np.testing.assert_allclose(path[0], ndtri(level), atol=2e-4)
    np.testing.assert_allclose(path[-1], law.noised(END_NOISE).quantile(level), atol=2e-3)
    run = solve_ivp(
        lambda s, z: moments(process, np.array([s]), z[None]).velocity[0], (0, 1), ndtri(level), t_eval=t, rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(path, run.y.T, atol=3e-3)
    errors = [np.abs(euler_steps(process, ndtri(level), k)[-1] - path[-1]).mean() for k in (32, 64)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)


def test_bending_by_monte_carlo(bent):
    """int E (acceleration)^2 over drawn z_t, accelerations by differences of v along the flow."""
    law, process = bent
    rng, h, times = np.random.default_rng(2), 1e-4, (np.arange(24) + 0.5) / 24
    means, errors = [], []
    for t in times:
        at = np.array([t])
        q = process.at(at, law.sample(rng, 600)[:, 0])
        z = q.mean + q.scale * rng.standard_normal(600)
        step = h * moments(process, at, z).velocity
        square = ((moments(process, at + h, z + step).velocity - moments(process, at - h, z - step).velocity) / (2 * h)) ** 2
        means.append(square.mean())
        errors.append(square.std() / np.sqrt(600))
    error = np.sqrt(np.sum(np.square(errors))) / times.size
    known = np.mean(means)
    assert error < 0.1 * known
    assert bound_and_bending(process, 40, 241)[1] == pytest.approx(known, abs=3.3 * error)


def test_fitting_straightens_and_likelihood_alone_does_not():
    found = learned_forward_process(n_basis=3, iterations=12)
    head = found.headline()
    assert head["bending, learned"] < head["bending, linear"] / 3
    assert head["exact −E log p, nats"] < head["bound, linear"] < head["bound, learned"] < head["bound, linear"] + 0.05
    assert np.all(found.w1["learned"][:4] < 0.4 * found.w1["linear"][:4])
    idle = learned_forward_process(n_basis=3, iterations=5, bending_weight=0.0)
    np.testing.assert_allclose(idle.flow["learned"], idle.flow["linear"], atol=0.02)
    alone = learned_forward_process(n_basis=3, iterations=5, learned="mean")
    assert np.abs(alone.coefficients["scale"]).max() == 0 < np.abs(alone.coefficients["mean"]).max()
    assert alone.headline()["bending, learned"] > head["bending, learned"]


def test_gaussian_data_can_flow_straight():
    """Of one scale s(t) alone the flow is z s(t): the fit comes near s = 1, which does not bend."""
    process = forward_process(data_law("Gaussian", 1.0), 3)
    *_, (_, fitted) = fit(process, 1.0, 15, True)
    assert bound_and_bending(fitted)[1] < 0.15 * bound_and_bending(process)[1]


def test_fit_goes_on_where_it_stopped():
    """In chunks, as streamed, the objective only falls."""
    process = forward_process(data_law("two modes", 1.0), 1)
    values = [sum(bound_and_bending(now)) for _, now in fit(process, 1.0, 9, True, chunk=3)]
    assert len(values) == 3 and all(b <= a + 1e-9 for a, b in pairwise(values))
