"""Heat kernels against their duals, SciPy, moments and each other; the sampler against exact masses."""

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.special import eval_gegenbauer, eval_legendre

from compute.diffusion_samplers.riemannian_heat_kernels import (
    angle_law,
    reverse_flow,
    rotation_classes,
    score_errors,
    terms_needed,
)
from compute.diffusion_samplers.riemannian_heat_kernels.sampler import Sphere, Torus
from compute.models import su3_heat_kernel as su3
from compute.models.sphere_heat_kernel import (
    EigenSum,
    dual_kernel,
    log_volume,
    multiplicities,
    parametrix_score,
    polynomials,
    random_walk,
)
from compute.parameters import ParameterError

THETA = np.linspace(0, np.pi, 302)[1:-1]


def test_polynomials_are_those_of_scipy():
    x = np.linspace(-1, 1, 41)
    for ell in (0, 1, 7, 30):
        assert polynomials(2, 31, x)[ell] == pytest.approx(eval_legendre(ell, x), abs=1e-12)
        scaled = eval_gegenbauer(ell, 2.5, x) / eval_gegenbauer(ell, 2.5, 1.0)
        assert polynomials(6, 31, x)[ell] == pytest.approx(scaled, abs=1e-11)
    assert multiplicities(2, 5) == pytest.approx([1, 3, 5, 7, 9]) and multiplicities(3, 4) == pytest.approx([1, 4, 9, 16])
    assert np.exp(log_volume(2)) == pytest.approx(4 * np.pi)


@pytest.mark.parametrize("d", [1, 3])
def test_sum_over_eigenfunctions_is_the_sum_over_windings(d):
    sums = EigenSum(d, 400, THETA)
    for t in (1e-3, 0.1, 1.0, 10.0):
        kernel, slope = dual_kernel(d, t, THETA, 6)
        assert np.abs(sums.kernel(t) - kernel).max() < 1e-12 * kernel.max()
        if t >= 1:
            assert sums.kernel(t) == pytest.approx(kernel, rel=1e-11)
        if t <= 1:
            assert np.abs(sums.derivative(t) - slope).max() < 1e-11 * np.abs(slope).max()


@pytest.mark.parametrize("d", [2, 3, 5, 64])
def test_mass_is_one_and_the_mean_cosine_decays(d):
    theta = np.linspace(0, np.pi, 4001)
    volume = np.exp(log_volume(d - 1)) * np.sin(theta) ** (d - 1)
    sums = EigenSum(d, 150, theta)
    for t in (0.05, 0.5):
        kernel = sums.kernel(t)
        assert simpson(kernel * volume, x=theta) == pytest.approx(1, abs=1e-10)
        assert simpson(kernel * volume * np.cos(theta), x=theta) == pytest.approx(np.exp(-d * t / 2), abs=1e-10)
    assert sums.kernel(60.0) == pytest.approx(np.full(theta.size, np.exp(-log_volume(d))), rel=1e-6)


def test_derivative_is_that_of_the_kernel():
    for d in (1, 2, 7):
        step = 1e-6
        up, down, here = (EigenSum(d, 60, THETA + s) for s in (step, -step, 0.0))
        numeric = (up.kernel(0.1) - down.kernel(0.1)) / (2 * step)
        assert here.derivative(0.1) == pytest.approx(numeric, abs=1e-6 * np.abs(numeric).max())


def test_parametrix_has_second_order_error_and_is_exact_on_the_circle_and_su2():
    near = THETA[THETA < 0.6]
    for d in (2, 6):
        errors = []
        for t in (0.02, 0.04):
            sums = EigenSum(d, 300, near)
            errors.append(np.abs(parametrix_score(d, t, near) - sums.derivative(t) / sums.kernel(t)).max())
        assert np.log2(errors[1] / errors[0]) == pytest.approx(2, abs=0.2)
    for d in (1, 3):
        kernel, slope = dual_kernel(d, 0.05, near, 4)
        assert parametrix_score(d, 0.05, near) == pytest.approx(slope / kernel, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 9])
def test_random_walk_has_the_mean_cosine_of_the_kernel(d):
    cosine = np.cos(random_walk(d, 0.4, 20_000, 200, np.random.default_rng(d)))
    error = cosine.std(ddof=1) / np.sqrt(cosine.size)
    assert abs(cosine.mean() - np.exp(-d * 0.2)) < 4 * error + 2e-4  # 200 steps


def test_walkers_follow_the_exact_law():
    law = angle_law(space="sphere of any dimension", dimension=5, time=0.3, walkers=20_000)
    expected = np.interp(law.centers, law.theta, law.density)
    seen = expected * (law.centers[1] - law.centers[0]) * 20_000 > 20
    z = (law.walkers - expected)[seen] / law.standard_error[seen]
    assert np.mean(z**2) < 2.0


def test_su3_kernel_integrates_to_one_and_its_traces_decay():
    n = 120
    grid = (np.arange(n) + 0.5) * 2 * np.pi / n - np.pi
    a, b = map(np.ravel, np.meshgrid(grid, grid + 0.01))
    haar = su3.weyl_density(a, b) * (2 * np.pi / n) ** 2
    assert haar.sum() == pytest.approx(1, abs=1e-12)
    kernel = su3.kernel(a, b, 0.3, 30)
    trace = np.exp(1j * a) + np.exp(1j * b) + np.exp(-1j * (a + b))
    adjoint = np.abs(trace) ** 2 - 1
    assert (kernel * haar).sum() == pytest.approx(1, abs=1e-9)
    assert (kernel * haar * trace).sum() == pytest.approx(3 * np.exp(-4 / 3 * 0.15), abs=1e-9)
    assert (kernel * haar * adjoint).sum() == pytest.approx(8 * np.exp(-3 * 0.15), abs=1e-9)
    assert kernel.min() > -1e-6 * kernel.max()
    with pytest.raises(ParameterError, match=r"0\.05"):
        rotation_classes(time=0.01)


def test_both_sums_cost_alike_at_two_pi_on_the_circle():
    result = terms_needed()
    assert result.crossing("circle") == pytest.approx(2 * np.pi, rel=0.06)
    early = (result.time > 2e-3) & (result.time < 0.1)
    slope = np.polyfit(np.log(result.time[early]), np.log(result.eigen["circle"][early]), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.03)


def test_errors_are_small_on_their_own_sides():
    for space in ("circle", "sphere", "SU(2)"):
        result = score_errors(space=space)
        assert result.error[-1, -20:].max() < 1e-6 and result.error[10, 0] > 0.5
        assert result.parametrix[0] < 1e-6 and result.varadhan[-1] > 0.5
    assert np.all(np.diff(score_errors(space="sphere").switch[5:]) <= 0)


def test_moves_stay_on_the_manifold_and_exact_samples_have_the_kernel_s_law():
    rng = np.random.default_rng(3)
    space = Sphere.of(1, 0.2)
    x = space.uniform(2000, rng)
    for _ in range(50):
        x = space.move(x, space.score(x, 0.5), 0.05, rng)
    assert np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-12
    drawn = space.draw(40_000, 0.2, rng) @ space.center[0]
    assert abs(drawn.mean() - np.exp(-0.2)) < 4 * drawn.std() / 200 + 1e-3


def test_score_is_the_gradient_of_the_mixture():
    space = Sphere.of(4, 0.1)
    rng = np.random.default_rng(6)
    x = space.uniform(20, rng)

    def log_density(x):
        log_kernel, _ = space.table(0.3)
        theta = np.arccos(np.clip(x @ space.center.T, -1, 1))
        return np.log(np.exp(np.interp(theta, np.linspace(0, np.pi, 502)[1:-1], log_kernel)) @ space.weight)

    side = rng.standard_normal(x.shape)
    side -= np.sum(side * x, axis=1, keepdims=True) * x
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    h = 0.02
    numeric = (log_density(np.cos(h) * x + np.sin(h) * side) - log_density(np.cos(h) * x - np.sin(h) * side)) / (2 * h)
    assert np.sum(space.score(x, 0.3) * side, axis=1) == pytest.approx(numeric, abs=0.02 * np.abs(numeric).max())


@pytest.mark.parametrize("surface", ["sphere", "torus"])
def test_reverse_flow_returns_the_masses(surface):
    flow = reverse_flow(surface=surface, n_modes=4, steps=300, points=4000)
    assert np.all(np.abs(flow.mass - flow.exact_mass) < 4 * flow.mass_error)
    assert flow.harmonics[0] < 3 * flow.harmonics[1]
    assert Torus.of(4).weight.sum() == pytest.approx(1)
