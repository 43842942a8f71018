"""The downstream-metrics lab against SciPy's correlations, exact orders, and the theory of its mechanism."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import kendalltau, norm, pearsonr, spearmanr

from compute.parameters import ParameterError, read_table
from compute.scaling_laws.downstream_metrics import chain, curves, masses, median_map, survival
from compute.scaling_laws.downstream_metrics.benchmark import SCORES, Benchmark
from compute.scaling_laws.downstream_metrics.chain import Mechanism


@pytest.mark.parametrize("metric", chain.METRICS)
def test_correlations_agree_with_scipy(metric):
    rng = np.random.default_rng(0)
    x = np.sort(rng.standard_normal(9))
    y = np.stack([rng.standard_normal(9), np.array([0.0, 1, 0, 0, 1, 0, 1, 1, 1]), x**3, -x, np.ones(9)])
    known = {"pearson": pearsonr, "spearman": spearmanr, "kendall": kendalltau}[metric]
    found = chain.correlations(x, y, metric)
    assert found[:4] == pytest.approx([known(x, row).statistic for row in y[:4]], abs=1e-12)
    assert np.isnan(found[4])


def test_log_p_and_p_have_the_same_ranks_bit_for_bit():
    x, log_p = Benchmark(n_questions=300).draw()
    log_score, score, *_ = chain.scores(log_p)
    for metric in ("spearman", "kendall"):
        assert np.array_equal(chain.correlations(x, log_score, metric), chain.correlations(x, score, metric))


def test_exact_orders_of_the_share():
    for choices in (2, 4, 10):
        _, log_p = Benchmark(choices=choices, incorrect_noise=2.0).draw()
        _, _, share, brier, right = chain.scores(log_p)
        assert np.all(right[share > 0.5] == 1) and np.all(right[share < 1 / choices] == 0)
        p = np.exp(log_p - log_p.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        for stage, known in zip(chain.STAGES, chain.scores(log_p), strict=True):
            assert chain.score(log_p, stage) == pytest.approx(known)
        target = np.eye(choices)[0]
        assert brier == pytest.approx(-np.sum((p - target) ** 2, axis=2))
    # Of two choices the Brier score is a function of the share: the same ranks.
    x, log_p = Benchmark(choices=2).draw()
    stages = chain.scores(log_p)
    assert chain.correlations(x, stages[2], "spearman") == pytest.approx(chain.correlations(x, stages[3], "spearman"), abs=1e-9)


def test_still_wrong_choices_lose_nothing():
    """s_w = 0 and g_ij = 0: the share has the ranks of log p."""
    rng = np.random.default_rng(1)
    x = np.linspace(-2, 2, 10)
    draws = chain.draw(100, 10, 5, rng)
    log_p = chain.log_probabilities(Mechanism(5, 0.7, 0.0, 0.0, 0.3), x, draws)
    log_p[:, :, 1:] = log_p[:, :1, 1:]
    stages = chain.scores(log_p)
    assert chain.correlations(x, stages[2], "spearman") == pytest.approx(chain.correlations(x, stages[0], "spearman"), abs=1e-9)


def test_median_margin_correlation_of_two_choices():
    """4,000 models at normal x: the median question is the one of mean gains."""
    rng = np.random.default_rng(2)
    mechanism = Mechanism(2, 0.7, 0.4, 0.8, 0.3, 1.0)
    n_questions, x = 150, chain.model_scale(4000, 4.0, "normal", rng)
    log_p = chain.log_probabilities(mechanism, x, chain.draw(n_questions, x.size, 2, rng))
    margin = log_p[:, :, 0] - log_p[:, :, 1]
    for metric in ("pearson", "spearman"):
        found = chain.correlations(x, margin, metric)
        theory = float(chain.of_metric(chain.margin_correlation(mechanism, 4 / np.sqrt(12)), metric))
        error = 1.2533 * found.std() / np.sqrt(n_questions)  # of a median of near-normal values
        assert abs(np.median(found) - theory) < 4 * error
    # At fixed gains: every question has the same correlation.
    draws = chain.draw(60, x.size, 2, rng)
    still = chain.Draws(draws.level, 0 * draws.gain, 0 * draws.incorrect_gain, draws.correct, draws.incorrect)
    log_p = chain.log_probabilities(mechanism, x, still)
    found = chain.correlations(x, log_p[:, :, 0] - log_p[:, :, 1], "spearman")
    theory = float(chain.of_metric(chain.margin_correlation(mechanism, x.std()), "spearman"))
    assert abs(found.mean() - theory) < 4 * found.std() / np.sqrt(60) + 2e-3  # x itself is one draw of 4,000


def test_contours_lie_where_the_margin_correlation_is():
    here = Mechanism(2, 0.7, 0.0, 0.0, 0.3)
    rho = np.array([-0.3, 0.2, 0.5])
    for r in (0.5, 0.9):
        noise = chain.noise_at_margin_correlation(here, 1.2, rho, r)
        for one, s in zip(rho, noise, strict=True):
            if np.isfinite(s):
                assert chain.margin_correlation(Mechanism(2, 0.7, float(one), float(s), 0.3), 1.2) == pytest.approx(r)


@pytest.mark.parametrize("choices", [2, 4, 10])
def test_mean_accuracy_is_exact(choices):
    rng = np.random.default_rng(3)
    mechanism, x = Mechanism(choices, 0.9, 0.3, 0.8, 0.5, 0.7), np.array([-2.0, 0.0, 1.5])
    n = 60_000
    right = chain.scores(chain.log_probabilities(mechanism, x, chain.draw(n, 3, choices, rng)))[4].mean(axis=0)
    theory = chain.mean_accuracy(mechanism, x)
    assert np.all(np.abs(right - theory) < 4 * np.sqrt(theory * (1 - theory) / n))
    if choices == 2:
        m = 0.7 + 0.9 * 0.7 * x
        s = np.sqrt(8 + 0.5**2 + 0.8**2 + (0.3 * x) ** 2 * (0.7**2 + 1 - 0.3**2))
        assert theory == pytest.approx(norm.cdf(m / s))


def test_survival_of_log_p_with_many_models():
    result = survival(n_models=40, n_questions=2000, correct_noise=1.0, metric="pearson", spacing="normal", compute_decades=3.0)
    exact = chain.log_p_survival(Benchmark(correct_noise=1.0).mechanism, 1.0, np.array([0.3]), "pearson")
    # corr >= r where g_i >= r s_c/(s_x sqrt(1 - r^2)).
    assert exact == pytest.approx(norm.sf(0.3 / np.sqrt(0.91), 0.7, 0.3))
    middle = np.abs(result.level - 0.3).argmin()
    assert result.share[0, middle] == pytest.approx(result.theory[middle], abs=0.06)  # 40 models blur it a little
    assert np.all(np.diff(result.share, axis=1) <= 0)
    assert result.median[0] > result.median[2] > 0


def test_views_tell_the_story():
    loud, quiet = survival(incorrect_noise=2.5), survival(gain_correlation=0.0, incorrect_noise=0.0)
    assert loud.median[2] < quiet.median[2]
    result = curves()
    assert result.gap < 4.5  # of twelve models, which share questions
    assert result.of_mean > result.median
    assert 0.5 < masses().decided <= 1
    plane = median_map(choices=2, n_models=40, stage="share of choices", spacing="normal")
    assert plane.at == pytest.approx(plane.margin, abs=0.12)


def test_uploads():
    table, problems = read_table("scores", SCORES.template.encode(), SCORES)
    assert table.height == 90 and not problems
    benchmark = Benchmark(scores=table)
    x, log_p = benchmark.draw()
    assert log_p.shape == (6, 5, 3) and abs(x.mean()) < 1e-12
    first = table.filter((pl.col("question") == "q2") & (pl.col("model") == "m3")).sort("correct", descending=True)["logp"]
    assert log_p[1, 2] == pytest.approx(first.to_numpy())
    shuffled = survival(scores=table.sample(fraction=1.0, shuffle=True, seed=1))
    assert np.array_equal(shuffled.share, survival(scores=table).share)
    assert survival(scores=table).theory is None
    # A question that a model lacks is left out; a binary question beside three choices is padded.
    fewer = table.filter(~((pl.col("question") == "q1") & (pl.col("model") == "m1")))
    fewer = fewer.filter(~((pl.col("question") == "q6") & (pl.col("choice") == "c")))
    scores = chain.scores(Benchmark(scores=fewer).draw()[1])
    assert scores[0].shape == (5, 5) and all(np.isfinite(s).all() for s in scores)
    for view in (curves, masses):
        assert view(scores=fewer).table().height > 0
    with pytest.raises(ParameterError, match="4 or more"):
        survival(scores=table.filter(pl.col("model").is_in(["m1", "m2"])))
    with pytest.raises(ParameterError, match="no question"):
        survival(scores=table.with_columns(correct=pl.lit(0.0)))
