"""Laws of loss against the published constants, numerical minima and their own stationarity."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from compute.models import scaling_form as sf

GOPHER = 5.76e23


@pytest.mark.parametrize(
    "name,ratio,exponent",
    [("besiroglu", 18.39, 0.5126), ("hoffmann_rounded", 92.6, 0.4516), ("hoffmann_unrounded", 58.9, 0.4565)],
)
def test_published_optima(name, ratio, exponent):
    law = sf.PUBLISHED[name]
    n, d = sf.optimum(law, GOPHER)
    assert d / n == pytest.approx(ratio, rel=1e-3)
    assert sf.allocation_exponent(law) == pytest.approx(exponent, abs=5e-5)
    assert 6 * n * d == pytest.approx(GOPHER, rel=1e-10)
    assert np.exp(law.log_A - law.alpha * np.log(n)) * law.alpha == pytest.approx(
        np.exp(law.log_B - law.beta * np.log(d)) * law.beta, rel=1e-10
    )


def test_published_sizes():
    assert sf.optimum(sf.BESIROGLU, GOPHER)[0] == pytest.approx(7.225e10, rel=1e-3)
    assert sf.optimum(sf.BESIROGLU, GOPHER)[1] == pytest.approx(1.3287e12, rel=1e-3)
    assert sf.optimum(sf.HOFFMANN_UNROUNDED, GOPHER)[0] == pytest.approx(4.036e10, rel=1e-3)


@pytest.mark.parametrize("name", sf.PUBLISHED)
@pytest.mark.parametrize("compute", [1e18, 1e23])
def test_optimum_is_the_least_loss_on_the_budget(name, compute):
    law = sf.PUBLISHED[name]
    best = minimize_scalar(
        lambda u: sf.loss(law, np.exp(u), compute / 6 / np.exp(u)),
        bounds=np.log([1e5, 1e14]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert np.log(sf.optimum(law, compute)[0]) == pytest.approx(best.x, abs=1e-5)


def test_kaplan_law_is_the_formula():
    n, d = 3e8, 2e10
    formula = ((6.4e13 / n) ** (0.076 / 0.103) + 1.8e13 / d) ** 0.103
    assert sf.loss(sf.KAPLAN, n, d) == pytest.approx(formula, rel=1e-12)
    # The optimum of what stands below the outer power: N* grows as C^{alpha_D/(alpha_N + alpha_D)}.
    assert sf.allocation_exponent(sf.KAPLAN) == pytest.approx(0.103 / 0.179, rel=1e-12)


def test_iso_loss_tokens_reach_the_loss_or_never_do():
    n = np.array([1e8, 1e9, 1e10])
    for law in (sf.BESIROGLU, sf.KAPLAN):
        level = sf.loss(law, n, 5e10)
        assert sf.iso_loss_tokens(law, n, level) == pytest.approx(5e10, rel=1e-6)
    floor = 1.8172 + 482.01 / 1e8**0.3478
    assert sf.iso_loss_tokens(sf.BESIROGLU, 1e8, floor * 0.999) == np.inf


def test_no_offset_is_the_limit_of_a_small_one():
    without, small = sf.law(0.0, 400, 2000, 0.34, 0.36), sf.law(1e-12, 400, 2000, 0.34, 0.36)
    assert sf.loss(without, 1e9, 1e10) == pytest.approx(sf.loss(small, 1e9, 1e10), rel=1e-10)


@pytest.mark.parametrize("compute", [1e18, 1e21, 1e25])
def test_shape_optimum_is_the_numerical_one(compute):
    def level(u):
        width, depth = np.exp(u)
        return float(sf.shape_loss(sf.PLANTED_SHAPE, width, depth, compute / 6 / sf.shape_parameters(width, depth)))

    best = minimize(level, np.log([800.0, 15.0]), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14, "maxiter": 4000})
    width, depth = sf.shape_optimum(sf.PLANTED_SHAPE, np.array([compute]))
    assert np.log([width[0], depth[0]]) == pytest.approx(best.x, abs=1e-4)


def test_shape_optimum_of_only_parameters_and_tokens_is_chinchilla():
    # Width and depth terms of exponent (2, 1) times one value are a single power of p; a tiny one of them sets the shape.
    chinchilla = sf.law(1.8, 480, 2100, 0.35, 0.37)
    form = sf.ShapeLaw(np.log(1.8), -20.0, -20.0, np.log(480), np.log(2100), 0.3, 0.3, 0.35, 0.37)
    width, depth = sf.shape_optimum(form, np.array([1e21]))
    assert sf.shape_parameters(width, depth)[0] == pytest.approx(sf.optimum(chinchilla, 1e21)[0], rel=1e-4)


def test_shape_optimum_of_many_laws_at_once():
    laws = sf.ShapeLaw(*[np.array([[v], [v * 1.02]]) for v in sf.PLANTED_SHAPE])
    compute = np.array([1e19, 1e22])
    width, _ = sf.shape_optimum(laws, compute)
    assert width.shape == (2, 2)
    assert width[0] == pytest.approx(sf.shape_optimum(sf.PLANTED_SHAPE, compute)[0], rel=1e-9)


def test_best_shape_at_fixed_parameters():
    n = 3e9
    width, depth = sf.best_shape(sf.PLANTED_SHAPE, n)
    assert sf.shape_parameters(width, depth) == pytest.approx(n, rel=1e-10)
    law = sf.PLANTED_SHAPE
    left = law.a * np.exp(law.log_A - law.a * np.log(width))
    assert left == pytest.approx(2 * law.b * np.exp(law.log_B - law.b * np.log(depth)), rel=1e-10)
    other = width * np.array([0.8, 1.25])
    assert np.all(sf.shape_loss(law, other, n / 12 / other**2, 1e11) > sf.shape_loss(law, width, depth, 1e11))
