"""Distances to a known law against SciPy, POT's closed forms in spirit, and quadrature."""

import numpy as np
import pytest
from scipy import integrate, stats

from compute.methods import distance_to_target as dt
from compute.models import gaussian_mixture as gm


def test_w1_on_the_line_is_the_area_between_distribution_functions():
    mixture = gm.three_modes_1d(2.0)
    n = 300
    x = mixture.sample(np.random.default_rng(0), n) + 0.2
    sorted_x = np.sort(x[:, 0])

    def gap(t):
        return np.abs(np.searchsorted(sorted_x, t) / n - mixture.cdf(np.array(t)))

    grid = np.linspace(-6, 9, 400_001)
    area = integrate.trapezoid(np.abs(np.searchsorted(sorted_x, grid) / n - mixture.cdf(grid)), grid)
    assert gap(0.0) <= 1
    assert dt.Target(mixture, n).w1(x) == pytest.approx(area, abs=3e-4)


def test_w1_in_the_plane_is_the_mean_over_directions():
    mixture = gm.ring_2d(2.0)
    n = 2000
    x = 1.1 * mixture.sample(np.random.default_rng(1), n)
    many = mixture.sample(np.random.default_rng(2), 400_000)
    expected = np.mean([stats.wasserstein_distance(x @ a, many @ a) for a in dt.directions(2)])
    assert dt.Target(mixture, n).w1(x) == pytest.approx(expected, abs=0.01)
    # A shift moves W1 along a direction by its projection.
    shifted = mixture.sample(np.random.default_rng(3), n) + np.array([50.0, 0.0])
    assert dt.Target(mixture, n).w1(shifted) == pytest.approx(50 * np.mean(np.abs(dt.directions(2)[:, 0])), rel=0.01)


@pytest.mark.parametrize("d", [1, 2, 3, 50])
def test_directions_are_unit_and_fixed(d):
    axes = dt.directions(d)
    assert np.linalg.norm(axes, axis=1) == pytest.approx(1)
    assert np.array_equal(axes, dt.directions(d))
    if d > 1:
        assert axes.shape == (dt.N_DIRECTIONS, d)
        assert np.linalg.matrix_rank(axes) == min(d, 10)


def test_noise_floor_falls_as_the_root_of_the_sample():
    mixture = gm.two_modes_1d(2.0)
    small, large = (dt.Target(mixture, n).noise_floor(np.random.default_rng(4), 400)[0] for n in (200, 3200))
    assert small / large == pytest.approx(4, rel=0.15)


def test_total_variation():
    mixture = gm.two_modes_1d(3.0)
    law = stats.norm(-1.5, 0.3)  # one mode of two: total variation 1/2
    assert dt.total_variation(law.rvs(50_000, random_state=5), mixture) == pytest.approx(0.5, abs=0.01)
    own = np.mean([dt.total_variation(mixture.sample(np.random.default_rng(k), 3000)[:, 0], mixture) for k in range(40)])
    assert own == pytest.approx(np.sqrt(dt.N_BINS / (2 * np.pi * 3000)), rel=0.05)


@pytest.mark.parametrize("mean_gap,std_gap", [(0.0, 0.7), (1.3, 0.0), (-0.4, -0.9), (2.0, 0.1)])
def test_normal_w1(mean_gap, std_gap):
    expected = integrate.quad(lambda z: abs(mean_gap + std_gap * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-10, limit=200)[0]
    assert dt.normal_w1(mean_gap, std_gap) == pytest.approx(expected, abs=1e-8)
