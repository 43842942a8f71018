"""The lab on Feynman-Kac correctors: what it claims about heuristic and corrected samplers."""

import numpy as np
import pytest

from compute.diffusion_samplers import feynman_kac_correctors as lab
from compute.parameters import ParameterError


@pytest.mark.parametrize("operation,gain", [("anneal", 3), ("guidance", 3), ("product", 2), ("union", 10)])
def test_correction_is_nearer_to_the_exact_target(operation, gain):
    result = lab.correction(operation=operation, beta=3.0)
    assert result.corrected_w1 * gain < result.heuristic_w1
    # Masses within four standard errors by families, where those mean anything.
    sure = (result.corrected_mass_error > 0.003) & (result.families > 30)
    assert np.all(np.abs(result.corrected_mass - result.exact_mass)[sure] < 4.5 * result.corrected_mass_error[sure] + 0.01)
    assert result.exact_mass.sum() == pytest.approx(1) and result.corrected_mass.sum() == pytest.approx(1)


def test_no_composition_no_difference():
    result = lab.correction(operation="anneal", beta=1.0, steps=200)
    assert result.effective > 0.9 and result.corrected_w1 < 0.15 and result.heuristic_w1 < 0.15


def test_heuristic_variance_formula():
    assert lab.heuristic_variance(np.array(3.0), np.array(30.0)) == pytest.approx(0.2, abs=1e-9)
    assert lab.heuristic_variance(np.array(1.0), np.array(5.0)) == pytest.approx(1.0, abs=1e-12)
    assert lab.heuristic_variance(np.array(0.5), np.array(7.0)) == pytest.approx(2 + np.log(50.0), rel=1e-12)
    near = lab.heuristic_variance(np.array([0.5 - 1e-6, 0.5 + 1e-6]), np.array(7.0))
    assert near == pytest.approx(2 + np.log(50.0), rel=1e-4)
    # Against the ODE of the variance, dV/dv = 2 beta V/v - 1, from the top down.
    beta, v_top = 0.8, 26.0
    from scipy.integrate import solve_ivp

    end = solve_ivp(lambda v, state: 2 * beta * state / v - 1, (v_top, 1.0), [v_top / beta], rtol=1e-10, atol=1e-12).y[0, -1]
    assert lab.heuristic_variance(np.array(beta), np.array(5.0)) == pytest.approx(end, rel=1e-7)


@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_particles_at_a_place_of_the_map(beta):
    result = lab.variance_map(beta=beta, top_ratio=10.0, particles=20_000)
    assert abs(result.simulated - result.theory) < 4 * result.simulated_error
    assert abs(result.corrected - 1) < 4 * result.corrected_error + 0.02


def test_more_noise_makes_weights_average_out():
    calm, noisy = (
        [lab.correction(beta=3.0, noise_scale=c, particles=2000, steps=100, seed=k) for k in range(4)] for c in (1.0, 2.5)
    )
    assert np.mean([r.corrected_w1 for r in noisy]) < 0.6 * np.mean([r.corrected_w1 for r in calm])
    assert np.mean([r.families for r in noisy]) > 1.4 * np.mean([r.families for r in calm])
    assert np.mean([r.heuristic_w1 for r in noisy]) > 1  # no noise repairs the heuristic


def test_scaling_improves_with_particles_and_the_heuristic_does_not():
    *_, (_, result) = lab.scaling.stream(operation="guidance", steps=50)
    assert result.corrected_w1[-1] < 0.3 * result.corrected_w1[0]
    assert result.heuristic_w1[-1] > 0.7 * result.heuristic_w1[2]
    assert np.all(result.exact_w1 <= result.corrected_w1 + 3 * result.corrected_w1_error)


def test_forgetting():
    result = lab.union_map(experts=5, dropped_shard=2)
    assert result.w1_after < 0.1 * result.w1_constant
    assert abs(result.forgotten - result.expected_forgotten) < 4 * np.sqrt(0.01 / lab.N_UNION)
    assert np.all(result.owner != 1)  # territory of the dropped shard is gone
    assert result.attribution.sum(axis=1) == pytest.approx(1)


def test_refusals():
    with pytest.raises(ParameterError, match="3 shards"):
        lab.correction(operation="union", experts=3, dropped_shard=4)
    with pytest.raises(ParameterError, match="no weights"):
        lab.weights(operation="union")
    with pytest.raises(ParameterError, match="2 shards"):
        lab.union_map(experts=2, dropped_shard=3)
