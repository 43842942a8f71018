"""The lab on the geometry of the flow: convexity, mean shift, basins, straightness, steering."""

import importlib

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog
from scipy.special import ndtri

from compute.diffusion_samplers.flow_map_geometry import basins, deviation_map, gradient_error, paths
from compute.diffusion_samplers.flow_map_geometry.setting import KINDS, levels_of, mixture_of
from compute.methods import reverse_samplers as rs
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import ParameterError

trajectories = importlib.import_module("compute.diffusion_samplers.flow_map_geometry.trajectories")


def finite(kind, dimension=2):
    """The data set as bare points."""
    means = mixture_of(kind, 2.0, 0.1, dimension).means
    return GaussianMixture(np.ones(len(means)), means, 0.0)


def test_data_sets():
    simplex = mixture_of("simplex", 1.7, 0.1, 9).means
    assert simplex.shape == (10, 9)
    gap = np.linalg.norm(simplex[:, None] - simplex[None], axis=2)[~np.eye(10, dtype=bool)]
    np.testing.assert_allclose(gap, 1.7)
    for kind in KINDS:
        for d in (2, 5):
            np.testing.assert_allclose(mixture_of(kind, 2.0, 0.1, d).mean, 0, atol=1e-12)


def test_denoised_points_lie_in_the_convex_hull_and_go_to_the_nearest_datum():
    law = finite("spiral")
    y = 3 * np.random.default_rng(0).standard_normal((12, 2))
    for sigma in (0.3, 2.0, 30.0):
        for point in law.denoise(y, sigma):
            rows = np.vstack([law.means.T, np.ones(len(law.means))])
            feasible = linprog(np.zeros(len(law.means)), A_eq=rows, b_eq=np.append(point, 1), bounds=(0, None))
            assert feasible.status == 0
    nearest = law.means[np.argmin(np.linalg.norm(y[:, None] - law.means, axis=2), axis=1)]
    np.testing.assert_allclose(law.denoise(y, 1e-3), nearest, atol=1e-8)


def test_euler_steps_are_convex_combinations_and_the_last_returns_the_denoised():
    law = finite("ring")
    y = np.random.default_rng(1).standard_normal((5, 2))
    run = rs.Run(law.denoise, np.random.default_rng(0))
    expected = 0.3 * y + 0.7 * law.denoise(y, 2.0)
    np.testing.assert_allclose(rs.euler(run, y, 2.0, 0.6), expected)
    np.testing.assert_allclose(rs.euler(run, y, 2.0, 0.0), law.denoise(y, 2.0))


def test_off_the_span_of_a_finite_set_the_state_shrinks_with_sigma():
    law = finite("spiral", 6)
    levels = levels_of(12, 20.0, 7.0)
    y = 20 * np.random.default_rng(2).standard_normal((8, 6))
    for step in (rs.euler, rs.heun):
        states = list(rs.path(step, rs.Run(law.denoise, np.random.default_rng(0)), y, levels))
        for sigma, state in zip(levels, states, strict=True):
            np.testing.assert_allclose(state[:, 2:], sigma / 20 * y[:, 2:], atol=1e-10)
    # With a width the law is sqrt(s^2 + sigma^2), reached as the steps become many.
    assert paths(dimension=6, steps=100, width=0.3).orthogonal < 2e-3


def test_mean_shift_never_lowers_the_kernel_density():
    law = finite("spiral")
    x = 2 * np.random.default_rng(3).standard_normal((40, 2))
    for sigma in (0.2, 0.7):
        before = law.log_density(x, sigma)
        for _ in range(10):
            x = law.denoise(x, sigma)
            after = law.log_density(x, sigma)
            assert np.all(after >= before - 1e-12)
            before = after


def test_two_points_share_the_noise_at_the_mid_line():
    for solver in ("Heun", "Euler (DDIM)"):
        result = basins(data="two points", solver=solver, guidance_steps=0)
        expected = np.broadcast_to(result.axis > 0, result.reached.shape)
        assert np.array_equal(result.reached == 1, expected)


def test_equally_likely_data_have_basins_of_equal_mass():
    ring = basins(data="ring", guidance_steps=0, sigma_max=80.0, steps=40)
    np.testing.assert_allclose(ring.mass * 6, 1, atol=0.03)
    grid = basins(data="grid", guidance_steps=0, sigma_max=80.0, steps=40, width=0.02)
    # A grid is a product: each coordinate is divided at the normal law's quintiles, to within a cell of the map.
    column = grid.reached[0] % 5
    edges = grid.axis[np.flatnonzero(np.diff(column))]
    assert np.array_equal(np.unique(np.diff(column)), [0, 1])
    np.testing.assert_allclose(edges, ndtri([0.2, 0.4, 0.6, 0.8]), atol=1.01 * (grid.axis[1] - grid.axis[0]))
    assert np.array_equal(grid.reached % 5, np.broadcast_to(column, grid.reached.shape))


def test_steering_reaches_its_target():
    for data in ("spiral", "ring", "grid"):
        result = basins(data=data, guidance_steps=40, learning_rate=0.02)
        assert result.loss.size == 41 and result.loss[-1] < 0.02 * result.loss[0] < result.loss[0], data
        assert np.linalg.norm(np.diff(result.path, axis=0), axis=1).max() <= 0.5 + 1e-12


def test_a_table_of_ones_own():
    table = pl.DataFrame({"x1": [0.0, 1.0, 5.0], "x2": [1.0, 2.0, -3.0]})
    result = basins(table=table, guidance_steps=2)
    np.testing.assert_allclose(result.data, [[-2, 1], [-1, 2], [3, -3]])
    with pytest.raises(ParameterError, match="at most 2000"):
        basins(table=pl.DataFrame({"x1": np.linspace(0, 1, 2001), "x2": np.zeros(2001)}))


def test_paths_of_one_gaussian_about_the_center_are_straight():
    law = GaussianMixture(np.ones(1), np.zeros((1, 3)), 0.5)
    levels = np.geomspace(20, 0.02, 400)
    y = 20 * np.random.default_rng(0).standard_normal((5, 3))
    far, length = trajectories.deviation(np.stack(list(rs.path(rs.heun, rs.Run(law.denoise, np.random.default_rng(0)), y, levels))))
    assert np.all(far < 1e-9 * length)


def test_deviation_of_a_known_bend():
    path = np.array([[[0.0, 0.0]], [[1.0, 2.0]], [[4.0, 0.0]]])
    far, length = trajectories.deviation(path)
    assert far[0] == pytest.approx(2) and length[0] == pytest.approx(4)


def test_the_plane_is_enough_for_data_in_a_plane():
    """The map's shortcut against paths simulated in all coordinates, over many seeds."""
    short = [trajectories.bends("ring", 3.0, 0.1, (9,), 10.0, seed)[0] for seed in range(12)]
    law = mixture_of("ring", 3.0, 0.1, 9)
    levels = np.geomspace(10.0, 0.02, 25)
    full = []
    for seed in range(12):
        y = 10 * np.random.default_rng(seed).standard_normal((16, 9))
        run = rs.Run(law.denoise, np.random.default_rng(0))
        far, length = trajectories.deviation(np.stack(list(rs.path(rs.heun, run, y, levels))))
        full.append(np.median(far / length))
    spread = np.hypot(np.std(short, ddof=1), np.std(full, ddof=1)) / np.sqrt(12)
    assert abs(np.mean(short) - np.mean(full)) < 4 * spread


def test_relative_deviation_falls_with_the_chord():
    result = deviation_map(data="simplex")
    assert result.slope_in_sigma == pytest.approx(-1, abs=0.1)
    assert result.slope_in_dimension == pytest.approx(-0.5, abs=0.06)


def test_gradients():
    heun = gradient_error()
    for name, error in heun.error.items():
        slope = np.log(error[-1] / error[-2]) / np.log(2)
        assert slope == pytest.approx(-2, abs=0.5), name
    euler = gradient_error(solver="Euler (DDIM)")
    assert euler.error["adjoint, noise"][0] > 3  # five steps: the linear part changes sign …
    assert euler.error["adjoint, data"][0] < 1  # … and is exact here
    np.testing.assert_allclose(euler.drift["adjoint, noise"], euler.drift["adjoint, data"], rtol=1e-6)


def test_two_points_are_decided_where_their_posterior_says():
    """Posterior odds 9 at level sigma need y_1 = sigma^2 log 9/separation; along the path that level is found by hand."""
    result = paths(data="two points", separation=1.0, width=0.01, sigma_max=80.0, steps=100)
    law = mixture_of("two points", 1.0, 0.01)
    y = 80 * np.random.default_rng([0, 3]).standard_normal((60, 2))
    levels = levels_of(100, 80.0, 7.0)
    states = list(rs.path(rs.heun, rs.Run(law.denoise, np.random.default_rng(0)), y, levels))
    found = []
    for k in range(60):
        odds = [abs(s[k, 0]) * 1.0 / (0.01**2 + sigma**2) for s, sigma in zip(states[:-1], levels[:-1], strict=True)]
        found.append(levels[np.flatnonzero(np.array(odds) < np.log(9))[-1] + 1])
    assert result.decided == pytest.approx(np.median(found))
    assert result.decided < 1  # late: about the distance of the points, far below 80
