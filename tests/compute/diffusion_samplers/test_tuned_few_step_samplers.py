"""The lab on tuned samplers of a few steps: optimal grids by other optimizers, exact laws, and what fits must satisfy."""

import itertools

import numpy as np
import pytest
from scipy.optimize import differential_evolution, minimize

from compute.diffusion_samplers import tuned_few_step_samplers as lab
from compute.diffusion_samplers.tuned_few_step_samplers import early_exit, grid_search, setting, tuning

GAUSSIAN = {"data": "Gaussian", "anisotropy": 1.0, "solver": "Euler (DDIM)"}


def problems():
    return [setting.problem_of("ring", 3.0, 4.0), setting.problem_of("Gaussian", 3.0, 4.0)]


# --- levels --------------------------------------------------------------------------------------------------


def scale_after_euler(levels, std):
    """Output scale of Euler on N(0, std^2), from the step itself."""
    ratio = 1.0
    for sigma, sigma_next in itertools.pairwise(levels):
        ratio *= 1 + (sigma_next - sigma) * sigma / (std**2 + sigma**2)
    return ratio


def test_best_grid_of_a_gaussian_is_equal_angles():
    std, top = 0.7, 10.0

    def loss(log_levels):
        return -scale_after_euler([top, *np.exp(log_levels), 0.0], std)

    best = minimize(loss, np.log([2.0, 0.3]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 2000})
    levels = setting.equal_angles(3, std, top)
    assert np.exp(best.x) == pytest.approx([1.09164, 0.38269], abs=5e-6)
    assert levels[1:3] == pytest.approx([1.09164, 0.38269], abs=5e-6)
    exact = std / np.hypot(std, top)
    assert scale_after_euler(levels, std) / exact == pytest.approx(np.cos(np.arctan(top / std) / 3) ** 3, rel=1e-12)


def test_curve_follows_the_exact_law():
    result = lab.step_curve(**GAUSSIAN, grid="equal angles", history=0)
    assert result.plain["equal angles"] == pytest.approx(result.law, rel=1e-9)
    for k, value in zip(result.steps, result.plain["EDM"], strict=True):
        levels = setting.grid_of("EDM", int(k), 0.7)
        exact = 0.7 / np.hypot(0.7, 20.0)
        assert value / result.plain["equal angles"][0] == pytest.approx(
            (1 - scale_after_euler(levels, 0.7) / exact) / (1 - np.cos(np.arctan(20 / 0.7) / 2) ** 2), rel=1e-9
        )
        assert value >= result.law[list(result.steps).index(k)] * (1 - 1e-12)


def test_flow_of_the_ring_is_converged():
    problem = setting.problem_of("ring", 3.0, 4.0)
    start = problem.starts(0, 60)
    levels = np.append(np.geomspace(20.0, 1e-4, 700), 0.0)
    fine = setting.run_base(problem, "DPM-2", start, levels)
    assert problem.error(problem.flow(start), fine) < 2e-4


# --- fitted coefficients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", setting.SOLVER_NAMES)
def test_default_coefficients_are_the_base_solver(solver):
    for problem in problems():
        levels = setting.grid_of("EDM", 6, problem.scale)
        start = problem.starts(3, 40)
        g = np.stack([tuning.default_coefficients(solver, 2, sigma == 0) for sigma in levels[1:]])
        expected = setting.run_base(problem, solver, start, levels)
        assert tuning.run_with(problem, solver, levels, g, start) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("solver", setting.SOLVER_NAMES)
def test_no_step_of_a_fit_is_worse_than_default_on_its_training_noise(solver):
    for problem in problems():
        for history in (0, 3):
            levels = setting.grid_of("equal angles", 5, problem.scale)
            found = tuning.fit(problem, solver, levels, history, problem.starts(1, 32))
            assert np.all(found.step_error <= found.step_error_default * (1 + 1e-9))


def test_fit_is_the_least_squares_minimum():
    # One Euler step without history has one coefficient: the ratio of two sums.
    problem = setting.problem_of("ring", 3.0, 4.0)
    start, levels = problem.starts(2, 50), np.array([20.0, 3.0, 0.0])
    found = tuning.fit(problem, "Euler (DDIM)", levels, 0, start)
    target = setting.run_base(problem, "Euler (DDIM)", start, np.geomspace(20.0, 3.0, tuning.FINE + 1))
    eps = (start - problem.denoise(start, 20.0)) / 20.0
    assert found.coefficients[0, 0] == pytest.approx(np.sum(eps * (target - start)) / (-17.0 * np.sum(eps**2)), rel=1e-10)


def test_fits_carry_over_to_fresh_noise_unless_trained_on_too_little():
    for data in setting.DATA:
        result = lab.coefficients(data=data)
        assert result.at_fresh < 0.2 * result.plain
    few = lab.coefficients(solver="Euler (DDIM)", training_trajectories=2, history=4)
    assert few.at_fresh > 10 * few.at_train and few.at_fresh > few.plain
    # The published pattern: gain at few steps of Heun on the EDM grid.
    assert lab.landing(steps=4).tuned_error < 0.2 * lab.landing(steps=4).base_error


# --- search --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", setting.DATA)
def test_search_never_gets_worse_and_starts_no_worse_than_its_seeds(data):
    result = lab.found_grid(data=data, generations=8, population=20)
    assert result.fitness[0] <= result.seeded and np.all(np.diff(result.fitness) <= 0)
    assert np.all(np.diff(result.found, axis=1) < 0) and result.found.shape == (9, 5)


def test_search_finds_equal_angles_and_what_scipy_finds():
    result = lab.found_grid(**GAUSSIAN, steps=3, generations=60)
    std = 0.7

    def loss(levels):
        return -scale_after_euler([20.0, *sorted(np.exp(levels), reverse=True), 0.0], std)

    best = differential_evolution(loss, [(np.log(0.02), np.log(20))] * 2, seed=1, tol=1e-10)
    inner = sorted(np.exp(best.x), reverse=True)
    # Candidates are 3.5 percent apart.
    assert result.found[-1, 1:] == pytest.approx(inner, rel=0.06)
    assert inner == pytest.approx(setting.equal_angles(3, std)[1:3], rel=1e-3)
    error = 1 + best.fun / (std / np.hypot(std, 20.0))
    assert error <= _relative(result.found[-1], std) <= error * 1.01


def _relative(levels, std):
    return 1 - scale_after_euler([*levels, 0.0], std) / (std / np.hypot(std, 20.0))


def test_nearest_candidates_are_different_and_near():
    for name in setting.GRIDS:
        for steps in (2, 5, 30):
            levels = setting.grid_of(name, steps, 2.0)
            chosen = grid_search.nearest(levels)
            assert chosen.size == steps - 1 and np.all(np.diff(chosen) > 0)
            assert chosen.min() >= 0 and chosen.max() < grid_search.N_LEVELS


# --- early exit ----------------------------------------------------------------------------------------------


def test_exits():
    result = lab.exit_map(compute_budget=1.0)
    assert np.all(result.error[-1] == 0) and result.scheduled_error == 0
    # At high noise even the linear denoiser is right, and at low noise; in between it is not.
    assert max(result.error[0, 0], result.error[0, -1]) < 0.05 * result.error[0].max()
    assert np.all(np.diff(result.error.max(axis=1)) < 0)
    for budget in (0.2, 0.4, 0.6, 0.8):
        part = lab.exit_map(compute_budget=budget)
        assert part.used <= budget + 1e-9
        assert part.scheduled_error < part.uniform_error


def test_best_depths_against_every_schedule():
    rng = np.random.default_rng(3)
    cost = np.sort(rng.random((3, 5)), axis=0)[::-1]
    for layers in (5, 8, 11, 15):
        every = [d for d in itertools.product(range(3), repeat=5) if sum(d) + 5 <= layers]
        best = min(sum(cost[d, i] for i, d in enumerate(depths)) for depths in every)
        found = early_exit.best_depths(cost, layers)
        assert sum(found) + 5 <= layers
        assert cost[found, np.arange(5)].sum() == pytest.approx(best, rel=1e-12)
