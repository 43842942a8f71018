"""Newton's method on the semi-dual against Sinkhorn's iteration and the linear program."""

import numpy as np
import pytest

from compute.methods.entropic_newton import entropic_value
from compute.methods.optimal_transport import exact, sinkhorn


@pytest.mark.parametrize("n,m", [(3, 10), (10, 10)])
@pytest.mark.parametrize("epsilon", [1.0, 0.05])
def test_value_is_that_of_sinkhorn(n, m, epsilon):
    rng = np.random.default_rng(n)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    cost = np.minimum(np.exp(2 * rng.normal(size=(n, m))), 50)
    value, potential, residual = entropic_value(a, b, cost, epsilon)
    assert residual < 1e-8
    assert value == pytest.approx(sinkhorn(a, b, cost, epsilon, tolerance=1e-10).value, abs=1e-8)
    again, _, _ = entropic_value(a, b, cost, epsilon, potential)
    assert again == pytest.approx(value, abs=1e-9)


def test_without_entropy_it_is_the_linear_program_even_at_dear_pairs():
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(12))
    cost = rng.exponential(size=(4, 12))
    cost[:2, :6] = 1e5
    value, _, residual = entropic_value(a, b, cost, 1e-3)
    assert residual < 1e-6
    assert 0 <= value - exact(a, b, cost).cost < 1e-3 * np.log(48)
