"""The log-Huber fit against planted laws, finite differences, SciPy's optimizers over a grid of starts, and repeated rows."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import approx_fprime, least_squares, minimize
from scipy.special import huber, logsumexp

from compute.methods.power_law import (
    PowerLawForm,
    fit_each_log_huber,
    fit_log_huber,
    fit_quasi_newton,
    grid_starts,
    log_huber_objective,
    refit_log_huber,
)

CHINCHILLA = PowerLawForm(((0, 0), (1, 0), (0, 2)))
PLANTED = np.array([np.log(1.8172), np.log(482.01), np.log(2085.43), 0.3478, 0.3658])
FORMS = {
    "chinchilla": (CHINCHILLA, PLANTED),
    "shared exponent": (PowerLawForm(((0, 0), (1, 0), (0, 1))), np.array([0.6, 6.2, 7.1, 0.34])),
    "no offset": (PowerLawForm(((1, 0), (0, 2))), np.array([2.2, 7.5, 0.07, 0.36])),
    "free power": (PowerLawForm(((1, 0), (0, -1)), free_power=True), np.array([23.5, 30.5, 0.74, 0.103])),
    "one variable": (PowerLawForm(((0,), (1,))), np.array([0.5, 3.0, 0.15])),
}


def study(form, parameters, n=240, sigma=0.0, seed=0):
    """Rows over the sizes and tokens of a scaling study, from the law itself."""
    rng = np.random.default_rng(seed)
    x = np.exp(rng.uniform(np.log([3e7, 1e9]), np.log([1e10, 3e11]), (n, 2)))[:, : len(form.groups[0])]
    return x, np.exp(log_law(form, parameters, x) + sigma * rng.standard_normal(n))


def log_law(form, parameters, x):
    """The model written out again, without centering."""
    power = parameters[-1] if form.free_power else 1.0
    terms = []
    for k, row in enumerate(form.groups):
        exponents = [0.0 if g == 0 else 1.0 if g < 0 else parameters[form.n_terms + g - 1] for g in row]
        terms.append(parameters[k] - np.log(x) @ np.array(exponents))
    return power * logsumexp(np.stack(terms), axis=0)


@pytest.mark.parametrize("name", FORMS)
def test_noise_free_rows_return_the_planted_constants(name):
    form, planted = FORMS[name]
    x, y = study(form, planted)
    fit = fit_log_huber(form, x, y)
    assert fit.converged
    assert fit.parameters == pytest.approx(planted, abs=1e-6 if name != "free power" else 1e-4)
    assert fit.log_prediction(x) == pytest.approx(np.log(y), abs=1e-8)


@pytest.mark.parametrize("name", FORMS)
def test_gradient_is_that_of_the_objective(name):
    form, planted = FORMS[name]
    x, y = study(form, planted, n=40, sigma=0.01)
    at = planted * 1.003
    value, gradient = log_huber_objective(form, at, x, y)

    def own(p):
        return np.sum(huber(1e-3, log_law(form, p, x) - np.log(y)))

    assert value == pytest.approx(own(at), rel=1e-10)
    assert gradient == pytest.approx(approx_fprime(at, own, 1e-8), rel=1e-3, abs=1e-4 * np.abs(gradient).max())


def test_agrees_with_quasi_newton_over_a_grid_of_starts():
    x, y = study(CHINCHILLA, PLANTED, sigma=6e-3, seed=3)
    log_x, log_y = np.log(x), np.log(y)

    def objective(p):
        u = np.stack([np.full(len(y), p[0]), p[1] - p[3] * log_x[:, 0], p[2] - p[4] * log_x[:, 1]])
        log_sum = logsumexp(u, axis=0)
        share, pull = np.exp(u - log_sum), np.clip(log_sum - log_y, -1e-3, 1e-3)
        slope = np.concatenate([share @ pull, [-np.sum(pull * share[1] * log_x[:, 0]), -np.sum(pull * share[2] * log_x[:, 1])]])
        return np.sum(huber(1e-3, log_sum - log_y)), slope

    fit = fit_log_huber(CHINCHILLA, x, y)
    found = []
    for start in product((0.0, 0.5), (5.0, 10.0), (5.0, 10.0), (0.3, 0.6), (0.3, 0.6)):
        for method in ("BFGS", "L-BFGS-B"):
            options = {"gtol": 1e-9, "maxiter": 2000} | ({"ftol": 1e-15} if method == "L-BFGS-B" else {})
            found.append(minimize(objective, start, jac=True, method=method, options=options).fun)
    # No start of either method finds less, and the best of them finds the same.
    assert fit.objective <= min(found) + 1e-9
    assert min(found) == pytest.approx(fit.objective, abs=1e-8)


def test_every_start_of_a_wide_grid_lands_on_one_minimum():
    x, y = study(CHINCHILLA, PLANTED, sigma=6e-3, seed=4)
    starts = grid_starts(CHINCHILLA, x, y, exponents=(0.2, 0.5, 1.0), offsets=(0.1, 0.5, 0.9), separate=True)
    objectives = [fit_log_huber(CHINCHILLA, x, y, starts=s).objective for s in starts]
    assert len(starts) == 27
    assert np.ptp(objectives) < 1e-7


def test_large_threshold_is_least_squares():
    x, y = study(CHINCHILLA, PLANTED, sigma=6e-3, seed=5)
    fit = fit_log_huber(CHINCHILLA, x, y, huber_delta=10.0)
    own = least_squares(lambda p: log_law(CHINCHILLA, p, x) - np.log(y), PLANTED, x_scale="jac", xtol=1e-14, ftol=1e-14)
    assert fit.objective == pytest.approx(own.cost, rel=1e-9)
    assert fit.parameters == pytest.approx(own.x, abs=1e-5)


def test_weights_are_repeated_rows():
    x, y = study(CHINCHILLA, PLANTED, sigma=6e-3, seed=6)
    counts = np.random.default_rng(0).multinomial(len(y), np.full(len(y), 1 / len(y)), size=3).astype(float)
    fit = fit_log_huber(CHINCHILLA, x, y)
    refits = refit_log_huber(fit, x, y, counts)
    for c, refit in zip(counts, refits, strict=True):
        rows = np.repeat(np.arange(len(y)), c.astype(int))
        again = fit_log_huber(CHINCHILLA, x[rows], y[rows])
        assert log_huber_objective(CHINCHILLA, refit, x[rows], y[rows])[0] == pytest.approx(again.objective, abs=1e-8)
        assert refit == pytest.approx(again.parameters, abs=2e-3)


def test_mean_loss_at_the_default_tolerance_stops_early_and_reports_success():
    x, y = study(CHINCHILLA, PLANTED, sigma=6e-3, seed=7)
    start = [0.0, 10.0, 10.0, 0.5, 0.0]
    early = fit_quasi_newton(CHINCHILLA, x, y, start=start, mean=True)
    least = fit_log_huber(CHINCHILLA, x, y)
    assert early.converged
    assert early.objective > 1.5 * least.objective
    # The tolerance is to blame: the mean's gradient there is below 1e-5, the sum's is not.
    gradient = log_huber_objective(CHINCHILLA, early.parameters, x, y)[1]
    assert np.max(np.abs(gradient)) / len(y) < 1e-5 < np.max(np.abs(gradient))


def test_what_cannot_be_fitted_is_refused():
    x, y = study(CHINCHILLA, PLANTED, n=4)
    with pytest.raises(ValueError, match="5 parameters"):
        fit_log_huber(CHINCHILLA, x, y)
    with pytest.raises(ValueError, match="positive"):
        fit_log_huber(CHINCHILLA, np.zeros((9, 2)), np.ones(9))


def test_fits_of_many_data_sets_are_fits_of_each():
    form, planted = FORMS["chinchilla"]
    x, y = study(form, planted, n=40, sigma=0.01)
    fit = fit_log_huber(form, x, y)
    redrawn = y * np.exp(0.01 * np.random.default_rng(1).standard_normal((3, y.size)))
    moved = x * np.array([1.0, 2.0, 3.0])[:, None, None]
    for variables in (x, moved):
        many = fit_each_log_huber(fit, variables, redrawn)
        for k, one in enumerate(many):
            alone = fit_log_huber(form, moved[k] if variables is moved else x, redrawn[k], starts=fit.parameters)
            assert one == pytest.approx(alone.parameters, rel=1e-12)
