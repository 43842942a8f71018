"""The Chinchilla lab against published constants, its own Monte Carlo over studies, and known truths."""

import numpy as np
import polars as pl
import pytest
from scipy.spatial import ConvexHull

from compute.methods.bootstrap import bootstrap, interval, standard_error
from compute.methods.compute_optimal import Study, hull_vertices, isoflop_vertices
from compute.models import scaling_form as sf
from compute.models.scaling_runs import RUN_TEMPLATE, RUNS, simulate_runs
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.chinchilla import (
    PUBLISHED_RUNS,
    PUBLISHED_WIDTH,
    exponent_cloud,
    frontier,
    isoflop_curves,
    loss_map,
)
from compute.scaling_laws.chinchilla.choices import analysis_choices
from compute.scaling_laws.chinchilla.shapes import shape_map
from compute.scaling_laws.chinchilla.trajectory import trajectories

TRUE_EXPONENT = 0.3658 / (0.3478 + 0.3658)


def exponents(n_runs, n_studies, decades=3.0, refits=0):
    """Fitted exponent of each study, and where asked its bootstrap error and whether its 80% interval holds the truth."""
    found, errors, covered = [], [], []
    for s in range(n_studies):
        rng = np.random.default_rng([11, s])
        study = Study(simulate_runs(sf.BESIROGLU, rng, n_runs=n_runs, noise_sigma=6e-3, compute_decades=decades))
        estimate = study.fit()
        found.append(study.exponent(estimate.parameters, 1e21)[0])
        if refits:
            *_, (_, sample) = bootstrap(estimate.refit, n_runs, refits, rng)
            a = study.exponent(sample, 1e21)
            low, high = interval(a, 0.8)
            errors.append(standard_error(a))
            covered.append(low <= TRUE_EXPONENT <= high)
    return np.array(found), np.array(errors), np.array(covered)


def test_spread_over_studies_halves_with_four_times_the_runs():
    spread = {n: exponents(n, 200)[0].std(ddof=1) for n in (60, 240, 960)}
    for n, known in ((60, 0.0108), (240, 0.0050), (960, 0.0024)):
        assert spread[n] == pytest.approx(known, rel=0.2)  # 4 standard errors of a deviation over 200 studies
    assert spread[60] / spread[240] == pytest.approx(2, rel=0.25)
    assert spread[240] / spread[960] == pytest.approx(2, rel=0.25)


def test_bootstrap_knows_the_spread_and_its_intervals_cover():
    found, errors, covered = exponents(240, 200, refits=60)
    assert abs(found.mean() - TRUE_EXPONENT) < 4 * found.std() / np.sqrt(200)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(found.std(ddof=1), rel=0.25)
    assert abs(covered.mean() - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 200)


def test_one_decade_of_compute_has_the_error_of_the_replication():
    found, _, _ = exponents(240, 100, decades=1.0)
    assert found.std(ddof=1) == pytest.approx(0.020, rel=0.25)


def test_runs_for_the_published_interval():
    assert pytest.approx(632_740, rel=0.01) == PUBLISHED_RUNS * (PUBLISHED_WIDTH / 1e-3) ** 2
    summary = exponent_cloud(n_bootstrap=20).summary
    assert summary.headline()["runs for a width of 0.001"] == pytest.approx(240 * (summary.exponent_width / 1e-3) ** 2)


def test_resamples_of_fewer_rows_widen_as_the_root():
    cloud = exponent_cloud(n_bootstrap=400, noise_sigma=3e-3)
    width = dict(zip(cloud.n_drawn, cloud.width, strict=True))
    assert width[120] / width[240] == pytest.approx(np.sqrt(2), rel=0.25)


def test_rounding_alone_moves_the_published_answer():
    curve = frontier(truth="hoffmann_unrounded")
    at = {name: np.interp(np.log(5.76e23), np.log(curve.compute), np.log(v)) for name, v in curve.published.items()}
    assert np.exp(at["hoffmann_rounded"]) == pytest.approx(92.6, rel=2e-3)
    assert np.exp(at["hoffmann_unrounded"]) == pytest.approx(58.9, rel=2e-3)
    # The fit to runs of the unrounded law knows which of the two it came from.
    assert curve.summary.ratio_low < 58.9 < curve.summary.ratio_high < 92.6


def test_early_stop_is_confident_and_wrong():
    early = frontier(fit_method="mean_loss_default_tolerance").summary
    sound = frontier().summary
    assert early.stop.startswith("reports success")
    assert abs(early.exponent - early.true_exponent) > 20 * early.exponent_error
    assert early.exponent_error < sound.exponent_error / 2
    assert abs(sound.exponent - sound.true_exponent) < 4 * sound.exponent_error


@pytest.mark.parametrize("form", ["chinchilla", "no_offset", "equal_exponents", "kaplan", "width_depth"])
def test_every_form_finds_its_own_truth_without_noise(form):
    # A law that has the form: the frontier of the fit is the frontier of the truth.
    truths = {
        "chinchilla": sf.BESIROGLU,
        "no_offset": sf.law(0.0, 400, 2000, 0.15, 0.2),
        "equal_exponents": sf.law(1.8, 480, 900, 0.35, 0.35),
        "kaplan": sf.KAPLAN,
        "width_depth": sf.PLANTED_SHAPE,
    }
    runs = simulate_runs(truths[form], np.random.default_rng(0), n_runs=240, noise_sigma=1e-12, compute_decades=3)
    study = Study(runs, form)
    compute = np.array([1e20, 1e24])
    n_star, level = study.frontier(study.fit().parameters, compute)
    if form == "width_depth":
        width, depth = sf.shape_optimum(sf.PLANTED_SHAPE, compute)
        truth = sf.shape_parameters(width, depth)
        least = sf.shape_loss(sf.PLANTED_SHAPE, width, depth, compute / 6 / truth)
    else:
        truth, tokens = sf.optimum(truths[form], compute)
        least = sf.loss(truths[form], truth, tokens)
    assert n_star[0] == pytest.approx(truth, rel=1e-3)
    assert level[0] == pytest.approx(least, rel=1e-5)


def test_parabola_and_hull_on_runs_that_have_them_exactly():
    # Log loss an exact parabola in log N at each budget: the vertices are returned.
    compute = np.repeat([1e19, 1e20, 1e21], 9)
    best = 1e8 * (compute / 1e19) ** 0.5
    n = best * np.tile(np.geomspace(0.2, 5, 9), 3)
    level = 1.7 + 1.3 * (compute / 1e19) ** -0.1  # strictly convex in the logs, so that every budget is on the hull
    y = np.exp(np.log(level) + 0.02 * np.log(n / best) ** 2)
    runs = simulate_runs(sf.BESIROGLU, np.random.default_rng(0), n_runs=27, noise_sigma=0.0, compute_decades=1)
    runs = type(runs)(n, compute / 6 / n, y, np.repeat([0, 1, 2], 9))
    ((_, log_n, found),) = isoflop_vertices(runs, np.ones((1, 27)))
    assert np.exp(log_n) == pytest.approx(best[::9], rel=1e-8)
    assert found == pytest.approx(level[::9], rel=1e-8)
    study = Study(runs, method="isoflop")
    assert study.exponent(study.fit().parameters, 1e21)[0] == pytest.approx(0.5, abs=1e-8)
    ((_, log_n, _),) = hull_vertices(runs, np.ones((1, 27)))
    assert np.exp(log_n) == pytest.approx(best[::9], rel=1e-12)  # the middle size of nine is the best


def test_hull_is_that_of_qhull():
    noisy = simulate_runs(sf.BESIROGLU, np.random.default_rng(1), n_runs=200, noise_sigma=0.02, compute_decades=3)
    points = np.column_stack([np.log(noisy.compute), np.log(noisy.loss)])
    # Within a budget computes differ by rounding only; qhull merges such points, so each budget's best is given.
    keep = np.array([k for b in range(10) for k in [np.flatnonzero(noisy.budget == b)[np.argmin(noisy.loss[noisy.budget == b])]]])
    hull = ConvexHull(points[keep])
    lower = {int(keep[v]) for simplex, eq in zip(hull.simplices, hull.equations, strict=True) if eq[1] < 0 for v in simplex}
    ((_, log_n, _),) = hull_vertices(noisy, np.ones((1, 200)))
    assert {int(np.argmin(np.abs(np.log(noisy.n_parameters) - v))) for v in log_n} == lower


def test_isoflop_and_hull_come_near_the_truth():
    for method, factor in (("isoflop", 1.5), ("hull", 4)):
        summary = frontier(fit_method=method, noise_sigma=1e-3, n_runs=1000).summary
        assert 1 / factor < summary.ratio / summary.true_ratio < factor


def test_choices_with_the_truth_on_screen():
    result = analysis_choices()
    row = dict(zip(result.label, result.ratio, strict=True))
    assert result.truth == pytest.approx(18.39, rel=1e-3)
    assert result.reference_low < result.truth < result.reference_high
    # The best of a grid of starts is where the fit already stands; other choices are confident mistakes.
    assert row["best of a grid of starts"] == pytest.approx(result.reference, rel=1e-3)
    assert row["embeddings counted"] > result.reference_high
    assert row["without irreducible loss"] > 100 * result.truth
    assert row["mean loss, default tolerance"] > 2 * result.truth
    assert row["isoFLOP parabolas"] == pytest.approx(result.truth, rel=0.3)
    same = frontier(count_embeddings=True, n_bootstrap=20).summary.ratio
    assert row["embeddings counted"] == pytest.approx(same, rel=1e-9)


def test_uploaded_runs_are_read_as_the_same_runs_drawn():
    setting = {"truth": "besiroglu", "noise_sigma": 6e-3, "seed": 3}
    drawn = frontier(**setting)
    runs = simulate_runs(sf.BESIROGLU, np.random.default_rng([3, 1]), n_runs=240, noise_sigma=6e-3, compute_decades=3.0)
    table = pl.DataFrame({"N": runs.n_parameters, "FLOP": runs.compute, "loss": runs.loss})
    mine = frontier(runs=table, **setting)
    assert mine.fit == pytest.approx(drawn.fit, rel=1e-6)
    assert mine.truth is None and "truth" not in mine.table().columns
    assert mine.headline()["truth"] == "not known: these are your runs"
    # Budgets are found from the compute: the isoFLOP reading is the same too.
    assert frontier(runs=table, fit_method="isoflop", **setting).fit == pytest.approx(
        frontier(fit_method="isoflop", **setting).fit, rel=1e-6
    )


def test_template_fits_in_every_view():
    table, _ = read_table("runs", RUN_TEMPLATE.encode(), RUNS)
    for view in (loss_map, frontier, exponent_cloud, analysis_choices, isoflop_curves):
        result = view(runs=table)
        assert result.table().height > 0
    assert frontier(runs=table).summary.exponent == pytest.approx(0.5, abs=0.2)


def test_what_runs_cannot_answer_is_said():
    table = pl.DataFrame({"N": [1e8, 2e8, 4e8] * 4, "D": np.geomspace(1e9, 9e9, 12), "loss": np.linspace(3.5, 3.0, 12)})
    with pytest.raises(ParameterError, match="width and the depth"):
        frontier(runs=table, fit_form="width_depth")
    with pytest.raises(ParameterError, match="6 or more"):
        frontier(runs=table[:5])
    with pytest.raises(ParameterError, match="columns width and depth"):
        shape_map(runs=table)
    with pytest.raises(ParameterError, match="D or FLOP"):
        loss_map(runs=table.drop("D"))


def test_long_bootstraps_stream_and_stay_within_their_minute():
    steps = list(frontier.stream(n_bootstrap=400))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert len(steps) == 8 and steps[-1][0] == 1.0
    assert steps[0][1].fit == pytest.approx(steps[-1][1].fit)
    assert frontier.seconds({"n_bootstrap": 4000}) < 60
    assert exponent_cloud.seconds({"n_bootstrap": 4000, "n_runs": 240}) < 60


def test_shapes_find_the_planted_optimum_and_disagree_about_tokens():
    exact = shape_map(noise_sigma=1e-4, n_runs=2000, n_bootstrap=20)
    assert np.array(exact.fit_shape) == pytest.approx(np.array(exact.true_shape), rel=0.05)
    # With hardly any noise the subsets of one suite still prescribe allocations apart, beyond their own bands.
    assert exact.low["slim"][0] > 5 * exact.high["wide"][0]
    kept = shape_map(shapes="slim").kept
    assert 0.2 < kept.mean() < 0.5  # a third of log aspects from 8 to 512 lies below 32


def test_trajectories_are_predicted_within_their_band():
    result = trajectories(n_bootstrap=100, seed=5)
    inside = (result.low <= result.truth[-1]) & (result.truth[-1] <= result.high)
    spread = (np.log(result.high) - np.log(result.low)) / 2.563  # an 80% interval in standard deviations
    assert np.all(np.abs(np.log(result.predicted[-1] / result.truth[-1])) < 4 * spread)
    assert inside.mean() > 0.3
    exact = trajectories(noise_sigma=1e-4)
    assert np.max(np.abs(exact.predicted / exact.truth - 1)) < 2e-3
