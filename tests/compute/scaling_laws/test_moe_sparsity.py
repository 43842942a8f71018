"""The mixture-of-experts lab: constraints, prices, worth in dense compute, and refits of planted laws."""

import numpy as np
import polars as pl
import pytest

from compute.models import sparsity_law as sl
from compute.models.sparsity_law import ABNAR
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.moe_sparsity import constraints, frontier, loss_map, multiplier_map, refit
from compute.scaling_laws.moe_sparsity.fitting import RUN_COLUMNS, RUNS, fit, runs_from_table, simulate


def test_map_agrees_with_its_own_optimum():
    plane = loss_map(compute=1e22, memory_cap=1e11)
    allowed = (plane.size[None, :] <= 1e11) & (plane.share[:, None] >= 0.02)
    assert plane.best[2] <= np.nanmin(np.where(allowed, plane.loss, np.nan)) + 1e-12
    assert plane.best[2] == pytest.approx(np.nanmin(np.where(allowed, plane.loss, np.nan)), abs=2e-3)
    # Along the drawn line the loss is the best dense model's.
    n, x = plane.like_dense
    sound = np.isfinite(n)
    level = sl.loss(ABNAR, n[sound], 1e22 / (6 * n[sound] * x[sound]), x[sound])
    assert level == pytest.approx(plane.dense[1], abs=2e-3)


def test_the_constraint_decides():
    small = constraints(total_parameters=1e9)
    assert small.headline()["S* at fixed N and D"] == 0.0  # dense wins at fixed data
    assert small.headline()["S* at fixed N and C"] > 0.3  # and does not at fixed compute
    assert small.dense_below == pytest.approx(5.84e9, rel=1e-3)
    other = constraints(total_parameters=1e9, tokens=1e13)
    assert np.array_equal(small.at_fixed_tokens, other.at_fixed_tokens)  # D does not matter


def test_dots_of_the_grid_search_lie_on_the_lines():
    curve = frontier()
    theory = np.exp(np.interp(np.log(curve.searched), np.log(curve.compute), np.log(curve.size)))
    assert np.abs(np.log(curve.found_size / theory)).max() < np.log(3e10 / 1e6) / 89
    assert curve.headline()["what binds"] == "cap"
    assert np.all(curve.dense_loss >= curve.loss) and np.all(curve.loss >= curve.free_loss - 1e-12)
    assert np.all(curve.dense_loss >= curve.free_dense_loss - 1e-12)


def test_prices_move_the_optimum_the_right_way():
    plain, served = frontier(memory_cap=1e12), frontier(memory_cap=1e12, served_tokens=1e13)
    assert np.all(served.size <= plain.size * (1 + 1e-9))
    shares = [loss_map(compute=1e22, memory_cap=1e13, smallest_share=1e-3, memory_price=m).best[1] for m in (1e3, 1e10, 1e11)]
    assert shares[0] == pytest.approx(1e-3) and shares[0] < shares[1] < shares[2]


def test_multiplier_of_dense_models_is_at_most_one():
    plane = multiplier_map(active_share=1.0)
    assert np.nanmax(plane.multiplier) <= 1 + 1e-4
    assert plane.best == pytest.approx(1, abs=1e-4)
    sparse = multiplier_map(active_share=0.02, sparsity_coefficient=0.7)
    assert np.isnan(sparse.multiplier).any()  # losses that no dense model reaches
    law = ABNAR._replace(c=0.7)
    reached = sl.loss(law, sparse.size[None, :], sparse.tokens[:, None], 0.02) > law.c + law.e
    assert np.array_equal(np.isfinite(sparse.multiplier), reached)


def test_noise_free_refit_recovers_predictions():
    """Coefficients are nearly collinear; predictions are not."""
    rng = np.random.default_rng(0)
    variables, loss = simulate(ABNAR, 200, 0.0, 2.0, rng)
    start = type(ABNAR)(*(v * s for v, s in zip(ABNAR, rng.uniform(0.8, 1.2, 10), strict=True)))
    found = sl.law_from_parameters(fit(variables, loss, start=start).parameters)
    fresh = np.column_stack([10 ** rng.uniform(8.5, 11, 50), 10 ** rng.uniform(9.5, 11.5, 50), rng.uniform(0.02, 1, 50)])
    assert sl.loss(found, *variables.T) == pytest.approx(loss, rel=1e-6)
    assert sl.loss(found, *fresh.T) == pytest.approx(sl.loss(ABNAR, *fresh.T), rel=1e-4)


def test_bootstrap_intervals_cover():
    """At fixed compute the 80% interval of x* holds the truth in about 80% of studies."""
    truth = sl.best_share(ABNAR, 1e10, 1e21, smallest_share=0.02)[0]
    hits = []
    for seed in range(25):
        text = refit(seed=seed, n_bootstrap=40, n_runs=80)
        _, low, high = text.at["fixed compute"]
        hits.append(low <= truth <= high)
    assert abs(np.mean(hits) - 0.8) < 4 * np.sqrt(0.16 / 25)


def test_noise_widens_the_band():
    quiet, loud = (refit(noise_sigma=s, n_bootstrap=60) for s in (5e-4, 5e-3))
    width = [np.log(r.at["fixed tokens"][2] / r.at["fixed tokens"][1]) for r in (quiet, loud)]
    assert width[1] > 3 * width[0]


def test_uploads():
    table, problems = read_table("runs", RUNS.template.encode(), RUNS)
    assert table.height == 36 and not problems
    result = refit(runs=table, n_bootstrap=20)
    assert result.headline()["residual of log loss, rms"] < 3e-3
    by_share = runs_from_table(table)[0]
    active = table.with_columns(N_active=pl.col("N") * (1 - pl.col("S"))).drop("S")
    assert runs_from_table(active)[0] == pytest.approx(by_share)
    with pytest.raises(ParameterError, match="30 rows"):
        refit(runs=table.head(20))
    with pytest.raises(ParameterError, match="three sparsities"):
        refit(runs=table.with_columns(S=pl.lit(0.5)))
    with pytest.raises(ParameterError, match="above N"):
        refit(runs=active.with_columns(N_active=2 * pl.col("N")))
    assert {c.name for c in RUN_COLUMNS} == {"N", "D", "N_active", "S", "loss"}
