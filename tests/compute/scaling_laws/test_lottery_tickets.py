"""The mechanism against splines of SciPy and its own draws; trained networks against bounds and central differences."""

import numpy as np
import pytest
from scipy.interpolate import make_lsq_spline

from compute.scaling_laws.lottery_tickets import (
    exponent_map,
    mechanism_curve,
    seen_tickets,
    trained_ladder,
    training_lengths,
)
from compute.scaling_laws.lottery_tickets.mechanism import (
    SPLINE,
    averaged_tickets,
    crossover,
    local_exponent,
    mechanism_error,
    nodes,
    spline_error,
)
from compute.scaling_laws.lottery_tickets.training import errors, network, train, widths_to


@pytest.mark.parametrize("n_pieces", [2, 5, 16])
def test_best_spline_is_that_of_least_squares(n_pieces):
    x = np.linspace(-1, 1, 20_001)
    knots = np.linspace(-1, 1, n_pieces + 1)
    fitted = make_lsq_spline(x, x**2, np.r_[-1, knots, 1], k=1)
    assert spline_error(x, n_pieces) == pytest.approx(fitted(x) - x**2, abs=2e-3 / n_pieces**2)
    h = 2 / n_pieces
    assert np.mean((fitted(x) - x**2) ** 2) == pytest.approx(h**4 / 180, rel=2e-3)
    assert SPLINE * n_pieces**-4.0 == pytest.approx(h**4 / 180, rel=1e-12)
    interpolated = np.interp(x, knots, knots**2)
    assert np.mean((interpolated - x**2) ** 2) == pytest.approx(h**4 / 30, rel=2e-3)


def test_quadrature_is_exact_on_the_spline():
    for n in (2, 7, 256):
        x, weight = nodes(n)
        assert weight.sum() == pytest.approx(1) and weight @ spline_error(x, n) ** 2 == pytest.approx(SPLINE * n**-4.0, rel=1e-10)


def test_mean_of_tickets_has_error_of_spline_and_share_of_variance():
    rng = np.random.default_rng(0)
    for width, n_tickets, noise in ((4, 1, 0.3), (8, 5, 1e-3), (64, 40, 1e-2)):
        found = np.array([averaged_tickets(width, n_tickets, noise, rng) for _ in range(3000)])
        error = found.std(ddof=1) / np.sqrt(found.size)
        assert abs(found.mean() - SPLINE * width**-4.0 - noise / n_tickets) < 4 * error


def test_exponent_is_between_one_and_four_and_five_halves_at_the_crossover():
    noise, rho = 3e-4, 0.4
    at = crossover(noise, rho)
    parts = mechanism_error(at, noise, rho)
    assert parts[0] == pytest.approx(parts[1]) and local_exponent(*parts) == pytest.approx(2.5)
    step = 1e-5
    total = [sum(mechanism_error(at * np.exp(s), noise, rho)) for s in (step, -step)]
    assert -(np.log(total[0]) - np.log(total[1])) / (2 * step) == pytest.approx(2.5, rel=1e-6)
    exponent = exponent_map().exponent
    assert 1 < exponent.min() < 1.001 and 3.9 < exponent.max() < 4


def test_mechanism_curve_agrees_with_its_theory():
    gaps = [float(mechanism_curve(seed=s).headline()["largest gap, theory to simulation (SE)"]) for s in range(3)]
    assert max(gaps) < 5  # of eight widths, twenty networks each


def test_no_relu_network_beats_the_best_pieces():
    for width in (2, 4, 8):
        net = network(width, 6, "relu", np.random.default_rng(width))
        train(net, "square", 3000)
        assert errors(net, "square").min() > SPLINE / (width + 1.0) ** 4


def test_training_fits_and_wider_networks_fit_better():
    ladder = trained_ladder(largest_width=32, n_seeds=6, activation="relu", training_steps=1500)
    assert ladder.width == [2, 4, 8, 16, 32] == widths_to(32)
    middle = ladder.quartiles()[:, 1]
    assert middle[-1] < 1e-3 and middle[0] > 1e-2
    exponent = float(str(ladder.headline()["exponent"]).split()[0])
    assert 1 < exponent < 4


def test_errors_fall_with_the_length_of_training():
    result = training_lengths(largest_width=16, n_seeds=6)
    assert result.steps == [500, 1000, 2000, 4000]
    assert np.all(np.diff(np.median(result.median, axis=1)) < 0)


def test_groups_average_to_the_network():
    for groups in (4, 5):  # of equal sizes or not
        parts = seen_tickets(shown_width=24, groups=groups)
        assert parts.part.mean(axis=0) == pytest.approx(parts.whole, abs=1e-12)
        assert parts.error[-1] < 0.1 * parts.error[0]
