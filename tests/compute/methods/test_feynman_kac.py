"""Feynman-Kac correctors against exact variances, quadrature and the finite-difference identity behind the weights."""

import numpy as np
import pytest
from scipy import integrate, stats

from compute.methods import feynman_kac as fk
from compute.methods.resampling import normalized
from compute.models.gaussian_mixture import GaussianMixture

NORMAL = GaussianMixture(np.ones(1), np.zeros((1, 1)), 1.0)
TWO = GaussianMixture(np.array([0.3, 0.7]), np.array([[-2.0], [2.0]]), 0.6)


def plane(seed: int, width: float = 0.4) -> GaussianMixture:
    rng = np.random.default_rng(seed)
    return GaussianMixture(rng.dirichlet(np.ones(3)), rng.standard_normal((3, 2)), width)


@pytest.mark.parametrize("exponents", [[2.5], [-1.5, 2.5], [1.0, 1.0, 1.0], [0.4]])
@pytest.mark.parametrize("c", [0.0, 1.0, 3.0])
def test_weights_make_the_target_solve_its_equation(exponents, c):
    # d_r log p = -(1+c)/2 (div S + S.grad log p) + c/2 (lap log p + |grad log p|^2) + rate - (mean), r = -u, up to a
    # constant in x: checked by finite differences at several points.
    target = fk.Powers(tuple(plane(k) for k in range(len(exponents))), np.array(exponents))
    u, h = 0.8, 1e-4
    points = np.random.default_rng(7).standard_normal((6, 2))

    def log_p(x, u=u):
        return target.log_target(x, np.sqrt(u))

    def scores(x):
        pulled, _ = target.pull(x, np.sqrt(u))
        return (pulled - target.total * x) / u

    change = -(log_p(points, u + h) - log_p(points, u - h)) / (2 * h)
    gradient, laplacian, divergence = np.zeros_like(points), np.zeros(6), np.zeros(6)
    for j in range(2):
        e = h * np.eye(2)[j]
        gradient[:, j] = (log_p(points + e) - log_p(points - e)) / (2 * h)
        divergence += (scores(points + e) - scores(points - e))[:, j] / (2 * h)
        wide = 20 * e
        laplacian += (log_p(points + wide) - 2 * log_p(points) + log_p(points - wide)) / (20 * h) ** 2
    drift = scores(points)
    assert drift == pytest.approx(gradient, abs=1e-6)
    transport = -(1 + c) / 2 * (divergence + np.sum(drift * gradient, axis=1))
    diffusion = c / 2 * (laplacian + np.sum(gradient**2, axis=1))
    rate = target.pull(points, np.sqrt(u))[1]
    gap = change - (transport + diffusion + rate)
    # The log target has no normalization, so the gap may be a constant; here none is left, as both sides are exact.
    assert gap == pytest.approx(0, abs=2e-4)


@pytest.mark.parametrize("beta", [3.0, 0.5, 0.3])
def test_variance_of_the_heuristic_is_the_exact_formula(beta):
    target = fk.Powers((NORMAL,), np.array([beta]))
    n, top = 60_000, 10.0
    end = fk.last(fk.run(target, 1.0, top, 20, n, np.random.default_rng(0), weighted=False))
    v_top = 1 + top**2
    p = 2 * beta - 1
    exact = 2 + np.log(v_top) if beta == 0.5 else 1 / p + (v_top / beta - v_top / p) * v_top ** (-2 * beta)
    assert abs(end.x.var() - exact) < 4 * exact * np.sqrt(2 / n)
    if beta == 3.0:
        assert exact == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("beta,c", [(3.0, 1.0), (3.0, 4.0), (0.5, 1.0), (0.5, 0.0)])
def test_weighted_variance_is_that_of_the_power(beta, c):
    target = fk.Powers((NORMAL,), np.array([beta]))
    values = []
    for k in range(12):
        end = fk.last(fk.run(target, 1.0, 10.0, 60, 8000, np.random.default_rng(k), noise_scale=c))
        values.append(beta * float(normalized(end.log_weights) @ end.x[:, 0] ** 2))
    error = np.std(values, ddof=1) / np.sqrt(12)
    assert abs(np.mean(values) - 1) < 4 * error + 0.01, (np.mean(values), error)
    assert error < 0.05


def test_weights_are_constant_where_nothing_is_composed():
    uncond, cond = plane(1), plane(2)
    for experts, exponents in (((uncond,), [1.0]), ((uncond, cond), [1.0, 0.0]), ((uncond, cond), [0.0, 1.0])):
        target = fk.Powers(experts, np.array(exponents))
        x = 3 * np.random.default_rng(0).standard_normal((200, 2))
        for sigma in (0.1, 1.0, 10.0):
            scale = np.max(np.abs(target.pull(x, sigma)[0] - x)) ** 2 / sigma**4
            assert np.max(np.abs(target.pull(x, sigma)[1])) < 1e-12 * scale


def test_permuting_experts_changes_nothing():
    experts = (plane(1), plane(2), plane(3))
    b = np.array([0.5, 1.5, 1.0])
    x = np.random.default_rng(0).standard_normal((100, 2))
    order = [2, 0, 1]
    first = fk.Powers(experts, b).pull(x, 0.7)
    second = fk.Powers(tuple(experts[k] for k in order), b[order]).pull(x, 0.7)
    assert first[0] == pytest.approx(second[0], abs=1e-13) and first[1] == pytest.approx(second[1], rel=1e-11, abs=1e-11)


def test_mode_masses_of_a_power_are_those_of_quadrature():
    mass = [integrate.quad(lambda x: TWO.pdf(x) ** 3, *ends, epsabs=1e-12)[0] for ends in ((-6, 0), (0, 6))]
    exact = mass[1] / sum(mass)
    assert exact == pytest.approx(0.9270, abs=1e-4)
    target = fk.Powers((TWO,), np.array([3.0]))
    masses, errors = [], []
    for k in range(20):
        end = fk.last(fk.run(target, 2.1, 10.0, 200, 2000, np.random.default_rng(k)))
        average, error = end.mean((end.x[:, 0] > 0).astype(float))
        masses.append(float(average))
        errors.append(float(error))
    spread = np.std(masses, ddof=1)
    assert abs(np.mean(masses) - exact) < 4 * spread / np.sqrt(20)
    # The families' standard error is that of repeated runs.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.5)


def test_product_of_gaussians_is_their_product():
    experts = tuple(GaussianMixture(np.ones(1), np.array([[m, -m]]), 0.5) for m in (-0.4, 0.8))
    target = fk.Powers(experts, np.ones(2))
    end = fk.last(fk.run(target, 1.0, 5.0, 100, 20_000, np.random.default_rng(0)))
    w = normalized(end.log_weights)
    assert w @ end.x == pytest.approx([0.2, -0.2], abs=0.02)
    assert w @ (end.x - [0.2, -0.2]) ** 2 == pytest.approx(0.125, rel=0.05)


def test_union_is_the_pooled_mixture_and_forgets():
    parts = tuple(plane(k) for k in range(4))
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    x = 2 * np.random.default_rng(0).standard_normal((150, 2))
    for dropped in (None, 2):
        left = shares.copy()
        if dropped is not None:
            left[dropped] = 0.0
        kept = left > 0
        weights = np.concatenate([s * p.weights for s, p in zip(left, parts, strict=True) if s > 0])
        means = np.concatenate([p.means for p, k in zip(parts, kept, strict=True) if k])
        pool = GaussianMixture(weights, means, 0.4)
        union = fk.Union(parts, left)
        for sigma in (0.05, 1.0, 8.0):
            pulled, rate = union.pull(x, sigma)
            assert (pulled - x) / sigma**2 == pytest.approx(pool.score(x, sigma), rel=1e-11, abs=1e-12 / sigma**2)
            assert not rate.any()
            gap = union.log_target(x, sigma) - pool.log_density(x, sigma)
            assert np.ptp(gap) < 1e-11
        assert union.attribution(x, 1.0).sum(axis=1) == pytest.approx(1)
    end = fk.last(fk.run(fk.Union(parts, shares), 1.5, 10.0, 100, 4000, np.random.default_rng(1), weighted=False))
    pool = GaussianMixture(
        np.concatenate([s * p.weights for s, p in zip(shares, parts, strict=True)]), np.concatenate([p.means for p in parts]), 0.4
    )
    law = pool.project(np.array([1.0, 0.0]))
    assert stats.kstest(end.x[:, 0], lambda t: law.cdf(np.asarray(t))).pvalue > 1e-3


def test_experts_of_different_widths():
    wide, narrow = plane(1, 0.9), plane(2, 0.4)
    target = fk.Powers((wide, narrow), np.array([1.0, 1.0]))
    bare = target.narrowed(0.4)
    assert bare.experts[1].width == 0 and bare.experts[0].width == pytest.approx(np.sqrt(0.81 - 0.16))
    x, sigma = np.random.default_rng(0).standard_normal((20, 2)), 0.7
    v = 0.16 + sigma**2
    pulled, rate = bare.pull(x, np.sqrt(v))
    reference, rate_reference = target.pull(x, sigma)
    assert (pulled - 2 * x) / v == pytest.approx((reference - 2 * x) / sigma**2, abs=1e-11)
    assert rate == pytest.approx(rate_reference, rel=1e-10, abs=1e-11)


def test_resampling_choices():
    target = fk.Powers((plane(1),), np.array([2.0]))
    for resampling, low, high in (("none", 0, 0), ("ess below half", 1, 40), ("every step", 51, 51)):
        states = list(fk.run(target, 1.0, 10.0, 50, 300, np.random.default_rng(0), resampling=resampling))
        assert len(states) == 51 and states[-1].sigma == 0 and states[0].sigma == pytest.approx(10)
        assert low <= sum(s.resampled for s in states) <= high
