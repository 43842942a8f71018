"""Synthetic runs against the law they are drawn from, and uploaded tables with their gaps."""

import numpy as np
import polars as pl
import pytest

from compute.models.scaling_form import BESIROGLU, PLANTED_SHAPE, loss, optimum, shape_loss
from compute.models.scaling_runs import (
    RUN_TEMPLATE,
    RUNS,
    Slips,
    embedding_parameters,
    group_budgets,
    runs_from_table,
    simulate_runs,
)
from compute.parameters import ParameterError, read_table


def draw(truth=BESIROGLU, **change):
    values = {"n_runs": 400, "noise_sigma": 6e-3, "compute_decades": 3.0} | change
    return simulate_runs(truth, np.random.default_rng(0), **values)


def test_runs_follow_the_law_with_its_noise():
    runs = draw()
    z = np.log(runs.loss / loss(BESIROGLU, runs.n_parameters, runs.n_tokens)) / 6e-3
    assert abs(z.mean()) < 4 / 20 and abs(z.std() - 1) < 4 / np.sqrt(800)
    assert runs.compute.max() == pytest.approx(1e21) and runs.compute.min() == pytest.approx(1e18)
    assert np.unique(runs.budget).size == 10
    spread = runs.n_parameters / optimum(BESIROGLU, runs.compute)[0]
    assert spread.min() > 1 / 6.001 and spread.max() < 6.001
    assert runs.width**2 * runs.depth * 12 == pytest.approx(runs.n_parameters)


def test_slips_keep_the_noise_and_change_only_their_own_columns():
    plain, counted = draw(), draw(slips=Slips(count_embeddings=True))
    assert np.array_equal(plain.loss, counted.loss)
    assert counted.n_parameters - plain.n_parameters == pytest.approx(embedding_parameters(plain.n_parameters))
    # At width 512 and aspect 64 a model has 12 x 8 x 512^2 parameters, and 32,000 x 512 more to embed.
    assert embedding_parameters(np.array(12 * 8 * 512.0**2)) == pytest.approx(32_000 * 512)
    middle = draw(slips=Slips(mid_training=True))
    ended = middle.cooled
    assert 0.4 < ended.mean() < 0.6
    assert np.array_equal(middle.loss[ended], plain.loss[ended])
    assert np.all(middle.n_tokens[~ended] < plain.n_tokens[~ended]) and np.all(middle.loss[~ended] > plain.loss[~ended])
    fixed = draw(slips=Slips(fixed_rate=True))
    # The penalty is quadratic around the middle size.
    middle_size = np.exp(np.mean(np.log(plain.n_parameters)))
    excess = np.log(fixed.loss / plain.loss)
    assert excess == pytest.approx(0.01 * (0.25 * np.log(plain.n_parameters / middle_size)) ** 2, abs=1e-12)


def test_outliers_are_as_many_as_asked():
    jump = np.log(draw(outliers=7).loss / draw().loss)
    assert np.sum(jump > 0.04) == 7 and np.sum(np.abs(jump) > 1e-12) == 7


def test_shapes_are_kept_by_their_aspect():
    slim, wide = draw(slips=Slips(shapes="slim")), draw(PLANTED_SHAPE, slips=Slips(shapes="wide"))
    assert np.all(slim.width / slim.depth <= 32) and np.all(wide.width / wide.depth >= 128)
    truth = shape_loss(PLANTED_SHAPE, wide.width, wide.depth, wide.n_tokens)
    assert np.std(np.log(wide.loss / truth)) == pytest.approx(6e-3, rel=0.3)


def test_tokens_come_from_compute_where_they_are_not_given():
    table = pl.DataFrame({"N": [1e8, 1e9, 2e9], "D": [2e9, None, None], "FLOP": [None, 6e19, None], "loss": [3.0, 2.9, 2.8]})
    cleaned, problems = RUNS.clean("runs", table)
    runs = runs_from_table(cleaned)
    assert runs.n_tokens == pytest.approx([2e9, 1e10]) and not runs.is_synthetic
    assert problems == ["Row 3 is left out: it has neither D nor FLOP."]


def test_tables_that_cannot_be_used_are_refused():
    with pytest.raises(ParameterError, match="D or FLOP"):
        RUNS.clean("runs", pl.DataFrame({"N": [1e8], "loss": [3.0]}))
    with pytest.raises(ParameterError, match="width and depth"):
        runs_from_table(pl.DataFrame({"N": [1e8], "D": [1e9], "loss": [3.0]}), Slips(shapes="slim"))


def test_template_is_read_and_bad_rows_are_named():
    table, problems = read_table("runs", RUN_TEMPLATE.encode(), RUNS)
    assert not problems and runs_from_table(table).n == 12
    assert np.array_equal(np.unique(runs_from_table(table).budget), [0, 1, 2])
    broken = RUN_TEMPLATE.replace("3.716", "oops").replace("1.25e8", "-1")
    table, problems = read_table("runs", broken.encode(), RUNS)
    assert table.height == 10
    assert problems[0].startswith("Row 1 ") and problems[1].startswith("Row 3 ")


def test_budgets_are_found_where_runs_cluster():
    compute = np.array([1e18, 1.03e18, 3e19, 2.9e19, 1.02e18, 1e21])
    groups = group_budgets(compute)
    assert np.array_equal(groups, [0, 0, 1, 1, 0, 2])
    # A continuum of compute is no budget.
    assert np.all(group_budgets(np.geomspace(1e18, 1e20, 200)) == -1)
