"""Shapes against the clock: limits of the time models, the optimum against closed forms and SciPy, planted timings."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from compute.models import scaling_form
from compute.models.transformer_cost import forward_cost, training_cost
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.wall_clock import clock_curves, operations, shape_map, timing_fit
from compute.scaling_laws.wall_clock.machine import TIME_MODELS, WIDTHS, Budget, Machine, Workload, step_seconds
from compute.scaling_laws.wall_clock.timing import TEMPLATE, TIMINGS, fit_proxy

DAY = 86_400.0
LAW = scaling_form.BESIROGLU


def test_loss_falls_with_time_to_what_the_size_allows():
    curves = clock_curves()
    assert np.all(np.diff(curves.loss, axis=1) < 0)
    sizes = forward_cost(12.0, curves.width).parameters.sum(axis=0)
    assert curves.floor == pytest.approx(np.exp(LAW.log_E) + np.exp(LAW.log_A) * sizes**-LAW.alpha, rel=1e-9)
    assert np.all(curves.frontier <= curves.loss.min(axis=0) + 1e-9)
    assert np.all(curves.trusting_flops >= curves.frontier - 1e-9)


def test_roofline_is_flops_when_bytes_are_free_and_traffic_when_compute_is():
    cost = Workload().step(12.0, 768.0)
    free = Machine(3e14, 1e30)
    assert step_seconds(cost, free, "roofline") == pytest.approx(step_seconds(cost, free, "flops"), rel=1e-12)
    instant = Machine(1e40, 2e12, launch=0.0)
    assert step_seconds(cost, instant, "roofline") == pytest.approx(step_seconds(cost, instant, "traffic"), rel=1e-12)
    # The roofline is at least either, and no more than both.
    machine = Machine(3e14, 2e12, launch=0.0)
    flops, traffic, roofline = (step_seconds(cost, machine, name) for name in TIME_MODELS)
    assert max(flops, traffic) <= roofline <= flops + traffic
    twice = Machine(6e14, 4e12, launch=0.0)
    assert step_seconds(cost, twice, "roofline") == pytest.approx(roofline / 2, rel=1e-12)


def test_without_attention_the_best_size_is_chinchillas():
    # 12 layers, no vocabulary, sequences of no length: FLOP = 6 N b, so a day buys C = peak x day.
    budget = Budget(Machine(3e14, 2e12), Workload(sequence=1e-9, vocabulary=0.0))
    width = budget.best_width(12.0, DAY, "flops")
    n_star, tokens = scaling_form.optimum(LAW, 3e14 * DAY)
    assert 12 * 12 * width**2 == pytest.approx(n_star, rel=0.01)
    assert budget.loss(12.0, width, DAY, "flops") == pytest.approx(scaling_form.loss(LAW, n_star, tokens), rel=1e-6)
    # With attention the same width sees fewer tokens.
    assert Budget(Machine(3e14, 2e12), Workload(vocabulary=0.0)).loss(12.0, width, DAY, "flops") > budget.loss(
        12.0, width, DAY, "flops"
    )


@pytest.mark.parametrize("model", TIME_MODELS)
@pytest.mark.parametrize("law", ["chinchilla", "width_depth"])
def test_best_width_is_scipys(model, law):
    budget = Budget(Machine(3e14, 2e12), Workload(), law)
    found = minimize_scalar(
        lambda x: float(budget.loss(24.0, np.exp(x), DAY, model)),
        bounds=np.log(WIDTHS[[0, -1]]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    width = budget.best_width(24.0, DAY, model)
    assert width == pytest.approx(np.exp(found.x), rel=0.01)
    assert budget.loss(24.0, width, DAY, model) == pytest.approx(found.fun, rel=1e-6)


def test_map_knows_its_optima():
    plane = shape_map()
    assert plane.best["traffic"][0] == plane.best["flops"][0] == 1.0  # through N alone, as shallow as allowed
    interior = shape_map(loss_law="width_depth", time_model="roofline")
    assert 4 < interior.best["roofline"][0] < 96
    assert interior.here["its loss"] <= interior.here["loss of your shape"]
    # Traffic asks for wider nets than FLOPs at a machine of 150 FLOP a byte.
    assert np.all(plane.valley["traffic"] > plane.valley["flops"])
    k = int(np.argmin(np.abs(plane.layers - 12)))
    assert plane.layers[k] == 12 and plane.here["best width at your layers"] == pytest.approx(plane.valley["traffic"][k])
    assert plane.here["loss given up by trusting FLOPs"] > 0
    assert shape_map(time_model="flops").here["loss given up by trusting FLOPs"] == 0


def test_operations_add_up_to_the_step():
    result = operations()
    cost = training_cost(forward_cost(12.0, 768.0, tokens=6.5e4))
    assert result.headline()["step by FLOPs, ms"] == pytest.approx(1e3 * cost.flops.sum() / 3e14)
    assert result.headline()["step by roofline, ms"] == pytest.approx(
        1e3 * float(step_seconds(cost, Machine(3e14, 2e12), "roofline"))
    )
    # Softmax computes nothing and moves 2 b h s numbers, three times.
    assert result.flops[2] == 0 and result.bytes[2] == 3 * 12 * 2 * 2 * 6.5e4 * 12 * 1024


def test_timings_of_traffic_return_their_constants():
    for seed in range(4):
        fit = timing_fit(planted_by="traffic", seed=seed).fits["traffic"]
        assert abs(fit.launch - 5e-6) < 3.5 * fit.launch_error
        assert abs(fit.slope - 1 / 2e12) < 3.5 * fit.slope_error
        assert fit.slope_error < 0.05 * fit.slope
    flops = timing_fit(planted_by="flops").fits["flops"]
    assert abs(flops.slope - 1 / 3e14) < 3.5 * flops.slope_error
    # The right proxy is left with the noise alone.
    assert flops.spread == pytest.approx(0.03, rel=0.4)
    assert timing_fit(planted_by="traffic").fits["flops"].spread > 5 * 0.03


def test_standard_errors_are_those_of_repeated_studies():
    fits = [timing_fit(planted_by="traffic", seed=s, n_timings=40, timing_noise=0.1).fits["traffic"] for s in range(60)]
    scores = np.array([(f.slope - 1 / 2e12) / f.slope_error for f in fits])
    # The errors of 60 studies: mean 0 within 4/sqrt(60) (and the bias of noise in the weights), deviation 1 within a third.
    assert abs(scores.mean()) < 1.0 and 0.67 < scores.std(ddof=1) < 1.33


def test_least_squares_is_numpys():
    rng = np.random.default_rng(2)
    launches, work = rng.uniform(50, 500, 30), rng.uniform(1e9, 1e12, 30)
    seconds = (5e-6 * launches + work / 1e12) * np.exp(0.05 * rng.standard_normal(30))
    fit = fit_proxy(launches, work, seconds)
    reference, *_ = np.linalg.lstsq(np.column_stack([launches, work / 1e12]) / seconds[:, None], np.ones(30), rcond=None)
    assert [fit.launch, fit.slope * 1e12] == pytest.approx(reference, rel=1e-6)


def test_template_and_bad_tables():
    frame, problems = read_table("timings", TEMPLATE.encode(), TIMINGS)
    assert not problems and frame.height == 10
    fitted = timing_fit(timings=frame)
    assert fitted.planted is None and fitted.fits["traffic"].r_squared > 0.9
    bare = timing_fit(timings=frame.drop("heads", "ffn"))
    assert bare.fits["traffic"].slope == pytest.approx(fitted.fits["traffic"].slope)
    with pytest.raises(ParameterError, match="one shape"):
        timing_fit(timings=pl.concat([frame.head(1)] * 5))
    with pytest.raises(ParameterError, match="4 or more"):
        timing_fit(timings=frame.head(3))
