"""The lab on reverse-time samplers: its numbers against the models', its claims, its refusals."""

import numpy as np
import pytest

from compute.diffusion_samplers.reverse_time_samplers import noise_map, poisson_map
from compute.diffusion_samplers.reverse_time_samplers import solvers as lab
from compute.diffusion_samplers.reverse_time_samplers.poisson import N_POISSON
from compute.methods import reverse_samplers as rs
from compute.models import gaussian_mixture as gm
from compute.models.noise_schedule import EDM
from compute.parameters import ParameterError


def test_good_sampling_reaches_the_noise_floor_in_every_data_set():
    for data in gm.PRESETS:
        # From far up, with many steps of the reverse SDE, nothing but sampling noise is left.
        result = lab.generation(data=data, solver="ER-SDE 3", noise_exponent=1.0, nfe=100, sigma_max=60.0)
        floor, spread = lab.target_of(lab.mixture_of(data, 3.0), lab.N_PARTICLES)[1:]
        assert abs(result.error - floor) < 4 * spread, data


def test_marginal_law_of_the_particles_is_the_exact_one_at_every_level():
    result = lab.generation(data="three_modes_1d", solver="ER-SDE 2", noise_exponent=1.0, nfe=60, sigma_max=60.0)
    mixture = lab.mixture_of("three_modes_1d", 3.0)
    width = np.diff(result.edges)
    for k in (10, 30, 50, len(result.noise_level) - 1):
        shrink = 1 / np.sqrt(1 + (result.noise_level[k] / mixture.scale) ** 2)
        p = np.diff(mixture.noised(result.noise_level[k]).cdf(result.edges / shrink))
        likely = p * lab.N_PARTICLES > 5
        chi = ((result.share[k] * width - p) ** 2 / p)[likely].sum() * lab.N_PARTICLES
        assert chi < likely.sum() + 4.5 * np.sqrt(2 * likely.sum()), k


def test_evaluations_spent_are_counted():
    for name, solver in rs.SOLVERS.items():
        mixture = gm.ring_2d(2.0)
        calls = []

        def denoise(y, sigma, calls=calls, mixture=mixture):
            calls.append(sigma)
            return mixture.denoise(y, sigma)

        for nfe in (3, 4, 20, 21):
            calls.clear()
            n_steps = solver.n_steps(nfe)
            levels = EDM.levels(n_steps, 20.0)
            known = lab.statistics_of(lab.mixture_of("ring_2d", 2.0), 20.0) if "v3" in name else None
            run = rs.Run(denoise, np.random.default_rng(0), statistics=known)
            rs.sample(solver.step, run, np.ones((3, 2)), levels)
            assert len(calls) == (n_steps - 1) * solver.evaluations + 1 <= max(nfe, 1), name
    result = lab.generation(solver="Heun", nfe=20)
    assert result.evaluations == 19


def test_orders_of_the_comparison():
    result = lab.comparison(separation=1.0, sigma_max=10.0, sde="VE")
    order = {curve.name: curve.order for curve in result.curves}
    assert order["Euler (DDIM)"] == pytest.approx(1.0, abs=0.15)
    assert order["Heun"] == pytest.approx(2.0, abs=0.3)
    assert order["DPM-Solver++ 2M"] == pytest.approx(2.0, abs=0.4)
    assert order["predictor-corrector"] is None


def test_noise_pays_where_the_plan_says():
    # Start mismatch: three off-center modes from a low top; far fewer sampling errors than the gap.
    values = {"data": "three_modes_1d", "separation": 2.0, "sigma_max": 4.0, "nfe": 50, "solver": "ER-SDE 1"}
    ode = lab.generation(noise_exponent=0.0, **values)
    sde = lab.generation(noise_exponent=1.0, **values)
    assert ode.error > 2 * sde.error and ode.error > 0.4
    # And the exact map agrees for one Gaussian; it turns at few steps from far away.
    assert noise_map(separation=2.0, nfe=50, sigma_max=4.0).at_eta == 1.0
    assert noise_map(separation=2.0, nfe=5, sigma_max=80.0).at_eta < 0.1


def test_poisson_flow_is_robust_and_diffusion_rigid():
    result = poisson_map(augmented_dimension=1.0, injected_noise=1.0)
    assert result.at_error < 0.6 * result.diffusion_error
    # Without injected noise every D reaches the data about equally well.
    clean = result.error[0]
    spread = lab.target_of(lab.mixture_of("ring_2d", 3.0), N_POISSON)[2]
    assert clean.max() - clean.min() < 4 * spread
    here = result.density[1.0]
    z = (result.simulated - np.interp(result.centers, result.ratio, here)) / np.maximum(result.simulated_error, 1e-9)
    assert np.sqrt(np.mean(z[2:] ** 2)) < 1.6


def test_where_v3_does_not_help():
    result = lab.comparison(separation=6.0, solver="DPM-Solver-v3", sde="EDM")
    error = {c.name: dict(zip(c.evaluations, c.endpoint, strict=True)) for c in result.curves if c.endpoint.size}
    assert error["DPM-Solver-v3"][12] > error["DPM-Solver++ 2M"][12]


def test_likelihood_error_is_the_integrator_s():
    result = lab.likelihood(data="ring_2d", nfe=100)
    assert np.max(np.abs(result.flow - result.exact)) < 0.02
    late = result.evaluations >= 100
    slope = np.polyfit(np.log(result.evaluations[late]), np.log(result.typical_error[late]), 1)[0]
    assert slope < -3


def test_refusals():
    with pytest.raises(ParameterError, match="at least 9"):
        lab.generation(sde="VP log T/T", nfe=8, solver="Euler (DDIM)")
    with pytest.raises(ParameterError, match="EDM, VE, VP or sub-VP"):
        noise_map(sde="VP log T/T")
    with pytest.raises(ParameterError):
        lab.generation(solver="nobody")
