"""The observatory against sklearn's PCA, planted sigmoids, random-matrix edges and exact ranks."""

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import expit
from sklearn.decomposition import PCA

from compute.parameters import ParameterError, read_table
from compute.scaling_laws.observational import dimensions, efficiencies, extrapolation, payoff, selection
from compute.scaling_laws.observational.fits import capability, d_optimal_order, fill_missing, fit_sigmoid, foretell
from compute.scaling_laws.observational.observatory import SCORES, Setting, from_table, simulate

BASE = Setting(8, 5, 2, 8, 0.0, 70.0, 2, 2.0, "none", 0)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_noiseless_table_has_exactly_the_planted_rank(k):
    found = dimensions(latent_dimensions=k, benchmark_noise=0.0, ceiling="none", components_used=3)
    assert (found.eigenvalues[:k] > 1e-4).all() and found.eigenvalues[k:].max() < 1e-10
    lines = efficiencies(latent_dimensions=k, benchmark_noise=0.0, ceiling="none")
    assert lines.r_squared == pytest.approx(np.ones(8), abs=1e-10)


def test_components_are_those_of_sklearn():
    scores = simulate(Setting(8, 5, 2, 8, 0.05, 70.0, 3, 2.0, "clipped", 3), np.random.default_rng(3)).scores
    standard = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    known, found = PCA(3).fit(standard), capability(scores, 3)
    assert np.abs(found.scores) == pytest.approx(np.abs(known.transform(standard)), abs=1e-9)
    assert np.abs(found.loadings.T) == pytest.approx(np.abs(known.components_), abs=1e-9)
    assert found.eigenvalues[:3] == pytest.approx(known.explained_variance_ * 39 / 40, rel=1e-9)


def test_pure_noise_stays_below_the_edge():
    n, p = 160, 20
    rng = np.random.default_rng(0)
    largest = np.array([capability(rng.standard_normal((n, p)), 1).eigenvalues[0] for _ in range(50)])
    edge = (1 + np.sqrt(p / n)) ** 2
    width = (np.sqrt(n) + np.sqrt(p)) * (1 / np.sqrt(n) + 1 / np.sqrt(p)) ** (1 / 3) / n  # of the Tracy–Widom law
    assert abs(largest.mean() - edge) < 3 * width


def test_planted_sigmoid_is_recovered():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((30, 2))
    y = 0.9 * expit(1.5 * x[:, 0] - 0.7 * x[:, 1] - 0.4)
    found = fit_sigmoid(x, y)
    far = 3 * rng.standard_normal((50, 2))
    assert found.ceiling == pytest.approx(0.9, abs=1e-6)
    assert found.predict(far) == pytest.approx(0.9 * expit(1.5 * far[:, 0] - 0.7 * far[:, 1] - 0.4), abs=1e-6)
    planted = foretell(simulate(BASE, np.random.default_rng(0)), BASE)
    assert (
        planted.error(planted.by_capability.predict(planted.capability.scores), simulate(BASE, np.random.default_rng(0)).target)
        < 1e-6
    )


def test_any_linear_map_of_capability_gives_the_same_predictions():
    rng = np.random.default_rng(2)
    x, far = rng.standard_normal((25, 3)), rng.standard_normal((10, 3))
    y = np.clip(0.8 * expit(x @ [1.0, 0.5, -0.8]) + 0.03 * rng.standard_normal(25), 0, 1)
    a, shift = rng.standard_normal((3, 3)), np.array([5.0, -3.0, 100.0])
    here, there = fit_sigmoid(x, y), fit_sigmoid(x @ a + shift, y)
    assert there.predict(far @ a + shift) == pytest.approx(here.predict(far), abs=1e-7)
    assert there.standard_error(far @ a + shift) == pytest.approx(here.standard_error(far), rel=1e-4)


def test_sigmoid_and_its_error_agree_with_scipy():
    rng = np.random.default_rng(4)
    x = np.linspace(-3, 3, 60)
    y = 0.85 * expit(1.2 * x - 0.3) + 0.02 * rng.standard_normal(60)
    found = fit_sigmoid(x[:, None], y)
    known, covariance = curve_fit(lambda x, h, a, b: h * expit(a + b * x), x, y, p0=(0.9, 0.0, 1.0))
    assert found.ceiling == pytest.approx(known[0], rel=1e-4)
    assert found.index(np.zeros((1, 1)))[0] == pytest.approx(known[1], abs=1e-3)
    # At a far end the prediction is the ceiling, whose error both know.
    assert found.standard_error(np.array([[30.0]]))[0] == pytest.approx(np.sqrt(covariance[0, 0]), rel=0.01)


def test_standard_errors_cover():
    x = np.linspace(-2.5, 2.5, 30)[:, None]
    truth, far = 0.9 * expit(1.3 * x[:, 0]), np.array([[3.5]])
    rng = np.random.default_rng(5)
    fits = [fit_sigmoid(x, truth + 0.03 * rng.standard_normal(30)) for _ in range(150)]
    values = np.array([f.predict(far)[0] for f in fits])
    claimed = np.sqrt(np.mean([f.standard_error(far)[0] ** 2 for f in fits]))
    assert claimed == pytest.approx(values.std(ddof=1), rel=4 / np.sqrt(300) + 0.05)


def test_missing_cells_of_a_low_rank_table_are_filled():
    rng = np.random.default_rng(6)
    whole = rng.standard_normal((30, 1)) @ rng.standard_normal((1, 8)) + 3
    holes = whole.copy()
    missing = rng.random(whole.shape) < 0.1
    holes[missing] = np.nan
    filled = fill_missing(holes, 1)
    standard = (whole - np.nanmean(holes, axis=0)) / np.nanstd(holes, axis=0)
    assert np.abs(filled - standard)[missing].mean() < 0.1 * np.abs(standard)[missing].mean()
    assert filled[~missing] == pytest.approx(standard[~missing])


def test_d_optimal_order_beats_random_designs():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((28, 2))
    design = np.column_stack([np.ones(28), (x - x.mean(axis=0)) / x.std(axis=0)])

    def information(rows):
        return np.linalg.slogdet(design[rows].T @ design[rows])[1]

    order = d_optimal_order(x)
    assert sorted(order) == list(range(28))
    assert all(information(order[:m]) > max(information(rng.permutation(28)[:m]) for _ in range(50)) for m in (5, 8, 12))


def test_capability_pays_where_scores_are_clean():
    found = payoff(n_studies=4, ceiling="none")
    assert (found.log2_ratio[0] < -2).all()  # without noise or cut-offs the task is a function of two components
    assert np.median(found.log2_ratio[-1]) > np.median(found.log2_ratio[1])


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ParameterError, match="cutoff_percentile"):
        extrapolation(families=3, models_per_family=2, cutoff_percentile=20.0)
    with pytest.raises(ParameterError, match="components_used"):
        extrapolation(benchmarks=4, components_used=5)


def test_a_readers_table():
    table, problems = read_table("scores", SCORES.template.encode(), SCORES)
    assert not problems and table.height == 48
    observatory = from_table(table)
    assert observatory.n == 12 and observatory.scores.shape == (12, 3) and observatory.log_compute is not None
    found = extrapolation(scores=table, components_used=1)
    assert found.test.sum() == 3
    without = extrapolation(scores=table.drop("FLOP"), components_used=1)
    assert without.log_compute.size == 0 and without.summary["by compute"].startswith("not known")
    assert selection(scores=table, components_used=1).count[0] == 3
    with pytest.raises(ParameterError, match="FLOP"):
        efficiencies(scores=table.drop("FLOP"))
    with pytest.raises(ParameterError, match="target"):
        extrapolation(scores=table.filter(table["benchmark"] != "target"))
