"""Chains, schedules and autoencoders against exact flows, asymptotes and slopes."""

import numpy as np
import pytest

from compute.diffusion_samplers.denoising_chains import (
    autoencoder_field,
    chain,
    evaluations,
    forgetting,
    schedules,
    score_errors,
)
from compute.diffusion_samplers.denoising_chains.autoencoder import relative_bias, true_score
from compute.diffusion_samplers.denoising_chains.langevin_gibbs import bring_down, own_levels, paired_w1
from compute.diffusion_samplers.denoising_chains.reproduction import LEAST, follow, round_bank, stage
from compute.diffusion_samplers.denoising_chains.setting import line_law, nearest_mode
from compute.methods.flow_map import jump
from compute.models.noise_schedule import EDM
from compute.models.serial_reproduction import divergence, round_matrix, schedule

LAW = line_law(4.0)


# --- reproduction --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["Gaussian", "Laplace"])
def test_divergence_ends_on_the_slowest_mode(family):
    result = forgetting(noise=0.5, noise_family=family, denoiser_error=0.0)
    sigma = list(result.levels).index(2.0)
    late = slice(10, 30)
    found, theory = result.by_level[sigma][late], result.slow_mode[sigma][late]
    shown = found > 1e-6
    assert shown.sum() > 5 and found[shown][-1] / theory[shown][-1] == pytest.approx(1, abs=0.03)
    assert np.diff(result.by_level, axis=1).max() < 1e-12 and result.headline()["largest rise of KL in a round"] < 1e-12


def test_imperfect_guesses_stop_short_and_more_so_with_noise():
    result = forgetting(noise=0.5, denoiser_error=0.5)
    assert result.by_level[2, -1] < result.by_level[3, -1] and result.by_level[3, -1] > 1
    assert forgetting(noise=0.5, denoiser_error=0.0).by_level[3, -1] < 1e-7


def test_schedules_matter_for_imperfect_guesses_only():
    exact, blunt = schedules(denoiser_error=0.0), schedules(denoiser_error=1.0)
    assert exact.log_divergence.max() < -2.5
    assert blunt.log_divergence.max() > 0.7 and blunt.log_divergence.min() < -2.5
    assert blunt.there > 100 * blunt.here
    # Many steps serve powers of 2 to 4, few evenly spaced ones do not.
    assert blunt.best_power[list(blunt.steps).index(13)] == pytest.approx(3.5, abs=1.2)


def test_rounding_of_levels_changes_little():
    points, prior = stage(4.0)
    bank = round_bank(4.0, "Gaussian", 1.0)
    law = np.full(points.size, 1 / points.size)
    for sigma in schedule(bank.top, 20, 2.0):
        law = law @ round_matrix(points, prior, "Gaussian", max(float(sigma), LEAST), 1.0)
    exact, rounded = divergence(law, prior), divergence(follow(bank, points.size, 20, 2.0), prior)
    assert rounded == pytest.approx(exact, rel=0.25)


# --- Langevin-Gibbs ------------------------------------------------------------------------------------------------


def test_own_levels_are_the_edm_grid():
    sigma = np.array([0.5, 3.0, 40.0])
    grid = own_levels(sigma, 9)[:, :, 0]
    for k in range(3):
        assert grid[:, k] == pytest.approx(EDM.levels(9, sigma[k]))
    assert own_levels(sigma, 1)[:, 0, 0] == pytest.approx([0.5, 0.0])


def test_way_down_is_the_exact_flow():
    x, level = np.linspace(-5, 5, 9)[:, None], 1.3
    found = bring_down(LAW, x, np.full(9, level), "RK4", 97)[-1][:, 0]
    exact = jump(LAW, x[:, 0], level, 0.0)
    # The last step, from 0.02 to 0, is Euler's.
    assert found == pytest.approx(exact, abs=3e-3)


def test_orders_of_the_integrators_and_what_the_chain_saves():
    result = evaluations()
    slopes = {name: -np.polyfit(np.log(result.nfe[-3:]), np.log(values[-3:]), 1)[0] for name, values in result.from_noise.items()}
    assert slopes["Euler (DDIM)"] == pytest.approx(1, abs=0.3) and slopes["Heun"] == pytest.approx(2.4, abs=0.6)
    at = list(result.nfe).index(20)
    for name in result.from_noise:
        assert result.from_chain[name][at] < 0.5 * result.from_noise[name][at]
    assert result.data_chain < 1.8 * result.floor
    costly = evaluations(skip=30)
    assert np.isnan(costly.from_chain["Heun"][at]) and costly.saved("Heun") == "no evaluation is left"


def test_paired_distance_of_a_shift_is_the_shift():
    x = np.random.default_rng(0).standard_normal((50, 1))
    assert paired_w1(x, x[::-1] + 0.3) == pytest.approx(0.3)


def test_chains_find_the_masses_of_the_modes():
    result = chain(langevin_step=0.3)
    assert np.all(np.abs(result.found - result.exact) < 4.5 * result.found_error)
    assert result.found.sum() == pytest.approx(1) and result.w1 < 4 * result.floor
    assert result.occupancy_error < 0.03
    slow = chain(langevin_step=0.001)
    assert slow.found_error.max() > 2 * result.found_error.max()


def test_nearest_mode_names_modes():
    assert nearest_mode(LAW, LAW.means + 0.4).tolist() == [0, 1, 2, 3]


# --- autoencoders --------------------------------------------------------------------------------------------------


def test_displacement_is_the_smoothed_score_and_its_bias_has_slope_two():
    x = np.linspace(-7, 7, 41)
    for sigma in (0.1, 0.5, 2.0):
        displacement = (LAW.denoise(x[:, None], sigma)[:, 0] - x) / sigma**2
        assert displacement == pytest.approx(true_score(LAW, x, sigma), abs=1e-10)
    levels = np.array([0.01, 0.02, 0.04])
    slope = np.polyfit(np.log(levels), np.log([relative_bias(LAW, float(s)) for s in levels]), 1)[0]
    assert slope == pytest.approx(2, abs=0.05)
    # One normal mode: score -x/(s^2 + sigma^2) against -x/s^2.
    assert relative_bias(line_law(10.0), 0.3) == pytest.approx(0.5, abs=1e-3)


def test_reconstruction_error_has_a_false_minimum_between_modes():
    result = autoencoder_field()
    assert result.false_minima == pytest.approx(np.array([-4.0, 0.0, 4.0]), abs=0.2)
    assert result.true_minima == pytest.approx(LAW.means[:, 0], abs=0.1)
    assert autoencoder_field(noise=3.0).false_minima.size == 0


def test_more_pairs_learn_more():
    result = score_errors()
    assert result.error[0] > 3 * result.error[-1] and result.slope == pytest.approx(2, abs=0.06)
    few, many = autoencoder_field(training_points=50), autoencoder_field(training_points=5000)
    assert many.rms < 0.4 * few.rms


def test_samples_are_a_density():
    result = autoencoder_field()
    width = result.center[1] - result.center[0]
    assert result.sampled.sum() * width == pytest.approx(1)
