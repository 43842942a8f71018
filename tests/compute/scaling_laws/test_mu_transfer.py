"""Sweeps against theory's slopes and brute force, tables against each other at the base width, gradients against differences."""

import numpy as np
import pytest

from compute.methods.power_law import fit_log_huber
from compute.models.tiny_network import Adam
from compute.models.width_parametrization import power_law_task
from compute.scaling_laws.mu_transfer import attention_sweep, coordinate_check, exact_sweep, loss_prediction, prediction_basin
from compute.scaling_laws.mu_transfer.attention import loss_of, samples, slope_of
from compute.scaling_laws.mu_transfer.basin import basin_lines
from compute.scaling_laws.mu_transfer.exact import N_INPUTS, losses_at, starts, widths_to
from compute.scaling_laws.mu_transfer.networks import (
    BASE,
    RATES,
    layer_rates,
    movement,
    optimizer_of,
    swept_losses,
    target,
    untrained,
)
from compute.scaling_laws.mu_transfer.prediction import FORM, HUBER, fitted_widths, log_law
from compute.scaling_laws.mu_transfer.sweep import Arm, best_rate


@pytest.mark.parametrize("spectrum_exponent", [1.0, 2.0])
def test_best_rate_falls_as_one_over_width_or_stays(spectrum_exponent):
    found = exact_sweep(largest_width=16384, n_seeds=8, spectrum_exponent=spectrum_exponent)
    assert [arm.name for arm in found.arms] == ["SP", "muP"] and found.arms[0].width[0] == 16
    for arm, slope in zip(found.arms, (-1, 0), strict=True):
        assert arm.slope()[0] == pytest.approx(slope, abs=0.1)
    muP = found.arms[1]
    assert muP.best_mean()[0][-1] == pytest.approx(muP.limit_rate, rel=0.08)  # a step of the grid is 23%


@pytest.mark.parametrize("name", ["SP", "muP"])
def test_recursion_is_gradient_descent(name):
    """Width 300, effective weights trained explicitly: V = z/n, each layer at its rate."""
    n, eta, task = 300, (0.004 if name == "SP" else 0.6), power_law_task(N_INPUTS, 1.5)
    rng = np.random.default_rng(2)
    first, last = rng.standard_normal((n, N_INPUTS)), rng.standard_normal(n) / (np.sqrt(n) if name == "SP" else n)
    of_first, of_last = (eta, eta) if name == "SP" else (eta * n, eta / n)
    z = n * last
    neurons = np.vstack([first.T, z])
    mine = losses_at(name, n, np.array([eta]), (neurons @ neurons.T / n)[None], task, 30)[0, 0]
    for _ in range(30):
        g = task.eigenvalues * (last @ first - task.target)
        first, last = first - of_first * np.outer(last, g), last - of_last * (first @ g)
    assert mine == pytest.approx(float(task.loss(last @ first)), rel=1e-9, abs=1e-12)
    assert starts(name, n, 2, 0).shape == (2, N_INPUTS + 1, N_INPUTS + 1)


def test_vertex_of_a_parabola_is_found_between_rates():
    rate = np.geomspace(0.01, 10, 20)
    assert best_rate(rate, np.exp(0.3 * np.log(rate / 0.37) ** 2)) == pytest.approx(0.37, rel=1e-6)
    assert best_rate(rate, np.where(rate < 1, 1 / rate, np.inf)) == rate[rate < 1][-1]
    falling = Arm("", 0.0, [1, 2], [rate, rate], [np.array([1 / rate, 1 / rate])] * 2)
    assert falling.best(0) == pytest.approx([10, 10]) and falling.slope()[0] == pytest.approx(0)


def test_clean_law_is_recovered_and_extrapolated():
    n = np.array([16.0, 32, 64, 128, 256])
    fit = fit_log_huber(FORM, n[:, None], 3 * n**-0.8 + 0.05, huber_delta=HUBER)
    assert np.exp(fit.log_coefficients) == pytest.approx([3, 0.05], rel=1e-8) and fit.exponents == pytest.approx([0.8], rel=1e-8)


def test_a_loss_that_rises_is_a_constant():
    logs, weights = np.log([1.0, 1.1, 1.3]), np.array([[1.0, 2, 1], [1, 1, 1]])
    found = log_law(np.array([[0.0, -1, -0.2], [0, -1, 0.5]]), weights, logs, np.array([100.0]))
    assert found[0, 0] == pytest.approx((logs[0] + 2 * logs[1] + logs[2]) / 4)
    assert np.exp(found[1, 0]) == pytest.approx(0.1 + np.exp(-1))


def test_maximal_update_predicts_and_the_standard_one_diverges():
    found = loss_prediction(rate_offset=0.2, n_losses=128, largest_width=16384)
    standard, muP = found.of
    assert standard.diverged and standard.truth is None
    assert not muP.diverged and abs(muP.predicted / muP.truth - 1) < 0.03
    assert muP.n_fitted == 5 and muP.width[:5] == fitted_widths(16384, 5)
    # The truth by other seeds, at the same rate.
    task = power_law_task(N_INPUTS, 1.5)
    other = np.log(losses_at("muP", 16384, np.array([muP.rate]), starts("muP", 16384, 128, 77), task, 40)[:, 0])
    error = np.hypot(other.std(ddof=1) / np.sqrt(128), muP.log_error[-1])
    assert abs(other.mean() - np.log(muP.truth)) < 4 * error


def test_basin_map_agrees_with_a_single_prediction():
    found = prediction_basin(steps=20, n_losses=16, n_fitted=4)
    assert found.error.shape == (found.init_scale.size, found.rate_offset.size)
    row, column = 8, 10
    assert found.init_scale[row] == pytest.approx(1)
    one = loss_prediction(steps=20, n_losses=16, n_fitted=4, rate_offset=float(found.rate_offset[column])).of[1]
    assert found.loss[row, column] == pytest.approx(one.loss[3], rel=1e-9)
    # The map fits means, the single prediction each network: least squares of the same optimum.
    assert found.error[row, column] == pytest.approx(abs(one.predicted / one.truth - 1), abs=2e-3)
    assert np.isnan(found.error[-1, -1])
    x, y = basin_lines(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([[1.0, 1.0], [16.0, 16.0]]))
    assert y[np.isfinite(y)] == pytest.approx(np.full(3, np.sqrt(2)), rel=1e-9) and x.size  # one path


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "sign"])
def test_at_the_base_width_both_tables_are_one(optimizer):
    rate = RATES[optimizer][3:6]
    standard, muP = (swept_losses(p, optimizer, "none", BASE, rate, 2, 5, 4) for p in ("SP", "muP"))
    assert (standard == muP).all()
    assert layer_rates("muP", optimizer, 4 * BASE) == ([4.0, 1.0, 0.25] if optimizer == "sgd" else [1.0, 0.25, 0.25])


def test_readout_multiplier_is_the_table():
    """Adam: a readout of the base's start and rate under a multiplier n_0/n trains the same function."""
    n = 4 * BASE
    plain = untrained("muP", n, 1, False, np.random.default_rng(0))
    scaled = untrained("muP", n, 1, False, np.random.default_rng(0))
    scaled.weights[2] *= n / BASE
    mine = optimizer_of("adam", plain, layer_rates("muP", "adam", n), np.array([0.01]))
    other = Adam(scaled.weights, [0.01, 0.01 * BASE / n, 0.01])
    rng = np.random.default_rng(1)
    for _ in range(5):
        x = rng.standard_normal((8, 32))
        mine.step(plain.gradient(x, target(x))[1])
        scaled.weights[2] *= BASE / n
        gradient = scaled.gradient(x, target(x))[1]
        scaled.weights[2] *= n / BASE
        other.step([*gradient[:2], gradient[2] * BASE / n])
    assert scaled.weights[2] * BASE / n == pytest.approx(plain.weights[2], rel=1e-4, abs=1e-7)  # Adam's epsilon apart
    assert scaled.weights[1] == pytest.approx(plain.weights[1], rel=1e-4, abs=1e-7)


def test_target_has_unit_variance():
    x = np.random.default_rng(0).standard_normal((8, 200_000))
    values = target(x)[0] ** 2
    assert abs(values.mean() - 1) < 4 * values.std() / np.sqrt(values.size)


def test_coordinates_move_alike_under_maximal_update_only():
    widths = np.array([64, 128, 256, 512])
    for rate in (3e-3, 5e-4):
        slopes = {}
        for name in ("SP", "muP"):
            moved = np.array([np.mean([movement(name, "adam", int(n), rate, s)[:3] for s in (0, 1)], axis=(0, 2)) for n in widths])
            slopes[name] = np.polyfit(np.log(widths), np.log(moved), 1)[0]
        assert np.abs(slopes["muP"]).max() < 0.1
        assert slopes["SP"].min() > 0.2 and slopes["SP"][0] > 0.6
    small = coordinate_check(check_rate=5e-4, network_width=128)
    assert small.slope(0, 0)[0] > 0.6 and small.table().height == 2 * 3 * 5


def test_attention_gradient_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    batch, matrix, step = samples(20, rng), rng.standard_normal((2, 8, 8)), 1e-6
    gradient = slope_of(matrix, *batch)
    for place in ((0, 1, 2), (1, 7, 0), (0, 4, 4)):
        moved = matrix.copy()
        moved[place] += step
        up = loss_of(moved, *batch)[place[0]]
        moved[place] -= 2 * step
        down = loss_of(moved, *batch)[place[0]]
        assert gradient[place] == pytest.approx((up - down) / (2 * step), abs=1e-7)
    assert loss_of(np.zeros((1, 8, 8)), *batch) == pytest.approx([np.log(8)])


def test_attention_over_the_root_of_the_width_drifts():
    root, whole = attention_sweep(head_width=512, steps=20, n_heads=3).arms
    assert root.slope()[0] == pytest.approx(-0.5, abs=0.12)
    assert abs(whole.slope()[0]) < 0.2 and whole.slope()[0] > root.slope()[0] + 0.25
    # At the base width both scale alike.
    assert root.loss[0] == pytest.approx(whole.loss[0], rel=1e-9)


def test_ladders():
    assert widths_to(4096) == [16, 64, 256, 1024, 4096] and widths_to(256) == [16, 64, 256]
