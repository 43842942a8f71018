"""The Jacobi diffusion: its spectral sum against SciPy, and lineages against the spectral sum."""

import numpy as np
import pytest
from scipy.special import eval_jacobi
from scipy.stats import beta as beta_law

from compute.models.jacobi_diffusion import EndRatio, jacobi_polynomials, lineages, spectral_ratio

V = np.sin(np.linspace(0, np.pi / 2, 402)[1:-1]) ** 2


def test_polynomials_are_those_of_scipy():
    for a, b in ((1.0, 2.0), (1.0, 1.0), (2.5, 0.7)):
        ours = jacobi_polynomials(a, b, 30, V)
        for n in (0, 1, 2, 7, 29):
            assert ours[n] == pytest.approx(eval_jacobi(n, b - 1, a - 1, 2 * V - 1), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("a,b,time", [(1, 1, 0.1), (1, 2, 0.1), (1, 2, 1.0), (1, 7, 0.7), (2.5, 0.7, 0.3)])
def test_lineages_and_spectrum_give_the_same_density(a, b, time):
    one, slope_one, zero, slope_zero = EndRatio(a, b, V).at(time)
    for start, ours, slope in ((1.0, one, slope_one), (0.0, zero, slope_zero)):
        spectral = spectral_ratio(a, b, start, V, time, 70)
        # Lineages are known to 1e-9, and weigh up to m^b near the end.
        assert np.exp(ours) == pytest.approx(spectral, rel=2e-5, abs=1e-7 * np.abs(spectral).max())
        kept = ours > ours.max() - 12
        numeric = np.gradient(ours, V)
        assert slope[kept][2:-2] == pytest.approx(numeric[kept][2:-2], rel=0.02, abs=0.02 * np.abs(slope[kept]).max())


@pytest.mark.parametrize("time", [0.01, 0.05, 0.5, 4.0])
def test_lineages_are_a_law_with_the_right_moments(time):
    theta = np.array([2.0, 3.0, 9.0])
    q = lineages(time, theta)
    assert q.sum(axis=1) == pytest.approx(1, abs=1e-8)
    # The spectral gap: E r_t(1, v) v-mean relaxes as e^{-theta t/2}; with Beta(a+m, b) the mean is sum q (a+m)/(theta+m).
    m = np.arange(q.shape[1])
    for k, total in enumerate(theta):
        mean = np.sum(q[k] * (1 + m) / (total + m))
        assert mean == pytest.approx(1 / total + (1 - 1 / total) * np.exp(-total * time / 2), abs=1e-8)


def test_long_times_forget_the_start():
    one, _, zero, _ = EndRatio(1.0, 3.0, V).at(16.0)
    assert np.abs(one).max() < 1e-6 and np.abs(zero).max() < 1e-6
    density = beta_law(1, 3).pdf(V) * np.exp(EndRatio(1.0, 3.0, V).at(0.2)[0])
    assert np.trapezoid(density, V) == pytest.approx(1, abs=2e-3)
