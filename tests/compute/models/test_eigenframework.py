"""The eigenframework against the kernel formula, exact limits, closed forms and direct Monte Carlo."""

import numpy as np
import pytest
from scipy import optimize

from compute.models import eigenframework as ef
from compute.models.ridge_simulation import draw_features, simulate_risk
from compute.models.spectra import Head, Modes, power_law_head, power_law_modes

MODES = power_law_modes(1.5, 1.8)


def test_infinite_features_give_the_kernel_formula():
    n, ridge, noise = 137, 2e-3, 0.05
    lam, weight, power = MODES.eigenvalue, MODES.weight, MODES.power
    kappa = optimize.brentq(lambda x: weight @ (lam / (lam + x)) + ridge / x - n, 1e-12, 10, xtol=1e-18, rtol=1e-14)
    result = ef.ridge_risk(MODES, n, np.inf, ridge, noise)
    q = weight @ (lam / (lam + kappa)) ** 2
    expected = (power @ (kappa / (lam + kappa)) ** 2 + noise) / (1 - q / n)
    assert result.gamma == result.kappa == pytest.approx(kappa, rel=1e-10)
    assert result.test == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n,k,ridge", [(50, 80, 1e-3), (1e4, 10, 1e-8), (10, 1e5, 10.0), (200, 200, 1e-8), (300, 40, 1e-5)])
def test_fixed_point_solves_both_equations_and_the_printed_risk(n, k, ridge):
    sums, kappa = ef.fixed_point(MODES, n, k, ridge)
    z, q, gamma = sums.z, sums.q, sums.gamma
    assert z + ridge / kappa == pytest.approx(n, rel=1e-9)
    assert z + k * kappa / gamma == pytest.approx(k, rel=1e-9)
    # 088 as printed; its denominator loses digits where ours does not.
    printed = (sums.a - kappa * k / (k - q) * sums.b + 0.05) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
    assert ef.ridge_risk(MODES, n, k, ridge, 0.05).test == pytest.approx(printed, rel=1e-5)


def test_flat_spectrum_without_ridge_is_least_squares():
    d, noise = 30, 0.7
    modes = Modes(np.ones(d), np.ones(d), np.full(d, 1 / d))
    n = np.array([40.0, 60.0, 300.0])
    limit = ef.risk(ef.mode_sums(modes, np.full(3, 1e-14)), n, np.inf, noise)
    assert limit == pytest.approx(noise / (1 - d / n), rel=1e-10)


def test_effective_ridge_of_a_flat_spectrum_is_the_root_of_a_quadratic():
    d, samples, ridge = 50, 80, 0.3
    # kappa = ridge + kappa (d/samples)/(1 + kappa)
    b = 1 - ridge - d / samples
    exact = (-b + np.sqrt(b**2 + 4 * ridge)) / 2
    assert ef.effective_ridge(np.ones(d), samples, ridge) == pytest.approx(exact, rel=1e-12)
    lam = np.array([2.0, 1.0, 0.1])
    assert ef.df1(lam, 0.5) == pytest.approx(0.8 + 2 / 3 + 1 / 6) and ef.df2(lam, 0.5) == pytest.approx(0.64 + 4 / 9 + 1 / 36)


@pytest.mark.parametrize("alpha,beta,noise", [(1.5, 1.8, 0.05), (1.1, 3.5, 0.0), (2.5, 1.2, 1.0)])
def test_best_risk_never_rises_with_samples_or_features(alpha, beta, noise):
    modes = power_law_modes(alpha, beta)
    n, k = np.geomspace(10, 1e4, 40), np.geomspace(10, 1e5, 40)
    best, _ = ef.optimal_plane(ef.gamma_table(modes, n, k), n, k, noise)
    assert np.max(np.diff(best, axis=0) / best[1:]) < 1e-9
    assert np.max(np.diff(best, axis=1) / best[:, 1:]) < 1e-9


def test_best_ridge_beats_every_other_and_is_found_by_a_library_too():
    n, k, noise = 120.0, 90.0, 0.1
    best = ef.optimal_risk(MODES, n, k, noise)
    found = optimize.minimize_scalar(
        lambda x: float(ef.ridge_risk(MODES, n, k, np.exp(x), noise).test), bounds=(-10, 5), method="bounded"
    )
    assert best.test[0] == pytest.approx(found.fun, rel=1e-8)
    assert best.ridge[0] == pytest.approx(np.exp(found.x), rel=1e-2)
    plane, _ = ef.optimal_plane(ef.gamma_table(MODES, np.array([n]), np.array([k])), np.array([n]), np.array([k]), noise)
    assert 0 <= plane[0, 0] / best.test[0] - 1 < 2e-3


def test_theory_at_the_reference_point():
    # 3,000 modes whose power is scaled to 1 over them, and all modes: a colleague's independent program.
    head = power_law_head(1.5, 1.8, 3000)
    cut = Head(head.eigenvalue, head.power / head.power.sum(), 0.0, 0.0)
    assert ef.ridge_risk(cut.modes(), 100, 150, 1e-3, 0.05).test == pytest.approx(0.3034, abs=1e-4)
    assert ef.ridge_risk(MODES, 100, 150, 1e-3, 0.05).test == pytest.approx(0.3141, abs=1e-4)


def direct_risk(rng, head, n, k, ridge, noise):
    """Test risk of one regression straight from its definition, every feature weight drawn."""
    root = np.sqrt(head.eigenvalue)
    phi = rng.standard_normal((n, root.size))
    labels = phi @ np.sqrt(head.power) + np.sqrt(noise) * rng.standard_normal(n)
    weights = rng.standard_normal((root.size, k))
    features = (phi * root) @ weights / np.sqrt(k)
    dual = np.linalg.solve(features @ features.T + ridge * np.eye(n), labels)
    learned = root * (weights @ (features.T @ dual)) / np.sqrt(k)
    return np.sum((np.sqrt(head.power) - learned) ** 2) + noise, ridge**2 * dual @ dual / n


def test_theory_agrees_with_the_definition():
    head = power_law_head(1.5, 1.8, 600)
    cut = Head(head.eigenvalue, head.power / head.power.sum(), 0.0, 0.0)
    rng = np.random.default_rng(5)
    for n, k, ridge in ((100, 150, 1e-3), (100, 60, 0.1)):
        draws = np.array([direct_risk(rng, cut, n, k, ridge, 0.05) for _ in range(60)])
        theory = ef.ridge_risk(cut.modes(), n, k, ridge, 0.05)
        for sample, value in zip(draws.T, (theory.test, theory.train), strict=True):
            assert abs(sample.mean() - value) < 3.5 * sample.std() / np.sqrt(60)


@pytest.mark.parametrize("n,k", [(20, 3), (20, 40), (4, 3), (3, 4)])
def test_short_simulation_draws_the_law_of_the_definition(n, k):
    # Few modes and samples, where theory is far off but the two ways to simulate must have one law.
    head = Head(np.array([1, 0.5, 0.2, 0.1, 0.05]), np.array([0.3, 0.3, 0.2, 0.1, 0.1]), 0.0, 0.0)
    rng = np.random.default_rng(n + k)
    plain = np.array([direct_risk(rng, head, n, k, 0.05, 0.1) for _ in range(1500)])
    short = np.array([np.ravel(draw_features(rng, head, n, k, 0.1).risk(n, k, 0.05)) for _ in range(1500)])
    error = np.hypot(plain.std(axis=0), short.std(axis=0)) / np.sqrt(1500)
    assert np.all(np.abs(plain.mean(axis=0) - short.mean(axis=0)) < 4 * error)


def test_tail_as_infinitely_many_small_modes_is_a_sound_stand_in():
    for n, k in ((50, 100), (200, 400), (400, 100)):
        whole = ef.ridge_risk(MODES, n, k, 1e-3, 0.05).test
        stand_in = ef.ridge_risk(power_law_head(1.5, 1.8, 3 * n + 100).modes(), n, k, 1e-3, 0.05).test
        assert stand_in == pytest.approx(whole, rel=0.01)


def test_simulation_follows_the_theory_of_its_own_modes():
    head = power_law_head(1.3, 2.0, 400)
    n, k = np.array([40.0, 40, 120, 120]), np.array([120.0, 15, 60, np.inf])
    *_, (_, result) = simulate_risk(3, head, n, k, np.array([1e-2, 1e-2, 0.3, 1e-2]), 0.2, 150)
    assert np.all(np.abs(result.test - result.theory.test) < 4 * result.test_error + 0.02 * result.theory.test)


@pytest.mark.parametrize("alpha,beta,capped", [(1.5, 1.3, 1.3), (1.4, 2.0, 2.0), (1.2, 4.0, 3.4)])
def test_fitting_law_is_the_large_n_limit_of_the_sums(alpha, beta, capped):
    # The law is exact as n -> infinity; the sums approach it. Beyond beta = 2 alpha + 1 the exponent is capped there.
    modes, n = power_law_modes(alpha, beta), 1e6
    ridgeless = float(ef.ridge_risk(modes, n, np.inf, 1e-12, 0.0).test)
    for s in (0.3, 2.0, 30.0):
        u = float(ef.best_fill(alpha, beta, s))
        best = ef.optimal_risk(modes, n, np.inf, s * ridgeless)
        assert np.sqrt(best.train[0] / best.test[0]) == pytest.approx(1 - u, abs=0.01)
        if u < 1:
            assert (1 - 1 / alpha) * (alpha * s * u**capped + capped * u) == pytest.approx(capped - 1, rel=1e-10)


def test_interpolation_ends_at_the_critical_noise():
    # alpha = 1.5, beta = 2: the line is s = 2/3; here the sums at n = 2000 are minimized themselves.
    modes, n = power_law_modes(1.5, 2.0), 2000.0
    ridgeless = float(ef.ridge_risk(modes, n, np.inf, 1e-12, 0.0).test)
    positive = [ef.optimal_risk(modes, n, np.inf, s * ridgeless).ridge[0] > 0 for s in (2 / 3 - 0.02, 2 / 3 + 0.02)]
    assert positive == [False, True]
    assert ef.critical_noise(1.5, 2.0) == pytest.approx(2 / 3)
