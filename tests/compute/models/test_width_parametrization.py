"""abc tables against the paper's, the exact recursion against training by brute force, limits against huge widths."""

import numpy as np
import pytest

from compute.models.width_parametrization import (
    FEATURES,
    KERNEL,
    TRIVIAL,
    UNSTABLE,
    Abc,
    Exponents,
    feature_movement,
    kernel_loss,
    kernel_strength,
    limit_loss,
    lowest_stable_rate,
    named,
    power_law_task,
    rates,
    standard_gram,
    start,
    train,
    train_neurons,
    wishart_gram,
    written,
)

TASK = power_law_task(6, 1.0)


def brute_force(abc, width, n_steps, eta, seed):
    """Train w^1 and w^2 themselves, multipliers and all, on the population loss; (losses, input weights W^1 at both ends)."""
    rng = np.random.default_rng(seed)
    n, d = float(width), TASK.target.size
    (a1, a2), (b1, b2) = abc.a, abc.b
    inner, outer = rng.standard_normal((width, d)) * n**-b1, rng.standard_normal(width) * n**-b2
    first, losses = n**-a1 * inner, []
    for _ in range(n_steps + 1):
        big, last = n**-a1 * inner, n**-a2 * outer
        g = TASK.eigenvalues * (last @ big - TASK.target)
        losses.append(TASK.loss(last @ big))
        final = big
        step = eta * n**-abc.c
        inner, outer = inner - step * n**-a1 * np.outer(last, g), outer - step * n**-a2 * (big @ g)
    return np.array(losses), first, final


@pytest.mark.parametrize("abc", [named("NTP", 1), named("muP", 1), written(0.75, 0.5, 1.2, 1)])
@pytest.mark.parametrize("theta", [0.0, 0.4, -0.7])
def test_recursion_is_brute_force_however_it_is_written(abc, theta):
    e = abc.exponents
    losses, first, final = brute_force(abc.shifted(theta), 300, 50, 0.5, 3)
    # The same numbers: input weights row by row, then readouts.
    rng = np.random.default_rng(3)
    u, z = rng.standard_normal((300, 6)), rng.standard_normal(300)
    neurons = np.vstack([u.T, z])
    grams = start(neurons @ neurons.T / 300, np.array([300]), e.output_init)
    rate = rates(300, np.array([e.hidden_rate]), e.output_rate, 0.5)
    mine, _ = train(grams, rate, TASK, 50)
    assert mine[0] == pytest.approx(losses, rel=1e-11, abs=1e-13)
    again, changes = train_neurons(grams, rate, TASK, 50)
    assert (again == mine).all()
    movement = np.sqrt(np.mean((final - first) ** 2 @ TASK.eigenvalues))
    assert feature_movement(changes[0, -1], grams[0], TASK) == pytest.approx(movement, rel=1e-9)


@pytest.mark.parametrize(
    "name, depth, r, regime",
    [
        ("NTP", 1, 0.5, KERNEL),
        ("NTP", 3, 0.5, KERNEL),
        ("muP", 1, 0.0, FEATURES),
        ("muP", 4, 0.0, FEATURES),
        ("MFP", 1, 0.0, FEATURES),
        ("SP, c = 1", 1, 1.5, KERNEL),
        ("SP, c = 1", 2, 0.5, KERNEL),
    ],
)
def test_named_parametrizations(name, depth, r, regime):
    e = named(name, depth).exponents
    assert e.feature == pytest.approx(r, abs=1e-12) and e.regime == regime


def test_standard_with_fixed_rate_is_unstable_and_what_coincides_does():
    for depth in (1, 2, 5):
        e = named("SP", depth).exponents
        assert e.regime == UNSTABLE and e.output_rate == 0
    assert named("muP", 1).exponents == named("MFP", 1).exponents
    for abc in (named("NTP", 3), named("muP", 3), named("SP", 2)):
        e, moved = abc.exponents, abc.shifted(0.37).exponents
        assert (moved.output_init, moved.output_rate, moved.feature) == pytest.approx((e.output_init, e.output_rate, e.feature))
        assert moved.hidden_rates == pytest.approx(e.hidden_rates)
    e = written(0.7, 0.3, 1.4, 3).exponents
    assert (e.output_init, e.output_rate) == pytest.approx((0.7, 1.4)) and e.hidden_rates == pytest.approx((0.3,) * 3)
    with pytest.raises(ValueError, match="order one"):
        _ = Abc((0.0, 0.0), (0.2, 0.5), 0.0).exponents
    with pytest.raises(ValueError, match="MFP"):
        named("MFP", 2)


def test_edge_is_where_stability_ends():
    for o in (1.0, 1.3):
        for w in np.linspace(0.5, 1.5, 11):
            h = float(lowest_stable_rate(w, o))
            assert Exponents(w, (h + 1e-6,), o).regime != UNSTABLE and Exponents(w, (h - 1e-6,), o).regime == UNSTABLE
    assert Exponents(0.8, (0.9,), 1.3).regime == TRIVIAL
    assert Exponents(0.8, (0.4,), 1.3).regime == KERNEL


@pytest.mark.parametrize("n", [40, 10_000])
def test_bartlett_is_the_law_of_the_gram_matrix(n):
    rng = np.random.default_rng(5)
    m = 4000
    grams = np.array([wishart_gram(n, 3, rng) for _ in range(m)])
    for a in range(4):
        for b in range(4):
            values, variance = grams[:, a, b], (1 + (a == b)) / n
            assert abs(values.mean() - (a == b)) < 4 * np.sqrt(variance / m)
            # A relative error of a variance is sqrt(2/m), somewhat more for tails heavier than Gaussian.
            assert values.var() == pytest.approx(variance, rel=6 * np.sqrt(2 / m))


@pytest.mark.parametrize(
    "w, h, o", [(1, 0, 1), (1, 0, 1.7), (1.4, 0, 1), (0.75, 0.5, 1), (0.8, 1.2, 1), (0.75, 0.5, 1.5), (1.2, 0.6, 1.5)]
)
def test_limit_is_what_huge_widths_tend_to(w, h, o):
    e = Exponents(float(w), (float(h),), float(o))
    n = 10**30  # n^-0.2 is the slowest power here
    gram = start(wishart_gram(n, 6, np.random.default_rng(0)), np.array([n]), e.output_init)
    losses, _ = train(gram, rates(float(n), np.array([e.hidden_rate]), e.output_rate, 0.4), TASK, 30)
    assert losses[0] == pytest.approx(limit_loss(e, 0.4, TASK, 30), abs=3e-5)


def test_random_start_of_the_kernel_limit():
    e = named("NTP", 1).exponents
    rng, n, m = np.random.default_rng(1), 10**12, 2000
    grams = start(np.array([wishart_gram(n, 6, rng) for _ in range(m)]), np.full(m, n), 0.5)
    losses, _ = train(grams, rates(n, np.full(m, 1.0), 1.0, 0.4), TASK, 15)
    each = kernel_loss(grams[:, -1, :-1], kernel_strength(e), 0.4, TASK, 15)
    assert losses == pytest.approx(each, abs=2e-4)
    error = losses.std(axis=0, ddof=1) / np.sqrt(m)
    assert (np.abs(losses.mean(axis=0) - limit_loss(e, 0.4, TASK, 15)) < 4 * error).all()


def test_distance_to_the_limit_after_a_step_falls_with_the_root_of_the_width():
    e = named("muP", 1).exponents
    widths, rms = 2 ** np.arange(5, 12), []
    for n in widths:
        rng = np.random.default_rng([7, n])
        grams = start(np.array([standard_gram(n, 6, rng) for _ in range(100)]), np.full(100, n), 1.0)
        losses, _ = train(grams, rates(n, np.zeros(100), 1.0, 0.1), TASK, 1)
        rms.append(np.sqrt(np.mean((losses[:, 1] - limit_loss(e, 0.1, TASK, 1)[1]) ** 2)))
    assert np.polyfit(np.log(widths), np.log(rms), 1)[0] == pytest.approx(-0.5, abs=0.1)


def test_divergence_is_told_and_starts_are_left_alone():
    grams = start(standard_gram(64, 6, np.random.default_rng(0)), np.array([64, 64]), np.array([0.5, 1.0]))
    kept = grams.copy()
    losses, changes = train_neurons(grams, rates(64, np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5), TASK, 20)
    assert (grams == kept).all()
    assert np.isinf(losses[0, -1]) and np.isnan(changes[0, -1]).all()
    assert np.isfinite(losses[1]).all() and np.isfinite(changes[1]).all()
    assert limit_loss(Exponents(0.5, (1.0,), 0.0), 0.5, TASK, 5) is None
