"""Forward processes against direct integration of their SDE coefficients."""

import numpy as np
import pytest
from scipy import integrate

from compute.models import noise_schedule as ns


@pytest.mark.parametrize("t", [0.05, 0.4, 1.0])
def test_vp_and_sub_vp_are_the_processes_of_281(t):
    # dx = -beta x/2 dt + g dW: g^2 = beta (VP), beta (1 - e^{-2B}) (sub-VP). Moments by an ODE solver.
    def moments(u, state, is_sub):
        alpha, variance = state
        beta = ns.BETA_MIN + (ns.BETA_MAX - ns.BETA_MIN) * u
        b = ns.BETA_MIN * u + 0.5 * (ns.BETA_MAX - ns.BETA_MIN) * u**2
        diffusion = beta * (1 - np.exp(-2 * b)) if is_sub else beta
        return [-0.5 * beta * alpha, -beta * variance + diffusion]

    levels = []
    for schedule, is_sub in ((ns.VP, False), (ns.SUB_VP, True)):
        alpha, variance = integrate.solve_ivp(moments, (0, t), [1.0, 0.0], args=(is_sub,), rtol=1e-11, atol=1e-13).y[:, -1]
        level = schedule.level(t)
        assert level == pytest.approx(np.sqrt(variance) / alpha, rel=1e-7)
        assert schedule.alpha(level) == pytest.approx(alpha, rel=1e-7)
        levels.append(level)
    assert levels[1] < levels[0]  # sub-VP has the smaller variance at every time


@pytest.mark.parametrize("schedule", [s for s in ns.SCHEDULES.values() if s is not ns.LOG_OVER_T], ids=lambda s: s.name)
def test_grids(schedule):
    for n, top in ((1, 2.0), (2, 80.0), (3, 2.0), (60, 80.0)):
        levels = schedule.levels(n, top)
        assert levels.size == n + 1 and levels[0] == top and levels[-1] == 0
        assert np.all(np.diff(levels) < 0)
        if n > 1:
            assert levels[-2] == ns.SIGMA_MIN
            assert np.diff(schedule.time(levels[:-1]), 2) == pytest.approx(0, abs=1e-12)
    s = np.geomspace(0.02, 80, 20)
    assert schedule.level(schedule.time(s)) == pytest.approx(s, rel=1e-12)


def test_edm_grid_is_the_published_formula():
    rho, top, bottom, i = 7, 80.0, 0.002, np.arange(18)
    published = (top ** (1 / rho) + i / 17 * (bottom ** (1 / rho) - top ** (1 / rho))) ** rho
    assert ns.EDM.levels(18, top, bottom)[:-1] == pytest.approx(published, rel=1e-12)


def test_priors_are_normal_in_x():
    for top in (2.0, 80.0):
        assert ns.VP.prior_std(top) == pytest.approx(np.sqrt(1 + top**2))  # unit variance in x = alpha y
        assert ns.SUB_VP.prior_std(top) == pytest.approx(1 / ns.SUB_VP.alpha(top))
        assert ns.EDM.prior_std(top) == ns.VE.prior_std(top) == top
    draws = ns.VP.prior(np.random.default_rng(0), 20_000, 2, 5.0)
    assert draws.std() == pytest.approx(np.sqrt(26), rel=0.02)


def test_chain_of_263():
    n = 30
    levels = ns.LOG_OVER_T.levels(n, 7.0)
    survival = 1 / (1 + levels[:-1] ** 2)  # product of alpha_t, from t = T down to 1
    alpha = np.append(survival[:-1] / survival[1:], survival[-1])
    assert 1 - alpha[-1] == pytest.approx(n**-2.0, rel=1e-9)
    rate = 4 * np.log(n) / n
    beta_second = rate * min(n**-2.0 * (1 + rate), 1)
    assert 1 - alpha[-2] == pytest.approx(beta_second, rel=1e-9)
    assert np.max(1 - alpha) <= rate + 1e-12
    with pytest.raises(ValueError, match="too few"):
        ns.log_over_t_levels(8)
    assert ns.log_over_t_levels(9).size == 10
