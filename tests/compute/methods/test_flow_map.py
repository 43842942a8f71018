"""The flow map on the line: against closed form, an ODE solver, and itself."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from compute.methods import flow_map as fm
from compute.models import gaussian_mixture as gm
from compute.models.gaussian_mixture import GaussianMixture

X = np.linspace(-30, 40, 41)


def test_one_gaussian_is_scaled_about_its_mean():
    law = GaussianMixture(np.ones(1), np.array([[2.0]]), 0.7)
    expected = 2 + (X - 2) * np.sqrt((0.3**2 + 0.7**2) / (9**2 + 0.7**2))
    np.testing.assert_allclose(fm.jump(law, X, 9.0, 0.3), expected, rtol=1e-10)


def test_semigroup():
    law = gm.three_modes_1d(3.0)
    there = fm.jump(law, fm.jump(law, X, 20.0, 3.0), 3.0, 0.1)
    np.testing.assert_allclose(there, fm.jump(law, X, 20.0, 0.1), atol=1e-8)


def test_against_the_probability_flow_ode():
    law = gm.three_modes_1d(2.0)
    x = np.linspace(-25, 30, 12)

    def slope(log_sigma, y):
        return y - law.denoise(y[:, None], float(np.exp(log_sigma)))[:, 0]

    end = solve_ivp(slope, np.log([20.0, 0.02]), x, rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(fm.jump(law, x, 20.0, 0.02), end, atol=1e-6)


def test_quantiles_keep_both_tails():
    law = gm.two_modes_1d(6.0)
    labels = np.array([-12.0, -8.0, -1.0, 0.7, 8.0, 12.0])
    x = fm.quantiles(law, labels, 0.5)
    std = np.hypot(0.3, 0.5)
    for v, y in zip(labels, x, strict=True):
        tail = 0.5 * (norm.cdf(y, [-3, 3], std) if v < 0 else norm.sf(y, [-3, 3], std)).sum()
        assert np.log(tail) == pytest.approx(norm.logcdf(-abs(v)), rel=1e-9), v
    np.testing.assert_allclose(fm.labels_of(law, x, 0.5), labels, atol=1e-8)


def test_table_agrees_with_the_exact_map_and_its_asymptote():
    for separation in (0.5, 3.0, 6.0):
        law = gm.three_modes_1d(separation)
        table = fm.FlowTable(law)
        x = law.sample(np.random.default_rng(0), 3000)[:, 0] + 5 * np.random.default_rng(1).standard_normal(3000)
        gap = np.abs(table.jump(x, 5.0, 0.0) - fm.jump(law, x, 5.0, 0.0))
        assert gap.mean() < 1e-3 and gap.max() < 0.02, separation
        far = np.array([-80.0, 90.0])
        np.testing.assert_allclose(table.jump(far, 5.0, 1.0), fm.jump(law, far, 5.0, 1.0), rtol=0.02)
