"""PFGM++ against direct quadrature of its kernel, SciPy's beta prime law and the Gaussian limit."""

import numpy as np
import pytest
from scipy import stats

from compute.models import poisson_flow
from compute.models.gaussian_mixture import GaussianMixture

MIXTURE = GaussianMixture(np.array([0.3, 0.5, 0.2]), np.array([[1.5, 0.0], [-1.0, 1.0], [-1.0, -1.5]]), 0.35)


@pytest.mark.parametrize("augmented", [1.0, 3.0, 128.0, 1999.0])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 8.0])
def test_denoiser_against_quadrature_in_the_plane(augmented, sigma):
    # The integrand's smaller scale is the mixture's 0.35, or the kernel's 0.1: a fine grid around the data.
    axis = np.linspace(-5, 5, 801)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(MIXTURE.log_density(points))
    for y in np.array([[0.2, 0.3], [-1.5, 2.0], [sigma * 2.5, 0.0]]):
        square = np.sum((y - points) ** 2, axis=1)
        log_kernel = -0.5 * (2 + augmented) * np.log1p(square / (sigma**2 * augmented))
        weight = density * np.exp(log_kernel - log_kernel.max())
        expected = weight @ points / weight.sum()
        assert poisson_flow.denoise(MIXTURE, y[None], sigma, augmented)[0] == pytest.approx(expected, abs=1e-5)


def test_large_dimension_is_diffusion():
    y = np.random.default_rng(0).standard_normal((40, 2))
    gaussian = MIXTURE.denoise(y, 0.8)
    gaps = [np.max(np.abs(poisson_flow.denoise(MIXTURE, y, 0.8, d) - gaussian)) for d in (500.0, 1000.0, 2000.0)]
    assert gaps[0] / gaps[1] == pytest.approx(2, abs=0.1) and gaps[1] / gaps[2] == pytest.approx(2, abs=0.1)
    assert np.array_equal(poisson_flow.denoise(MIXTURE, y, 0.8, 1e6), gaussian)


@pytest.mark.parametrize("augmented,dimension", [(1.0, 2), (8.0, 1), (128.0, 50)])
def test_start_radius_is_beta_prime(augmented, dimension):
    sigma, n = 3.0, 20_000
    x = poisson_flow.prior(np.random.default_rng(1), n, dimension, sigma, augmented)
    square = np.sum(x**2, axis=1) / (sigma**2 * augmented)
    law = stats.betaprime(dimension / 2, augmented / 2)
    assert stats.kstest(square, law.cdf).pvalue > 1e-3
    if augmented > 4:
        assert law.mean() == pytest.approx((dimension / 2) / (augmented / 2 - 1))
        assert abs(square.mean() - law.mean()) < 4 * law.std() / np.sqrt(n)
    ratio = np.array([0.3, 1.0, 2.2])
    assert poisson_flow.radius_density(ratio, dimension, augmented) == pytest.approx(law.pdf(ratio**2) * 2 * ratio, rel=1e-9)
    angle = np.arctan2(x[:, 1], x[:, 0]) if dimension == 2 else None
    if angle is not None:
        assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
