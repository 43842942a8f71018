"""Choosing sources, against POT, scikit-learn, linear programming, finite differences and identities."""

import numpy as np
import ot
import pytest
from scipy.optimize import linprog
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from compute.methods.optimal_transport import exact
from compute.parameters import ParameterError
from compute.scaling_laws.source_selection import mix_curve, prices, purchase, size_curve, triangle
from compute.scaling_laws.source_selection.market import (
    RIDGE,
    TEST,
    TEST_CHANCE,
    Market,
    accuracies,
    chance,
    counts,
    features,
    judge,
    trained,
)
from compute.scaling_laws.source_selection.projection import Pool, follow, look, onto_simplex, reveal


def small_pool(seed=0, sources=3, each=15):
    market = Market(sources=sources, revealed_small=30)
    pool = look(market, seed)[0]
    keep = np.concatenate([np.arange(each) + 30 * k for k in range(sources)])
    part = Pool(
        pool.points[keep],
        pool.labels[keep],
        pool.source[keep],
        pool.targets[:40],
        pool.target_labels[:40],
        pool.cost[keep, :40],
        1.0,
    )
    return part, np.full(40, 1 / 40)


def weights(pool, mix):
    return (np.asarray(mix) / (pool.source.size // pool.sources))[pool.source]


def test_the_distance_is_that_of_pot():
    pool, uniform = small_pool()
    mix = np.array([0.5, 0.3, 0.2])
    found = pool.transport(mix, tolerance=1e-9)
    assert found.cost == pytest.approx(
        ot.sinkhorn2(weights(pool, mix), uniform, pool.cost, 1.0, numItermax=50_000, stopThr=1e-12), abs=1e-7
    )


def test_the_exact_distance_is_convex_in_the_mix_and_zero_only_between_equal_measures():
    pool, uniform = small_pool()
    rng = np.random.default_rng(1)
    for _ in range(6):
        p, q = rng.dirichlet(np.ones(3), size=2)
        t = rng.random()
        ends = [exact(weights(pool, m), uniform, pool.cost).cost for m in (p, q)]
        between = exact(weights(pool, t * p + (1 - t) * q), uniform, pool.cost).cost
        assert between <= t * ends[0] + (1 - t) * ends[1] + 1e-12
        assert between > 1e-3
    itself = ot.dist(pool.points, pool.points) + 4.0 * (pool.labels[:, None] != pool.labels)
    same = weights(pool, [0.2, 0.3, 0.5])
    assert exact(same, same, itself).cost == pytest.approx(0, abs=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    result = prices(sources=4, share=0.4, sinkhorn_epsilon=0.3)
    assert result.gradient == pytest.approx(result.check, abs=3e-3 * np.abs(result.gradient).max())
    assert result.mix @ result.gradient == pytest.approx(0, abs=1e-10)
    pool, _ = small_pool()
    mix, step = np.array([0.4, 0.35, 0.25]), 1e-4
    found = pool.transport(mix, tolerance=1e-10)
    for k in range(3):
        away = np.eye(3)[k] - 1 / 3
        ends = [pool.transport(mix + s * away, found.second, 1e-10).value for s in (-step, step)]
        assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(pool.gradient(found)[k], abs=1e-4)


def test_identical_sources_have_no_gradient():
    pool, _ = small_pool(sources=2)
    twice = Pool(
        np.tile(pool.points[:15], (3, 1)),
        np.tile(pool.labels[:15], 3),
        np.repeat(np.arange(3), 15),
        pool.targets,
        pool.target_labels,
        np.tile(pool.cost[:15], (3, 1)),
        0.1,
    )
    assert np.abs(twice.gradient(twice.transport(np.array([0.6, 0.3, 0.1])))).max() < 1e-6
    assert follow(twice, 0.5).mixes[-1] == pytest.approx([0.25, 0.25, 0.5])


def test_the_path_ends_at_the_best_mix():
    pool, _ = reveal(Market(), 0)
    path = follow(pool, 0.7)
    assert np.all(np.diff(path.distances) <= 0)
    assert path.mixes.sum(axis=1) == pytest.approx(np.ones(len(path.mixes))) and path.mixes.min() >= 0
    rng = np.random.default_rng(0)
    others = [pool.transport(0.9 * path.mixes[-1] + 0.1 * q).value for q in rng.dirichlet(np.ones(3), size=10)]
    assert path.distances[-1] < min(others)


def test_second_stage_returns_what_the_first_says_at_both_sizes():
    _, projection = reveal(Market(), 0)
    d = np.array([0.5, 1.0, 3.0])
    assert projection.at(d, 60) == pytest.approx(projection.small[0] + projection.small[1] * d, abs=1e-12)
    assert projection.at(d, 300) == pytest.approx(projection.large[0] + projection.large[1] * d, abs=1e-12)
    # The paper's own form at a size beyond both.
    n, low, high = 5000.0, projection.at(1.0, 60), projection.at(1.0, 300)
    paper = (np.log(300 / n) * low + np.log(n / 60) * high) / np.log(300 / 60)
    assert projection.at(1.0, n) == pytest.approx(paper, abs=1e-12)
    fit = np.polyfit(projection.distance, projection.accuracy[1], 1)
    assert projection.large == pytest.approx(fit[::-1], abs=1e-10)


def test_learners_are_those_of_scikit_learn():
    market = Market(label_noise=0.2)
    rng = np.random.default_rng(3)
    x, y = market.draw(rng, np.repeat(np.arange(3), 40)[None])
    k = 2 * int(120**0.3 / 2) + 1
    says = KNeighborsClassifier(k).fit(x[0], y[0]).predict(TEST)
    assert accuracies("nearest neighbors", x, y)[0] == pytest.approx(np.where(says, TEST_CHANCE, 1 - TEST_CHANCE).mean(), abs=1e-12)
    model = LogisticRegression(C=1 / RIDGE, fit_intercept=False, tol=1e-10, max_iter=5000).fit(features(x[0]), y[0])
    says = model.predict(features(TEST))
    assert accuracies("logistic", x, y)[0] == pytest.approx(np.where(says, TEST_CHANCE, 1 - TEST_CHANCE).mean(), abs=2e-3)


def test_sources_sell_what_they_say():
    market = Market(sources=3, label_noise=0.4, covariate_shift=2.0)
    source = np.repeat(np.arange(3), 20_000)
    x, y = market.draw(np.random.default_rng(0), source)
    for k, noise in enumerate((0.0, 0.2, 0.4)):
        mine = source == k
        assert x[mine].mean(axis=0) == pytest.approx(market.shifts[k], abs=4 * 0.7 / np.sqrt(20_000))
        says_one = chance(x[mine]) * (1 - noise) + (1 - chance(x[mine])) * noise
        gap = np.mean(y[mine] - says_one) / np.sqrt(np.mean(says_one * (1 - says_one)) / 20_000)
        assert abs(gap) < 4
    judged, _ = judge(np.random.default_rng(1), 20_000)
    assert judged.std() == pytest.approx(1.2, abs=4 * 1.2 / np.sqrt(80_000))


def test_projection_onto_the_simplex_solves_its_program():
    rng = np.random.default_rng(2)
    for _ in range(5):
        v = rng.standard_normal(4)
        p = onto_simplex(v)
        # Optimal iff p minimizes the linearization <p - v, q> over the simplex.
        best = linprog(p - v, A_eq=np.ones((1, 4)), b_eq=[1]).fun
        assert (p - v) @ p == pytest.approx(best, abs=1e-10)


def test_counts_are_whole_and_add_up():
    rng = np.random.default_rng(4)
    for n in (1, 7, 100):
        mix = rng.dirichlet(np.ones(5))
        whole = counts(mix, n)
        assert whole.sum() == n and np.abs(whole - n * mix).max() < 1
    assert counts(np.array([0.1, 0.2, 0.7]), 10).tolist() == [1, 2, 7]


def test_more_and_cleaner_data_is_better():
    market = Market()
    few, many = (trained(market, np.full(3, 1 / 3), n, 12, np.random.default_rng(0)) for n in (60, 2000))
    clean, noisy = (trained(Market(label_noise=q), np.full(3, 1 / 3), 600, 12, np.random.default_rng(1)) for q in (0.0, 0.5))
    for low, high in ((few, many), (noisy, clean)):
        assert high.mean() - low.mean() > 4 * np.hypot(low.std(), high.std()) / np.sqrt(12)


def test_views_say_what_they_hold():
    assert purchase().projected == pytest.approx(reveal(Market(), 0)[1].at(purchase().distance, 2000))
    curve = mix_curve(repeats=2, target_size=300)
    assert curve.measured.size == 11 and curve.headline()["regret against the best share"] >= 0
    sizes = size_curve(repeats=2, target_size=500)
    assert sizes.drawn[-1] == 500 and set(sizes.measured) == set(sizes.projected)
    done = [fraction for fraction, _ in triangle.stream(repeats=2, target_size=100)]
    assert done[-1] == 1 and done == sorted(done)


@pytest.mark.parametrize(
    "view,values,name", [(triangle, {"sources": 4}, "sources"), (purchase, {"revealed_small": 300}, "revealed_large")]
)
def test_what_cannot_be_computed_is_said(view, values, name):
    with pytest.raises(ParameterError) as error:
        view(**values)
    assert error.value.name == name
