"""The lab's experiments: policies by generation, the plane of mixing, the last fit, the tail, the densities."""

import numpy as np
import pytest

from compute.generalization import model_collapse as lab
from compute.parameters import ParameterError


def test_policies_follow_theory():
    result = lab.error_by_generation(chains=500, generations=10, seed=4)
    for policy in result.policies:
        mean, error = result.simulated[policy]
        assert np.all(np.abs(mean - result.exact[policy][1:]) < 4 * error), policy
    assert result.exact["replace"][-1] == pytest.approx(10 * 0.25 * 20 / 39)
    assert np.all(result.exact["accumulate"] <= result.bound)


def test_a_little_real_data_is_worse_than_none_near_interpolation_and_a_ridge_mends_it():
    near = {"samples_per_dimension": 1.2, "generations": 12, "chains": 200}
    mixed = lab.error_by_generation(real_fraction=0.1, **near)
    assert mixed.gain > 1 and mixed.exact["mix"][-1] > 3 * mixed.exact["replace"][-1]
    ridged = lab.error_by_generation(real_fraction=0.1, ridge=0.1, **near)
    assert ridged.simulated["mix"][0][-1] < ridged.simulated["replace"][0][-1]
    assert lab.error_by_generation(real_fraction=0.1, samples_per_dimension=3.0, chains=10).gain < 1


def test_plane_explodes_inside_its_boundary_only():
    result = lab.stability_plane(generations=100)
    inside = result.gain > 1 + 1e-9
    at = np.argmin(np.abs(result.samples_per_dimension - 1.2))
    fraction, rows = (v[np.isfinite(v)] for v in result.exact)
    edge = fraction[np.argmin(np.abs(rows - result.samples_per_dimension[at]))]
    assert np.all(inside[at] == ((result.real_fraction > 0) & (result.real_fraction < edge)))
    # Error after many generations, far inside and far outside.
    assert result.log10_error[at, 20] > 6
    assert np.all(result.log10_error[result.samples_per_dimension > 3][:, 20:] < 0)


def test_mean_that_does_not_exist_is_said():
    with pytest.raises(ParameterError, match="T ≥ d \\+ 2"):
        lab.error_by_generation(samples_per_dimension=1.0)
    with pytest.raises(ParameterError, match="T₀ ≥ d \\+ 2"):
        lab.last_fit_curve(samples_per_dimension=1.05)
    assert "no mean" in str(lab.stability_plane(samples_per_dimension=1.0).headline())


def test_last_fit_keeps_its_floor_and_its_ridge():
    result = lab.last_fit_curve(generations=5, noise=0.5, seed=3)
    assert result.plateau == pytest.approx(5 * 0.25 * 20 / 39, rel=1e-4)
    assert result.error[-1, -1] == pytest.approx(result.plateau, rel=0.01)
    assert np.all(result.best_error <= result.clean_ridge_error * (1 + 1e-3))
    far = np.abs(result.simulated_rows - 20) > 5  # at T near d the limit of large d is not yet reached
    assert np.all(
        np.abs(result.simulated - result.exact_at_dots)[:, far]
        < 4 * result.simulated_error[:, far] + 0.1 * result.exact_at_dots[:, far]
    )


def test_real_data_end_the_plateau_where_they_should():
    result = lab.tail_curve(real_fraction=0.01, tail_cutoff=100)
    mixed, clean = result.curves["mixed"], result.curves["clean"]
    before = (result.draws > 1e4) & (result.draws < result.recovery / 20)
    assert np.all(mixed[before] > 0.9 * result.plateau)
    assert mixed[-1] < 0.15 * result.plateau and mixed[-1] > clean[-1]
    assert result.late_exponent == pytest.approx(1 / 3, abs=0.01)
    for name, exact in result.exact_at_dots.items():
        mean, error = result.simulated[name]
        assert np.all(np.abs(mean - exact) < 8 * error + 1e-6), name  # few repetitions: Student's law with 4 degrees of freedom


def test_densities_lose_or_gain_spread():
    gaussian = lab.density_chain(generations=30, chains=300)
    assert gaussian.half_life == pytest.approx(np.log(2) / -np.log(gaussian.theory["replace"][1]))
    assert gaussian.spread[0, -1] < 0.1 and gaussian.spread[1, -1] > 0.5
    assert np.all(
        (gaussian.spread_low[0] <= gaussian.theory["replace"] * 1.25)
        & (gaussian.theory["replace"] <= gaussian.spread_high[0] * 1.25)
    )
    kernel = lab.density_chain(estimator="kernel density", generations=30, points=40, chains=200)
    assert kernel.spread[0, -1] > 2 > kernel.spread[1, -1]
    assert np.trapezoid(kernel.density[:, 0], kernel.x, axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
