"""The lab on error propagation: closed forms against other libraries, simulation, and identities."""

import itertools

import numpy as np
import ot
import pytest
from scipy.integrate import solve_ivp

from compute.diffusion_samplers import error_propagation as lab
from compute.diffusion_samplers.error_propagation import flow, martingale
from compute.models.diffusion_setting import mixture_of
from compute.models.forward_process import PROCESSES
from compute.models.geometric_spectrum import geometric_spectrum

SETTING = {"dimension": 6, "condition": 9.0, "bias": 0.1, "gain": 0.1, "profile": "late"}


def law_of(process, horizon, steps, integrator, eigenvalue, bias, gain, profile):
    a, b = flow.affine_maps(process, np.array([horizon]), steps, integrator, eigenvalue, bias, gain, profile)
    return b[0], np.abs(a[0]) * np.sqrt(process.variance(horizon))


@pytest.mark.parametrize("family", PROCESSES)
def test_w2_against_pot(family):
    process = PROCESSES[family]
    eigenvalue, _ = geometric_spectrum(6, 9.0)
    for integrator in flow.INTEGRATORS:
        mean, std = law_of(process, 2.0, 20, integrator, eigenvalue, 0.1, 0.1, "late")
        expected = ot.gaussian.bures_wasserstein_distance(mean, np.ones(6), np.diag(std**2), np.diag(eigenvalue))
        found = flow.ode_error(process, np.array([2.0]), 20, integrator, **SETTING)
        assert found.total[0] == pytest.approx(expected, rel=1e-7)
        assert found.total[0] <= found.initialization[0] + found.score[0] + found.discretization[0] + 1e-12


def euler_drift(x, t, eigenvalue, psi):
    """g^2 = 1, f = 1/2 written out for VP constant, with the wrong score of SETTING."""
    v = np.exp(-t) * eigenvalue + 1 - np.exp(-t)
    score = -(x - np.exp(-t / 2)) / v
    return -0.5 * x - 0.5 * (score * (1 + 0.1 * psi) - 0.1 * psi)


def test_affine_maps_against_particles():
    # The same moments by 40000 particles through a plain Euler loop, and through one of Heun.
    process, eigenvalue = PROCESSES["VP constant"], geometric_spectrum(4, 9.0)[0]
    n, steps, horizon = 40000, 25, 3.0
    start = np.sqrt(1 - np.exp(-horizon)) * np.random.default_rng(1).standard_normal((n, 4))
    h = horizon / steps
    for integrator in ("Euler", "Heun"):
        x = start.copy()
        for k in range(steps):
            t, later = horizon * (1 - k / steps), horizon * (1 - (k + 1) / steps)
            psi, psi_later = float(t <= horizon / 2), float(later <= horizon / 2)
            slope = euler_drift(x, t, eigenvalue, psi)
            if integrator == "Heun":
                slope = 0.5 * (slope + euler_drift(x - h * slope, later, eigenvalue, psi_later))
            x = x - h * slope
        mean, std = law_of(process, horizon, steps, integrator, eigenvalue, 0.1, 0.1, "late")
        assert np.all(np.abs(x.mean(axis=0) - mean) < 4 * std / np.sqrt(n))
        assert np.all(np.abs(x.std(axis=0) - std) < 4 * std / np.sqrt(2 * n))


@pytest.mark.parametrize("family", PROCESSES)
def test_every_integrator_converges_to_the_flow(family):
    process, eigenvalue = PROCESSES[family], np.array([0.4, 2.0])

    def slope(t, x):
        v = process.alpha(t) ** 2 * eigenvalue + process.variance(t)
        return -process.pull(t) * x + 0.5 * process.rate(t) * (1.1 * (x - process.alpha(t)) / v + 0.1)

    exact = [solve_ivp(slope, (2.0, 0.0), np.full(2, x0), rtol=1e-10, atol=1e-12).y[:, -1] for x0 in (0.0, 1.0)]
    for integrator, tolerance in (("Euler", 4e-3), ("exponential", 4e-3), ("Heun", 2e-5)):
        a, b = flow.affine_maps(process, np.array([2.0]), 1000, integrator, eigenvalue, 0.1, 0.1, "uniform")
        assert b[0] == pytest.approx(exact[0], abs=tolerance)
        assert (a + b)[0] == pytest.approx(exact[1], abs=tolerance)


@pytest.mark.parametrize("family", PROCESSES)
def test_orders(family):
    for integrator, order, tolerance in (("Euler", 1, 0.05), ("exponential", 1, 0.05), ("Heun", 2, 0.1)):
        assert lab.error_curve(family=family, horizon=3.0, integrator=integrator).order == pytest.approx(order, abs=tolerance)


def test_exact_score_and_fine_steps_forget_the_start_with_the_horizon():
    errors = [lab.error_curve(horizon=t, bias=0.0, integrator="Heun", steps=1000).at[0] for t in (0.5, 1, 2, 4, 8)]
    assert np.all(np.diff(errors) < 0)


def test_best_horizon_is_the_minimum_of_the_map():
    result = lab.horizon_map(steps=100, bias=0.05)
    here = lab.horizon_map(steps=100, bias=0.05, horizon=result.at_best).at_w2
    assert here == pytest.approx(result.at_best_w2, rel=1e-12)
    for factor in (0.9, 1.1):
        assert lab.horizon_map(steps=100, bias=0.05, horizon=factor * result.at_best).at_w2 > here
    row = int(np.argmin(np.abs(result.steps - 100)))
    assert result.best[row] == pytest.approx(result.at_best, rel=0.05)


@pytest.mark.parametrize("family", PROCESSES)
def test_budget_is_an_identity(family):
    for profile in ("uniform", "early", "late"):
        one = lab.budget(PROCESSES[family], 3.0, 60, 20, 9.0, 0.2, -0.2, profile)
        change = one.cumulative[1:] - one.cumulative[:-1]
        assert np.abs(change - one.modular + one.forgotten).max() < 1e-12 * one.put_in.max()
        assert np.all(one.forgotten >= 0) and np.all(one.modular >= 0)


def test_no_perturbation_no_error():
    one = lab.budget(PROCESSES["VP linear"], 4.0, 50, 10, 4.0, 0.0, 0.0, "uniform", is_exact_start=True)
    assert np.abs(one.cumulative).max() < 1e-13 and one.put_in.max() < 1e-13 and one.w2.max() < 1e-7


def test_chain_against_particles():
    # One direction of width 1, noise 1 - e^-T: the model's chain simulated, its moments at the end against the budget's KL.
    n, steps, horizon, bias, gain = 200000, 20, 3.0, 0.3, 0.2
    process, t = PROCESSES["VP constant"], np.linspace(horizon, 0.0, steps + 1)
    rng = np.random.default_rng(2)
    x = np.sqrt(1 - np.exp(-horizon)) * rng.standard_normal(n)
    for k in range(steps):  # data of variance 1: every noised law has variance 1
        lapse = t[k] - t[k + 1]
        a, b = np.exp(-lapse / 2), 1 - np.exp(-lapse)
        score = (1 + gain) * -(x - np.exp(-t[k] / 2)) - bias
        x = (x + b * score) / a + np.sqrt(b) * rng.standard_normal(n)
    mean, variance = x.mean(), x.var()
    simulated = 0.5 * (variance - 1 - np.log(variance) + (mean - 1) ** 2)
    error = np.hypot((mean - 1) * np.sqrt(variance / n), 0.5 * (1 - 1 / variance) * variance * np.sqrt(2 / n))
    expected = lab.budget(process, horizon, steps, 1, 1.0, bias, gain, "uniform").cumulative[-1]
    assert abs(simulated - expected) < 4 * error and expected > 50 * error


def test_early_errors_fade_and_late_errors_stay():
    early, late = (lab.propagation(profile=p) for p in ("early", "late"))
    assert early.chosen.put_in[-1] == pytest.approx(late.chosen.put_in[-1], rel=0.01)
    assert early.chosen.cumulative[-1] < 0.3 * late.chosen.cumulative[-1]


def test_martingale():
    for separation, start in ((3.0, 0.2), (1.0, -1.5)):
        result = lab.score_paths(separation=separation, start=start, seed=3)
        assert np.all(np.abs(result.mean - result.flat) <= 4 * result.standard_error + 1e-12)
        assert abs(result.slope - 1) < 3.5 * result.slope_error
        assert result.left < martingale.RISK
    # Exact spread against twenty thousand paths of a plain Euler-Maruyama reverse SDE dy = -2 sigma score dsigma + noise.
    mixture, rng = mixture_of("two_modes_1d", 3.0), np.random.default_rng(4)
    top, low = 3.0, 0.5
    y, grid = np.full((20000, 1), 1.0), np.linspace(top**2, low**2, 801)
    for now, then in itertools.pairwise(grid):
        y = y + (now - then) * mixture.score(y, np.sqrt(now)) + np.sqrt(now - then) * rng.standard_normal(y.shape)
    score = mixture.score(y, low)[:, 0]
    law = martingale.between(mixture, top, 1.0, low)
    flat = mixture.score(np.array([[1.0]]), top)[0, 0]
    assert abs(score.mean() - flat) < 4 * score.std() / np.sqrt(score.size)
    square = score**2
    expected = martingale.expected_score_square(law, mixture, low)
    assert abs(square.mean() - expected) < 4 * square.std() / np.sqrt(score.size) + 0.01 * expected


def test_calibration():
    result = lab.calibration(bias=0.2, gain=0.1)
    theory = result.full - result.cost / result.n_simulated
    assert np.all(np.abs(result.simulated - theory) < 4.5 * result.simulated_error)
    # g^2 = 1, T = 4: a bias of 0.2 costs 0.2^2 4/2 nats.
    assert result.full == pytest.approx(0.08, rel=1e-12)
    # The loss itself, before and after taking the mean away, by samples at one time.
    mixture, process, t = mixture_of("two_modes_1d", 3.0), PROCESSES["VP constant"], 1.0
    x = martingale.noised(process, mixture, t, np.random.default_rng(5), 100000)
    score = martingale.score_of(process, mixture, x, t)
    assert abs(score.mean()) < 4 * score.std() / np.sqrt(score.size)
    wrong = 1.1 * score - 0.2
    drop = (wrong - score) ** 2 - (wrong + 0.2 - score) ** 2
    assert abs(drop.mean() - 0.04) < 4 * drop.std() / np.sqrt(drop.size)
    assert lab.calibration(bias=0.4).w1_after < 0.1 * lab.calibration(bias=0.4).w1_before
