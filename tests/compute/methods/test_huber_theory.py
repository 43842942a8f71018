"""The theory of Huber fits against quadrature and against its limits."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from compute.methods.huber_theory import huber_variance, linear_error


def test_huber_variance():
    for delta, sigma in ((1e-3, 3e-3), (1e-3, 1e-3), (2.0, 1.0)):
        c = delta / sigma
        square = quad(lambda r, c=c: min(abs(r), c) ** 2 * norm.pdf(r), -12, 12, points=(-c, c))[0]
        assert huber_variance(sigma, delta) == pytest.approx(square / (norm.cdf(c) - norm.cdf(-c)) ** 2, rel=1e-6)
    assert huber_variance(1.0, 1e-3) == pytest.approx(np.pi / 2, rel=2e-3)
    assert huber_variance(1e-3, 1.0) == pytest.approx(1.0)


def test_least_squares_limit_is_the_textbook_covariance():
    rng = np.random.default_rng(0)
    jacobian, gradient = rng.standard_normal((20, 3)), rng.standard_normal((4, 3))
    covariance = 0.1**2 * np.linalg.inv(jacobian.T @ jacobian)
    known = np.sqrt(np.einsum("ni,ij,nj->n", gradient, covariance, gradient))
    np.testing.assert_allclose(linear_error(jacobian, gradient, 0.1, 100.0), known, rtol=1e-9)
    assert np.all(linear_error(jacobian, gradient, 0.0, 1.0) == 0)
