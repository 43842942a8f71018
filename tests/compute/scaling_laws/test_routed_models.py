"""The routed-models lab against the paper's numbers, identities of its law, SciPy and planted constants."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq, least_squares

from compute.parameters import ParameterError, read_table
from compute.scaling_laws.routed_models import collapse, law, loss_curves, refit, routers, worth_map
from compute.scaling_laws.routed_models.fitting import RUNS, STARTS, fit_laws, synthetic_runs
from compute.scaling_laws.routed_models.law import PUBLISHED, QUOTED_CUTOFF, RoutedLaw


@pytest.mark.parametrize("name", PUBLISHED)
def test_saturation_and_worth_are_identities(name):
    one = PUBLISHED[name]
    assert law.saturated(one, 1) == pytest.approx(one.start)
    assert law.saturated(one, 1e12) == pytest.approx(one.top, rel=1e-6)
    size = np.geomspace(1e6, 1e12, 7)
    assert law.effective_parameters(one, size, 1) == pytest.approx(size)
    for experts in (2, 64, 2048):
        equivalent = law.effective_parameters(one, size, experts)
        assert law.loss(one, equivalent, 1) == pytest.approx(law.loss(one, size, experts), rel=1e-10)
    # The same size found by a root search on the dense law alone.
    target = float(law.loss(one, 1e8, 64))
    found = brentq(lambda t: float(law.loss(one, np.exp(t), 1)) - target, np.log(1e6), np.log(1e12))
    assert law.effective_parameters(one, 1e8, 64) == pytest.approx(np.exp(found), rel=1e-9)


def test_published_example():
    one = PUBLISHED["s_base"]
    assert law.loss(one, 5e6, np.array([1, 128])) == pytest.approx([3.4831, 2.8915], abs=1e-4)
    assert law.effective_parameters(one, 5e6, 128) == pytest.approx(55e6, rel=0.07)  # the paper, from unrounded constants
    assert law.cost_ratio(PUBLISHED["rl_r"], 1e12, 512) == pytest.approx(0.333, abs=1e-3)


def test_rounding_explains_the_quoted_cutoffs():
    for name, quoted in QUOTED_CUTOFF.items():
        one = PUBLISHED[name]
        low, high = law.cutoff_within_rounding(one)
        assert low <= quoted <= high and low <= law.cutoff(one) <= high
        assert abs(-one.b / np.log10(quoted) - one.c) < law.ROUNDING
    assert np.isnan(law.cutoff(PUBLISHED["hash"]._replace(c=0.0)))


def test_at_the_cutoff_experts_change_nothing():
    one = PUBLISHED["hash"]
    there = float(law.cutoff(one))
    assert np.ptp(law.loss(one, there, np.array([1, 8, 512]))) < 1e-12
    below, above = (law.loss(one, there * f, np.array([1.0, 512.0])) for f in (0.1, 10))
    assert below[1] < below[0] and above[1] > above[0]


def test_variable_projection_agrees_with_all_six_parameters():
    for name, n in (("s_base", 60), ("hash", 70)):
        size, number, loss = synthetic_runs(PUBLISHED[name], n, 4e-3, np.random.default_rng(3))
        found = RoutedLaw(*(float(np.asarray(v)[0]) for v in fit_laws(size, number, loss, np.ones((1, n)), STARTS)))

        def residual(p, size=size, number=number, loss=loss):
            return law.log_loss(RoutedLaw(*p[:4], *np.exp(p[4:])), size, number) - np.log10(loss)

        truth = PUBLISHED[name]
        start = [*truth[:4], *np.log(truth[4:])]
        known = least_squares(residual, start, x_scale=[0.01, 0.01, 1e-3, 0.1, 0.5, 0.5], xtol=1e-15, ftol=1e-15, gtol=1e-15)
        mine = residual([*found[:4], *np.log(found[4:])])
        assert np.sum(mine**2) <= 2 * known.cost * (1 + 1e-6)
        assert found[:4] == pytest.approx(known.x[:4], rel=5e-3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_noise_free_grid_recovers_all_six(name):
    size, number, loss = synthetic_runs(PUBLISHED[name], 70, 0.0, np.random.default_rng(0))
    found = fit_laws(size, number, loss, np.ones((1, 70)), STARTS)
    assert np.ravel(found) == pytest.approx(np.array(PUBLISHED[name]), rel=1e-5)


def test_bootstrap_covers_and_few_runs_lose_the_cutoff():
    hits, z = [], []
    for seed in range(36):
        result = refit(seed=seed, n_bootstrap=100)
        one = result.routers[0]
        hits.append(one.worth[1] <= result.reference_worth <= one.worth[2])
        z.append((one.constants[2] - result.reference[2]) / one.error[2])
    # A percentile bootstrap of 48 rows and 6 constants is a little too narrow: 80% is asked, and at least 65% demanded.
    assert 0.65 - 4 * np.sqrt(0.16 / 36) < np.mean(hits) < 0.8 + 4 * np.sqrt(0.16 / 36)
    assert 0.7 < np.std(z) < 1.6
    widths = []
    for n in (12, 48, 140):
        low, high = refit(grid_size=n, n_bootstrap=200).routers[0].cutoff_interval
        widths.append(np.log10(high / low))
    assert widths[0] > widths[1] > widths[2]


def test_collapse_leaves_only_the_noise():
    result = collapse(synthetic_noise=0.01)
    degrees = result.loss.size
    noise = 0.01 / np.log(10)
    assert result.spread[1] == pytest.approx(noise, abs=4 * noise / np.sqrt(2 * degrees))
    assert result.spread[0] > 5 * result.spread[1]


def test_views_agree_with_the_law():
    assert worth_map(dense_size=5e6, experts=128).headline()["effective parameters"] == pytest.approx(5.18e7, rel=2e-3)
    curves = loss_curves(dense_size=1e9)
    assert np.all(np.diff(curves.against_experts, axis=1) < 0)
    assert np.all(curves.unsaturated <= curves.against_experts[-1] + 1e-12)
    three = routers(dense_size=1e9, experts=512).headline()
    assert three["S-BASE: worth over its size"] > three["HASH: worth over its size"] > three["RL-R: worth over its size"]
    assert "custom" in routers(router="custom", custom_c=0.0).against_size


def test_uploads():
    table, problems = read_table("runs", RUNS.template.encode(), RUNS)
    assert table.height == 96 and not problems
    result = refit(runs=table, n_bootstrap=50)
    assert [one.name for one in result.routers] == ["s_base", "hash"]
    for one in result.routers:
        assert one.constants[0] == pytest.approx(PUBLISHED[one.name].a, rel=0.1)
        assert one.residual < 5e-3
    alone = refit(runs=table.filter(pl.col("router") == "hash").drop("router"), n_bootstrap=50)
    assert alone.routers[0].constants == pytest.approx(result.routers[1].constants)
    with pytest.raises(ParameterError, match="too few"):
        refit(runs=table.head(5))
    with pytest.raises(ParameterError, match="too few"):
        refit(runs=table.filter(pl.col("E") <= 4))
