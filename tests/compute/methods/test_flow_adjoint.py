"""Derivatives of the flow: closed forms, finite differences of solve_ivp and of the sampler, orders of the adjoint."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from compute.methods import flow_adjoint as fa
from compute.models import gaussian_mixture as gm
from compute.models.gaussian_mixture import GaussianMixture

GAUSSIAN = GaussianMixture(np.ones(1), np.array([[1.0, -2.0]]), 0.7)
RING = gm.ring_2d(2.0)
Y = 5 * np.random.default_rng(0).standard_normal((6, 2))
TARGET = np.array([0.5, 1.0])


def end_of(y, sigma_max, sigma_min):
    def slope(log_sigma, flat):
        points = flat.reshape(-1, 2)
        return (points - RING.denoise(points, float(np.exp(log_sigma)))).ravel()

    return solve_ivp(slope, np.log([sigma_max, sigma_min]), y.ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(-1, 2)


def true_gradient(mixture, y, sigma_max, sigma_min):
    end, m = fa.jacobian(mixture, y, sigma_max, sigma_min)
    return np.einsum("nij,ni->nj", m, 2 * (end - TARGET))


def test_one_gaussian_has_the_known_slope():
    end, m = fa.jacobian(GAUSSIAN, Y, 5.0, 0.02, 500)
    slope = np.hypot(0.7, 0.02) / np.hypot(0.7, 5.0)
    np.testing.assert_allclose(m, np.broadcast_to(slope * np.eye(2), m.shape), atol=1e-9)
    np.testing.assert_allclose(end, GAUSSIAN.mean + slope * (Y - GAUSSIAN.mean), atol=1e-8)


def test_jacobian_against_central_differences_of_an_ode_solver():
    _, m = fa.jacobian(RING, Y, 5.0, 0.02)
    h = 1e-4
    for j in range(2):
        step = h * np.eye(2)[j]
        numeric = (end_of(Y + step, 5.0, 0.02) - end_of(Y - step, 5.0, 0.02)) / (2 * h)
        np.testing.assert_allclose(m[:, :, j], numeric, atol=1e-5)


def test_product_with_the_denoisers_derivative():
    a = np.random.default_rng(1).standard_normal(Y.shape)
    expected = np.einsum("nij,nj->ni", RING.posterior_covariance(Y, 1.3), a) / 1.3**2
    np.testing.assert_allclose(fa.denoiser_product(RING, Y, 1.3, a), expected, atol=1e-12)


@pytest.mark.parametrize("heun", [False, True])
def test_backpropagation_is_the_derivative_of_the_sampler(heun):
    levels = np.array([5.0, 2.0, 0.8, 0.3, 0.05, 0.0])

    def loss(y):
        return np.sum((fa.states(RING, y, levels, heun=heun)[-1] - TARGET) ** 2, axis=1)

    stored = fa.states(RING, Y, levels, heun=heun)
    found = fa.backpropagate(RING, stored, levels, 2 * (stored[-1] - TARGET), heun=heun)
    h = 1e-5
    numeric = np.stack([(loss(Y + h * e) - loss(Y - h * e)) / (2 * h) for e in np.eye(2)], axis=1)
    np.testing.assert_allclose(found, numeric, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", list(fa.FORMS))
@pytest.mark.parametrize("heun", [False, True])
def test_adjoint_converges_at_its_order(name, heun):
    true = true_gradient(RING, Y, 5.0, 0.05)
    error = []
    for n in (150, 300):
        levels = np.geomspace(5.0, 0.05, n + 1)
        end = fa.states(RING, Y, levels, heun=heun)[-1]
        found, start = fa.adjoint(RING, end, levels, 2 * (end - TARGET), fa.FORMS[name], heun=heun)
        error.append([np.linalg.norm(found - true), np.linalg.norm(start - Y)])
    order = np.log2(np.array(error[0]) / np.array(error[1]))
    assert order[0] == pytest.approx(1 + heun, abs=0.3)
    assert order[1] > 0.7 + heun  # the round trip of Heun in some forms is of order 3


def test_linear_part_of_each_form_on_one_gaussian():
    """Euler's adjoint multiplies by a product that is known by hand."""
    levels = np.array([4.0, 1.5, 0.4, 0.1])
    a = np.ones((1, 2))
    c = 0.7**2 / (0.7**2 + levels[1:] ** 2)
    high, low = levels[:-1], levels[1:]
    expected = {
        "noise": np.prod(1 - (high - low) / low * (1 - c)),
        # b = sigma a, db/d(1/sigma) = -c sigma b: low b' = low a (1 + (1/low - 1/high) c low), then a = b/high.
        "data": np.prod(low / high * (1 + (1 / low - 1 / high) * c * low)),
    }
    for name, factor in expected.items():
        found, _ = fa.adjoint(GAUSSIAN, np.array([[0.3, 0.2]]), levels, a, fa.FORMS[name], heun=False)
        np.testing.assert_allclose(found, factor * a, rtol=1e-10)


def test_heun_with_many_steps_on_one_gaussian():
    levels = np.geomspace(5.0, 0.02, 501)
    end = fa.states(GAUSSIAN, Y, levels, heun=True)[-1]
    slope = np.hypot(0.7, 0.02) / np.hypot(0.7, 5.0)
    found, _ = fa.adjoint(GAUSSIAN, end, levels, np.ones_like(Y), fa.FORMS["data"], heun=True)
    np.testing.assert_allclose(found, slope, rtol=3e-4)
