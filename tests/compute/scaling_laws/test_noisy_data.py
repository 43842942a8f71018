"""Prices of noisy samples against exact limits, scipy's quadrature and minimizer, and drawn data sets."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from compute.scaling_laws.noisy_data import directions, error_curves, error_map, price_curves
from compute.scaling_laws.noisy_data.information import exchange, fisher_information, means_on_a_line, posteriors, quadrature
from compute.scaling_laws.noisy_data.mixture_em import binned_mixture, drawn_mixture, fit_means, squared_error


@pytest.mark.parametrize("corruption", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("dimension", [1, 4])
def test_one_gaussian_has_the_exact_price(corruption, dimension):
    ex = exchange(1, 2.0, corruption, dimension)
    assert ex.rate == pytest.approx(np.full(dimension, 1 / (1 + corruption**2)), rel=1e-12)
    assert ex.price_alone == pytest.approx(1 / (1 + corruption**2), rel=1e-12)
    assert float(ex.error(30, 70)) == pytest.approx(dimension / (30 + 70 / (1 + corruption**2)), rel=1e-12)


def test_information_agrees_with_adaptive_quadrature():
    means, v = means_on_a_line(3, 1.7), 2.5

    def entry(i, j, across):
        def integrand(x):
            each = norm.pdf(x, means, np.sqrt(v))
            r = each / each.sum()
            factor = v if across else (x - means[i]) * (x - means[j])
            return r[i] * r[j] * factor * each.mean() / v**2

        return quad(integrand, -25, 25, epsabs=1e-12, limit=400)[0]

    along, across = fisher_information(3, 1.7, v)
    for i in range(3):
        for j in range(3):
            assert along[i, j] == pytest.approx(entry(i, j, False), abs=1e-10)
            assert across[i, j] == pytest.approx(entry(i, j, True), abs=1e-10)


def test_quadrature_is_as_good_as_four_times_the_nodes():
    for k, s, v in ((6, 5.0, 1.0), (4, 0.5, 26.0), (2, 3.0, 1.0)):
        x, step = quadrature(k, s, v)
        means = means_on_a_line(k, s)
        fine = np.linspace(x[0], x[-1], 4 * (x.size - 1) + 1)
        for nodes, h in ((x, step), (fine, step / 4)):
            r, density = posteriors(nodes, means, v)
            values = h * np.sum(r[:, 0] ** 2 * (nodes - means[0]) ** 2 * density)
            if nodes is x:
                coarse = values
        assert coarse == pytest.approx(values, rel=1e-12)


def test_exchange_rates_give_the_trace_of_the_inverse():
    clean, noisy = fisher_information(3, 2.0, 1.0)[0], fisher_information(3, 2.0, 5.0)[0]
    ex = exchange(3, 2.0, 2.0)
    for n_clean, n_noisy in ((100, 10_000), (7, 3), (0, 50), (40, 0)):
        inverse = np.linalg.inv(n_clean * clean + n_noisy * noisy)
        assert float(ex.error(n_clean, n_noisy)) == pytest.approx(np.trace(inverse), rel=1e-9)
        price = np.trace(inverse @ noisy @ inverse) / np.trace(inverse @ clean @ inverse)
        assert float(ex.price(n_clean, n_noisy)) == pytest.approx(price, rel=1e-8)
    n = ex.clean_equivalent(100, 10_000)
    assert float(ex.error(100 + n, 0)) == pytest.approx(float(ex.error(100, 10_000)), rel=1e-12)


@pytest.mark.parametrize("components,exponent", [(1, -1.0), (2, -1.94), (3, -2.81), (4, -3.64)])
def test_worst_direction_falls_as_a_power_of_the_components(components, exponent):
    least = [np.linalg.eigvalsh(fisher_information(components, 2.0, 1 + t**2)[0])[0] for t in (4.0, 8.0)]
    assert np.log(least[1] / least[0]) / np.log(65 / 17) == pytest.approx(exponent, abs=0.02)
    # Far out the exponent is the number of components.
    far = [exchange(components, 2.0, t).price_alone for t in (30.0, 40.0)]
    assert np.log(far[1] / far[0]) / np.log(1601 / 901) == pytest.approx(-components, rel=0.02)


def test_close_pair_in_closed_form():
    # +-theta with theta^2 << v: the information about theta, with both means moving apart, is 2 theta^2/v^2.
    v, theta = 4.0, 0.2
    along, _ = fisher_information(2, 2 * theta, v)
    apart = np.array([-1.0, 1.0])
    assert apart @ along @ apart == pytest.approx(2 * theta**2 / v**2, rel=0.03)


@pytest.mark.parametrize("components,separation", [(2, 0.5), (4, 2.0), (6, 5.0)])
def test_noise_never_adds_information(components, separation):
    for corruption in (0.3, 1.0, 5.0):
        for clean, noisy in zip(
            fisher_information(components, separation, 1.0),
            fisher_information(components, separation, 1 + corruption**2),
            strict=True,
        ):
            assert np.linalg.eigvalsh(clean - noisy).min() > -1e-12
        assert exchange(components, separation, corruption, 2).rate.max() <= 1


def test_clean_data_flatten_the_price():
    helped = [float(exchange(4, 2.0, t).price(0.1, 0.9)) for t in (100.0, 200.0)]
    assert np.log2(helped[1] / helped[0]) == pytest.approx(-2, abs=0.03)
    curves = price_curves(components=4)
    assert (curves.alone[:, 0] > 0.9).all() and (np.diff(curves.alone[:, -1]) < 0).all()


@pytest.mark.parametrize("setting", [(2, 3.0, 2.0, 1000, 10_000, 60), (3, 2.0, 1.0, 100, 10_000, 60), (2, 3.0, 1.0, 500, 1500, 40)])
def test_fitted_means_have_the_error(setting):
    k, s, tau, n_clean, n_noisy, repeats = setting
    dimension = 2 if repeats == 40 else 1
    ex = exchange(k, s, tau, dimension)
    drawn = [squared_error(np.random.default_rng([7, r]), n_clean, n_noisy, k, s, tau, dimension) for r in range(repeats)]
    assert abs(np.mean(drawn) - ex.error(n_clean, n_noisy)) < 4 * ex.spread(n_clean, n_noisy) / np.sqrt(repeats)
    if (k, s, tau) == (2, 3.0, 2.0):
        assert float(ex.error(n_clean, n_noisy)) == pytest.approx(0.00207, abs=5e-6)


def test_fixed_point_is_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(0)
    means = means_on_a_line(3, 2.0)
    parts = [drawn_mixture(rng, 200, means, 1.0, 2), drawn_mixture(rng, 400, means, 3.0, 2)]
    x, count, variance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    start = np.column_stack([means, np.zeros(3)])

    def negative(p):
        square = np.sum((x[:, None] - p.reshape(3, 2)) ** 2, axis=-1)
        return -np.sum(np.logaddexp.reduce(-0.5 * square / variance[:, None], axis=1))

    known = minimize(negative, start.ravel(), method="BFGS", options={"gtol": 1e-7})
    assert fit_means(x, count, variance, start).ravel() == pytest.approx(known.x, abs=1e-6)


def test_bins_hold_the_mixture():
    means = means_on_a_line(2, 3.0)
    x, count, variance = binned_mixture(np.random.default_rng(0), 1_000_000, means, 5.0)
    assert count.sum() == 1_000_000 and variance[0] == pytest.approx(5.0, rel=1e-3)
    mean, second = (count @ x[:, 0] ** p / 1e6 for p in (1, 2))
    assert mean == pytest.approx(0, abs=4 * np.sqrt(7.25 / 1e6))
    assert second == pytest.approx(variance[0] + 1.5**2, abs=4 * np.sqrt(2 * 7.25**2 / 1e6))


def test_views_say_what_the_exchange_rates_say():
    plane, curves, found = error_map(em_repeats=0), error_curves(em_repeats=0), directions()
    ex = exchange(4, 2.0, 3.0)
    assert plane.rate == pytest.approx(np.sort(ex.rate)[::-1]) and found.rate == pytest.approx(plane.rate)
    assert plane.error[0, 0] == pytest.approx(np.sqrt(ex.error(1, 1) / 4))
    ratio = curves.theory["noisy only"][0] / curves.theory["clean only"][0]
    assert ratio**2 == pytest.approx(1 / ex.price_alone)
