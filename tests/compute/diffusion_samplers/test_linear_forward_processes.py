"""Linear forward processes: stationarity, gaps, mixing rates, the bound in bits, and exact errors against particles."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import solve_continuous_lyapunov, sqrtm

from compute.diffusion_samplers import linear_forward_processes as lab
from compute.diffusion_samplers.linear_forward_processes import auxiliary, planar, process
from compute.models.gaussian_mixture import GaussianMixture, preset
from compute.models.linear_sde import LiftedMixture, SharedMixture


def test_normal_law_is_stationary_for_random_skew_parts():
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, angle, omega, beta = rng.uniform([1, 0, 0, 0.5], [20, 180, 10, 20])
        sde = process.planar(a, angle, omega, beta)
        assert np.allclose(-(sde.drift + sde.drift.T), sde.diffusion, atol=1e-12)
        assert np.allclose(solve_continuous_lyapunov(sde.drift, -sde.diffusion), np.eye(2), atol=1e-9)
    for k in (1, 2, 3):
        sde = process.chain(rng.uniform(0.5, 3, k), rng.uniform(0.1, 3, k + 1), 3.0)
        assert np.allclose(solve_continuous_lyapunov(sde.drift, -sde.diffusion), np.eye(k + 1), atol=1e-9)
    for sde in (process.damped(1.0, 2.0), process.third_order(0.7, 2.0)):
        assert np.allclose(solve_continuous_lyapunov(sde.drift, -sde.diffusion), np.eye(sde.dimension), atol=1e-9)


def test_gap_formula_and_its_bounds():
    rng = np.random.default_rng(1)
    for _ in range(40):
        a, angle, omega, beta = rng.uniform([1, 0, 0, 0.5], [20, 180, 10, 20])
        sde = process.planar(a, angle, omega, beta)
        by_matrix = np.sort_complex(-np.linalg.eigvals(sde.drift))
        by_formula = np.sort_complex(process.planar_eigenvalues(a, omega, beta))
        assert np.allclose(by_matrix, by_formula, rtol=1e-10)
        still = process.planar(a, angle, 0.0, beta).gap()
        assert still - 1e-9 <= sde.gap() <= -np.trace(sde.drift) / 2 + 1e-9
    result = lab.spectrum(anisotropy=9.0, omega=4.0)
    assert result.critical == 4.0
    assert np.allclose(result.gap[result.omega >= 4.0], result.ceiling)
    assert np.all(np.diff(result.gap[result.omega <= 4.0]) > 0)


def test_critical_frictions():
    # All eigenvalues equal: 1 for CLD, sqrt 3 for the third order; a defective matrix answers to cube-root rounding.
    assert np.allclose(-process.damped(1.0, 2.0).eigenvalues() / 2, 1.0, atol=1e-6)
    assert np.allclose(-process.third_order(1.0, 2.0).eigenvalues() / 2, np.sqrt(3), atol=1e-4)
    for friction in (0.8, 1.25):
        assert process.damped(friction, 2.0).gap() < process.damped(1.0, 2.0).gap()
        assert process.third_order(friction, 2.0).gap() < process.third_order(1.0, 2.0).gap()


def test_no_auxiliary_is_variance_preserving():
    a, noise = process.variance_preserving(3.0).transition(0.4)
    assert a[0, 0] == pytest.approx(np.exp(-1.2), rel=1e-12)
    assert noise[0, 0] == pytest.approx(-np.expm1(-2.4), rel=1e-12)


def test_divergence_against_formula_and_scipy():
    mean, covariance = np.array([0.4, -0.7]), np.array([[0.5, 0.2], [0.2, 1.4]])
    law = SharedMixture(np.ones(1), mean[None], covariance)
    exact = 0.5 * (np.trace(covariance) + mean @ mean - 2 - np.log(np.linalg.det(covariance)))
    assert process.divergence_to_normal(law) == pytest.approx(exact, rel=1e-12)
    data = preset("three_modes_1d", 1.0)
    line = SharedMixture(data.weights, data.means, np.array([[data.width**2]]))

    def integrand(x):
        at = np.array([[x]])
        log_p = float(line.log_density(at)[0])
        return np.exp(log_p) * (log_p + 0.5 * x * x + 0.5 * np.log(2 * np.pi))

    whole = quad(integrand, -4, 6, limit=400, points=[-0.25, 0.75, 1.75])[0]
    assert process.divergence_to_normal(line, 60) == pytest.approx(whole, abs=1e-4)
    # The rule that the views use, where they use it most.
    ring = LiftedMixture.of_data(process.planar(4.0, 120.0, 2.0, 2.0), process.planar_data(1.0))
    for t in (0.3, 1.0, 2.0):
        fine = process.divergence_to_normal(ring.at(t), 40)
        assert process.divergence_to_normal(ring.at(t), 10) == pytest.approx(fine, rel=2e-3)


def test_late_slope_is_twice_or_four_times_the_gap():
    off_center = lab.mixing(omega=1.0, horizon=4.0, offset=1.0)
    assert off_center.fitted == pytest.approx(2 * off_center.gap[-1], rel=0.02)
    centered = lab.mixing(omega=1.0, horizon=4.0, offset=0.0, beta=1.0)
    assert centered.rate[-1] == 4 * centered.gap[-1]
    slope = -np.polyfit(centered.time[-5:], np.log(centered.divergence[-1][-5:]), 1)[0]
    assert slope == pytest.approx(centered.rate[-1], rel=0.02)


def test_bits_exceed_the_entropy_by_the_prior_gap():
    # Gaussian data: the bound of 197 as an integral along the forward process, -log pi(y_T) - int (tr(GG^T C^{-1})/2 + tr F) dt,
    # against joint entropy plus KL. Nothing of the code's own KL enters the left side.
    data = GaussianMixture(np.ones(1), np.array([[0.6]]), 0.5)
    for sde in (process.variance_preserving(1.5), process.damped(0.7, 1.5), process.third_order(1.0, 1.5)):
        law, k, horizon = auxiliary.lifted(sde, data), sde.dimension, 0.8

        def rate(t, law=law, sde=sde):
            return 0.5 * np.trace(sde.diffusion @ np.linalg.inv(law.at(t).covariance)) + np.trace(sde.drift)

        integral = quad(rate, 0, horizon, epsabs=1e-10)[0]
        end = law.at(horizon)
        second = np.trace(end.covariance) + end.means[0] @ end.means[0]
        bound = 0.5 * second + 0.5 * k * np.log(2 * np.pi) - integral
        joint_entropy = 0.5 * k * np.log(2 * np.pi * np.e) + np.log(0.5)
        assert bound == pytest.approx(joint_entropy + auxiliary.prior_gap(law, horizon), abs=1e-7)
    assert auxiliary.entropy(data) == pytest.approx(0.5 * np.log(2 * np.pi * np.e) + np.log(0.5), abs=1e-10)


def test_exact_w2_is_what_particles_show():
    drift, diffusion = planar._family(np.array([4.0]), np.array([3.0]), 120.0, 2.0)
    sde = process.planar(4.0, 120.0, 3.0, 2.0)
    assert np.allclose(drift[0], sde.drift, atol=1e-12) and np.allclose(diffusion[0], sde.diffusion, atol=1e-12)
    mean = 1.5 * process.TOWARD
    data = GaussianMixture(np.ones(1), mean[None], 0.3)
    # The flow is affine: its action on 0 and the axes is all of it.
    probes = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    for horizon, nfe in ((0.6, 9), (2.0, 41)):
        *_, (_, end) = process.reverse_flow(LiftedMixture.of_data(sde, data), probes, nfe, horizon)
        matrix = (end[1:] - end[0]).T
        root = sqrtm(matrix @ matrix.T).real
        exact = np.sqrt(np.sum((end[0] - mean) ** 2) + np.sum((root - 0.3 * np.eye(2)) ** 2))
        found = planar.gaussian_w2(drift, diffusion, process.n_steps_of(nfe), horizon, 1.5)[0]
        assert found == pytest.approx(exact, rel=1e-6)


def test_rotation_buys_mixing_and_costs_steps():
    slow, fast = lab.mixing(omega=0.0), lab.mixing(omega=3.0)
    assert fast.divergence[-1, -1] < 0.05 * slow.divergence[-1, -1]
    some, much = lab.price_map(omega=3.0), lab.price_map(omega=9.0)
    assert some.at_gap == pytest.approx(much.at_gap)
    assert some.here < 0.6 * some.still and much.here > 10 * some.here
    assert much.forgotten < 0.1  # an exact integrator would not suffer


def test_reverse_flow_reaches_the_data():
    result = lab.spirals(horizon=4.0, nfe=120, offset=0.5)
    floor = planar.target_of(process.planar_data(0.5), planar.N_PARTICLES)
    assert result.error < floor[1] + 4 * floor[2]
    worse = lab.spirals(horizon=4.0, nfe=120, offset=0.5, score_error=0.3)
    assert worse.error > result.error


def test_learning_beats_what_it_starts_from():
    result = lab.auxiliaries(nfe=21, auxiliary=1)
    assert result.here[auxiliary.TUNED] < 1.05 * result.here["VP"]
    assert result.here["learned"] < 1.3 * result.here[auxiliary.TUNED]
    names = [curve.name for curve in lab.auxiliaries(nfe=11, auxiliary=0).curves]
    assert names == ["VP", "CLD", "third order", auxiliary.TUNED]
