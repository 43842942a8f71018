"""Linear equations in several dimensions against SciPy's exponentials, an ODE solver and finite differences."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.stats import multivariate_normal

from compute.models.gaussian_mixture import three_modes_1d
from compute.models.linear_sde import LiftedMixture, LinearSde, SharedMixture, matrix_exponential


def random_sde(k, seed):
    """A stable drift -(Q + D) with noise 2 D, stationary at the identity."""
    rng = np.random.default_rng(seed)
    skew = rng.standard_normal((k, k))
    root = rng.standard_normal((k, k))
    d = root @ root.T / k
    return LinearSde(-(skew - skew.T + d), 2 * d)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_moments_against_expm_and_an_ode_solve(k):
    sde = random_sde(k, k)
    times = np.array([1e-3, 0.1, 1.0, 6.0])
    a, noise = sde.transition(times)

    def rate(_, flat):
        c = flat.reshape(k, k)
        return (sde.drift @ c + c @ sde.drift.T + sde.diffusion).ravel()

    for t, a_t, n_t in zip(times, a, noise, strict=True):
        assert np.allclose(a_t, expm(sde.drift * t), atol=1e-12)
        solved = solve_ivp(rate, (0, t), np.zeros(k * k), rtol=1e-10, atol=1e-13, method="DOP853").y[:, -1].reshape(k, k)
        assert np.allclose(n_t, solved, atol=1e-9)
    assert np.allclose(sde.flow(-0.3), expm(-0.3 * sde.drift), atol=1e-12)


def test_stationary_law_is_the_identity_for_any_skew_part():
    for k in (2, 4):
        sde = random_sde(k, 10 + k)
        assert np.allclose(sde.stationary(), np.eye(k), atol=1e-10)
        a, noise = sde.transition(0.7)
        assert np.allclose(a @ a.T + noise, np.eye(k), atol=1e-12)


def test_exponential_of_pairs_in_every_case():
    # real and complex eigenvalues, a defective pair, nearly defective ones, large and small norms
    cases = [[[1.0, 2], [3, -1]], [[0, 5.0], [-5, -1]], [[-2.0, 1], [0, -2]], [[-2.0, 1], [1e-12, -2]], [[-900.0, 3], [1, -1]]]
    for m in np.array(cases):
        assert np.allclose(matrix_exponential(m), expm(m), rtol=1e-9, atol=1e-14)
    m = np.random.default_rng(0).standard_normal((4, 3, 3)) * 3
    assert np.allclose(matrix_exponential(m), np.stack([expm(part) for part in m]), rtol=1e-9)


def test_mixture_with_a_full_covariance():
    weights, means = np.array([0.3, 0.7]), np.array([[0.0, 1.0], [2.0, -1.0]])
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    law = SharedMixture(weights, means, covariance)
    z = np.random.default_rng(1).standard_normal((5, 2))
    density = sum(w * multivariate_normal(m, covariance).pdf(z) for w, m in zip(weights, means, strict=True))
    assert np.allclose(law.log_density(z), np.log(density), atol=1e-12)
    for j in range(2):
        h = 1e-5 * np.eye(2)[j]
        slope = (law.log_density(z + h) - law.log_density(z - h)) / 2e-5
        assert np.allclose(law.score(z)[:, j], slope, atol=1e-6)
    draws = law.sample(np.random.default_rng(2), 40000)
    exact = covariance + 0.21 * np.outer(means[1] - means[0], means[1] - means[0])
    assert np.allclose(np.cov(draws.T), exact, atol=0.05)


def test_denoiser_is_the_regression_on_a_simulation():
    sde = random_sde(2, 3)
    data = three_modes_1d(2.0)
    lifted = LiftedMixture.of_data(sde, data, [0.5])
    rng = np.random.default_rng(4)
    n = 200_000
    z0 = np.hstack([data.sample(rng, n), np.sqrt(0.5) * rng.standard_normal((n, 1))])
    a, noise = sde.transition(0.4)
    z = z0 @ a.T + rng.standard_normal((n, 2)) @ np.linalg.cholesky(noise).T
    gap = z0 - lifted.denoise(z, 0.4)
    # The residual of a conditional mean is uncorrelated with every function of z.
    for test in (np.ones(n), z[:, 0], z[:, 1], np.sin(2 * z[:, 0]), z[:, 0] * z[:, 1]):
        product = gap * test[:, None]
        assert np.all(np.abs(product.mean(axis=0)) < 4 * product.std(axis=0) / np.sqrt(n))


def test_velocity_carries_the_law():
    # Continuity: the rate of E f under the law is E[grad f . velocity].
    sde, data = random_sde(2, 5), three_modes_1d(2.0)
    lifted = LiftedMixture.of_data(sde, data, [0.5])
    z = lifted.at(0.3).sample(np.random.default_rng(6), 200_000)
    velocity = lifted.velocity(z, 0.3)

    def second(t):
        law = lifted.at(t)
        mean = law.weights @ law.means
        among = (law.weights * law.means.T) @ law.means
        assert mean.shape == (2,)
        return (among + law.covariance)[0, 1]

    rate = (second(0.3 + 1e-4) - second(0.3 - 1e-4)) / 2e-4
    product = velocity[:, 0] * z[:, 1] + z[:, 0] * velocity[:, 1]
    assert abs(product.mean() - rate) < 4 * product.std() / np.sqrt(z.shape[0])
