"""Events against rejection sampling and SciPy's quadrature; windows against SciPy's integrator."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.stats import norm

from compute.models.event_bank import EVENTS, EventBank
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.window_bank import SYSTEMS, cut, rk4, windows


def bank(event: str) -> EventBank:
    means = np.random.default_rng(3).standard_normal((12, 4))
    return EventBank(GaussianMixture(np.ones(12), means, 0.4), event)


@pytest.mark.parametrize("event", EVENTS)
def test_event_agrees_with_rejection(event):
    b, rng, c = bank(event), np.random.default_rng(0), {"maximum": 1.6, "mean": 0.7}[event]
    x = b.law.sample(rng, 200_000)
    inside = x[b.measure(x) > c]
    p = b.probability(c)
    assert abs(len(inside) / len(x) - p) < 4 * np.sqrt(p * (1 - p) / len(x))
    drawn = b.sample_event(rng, 20_000, c)
    assert (b.measure(drawn) > c).all()
    for f in (lambda z: z, lambda z: z**2):
        gap = f(drawn).mean(0) - f(inside).mean(0)
        assert np.all(np.abs(gap) < 4.5 * np.sqrt(f(drawn).var(0) / len(drawn) + f(inside).var(0) / len(inside)))


@pytest.mark.parametrize("event", EVENTS)
def test_exact_pull_is_the_gradient_and_the_chance_is_right(event):
    b, c, sigma, h = bank(event), 1.2, 0.7, 1e-5
    y = np.random.default_rng(1).standard_normal((3, 4)) + 0.3
    log_chance, pull = b.exact(y, sigma, c)
    for j in range(4):
        e = h * np.eye(4)[j]
        numeric = (b.exact(y + e, sigma, c)[0] - b.exact(y - e, sigma, c)[0]) / (2 * h)
        assert pull[:, j] == pytest.approx(sigma**2 * numeric, rel=1e-6, abs=1e-8)
    rng = np.random.default_rng(2)
    w = b.law.responsibilities(y, sigma)[0]
    keep = 0.4**2 / (0.4**2 + sigma**2)
    k = rng.choice(12, 200_000, p=w)
    x = b.law.means[k] + keep * (y[0] - b.law.means[k]) + np.sqrt(keep) * sigma * rng.standard_normal((k.size, 4))
    p = np.exp(log_chance[0])
    assert abs((b.measure(x) > c).mean() - p) < 4 * np.sqrt(p * (1 - p) / k.size)


def test_gaussian_data_and_a_linear_event_make_tweedie_exact():
    b = EventBank(GaussianMixture(np.ones(1), np.array([[0.3, -0.2, 0.5]]), 0.8), "mean")
    y = np.random.default_rng(4).standard_normal((6, 3))
    for sigma in (0.1, 1.0, 5.0):
        log_chance, pull = b.exact(y, sigma, 0.9)
        guess = b.approximate(y, sigma, 0.9, "Tweedie")
        assert guess.log_chance == pytest.approx(log_chance, abs=1e-10) and guess.pull == pytest.approx(pull, abs=1e-10)
        for j in range(3):
            e = 1e-5 * np.eye(3)[j]
            numeric = (b.approximate(y + e, sigma, 0.9, "Tweedie").pull - b.approximate(y - e, sigma, 0.9, "Tweedie").pull) / 2e-5
            assert guess.bend[:, None] * guess.pull * guess.pull[:, [j]] == pytest.approx(numeric, abs=1e-8)


def test_probability_of_one_window_by_quadrature():
    means = np.array([[0.0, 0.4]])
    b = EventBank(GaussianMixture(np.ones(1), means, 0.5))
    below = quad(lambda x: norm.pdf(x, 0, 0.5) * norm.cdf((1 - 0.4) / 0.5), -8, 1)[0]
    assert b.probability(1.0) == pytest.approx(1 - below, abs=1e-9)


@pytest.mark.parametrize("name", SYSTEMS)
def test_orbits_agree_with_scipy(name):
    system = SYSTEMS[name]
    state = (system.start + 0.5 * system.spread)[:, None]
    steps = 40
    for _ in range(steps):
        state = rk4(system.velocity, state, system.step)
    start = system.start + 0.5 * system.spread
    found = solve_ivp(lambda t, y: system.velocity(y[:, None])[:, 0], (0, steps * system.step), start, rtol=1e-10, atol=1e-12)
    # Over 40 steps of Lorenz a fourth-order error has time to grow a hundredfold.
    assert state[:, 0] == pytest.approx(found.y[:, -1], rel=2e-3, abs=2e-3)


def test_windows_are_standardized_and_cut_where_they_should_be():
    w = windows("Lorenz-63", 400, 24)
    assert w.shape == (400, 24) and abs(w.mean()) < 1e-12 and w.std() == pytest.approx(1)
    series = np.arange(100.0)
    c = cut(series, 10, 7)
    assert c.shape == (7, 10) and np.allclose(np.diff(c, axis=1), 1 / series.std())
    # FitzHugh-Nagumo units fire together rarely: a few windows tower over the rest.
    peaks = windows("FitzHugh-Nagumo", 2000, 24).max(axis=1)
    assert np.quantile(peaks, 0.95) < 3 and peaks.max() > 8 and 0.002 < (peaks > 6).mean() < 0.03
