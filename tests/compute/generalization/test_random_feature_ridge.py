"""The lab's experiments: double descent and its cure, the boundary of obligatory overfitting, stopping."""

import numpy as np
import polars as pl
import pytest

from compute.generalization import random_feature_ridge as lab
from compute.parameters import ParameterError


def test_fixed_ridge_peaks_at_the_threshold_and_the_best_ridge_has_no_peak():
    fixed = lab.risk_plane(ridge=1e-8, draws=3)
    column = fixed.test[:, np.argmin(np.abs(fixed.n - 200))]
    assert fixed.k[np.argmax(column)] == pytest.approx(200, rel=0.1)
    best = lab.risk_plane(ridge=1e-8, ridge_choice="optimal", draws=3)
    assert np.all(np.diff(best.test, axis=0) < 1e-9) and np.all(np.diff(best.test, axis=1) < 1e-9)
    assert np.all(best.test <= fixed.test * (1 + 1e-9))


def test_simulated_points_follow_theory():
    result = lab.risk_curve(n_samples=60, n_features=150, ridge=1e-2, noise_variance=0.2, draws=100, seed=1)
    for part in (result.at_fixed, result.at_best):
        # 2% for the eigenframework's own finite-size error at the smallest sizes.
        assert np.all(np.abs(part.test - part.theory.test) < 4 * part.test_error + 0.02 * part.theory.test)
    curve = lab.ridge_curve(n_samples=60, infinite_features=True, noise_variance=0.2, draws=100, seed=2)
    for sample, error, theory in (
        (curve.simulation.test, curve.simulation.test_error, curve.simulation.theory.test),
        (curve.simulation.train, curve.simulation.train_error, curve.simulation.theory.train),
    ):
        assert np.all(np.abs(sample - theory) < 4 * error + 0.02 * theory)


def test_curve_and_plane_agree():
    plane = lab.risk_plane(n_samples=100, n_features=300, draws=3)
    curve = lab.risk_curve(sweep="samples", n_samples=100, n_features=300, draws=3)
    ridge = lab.ridge_curve(n_samples=100, n_features=300, draws=3)
    risks = [plane.here.test[0], curve.fixed.test[curve.index], ridge.here.test[0]]
    assert risks == pytest.approx([risks[0]] * 3, rel=1e-10)
    bests = [plane.best_here.test[0], curve.best.test[curve.index], ridge.best.test[0]]
    assert bests == pytest.approx([bests[0]] * 3, rel=1e-7)


def test_own_spectrum_predicts_a_learning_curve():
    # Five modes and many samples: least squares, risk sigma^2 (1 + d/(n - d)) to leading order.
    spectrum = pl.DataFrame({"eigenvalue": [5.0, 4.0, 3.0, 2.0, 1.0], "target_power": [10.0, 1.0, 1.0, 1.0, 1.0]})
    result = lab.risk_curve(spectrum=spectrum, sweep="samples", n_samples=1000, infinite_features=True, ridge=1e-8, draws=3)
    assert result.fixed.test[result.index] == pytest.approx(0.05 / (1 - 5 / 1000), rel=1e-6)
    with pytest.raises(ParameterError, match="above 0"):
        lab.risk_curve(spectrum=pl.DataFrame({"eigenvalue": [1.0], "target_power": [0.0]}))


def test_fitting_plane_is_zero_exactly_below_its_line():
    plane = lab.fitting_plane()
    line = (plane.target_exponent - 1.5) / (1.5 * 0.5)
    below = plane.relative_noise[:, None] < line * (1 - 1e-9)
    assert np.all((plane.ratio == 0) == below)
    assert lab.fitting_plane(target_exponent=2.4, relative_noise=0.3).here == 0


def test_stopping_line_is_the_least_error_of_its_column():
    plane = lab.stopping_plane(noise_variance=0.2)
    at = np.searchsorted(plane.time, plane.stopping)
    least = np.argmin(plane.error, axis=0)
    assert np.all(np.abs(at - least) <= 1)
    late = plane.error[-1]
    assert plane.aspect[np.argmax(late)] == pytest.approx(1)


def test_training_curve_headline_and_unreachable_sizes():
    curve = lab.training_curve(aspect=0.3, init_ratio=1.0, noise_variance=0.2, draws=20)
    assert curve.masses[2] == pytest.approx(0.7)
    assert abs(curve.gap) < 4.5
    assert lab.risk_curve(n_samples=5000).at_fixed.n.size == 0
    assert "not simulated" in str(lab.ridge_curve(n_features=5000).headline()["simulation − theory here (SE)"])
