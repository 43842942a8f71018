"""The lab on Orlicz-Wasserstein distances: closed forms, bounds that hold draw by draw, and the posterior's own floor."""

import numpy as np
import ot
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from compute.methods.location_mixture import outlying_mass
from compute.methods.orlicz import EXPONENTIAL
from compute.parameters import ParameterError
from compute.transport_bridges.orlicz_wasserstein import (
    outlier_map,
    own_mixture,
    plane_coupling,
    posterior_draws,
    price_of_sinkhorn,
    rates,
    stray_atom,
)
from compute.transport_bridges.orlicz_wasserstein.plane import fitted
from compute.transport_bridges.orlicz_wasserstein.rates import prior_share
from compute.transport_bridges.orlicz_wasserstein.setting import Mixture


def test_a_stray_atom_costs_what_its_formula_says():
    found = stray_atom(stray_mass=1e-2, stray_distance=10.0)
    assert found.here == pytest.approx(
        {"x^1": 0.1, "x^2": 1.0, "exp(x)-1": 10 / np.log(101), "exp(x^2)-1": 10 / np.sqrt(np.log(101))}, rel=1e-12
    )
    for name, values in found.checked.items():
        at = np.searchsorted(found.mass, found.checked_mass * (1 - 1e-9))
        assert values == pytest.approx(found.distance[name][at], rel=1e-9)
    assert found.beyond["exp(x)-1"][-1] == pytest.approx(1 / np.expm1(12.0), rel=1e-12)


def test_coupling_in_the_plane():
    found = plane_coupling(n_samples=300)
    _, atoms, means, weights = fitted(Mixture(), 300, 0)
    gap = np.linalg.norm(atoms[:, None] - means, axis=2)
    third = np.full(3, 1 / 3)
    assert found.distance["W₁"] == pytest.approx(ot.emd2(third, weights, gap), abs=1e-7)
    assert found.distance["W₂"] == pytest.approx(np.sqrt(ot.emd2(third, weights, gap**2)), abs=1e-7)
    k = found.distance["W, exp(x)-1"]
    assert ot.emd2(third, weights, EXPONENTIAL.value(gap / k)) == pytest.approx(1, abs=1e-6)
    for shares in found.budget.values():
        assert shares.sum() == pytest.approx(1, abs=1e-6)
    assert found.distance["W₁"] <= np.log(2) * k
    # True atoms are one spacing apart.
    sides = np.linalg.norm(atoms - np.roll(atoms, 1, axis=0), axis=1)
    assert sides == pytest.approx(4.0, abs=1e-12)


@pytest.mark.parametrize("estimator", ["EM", "Dirichlet process"])
def test_markov_bounds_every_fit(estimator):
    for seed in range(3):
        for r in (0.5, 2.0, 4.0):
            found = plane_coupling(n_samples=200, estimator=estimator, seed=seed, outlier_radius=r, concentration=5.0)
            k = found.distance["W, exp(x)-1"]
            assert found.weights[found.is_outlier].sum() <= 1 / np.expm1(r / k) + 1e-6


def test_outliers_vanish_faster_than_the_distance():
    found = rates(n_samples=1500, repeats=6, sweeps=100, outlier_radius=2.0)
    assert np.all(found.outlying <= found.bound + 4 * found.outlying_error)
    fast, slow = found.slope(found.outlying), found.slope(found.distance["W, exp(x)-1"])
    assert fast < -0.7 and -0.45 < slow < -0.08
    w1, w2, wp = found.distance.values()
    assert np.all(w1 < w2) and np.all(w1 <= np.log(2) * wp)


def test_the_base_measure_is_a_floor_and_is_reached_far_out():
    """Beyond all data the posterior mean is alpha G_0(A)/(alpha + n)."""
    mixture = Mixture(truncation=25, concentration=1.0, prior_width=6.0)
    radius = np.array([5.0])
    floor = prior_share(mixture, np.array([60.0]), radius)[0, 0]
    inside = sum(quad(norm(0, 6).pdf, c - 5, c + 5)[0] for c in (-4, 0, 4)) - 2 * quad(norm(0, 6).pdf, -1, 1)[0]
    # Intervals around -4, 0, 4 of radius 5 make one, from -9 to 9.
    assert floor == pytest.approx(2 * norm(0, 6).sf(9) / 61, rel=1e-12) and inside > 0
    rng = np.random.default_rng(0)
    atoms, means = mixture.on_the_line(), []
    for _ in range(12):
        x = mixture.sample(atoms, 60, rng)
        draws = list(mixture.draws(x, 330, rng))[30:]
        means.append(np.mean([float(outlying_mass(m, w, atoms, 5.0)) for m, w in draws]))
    assert abs(np.mean(means) - floor) < 4 * np.std(means, ddof=1) / np.sqrt(12)


def test_prior_share_with_gaps_between_the_atoms():
    mixture = Mixture(true_atoms=2, spacing=8.0, prior_width=3.0, concentration=2.0)
    n, r = 10.0, 1.0
    outside = 1 - sum(quad(norm(0, 3).pdf, c - r, c + r)[0] for c in (-4.0, 4.0))
    assert prior_share(mixture, np.array([n]), np.array([r]))[0, 0] == pytest.approx(outside * 2 / 12, rel=1e-9)


def test_map_agrees_with_the_rates():
    curve, chart = rates(repeats=3), outlier_map(repeats=3)
    # The same data sets at the largest size.
    assert chart.here == pytest.approx((500, 2.0, curve.outlying[-1]), rel=1e-12)
    at = int(np.argmin(np.abs(chart.radius - 2.0)))
    assert chart.log_mass[at - 1, -1] >= np.log10(chart.here[2]) >= chart.log_mass[at + 1, -1]
    assert np.all(np.diff(chart.log_mass, axis=0) <= 1e-12)
    assert 0.3 < chart.one_percent[-1] < chart.one_percent[0] <= 20


def test_draws_settle_on_the_truth():
    found = posterior_draws(n_samples=5000, draws_shown=60)
    assert found.distance["W₁"][-20:].mean() < 0.5 < found.distance["W₁"][0]
    assert found.outlying[-20:].mean() < 0.01
    still = posterior_draws(n_samples=300, estimator="EM")
    assert np.array_equal(still.means[0], still.means[-1])


def test_entropic_costs_enclose_the_distance():
    found = price_of_sinkhorn(n_samples=200, truncation=6, sinkhorn_epsilon=0.1)
    assert np.all(found.debiased < found.exact) and np.all(found.plain > found.exact)
    assert found.plain[-1] < found.independent


def test_own_column():
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(100, 10, 150), rng.normal(180, 10, 150)])
    x = np.append(x, [400.0, 402.0, 401.0])  # three strays
    table = pl.DataFrame({"x": x})
    width = 10 / float(x.std())
    found = own_mixture(data=table, kernel_width=width, true_atoms=2, truncation=6, outlier_radius=5.0)
    assert found.width == pytest.approx(10)
    assert found.outlying == pytest.approx(3 / 303, rel=0.02)
    assert found.overfitted[0][found.is_outlier] == pytest.approx(401, abs=0.5)
    assert found.outlying_interval[0] <= found.outlying <= found.outlying_interval[1]
    assert np.trapezoid(found.overfitted_density, found.x) == pytest.approx(1, abs=0.02)
    with pytest.raises(ParameterError, match="at least as many"):
        own_mixture(truncation=2, true_atoms=3)
    with pytest.raises(ParameterError, match="over and over"):
        own_mixture(data=pl.DataFrame({"x": [3.0] * 50}))
    with pytest.raises(ParameterError, match="holds 5 numbers"):
        own_mixture(data=pl.DataFrame({"x": [1.0, 2, 3, 4, 5]}))
