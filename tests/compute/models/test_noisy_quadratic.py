"""The rank-one recursion's exact solution against the plain loop, exact arithmetic and the Volterra equation."""

from decimal import Decimal, getcontext

import numpy as np
import pytest

from compute.models.noisy_quadratic import feedback, fixed_point, rank_one_curve


def loop(decay, injection, start, floor, n_steps):
    energy, losses = start.copy(), []
    for _ in range(n_steps + 1):
        losses.append(energy.sum() + floor)
        energy = (1 - decay) * energy + injection * (energy.sum() + floor)
    return np.array(losses)


def sgd_modes(n_modes, alpha, batch, share, rng):
    """Modes of one-pass SGD at a share of the step size where its kernel norm is 1 (or its modes turn unstable)."""
    eigenvalue = np.arange(1, n_modes + 1.0) ** (-2 * alpha) * rng.chisquare(40, n_modes) / 40
    step = share * min(2 / ((batch + 1) * eigenvalue.max()), 2 / eigenvalue.sum())
    decay = step * batch * eigenvalue * (2 - step * (batch + 1) * eigenvalue)
    return decay, step**2 * batch * eigenvalue**2, eigenvalue * rng.random(n_modes)


@pytest.mark.parametrize("n_modes,alpha,batch,share", [(1, 1.0, 1, 0.5), (30, 0.3, 8, 0.9), (200, 1.0, 1, 0.4), (200, 2.0, 4, 0.7)])
@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_equals_the_plain_recursion(n_modes, alpha, batch, share, floor):
    decay, injection, start = sgd_modes(n_modes, alpha, batch, share, np.random.default_rng(n_modes))
    expected = loop(decay, injection, start, floor, 2000)
    assert rank_one_curve(decay, injection, start, floor, np.arange(2001)) == pytest.approx(expected, rel=1e-10)


def test_modes_in_any_order_of_equal_decay_and_beyond_stability():
    rng = np.random.default_rng(3)
    decay = np.repeat(rng.random(12), 2)[rng.permutation(24)]
    start = rng.random(24)
    for scale in (0.2, 3.0):
        injection = rng.random(24) * decay
        injection *= scale / feedback(decay, injection)
        expected = loop(decay, injection, start, 0.1, 60)
        assert rank_one_curve(decay, injection, start, 0.1, np.arange(61)) == pytest.approx(expected, rel=1e-10)
    # A mode that forgets at once, a = 0.
    decay, injection, start = np.array([1.0, 0.3]), np.array([0.2, 0.1]), np.array([1.0, 2.0])
    assert rank_one_curve(decay, injection, start, 0.0, np.arange(9)) == pytest.approx(loop(decay, injection, start, 0.0, 8))


def test_solves_the_volterra_equation():
    decay, injection, start = sgd_modes(40, 0.8, 2, 0.6, np.random.default_rng(1))
    loss = rank_one_curve(decay, injection, start, 0.2, np.arange(41))
    kernel = [np.sum(injection * (1 - decay) ** r) for r in range(40)]
    for r in (1, 7, 40):
        forcing = 0.2 + np.sum(start * (1 - decay) ** r)
        assert loss[r] == pytest.approx(forcing + sum(kernel[r - 1 - s] * loss[s] for s in range(r)), rel=1e-12)


def test_modes_slower_than_rounding_keep_their_accuracy():
    # Three modes twenty decades apart, against powers of the 4 x 4 map in 90 digits.
    getcontext().prec = 90
    decay, injection, start = np.array([0.4, 1e-9, 1e-20]), np.array([0.1, 1e-19, 1e-41]), np.array([1.0, 1e-8, 1e-15])
    floor = 1e-21
    exact = [
        [Decimal(float(h)) + (1 - Decimal(float(m)) if i == j else 0) for j in range(3)]
        for i, (m, h) in enumerate(zip(decay, injection, strict=True))
    ]
    matrix = [[*row, Decimal(float(injection[i]))] for i, row in enumerate(exact)] + [[Decimal(0)] * 3 + [Decimal(1)]]

    def product(a, b):
        return [[sum(a[i][k] * b[k][j] for k in range(4)) for j in range(4)] for i in range(4)]

    state = [*(Decimal(float(s)) for s in start), Decimal(floor)]
    steps, expected = [1, 10, 10**5, 10**9, 10**12, 10**19, 10**21], []
    for r in steps:
        power, square, left = [[Decimal(int(i == j)) for j in range(4)] for i in range(4)], matrix, r
        while left:
            power = product(power, square) if left & 1 else power
            square, left = product(square, square), left >> 1
        expected.append(float(sum(sum(power[i][j] * state[j] for j in range(4)) for i in range(4))))
    assert rank_one_curve(decay, injection, start, floor, np.array(steps, dtype=float)) == pytest.approx(expected, rel=1e-9)


def test_fixed_point_is_the_late_loss_and_exists_below_norm_one():
    decay, injection, start = sgd_modes(60, 1.2, 1, 0.5, np.random.default_rng(5))
    assert rank_one_curve(decay, injection, start, 0.7, np.array([1e30]))[0] == pytest.approx(fixed_point(decay, injection, 0.7))
    assert fixed_point(decay, injection, 0.7) == pytest.approx(0.7 / (1 - feedback(decay, injection)))
    with pytest.raises(ValueError, match="kernel norm"):
        fixed_point(decay, 1.01 * injection / feedback(decay, injection), 0.7)


@pytest.mark.parametrize("decay,injection", [(0.0, 0.1), (1.2, 0.1), (0.5, 0.0)])
def test_refuses_what_is_not_a_second_moment(decay, injection):
    with pytest.raises(ValueError, match="decays"):
        rank_one_curve(np.array([decay]), np.array([injection]), np.ones(1), 0.0, np.ones(1))
