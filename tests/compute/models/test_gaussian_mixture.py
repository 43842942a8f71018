"""Gaussian mixtures under noise against scikit-learn, SciPy, direct quadrature and finite differences."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.mixture import GaussianMixture as Sklearn

from compute.models import gaussian_mixture as gm


def random_mixture(d: int, width: float = 0.4, n_components: int = 5) -> gm.GaussianMixture:
    rng = np.random.default_rng(d)
    return gm.GaussianMixture(rng.dirichlet(np.ones(n_components)), 2 * rng.standard_normal((n_components, d)), width)


def in_sklearn(mixture: gm.GaussianMixture) -> Sklearn:
    other = Sklearn(mixture.n_components, covariance_type="spherical")
    other.weights_, other.means_ = mixture.weights, mixture.means
    other.covariances_ = np.full(mixture.n_components, mixture.width**2)
    other.precisions_cholesky_ = 1 / np.sqrt(other.covariances_)
    return other


@pytest.mark.parametrize("d,sigma", [(1, 0.0), (2, 0.7), (50, 20.0)])
def test_log_density_and_responsibilities_are_those_of_sklearn(d, sigma):
    mixture = random_mixture(d)
    y = mixture.noised(sigma).sample(np.random.default_rng(0), 130)
    other = in_sklearn(mixture.noised(sigma))
    assert mixture.log_density(y, sigma) == pytest.approx(other.score_samples(y), rel=1e-12, abs=1e-11)
    assert mixture.responsibilities(y, sigma) == pytest.approx(other.predict_proba(y), abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 50])
@pytest.mark.parametrize("sigma", [0.02, 0.7, 30.0])
@pytest.mark.parametrize("n", [1, 63, 130])  # less than a block of the kernel, and a remainder
def test_denoiser_is_the_average_of_component_posteriors(d, sigma, n):
    mixture = random_mixture(d)
    y = mixture.noised(sigma).sample(np.random.default_rng(1), n) * 1.5
    w = in_sklearn(mixture.noised(sigma)).predict_proba(y)
    keep = mixture.width**2 / (mixture.width**2 + sigma**2)
    expected = np.einsum("nk,nkd->nd", w, mixture.means + keep * (y[:, None] - mixture.means))
    assert mixture.denoise(y, sigma) == pytest.approx(expected, rel=1e-11, abs=1e-11)


def test_denoiser_on_the_line_is_the_posterior_mean_by_quadrature():
    mixture, sigma, y = random_mixture(1), 0.9, 0.37

    def weight(x):
        return mixture.pdf(x) * stats.norm.pdf(y, x, sigma)

    mass = integrate.quad(weight, -12, 12, epsabs=0, epsrel=1e-11, limit=200)[0]
    mean = integrate.quad(lambda x: x * weight(x), -12, 12, epsabs=1e-13, epsrel=1e-11, limit=200)[0] / mass
    square = integrate.quad(lambda x: x * x * weight(x), -12, 12, epsabs=1e-13, epsrel=1e-11, limit=200)[0] / mass
    at = np.array([[y]])
    assert mixture.denoise(at, sigma)[0, 0] == pytest.approx(mean, abs=1e-10)
    assert mixture.posterior_covariance(at, sigma)[0, 0, 0] == pytest.approx(square - mean**2, abs=1e-9)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_derivatives(d):
    # score = grad log p (also without noise), Tweedie, and dD/dy = C/sigma^2.
    mixture, sigma, h = random_mixture(d), 0.6, 1e-5
    y = mixture.noised(sigma).sample(np.random.default_rng(2), 20)
    jacobian = mixture.posterior_covariance(y, sigma) / sigma**2
    for j in range(d):
        e = h * np.eye(d)[j]
        for level in (0.0, sigma):
            slope = (mixture.log_density(y + e, level) - mixture.log_density(y - e, level)) / (2 * h)
            assert mixture.score(y, level)[:, j] == pytest.approx(slope, abs=1e-7)
        change = (mixture.denoise(y + e, sigma) - mixture.denoise(y - e, sigma)) / (2 * h)
        assert jacobian[:, :, j] == pytest.approx(change, abs=1e-7)
    assert mixture.score(y, sigma) == pytest.approx((mixture.denoise(y, sigma) - y) / sigma**2, abs=1e-10)
    covariance = mixture.posterior_covariance(y, sigma)
    assert mixture.posterior_variance(y, sigma) == pytest.approx(np.einsum("nii->ni", covariance), abs=1e-12)
    v = np.random.default_rng(3).standard_normal((20, 4, d))
    assert mixture.posterior_quadratic(y, sigma, v) == pytest.approx(np.einsum("npi,nij,npj->np", v, covariance, v), abs=1e-11)


def test_no_noise_and_far_away():
    mixture = random_mixture(2)
    y = mixture.sample(np.random.default_rng(4), 70)
    assert mixture.denoise(y, 0.0) == pytest.approx(y, abs=1e-12)
    far = np.array([[1e4, -1e4]])
    nearest = mixture.means[np.argmin(np.sum((mixture.means - far) ** 2, axis=1))]
    keep = 0.4**2 / (0.4**2 + 1)
    assert mixture.denoise(far, 1.0)[0] == pytest.approx(nearest + keep * (far[0] - nearest), rel=1e-12)


@pytest.mark.parametrize("name", gm.PRESETS)
@pytest.mark.parametrize("separation", [0.5, 6.0])
def test_laws_on_the_line(name, separation):
    mixture = gm.preset(name, separation)
    law = mixture.project(np.eye(mixture.dimension)[0])
    p = np.concatenate([[1e-6], np.linspace(0.001, 0.999, 400), [1 - 1e-6]])
    x = law.quantile(p)
    assert law.cdf(x) == pytest.approx(p, abs=1e-9)
    reference = sum(w * stats.norm.cdf(x, m, law.width) for w, m in zip(law.weights, law.means[:, 0], strict=True))
    assert law.cdf(x) == pytest.approx(reference, abs=1e-14)
    below = integrate.quad(lambda t: t * law.pdf(t), law.means.min() - 8 * law.width, x[150], epsabs=1e-10, limit=300)[0]
    assert law.mean_below(x[150]) == pytest.approx(below, abs=1e-8)
    with pytest.raises(ValueError, match="project"):
        gm.ring_2d(1.0).cdf(0.0)


def test_samples_have_the_mixture_s_moments():
    mixture = random_mixture(3)
    x = mixture.sample(np.random.default_rng(5), 40_000)
    error = np.sqrt(np.diag(mixture.covariance) / len(x))
    assert np.all(np.abs(x.mean(axis=0) - mixture.mean) < 4 * error)
    assert np.cov(x.T) == pytest.approx(mixture.covariance, rel=0.05, abs=0.05)
    assert mixture.scale == pytest.approx(np.sqrt(np.trace(mixture.covariance) / 3))
