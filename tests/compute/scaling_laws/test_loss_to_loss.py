"""Loss-to-loss prediction against exact maps, studies drawn and fitted, and scipy."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import curve_fit, minimize

from compute.methods.bootstrap import standard_error
from compute.models import scaling_form
from compute.parameters import ParameterError, read_table
from compute.scaling_laws.loss_to_loss import against_compute, exponent_cloud, loss_against_loss, misfit_map
from compute.scaling_laws.loss_to_loss.fits import analyze, fit_map, fit_own_law, misfit, refit
from compute.scaling_laws.loss_to_loss.runs import (
    FIT_BUDGET,
    OPTIMUM,
    PAIRS,
    PLANE,
    DataLaw,
    Setting,
    at_ratio,
    measure,
    run_places,
)
from compute.scaling_laws.loss_to_loss.theory import sensitivity

BASE = Setting(0.15, 0.2, 1.7, 1.0, 0.9, 0.5, 0.45, 0.55, OPTIMUM, "coupled", 6, 20.0, 0.0, 0.5, "trained", 0)


def errors(setting, n_studies):
    """Relative errors of map and own law, and kappa, of each drawn study."""
    truth = setting.truth(1, setting.target)[0]
    found = []
    for k in range(n_studies):
        study = analyze(measure(setting, np.random.default_rng([5, k])))
        found.append([np.log(study.by_map / truth), np.log(study.by_own / truth), study.loss_map.kappa])
    return np.array(found).T


@pytest.mark.parametrize("change", [{}, {"exponent_1": 0.08, "offset_1": 2.5}, {"pairing": PLANE, "allocation_1": 0.45}])
def test_planted_map_is_found_without_noise(change):
    setting = replace(BASE, few_shot_points=12, **change)
    kappa, coefficient = setting.exact_map
    assert kappa == setting.exponent_1 / setting.exponent_0
    found = analyze(measure(setting, np.random.default_rng(0)))
    assert found.loss_map.kappa == pytest.approx(kappa, abs=1e-6)
    assert found.loss_map.coefficient == pytest.approx(coefficient, rel=1e-6)
    assert found.by_map == pytest.approx(float(setting.truth(1, setting.target)[0]), rel=1e-6)


def test_one_dataset_twice_is_the_identity():
    same = replace(BASE, exponent_1=0.15, offset_1=1.7, reducible_1=0.9, noise=0.01, shared_noise=1.0)
    found = analyze(measure(same, np.random.default_rng(3)))
    assert found.loss_map.kappa == pytest.approx(1, abs=1e-6)
    assert found.by_map == pytest.approx(found.loss_0_target, rel=1e-9)


def test_maps_compose():
    compute = np.geomspace(1e17, 1e20, 12)
    laws = [DataLaw(e, g, h, 0.5, "coupled") for e, g, h in ((1.7, 0.15, 0.9), (1.0, 0.2, 0.5), (2.2, 0.11, 0.7))]
    losses = [law.at_optimum(compute) for law in laws]
    first = fit_map(1.7, losses[0], losses[1])
    second = fit_map(first.offset_1, losses[1], losses[2])
    whole = fit_map(1.7, losses[0], losses[2])
    assert whole.kappa == pytest.approx(first.kappa * second.kappa, rel=1e-6)
    beyond = laws[0].at_optimum(np.array([1e22]))
    # 1e-7: each fit stops at a relative decrease of 1e-10 in its objective.
    assert second.predict(first.predict(beyond)) == pytest.approx(whole.predict(beyond), rel=1e-7)


@pytest.mark.parametrize("form", ["coupled", "additive"])
def test_the_laws_have_their_optimum_where_they_say(form):
    law = DataLaw(1.7, 0.15, 0.9, 0.45, form)
    for compute in (1e18, 1e22):
        n = np.geomspace(1e6, 1e13, 20001)
        losses = law.loss(n, compute / 6 / n)
        assert losses.min() == pytest.approx(law.at_optimum(compute), rel=1e-6)
    best = np.sqrt(FIT_BUDGET / 120)
    assert n[np.argmin(law.loss(n, FIT_BUDGET / 6 / n))] == pytest.approx(best, rel=2e-3)


def test_additive_form_is_hoffmanns_law():
    # alpha = g/a, beta = g/(1-a), and each term's share of h at the reference.
    law, (a, g, h) = DataLaw(1.7, 0.15, 0.9, 0.45, "additive"), (0.45, 0.15, 0.9)
    best = np.sqrt(FIT_BUDGET / 120)
    known = scaling_form.law(1.7, a * h * best ** (g / a), (1 - a) * h * (20 * best) ** (g / (1 - a)), g / a, g / (1 - a))
    places = run_places(PLANE)
    assert law.loss(places.n_parameters, places.n_tokens) == pytest.approx(
        scaling_form.loss(known, places.n_parameters, places.n_tokens), rel=1e-12
    )


@pytest.mark.parametrize("form", ["coupled", "additive"])
def test_own_laws_are_found_without_noise(form):
    law = DataLaw(1.2, 0.2, 0.6, 0.55, form)
    places, far = run_places(PLANE), at_ratio(1e23, 50.0)
    found = fit_own_law(form, places, law.loss(places.n_parameters, places.n_tokens))
    assert found.offset == pytest.approx(1.2, rel=1e-4)
    assert found.predict(far) == pytest.approx(law.loss(far.n_parameters, far.n_tokens), rel=1e-5)


def test_map_agrees_with_scipy():
    data = measure(replace(BASE, noise=0.005, few_shot_points=20), np.random.default_rng(1))
    x, y = data.loss_0[data.paired] - 1.7, data.loss_1
    found = fit_map(1.7, data.loss_0[data.paired], y)
    known, _ = curve_fit(lambda x, k, kappa, e: np.log(k * x**kappa + e), x, np.log(y), p0=(0.5, 1.2, 0.8))
    assert [found.coefficient, found.kappa, found.offset_1] == pytest.approx(known, rel=1e-4)


@pytest.mark.parametrize("pairing,law", [(OPTIMUM, "coupled"), (PLANE, "additive")])
@pytest.mark.parametrize("shared", [0.0, 1.0])
@pytest.mark.parametrize("source", ["trained", "extrapolated"])
def test_first_order_theory_is_the_spread_of_studies(pairing, law, shared, source):
    setting = replace(BASE, pairing=pairing, law=law, shared_noise=shared, source=source, noise=5e-4, few_shot_points=12)
    theory, n = sensitivity(setting), 120
    by_map, by_own, kappa = errors(setting, n)
    within = 4 / np.sqrt(2 * n)
    assert np.sqrt(np.mean(by_map**2)) == pytest.approx(float(theory.by_map(5e-4, shared)), rel=within)
    assert np.sqrt(np.mean(by_own**2)) == pytest.approx(theory.by_own(5e-4), rel=within)
    assert kappa.std(ddof=1) == pytest.approx(theory.kappa_error(5e-4, shared), rel=within)


def test_map_of_many_runs_is_no_better_than_the_own_law_unless_noise_is_shared():
    # At their own optima the two families are one; with all runs paired and independent noise the map adds only the noise of E0.
    theory = sensitivity(replace(BASE, few_shot_points=40, source="extrapolated"))
    assert 1 < float(theory.by_map(1e-3, 0.0)) / theory.by_own(1e-3) < 1.01
    few = sensitivity(BASE)
    assert float(few.by_map(1e-3, 0.0)) > few.by_own(1e-3) > 1.5 * float(few.by_map(1e-3, 1.0))


@pytest.mark.parametrize("n_points", [6, 40])
def test_bootstrap_knows_the_spread_of_kappa(n_points):
    setting = replace(BASE, noise=2e-3, few_shot_points=n_points)
    kappa = errors(setting, 150)[2]
    inside = [
        standard_error(refit(analyze(measure(setting, np.random.default_rng([5, k]))), 60, 0.5, np.random.default_rng(k)).kappa)
        for k in range(5)
    ]
    assert np.sqrt(np.mean(np.square(inside))) == pytest.approx(kappa.std(ddof=1), rel=0.3)


def test_misfit_of_equal_sizes_and_tokens():
    places = run_places(PLANE)
    # Exponents (0.34, 0.28) against (0.25, 0.40).
    laws = [DataLaw(1.7, a * b / (a + b), 0.9, b / (a + b), "additive") for a, b in ((0.34, 0.28), (0.25, 0.40))]
    losses = [law.loss(places.n_parameters, places.n_tokens) for law in laws]
    size, best = misfit(*losses, 1.7)
    assert size > 1e-3
    square = minimize(
        lambda p: np.mean((np.log(np.exp(p[0]) * (losses[0] - 1.7) ** p[1] + p[2]) - np.log(losses[1])) ** 2),
        [best.fit.log_coefficients[1], best.kappa, best.offset_1],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-14, "maxiter": 5000},
    )
    assert size == pytest.approx(np.sqrt(square.fun), rel=0.05)  # the map's fit is log-Huber, not least squares
    path = at_ratio(np.geomspace(1e17, 1e20, 40))
    along = [law.loss(path.n_parameters, path.n_tokens) for law in laws]
    assert misfit(*along, 1.7)[0] < 5e-4
    assert misfit_map(law="coupled", allocation_1=0.45).here < 1e-6
    assert misfit_map(law="coupled", allocation_1=0.45).kappa_here == pytest.approx(4 / 3, abs=1e-4)
    assert misfit_map(law="additive", allocation_1=0.45).here > 1e-4
    assert misfit_map(law="additive", allocation_1=0.45, exponent_1=0.15).here < 1e-6


def test_a_readers_table():
    table, problems = read_table("pairs", PAIRS.template.encode(), PAIRS)
    found = loss_against_loss(pairs=table, extrapolation_factor=20.0)
    # The template is the planted pair of the defaults, to three decimals.
    assert not problems and found.summary.analysis.loss_map.kappa == pytest.approx(4 / 3, abs=0.03)
    assert found.target[1] == pytest.approx(1 + 0.5 * 6**-0.2, abs=0.01)  # 20 times 3e19, the largest run of both
    assert against_compute(pairs=table).compute_1.size == 6
    bare = table.drop("FLOP")
    assert exponent_cloud(pairs=bare).fit.kappa == pytest.approx(4 / 3, abs=0.3)
    with pytest.raises(ParameterError, match="FLOP"):
        against_compute(pairs=bare)
    with pytest.raises(ParameterError, match="three rows"):
        loss_against_loss(pairs=pl.DataFrame({"loss_0": [3.0, 2.0], "loss_1": [2.0, 1.5]}))
