"""Stochastic interpolants: same marginals for all noise, the likelihood bound, the simplex, the couplings."""

import numpy as np
import ot
import pytest
from scipy.integrate import quad, solve_ivp

from compute.methods.fokker_planck import fokker_planck
from compute.models.interpolants import Blend, JointMixture
from compute.parameters import ParameterError
from compute.transport_bridges.stochastic_interpolants import (
    cost,
    couplings,
    film,
    likelihood,
    noise_curve,
    noise_map,
    restoration,
    simplex,
    triangle,
)
from compute.transport_bridges.stochastic_interpolants.carried_laws import integrate
from compute.transport_bridges.stochastic_interpolants.setting import INTERPOLANTS, base_law, blend, data_law, ends


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_blend_rates_are_derivatives(name):
    for t in (0.13, 0.5001, 0.8):
        h = 1e-6
        before, at, after = (blend(name, t + s, 1.7) for s in (-h, 0, h))
        assert np.allclose(at.rate, (after.weight - before.weight) / (2 * h), atol=1e-6)
        assert at.half_rate == pytest.approx((after.variance - before.variance) / (4 * h), abs=1e-6)


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_ends_are_the_laws_asked_for(name):
    joint, x = ends(3, 4), np.linspace(-4, 4, 30)
    first = data_law(4) if name == "mirror" else base_law(3)
    assert np.allclose(joint.law(blend(name, 0.0, 1.0)).pdf(x), first.pdf(x), atol=1e-13)
    assert np.allclose(joint.law(blend(name, 1.0, 1.0)).pdf(x), data_law(4).pdf(x), atol=1e-13)


def test_encoder_passes_through_the_normal_law():
    law = ends(3, 4).law(blend("encoder-decoder", 0.5, 1.0))
    assert np.abs(law.means).max() < 1e-12 and law.width == pytest.approx(1)


def test_gaussian_ends_have_the_stated_moments():
    joint = ends(1, 1)
    law = joint.law(blend("trigonometric", 0.3, 2.0))
    a, b = np.cos(0.15 * np.pi), np.sin(0.15 * np.pi)
    assert law.mean[0] == pytest.approx(1.5 * b)
    assert law.width**2 == pytest.approx(a**2 + 0.16 * b**2 + 2.0 * 0.21)


@pytest.mark.parametrize("eps", [0.0, 0.3, 3.0])
def test_same_marginals_for_every_diffusion(eps):
    """Mean and second moment at t = 1/2 and 1 within 3.5 standard errors of the mixture's."""
    joint, rng, n = ends(2, 3), np.random.default_rng(3), 4000

    def path(t: float) -> Blend:
        return blend("linear", t, 1.0)

    start = joint.law(path(0.0)).sample(rng, n)
    run = integrate(joint, path, start, np.linspace(0, 1, 101), eps, rng)
    for k in (50, 100):
        law, x = joint.law(path(k / 100)), run[k, :, 0]
        for power, exact in ((1, law.mean[0]), (2, law.covariance[0, 0] + law.mean[0] ** 2)):
            assert abs(np.mean(x**power) - exact) < 3.5 * np.std(x**power) / np.sqrt(n)


def test_ode_is_the_quantile_map():
    """A flow on the line that carries one law to another keeps quantiles: x(1) = Q_1(F_0(x))."""
    result = film()
    u = base_law(2).cdf(result.ode[0])
    assert np.abs(result.ode[-1] - data_law(3).quantile(u)).max() < 0.02
    assert result.distance["ODE"] < 0.01 and result.worst["SDE"] < 4


# --- likelihood --------------------------------------------------------------------------------------------


def test_published_setting_of_the_plan():
    """N(0, 1) to modes at -2 and 2, both errors 0.3: the same KL by a plain even grid in x, where no drift is exact."""
    system = likelihood.Evolution("linear", 1.0, 1, 2)
    eps = np.array([0.2, 1.0, 5.0])
    found = system.divergence(system.ratios(eps, 0.3, 0.3))
    assert found == pytest.approx([0.027, 0.015, 0.013], rel=0.05)
    assert system.bound(eps, 0.3, 0.3) == pytest.approx([0.061, 0.029, 0.072], rel=0.05)
    # First order in the cell: twice the finer value less the coarser one.
    assert found == pytest.approx(2 * _plain_divergence(eps, 800) - _plain_divergence(eps, 400), rel=0.02)


def _plain_divergence(eps: np.ndarray, n: int) -> np.ndarray:
    joint, n_steps = ends(1, 2), n // 2
    edges = np.linspace(-6, 6, n + 1)
    walls = edges[1:-1, None]
    pairs = [joint.drifts(walls, blend("linear", (k + 0.5) / n_steps, 1.0)) for k in range(n_steps)]
    b = np.array([p[0][:, 0] for p in pairs]) + 0.3 * likelihood.first_error(walls[:, 0])
    s = np.array([p[1][:, 0] for p in pairs]) + 0.3 * likelihood.second_error(walls[:, 0])
    start = np.diff(base_law(1).cdf(edges)) * n / 12
    end = np.diff(data_law(2).cdf(edges)) * n / 12
    plain = fokker_planck(start, b, s, np.ones_like(b), eps, edges, 1 / n_steps)
    seen = end > 1e-13
    return np.sum(end[seen] * np.log(end[seen] / plain[:, seen]), axis=1) * 12 / n


def test_bound_by_quadrature():
    system = likelihood.Evolution("linear", 1.0, 2, 3)
    joint = ends(2, 3)

    def at(t: float) -> float:
        law = joint.law(blend("linear", t, 1.0))
        return quad(lambda x: law.pdf(x) * (0.4 * np.cos(1.3 * x) + 0.7 * 0.2 * np.sin(0.9 * x + 0.5)) ** 2, -9, 9, limit=200)[0]

    nodes, weights = np.polynomial.legendre.leggauss(12)
    exact = sum(0.5 * w * at(0.5 * (u + 1)) for u, w in zip(nodes, weights, strict=True)) / (4 * 0.7)
    assert system.bound(np.array([0.7]), 0.4, 0.2)[0] == pytest.approx(exact, rel=1e-4)


def test_bound_holds_everywhere_and_is_least_at_its_ridge():
    result = noise_map(base_modes=1, modes=2)
    assert np.all(result.divergence[1:] <= result.bound[1:])
    assert np.all(result.divergence[0] <= result.bound[0])
    system = likelihood.Evolution("linear", 1.0, 1, 2)
    best = system.best(0.5, 0.3)
    around = system.bound(best * np.array([0.95, 1.0, 1.05]), 0.5, 0.3)
    assert around[1] < min(around[0], around[2])


def test_no_error_no_divergence():
    result = noise_curve(drift_error=0.0, score_error=0.0)
    assert result.divergence.max() < 1e-6 and result.bound.max() == 0
    assert "no" in result.headline()["ε* of the bound"]


def test_constant_velocity_error_moves_a_gaussian(monkeypatch):
    """u_1 = 1 on Gaussian ends: the mean's error obeys m' = (b' - eps/v) m + delta, and KL = m^2/(2 v_1)."""
    monkeypatch.setattr(likelihood, "first_error", np.ones_like)
    system = likelihood.Evolution("linear", 1.0, 1, 1, 400, 400)
    joint = ends(1, 1)

    def rate(t: float, m: np.ndarray) -> np.ndarray:
        at = blend("linear", t, 1.0)
        slope = np.diff(np.stack(joint.drifts(np.array([[0.0], [1.0]]), at))[:, :, 0], axis=1)[:, 0]
        return (slope[0] + 0.8 * slope[1]) * m + 0.2

    m = solve_ivp(rate, (0, 1), [0.0], rtol=1e-9).y[0, -1]
    found = system.divergence(system.ratios(np.array([0.8]), 0.2, 0.0))[0]
    assert found == pytest.approx(m**2 / (2 * 0.16), rel=0.02)


# --- simplex -----------------------------------------------------------------------------------------------


def test_interpolation_is_exact_for_linear_tables():
    rng = np.random.default_rng(4)
    alpha = rng.dirichlet(np.ones(3), 200)
    alpha[:3] = np.eye(3)
    c = np.array([1.0, -2.0, 0.5])
    assert np.abs(simplex.interpolate(simplex.grid() @ c, alpha) - alpha @ c).max() < 1e-12


def test_metric_at_the_vertices():
    """At the first vertex g_1 = x_1 and the others are their means: G_11 = E|x_1|^2, G_22 = |m_2|^2."""
    laws = simplex.shapes("waves")
    joint = simplex.independent(laws)
    table = simplex.metric(joint, np.random.default_rng(5))
    first = table[simplex.place(0, 0)]
    exact = np.trace(laws[0].covariance) + laws[0].mean @ laws[0].mean
    assert first[0, 0] == pytest.approx(exact, rel=0.05)
    assert first[1, 1] == pytest.approx(laws[1].mean @ laws[1].mean, abs=1e-10)
    # alpha^T G alpha = E|x(alpha)|^2 everywhere, as sum_k alpha_k g_k = x.
    alpha = simplex.grid()[40]
    second = sum(a**2 * np.trace(law.covariance) for a, law in zip(alpha, laws, strict=True))
    second += np.sum((alpha @ np.array([law.mean for law in laws])) ** 2)
    assert alpha @ table[40] @ alpha == pytest.approx(second, rel=0.06)


def test_triangle_carries_the_ring_to_the_cross():
    result = triangle(path_bend=0.3)
    assert result.distance < result.floor + 0.06
    assert abs(result.cost - result.simulated_cost) < 4 * result.simulated_error + 0.03 * result.cost
    assert result.best_paced <= result.edge_paced <= result.bend_cost[0] + 1e-12
    exact = simplex.shapes("waves")[1].sample(np.random.default_rng(6), 240)
    again = simplex.shapes("waves")[1].sample(np.random.default_rng(7), 240)
    end = result.particles[-1].astype(float)
    floor = ot.sliced_wasserstein_distance(exact, again, seed=0)
    assert ot.sliced_wasserstein_distance(end, exact, seed=0) < floor + 0.15


# --- couplings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", couplings.COUPLINGS)
def test_cost_obeys_jensen_and_its_quadrature_is_enough(name, monkeypatch):
    pair = couplings.pair(name, 0.1)
    for joint in (pair.coupled, pair.twin):
        few, error, gap = couplings.kinetic(joint, np.random.default_rng(8))
        assert few <= gap + 1e-9
        assert gap == pytest.approx(couplings.distance_squared(joint), rel=0.2)
        with monkeypatch.context() as more:
            more.setattr(couplings, "N_NODES", 40)
            many = couplings.kinetic(joint, np.random.default_rng(8))[0]
        assert abs(few - many) < 0.03 * many + error


def test_twin_has_the_same_ends():
    rng = np.random.default_rng(9)
    for name in couplings.COUPLINGS:
        pair = couplings.pair(name, 0.4)
        a, b = (j.sample(rng, 4000) for j in (pair.coupled, pair.twin))
        for k in (0, 1):
            error = np.sqrt((a[k].var(axis=0) + b[k].var(axis=0)) / 4000)
            assert np.all(np.abs(a[k].mean(axis=0) - b[k].mean(axis=0)) < 4.5 * error)


def test_masks_and_filters_keep_what_they_say():
    rng = np.random.default_rng(10)
    for name in ("mask", "low-pass"):
        pair = couplings.pair(name, 0.03)
        assert np.allclose(pair.basis @ pair.basis.T, np.eye(16), atol=1e-12)
        x0, x1 = (end @ pair.basis.T for end in pair.coupled.sample(rng, 500))
        if name == "mask":
            left = np.tile([True, True, False, False], 4)
            kept = np.where(left, x1, 0)
        else:
            blocks = x1.reshape(-1, 2, 2, 2, 2).mean(axis=(2, 4))
            kept = np.repeat(np.repeat(blocks, 2, axis=1), 2, axis=2).reshape(-1, 16)
        assert np.std(x0 - kept) == pytest.approx(0.03, rel=0.05)


def test_gaussian_coupling_against_solve_ivp():
    """One pattern: the flow is linear; Euler's end approaches scipy's, and the exact end is the affine map of the laws."""
    full = couplings.pair("noisy copy", 0.5).coupled
    one = JointMixture(np.ones(1), full.means[:1], full.covariance)
    x = one.sample(np.random.default_rng(11), 3)[0]

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        return one.velocity(y.reshape(3, 16), couplings.linear(t)).ravel()

    exact = solve_ivp(rate, (0, 1), x.ravel(), rtol=1e-9, atol=1e-9).y[:, -1].reshape(3, 16)
    scale = np.sqrt(full.covariance[:, 1, 1] / full.covariance[:, 0, 0])
    assert np.abs(exact - (one.means[0, 1] + scale * (x - one.means[0, 0]))).max() < 1e-6
    errors = [np.abs(couplings.euler(one, x, n)[-1] - exact).max() for n in (50, 100)]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.15)


def test_coupling_restores_and_chance_does_not():
    result = restoration(coupling="mask")
    assert result.restored > 0.97 and result.twin_restored < 0.4
    assert result.kept < 0.25 < result.twin_kept
    priced = cost(coupling="mask")
    assert priced.at[1] < priced.at[2] and priced.w1[1] < priced.twin_w1[1]


def test_bad_values_are_named():
    with pytest.raises(ParameterError, match="diffusion"):
        film(diffusion=0.0)
