"""Samplers against exact linear theory, adaptive integration, their own orders and published tables."""

import itertools

import numpy as np
import pytest
from scipy import integrate

from compute.methods import reverse_samplers as rs
from compute.methods.dpm_solver_v3 import statistics
from compute.methods.gaussian_reverse import (
    euler_scale_error,
    tie_line,
    w1_after_er_sde,
    w1_in_continuum,
)
from compute.models import gaussian_mixture as gm
from compute.models import noise_schedule as ns

NORMAL = gm.GaussianMixture(np.ones(1), np.zeros((1, 1)), 0.5)
RNG = np.random.default_rng(0)


def run_of(mixture, **more):
    return rs.Run(mixture.denoise, np.random.default_rng(1), **more)


def test_euler_on_gaussian_data_is_a_product_of_cosines():
    levels = np.sort(np.random.default_rng(2).uniform(0, 30, 12))[::-1].copy()
    levels[-1] = 0
    y = np.array([[1.0], [-2.5]])
    out = rs.sample(rs.euler, run_of(NORMAL), y, levels)
    theta = np.arctan(levels / NORMAL.width)
    exact = y * NORMAL.width / np.hypot(NORMAL.width, levels[0])
    assert out / exact == pytest.approx(np.prod(np.cos(np.diff(theta))), rel=1e-12)
    # Equal angles are the best grid.
    best = NORMAL.width * np.tan(np.linspace(theta[0], 0, 12))
    best[-1] = 0
    out = rs.sample(rs.euler, run_of(NORMAL), y, best)
    assert 1 - out / exact == pytest.approx(euler_scale_error(11, levels[0], NORMAL.width), rel=1e-9)


@pytest.mark.parametrize("name", [s.name for s in rs.SOLVERS.values() if not s.is_random or s.name.startswith("ER-SDE")])
def test_orders_against_an_adaptive_solver(name):
    mixture = gm.three_modes_1d(1.0)
    y = np.linspace(-6, 6, 25)[:, None]
    bottom, top = 0.05, 5.0
    exact = integrate.solve_ivp(
        lambda u, v: (v[:, None] - mixture.denoise(v[:, None], np.exp(u)))[:, 0],
        (np.log(top), np.log(bottom)),
        y[:, 0],
        rtol=1e-11,
        atol=1e-12,
        method="DOP853",
    ).y[:, -1]
    solver = rs.SOLVERS[name]
    known = statistics(mixture, np.random.default_rng(3), bottom, top) if "v3" in name else None
    errors = []
    for n in (64, 128):
        *states, _ = rs.path(solver.step, run_of(mixture, statistics=known), y, ns.VE.levels(n + 1, top, bottom))
        errors.append(np.sqrt(np.mean((states[-1][:, 0] - exact) ** 2)))
    order = np.log2(errors[0] / errors[1])
    # A multistep method starts with a first-order step, whose O(h^2) bounds ER-SDE 3.
    assert order > min(solver.order, 2 if "ER-SDE" in name else 4) - 0.25, (order, errors)
    assert errors[1] < 0.05


def test_point_mass_variance_of_one_step_is_that_of_the_next_level():
    point = gm.GaussianMixture(np.ones(1), np.zeros((1, 1)), 0.0)
    sigma, sigma_next, n = 3.0, 1.2, 200_000
    for eta in (0.0, 0.4, 1.0):
        y = sigma * np.random.default_rng(4).standard_normal((n, 1))
        out = rs.er_sde_1(run_of(point, eta=eta), y, sigma, sigma_next)
        assert abs(out.var() - sigma_next**2) < 4 * sigma_next**2 * np.sqrt(2 / n)


def test_noise_injected_by_er_sde():
    class Still:
        def standard_normal(self, shape):
            return np.ones(shape)

    y, sigma, sigma_next = np.zeros((1, 1)), 2.0, 0.7
    run = rs.Run(lambda y, s: 0 * y, Still(), eta=1.0)
    assert rs.er_sde_1(run, y, sigma, sigma_next) ** 2 == pytest.approx(sigma_next**2 * (1 - sigma_next**2 / sigma**2))
    # At eta 0 no random number is asked for, and order 1 is Euler, order 2 the exponential 2M up to its h-weights.
    run = rs.Run(gm.ring_2d(2.0).denoise, None)
    y = np.random.default_rng(5).standard_normal((9, 2))
    assert rs.er_sde_1(run, y, sigma, sigma_next) == pytest.approx(rs.euler(run, y, sigma, sigma_next), abs=1e-14)


@pytest.mark.parametrize("eta", [0.0, 1e-9, 0.5, 1.0 - 1e-9, 1.0])
def test_er_sde_integrates_a_quadratic_denoiser_exactly(eta):
    # D = a + b u + c u^2 whatever y: with true differences the expansion is exact; the mean against quadrature.
    def denoise(y, u):
        return np.full_like(y, 0.3 - 0.8 * u + 0.25 * u**2)

    sigma, sigma_next, y = 1.7, 0.6, np.array([[0.9]])

    class Silent:
        def standard_normal(self, shape):
            return np.zeros(shape)

    run = rs.Run(denoise, Silent(), eta=eta)
    for u in (2.6, 2.1):
        run.keep(u, denoise(y, u))
    out = rs.er_sde_3(run, y, sigma, sigma_next)
    p = 1 + eta
    integral = integrate.quad(lambda u: p * u ** (-p - 1) * denoise(y, u)[0, 0], sigma_next, sigma, epsabs=1e-13)[0]
    exact = (sigma_next / sigma) ** p * y[0, 0] + sigma_next**p * integral
    # The second difference is centered before sigma, so the slope at sigma is off by c (sigma_before - sigma).
    slope_gap = 0.25 * (2.1 - sigma)
    over = rs._power_integral(sigma_next, sigma, -p)
    assert out[0, 0] == pytest.approx(exact + slope_gap * (sigma_next - sigma + sigma_next**p * over), abs=1e-10)


def test_v3_is_exact_on_gaussian_data():
    # l alone then carries the whole linear part: N = -l m, and y' is exact up to the quadrature of l.
    mixture = gm.GaussianMixture(np.ones(1), np.array([[0.0, 0.0]]), 0.5)
    known = statistics(mixture, np.random.default_rng(6), 0.02, 20.0, n_grid=2001)
    y = np.random.default_rng(7).standard_normal((5, 2)) * 20
    for sigma, sigma_next in ((20.0, 3.0), (3.0, 0.1), (0.1, 0.02)):
        out = rs.dpm_v3_first_order(run_of(mixture, statistics=known), y, sigma, sigma_next)
        exact = y * np.sqrt((0.25 + sigma_next**2) / (0.25 + sigma**2))
        assert out == pytest.approx(exact, rel=2e-3)
        euler = rs.euler(run_of(mixture), y, sigma, sigma_next)
        assert np.max(np.abs(out - exact)) < 0.02 * np.max(np.abs(euler - exact))


def test_v3_statistics_of_gaussian_data():
    known = statistics(NORMAL, np.random.default_rng(8), 0.02, 20.0)
    sigma = np.exp(-known.grid)
    assert known.l[:, 0] == pytest.approx(sigma**2 / (0.25 + sigma**2), abs=1e-12)  # 1 - C/sigma^2
    assert np.max(np.abs(known.s)) == 0 and np.max(np.abs(known.b)) < 1e-3  # N is 0: nothing to regress on


# --- 263: T^-2 and T^-1 up to logarithms, by exact recursion on N(0, 1/4) ---------------------------------------


def variance_error(step, n_steps: int) -> float:
    """Relative variance error in x at t = 1 from x_T ~ N(0, 1); a linear step acts on a standard deviation."""
    levels = ns.log_over_t_levels(n_steps)
    std = ns.VP.prior_std(levels[0])
    run = run_of(NORMAL)
    if step is not rs.accelerated_sde:
        *states, _ = rs.path(step, run, np.array([[std]]), levels)
        variance = states[-1][0, 0] ** 2
    else:
        # Linear in (y, z, z'): its response to each is a coefficient.
        variance = std**2
        for sigma, sigma_next in itertools.pairwise(levels[:-1]):
            coefficients = []
            for unit in np.eye(3):

                class Draws:
                    values = iter(unit[1:])

                    def standard_normal(self, shape):
                        return np.full(shape, next(self.values))

                out = step(rs.Run(NORMAL.denoise, Draws()), np.array([[unit[0]]]), sigma, sigma_next)
                coefficients.append(out[0, 0])
            variance = coefficients[0] ** 2 * variance + coefficients[1] ** 2 + coefficients[2] ** 2
    # Compared with the law of x_1, both in x.
    alpha = ns.VP.alpha(levels[-2])
    return float(alpha**2 * (variance - 0.25 - levels[-2] ** 2))


@pytest.mark.parametrize("n_steps,constant", [(400, 1.071), (800, 1.074)])
def test_accelerated_stochastic_sampler_has_its_published_rate(n_steps, constant):
    error = variance_error(rs.accelerated_sde, n_steps)
    assert abs(error) * (n_steps / np.log(n_steps)) ** 2 == pytest.approx(constant, abs=2e-3)


def test_accelerated_deterministic_sampler_beats_the_plain_one():
    assert variance_error(rs.accelerated_ode, 800) == pytest.approx(-4.0e-4, abs=0.2e-4)
    assert variance_error(rs.plain_ode, 800) == pytest.approx(3.5e-2, abs=0.05e-2)


def test_stochastic_samplers_reach_the_data():
    mixture = gm.two_modes_1d(2.0)
    for name in ("predictor-corrector", "accelerated SDE (263)", "ER-SDE 1", "ER-SDE 3"):
        solver = rs.SOLVERS[name]
        n = 20_000
        start = 20 * np.random.default_rng(9).standard_normal((n, 1))
        x = rs.sample(solver.step, run_of(mixture, eta=1.0), start, ns.EDM.levels(100, 20.0))
        assert abs(x.mean()) < 5 * mixture.scale / np.sqrt(n), name
        assert x.var() == pytest.approx(mixture.covariance[0, 0], rel=0.03), name


# --- exact recursions on Gaussian data -----------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_gaussian_recursion_is_what_particles_do(eta):
    mixture = gm.GaussianMixture(np.ones(1), np.array([[2.0]]), 0.25)
    levels, n = ns.EDM.levels(12, 6.0), 100_000
    x = rs.sample(rs.er_sde_1, run_of(mixture, eta=eta), 6 * np.random.default_rng(10).standard_normal((n, 1)), levels)
    gap, spread = x.mean() - 2, x.std() - 0.25
    z = np.random.default_rng(11).standard_normal(400_000)
    simulated = np.mean(np.abs(gap + spread * z))
    assert w1_after_er_sde(np.array(eta), levels, np.array(6.0), 2.0, 0.25) == pytest.approx(
        simulated, abs=4 * x.std() / np.sqrt(n)
    )


@pytest.mark.parametrize("schedule", [ns.EDM, ns.VP, ns.VE], ids=lambda s: s.name)
def test_continuum_theory_is_the_limit_of_the_recursion(schedule):
    tops = np.array([4.0, 20.0])
    prior = np.array([schedule.prior_std(s) for s in tops])
    for eta in (0.0, 1.0):
        levels = np.stack([schedule.levels(3000, s) for s in tops], axis=1)
        exact = w1_after_er_sde(np.array(eta), levels, prior, 1.0, 0.25)
        theory = w1_in_continuum(eta, np.full(2, 3000.0), schedule, tops, prior, 1.0, 0.25)
        assert theory == pytest.approx(exact, rel=0.02)
    # Where it says ODE and SDE tie, so do the exact errors in the limit of many steps.
    n, top = tie_line(schedule, np.geomspace(400, 4000, 20), np.geomspace(2, 1e4, 40), 1.0, 0.25)
    assert np.isfinite(n).any()
    for at, sigma in zip(n[::9], top[::9], strict=True):
        levels = schedule.levels(round(at), sigma)
        ode, sde = w1_after_er_sde(np.array([0.0, 1.0]), levels[:, None], schedule.prior_std(sigma), 1.0, 0.25)
        assert abs(np.log(ode / sde)) < 0.1, (at, sigma)
