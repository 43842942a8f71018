"""The kernel density lab against root finders, exact laws, direct quadrature and its own Monte Carlo."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from compute.parameters import ParameterError
from compute.statistical_physics import kernel_density_large_dimension as kde
from compute.statistical_physics.kernel_density_large_dimension import finite, limit, simulation


@pytest.mark.parametrize("load", [0.05, 0.1, 0.3, 0.6, 1.0, 1.5])
def test_freezing_precision_is_the_root_of_the_freezing_condition(load):
    root = optimize.brentq(lambda l: l * limit.annealed_slope(l) - limit.annealed_rate(l) - load, 1e-9, 1e4, xtol=1e-14)
    assert limit.freezing_precision(load)[0] == pytest.approx(root, rel=1e-10)


def test_annealed_rate_is_the_log_mean_of_a_weight():
    # At |x|^2 = d the squared distance is noncentral chi-square; its moment generating function is published.
    for precision, dimension in ((0.3, 7), (4.0, 20)):
        mean = integrate.quad(
            lambda q, l=precision, d=dimension: np.exp(-l * q / 2) * stats.ncx2.pdf(q, d, d), 0, np.inf, epsabs=0, epsrel=1e-10
        )[0]
        assert limit.annealed_rate(precision) == pytest.approx(np.log(mean) / dimension, rel=1e-8)


def test_large_load_is_the_nearest_neighbor_limit():
    ratios = limit.condensation_bandwidth(np.array([1.0, 1.25, 1.5])) * np.exp([1.0, 1.25, 1.5])
    assert np.all(np.diff(ratios) < 0) and np.all(ratios > 1)
    assert ratios[0] == pytest.approx(1.0115, abs=1e-4)


@pytest.mark.parametrize("load", [0.1, 0.4, 1.0])
def test_optimal_bandwidth_minimizes_the_gap_in_the_frozen_phase(load):
    best = optimize.minimize_scalar(
        lambda h: -limit.log_density_rate(load, h)[0], bounds=(0.05, 3), method="bounded", options={"xatol": 1e-9}
    ).x
    assert limit.optimal_bandwidth(load)[0] == pytest.approx(best, abs=1e-6)
    assert best < limit.condensation_bandwidth(load)[0]


@pytest.mark.parametrize("precision,dimension", [(0.2, 5), (3.0, 20), (60.0, 8)])
def test_exact_sum_of_one_sample_is_its_own_law(precision, dimension):
    # n = 1: E log S = -l E D / 2 with E D = 2 d, and the only share is 1.
    mean_log, concentration = finite.exact_sum(np.array([1.0]), precision**-0.5, dimension)
    assert mean_log[0] == pytest.approx(-precision * dimension, rel=1e-5)
    assert concentration[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.42, 2.5])
def test_simulation_follows_the_exact_curve(ratio):
    load, dimension = 0.4, 20
    bandwidth = ratio * float(limit.condensation_bandwidth(load)[0])
    n = int(finite.n_samples(load, dimension))
    distance = simulation.draw_distances(np.random.default_rng(7), n, dimension, "typical", 600)
    log_sum = simulation.log_sums(distance, np.array([bandwidth**-2]))[:, 0]
    weight = np.exp(-0.5 * (distance - distance.min(axis=1, keepdims=True)) / bandwidth**2)
    concentration = np.sum(weight**2, axis=1) / np.sum(weight, axis=1) ** 2
    exact_log, exact_concentration = finite.exact_sum(np.array([float(n)]), bandwidth, dimension)
    assert np.allclose(log_sum, np.log(weight.sum(axis=1)) - 0.5 * distance.min(axis=1) / bandwidth**2, atol=1e-9)
    for sample, exact in ((log_sum, exact_log[0]), (concentration, exact_concentration[0])):
        assert abs(sample.mean() - exact) < 4 * sample.std() / np.sqrt(sample.size)


def test_mean_of_the_estimate_is_the_smoothed_gaussian_where_its_variance_is_finite():
    load, dimension = 0.5, 12
    bandwidth = 2.2 * float(limit.condensation_bandwidth(load)[0])
    n = int(finite.n_samples(load, dimension))
    rng = np.random.default_rng(3)
    log_sum = simulation.log_sums(simulation.draw_distances(rng, n, dimension, "typical", 2000), np.array([bandwidth**-2]))[:, 0]
    density = np.exp(log_sum - np.log(n)) * (2 * np.pi * bandwidth**2) ** (-dimension / 2)
    x = np.zeros(dimension)
    x[0] = np.sqrt(dimension)
    exact = stats.multivariate_normal(np.zeros(dimension), (1 + bandwidth**2) * np.eye(dimension)).pdf(x)
    assert abs(density.mean() - exact) < 4 * density.std() / np.sqrt(density.size)


def test_random_norm_draws_are_differences_of_gaussians():
    distance = simulation.draw_distances(np.random.default_rng(0), 5, 9, "random", 4000)[:, 0]
    assert stats.kstest(distance / 2, stats.chi2(9).cdf).pvalue > 1e-3


def test_hill_index_is_its_exact_finite_value_and_far_from_the_limit():
    # d = 20, n = 1e5 at h = 1.2 h_G: the limit is 1.44, a simulation shows 0.963, 0.772, 0.624.
    load = np.log(1e5) / 20
    bandwidth = 1.2 * float(limit.condensation_bandwidth(load)[0])
    exact = finite.finite_rank_index(np.array([10, 50, 200]), 1e5, bandwidth, 20)
    assert exact == pytest.approx([0.964, 0.772, 0.625], abs=2e-3)
    result = kde.fluctuations(load=0.4, bandwidth=0.9, dimension=20, test_points=1000, seed=1)
    deep = result.rank >= 10
    assert np.max(np.abs((result.hill - result.hill_exact) / result.hill_error)[deep]) < 4.5
    assert np.max(np.abs(result.hill / result.hill_exact - 1)[deep]) < 0.03


def test_largest_term_law_bounds_the_upper_tail():
    # The sum is at least its largest term, so its exceedance is at least the exact one of that term.
    result = kde.fluctuations(load=0.4, bandwidth=0.37, test_points=1000, seed=2)
    exact = np.interp(np.log(result.ratio), np.log(result.curve), result.largest_term)
    error = np.sqrt(exact * (1 - exact) / result.ratio.size)
    assert np.all(result.exceedance - exact > -4 * error - 1 / result.ratio.size)


def test_cost_and_unreachable_settings_are_said():
    assert kde.log_density.seconds({"load": 0.55, "test_points": 2000}) > 2
    assert kde.log_density(load=1.5).simulation.size == 0
    with pytest.raises(ParameterError, match="100,000"):
        kde.fluctuations(load=1.5)
