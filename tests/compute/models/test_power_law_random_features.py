"""Power-law random features against literal SGD, drawn matrices, least squares and exact moments."""

import numpy as np
import pytest

from compute.models import power_law_random_features as prf

POINTS = [(1.0, 0.7), (0.7, 1.2), (0.4, 0.8), (0.27, 0.9), (0.15, 0.9), (0.7, 0.3), (0.4, 0.3)]


@pytest.mark.parametrize("alpha,beta", [(0.1, 0.1), (0.27, 0.9), (1.0, 0.7), (2.0, 2.0)])
def test_population_quadrature_is_the_sum_over_all_terms(alpha, beta):
    short = prf.power_law_population(alpha, beta, 40_000)
    index = np.arange(1, 40_001.0)
    level, target = index ** (-2 * alpha), index ** (-2 * beta)
    assert short.count.sum() == pytest.approx(40_000, rel=1e-6)
    assert short.power == pytest.approx(np.sum(level * target), rel=1e-6)
    for kappa in (1e-6, 1e-2, level[300] * 1j, 2 - 1j):
        mine = np.sum(short.count * short.covariance / (short.covariance + kappa))
        assert abs(mine / np.sum(level / (level + kappa)) - 1) < 1e-6


def test_effective_ridge_is_the_physical_root_and_the_stieltjes_transform_of_drawn_matrices():
    alpha, width, size = 0.8, 300, 900
    population = prf.power_law_population(alpha, 1.0, size)
    points = np.array([3 + 0.4j, 0.5 + 0.05j, 0.02 + 0.01j, 1e-3 - 5e-4j, -0.3 + 0j, 1e-6j])
    kappa = prf.effective_ridge(population, width, points)
    share = np.array([np.sum(population.count * population.covariance / (population.covariance + k)) for k in kappa])
    assert np.max(np.abs(kappa * (1 - share / width) / -points - 1)) < 1e-10
    assert np.all(np.imag(1 / kappa) * np.imag(points) >= 0)
    rng = np.random.default_rng(0)
    drawn = np.array(
        [np.mean(1 / (prf.draw_modes(rng, alpha, 1.0, width, size).eigenvalue[:, None] - points), axis=0) for _ in range(8)]
    )
    error = np.maximum(np.abs(drawn.std(axis=0)) / np.sqrt(8), 1e-12)
    assert np.all(np.abs(drawn.mean(axis=0) - 1 / kappa) < 4.5 * error + 0.005 * np.abs(1 / kappa))


def test_modes_are_those_of_the_feature_matrix():
    alpha, beta, width, size = 1.5, 0.6, 40, 160
    modes = prf.draw_modes(np.random.default_rng(2), alpha, beta, width, size)
    index = np.arange(1, size + 1.0)
    feature = np.random.default_rng(2).standard_normal((size, width)) * index[:, None] ** -alpha / np.sqrt(width)
    assert modes.eigenvalue == pytest.approx(np.linalg.svd(feature, compute_uv=False) ** 2, rel=1e-6)
    _, residual, *_ = np.linalg.lstsq(feature, index ** (-alpha - beta), rcond=None)
    assert modes.unreachable == pytest.approx(residual[0], rel=1e-6)


@pytest.mark.parametrize("alpha,beta", [(1.0, 0.7), (0.7, 0.3), (0.3, 0.9)])
def test_unreachable_loss_and_kernel_norm_of_ten_draws(alpha, beta):
    width, size, batch = 200, 800, 4
    population = prf.power_law_population(alpha, beta, size)
    rng = np.random.default_rng(11)
    drawn = [prf.draw_modes(rng, alpha, beta, width, size) for _ in range(10)]
    step = 0.5 * prf.stability_limit(population, width, batch)
    for values, limit in (
        ([m.unreachable for m in drawn], prf.unreachable_loss(population, width)),
        ([prf.modes_kernel_norm(m, batch, step) for m in drawn], prf.kernel_norm(population, width, batch, step)),
    ):
        assert abs(np.mean(values) - limit) < 4 * np.std(values, ddof=1) / np.sqrt(10)


@pytest.mark.parametrize("alpha,batch", [(1.0, 1), (0.3, 8)])
def test_kernel_norm_is_one_at_the_stability_limit(alpha, batch):
    population = prf.power_law_population(alpha, 0.7, 1200)
    limit = prf.stability_limit(population, 300, batch)
    assert prf.kernel_norm(population, 300, batch, limit * (1 - 1e-9)) == pytest.approx(1, abs=1e-6)
    modes = prf.draw_modes(np.random.default_rng(0), alpha, 0.7, 100, 400)
    step = prf.modes_stability_limit(modes, batch)
    assert np.sum(step * modes.eigenvalue / (2 - step * (batch + 1) * modes.eigenvalue)) == pytest.approx(1, rel=1e-9)
    growth = [prf.exact_curve(modes, batch, share * step, np.array([1e9]))[0] for share in (0.999, 1.001)]
    assert growth[0] < 1e4 < growth[1]


def test_spectral_edge_of_a_flat_population_is_marchenko_pastur():
    flat = prf.Population(np.ones(1), np.ones(1), np.full(1, 900.0))
    assert prf.spectral_edge(flat, 100)[0] == pytest.approx((1 + np.sqrt(900 / 100)) ** 2)


def test_large_batches_are_limited_by_the_spectral_edge():
    crowded = prf.power_law_population(1.2, 0.2, 160)
    limit = prf.stability_limit(crowded, 40, 64)
    assert limit == pytest.approx(2 / (65 * prf.spectral_edge(crowded, 40)[0]))
    assert prf.kernel_norm(crowded, 40, 64, 0.999 * limit) < 1


@pytest.mark.parametrize("alpha,beta", [*POINTS, (2.0, 2.0), (0.1, 2.0)])
@pytest.mark.parametrize("width,batch", [(60, 16), (10**6, 1)])
def test_limit_curve_has_the_exact_first_moments_and_last_value(alpha, beta, width, batch):
    population = prf.power_law_population(alpha, beta, 4 * width)
    level, target, count = population.covariance, population.target, population.count
    step = 0.6 * prf.stability_limit(population, width, batch)
    curve = prf.limit_curve(population, width, batch, step, np.array([0.0, 1.0]))

    def trace(power, weight=1.0):
        return float(np.sum(count * level**power * weight))

    # <A> = D and <A^2> = D^2 + D tr D/d on the error D^{1/2} b; sum lam^2 = tr D^2 + (tr D)^2/d.
    begin = trace(1, target)
    second = trace(3, target) + trace(1) * trace(2, target) / width
    squares = trace(2) + trace(1) ** 2 / width
    first = begin - 2 * step * batch * trace(2, target) + step**2 * batch * ((batch + 1) * second + begin * squares)
    assert curve == pytest.approx([begin, first], rel=1e-8)
    if width == 60:
        norm = prf.kernel_norm(population, width, batch, step)
        late = prf.limit_curve(population, width, batch, step, np.array([1e14]))[0]
        assert late == pytest.approx(prf.unreachable_loss(population, width) / (1 - norm), rel=1e-6)


@pytest.mark.parametrize("alpha,beta", POINTS)
def test_limit_curve_is_the_mean_of_exact_curves(alpha, beta):
    width, size, batch = 200, 800, 2
    population = prf.power_law_population(alpha, beta, size)
    rng = np.random.default_rng(8)
    drawn = [prf.draw_modes(rng, alpha, beta, width, size) for _ in range(12)]
    step = 0.4 * prf.stability_limit(population, width, batch)
    steps = np.unique(np.rint(np.geomspace(1, 1e7, 40)))
    exact = np.array([prf.exact_curve(m, batch, step, steps) for m in drawn])
    limit = prf.limit_curve(population, width, batch, step, steps)
    error = exact.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    assert np.all(np.abs(exact.mean(axis=0) - limit) < 4.5 * error + 0.01 * limit)
    assert np.max(np.abs(exact[0] / limit - 1)) < 0.35


@pytest.mark.parametrize("alpha,beta,width", [(1.0, 0.7, 10**4), (0.4, 0.8, 10**7), (2.0, 2.0, 10**5)])
def test_parabolas_agree_where_they_meet(alpha, beta, width):
    population = prf.power_law_population(alpha, beta, 4 * width)
    step = 0.5 * prf.stability_limit(population, width, 1)
    for first in (10.0, 1e3, 1e6):
        seam = np.array([10 * first])
        left, right = (prf._parabola(population, width, 1, step, seam, start)[0] for start in (first, 10 * first))
        assert left == pytest.approx(right, rel=1e-3)


def test_streaming_sgd_and_literal_sgd_follow_the_exact_curve():
    alpha, beta, width, size, batch, n_runs = 0.9, 0.6, 50, 200, 4, 200
    rng = np.random.default_rng(6)
    modes = prf.draw_modes(np.random.default_rng(6), alpha, beta, width, size)
    step = 0.4 * prf.modes_stability_limit(modes, batch)
    steps = np.array([1, 4, 16, 64, 200])
    exact = prf.exact_curve(modes, batch, step, steps)

    # Literally: data, features and parameters as the model is written.
    index = np.arange(1, size + 1.0)
    feature = rng.standard_normal((size, width)) / np.sqrt(width)
    theta, literal = np.zeros((n_runs, width)), []
    for r in range(1, steps[-1] + 1):
        x = rng.standard_normal((n_runs, batch, size)) * index**-alpha
        seen = x @ feature
        residual = np.einsum("rbk,rk->rb", seen, theta) - x @ index**-beta
        theta -= step * np.einsum("rb,rbk->rk", residual, seen)
        if r in steps:
            literal.append(np.sum(((theta @ feature.T - index**-beta) * index**-alpha) ** 2, axis=1))
    streamed = np.array(
        [prf.stream_sgd(rng, modes.eigenvalue, modes.start, modes.unreachable, batch, step, steps) for _ in range(n_runs)]
    )
    for runs in (np.array(literal).T, streamed):
        assert np.all(np.abs(runs.mean(axis=0) - exact) < 4 * runs.std(axis=0, ddof=1) / np.sqrt(n_runs))
    # The same law, not only the same mean.
    assert np.std(streamed, axis=0) == pytest.approx(np.std(np.array(literal), axis=1), rel=0.35)
