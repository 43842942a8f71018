"""Schedules over the unit of time: published ends, integrals of beta, and no cancellation near t = 0."""

import numpy as np
import pytest
from scipy.integrate import quad

from compute.models.unit_time_schedule import SCHEDULE_NAMES, chain_betas, rate_at_zero, signal_and_noise, terminal_snr


def test_terminal_signal_of_published_chains():
    # Lin et al. (2023), table 1: SNR and its root of alpha^2.
    for name, snr, signal in (
        ("cosine", 2.428e-9, 4.928e-5),
        ("linear", 4.036e-5, 0.006353),
        ("SD scaled-linear", 0.004682, 0.068265),
    ):
        betas = chain_betas(name)
        assert terminal_snr(betas) == pytest.approx(snr, rel=1e-3)
        assert np.sqrt(np.prod(1 - betas)) == pytest.approx(signal, rel=1e-3)


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_variance_is_preserved_and_rate_at_zero_is_that_of_sigma(name):
    alpha, sigma = signal_and_noise(name, np.linspace(0, 1, 101), 0.3)
    assert alpha**2 + sigma**2 == pytest.approx(np.ones(101), abs=1e-12)
    t = 1e-9
    assert signal_and_noise(name, t, 0.3)[1] ** 2 / t == pytest.approx(rate_at_zero(name, 0.3), rel=1e-5, abs=1e-7)


def test_rates():
    for name, rate in (
        ("linear", lambda t: 0.3 + 19.7 * t),
        ("quadratic", lambda t: (np.sqrt(0.3) + (np.sqrt(20) - np.sqrt(0.3)) * t) ** 2),
        ("SD scaled-linear", lambda t: (np.sqrt(0.85) + (np.sqrt(12) - np.sqrt(0.85)) * t) ** 2),
    ):
        assert signal_and_noise(name, 0.7, 0.3)[0] == pytest.approx(np.exp(-0.5 * quad(rate, 0, 0.7)[0]), rel=1e-10)
    # The chain is the schedule in 1000 steps.
    assert np.prod(1 - chain_betas("SD scaled-linear")) == pytest.approx(
        signal_and_noise("SD scaled-linear", 1.0)[0] ** 2, rel=0.03
    )
