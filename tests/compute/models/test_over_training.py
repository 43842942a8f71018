"""The over-training law: its two forms, its optimum, the cost of serving."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from compute.models import over_training as ot
from compute.models import scaling_form


def random_laws(n):
    rng = np.random.default_rng(1)
    for _ in range(n):
        yield ot.OverTraining(rng.uniform(0, 3), 10 ** rng.uniform(0, 4), 10 ** rng.uniform(0, 4), rng.uniform(0.05, 0.4)), rng


def test_both_forms_agree():
    for law, rng in random_laws(50):
        n, d = 10 ** rng.uniform(6, 12), 10 ** rng.uniform(8, 14)
        direct = law.E + law.a * 6**-law.eta * n ** (-2 * law.eta) + law.b * 6**-law.eta * d ** (-2 * law.eta)
        assert ot.loss(law, 6 * n * d, d / n) == pytest.approx(direct, rel=1e-12)
        assert scaling_form.loss(ot.as_law(law), n, d) == pytest.approx(direct, rel=1e-12)
        np.testing.assert_allclose(ot.sizes(6 * n * d, d / n), (n, d), rtol=1e-12)


def test_slopes_optimum_and_price():
    for law, _ in random_laws(20):
        c = np.geomspace(1e16, 1e24, 5)
        for m in (5.0, 20.0, 1000.0):
            np.testing.assert_allclose(
                np.diff(np.log(ot.loss(law._replace(E=0.0), c, m))) / np.diff(np.log(c)), -law.eta, rtol=1e-10
            )
        best = float(ot.optimal_multiplier(law))
        n, d = scaling_form.optimum(ot.as_law(law), 1e21)
        assert d / n == pytest.approx(best, rel=1e-9)
        grid = best * np.exp(np.linspace(-3, 3, 601))
        assert grid[np.argmin(ot.loss(law, 1e21, grid))] == pytest.approx(best, rel=0.011)
        reducible = ot.loss(law._replace(E=0.0), 1e21, grid)
        np.testing.assert_allclose(reducible / reducible.min(), ot.excess(law, grid), rtol=1e-9)


def test_published_multipliers():
    """As the printed constants have it: far below the 20 that the study calls Chinchilla-optimal."""
    found = {name: float(ot.optimal_multiplier(law)) for name, law in ot.PUBLISHED.items()}
    assert found == pytest.approx({"c4": 3.355, "redpajama": 7.427, "refinedweb": 5.847}, rel=1e-3)
    law = ot.PUBLISHED["redpajama"]
    assert ot.error(ot.PUBLISHED_ERRORS["redpajama"], 1e3) == pytest.approx(0.857)
    assert law.eta == 0.1364


@pytest.mark.parametrize("served", [1e9, 1e12, 1e14])
def test_serving_optimum_against_direct_minimization(served):
    law = ot.PUBLISHED["c4"]
    for level in (2.0, 2.5, 3.0):
        best = float(ot.serving_multiplier(law, level, served))

        def cost(log_n, level=level):
            n = np.exp(log_n)
            tokens = float(ot.iso_loss_tokens(law, n, level))
            return np.log(6 * n * tokens + 2 * n * served) if np.isfinite(tokens) else 1e3

        n_best = ot.sizes(ot.compute_at(law, best, level), best)[0]
        found = minimize_scalar(cost, bounds=(np.log(n_best) - 1.5, np.log(n_best) + 2), method="bounded", options={"xatol": 1e-10})
        n = np.exp(found.x)
        assert float(ot.iso_loss_tokens(law, n, level)) / n == pytest.approx(best, rel=1e-4)
        assert ot.lifetime(law, best, level, served) == pytest.approx(np.exp(found.fun), rel=1e-9)


def test_without_serving_the_optimum_is_the_compute_optimum():
    for law, _ in random_laws(10):
        assert ot.serving_multiplier(law, law.E + 0.7, 0.0) == pytest.approx(float(ot.optimal_multiplier(law)), rel=1e-9)
