"""The phase plane against a brute-force optimum of its terms, and measured exponents against the plane."""

import numpy as np
import pytest
from scipy import integrate

from compute.models import power_law_random_features as features
from compute.scaling_laws import four_plus_three_phases as lab

INSIDE = {
    "Ia": [(0.7, 0.3), (1.6, 0.45)],
    "Ib": [(0.4, 0.3), (0.15, 0.45)],
    "Ic": [(0.15, 0.9), (0.22, 1.7)],
    "II": [(1.0, 0.7), (1.8, 0.9)],
    "III": [(0.7, 1.2), (1.2, 1.9)],
    "IVa": [(0.4, 0.8), (0.33, 1.5)],
    "IVb": [(0.27, 0.9), (0.28, 1.8)],
}
POINTS = [(name, *point) for name, points in INSIDE.items() for point in points]


def brute_force(alpha, beta):
    """Exponents (x, y) of d* = f^x, P* = f^-y: the least over x of the largest of the terms' powers of f.

    Powers of the terms by hand: F_0 = d^{-2a + max(0, 1-2b)}, and with rho = gamma r, gamma = d^{min(0, 2a-1)}:
    F_pp = rho^{-1-(2b-1)/2a}, F_ac = rho^{-1+1/2a}/d (a, b > 1/2), K = gamma rho^{-2+1/2a} (a > 1/4).
    """
    x = np.linspace(0.001, 0.999, 200_001)
    step = x * min(0, 2 * alpha - 1)
    rho = 1 - x + step
    terms = [x * (-2 * alpha + max(0, 1 - 2 * beta)), -rho * (2 * alpha + 2 * beta - 1) / (2 * alpha)]
    if alpha > 0.5 and beta > 0.5:
        terms.append(-x + rho * (-1 + 1 / (2 * alpha)))
    if alpha > 0.25:
        terms.append(step + rho * (-2 + 1 / (2 * alpha)))
    largest = np.where(rho > 0, np.max(terms, axis=0), np.inf)
    best = np.argmin(largest)
    return x[best], -largest[best]


@pytest.mark.parametrize("name,alpha,beta", POINTS)
def test_exponents_are_the_optimum_of_the_terms(name, alpha, beta):
    assert lab.phase_of(alpha, beta).item() == name
    assert [float(v) for v in lab.exponents(alpha, beta)] == pytest.approx(brute_force(alpha, beta), abs=2e-5)


def test_published_exponents():
    # 235, its table: Ia f^{1/(2a+1)} and f^{-(2a+2b-1)/(2a+1)}; II f^{b/(a+b)}; III f^{-(1 - 1/(4a))}; IVa f^{-a}.
    assert lab.exponents(0.7, 0.3) == (pytest.approx(1 / 2.4), pytest.approx(1 / 2.4))
    assert lab.exponents(1.0, 0.7) == (pytest.approx(0.7 / 1.7), pytest.approx(2.4 / 3.4))
    assert lab.exponents(0.7, 1.2) == (pytest.approx(0.5), pytest.approx(1 - 1 / 2.8))
    assert lab.exponents(0.4, 0.8) == (pytest.approx(0.5), pytest.approx(0.4))


def test_loss_exponent_is_continuous_and_width_exponent_jumps_only_between_iva_and_ivb():
    for one, two, start, end in lab.BOUNDARIES:
        at = np.multiply.outer(1 - np.array([0.2, 0.5, 0.9]), start) + np.multiply.outer([0.2, 0.5, 0.9], end)
        across = np.array([end[1] - start[1], start[0] - end[0]])
        across = 1e-6 * across / np.linalg.norm(across)
        sides = {tuple(lab.phase_of(*(at + sign * across).T)) for sign in (1, -1)}
        assert sides == {(one,) * 3, (two,) * 3}
        if one == lab.NO_POWER_LAW:
            assert lab.PHASE_BY_NAME[two].loss_exponent(*at.T) == pytest.approx(0, abs=1e-9)
            continue
        first, second = lab.PHASE_BY_NAME[one], lab.PHASE_BY_NAME[two]
        assert first.loss_exponent(*at.T) == pytest.approx(second.loss_exponent(*at.T), abs=1e-9)
        if {one, two} == {"IVa", "IVb"}:
            assert first.width_exponent(lab.SECOND_CRITICAL, 0.9) == pytest.approx(0.620, abs=5e-4)
        else:
            assert first.width_exponent(*at.T) == pytest.approx(second.width_exponent(*at.T), abs=1e-9)


def test_plane_shows_every_phase_and_knows_its_nearest_boundary():
    plane = lab.phase_plane(alpha=0.7, beta=1.2)
    assert set(plane.phase.ravel()) == {*INSIDE, lab.NO_POWER_LAW}
    assert np.array_equal(np.isnan(plane.loss_exponent), plane.phase == lab.NO_POWER_LAW)
    distance, across = lab.nearest_boundary(0.7, 1.2)
    assert (distance, across) == (pytest.approx(0.2), "IVa")
    assert lab.nearest_boundary(0.8, 1.0) == (pytest.approx(0.2 / np.sqrt(2)), "II")
    assert lab.nearest_boundary(0.15, 0.2) == (pytest.approx(0.15 / np.sqrt(2)), "Ib")


def test_envelope_of_a_law_whose_optimum_is_known():
    # L = d^-2 + d/f: d* = (2 f)^{1/3}, L* = 3 (2 f)^{-2/3}.
    widths, flops = np.geomspace(40, 1e4, 80), np.geomspace(1e5, 1e11, 49)
    best = lab.envelope(widths, flops, widths[:, None] ** -2.0 + widths[:, None] / flops)
    assert best.width == pytest.approx((2 * best.flops) ** (1 / 3), rel=5e-3)
    assert best.loss == pytest.approx(3 * (2 * best.flops) ** (-2 / 3), rel=1e-4)
    assert best.slope(best.width) == pytest.approx(1 / 3, abs=1e-3)
    assert best.slope(best.loss) == pytest.approx(-2 / 3, abs=1e-4)


@pytest.mark.parametrize("name", INSIDE)
def test_measured_exponents_approach_the_theory(name):
    # The last two decades of compute at widths up to ten million; the floor is what finite size leaves there.
    alpha, beta = INSIDE[name][0]
    curves = lab.loss_curves(alpha=alpha, beta=beta, largest_width=10**7, sgd_runs=0)
    width, loss = lab.exponents(alpha, beta)
    assert -curves.frontier.slope(curves.frontier.loss) == pytest.approx(float(loss), abs=0.015)
    assert curves.frontier.slope(curves.frontier.width) == pytest.approx(float(width), abs=0.05 if name == "IVa" else 0.012)


@pytest.mark.parametrize("name", ["Ia", "Ib", "II", "III", "IVa", "IVb"])
def test_measured_exponents_at_widths_up_to_a_hundred_thousand(name):
    curves = lab.loss_curves(alpha=INSIDE[name][0][0], beta=INSIDE[name][0][1], largest_width=10**5, sgd_runs=0)
    best = curves.frontier
    inside = (best.flops >= 1e5) & (best.flops <= 1e9)
    slope = np.polyfit(np.log(best.flops[inside]), np.log(best.loss[inside]), 1)[0]
    assert -slope == pytest.approx(curves.exponents[1], abs=0.045)


def test_random_matrices_follow_the_limit():
    settings = {"alpha": 0.7, "beta": 1.2, "largest_width": 100, "sgd_runs": 0}
    limit = lab.loss_curves(**settings)
    drawn = lab.loss_curves(**settings, method="random_matrix")
    assert np.array_equal(limit.flops, drawn.flops)
    assert np.max(np.abs(drawn.loss / limit.loss - 1)) < 0.35
    assert np.median(np.abs(drawn.loss / limit.loss - 1)) < 0.1
    assert lab.loss_curves(method="random_matrix", alpha=0.7, beta=0.3, largest_width=150, sgd_runs=0).width.max() == 150


@pytest.mark.parametrize("alpha,beta,batch", [(1.0, 0.7, 1), (0.3, 0.9, 8)])
def test_sgd_runs_follow_the_exact_curve_of_their_features(alpha, beta, batch):
    runs = lab.loss_curves(alpha=alpha, beta=beta, batch=batch, sgd_runs=50, seed=3).simulation
    assert np.all(np.abs(runs.mean - runs.exact) < 4.5 * runs.standard_error)


def test_long_runs_say_so_and_a_single_run_has_no_error():
    slow = {"method": "random_matrix", "largest_width": 800, "aspect": 16.0, "sgd_runs": 50}
    assert lab.loss_curves.seconds(slow) > 10 * lab.loss_curves.seconds({"sgd_runs": 0})
    assert lab.loss_curves(sgd_runs=1).headline()["SGD to exact, RMS gap (SE)"] == "needs two runs"
    nothing = lab.loss_curves(alpha=0.15, beta=0.2, sgd_runs=0)
    assert nothing.frontier.flops.size == 0
    assert nothing.headline()["P* exponent, measured"] == "optimum outside these widths"


@pytest.mark.parametrize("power,low", [(0.7, 0.0), (1.4, 1e-6), (-0.6, 1e-6), (0.0, 1e-3)])
def test_power_integral_is_the_integral(power, low):
    rate = np.array([0.0, 0.3, 20.0, 1e4])
    start = np.log(low) if low else -60.0
    expected = [
        integrate.quad(lambda t, r=r: np.exp(power * t - r * np.exp(t)), start, 0, limit=500, epsabs=0, epsrel=1e-10)[0]
        for r in rate
    ]
    assert features.power_integral(power, rate, low) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name,alpha,beta", POINTS)
def test_terms_bound_the_loss_up_to_the_published_constant(name, alpha, beta):
    # 235 has the sum within constants of the loss: as powers of r and d the two agree, so over 12 decades of loss
    # the factor stays; at the end F_0 alone is left and SGD's noise multiplies it by 1/(1 - k), exactly.
    parts = lab.components(alpha=alpha, beta=beta, width=1000)
    ratio = parts.loss / parts.terms.total
    assert ratio.min() > 1 / 4 and ratio.max() < 4
    population = features.power_law_population(alpha, beta, 4000)
    step = 0.5 * features.stability_limit(population, 1000, 1)
    late = features.limit_curve(population, 1000, 1, step, np.array([1e16]))
    assert late[0] * (1 - parts.kernel_norm) == pytest.approx(parts.terms.unreachable[0], rel=1e-6)
    assert parts.corner is not None
    at = features.loss_terms(alpha, beta, 1000, population, 1, step, np.array([parts.corner]))
    by_name = {"F_0": at.unreachable, "F_pp": at.target, "F_ac": at.distortion, "K_pp": at.noise}
    phase = lab.PHASE_BY_NAME[name]
    assert by_name[phase.falling][0] == pytest.approx(by_name[phase.other][0], rel=0.02)
