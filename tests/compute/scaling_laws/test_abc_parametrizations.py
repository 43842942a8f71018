"""Measured exponents and regimes against the theorems; distributions and gaps against draws of the test's own."""

import numpy as np
import pytest

from compute.models.width_parametrization import FEATURES, KERNEL, TRIVIAL, UNSTABLE, Exponents, named
from compute.parameters import ParameterError
from compute.scaling_laws.abc_parametrizations import loss_curves, neuron_cloud, neuron_movement, regime_map, width_scaling
from compute.scaling_laws.abc_parametrizations.networks import layer_rates, measure, samples, untrained
from compute.scaling_laws.abc_parametrizations.regimes import GROWS, SHRINKS, STABLE
from compute.scaling_laws.abc_parametrizations.setting import TASK, ladder, slope

POINTS = {"muP": (1.0, 0.0, 1.0), "NTP": (0.5, 1.0, 1.0), "between": (0.75, 0.5, 1.0), "SP, c = 1": (0.5, 2.0, 1.0)}


@pytest.mark.parametrize("point", POINTS)
def test_features_of_tanh_networks_move_as_told(point):
    w, h, o = POINTS[point]
    result = width_scaling(output_init=w, hidden_rate=h, output_rate=o, largest_width=2048, n_networks=6, steps=10)
    for k in range(3):
        found, error = slope(np.array(result.width), result.values(k))
        assert found == pytest.approx(result.theory[k], abs=0.15) and error < 0.08


@pytest.mark.parametrize("point", ["muP", "NTP"])
def test_with_two_hidden_layers_too(point):
    w, h, o = POINTS[point]
    result = width_scaling(output_init=w, hidden_rate=h, output_rate=o, depth=2, largest_width=512, n_networks=4, steps=5)
    assert slope(np.array(result.width), result.values(0))[0] == pytest.approx(result.theory[0], abs=0.15)


def test_standard_with_two_hidden_layers_moves_as_the_table_says():
    """Its layers have rates of their own, unlike those of the view: r = 1/2 comes from the second."""
    e = named("SP, c = 1", 2).exponents
    x, y = samples(0)
    widths, moved = ladder(512), []
    for n in widths:
        net = untrained(e, n, 4, np.random.default_rng(n))
        moved.append(measure(net, layer_rates(e, n, 0.5), x, y, 5)[0])
    assert slope(np.array(widths), np.array(moved))[0] == pytest.approx(-0.5, abs=0.15)


def test_map_agrees_with_the_theorems_away_from_their_lines():
    expected = {UNSTABLE: GROWS, TRIVIAL: SHRINKS, KERNEL: STABLE, FEATURES: STABLE}
    for o in (0.9, 1.0, 1.5):
        found = regime_map(output_rate=o, map_width=10**8)
        seen = set()
        for j, h in enumerate(found.hidden_rate):
            for i, w in enumerate(found.output_init):
                near = {Exponents(w + a, (h + b,), o).regime for a in (-0.1, 0, 0.1) for b in (-0.15, 0, 0.15)}
                if len(near) > 1:
                    continue
                regime = near.pop()
                seen.add(regime)
                assert found.state[j, i] == expected[regime], (w, h, o)
                # Where w is near o, two powers of n of one size compete.
                if regime != UNSTABLE and abs(w - o) > 0.15:
                    assert found.measured[j, i] == pytest.approx(Exponents(w, (h,), o).feature, abs=0.03)
        assert seen == ({UNSTABLE} if o < 1 else {UNSTABLE, KERNEL} if o == 1 else {UNSTABLE, TRIVIAL})


def test_features_are_learned_on_the_line_alone():
    found = regime_map(map_width=10**8)
    row = int(np.argmin(np.abs(found.hidden_rate)))
    right = found.output_init > 1.2
    assert found.hidden_rate[row] == pytest.approx(0)
    assert np.abs(found.measured[row, right]).max() < 0.02
    assert found.measured[row + 3, right].min() > 0.1


def test_movement_of_neurons_in_the_limit_and_at_finite_width():
    found = neuron_movement(largest_width=2048, steps=12)
    middle = found.quantile[:, 49]
    assert middle[-1] == pytest.approx(found.limit[49], rel=0.06)  # 4,096 neurons and the networks' own spread
    kernel = neuron_movement(output_init=0.75, hidden_rate=0.5, largest_width=2048, steps=12)
    assert slope(np.array(kernel.width), kernel.quantile[:, 49:50])[0] == pytest.approx(-0.25, abs=0.05)
    assert kernel.limit is None
    with pytest.raises(ParameterError, match="diverges"):
        neuron_movement(output_rate=0.0)


def test_cloud_holds_the_function():
    """Its correlation is the output: a network of all its neurons shown, 1 hidden layer."""
    found = neuron_cloud(largest_width=256, steps=15)
    assert found.along.shape == (2, 16, 256)
    # The target is equal weights on all inputs, so f along it is the mean of along times readout.
    f = np.mean(found.along[1] * found.readout[1], axis=1)
    t = np.sqrt(TASK.target @ TASK.target)
    assert abs(f[-1] - t) < 0.15 * t and abs(f[0]) < 0.3 * t
    assert found.loss[1, 0] == pytest.approx(1, abs=0.3) and found.loss[1, -1] < 0.05


def test_loss_curves_close_in_on_the_limit():
    found = loss_curves(largest_width=2048, n_seeds=40)
    assert found.gap_slope[0] == pytest.approx(-0.5, abs=0.12)
    # The mean is off by order 1/n.
    assert (np.abs(found.mean[-1] - found.limit) < 4 * found.standard_error[-1] + 5 / 2048).all()
    diverged = loss_curves(output_init=0.5, hidden_rate=1.0, output_rate=0.0)
    assert diverged.limit is None and diverged.table().height > 0
