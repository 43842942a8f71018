"""Rounds of reproduction against detailed balance, Mehler's formula and simulation."""

import numpy as np
import pytest

from compute.models.serial_reproduction import FAMILIES, divergence, eigenvalues, guess_matrix, noise_matrix, round_matrix, schedule


def stage(n=120):
    points = np.linspace(-6, 6, n)
    prior = 0.3 * np.exp(-0.5 * ((points + 2) / 0.5) ** 2) + 0.7 * np.exp(-0.5 * ((points - 2) / 0.5) ** 2) + 1e-9
    return points, prior / prior.sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_guesses_keep_the_prior_in_detailed_balance(family):
    points, prior = stage()
    for sigma in (0.1, 0.7, 2.5):
        matrix = round_matrix(points, prior, family, sigma)
        assert matrix.sum(axis=1) == pytest.approx(np.ones(points.size), abs=1e-12)
        assert prior @ matrix == pytest.approx(prior, abs=1e-12)
        flow = prior[:, None] * matrix
        assert np.abs(flow - flow.T).max() < 1e-12
        law, values = np.eye(points.size)[40], []
        for _ in range(30):
            values.append(float(divergence(law, prior)))
            law = law @ matrix
        assert np.diff(values).max() < 1e-12


def test_spectrum_of_normal_prior_and_noise_is_mehlers():
    points = np.linspace(-14, 14, 400)
    prior = np.exp(-0.5 * points**2)
    prior /= prior.sum()
    for sigma in (0.5, 1.0):
        rho = 1 / (1 + sigma**2)
        assert eigenvalues(points, prior, "Gaussian", sigma, 6) == pytest.approx(rho ** np.arange(6), abs=1e-6)


def test_eigenvalues_are_those_of_the_round():
    points, prior = stage(60)
    for family in FAMILIES:
        direct = np.sort(np.linalg.eigvals(round_matrix(points, prior, family, 0.8)).real)[::-1]
        assert eigenvalues(points, prior, family, 0.8, 5) == pytest.approx(direct[:5], abs=1e-9)


def test_noise_has_its_scale_and_fades_as_it_should():
    points = np.linspace(-12, 12, 1201)
    middle = 600
    for family, sd in (("Gaussian", 0.8), ("Laplace", 0.8), ("bimodal", 0.8 * np.sqrt(1 + 1 / 9))):
        law = noise_matrix(points, family, 0.8)[middle]
        assert np.sqrt(law @ points**2) == pytest.approx(sd, rel=2e-3)
    fade = noise_matrix(points, "fade to uniform", 0.8)[middle]
    assert fade[middle] == pytest.approx(np.exp(-0.8) + (1 - np.exp(-0.8)) / 1201)


def test_blunt_guess_has_the_moments_of_the_posterior():
    points, prior = stage(240)
    noise = noise_matrix(points, "Gaussian", 0.9)
    exact, blunt = guess_matrix(points, prior, noise), guess_matrix(points, prior, noise, 1.0)
    inner = slice(60, 180)
    assert (blunt @ points)[inner] == pytest.approx((exact @ points)[inner], abs=5e-3)
    spread = (blunt @ points**2 - (blunt @ points) ** 2)[inner]
    expected = (exact @ points**2 - (exact @ points) ** 2)[inner]
    assert spread == pytest.approx(expected, abs=0.02)
    half = guess_matrix(points, prior, noise, 0.5)
    assert half == pytest.approx(0.5 * exact + 0.5 * blunt, abs=1e-12)


def test_schedule_falls_from_its_top():
    levels = schedule(8.0, 5, 2.0)
    assert levels == pytest.approx(8 * np.array([1, 0.8, 0.6, 0.4, 0.2]) ** 2)


def test_divergence_is_scipys():
    from scipy.stats import entropy

    p, q = np.array([0.2, 0.0, 0.8]), np.array([0.3, 0.3, 0.4])
    assert divergence(p, q) == pytest.approx(entropy(p, q))
