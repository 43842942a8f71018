"""Function-space diffusion: series against constants, schemes against Gaussian conditioning, meshes against rotations."""

import numpy as np
import pytest
from scipy.special import zeta
from scipy.stats import multivariate_normal, wasserstein_distance

from compute.diffusion_samplers.function_space_diffusion import (
    enough_points,
    field_draws,
    growth_map,
    mesh_transfer,
    mode_growth,
    mode_spectrum,
)
from compute.diffusion_samplers.function_space_diffusion.growth import kl_terms
from compute.diffusion_samplers.function_space_diffusion.meshes import (
    LandmarkLaw,
    exact_distance,
    extrinsic_law,
    intrinsic_law,
    landmarks,
    projections,
    turn,
)
from compute.diffusion_samplers.function_space_diffusion.reverse import (
    score,
    time_grid,
    variance_after,
    variance_in_continuum,
    walk_back,
)
from compute.diffusion_samplers.function_space_diffusion.sampling import interpolate
from compute.diffusion_samplers.function_space_diffusion.setting import (
    DOMAINS,
    FieldLaw,
    bumpy_mesh,
    centers,
    domain_of,
    eigenvalues,
    field_law,
    powers,
)
from compute.models.laplacian_modes import circle_modes, mesh_modes
from compute.parameters import ParameterError


def gaussian_law(a: float, s: float, modes: int = 64) -> FieldLaw:
    k = np.arange(1.0, modes + 1)
    return FieldLaw(k ** (-2 * a), k ** (-2 * s), np.zeros((1, modes)))


# --- energy and gaps


def test_energy_of_noise_is_zeta_or_the_number_of_modes():
    growth = mode_growth(noise_smoothness=1.0)
    # zeta(2) less its tail 1/512 - 1/(2 512^2).
    assert growth.energy[-1] == pytest.approx(np.pi**2 / 6 - 1 / 512 + 0.5 / 512**2, abs=1e-8)
    assert mode_growth(noise_smoothness=3.0).energy[-1] == pytest.approx(zeta(6), abs=1e-12)
    assert mode_growth(domain="circle", noise_smoothness=3.0).energy[-1] == pytest.approx(2 * zeta(6), abs=1e-10)
    white = mode_growth(noise_smoothness=0.0)
    assert np.array_equal(white.energy, white.modes)


def test_terminal_kl_constants():
    growth = mode_growth(data_smoothness=1.25, noise_smoothness=0.75, horizon=1.0)
    assert growth.kl[-1] == pytest.approx(22.6244, abs=1e-4)
    steep = mode_growth(data_smoothness=4.0, noise_smoothness=0.0, horizon=1.0)
    assert steep.kl[-1] - steep.kl[-2] == pytest.approx(0.04540, abs=5e-6)
    matched = mode_growth(data_smoothness=1.0, noise_smoothness=1.0)
    assert np.all(matched.kl == 0) and np.all(matched.w2 == 0)


def test_kl_of_a_mode_by_quadrature():
    for q in (0.4, 0.9995, 1.0004, 3.0, 40.0):
        node, weight = np.polynomial.hermite_e.hermegauss(40)
        # E over N(0, q) of log N(x; 0, q)/N(x; 0, 1).
        x = np.sqrt(q) * node
        exact = np.sum(weight * (0.5 * x**2 - 0.5 * x**2 / q - 0.5 * np.log(q))) / weight.sum()
        assert kl_terms(np.array([q - 1]))[0] == pytest.approx(exact, rel=1e-6, abs=1e-15)


def test_growth_exponents_by_long_sums():
    for domain, d in (("interval", 1), ("torus", 2)):
        rough = mode_growth(domain=domain, data_smoothness=0.5, noise_smoothness=2.0, horizon=0.5)
        smooth = mode_growth(domain=domain, data_smoothness=3.0, noise_smoothness=0.5, horizon=0.5)
        for growth, wanted in ((rough, 1 + 2 * 1.5 / d), (smooth, 1.0)):
            measured = np.log2(growth.kl[511] / growth.kl[255])
            assert growth.exponent == wanted and measured == pytest.approx(wanted, abs=0.06)
    # Far from e^T the gap is still quadratic in v/r.
    early = mode_growth(data_smoothness=0.5, noise_smoothness=1.5, horizon=10.0)
    assert np.log2(early.kl[31] / early.kl[15]) == pytest.approx(5.0, abs=0.25)


def test_map_holds_the_same_exponents_and_no_gap_on_the_diagonal():
    plane = growth_map(modes=128, horizon=1.0)
    i, j = 40, 24  # s = 2.5, a = 2
    growth = mode_growth(data_smoothness=float(plane.data_smoothness[j]), noise_smoothness=2.5, horizon=1.0)
    assert plane.exponent[i, j] == pytest.approx(np.log2(growth.kl[127] / growth.kl[63]), rel=1e-9)
    s, a = np.meshgrid(plane.noise_smoothness, plane.data_smoothness, indexing="ij")
    assert np.array_equal(np.isnan(plane.exponent), s == a)


def test_draws_agree_with_theory():
    growth = mode_growth(noise_smoothness=0.5, data_smoothness=1.5, horizon=0.5, seed=3)
    at = growth.few.astype(int) - 1
    for drawn, error, exact in (
        (growth.energy_drawn, growth.energy_error, growth.energy),
        (growth.kl_drawn[1:], growth.kl_error[1:], growth.kl),
        (growth.w2_drawn[1:], growth.w2_error[1:], growth.w2),
    ):
        z = (drawn - exact[at[-drawn.size :]]) / error
        assert np.max(np.abs(z)) < 4


# --- the way back


@pytest.mark.parametrize(("a", "s"), [(1.5, 1.0), (0.8, 1.6), (1.5, 0.0)])
@pytest.mark.parametrize("reverse", ["stochastic", "deterministic"])
def test_scheme_returns_the_data_first_order(a, s, reverse):
    law = gaussian_law(a, s)
    errors = []
    for steps in (400, 800):
        times = time_grid(law.data[-1] / law.noise[-1], 3.0, steps)
        errors.append(np.abs(variance_after(law, times, reverse, law.variance(3.0)) / law.data - 1).max())
    # The last step, from a hundredth of v/r to 0, leaves 1e-4.
    assert errors[1] < 0.1 and np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("reverse", ["stochastic", "deterministic"])
@pytest.mark.parametrize(("a", "s"), [(1.5, 1.0), (0.8, 1.6)])
def test_start_from_noise_in_the_continuum(a, s, reverse):
    law = gaussian_law(a, s)
    limit = variance_in_continuum(law, 1.0, reverse, "noise")
    times = time_grid(law.data[-1] / law.noise[-1], 1.0, 6000)
    assert np.allclose(variance_after(law, times, reverse, law.noise), limit, rtol=0.01)
    if reverse == "stochastic":
        # The same by conditioning the joint Gaussian of X_0 and X_T.
        top = law.data * np.exp(-1) + law.noise * (1 - np.exp(-1))
        cross = law.data * np.exp(-0.5)
        assert np.allclose(limit, law.data - cross**2 / top + (cross / top) ** 2 * law.noise)
    if a < s:
        assert limit[-1] < 0.1 * law.data[-1]


def test_sampled_spectrum_stands_on_its_recursion():
    result = mode_spectrum(draws=1000, steps=60, seed=5)
    z = (result.sampled - result.scheme) / result.standard_error
    assert np.abs(z).max() < 4.5 and np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.35)


def test_score_is_the_gradient_of_the_mixtures_density():
    law = field_law(domain_of("interval", 6, 64), 0.7, 1.1, 3)
    t, x = 0.4, np.random.default_rng(0).standard_normal((1, 6))
    parts = [multivariate_normal(m * np.exp(-t / 2), np.diag(law.variance(t))) for m in law.means]

    def log_density(y):
        return np.log(np.mean([p.pdf(y) for p in parts]))

    step = 1e-5 * np.eye(6)
    numeric = [(log_density(x[0] + e) - log_density(x[0] - e)) / 2e-5 for e in step]
    assert np.allclose(score(law, x, t)[0], numeric, atol=1e-6)


def test_mixture_comes_back_with_its_shares_and_moments():
    law = field_law(domain_of("interval", 16, 64), 0.6, 1.2, 3)
    rng = np.random.default_rng(2)
    n, horizon = 4000, 2.0
    chosen = rng.integers(3, size=n)
    x = law.means[chosen] * np.exp(-horizon / 2) + np.sqrt(law.variance(horizon)) * rng.standard_normal((n, 16))
    for x in walk_back(rng, law, x, time_grid(law.data[-1] / law.noise[-1], horizon, 150), "stochastic"):
        pass
    square = np.sum((x[:, None, :] - law.means) ** 2 / law.data, axis=2)
    share = np.bincount(np.argmin(square, axis=1), minlength=3) / n
    assert np.abs(share - 1 / 3).max() < 4 * np.sqrt(2 / 9 / n)
    mean = law.means.mean(axis=0)
    total = law.data + law.means.var(axis=0)
    assert np.max(np.abs(x.mean(axis=0) - mean) / np.sqrt(total / n)) < 4
    assert np.allclose(x.var(axis=0) / total, 1, atol=0.12)


@pytest.mark.parametrize("domain", DOMAINS)
def test_fields_are_seen_through_the_domains_own_functions(domain):
    movie = field_draws(domain=domain, steps=40, modes=48, noise_smoothness=1.2)
    assert np.all(np.isfinite(movie.value))
    place = domain_of(domain, 48, 128 if domain in ("interval", "circle") else 0)
    # A mean stands highest at its own center.
    law = field_law(place, 1.0, 1.5, 3)
    peak = np.argmax(law.means @ place.modes.function.T, axis=1)
    distance = np.abs(place.points[peak] - place.points[centers(place, 3)])
    assert np.all(distance < 0.35)
    assert np.allclose(np.linalg.norm(law.means, axis=1), 2.0)


def test_mesh_refuses_more_modes_than_it_has():
    with pytest.raises(ParameterError) as error:
        mode_spectrum(domain="bumpy sphere", modes=300)
    assert error.value.name == "modes"


# --- points


def test_band_limited_function_is_rebuilt():
    k = 20
    n = 2 * k + 1
    angle = 2 * np.pi * np.arange(n) / n
    coefficients = np.random.default_rng(1).standard_normal(2 * k)
    fine = np.linspace(0, 2 * np.pi, 300)
    rebuilt = interpolate(circle_modes(angle, 2 * k).function @ coefficients, fine)
    assert np.max(np.abs(rebuilt - circle_modes(fine, 2 * k).function @ coefficients)) < 1e-12
    result = enough_points(modes=64, points=201)
    assert result.enough == 65 and np.max(result.error[result.n_points >= 65]) < 1e-13
    assert np.max(np.abs(result.value - result.rebuilt)) < 1e-12


@pytest.mark.parametrize("modes", [63, 64])
def test_aliasing_error_by_theory_by_draws_and_by_quadrature(modes):
    result = enough_points(modes=modes, data_smoothness=0.8, points=31, seed=4)
    below = result.theory > 0
    z = (result.error - result.theory)[below] / result.standard_error[below]
    assert np.abs(z).max() < 4
    # The function shown is the first drawn: its own error by quadrature of what is shown, against a plain bound.
    fine_error = np.sqrt(np.mean((result.value - result.rebuilt)[:-1] ** 2) * 2 * np.pi)
    assert 0.3 < fine_error / np.interp(31, result.n_points, result.theory) < 2


# --- meshes


def test_intrinsic_law_knows_no_pose():
    vertices, triangles = bumpy_mesh(4)
    laws = []
    for points in (vertices, turn(vertices, 77.0)):
        modes = mesh_modes(points, triangles, 40)
        laws.append((modes.function * powers(modes.eigenvalue, 1.5)) @ modes.function.T)
    assert np.allclose(np.linalg.norm(turn(vertices, 77.0), axis=1), np.linalg.norm(vertices, axis=1))
    assert np.max(np.abs(laws[0] - laws[1])) < 1e-10
    assert len(set(landmarks(4))) == 42


def test_projected_distance_against_scipy():
    one = intrinsic_law(4, 1.5, 3)
    other = extrinsic_law(40.0, 1.5, 3)
    rng = np.random.default_rng(0)
    first, second = (law.sample(rng, 20_000) @ projections(42) for law in (one, other))
    sampled = np.mean([wasserstein_distance(first[:, k], second[:, k]) for k in range(16)])
    assert exact_distance(one, other) == pytest.approx(sampled, rel=0.05)
    assert exact_distance(one, one) == 0
    # Two normals that differ in their means alone: the shift.
    shifted = LandmarkLaw(one.means + 0.3, one.root)
    assert exact_distance(one, shifted) == pytest.approx(0.3 * np.mean(np.abs(projections(42).sum(axis=0))), rel=1e-3)


def test_own_modes_converge_and_coordinates_do_not():
    result = mesh_transfer(rotation=90.0)
    assert np.all(np.diff(np.log(result.intrinsic)) < 0)
    # An error of order h^2 is one of order 1/n.
    slope = np.log(result.intrinsic[3] / result.intrinsic[1]) / np.log(result.vertices[3] / result.vertices[1])
    assert slope == pytest.approx(-1.0, abs=0.25)
    assert result.extrinsic_here > 20 * result.turned[0]
    assert result.extrinsic[0] < 0.5 * result.extrinsic[6]
    assert abs(result.extrinsic_drawn - result.extrinsic_here) < 0.3 * result.extrinsic_here


def test_weyls_law_on_every_domain():
    for domain in DOMAINS:
        # A mesh holds its law for far fewer modes than it has vertices.
        modes = 60 if domain == "bumpy sphere" else 200
        spectrum = mode_spectrum(domain=domain, modes=modes, steps=10, draws=50)
        assert spectrum.eigenvalue[-1] == pytest.approx(spectrum.weyl[-1], rel=0.12), domain
        assert np.array_equal(spectrum.eigenvalue, eigenvalues(domain, modes))
