"""Conditional means of interpolants, against brute force, finite differences and the law's own identities."""

import numpy as np
import pytest

from compute.models.gaussian_mixture import GaussianMixture
from compute.models.interpolants import Blend, JointMixture, independent

A = GaussianMixture(np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, 0.0]]), 0.5)
B = GaussianMixture(np.array([0.2, 0.3, 0.5]), np.array([[0.0, 2.0], [1.0, -1.0], [2.0, 0.3]]), 0.8)
C = GaussianMixture(np.ones(1), np.zeros((1, 2)), 1.0)
X = np.random.default_rng(0).normal(0, 1.5, (40, 2))


def test_weighted_conditional_means_give_the_point():
    joint = independent([A, B, C])
    alpha = np.array([0.2, 0.5, 0.3])
    g = joint.conditional_means(X, Blend(alpha, np.zeros(3)))
    assert np.abs(np.tensordot(alpha, g, axes=1) - X).max() < 1e-12


def test_gaussian_vertex_gives_the_score():
    """153: s = -g_0/alpha_0 for a standard normal vertex; the score itself against the mixture's."""
    joint = independent([A, B, C])
    at = Blend(np.array([0.2, 0.5, 0.3]), np.zeros(3))
    score = joint.drifts(X, at)[1]
    assert np.abs(score + joint.conditional_means(X, at)[2] / 0.3).max() < 1e-12
    assert np.abs(score - joint.law(at).score(X)).max() < 1e-10


def test_vertex_law_is_the_endpoint():
    law = independent([A, B, C]).law(Blend(np.array([0.0, 1.0, 0.0]), np.zeros(3)))
    assert np.abs(law.log_density(X) - B.log_density(X)).max() < 1e-12


def test_conditional_mean_by_importance_sampling():
    """E[x_1 | x] from draws of x_0: x_1 = (x - a x_0)/b, weighted by the density of x_1; no formula shared."""
    joint = independent([A, B])
    at = Blend(np.array([0.6, 0.4]), np.zeros(2))
    rng = np.random.default_rng(1)
    x0 = A.sample(rng, 200_000)
    for x, exact in zip(X[:3], joint.conditional_means(X[:3], at)[1], strict=True):
        x1 = (x - 0.6 * x0) / 0.4
        w = np.exp(B.log_density(x1))
        w /= w.sum()
        mean = w @ x1
        error = np.sqrt(w**2 @ (x1 - mean) ** 2)
        assert np.all(np.abs(mean - exact) < 4 * error)


def test_velocity_solves_the_continuity_equation():
    """d rho/dt + div(rho b) = 0 by central differences, with latent noise and dependent endpoints."""
    covariance = np.broadcast_to(np.array([[0.5, 0.2], [0.2, 0.3]]), (2, 2, 2))
    means = np.array([[[-1.0, 0.0], [1.0, 1.0]], [[0.5, 1.0], [-1.0, 0.5]]])
    joint = JointMixture(np.array([0.4, 0.6]), means, covariance)

    def at(t: float) -> Blend:
        return Blend(np.array([1 - t, t]), np.array([-1.0, 1.0]), 0.7 * t * (1 - t), 0.7 * (0.5 - t))

    t, h = 0.3, 1e-4
    density = {s: np.exp(joint.law(at(t + s)).log_density(X)) for s in (-h, h)}
    rate = (density[h] - density[-h]) / (2 * h)
    divergence = np.zeros(len(X))
    for i in range(2):
        for sign in (1, -1):
            y = X + sign * h * np.eye(2)[i]
            flux = np.exp(joint.law(at(t)).log_density(y)) * joint.velocity(y, at(t))[:, i]
            divergence += sign * flux / (2 * h)
    assert np.abs(rate + divergence).max() < 1e-6 * np.abs(rate).max()


def test_samples_have_the_joint_moments():
    covariance = np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, 1.0], [1.0, 1.0]]])
    joint = JointMixture(np.ones(1), np.array([[[1.0, 2.0], [3.0, 4.0]]]), covariance)
    ends = joint.sample(np.random.default_rng(2), 20_000)
    for i in range(2):
        found = np.cov(ends[:, :, i])
        error = np.sqrt((np.outer(np.diag(covariance[i]), np.diag(covariance[i])) + covariance[i] ** 2) / 20_000)
        assert np.all(np.abs(found - covariance[i]) < 4 * error)
    assert np.allclose(ends[0, :, 1] - 2, ends[1, :, 1] - 4)


def test_unequal_coordinates_have_no_isotropic_law():
    joint = JointMixture(np.ones(1), np.zeros((1, 2, 2)), np.array([np.eye(2), 2 * np.eye(2)]))
    with pytest.raises(ValueError, match="variance"):
        joint.law(Blend(np.array([0.5, 0.5]), np.zeros(2)))
