"""The lab on sample complexity: rates against theory, closed forms against other libraries and simulation."""

import itertools

import numpy as np
import ot
import polars as pl
import pytest
from scipy import integrate, stats
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import KernelDensity

from compute.diffusion_samplers import sample_complexity as lab
from compute.diffusion_samplers.sample_complexity import rates, reader_table, setting, subspaces, training
from compute.parameters import ParameterError

# --- stopping the reverse process ------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothness", [0.5, 1.0, 1.5, 2.0])
def test_minimax_slopes(smoothness):
    curve = lab.rate_curve(smoothness=smoothness, seed=3)
    assert rates.slope_of(curve.n, curve.tv) == pytest.approx(-smoothness / (2 * smoothness + 1), abs=0.04)
    assert rates.slope_of(curve.n, curve.stop) == pytest.approx(-2 / (2 * smoothness + 1), abs=0.18)
    assert rates.slope_of(curve.n, curve.w1) == pytest.approx(-0.5, abs=0.09)
    assert np.all(rates.on_grid(rates.coefficients(smoothness)) > 0.09)


def test_a_sharp_cutoff_uses_what_heat_cannot():
    smooth, kinked = lab.rate_curve(smoothness=3.0), lab.rate_curve(smoothness=1.0)
    assert smooth.cutoff[-1] < 0.8 * smooth.expected[-1]
    assert kinked.cutoff[-1] == pytest.approx(kinked.expected[-1], rel=0.1)


@pytest.mark.parametrize("stop", [3e-5, 1e-3])
def test_expected_total_variation_against_samples(stop):
    found = rates.empirical(1.0, 2000, np.random.default_rng(1), 150)
    tv = rates.total_variation(rates.on_grid(rates.heat(stop) * found), rates.on_grid(rates.coefficients(1.0)))
    line = rates.expected_tv(rates.moments(1.0, rates.heat(np.array([stop]))), np.array([2000]))[0, 0]
    assert abs(tv.mean() - line) < 4 * tv.std() / np.sqrt(tv.size)


def samples_of(found, n):
    """The places of n samples, from their Fourier coefficients."""
    counts = np.rint(np.fft.irfft(found, rates.N_GRID) * n).astype(int)
    return np.repeat(rates.X, counts)


def test_law_at_the_stop_against_sklearn():
    found = rates.empirical(1.0, 200, np.random.default_rng(0), 1)[0]
    places = samples_of(found, 200)
    assert places.size == 200
    stop = 4e-4
    wrapped = np.concatenate([places - 1, places, places + 1])[:, None]
    kde = KernelDensity(bandwidth=np.sqrt(stop)).fit(wrapped)
    expected = 3 * np.exp(kde.score_samples(rates.X[::64, None]))
    assert np.allclose(rates.on_grid(rates.heat(stop) * found)[::64], expected, rtol=1e-6, atol=1e-9)


def test_particles_of_the_reverse_sde_against_the_law():
    rng = np.random.default_rng(2)
    found = rates.empirical(1.0, 12, rng, 1)[0]
    places = samples_of(found, 12)
    x, stop = rng.random(4000), 2e-3
    times = np.geomspace(0.5, stop, 260)
    for t, after in itertools.pairwise(times):
        gap = (x[:, None] - places + 0.5) % 1 - 0.5
        gap = gap[:, :, None] + np.arange(-1, 2) * (t > 0.02)
        weight = np.exp(-0.5 * gap**2 / t)
        score = -(weight * gap).sum(axis=(1, 2)) / weight.sum(axis=(1, 2)) / t
        x = (x + (t - after) * score + np.sqrt(t - after) * rng.standard_normal(x.size)) % 1
    cdf = np.concatenate([[0], np.cumsum(rates.on_grid(rates.heat(stop) * found))]) / rates.N_GRID
    edges = np.append(rates.X - 0.5 / rates.N_GRID, 1 - 0.5 / rates.N_GRID)
    assert stats.ks_1samp(x, lambda at: np.interp(at, edges, cdf)).statistic < 1.95 / np.sqrt(x.size) + 0.005


def test_w1_on_the_circle_against_pot():
    rng = np.random.default_rng(5)
    found = rates.empirical(1.0, 50, rng, 1)[0]
    smooth, truth = rates.heat(1e-3) * found, rates.coefficients(1.0)
    every = 8
    a, b = (np.maximum(rates.on_grid(c).reshape(-1, every).mean(axis=1), 0) for c in (smooth, truth))
    places = (rates.X.reshape(-1, every)).mean(axis=1)
    expected = ot.wasserstein_circle(places, places, a / a.sum(), b / b.sum(), p=1)
    assert rates.wasserstein(smooth, truth) == pytest.approx(float(np.ravel(expected)[0]), rel=0.02)


def test_late_stops_memorize():
    late, good = lab.stopping(n_samples=100, early_stop=1e-6), lab.stopping(n_samples=100, early_stop=1e-3)
    assert late.memory > 0.45
    assert good.memory < 0.22
    assert late.tv_chosen > 4 * good.tv.min()
    assert lab.stop_map().tv[0, 0] > 0.6  # T = 1e-6, n = 100


def test_vertex_of_parabolas():
    x = np.linspace(-2, 2, 21)
    centers = np.array([-1.33, 0.0, 0.71])
    assert np.allclose(setting.vertex(x, (x - centers[:, None]) ** 2), centers)


# --- training -----------------------------------------------------------------------------------------------------


def test_posterior_against_quadrature_and_tweedie():
    law = training.data_law(2.0)
    x, t = np.array([-1.2, 0.1, 0.9]), np.array([0.1, 0.5, 1.4])
    mean, variance = training.posterior(law, x, t)
    for k in range(3):
        alpha, sigma = np.exp(-t[k]), np.sqrt(1 - np.exp(-2 * t[k]))
        joint = lambda z, k=k, a=alpha, s=sigma: law.pdf(np.array(z)) * stats.norm.pdf(x[k], a * z, s)  # noqa: E731
        mass, first, second = (integrate.quad(lambda z, p=p: z**p * joint(z), -4, 4)[0] for p in range(3))
        assert mean[k] == pytest.approx(first / mass, abs=1e-7)
        assert variance[k] == pytest.approx(second / mass - (first / mass) ** 2, abs=1e-7)
        noised = law.noised(sigma / alpha)
        slope = (np.log(noised.pdf((x[k] + 1e-5) / alpha)) - np.log(noised.pdf((x[k] - 1e-5) / alpha))) / 2e-5
        assert (alpha * mean[k] - x[k]) / sigma**2 == pytest.approx(slope, abs=1e-6)


def test_labels_drawn_anew_have_the_posterior_law():
    law = training.data_law(1.5)
    for x, t in ((0.2, 0.6), (-0.7, 1.2)):
        n = 20_000
        draws = training.posterior_draw(law, np.full(n, x), np.full(n, t), np.random.default_rng(0))
        mean, variance = training.posterior(law, np.array([x]), np.array([t]))
        assert abs(draws.mean() - mean[0]) < 4 * np.sqrt(variance[0] / n)
        assert draws.var() == pytest.approx(variance[0], rel=0.05)


def test_tangent_kernel_against_networks():
    rng = np.random.default_rng(1)
    u = rng.standard_normal((4, 3))
    w = rng.standard_normal((400_000, 3))
    on = (w @ u.T > 0).astype(float)
    expected = (u @ u.T) * (on.T @ on) / w.shape[0]
    assert np.allclose(training.tangent_kernel(u, u), expected, atol=0.02)


def test_closed_form_is_gradient_descent():
    rng = np.random.default_rng(2)
    law = training.data_law(2.0)
    x, t, labels = training.draw(law, 30, rng)
    u, at = training.features(x, t), training.features(*training.draw(law, 7, rng)[:2])
    kernel, f, g = training.tangent_kernel(u, u), np.zeros(30), np.zeros(7)
    descender = training.Descender(u)
    for _ in range(40):
        residual = labels - f
        f, g = f + kernel @ residual / 30, g + training.tangent_kernel(at, u) @ residual / 30
    learned = descender.learned(np.array([40.0]))[0] * (descender.vectors.T @ labels)
    assert np.allclose(descender.readout(at) @ learned, g, atol=1e-9)
    # Modes decay as (1 - eta lambda/n)^k, and in the end the labels are interpolated.
    assert np.allclose(1 - descender.learned(np.array([40.0]))[0], (1 - np.linalg.eigvalsh(kernel) / 30) ** 40, atol=1e-9)
    last = descender.learned(np.array([1e12]))[0] * (descender.vectors.T @ labels)
    assert np.allclose(descender.readout(u) @ last, labels, atol=1e-4)


def test_risk_is_u_shaped_and_right():
    result = lab.risk_curve()
    best = result.total.argmin()
    assert 0 < best < result.time.size - 1
    assert result.total[-1] > 3 * result.total[best] and result.total[0] > 3 * result.total[best]
    assert np.all(np.diff(result.bias) < 1e-9) and np.all(np.diff(result.variance) > -1e-9)
    # Labels drawn 300 times on the same inputs.
    descender, mean, _, readout, truth, _ = training._prepared(2.0, 100, 0)
    rng = np.random.default_rng(8)
    law = training.data_law(2.0)
    x, t, _ = training.draw(law, 100, np.random.default_rng(0))
    assert np.allclose(training.posterior(law, x, t)[0], mean)
    labels = np.stack([training.posterior_draw(law, x, t, rng) for _ in range(300)])
    for k in (12, 36):
        fits = (descender.learned(result.time[[k]])[0] * (labels @ descender.vectors)) @ readout.T
        risks = np.mean((fits - truth) ** 2, axis=1)
        assert abs(risks.mean() - result.total[k]) < 4 * risks.std() / np.sqrt(300)


def test_wide_networks_follow_the_kernel():
    result = lab.width_curve(network_width=1000, network_time=10, n_pairs=40)
    assert -0.65 < np.polyfit(np.log(result.width), np.log(result.gap), 1)[0] < -0.35
    assert result.gap[-1] < 0.04
    start = training.network(20, 2, np.random.default_rng(0))
    assert np.allclose(start(np.random.default_rng(1).standard_normal((3, 5))), 0, atol=1e-12)


# --- subspaces ----------------------------------------------------------------------------------------------------------


def test_span_is_found_exactly_from_d_samples_on():
    rng = np.random.default_rng(0)
    for ambient, d in ((30, 5), (12, 3), (20, 15)):
        for n in (d - 1, d, d + 3, 40):
            truth, found = subspaces.learn(rng, 3, ambient, d, 1, n, 0.0)
            share = subspaces.recovered(found, truth)
            assert np.allclose(share, min(n, d) / d, atol=1e-10)


def test_principal_directions_against_sklearn():
    rng = np.random.default_rng(1)
    for n in (8, 50):  # through the Gram matrix, and not
        x = rng.standard_normal((n, 20)) * np.linspace(3, 0.5, 20)
        expected = TruncatedSVD(4, algorithm="arpack").fit(x).components_
        found = subspaces.principal(x, 4)
        assert np.allclose(found @ found.T, expected.T @ expected, atol=1e-7)


def test_noisy_directions_against_the_spike_formula():
    assert subspaces.spiked_cosine(30, np.array([40]), 0.3)[0] == pytest.approx(0.931, abs=5e-4)
    truth, found = subspaces.learn(np.random.default_rng(3), 200, 30, 5, 1, 40, 0.3)
    share = subspaces.recovered(found, truth)
    assert abs(share.mean() - 0.931) < 0.008
    truth, found = subspaces.learn(np.random.default_rng(4), 20, 100, 1, 1, 4000, 1.5)
    gamma, spike = 100 / 4000, 1.5**-2
    assert subspaces.recovered(found, truth).mean() == pytest.approx((1 - gamma / spike**2) / (1 + gamma / spike), abs=0.02)


def test_components_minimize_the_denoising_loss():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((25, 10)) * np.linspace(2, 0.3, 10)
    z = rng.standard_normal((40, 25, 10))

    def loss(u, sigma):
        # Antithetic noise: the term odd in it vanishes.
        keep = 1 / (1 + sigma**2)
        return np.mean([np.sum((x - keep * (x + s * sigma * z) @ u @ u.T) ** 2) / 25 for s in (1, -1)])

    best = subspaces.principal(x, 3)
    for sigma in (0.1, 1.0):
        others = [np.linalg.qr(best + 0.2 * rng.standard_normal(best.shape))[0] for _ in range(8)]
        assert all(loss(other, sigma) > loss(best, sigma) for other in others)


def test_low_rank_denoiser_against_gaussian_posteriors():
    rng = np.random.default_rng(6)
    found = subspaces.basis(rng, (3,), 8, 2)
    y, sigma = rng.standard_normal((6, 8)), 0.7
    covariance = [u @ u.T for u in found]
    weight = np.stack([stats.multivariate_normal.pdf(y, np.zeros(8), c + sigma**2 * np.eye(8)) for c in covariance])
    each = np.stack([y @ np.linalg.solve(c + sigma**2 * np.eye(8), c) for c in covariance])
    expected = np.einsum("kn,knd->nd", weight / weight.sum(axis=0), each)
    assert np.allclose(subspaces.low_rank_denoiser(y, found, sigma), expected, atol=1e-12)


def test_generated_samples_have_the_models_covariance():
    rng = np.random.default_rng(7)
    found = subspaces.basis(rng, (2,), 12, 2)
    x = subspaces.generate(found, 8000, rng)
    expected = 0.5 * sum(u @ u.T for u in found)
    assert np.abs(x.T @ x / 8000 - expected).max() < 0.035
    assert np.mean(subspaces.inside_share(x, found) > 0.99) > 0.97  # a few short ones stand between


def test_clusters_are_found():
    truth, found = subspaces.learn(np.random.default_rng(8), 2, 20, 2, 3, 20, 0.0)
    assert subspaces.match(truth, found).min() > 0.999
    short, enough = (lab.generated(n_per_subspace=n, subspace_dim=5) for n in (4, 5))
    assert short.at == pytest.approx((0.8, 1.0)) and enough.at == pytest.approx((1.0, 1.0))
    assert short.samples[:, 1].std() < 1e-6
    assert enough.samples[:, 1].std() > 0.8


# --- a reader's table -----------------------------------------------------------------------------------------------------


def test_leaving_one_out_is_what_it_says():
    rng = np.random.default_rng(0)
    u, stops = rng.random(9), np.array([1e-3, 0.05])
    phi, kept = reader_table.cosines(u), reader_table.keep(stops)
    assert np.allclose(phi[6], np.sqrt(2) * np.cos(7 * np.pi * u))
    found = reader_table.leave_one_out(phi.mean(axis=1), (phi**2).mean(axis=1), 9, kept)
    for k in range(2):
        square = np.sum((kept[k] * phi.mean(axis=1)) ** 2)
        others = [kept[k] * np.delete(phi, i, axis=1).mean(axis=1) @ phi[:, i] for i in range(9)]
        assert found[k] == pytest.approx(square - 2 * np.mean(others), rel=1e-10)


def test_smoothness_of_known_densities():
    # A triangle's coefficients fall like k^-2: smooth of order 3/2 in mean square, T like n^(-1/2).
    values = pl.DataFrame({"value": np.random.default_rng(2).triangular(0, 0.5, 1, 16_000)})
    result = lab.own_data(table=values)
    assert abs(result.slope + 0.5) < 3 * result.slope_error + 0.05
    assert result.slope_error < 0.25
    rough, smooth = (lab.own_data(smoothness=s) for s in (0.5, 2.0))
    assert rough.slope + 2 * rough.slope_error < smooth.slope - 2 * smooth.slope_error
    mass = np.trapezoid(result.density, result.x)
    assert mass == pytest.approx(1, abs=1e-3)


def test_tables_that_cannot_be_used():
    with pytest.raises(ParameterError, match="rows"):
        lab.own_data(table=pl.DataFrame({"value": np.arange(50.0)}))
    with pytest.raises(ParameterError, match="different"):
        lab.own_data(table=pl.DataFrame({"value": np.arange(500.0) % 7}))
    with pytest.raises(ParameterError, match="ambient"):
        lab.recovery_map(ambient=10, subspace_dim=12)
