"""Clocks, guidance, sums and events against the mixture engine, linear-Gaussian formulas and rejection."""

import itertools

import numpy as np
import polars as pl
import pytest
from scipy.integrate import dblquad

from compute.diffusion_samplers.conditional_sampling import (
    clock_square,
    event_chance,
    event_score,
    event_windows,
    guided_sampler,
    separation,
    split_sum,
    three_samplers,
)
from compute.diffusion_samplers.conditional_sampling.clocks import reverse
from compute.diffusion_samplers.conditional_sampling.events import BOTTOM, log_density_given_event
from compute.diffusion_samplers.conditional_sampling.guidance import tilted, transported
from compute.diffusion_samplers.conditional_sampling.pair import Pair, clock, denoising_error, given_clean, time_of
from compute.diffusion_samplers.conditional_sampling.sources import (
    dirac_moments,
    dirac_particles,
    ensemble,
    separate,
    si_sdr,
)
from compute.models.event_bank import EventBank
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.linear_sde import SharedMixture
from compute.parameters import ParameterError

PAIR = Pair("four modes", 0.6)


# --- clocks --------------------------------------------------------------------------------------------------------


def test_pure_noise_gives_the_marginal_and_no_noise_the_conditional():
    x = np.linspace(-3, 3, 13)
    level = 0.9
    for name in ("four modes", "normal"):
        pair = Pair(name, 0.6)
        marginal = given_clean(pair, x, level, np.linspace(-5, 5, 13), 1.0)
        assert marginal == pytest.approx(pair.marginal().denoise(x[:, None], level)[:, 0], abs=1e-12)
        conditional = given_clean(pair, x, level, 0.7, 0.0)
        assert conditional == pytest.approx(pair.given(0.7, 0.0).denoise(x[:, None], level)[:, 0], abs=1e-12)
    # Of the normal pair the conditional is N(rho y, 1 - rho^2).
    law = Pair("normal", 0.6).given(0.7, 0.0)
    assert law.mean[0] == pytest.approx(0.42, abs=1e-12) and law.width**2 == pytest.approx(0.64, abs=1e-12)


def test_joint_denoiser_is_the_isotropic_engine_where_clocks_agree():
    pair = Pair("four modes", 0.0)
    same = GaussianMixture(pair.weights, pair.means, 0.35)
    points = np.random.default_rng(0).standard_normal((9, 2))
    t = 0.4
    alpha, sigma = clock(t)
    assert pair.denoise(points, t, t) == pytest.approx(same.denoise(points / alpha, float(sigma / alpha)), abs=1e-12)


def test_correlation_is_that_of_the_whole_and_x_alone_does_not_know_it():
    for rho in (-0.8, 0.3):
        pair = Pair("four modes", rho)
        within = SharedMixture(pair.weights, pair.means, pair.covariance)
        covariance = (pair.weights * pair.means.T) @ pair.means + within.covariance
        assert covariance[0, 1] / covariance[0, 0] == pytest.approx(rho, abs=1e-12)
        assert covariance[0, 0] == pytest.approx(pair.variance) and pair.marginal().covariance[0, 0] == pytest.approx(pair.variance)


def test_denoising_error_by_quadrature_of_scipy_and_at_its_edges():
    tx, ty = 0.6, 0.35

    def integrand(y, x):
        at = np.array([[x, y]])
        return float(np.exp(PAIR.noised(tx, ty).log_density(at))[0] * PAIR.denoise(at, tx, ty)[0, 0] ** 2)

    square = dblquad(integrand, -6, 6, -6, 6, epsabs=1e-4)[0]
    assert denoising_error(PAIR, np.array(tx), np.array(ty)) == pytest.approx(1 - square / PAIR.variance, abs=2e-3)
    t = np.linspace(0, 1, 5)
    normal = denoising_error(Pair("normal", 0.6), *np.meshgrid(t, t))
    assert normal[:, 0] == pytest.approx(np.zeros(5), abs=1e-12) and normal[0, -1] == pytest.approx(0.64)
    assert normal[-1] == pytest.approx(np.sin(np.pi * t / 2) ** 2)  # one number, y forgotten
    # More noise never helps.
    error = denoising_error(PAIR, *np.meshgrid(np.linspace(0, 1, 17), np.linspace(0, 1, 17)))
    assert np.diff(error, axis=0).min() > -2e-3 and np.diff(error, axis=1).min() > -2e-3


@pytest.mark.parametrize("time_x,time_y", [(1.0, 0.0), (0.7, 0.4)])
def test_reverse_sde_with_one_clock_standing_samples_the_posterior(time_x, time_y):
    law = PAIR.given(0.5, time_y, 0.3, time_x)
    n = 20_000
    x = reverse(PAIR, 0.3, time_x, 0.5, time_y, 150, n, np.random.default_rng(1))
    sd = float(np.sqrt(law.covariance[0, 0]))
    assert abs(x.mean() - law.mean[0]) < 4 * sd / np.sqrt(n) + 0.005
    edges = law.quantile(np.arange(1, 10) / 10)
    share = np.bincount(np.searchsorted(edges, x), minlength=10) / n
    assert np.abs(share - 0.1).max() < 4 * np.sqrt(0.09 / n) + 0.004  # 150 steps


def test_three_samplers_reach_their_laws():
    result = three_samplers(steps=200, particles=3000, time_y=0.0)
    for name, distance in result.w1.items():
        assert distance < 2.2 * result.floor[name] + 0.01
    assert result.time[-1] == 0 and time_of(80.0) == pytest.approx(result.time[0])


# --- guidance ------------------------------------------------------------------------------------------------------


def test_guided_variance_of_a_normal_pair_is_the_closed_form():
    pair = Pair("normal", 0.6)
    w = np.array([0.0, 1.0, 4.0, 8.0])
    labels = np.array([-1.0, 1.0])  # the flow is affine: two points tell all
    ends = transported(pair.given(0.5, 0.0), pair.marginal(), w, labels, 400)
    assert (np.diff(ends, axis=1)[:, 0] / 2) ** 2 == pytest.approx(0.64 * 0.64**w, rel=5e-3)
    x = np.linspace(-8, 8, 4001)
    for strength in w:
        density = tilted(pair.given(0.5, 0.0), pair.marginal(), float(strength), x)
        mean = density @ x * (x[1] - x[0])
        variance = density @ (x - mean) ** 2 * (x[1] - x[0])
        assert variance / 0.64 == pytest.approx(1 / (1 + strength * 0.36), rel=1e-6)


def test_particles_follow_the_guided_flow_and_zero_is_plain():
    result = guided_sampler(joint="normal", time_y=0.0, guidance=3.0, steps=400, particles=4000)
    assert abs(result.ratio - 0.64**3) < 4 * result.ratio_error + 0.01
    plain = guided_sampler(guidance=0.0, steps=200, particles=4000)
    assert abs(plain.ratio - 1) < 4 * plain.ratio_error + 0.01 and plain.w1 < 0.05
    assert plain.tilted == pytest.approx(plain.conditional, abs=1e-3)


# --- sums ----------------------------------------------------------------------------------------------------------


def test_dirac_recursion_has_the_numbers_of_the_plan():
    mean, variance = dirac_moments(1.0, 4.0, 3.0, np.array([0.0, 40.0, 200.0]), 500)
    assert mean[1:] == pytest.approx([0.695, 0.630], abs=6e-4) and variance[1:] == pytest.approx([0.747, 0.786], abs=6e-4)
    assert mean[0] == pytest.approx(1.0, abs=0.01) and variance[0] == pytest.approx(4 / 20**2, rel=0.02)
    # The bias falls like 1/churn.
    assert (mean[1] - 0.6) / (mean[2] - 0.6) == pytest.approx(5, rel=0.4)


@pytest.mark.parametrize("churn", [0.0, 40.0])
def test_dirac_particles_follow_the_recursion(churn):
    n = 20_000
    x = dirac_particles(1.0, 4.0, 3.0, churn, 120, n, np.random.default_rng(2))
    mean, variance = (values.item() for values in dirac_moments(1.0, 4.0, 3.0, np.array([churn]), 120))
    assert abs(x.mean() - mean) < 4 * np.sqrt(variance / n)
    assert x.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / n))


def test_sum_holds_and_the_posterior_is_the_linear_gaussian_one():
    prior = ensemble(3, 8, 1.0)
    rng = np.random.default_rng(3)
    seen = prior.sample(rng, 5).sum(axis=1)
    x = separate(prior, seen, "Dirac", np.full(5, 30.0), 25, 1.0, rng)
    assert x.sum(axis=1) == pytest.approx(seen, abs=1e-12)
    weights, means, covariance = prior.posterior(seen)
    assert means.reshape(5, -1, 3, 8).sum(axis=2) == pytest.approx(np.broadcast_to(seen[:, None], (5, 3, 8)), abs=1e-12)
    variance = prior.sd**2
    # Within a pattern the rest of the sum is split in proportion to variances.
    rest = seen[0] - prior.means[0].sum(axis=0)
    expected = prior.means[0] + variance[:, None] / variance.sum() * rest
    assert means[0, 0].reshape(3, 8) == pytest.approx(expected, abs=1e-12)
    assert covariance[0, 0] == pytest.approx(variance[0] - variance[0] ** 2 / variance.sum(), abs=1e-12)
    assert weights.sum(axis=1) == pytest.approx(np.ones(5))


def test_source_score_is_that_of_the_shared_mixture():
    prior = ensemble(2, 4, 0.3)
    x, sigma = np.random.default_rng(4).standard_normal((3, 2, 4)), np.array([0.1, 1.0, 4.0])
    for k in range(3):
        covariance = np.diag(np.repeat(prior.sd**2, 4) + sigma[k] ** 2)
        law = SharedMixture(prior.weights, prior.means.reshape(len(prior.weights), -1), covariance)
        assert prior.score(x[k : k + 1], sigma[k : k + 1]).ravel() == pytest.approx(law.score(x[k].reshape(1, -1))[0], abs=1e-11)


def test_si_sdr_ignores_scale_and_separation_ranks_the_rules():
    truth = np.array([1.0, -1.0, 2.0, 0.0])
    orthogonal = np.array([1.0, 1.0, 0.0, 3.0])
    assert si_sdr(truth, 2.5 * (truth + 0.1 * orthogonal)) == pytest.approx(10 * np.log10(6 / (0.01 * 11)))
    result = separation(steps=60, churn=0.0)
    # The posterior mean is the best guess; the collapsed Dirac flow scores above a posterior sample though it samples worse.
    assert result.best[0] > max(result.gain["Dirac"].max(), result.drawn[0])
    assert result.spread["Dirac"][0] < 0.5 and result.worst_sum < 1e-12
    narrow = separation(likelihood_width=0.3)
    assert narrow.gain["Gaussian"].max() < 0  # Euler explodes, as the page says


def test_split_covers_its_extremes():
    for churn, second in itertools.product((0.0, 200.0), (0.1, 10.0)):
        result = split_sum(churn=churn, second_variance=second)
        assert result.true_variance == pytest.approx(second / (1 + second))
        assert np.all(np.abs(result.sampled_mean - np.interp(result.tried, result.churn, result.mean)) < 5 * result.mean_error)


# --- events --------------------------------------------------------------------------------------------------------


def test_event_samplers_are_held_to_exact_draws():
    result = event_windows(steps=60)
    assert result.inside["Tweedie"] > 0.95
    assert result.w1["Tweedie"] < 2.5 * result.floor < result.w1["none"]
    assert result.probability == pytest.approx(0.05, abs=0.01)  # the bank's own share, but for the kernels' width


def test_score_error_falls_with_noise_and_tweedie_is_best_above_it():
    result = event_score()
    assert result.error["Tweedie"][0] < 0.05 and result.log_chance["Tweedie"][0] == pytest.approx(
        result.log_chance["exact"][0], abs=0.01
    )
    high = result.sigma > 5
    assert np.all(result.error["Tweedie"][high] < 0.1 * result.error["isotropic"][high])
    assert np.all(result.error["isotropic"][high] < 0.1 * result.error["none"][high])
    assert result.log_chance["exact"][-1] == pytest.approx(np.log10(result.probability), abs=0.03)


def test_flow_density_is_exact_where_the_approximation_is():
    bank, c = EventBank(GaussianMixture(np.ones(1), np.array([[0.3, -0.2, 0.5]]), 0.8), "mean"), 0.9
    rng = np.random.default_rng(0)
    x = bank.sample_event(rng, 8, c) + BOTTOM * rng.standard_normal((8, 3))
    found = log_density_given_event(bank, x, c, "Tweedie", 120, rng)
    exact = bank.law.log_density(x, BOTTOM) + bank.exact(x, BOTTOM, c)[0] - np.log(bank.probability(c))
    assert found == pytest.approx(exact, abs=0.06)  # the law at noise level 80 is not quite the prior


def test_event_probability_is_near_the_truth_with_tweedie_only():
    result = event_chance(steps=30)
    assert 10**result.counted == pytest.approx(1 - result.quantile, abs=1 / 500)
    common = result.quantile < 0.95
    assert np.abs(result.estimate["Tweedie"] - result.exact)[common].max() < 0.25
    assert np.abs(result.estimate["Tweedie"] - result.exact).max() < 1.0
    assert result.estimate["none"].max() > 20


def test_a_series_of_the_reader_takes_the_place_of_the_system():
    t = np.arange(400)
    series = pl.DataFrame({"value": np.sin(0.3 * t) + 0.001 * t})
    result = event_windows(series=series, event="maximum", event_quantile=0.8)
    assert result.inside["Tweedie"] > 0.9
    with pytest.raises(ParameterError, match="100"):
        event_windows(series=series[:50])
    with pytest.raises(ParameterError, match="constant"):
        event_score(series=pl.DataFrame({"value": np.ones(200)}))


def test_the_square_knows_its_edges():
    result = clock_square(time_y=1.0, time_x=0.5)
    assert result.error_here == pytest.approx(result.marginal_error)
    assert clock_square(time_x=0.0).w1 < 1e-12  # x is seen
