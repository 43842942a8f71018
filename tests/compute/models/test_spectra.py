"""Spectra against zeta functions, quadrature, and eigenvalues of drawn matrices."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import zeta

from compute.models import spectra


@pytest.mark.parametrize("alpha", [1.05, 1.5, 3.0])
@pytest.mark.parametrize("beta", [1.05, 1.8, 4.0])
def test_power_law_sums_are_zeta_functions(alpha, beta):
    modes = spectra.power_law_modes(alpha, beta)
    assert modes.power.sum() == pytest.approx(1, rel=1e-6)
    assert modes.trace == pytest.approx(zeta(alpha), rel=1e-6)
    assert modes.weight @ modes.eigenvalue**2 == pytest.approx(zeta(2 * alpha), rel=1e-6)


def test_power_law_sums_of_a_resolvent_agree_with_direct_summation():
    # alpha = 2: sum_i 1/(1 + g i^2) = (pi/sqrt(g) coth(pi/sqrt(g)) - 1)/2, in closed form.
    modes = spectra.power_law_modes(2.0, 1.8)
    for gamma in (1e-8, 1e-3, 1.0):
        y = np.pi / np.sqrt(gamma)
        exact = (y / np.tanh(y) - 1) / 2
        assert modes.weight @ (modes.eigenvalue / (modes.eigenvalue + gamma)) == pytest.approx(exact, rel=1e-6)


def test_head_and_tail_keep_the_totals():
    head = spectra.power_law_head(1.3, 2.2, 50)
    assert head.eigenvalue.sum() + head.tail_trace == pytest.approx(zeta(1.3), rel=1e-12)
    assert head.power.sum() + head.tail_power == pytest.approx(1, rel=1e-12)
    assert head.modes().trace == pytest.approx(zeta(1.3), rel=1e-12)


def test_own_modes_are_sorted_and_scaled():
    modes = spectra.scaled_modes([1.0, 4.0, 2.0], [1.0, 2.0, 1.0])
    assert modes.eigenvalue == pytest.approx([1, 0.5, 0.25]) and modes.power == pytest.approx([0.5, 0.25, 0.25])
    head = spectra.explicit_head(modes, 2)
    assert (head.tail_trace, head.tail_power) == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("aspect", [0.1, 0.6, 0.99, 1.0, 1.005, 2.0, 10.0])
def test_marchenko_pastur_moments(aspect):
    eigenvalue, weight = spectra.marchenko_pastur_nodes(aspect)
    assert weight.sum() == pytest.approx(min(1, aspect), rel=1e-10)
    assert weight @ eigenvalue == pytest.approx(aspect, rel=1e-10)
    assert weight @ eigenvalue**2 == pytest.approx(aspect + aspect**2, rel=1e-10)
    if aspect != 1:
        assert weight @ (1 / eigenvalue) == pytest.approx(min(1, aspect) / abs(1 - aspect), rel=1e-10)
    low, high = spectra.marchenko_pastur_edges(aspect)
    value, _ = quad(lambda x: np.exp(-x) * spectra.marchenko_pastur_density(x, aspect), low, high, limit=400)
    assert weight @ np.exp(-eigenvalue) == pytest.approx(value, rel=1e-6)


def test_marchenko_pastur_is_the_spectrum_of_drawn_matrices():
    rng = np.random.default_rng(0)
    n, aspect = 400, 0.5
    x = rng.standard_normal((n, int(aspect * n))) / np.sqrt(n)
    drawn = np.linalg.eigvalsh(x.T @ x)
    eigenvalue, weight = spectra.marchenko_pastur_nodes(aspect)
    # Linear statistics of a Wishart matrix fluctuate by O(1/n) and are biased by as little.
    assert np.sum(np.sqrt(drawn)) / n == pytest.approx(weight @ np.sqrt(eigenvalue), abs=5 / n)
