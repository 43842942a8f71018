"""The solvable model against brute-force draws, the shared eigenframework, exact limits, and the plan's numbers."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from compute.models.eigenframework import ridge_risk
from compute.models.spectra import explicit_modes
from compute.scaling_laws.solvable_model import feature_spectrum, loss_curve, loss_plane, tilt
from compute.scaling_laws.solvable_model.losses import SIZES
from compute.scaling_laws.solvable_model.model import (
    asymptote,
    fixed_ridge_loss,
    frontier,
    latent_modes,
    local_exponents,
    optimal_ridge_loss,
)
from compute.scaling_laws.solvable_model.spectrum import rectified_covariance


def simulate(rng, alpha, latents, n, t, ridge, sigma):
    """One draw of the model as it is written down; the test loss is exact given the draw."""
    lam = np.arange(1.0, latents + 1) ** -(1 + alpha)
    w = rng.standard_normal(latents)
    x = rng.standard_normal((t, latents)) * np.sqrt(lam)
    u = rng.standard_normal((n, latents))
    phi, y = x @ u.T, x @ w + sigma * rng.standard_normal(t)
    if ridge == 0:
        theta = np.linalg.lstsq(phi, y, rcond=None)[0]
    elif n <= t:
        theta = np.linalg.solve(phi.T @ phi + ridge * np.eye(n), phi.T @ y)
    else:
        theta = phi.T @ np.linalg.solve(phi @ phi.T + ridge * np.eye(t), y)
    return np.sum(lam * (w - u.T @ theta) ** 2) + sigma**2


@pytest.mark.parametrize(
    "n,t,ridge,sigma", [(40, 160, 0.0, 0.0), (160, 40, 0.0, 0.0), (100, 100, 1e-2, 0.0), (200, 60, 1e-1, 0.3), (60, 150, 5.0, 0.4)]
)
def test_drawn_models_have_the_loss(n, t, ridge, sigma):
    rng = np.random.default_rng([n, t])
    draws = np.array([simulate(rng, 0.8, 800, n, t, ridge, sigma) for _ in range(20)])
    theory = float(fixed_ridge_loss(latent_modes(0.8, 800), n, t, max(ridge, 1e-10), sigma**2).loss)
    error = draws.std(ddof=1) / np.sqrt(20)
    assert abs(draws.mean() - theory) < 4 * np.hypot(error, 0.01 * theory)  # the theory's own error is 1% at 40


def test_symmetric_in_features_and_samples():
    modes = latent_modes(0.6, 2000)
    for ridge in (1e-8, 1e-2, 10.0, 1e4):
        n, t = np.array([5.0, 40.0, 333.0, 2000.0]), np.array([2000.0, 41.0, 10.0, 1999.0])
        there, back = fixed_ridge_loss(modes, n, t, ridge, 0.0).loss, fixed_ridge_loss(modes, t, n, ridge, 0.0).loss
        assert there == pytest.approx(back, rel=1e-12)
        kappa = fixed_ridge_loss(modes, n, t, ridge, 0.0).kappa
        z = np.array([np.sum(modes.weight * modes.eigenvalue / (modes.eigenvalue + k)) for k in kappa])
        if ridge >= 1e-2:
            assert kappa * (n - z) * (t - z) == pytest.approx(np.full(4, ridge), rel=1e-6)


def test_agrees_with_the_eigenframework():
    latents = 1500
    lam = np.arange(1.0, latents + 1) ** -1.8
    exact = explicit_modes(lam, lam)
    n, t = np.array([30.0, 200.0, 90.0, 400.0]), np.array([200.0, 30.0, 90.0, 300.0])
    for ridge, noise in ((1e-3, 0.0), (1.0, 0.2), (100.0, 0.01)):
        known = ridge_risk(exact, t, n, ridge / n, noise).test
        assert fixed_ridge_loss(exact, n, t, ridge, noise).loss == pytest.approx(known, rel=1e-10)
        assert fixed_ridge_loss(latent_modes(0.8, latents), n, t, ridge, noise).loss == pytest.approx(known, rel=1e-5)


def test_power_law_with_everything_else_infinite():
    modes = latent_modes(0.8, 2_000_000)
    assert float(fixed_ridge_loss(modes, 200, 1e9, 1e-9, 0.0).loss) == pytest.approx(float(asymptote(0.8, 200)), rel=0.01)
    by_n, by_t = local_exponents(modes, 200, 1e9, 1e-9, 0.0)
    assert by_n == pytest.approx(0.8, abs=0.01) and abs(by_t) < 1e-3


def test_ridgeless_limit():
    # kappa m/(1 - m/M') with z(kappa) = m, found here by bisection on the exact sum.
    lam = np.arange(1.0, 3001) ** -1.8
    for small, large in ((50, 200), (150, 160)):
        low, high = 1e-12, 10.0
        for _ in range(200):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if np.sum(lam / (lam + middle)) > small else (low, middle)
        known = low * small / (1 - small / large)
        assert float(fixed_ridge_loss(latent_modes(0.8, 3000), small, large, 1e-10, 0.0).loss) == pytest.approx(known, rel=1e-5)


def test_best_ridge_and_best_split():
    modes = latent_modes(0.8, 5000)
    n = np.array([200.0, 100.0, 160.0, 200.0])
    clean = optimal_ridge_loss(modes, n, 40_000 / n, 0.0)
    assert clean.loss[:2] == pytest.approx([0.0701, 0.0830], abs=6e-5)
    known = minimize_scalar(
        lambda g: float(fixed_ridge_loss(modes, 200, 200, np.exp(g), 0.0).loss), bounds=(-5, 9), method="bounded"
    )
    assert clean.loss[0] == pytest.approx(known.fun, rel=1e-6)
    assert clean.ridge[0] == pytest.approx(np.exp(known.x), rel=0.02)
    ratio = np.exp(np.linspace(-2, 2, 81))
    noisy = optimal_ridge_loss(modes, 200 * np.sqrt(ratio), 200 / np.sqrt(ratio), 0.05).loss
    best = ratio[np.argmin(noisy)]
    assert noisy.min() == pytest.approx(0.1349, abs=6e-5)
    assert 200 * np.sqrt(best) == pytest.approx(160, rel=0.05) and best < 1


def test_frontier_is_the_diagonal_only_without_noise():
    plane = loss_plane(ridge_choice="optimal")
    assert plane.best_n == pytest.approx(plane.best_t, rel=1e-6) and plane.best_n.size > 100
    noisy = loss_plane(label_noise=0.3)
    large = noisy.best_n > 30
    assert large.any() and (noisy.best_t[large] > 1.1 * noisy.best_n[large]).all()
    bowl = (np.log(SIZES)[None, :] - 4) ** 2 + (np.log(SIZES)[:, None] - 5) ** 2  # least on N T = const at T = e N
    best_n, best_t = frontier(SIZES, bowl)
    assert best_t / best_n == pytest.approx(np.full(best_n.size, np.e), rel=1e-6)


def test_plane_and_curve_agree_with_noise():
    plane, curve = loss_plane(label_noise=0.2, n_samples=5), loss_curve(label_noise=0.2, n_samples=5, mc_repeats=0)
    assert plane.loss[0] == pytest.approx(curve.fixed, rel=1e-9)  # T = 5 is the plane's first row
    across = loss_curve(label_noise=0.2, n_features=5, swept="samples T", mc_repeats=0)
    assert plane.loss[:, 0] == pytest.approx(across.fixed, rel=1e-9)


def test_nothing_is_left_past_all_latents():
    modes = latent_modes(0.8, 100)
    assert float(fixed_ridge_loss(modes, 150, 140, 1e-8, 0.0).loss) < 1e-9
    rng = np.random.default_rng(0)
    assert simulate(rng, 0.8, 100, 150, 140, 0.0, 0.0) < 1e-18
    assert float(fixed_ridge_loss(modes, 1e6, 1e6, 1e-8, 0.09).loss) == pytest.approx(0.09, rel=1e-3)


def test_the_labs_own_draws_agree_with_the_full_model():
    simulated = tilt(mc_repeats=30, seed=2)
    points = simulated.simulation
    away = np.abs(np.log(points.k / points.n)) > 0.2
    full = fixed_ridge_loss(latent_modes(0.8, 3000), points.k, points.n, points.ridge * points.k, 0.0).loss
    assert (np.abs(points.test - full)[away] < 4 * np.hypot(points.test_error, 0.01 * full)[away]).all()


def test_rectified_covariance_is_that_of_samples():
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((6, 4)) * np.array([1.0, 0.5, 0.3, 0.1])
    x = rng.standard_normal((400_000, 4))
    sampled = np.cov(np.maximum(x @ weights.T, 0), rowvar=False)
    exact = rectified_covariance(weights @ weights.T)
    assert sampled == pytest.approx(exact, abs=4 * 2 * exact.max() / np.sqrt(400_000))


def test_spectra_end_or_go_on():
    found = feature_spectrum(latents=100, n_features=400)
    assert found.linear_rank == 100 and found.linear[100] < 1e-12
    assert found.rectified[150] > 1e-5
    assert found.headline()["fitted to linear features"] == pytest.approx(1.8, abs=0.15)
