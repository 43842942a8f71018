"""Parallel streams: published runs and constants, exact equalities, own Monte Carlo, recovery of planted laws."""

import numpy as np
import polars as pl
import pytest

from compute.parameters import ParameterError, read_table
from compute.scaling_laws.parallel_streams import cost_map, loss_curves, residuals, stream_fit, stream_worth
from compute.scaling_laws.parallel_streams.fit import RUNS, TEMPLATE
from compute.scaling_laws.parallel_streams.law import (
    MEASURED,
    PUBLISHED,
    correlated_loss,
    correlated_multiplier,
    fitted_loss,
    implied_correlation,
    multiplier,
)

STACK, PILE = PUBLISHED["stack"], PUBLISHED["pile"]


def test_published_runs():
    assert fitted_loss(STACK, 535_813_376, 1) == pytest.approx(1.1728, abs=1e-4)
    assert fitted_loss(STACK, 1_595_669_000, 8) == pytest.approx(1.0410, abs=1e-4)
    assert fitted_loss(PILE, 535_813_376, 1) == pytest.approx(2.1107, abs=1e-4)
    for corpus, runs in MEASURED.items():
        for n, p, seen in runs:
            assert fitted_loss(PUBLISHED[corpus], n, p) == pytest.approx(seen, abs=0.012)


def test_streams_equal_parameters_exactly():
    for law in (STACK, PILE):
        for p in (1, 3, 64):
            assert fitted_loss(law, 2e9, p) == pytest.approx(fitted_loss(law, 2e9 * (law.k * np.log(p) + 1), 1), rel=1e-14)


def test_implied_correlation():
    known = implied_correlation(STACK.k, STACK.alpha, np.array([2, 4, 8]))
    assert known == pytest.approx([0.911, 0.894, 0.878], abs=6e-4)
    # Put back into the theory it gives the law.
    assert correlated_loss(STACK, 1e9, 8, known[2]) == pytest.approx(fitted_loss(STACK, 1e9, 8), rel=1e-12)
    # At one stream, the limit.
    assert implied_correlation(STACK.k, STACK.alpha, 1) == pytest.approx(
        implied_correlation(STACK.k, STACK.alpha, 1 + 1e-5), abs=1e-4
    )


def test_constant_correlation_saturates_and_the_logarithm_does_not():
    law = STACK._replace(alpha=0.189)
    assert correlated_multiplier(law, 1e9, 0.88) == pytest.approx(0.88 ** (-1 / 0.189), rel=1e-6)
    assert pytest.approx(1.97, abs=5e-3) == 0.88 ** (-1 / 0.189)
    worth = stream_worth()
    assert worth.logarithmic[-1] > 3 * worth.constant[-1]
    assert np.all(np.diff(worth.implied) < 0)
    assert stream_worth(correlation=0.0).headline()["its ceiling ρ^(−1/α)"].startswith("none")


def test_variance_of_correlated_means():
    for rho, seed in ((0.0, 1), (0.5, 2), (0.88, 3), (1.0, 4)):
        found = residuals(correlation=rho, seed=seed, draws=50_000)
        assert found.headline()["largest gap to simulation, SE"] < 4
        assert found.variance_theory == pytest.approx((1 + (found.streams - 1) * rho) / found.streams)
    width = found.center[1] - found.center[0]
    # The histogram is of a unit normal law where errors are identical.
    error = np.sqrt(found.mean_theory / (50_000 * width))
    assert np.all(np.abs(found.mean - found.mean_theory) < 5 * error + 1e-3)


def test_latency_at_both_ends_of_the_batch():
    small = cost_map(streams=8, batch=1, context=64)
    large, streams = small.here["latency"]
    # Weights are all there is to read: the larger model takes k ln 8 + 1 times as long.
    assert large / streams == pytest.approx(multiplier(STACK, 8), rel=0.03)
    # Memory added: the order of the published 22, or more, for what is not modeled adds to the streams.
    added = cost_map(streams=8, batch=1, kv_share=1.0).headline()["memory added, larger over streams"]
    assert 5 < added < 200
    bound = cost_map(streams=8, batch=512, context=64, kv_share=1 / 64)
    large, streams = bound.here["latency"]
    # Compute binds: eight times the tokens against k ln 8 + 1 times the parameters.
    assert large / streams == pytest.approx(multiplier(STACK, 8) / 8, rel=0.05)


def test_streams_stop_paying_where_it_says():
    found = cost_map(streams=8)
    stops = found.headline()["batch at which streams stop paying"]
    assert 1 < stops < 512
    column = int(np.argmin(np.abs(found.streams - 8)))
    signs = np.log(found.ratio[:, column])
    crossing = np.flatnonzero((signs[:-1] > 0) & (signs[1:] <= 0))[0]
    assert found.batch[crossing] * 0.9 < stops < found.batch[crossing + 1] * 1.1
    assert found.ratio[:, 0] == pytest.approx(1.0)
    assert "slower at batch 1" in cost_map(streams=64, context=32768, kv_share=1.0).headline()["batch at which streams stop paying"]


def test_loss_curves_start_at_one_predictor():
    curves = loss_curves(correlation=0.5)
    assert (
        curves.fitted_here[0] == curves.constant_here[0] == pytest.approx(curves.law.E + (curves.law.A / 1.6e9) ** curves.law.alpha)
    )
    assert curves.headline()["largest gap to the published runs shown"] < 0.012


def test_fit_recovers_a_law_without_noise():
    fit = stream_fit(noise_sigma=1e-5, n_refits=20)
    assert pytest.approx(STACK.E, abs=2e-3) == fit.law.E
    assert fit.law.k == pytest.approx(STACK.k, abs=1e-3)
    assert fit.law.alpha == pytest.approx(STACK.alpha, abs=1e-3)
    assert pytest.approx(STACK.A, rel=0.01) == fit.law.A


def test_gain_is_within_its_spread_over_studies():
    k = np.array([stream_fit(noise_sigma=3e-3, n_refits=20, seed=s).law.k for s in range(24)])
    assert abs(k.mean() - STACK.k) < 4 * k.std(ddof=1) / np.sqrt(k.size)
    fit = stream_fit(noise_sigma=3e-3, n_refits=200, seed=5)
    low, high = fit.intervals["k"]
    # A bootstrap interval of 80% is 2.56 standard deviations wide; a factor of two for one study of 24 runs.
    assert 0.5 < (high - low) / (2.56 * k.std(ddof=1)) < 2


def test_template_and_bad_tables():
    frame, problems = read_table("runs", TEMPLATE.encode(), RUNS)
    assert not problems and frame.height == 12
    fit = stream_fit(runs=frame, n_refits=20)
    assert fit.truth is None and fit.law.k == pytest.approx(0.39, abs=0.05)
    with pytest.raises(ParameterError, match="do not identify"):
        stream_fit(runs=frame.filter(pl.col("P") == 1))
