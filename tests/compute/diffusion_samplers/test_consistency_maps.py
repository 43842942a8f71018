"""The lab on consistency maps: exact jumps, discrete fixed points, and training against its own mean."""

import importlib

import numpy as np
import pytest
from scipy.special import ndtri

from compute.diffusion_samplers.consistency_maps import discrete, discretization, renoise_map, step_curve
from compute.diffusion_samplers.consistency_maps.setting import levels_of, mixture_of, table_of
from compute.methods import flow_map
from compute.models.gaussian_mixture import GaussianMixture

walks = importlib.import_module("compute.diffusion_samplers.consistency_maps.jumps")
learning = importlib.import_module("compute.diffusion_samplers.consistency_maps.training")

GAUSSIAN = GaussianMixture(np.ones(1), np.zeros((1, 1)), 0.8)


def test_grids_are_nested():
    fine = levels_of(32, 20.0)
    for n in (1, 2, 4, 8, 16):
        np.testing.assert_allclose(levels_of(n, 20.0), fine[:: 32 // n], atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.7, 1.0])
def test_exact_jumps_keep_the_exact_law_at_every_stop(gamma):
    mixture = mixture_of("three_modes_1d", 3.0)
    flow = table_of(mixture)
    rng = np.random.default_rng(3)
    levels = levels_of(5, 20.0)
    n = 4000
    y = flow_map.quantiles(mixture, rng.standard_normal(n), levels[0])
    stops = list(walks.walk(flow, y, levels, gamma, 0.0, 1.0, rng, stratified=False))
    assert len(stops) == (5 if gamma == 0 else 9)
    for level, state in stops:
        # Kolmogorov's statistic; 2.2 is passed with probability 1e-4.
        u = np.sort(mixture.noised(level).cdf(state))
        assert np.sqrt(n) * np.abs(u - (np.arange(n) + 0.5) / n).max() < 2.2, level


def test_sorted_lattice_noise_gives_the_law_of_independent_noise():
    mixture = mixture_of("three_modes_1d", 2.0)
    flow = table_of(mixture)
    levels = levels_of(6, 20.0)

    def run(stratified, n, seed):
        rng = np.random.default_rng(seed)
        y = walks.start(flow, rng, (1, n), float(levels[0]))
        for _, y in walks.walk(flow, y, levels, 0.8, 0.3, 1.0, rng, stratified=stratified):
            pass
        return np.array([y.mean(), y.std()])

    lattice = np.array([run(True, 800, seed) for seed in range(8)])
    free = np.array([run(False, 800, seed) for seed in range(24)])
    spread = np.hypot(lattice.std(axis=0, ddof=1) / np.sqrt(8), free.std(axis=0, ddof=1) / np.sqrt(24))
    assert np.all(np.abs(lattice.mean(axis=0) - free.mean(axis=0)) < 4 * spread)
    assert np.all(lattice.std(axis=0) < free.std(axis=0))


def test_where_error_enters_decides_who_wins():
    result = renoise_map()
    last = result.log_ratio[:, -1]
    assert last[-1] > 1 and last[0] < -0.2  # 32 steps: the flow wins at q = 2, re-noising at q = 0
    assert np.all(result.log_ratio[0] < 0.1)
    curve = step_curve(error_growth=2.0)
    assert curve.error[0, -1] < 0.25 * curve.error[0, 0]  # gamma 0 gains from steps …
    assert curve.error[-1, -1] > 3 * curve.error[0, -1]
    curve = step_curve(error_growth=0.0)
    assert curve.error[0, -1] > 2 * curve.error[0, 0]  # … and loses by them where each jump costs the same
    exact = step_curve(jump_error=0.0)
    assert exact.error.max() < 0.06  # independent samples of the same size show 0.11


# --- discrete ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 20, 100])
def test_gaussian_data_shrinks_by_the_known_factor(n):
    z = 0.8 * np.linspace(-2, 2, 9)
    expected = np.cos(np.pi / (2 * n)) ** n * z
    np.testing.assert_allclose(discrete.trained_map(GAUSSIAN, z, n), expected, atol=1e-9)
    np.testing.assert_allclose(discrete.distilled_map(GAUSSIAN, z, n, heun=False), expected, atol=1e-12)
    np.testing.assert_allclose(discrete.distilled_map(GAUSSIAN, z, n, heun=True), z, atol=1e-12)
    if n == 20:
        assert expected[-1] / z[-1] == pytest.approx(0.94012, abs=1e-5)


def test_trained_map_against_simulated_pairs():
    """Two steps, by hand: f_2(x) = E[E[x_0 | x_{pi/4}] | x_{pi/2} = x], here from pairs that share datum and noise."""
    mixture = mixture_of("three_modes_1d", 1.5)
    z = mixture.scale * np.array([-1.2, 0.1, 0.9])
    rng = np.random.default_rng(5)
    n = 400_000
    x0 = mixture.sample(rng, n)[:, 0]
    for point, value in zip(z, discrete.trained_map(mixture, z, 2), strict=True):
        middle = np.cos(np.pi / 4) * (x0 + point)  # x at pi/4 of a path whose noise is the point itself
        # f_1 = E[x_0 | x at pi/4]; y = x / cos has noise level scale * tan(pi/4).
        clean = mixture.denoise((middle / np.cos(np.pi / 4))[:, None], mixture.scale)[:, 0]
        assert abs(clean.mean() - value) < 4 * clean.std() / np.sqrt(n)


def test_velocity_is_that_of_the_flow():
    mixture = mixture_of("three_modes_1d", 2.0)
    scale, t, h = mixture.scale, 0.8, 1e-4
    x = np.linspace(-4, 4, 9)

    def carried(end):
        y = flow_map.jump(mixture, x / np.cos(t), scale * np.tan(t), scale * np.tan(end))
        return y * np.cos(end)

    slope = (carried(t + h) - carried(t - h)) / (2 * h)
    np.testing.assert_allclose(discrete.velocity(mixture, x, t), slope, atol=1e-6)
    unit = learning.unit_scale_of("three_modes_1d", 2.0)
    own = learning.exact_velocity_of(unit, x / scale, np.full(9, t))
    np.testing.assert_allclose(scale * own, slope, atol=1e-6)


def test_orders():
    far = discretization(separation=3.0, dt=0.01)
    assert far.slopes[0] == pytest.approx(0.5, abs=0.1)
    assert far.slopes[1] == pytest.approx(1.0, abs=0.1)
    assert far.slopes[2] == pytest.approx(2.0, abs=0.15)
    near = discretization(separation=0.5, dt=0.01)
    assert near.slopes[0] == pytest.approx(1.0, abs=0.1)


def test_half_order_does_not_come_from_the_grid():
    mixture = mixture_of("three_modes_1d", 3.0)
    z = mixture.scale * ndtri((np.arange(200) + 0.5) / 200)
    gap = discrete.trained_map(mixture, z, 157) - discrete.trained_map(mixture, z, 157, n_grid=2049)
    assert np.abs(gap).mean() < 1e-3 * mixture.scale  # its error is 0.05 scales


# --- continuous ----------------------------------------------------------------------------------------------


def test_boundary_condition_is_built_in():
    theta = np.random.default_rng(0).standard_normal((learning.N_X, learning.N_T))
    x = np.linspace(-2, 2, 7)
    np.testing.assert_allclose(learning.learned_map(theta, x, np.zeros(7)), x, atol=0)


def test_tangent_is_the_derivative_of_f_along_the_flow():
    mixture = learning.unit_scale_of("three_modes_1d", 2.0)
    theta = np.random.default_rng(1).standard_normal((learning.N_X, learning.N_T))
    x, t, h = np.linspace(-1.5, 1.5, 7), 0.7, 1e-5

    def along(end):
        y = flow_map.jump(mixture, x / np.cos(t), np.tan(t), np.tan(end)) * np.cos(end)
        return learning.learned_map(theta, y, np.full(7, end))

    w = learning.exact_velocity_of(mixture, x, np.full(7, t))
    expected = np.cos(t) * (along(t + h) - along(t - h)) / (2 * h)
    np.testing.assert_allclose(learning.tangent(theta, x, np.full(7, t), w), expected, atol=1e-6)


def test_mean_update_of_the_kernel_is_the_mean_dynamics():
    mixture = learning.unit_scale_of("three_modes_1d", 1.0)
    rng = np.random.default_rng(2)
    theta = 0.3 * rng.standard_normal((learning.N_X, learning.N_T))
    shape = (learning.CENTERS_X, learning.CENTERS_T, learning.WIDTH_X, learning.WIDTH_T)
    x, t, w = learning.batches(mixture, rng, 3000, exact_velocity=False)

    def mean_step(start):
        """Updates of single batches at a frozen start, and their standard errors."""
        steps = []
        for i in range(0, 3000, 100):
            after = start.copy()
            # 100 batches as one: the kernel averages over what it is given.
            one = (x[i : i + 100].reshape(1, -1), t[i : i + 100].reshape(1, -1), w[i : i + 100].reshape(1, -1))
            learning._train(after, *one, 1.0, 0.0, 0.0, 0, *shape, np.empty((1, 2)))
            steps.append((after - start).ravel())
        return np.array(steps)

    # M theta = step(0) - step(theta): the same batches, so that b drops out of the difference.
    difference = mean_step(np.zeros_like(theta)) - mean_step(theta)
    expected = learning.mean_dynamics(mixture, 120, 300) @ theta.ravel()
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    z = (difference.mean(axis=0) - expected) / np.maximum(error, 1e-6)
    assert np.abs(z).max() < 5 and np.mean(z**2) < 1.6


def test_raw_training_diverges_about_where_its_mean_does():
    mixture = learning.unit_scale_of("three_modes_1d", 3.0)
    limit = learning.largest_stable_rate(mixture)
    below = learning.training(learning_rate=0.6 * limit, iterations=1500)
    above = learning.training(learning_rate=1.2 * limit, iterations=1500)
    assert below.runs[0].diverged_at == 0 and above.runs[0].diverged_at > 0
    assert above.runs[1].diverged_at == 0  # stabilized


def test_training_learns_the_map():
    result = learning.training(learning_rate=1.0, iterations=3000, separation=1.0, teacher="exact")
    for run in result.runs:
        assert run.error[-1] < 0.25 and run.error[-1] < 0.5 * run.error[0], run.name
