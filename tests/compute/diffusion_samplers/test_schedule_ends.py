"""The lab on the ends of the schedule: closed forms, integrated flows, and published numbers."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from compute.diffusion_samplers import schedule_ends as lab
from compute.diffusion_samplers.schedule_ends import horizon as hor
from compute.diffusion_samplers.schedule_ends import terminal_signal as bright
from compute.diffusion_samplers.schedule_ends import time_sharing as sing
from compute.models.unit_time_schedule import SCHEDULE_NAMES, signal_and_noise

# --- the noisy end -------------------------------------------------------------------------------------------


def test_gaussian_brightness_shrinks_as_the_formula_says():
    snr = 0.004682
    square = snr / (1 + snr)
    for d, expected in ((64, 0.878), (256, 0.675), (4096, 0.223)):
        found = lab.brightness(terminal_snr=snr, dimension=d, law="Gaussian").kept["start from N(0, I)"]
        assert found == pytest.approx(1 / np.sqrt(square * (d + 1) + 1 - square), rel=1e-6)
        assert found == pytest.approx(expected, abs=5e-4)
        assert lab.brightness_map(terminal_snr=snr, dimension=d, law="Gaussian").at == pytest.approx(found, rel=1e-6)


def test_monotone_map_against_the_integrated_flow():
    data = bright.brightness_law("dark and bright", 64, 0.5)
    start = bright.starts(data, 0.02, 64, 0.1)["start from N(0, I)"]
    alpha = np.sqrt(0.02 / 1.02)
    top = np.array([-2.0, -0.3, 0.01, 1.1])

    def slope(log_sigma, y):
        return y - data.denoise(y[:, None], np.exp(log_sigma))[:, 0]

    span = (np.log(1 / np.sqrt(0.02)), np.log(1e-6))
    flow = solve_ivp(slope, span, top / alpha, rtol=1e-10, atol=1e-10).y[:, -1]
    assert start.down(data, top) == pytest.approx(flow, abs=1e-5)
    assert start.up(data, flow) == pytest.approx(top, abs=1e-6)


@pytest.mark.parametrize("law", bright.LAWS)
def test_densities_quantiles_and_distribution_functions_agree(law):
    data = bright.brightness_law(law, 64, 0.7)
    for name, start in bright.starts(data, 0.01, 64, 0.1).items():
        p = np.array([0.05, 0.3, 0.5, 0.9])
        q = start.out_quantile(data, p)
        assert start.out_cdf(data, q) == pytest.approx(p, abs=1e-7), name
        between = quad(lambda x, s=start: s.out_pdf(data, np.array([x]))[0], q[0], q[-1], points=q[1:-1], limit=200)[0]
        assert between == pytest.approx(0.85, abs=1e-5), name


def test_simulated_samples_have_the_exact_law():
    for law in ("dark and bright", "Gaussian"):
        result = lab.brightness(law=law, dimension=64, seed=1)
        width = np.diff(result.edges)[0]
        expected = np.interp(result.centers, result.curve, result.density["start from N(0, I)"])
        likely = expected * width * bright.N_PARTICLES > 20
        z = ((result.simulated - expected) / np.sqrt(expected / width / bright.N_PARTICLES))[likely]
        assert np.sum(z**2) < likely.sum() + 4.5 * np.sqrt(2 * likely.sum())


def test_no_signal_left_no_bias_and_remedies():
    clean = lab.brightness(terminal_snr=1e-9)
    assert clean.kept["start from N(0, I)"] == pytest.approx(1, abs=5e-4)  # quadrature across the gap
    gaussian = lab.brightness(law="Gaussian", dimension=4096)
    # A normal law is known by two moments: one more step gives it back.
    assert gaussian.kept["one more step"] == pytest.approx(1, abs=1e-9)
    assert gaussian.density["one more step"] == pytest.approx(gaussian.density["data"], abs=1e-9)
    prompt = lab.brightness(law="one prompt", dimension=16384)
    assert 1 - prompt.kept["start from N(0, I)"] == pytest.approx(prompt.alpha, abs=1e-3)
    plain = lab.brightness(dimension=16384)
    assert plain.kept["start from N(0, I)"] < 0.2 and min(plain.kept["one more step"], plain.kept["offset noise"]) > 0.95


def test_bias_grows_with_signal_left_and_pixels():
    kept = lab.brightness_map().kept
    # To the accuracy of quadrature across the gap between modes, 300 nodes on 14 standard deviations.
    assert np.diff(kept, axis=1).max() < 2e-3 and np.diff(kept, axis=0).max() < 2e-3
    assert kept[-1, -1] < 0.05 and kept[0, 0] > 0.99


# --- how long to diffuse -------------------------------------------------------------------------------------


def test_best_time_of_one_gaussian():
    for m, error in ((3.0, 0.3), (5.0, 0.1)):
        result = lab.horizon_curve(shape="one Gaussian", data_scale=m, score_error=error)
        time, total = result.best["N(0, 1)"]
        assert time == pytest.approx(np.log(m**2 / error**2), rel=1e-4)
        assert total == pytest.approx(0.5 * error**2 * (1 + np.log(m**2 / error**2)), rel=1e-4)
        assert result.prior["N(0, 1)"] == pytest.approx(0.5 * m**2 * np.exp(-result.time), rel=1e-9)
        assert np.abs(result.prior["fitted Gaussian"]).max() < 1e-12
        # What the bound bounds, where it is known, stays below it.
        assert np.all(result.true_error <= result.prior["N(0, 1)"] + result.score + 1e-12)


def test_true_error_by_integrating_the_reverse_drift():
    m, error, time = 3.0, 0.2, 2.5
    # v = 1 at every time: the mean obeys dm/dtau = m/2 - (m - alpha m_0) - error.
    mean = solve_ivp(
        lambda tau, y: 0.5 * y - (y - np.exp(-0.5 * (time - tau)) * m) - error, (0, time), [0.0], rtol=1e-10, atol=1e-12
    ).y[0, -1]
    expected = 0.5 * (m * np.exp(-time) + 2 * error * (1 - np.exp(-0.5 * time))) ** 2
    assert 0.5 * (mean - m) ** 2 == pytest.approx(expected, rel=1e-6)


def test_gaps_of_two_modes():
    data = hor.horizon_data("two modes", 2.0)
    law = hor.diffused(data, 0.7)

    def integrand(x):
        p = law.pdf(np.array([x]))[0]
        return p * (np.log(p) + 0.5 * x**2 + 0.5 * np.log(2 * np.pi))

    assert hor.gap_to_normal(law, 0.0, 1.0) == pytest.approx(quad(integrand, -10, 10, limit=300)[0], rel=1e-6)
    result = lab.horizon_curve(data_scale=2.0)
    for values in result.prior.values():
        assert np.all(np.diff(values) <= 1e-12)  # data processing, for the fitted start too
    assert np.all(result.prior["fitted Gaussian"] <= result.prior["N(0, 1)"] + 1e-12)
    expected = quad(lambda t: 0.5 * 0.04 / (1 - np.exp(-t)), 1e-3, 3.0)[0]
    assert hor.score_gap(np.array(3.0), 0.2, "of the noise prediction") == pytest.approx(expected, rel=1e-7)


# --- the end at the data -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_speed_of_the_noise_prediction_at_zero(name):
    result = lab.singularity(schedule=name, shape="one Gaussian", data_scale=2.0)
    slope = 0.0 if name == "cosine without offset" else -0.5
    assert result.slope == pytest.approx(slope, abs=0.005)
    t = result.time[0]
    rates = {"linear": 0.1, "quadratic": 0.1, "SD scaled-linear": 0.85}
    if name in rates:
        expected = 0.5 * np.sqrt(2 * rates[name] / (np.pi * t))
        assert result.sensitivity[name][0] == pytest.approx(expected, rel=2e-3)
    if slope == 0:
        assert result.sensitivity[name][0] == pytest.approx(0.5 * np.pi * np.sqrt(2 / np.pi), rel=2e-3)
    # For N(m, 1) eps = sigma (x - alpha m): the whole curve.
    alpha, sigma = signal_and_noise(name, result.time, 0.1)
    rise = (signal_and_noise(name, result.time * 1.0001)[1] - signal_and_noise(name, result.time * 0.9999)[1]) / (
        2e-4 * result.time
    )
    fall = -sigma * rise / alpha
    expected = (
        [np.abs(r * z - s * f * 2.0).mean() for r, s, f in zip(rise, sigma, fall, strict=True)] if (z := _normal()).size else []
    )
    assert result.sensitivity[name] == pytest.approx(np.array(expected), rel=5e-3)


def _normal():
    from scipy.special import ndtri

    return ndtri((np.arange(4000) + 0.5) / 4000)


def test_noise_prediction_is_tweedie():
    data = hor.horizon_data("two modes", 1.5)
    alpha, sigma = signal_and_noise("cosine", 0.4)
    x = np.linspace(-3, 3, 9)
    eps, density = sing.noise_prediction(data, x, np.float64(alpha), np.float64(sigma))
    level = float(sigma / alpha)
    assert eps == pytest.approx(-level * data.score(x[:, None] / alpha, level)[:, 0], rel=1e-9)
    assert density == pytest.approx(np.exp(data.log_density(x[:, None] / alpha, level)) / alpha, rel=1e-9)


def test_shared_prediction_is_the_regression_over_the_cell():
    data, n = hor.horizon_data("two modes", 1.5), 400000
    rng = np.random.default_rng(0)
    t = rng.uniform(0.1, 0.2, n)
    alpha, sigma = signal_and_noise("linear", t, 0.1)
    z = rng.standard_normal(n)
    x = alpha * data.sample(rng, n)[:, 0] + sigma * z
    for low, high in ((0.4, 0.5), (1.4, 1.5)):
        inside = (x > low) & (x < high)
        expected = sing.shared_prediction(data, "linear", 0.1, x[inside][None, :], np.array([0.1]), np.array([0.2]))[0]
        residual = z[inside] - expected
        assert abs(residual.mean()) < 4 * residual.std() / np.sqrt(inside.sum())


def test_sharing():
    result = lab.sharing_map(threshold=0.3, cells=1)
    assert result.at == pytest.approx(result.w1[0, -1], rel=1e-12) and result.at > 3 * result.plain
    # Triangle inequality of W1 between the data and both samples.
    assert np.all(np.abs(result.w1 - result.plain) <= result.moved + 1e-12)
    long = result.threshold >= 0.15  # below, twenty cells are hardly longer than a step
    assert np.all(result.moved[-1, long] < 0.5 * result.moved[0, long])
    few, many = (lab.singularity(cells=c).cost.max() for c in (2, 20))
    assert many < 0.2 * few
    assert lab.sharing_map(ddim_steps=400).plain < 0.6 * lab.sharing_map(ddim_steps=100).plain
