"""The law of repeated tokens against its published values, Chinchilla's limit and a brute search."""

import numpy as np
import pytest

from compute.models import repeated_tokens as rt
from compute.models import scaling_form


def test_published_losses():
    """The pair of models of paper 480, as its repository computes them."""
    assert rt.loss(rt.PUBLISHED, 6.34e9, 2.42e11, 2.5e10) == pytest.approx(2.2256440889984477, rel=1e-12)
    assert rt.loss(rt.PUBLISHED, 8.67e9, 1.78e11, 2.5e10) == pytest.approx(2.2269634075087867, rel=1e-12)


def test_published_optimum():
    n, d = rt.optimum(rt.PUBLISHED, 1e22, 2.5e10)
    assert n == pytest.approx(7.022e9, rel=1e-3)
    assert d / 2.5e10 == pytest.approx(9.493, rel=1e-3)


def test_worth_of_epochs():
    epochs = np.array([2.0, 4.0, 8.0, 16.0, 40.0])
    worth = rt.effective(epochs, 1.0, rt.PUBLISHED.decay_tokens) / epochs
    np.testing.assert_allclose(worth, [0.9841, 0.9314, 0.8280, 0.6614, 0.3792], atol=5e-5)
    assert rt.effective(1e6, 1.0, rt.PUBLISHED.decay_tokens) == pytest.approx(16.387756, rel=1e-12)


def test_without_repeats_it_is_chinchilla():
    rng = np.random.default_rng(0)
    unique = 10 ** rng.uniform(8, 13, 50)
    deserved = rt.deserved_parameters(rt.PUBLISHED.law, unique)
    n = deserved * rng.uniform(0.01, 1, 50)
    np.testing.assert_allclose(rt.loss(rt.PUBLISHED, n, unique, unique), scaling_form.loss(rt.PUBLISHED.law, n, unique), rtol=1e-14)
    # N_opt(U) is the size for which Chinchilla's optimum asks for just U tokens.
    best_n, best_d = scaling_form.optimum(rt.PUBLISHED.law, 6 * deserved * unique)
    np.testing.assert_allclose(best_n, deserved, rtol=1e-10)
    np.testing.assert_allclose(best_d, unique, rtol=1e-10)


@pytest.mark.parametrize("alpha,beta", [(0.3526596, 0.3526596), (0.25, 0.5), (0.6, 0.3)])
@pytest.mark.parametrize("decays", [(15.387756, 5.309743), (1.0, 50.0), (100.0, 1.0), (1.0, 1.0)])
def test_optimum_is_the_least_of_a_fine_grid(alpha, beta, decays):
    law = rt.PUBLISHED.law._replace(alpha=alpha, beta=beta)
    model = rt.RepeatedLaw(law, *decays)
    unique = 1e10
    for compute in np.geomspace(1e18, 1e26, 9):
        n, d = rt.optimum(model, compute, unique)
        assert n * d == pytest.approx(compute / 6, rel=1e-10)
        grid = n * np.exp(np.linspace(-12, 12, 4001))
        values = rt.loss(model, grid, compute / 6 / grid, unique)
        assert rt.loss(model, n, d, unique) <= values.min() * (1 + 1e-12)
        assert abs(np.log(grid[np.argmin(values)] / n)) < 0.0061 or np.ptp(values[1990:2010]) < 1e-9


def test_plenty_of_data_gives_the_chinchilla_plan():
    n, d = rt.optimum(rt.PUBLISHED, 1e20, 1e13)
    np.testing.assert_allclose((n, d), scaling_form.optimum(rt.PUBLISHED.law, 1e20), rtol=1e-12)


def test_no_compute_beats_the_floor():
    floor = rt.least_loss(rt.PUBLISHED, 1e9)
    compute = np.array([1e20, 1e21, 1e22, 1e26])
    n, d = rt.optimum(rt.PUBLISHED, compute, 1e9)
    level = rt.loss(rt.PUBLISHED, n, d, 1e9)
    assert np.all(level[:3] > floor)
    assert level[3] == pytest.approx(floor, rel=1e-9)
