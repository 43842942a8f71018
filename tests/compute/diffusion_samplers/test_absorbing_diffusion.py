"""Absorbing diffusion: exact laws of masked words, truncated draws, births of counts."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, chisquare, kstest, poisson

from compute.diffusion_samplers.absorbing_diffusion import (
    counts_curve,
    film,
    pictures,
    precision_map,
    raster,
    steps_curve,
    trap,
)
from compute.diffusion_samplers.absorbing_diffusion.births import (
    birth_rate,
    output_laws,
    posterior_mean,
    reverse_kernel,
    thinning,
)
from compute.diffusion_samplers.absorbing_diffusion.block_laws import BlockLaws
from compute.diffusion_samplers.absorbing_diffusion.counts import GRIDS, law_of, levels_of
from compute.diffusion_samplers.absorbing_diffusion.pictures import posterior, stored_pictures
from compute.diffusion_samplers.absorbing_diffusion.setting import (
    SCHEDULES,
    expected_evaluations,
    first_hitting,
    grid_labels,
    step_masses,
)
from compute.diffusion_samplers.absorbing_diffusion.truncation import (
    effective_temperature,
    entropy,
    first_time,
    run_laws,
    truncated_categorical,
    unmasking,
    zipf_law,
)
from compute.models.token_chain import TokenChain
from compute.parameters import ParameterError

# --- words -------------------------------------------------------------------------------------------------


def brute_force_law(p, masses):
    """Law of words of 3 letters on a grid, by enumerating every assignment of letters to steps and every word."""
    out = np.zeros_like(p)
    n, tokens = len(masses), p.shape[0]
    for labels in itertools.product(range(n), repeat=3):
        weight = np.prod([masses[k] for k in labels])
        for word in itertools.product(range(tokens), repeat=3):
            product = 1.0
            for i in range(3):
                known = [j for j in range(3) if labels[j] < labels[i]]
                given = p[tuple(word[j] if j in known else slice(None) for j in range(3))].sum()
                both = p[tuple(word[j] if j in known or j == i else slice(None) for j in range(3))].sum()
                product *= both / given
            out[word] += weight * product
    return out


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_block_laws_against_enumeration(schedule):
    chain = TokenChain(3, 3, 2.0, 0.7)
    masses = step_masses(schedule, 4)
    assert np.allclose(BlockLaws(chain).law(masses), brute_force_law(chain.table(), masses).ravel(), atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 7, 500])
def test_two_letters_mix_the_law_and_its_product(n):
    chain = TokenChain(4, 2, 2.0, 1.0)
    p = chain.table()
    exact = (1 - 1 / n) * p + np.outer(p.sum(1), p.sum(0)) / n
    assert np.allclose(BlockLaws(chain).law(step_masses("linear", n)).reshape(4, 4), exact, atol=1e-13)


def test_first_hitting_times_are_those_of_independent_letters():
    """Order statistics of l uniforms: the first letter to appear in reverse dies last, 1 - tau ~ max, mean l/(l + 1)."""
    rng = np.random.default_rng(5)
    length = 6
    _, times = first_hitting("linear", (4000, length), rng)
    first = 1 - times.min(axis=1)
    assert abs(first.mean() - length / (length + 1)) < 4 * first.std() / np.sqrt(first.size)
    assert kstest(first, lambda x: np.clip(x, 0, 1) ** length).pvalue > 1e-3
    assert kstest(times[:, 2], "uniform").pvalue > 1e-3  # each letter's own time
    _, times = first_hitting("cosine", (4000, length), rng)
    assert kstest(times[:, 0], lambda x: 1 - np.cos(np.pi * np.clip(x, 0, 1) / 2)).pvalue > 1e-3


def test_first_hitting_law_is_the_data():
    rng, chain = np.random.default_rng(2), TokenChain(3, 4, 2.0, 0.5)
    labels, _ = first_hitting("linear", (20_000, 4), rng)
    words, _ = chain.draw(labels, rng)
    counts = np.bincount(words @ 3 ** np.arange(3, -1, -1), minlength=81)
    assert chisquare(counts, 20_000 * chain.table().ravel()).pvalue > 1e-3


def test_grid_sampler_has_the_exact_law():
    """The kernel that draws against the one that sums, which share no code but the conditional."""
    rng, chain = np.random.default_rng(3), TokenChain(3, 4, 2.5, 0.5)
    words, _ = chain.draw(grid_labels("cosine", 3, (20_000, 4), rng), rng)
    counts = np.bincount(words @ 3 ** np.arange(3, -1, -1), minlength=81)
    law = BlockLaws(chain).law(step_masses("cosine", 3))
    assert chisquare(counts, 20_000 * law).pvalue > 1e-3
    assert chisquare(counts, 20_000 * chain.table().ravel()).pvalue < 1e-9


def test_every_order_gives_the_same_likelihood():
    chain = TokenChain(3, 4, 2.0, 1.0)
    words = np.array(list(itertools.product(range(3), repeat=4)))
    orders = np.array(list(itertools.permutations(range(4))))
    mean = np.mean([chain.weigh(words, np.tile(order, (81, 1))) for order in orders], axis=0)
    assert np.allclose(mean, np.log(chain.table().ravel()), atol=1e-12)
    assert np.allclose(mean, chain.log_probability(words), atol=1e-12)


def test_expected_evaluations():
    rng = np.random.default_rng(0)
    for n, length in ((5, 8), (64, 20)):
        assert expected_evaluations("linear", n, length) == pytest.approx(n * (1 - (1 - 1 / n) ** length), rel=1e-12)
        used = np.array([len(set(row)) for row in grid_labels("cosine", n, (4000, length), rng).tolist()])
        assert abs(used.mean() - expected_evaluations("cosine", n, length)) < 4 * used.std() / np.sqrt(used.size)


def test_lost_nats_are_the_total_correlation():
    """In one step the words' law is the product of marginals: the loss is sum H(x_i) - H(x), exactly."""
    chain = TokenChain(4, 6, 2.5, 0.4)
    p = chain.table()
    marginals = [p.sum(axis=tuple(j for j in range(6) if j != i)) for i in range(6)]
    product = marginals[0]
    for m in marginals[1:]:
        product = product[..., None] * m
    lost = float(np.sum(product * (np.log(product) - np.log(p))))
    result = raster(length=6, steps=1)
    assert abs(result.lost[0] - lost) < 4 * result.lost[1]
    assert result.lost_first < 1e-12


def test_steps_curve():
    result = steps_curve(short_length=2, states=2, steps=500)
    p = TokenChain(2, 2, 2.5, 0.4).table()
    assert result.tv["linear"][0] == pytest.approx(0.5 * np.abs(p - np.outer(p.sum(1), p.sum(0))).sum(), rel=1e-12)
    assert result.headline()["slope of log TV, last decade"] == pytest.approx(-1, abs=1e-9)
    result = steps_curve()
    assert result.headline()["simulation − theory, worst, SE"] < 4
    assert steps_curve(steps=10_000).tv_here == pytest.approx(10 * steps_curve(steps=100_000).tv_here, rel=1e-9)
    with pytest.raises(ParameterError, match="at most"):
        steps_curve(short_length=8, states=5)


# --- truncated draws ---------------------------------------------------------------------------------------


def test_largest_gumbel_number():
    assert -np.log(first_time(24)) == pytest.approx(24 * np.log(2), abs=1e-6)
    assert trap().headline()["largest Gumbel number"] == pytest.approx(16.6355, abs=1e-4)


def test_truncated_draw_against_gumbel_max():
    rng, p, n = np.random.default_rng(1), np.array([0.15, 0.5, 0.05, 0.3]), 400_000
    u = rng.random((n, 4)) * (1 - 2**-3)
    wins = np.bincount((np.log(p) - np.log(-np.log(u))).argmax(axis=1), minlength=4) / n
    exact = truncated_categorical(p, 3)
    assert np.all(np.abs(wins - exact) < 4 * np.sqrt(exact * (1 - exact) / n))
    assert np.abs(exact - p).max() > 0.05
    assert exact.sum() == pytest.approx(1, abs=1e-12)
    assert np.allclose(truncated_categorical(p, 53), p, atol=1e-13)


def test_entropy_of_the_first_step():
    """Verified numbers of the catalogue's row: 3.58 -> 2.54 nats at r = 1e-6, 24 bits; nearly nothing at 1e-2."""
    p = np.sort(np.random.default_rng(1).dirichlet(np.full(1000, 0.02)))[::-1]
    uncovered, law = unmasking(p, 24, np.array([100, 1_000_000]))
    assert entropy(p) == pytest.approx(3.58, abs=0.005)
    assert entropy(law[1]) == pytest.approx(2.54, abs=0.005)
    assert 0 < entropy(p) - entropy(law[0]) < 0.01
    assert uncovered[1] * 1e6 == pytest.approx(0.23, abs=0.005)
    assert unmasking(zipf_law(1000, 1.0), 24, np.array([1_000_000]))[0][0] * 1e6 == pytest.approx(0.14, abs=0.005)


def test_whole_run_against_step_by_step():
    p, n = zipf_law(50, 1.0), 3000
    uncovered, law = unmasking(p, 10, np.arange(1, n + 1))
    hidden, exact = 1.0, np.zeros(50)
    for left in range(n, 0, -1):
        exact += hidden * uncovered[left - 1] * law[left - 1]
        hidden *= 1 - uncovered[left - 1]
    steps = np.unique(np.rint(np.geomspace(1, n, 40)).astype(np.int64))
    fast = run_laws(p, 10, steps)
    assert 0.5 * np.abs(fast[-1] - exact).sum() < 2e-3
    assert np.allclose(fast.sum(axis=1), 1, atol=1e-12)
    assert np.allclose(run_laws(p, 53, steps), p, atol=1e-12)


def test_simulated_run_loses_entropy_as_computed():
    """Letters that pass through every step of a run, each step one race of truncated exponential clocks."""
    rng, p, n, letters, bits = np.random.default_rng(8), zipf_law(6, 1.0), 40, 20_000, 6
    token = np.full(letters, -1)
    for left in range(n, 0, -1):
        todo = np.flatnonzero(token < 0)
        rates = np.append(p / left, 1 - 1 / left)
        clocks = -np.log(rng.random((todo.size, 7)) * (1 - 2.0**-bits))
        with np.errstate(divide="ignore"):
            winner = (clocks / rates).argmin(axis=1)
        token[todo[winner < 6]] = winner[winner < 6]
    share = np.bincount(token, minlength=6) / letters
    exact = run_laws(p, bits, np.arange(1, n + 1))[-1]
    assert np.all(np.abs(share - exact) < 4 * np.sqrt(exact * (1 - exact) / letters))
    assert np.abs(exact - p).max() > 0.03


def test_effective_temperature_inverts_tempering():
    p = zipf_law(200, 1.0)
    tempered = p ** (1 / 0.7)
    assert effective_temperature(p, np.array([entropy(tempered / tempered.sum())]))[0] == pytest.approx(0.7, abs=2e-3)


def test_precision_map():
    result = precision_map()
    assert np.all(np.diff(result.temperature, axis=0) > -1e-9)  # more bits never cool
    assert result.temperature[-1].min() > 1 - 1e-6
    assert trap(steps=1_000_000, bits=8, vocabulary=1000).here[0] < 4


# --- counts ------------------------------------------------------------------------------------------------


def test_thinning_is_binomial():
    o = np.arange(41)
    assert np.allclose(thinning(40, 0.3), binom.pmf(o[None], o[:, None], 0.3), atol=1e-14)
    law = thinning(40, math.exp(-2.0))[25]
    assert law @ o == pytest.approx(25 * math.exp(-2.0))
    assert law @ o**2 - (law @ o) ** 2 == pytest.approx(25 * math.exp(-2.0) * (1 - math.exp(-2.0)))


@pytest.mark.parametrize("name", ["bimodal", "Zipf", "uniform", "two spikes"])
def test_reverse_rate_is_the_ratio_of_the_law(name):
    p, _, _ = law_of(name, 20, None)
    for a in (0.05, 0.5, 0.9):
        q, _ = posterior_mean(p, a)
        o = np.arange(20)
        assert np.allclose(birth_rate(p, a)[:-1] * q[:-1], (o + 1) * q[1:], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", [1, 2, 9])
def test_exact_bridge_returns_the_data(grid, n):
    """Started from the law at the top; from black, TV cannot grow beyond that of the start."""
    p, _, _ = law_of("bimodal", 32, None)
    levels = levels_of(grid, 8.0, n)
    assert levels.size == n + 1 and levels[-1] == 1 and np.all(np.diff(levels) > 0)
    q, _ = posterior_mean(p, levels[0])
    law = q
    for low, high in itertools.pairwise(levels):
        law = law @ reverse_kernel(p, low, high)
    assert np.abs(law - p).max() < 1e-12
    assert 0.5 * np.abs(output_laws(p, levels)["exact"] - p).sum() <= 1 - q[0] + 1e-12


def test_one_step_of_each_sampler():
    """In one step to survival 1 all births happen at once: Poisson, a point, or two points, around the mean."""
    p, _, _ = law_of("bimodal", 32, None)
    laws = output_laws(p, np.array([1e-9, 1.0]))
    mean = p @ np.arange(33)
    assert np.allclose(laws["tau-leap"][:32], poisson.pmf(np.arange(32), mean), atol=1e-7)
    assert laws["rounded mean"][round(mean)] == pytest.approx(1)
    low = int(mean)
    assert laws["randomly rounded"][low + 1] == pytest.approx(mean - low, abs=1e-6)


def test_samplers_against_simulation():
    """Particles of the released recipe (Binomial of the rounded mean, Poisson cut off at M), 5 steps."""
    rng, n, levels = np.random.default_rng(4), 40_000, levels_of("uniform survival", 8.0, 5)
    p, _, _ = law_of("bimodal", 12, None)
    rounded, leaped = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    for a, b in itertools.pairwise(levels):
        missing = posterior_mean(p, a)[1] - np.arange(13)
        rate = (b - a) / (1 - a)
        rounded += rng.binomial(np.floor(np.maximum(missing, 0)[rounded] + 0.5).astype(int), rate)
        leaped = np.minimum(leaped + rng.poisson(np.maximum(missing, 0)[leaped] * rate), 12)
    laws = output_laws(p, levels)
    for particles, name in ((rounded, "rounded mean"), (leaped, "tau-leap")):
        share = np.bincount(particles, minlength=13) / n
        assert np.all(np.abs(share - laws[name]) < 4.5 * np.sqrt(laws[name] * (1 - laws[name]) / n) + 1e-9), name
        assert np.isclose(laws[name].sum(), 1)


def test_rounding_the_mean_does_not_converge():
    result = counts_curve()
    last = {name: tv[-1] for name, tv in result.tv.items()}
    assert last["rounded mean"] > 0.05 and last["tau-leap"] < 0.003 and last["randomly rounded"] < 0.006
    slope = np.polyfit(np.log(result.n[-4:]), np.log(result.tv["tau-leap"][-4:]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.15)


def test_film_paths_have_the_law():
    result = film(seed=1)
    assert np.all(np.diff(result.paths, axis=1) >= 0) and result.paths[:, 0].max() == 0
    ends = np.concatenate([film(seed=k).paths[:, -1] for k in range(40)])
    data = result.data
    mean = data @ np.arange(33)
    spread = np.sqrt(data @ np.arange(33) ** 2 - mean**2)
    assert abs(ends.mean() - mean) < 4 * spread / np.sqrt(ends.size)


def test_your_counts():
    table = pl.DataFrame({"count": [0.0, 3.0, 3.0, 7.5, 9.0]})
    result = counts_curve(counts=table)
    assert result.headline()["rows left out"].startswith("1")
    p = np.array([0.25, 0.5, 0.25])
    assert result.floor == pytest.approx(0.5 * np.sum(np.sqrt(2 / np.pi * p * (1 - p) / 4)))
    with pytest.raises(ParameterError, match="whole"):
        counts_curve(counts=pl.DataFrame({"count": [0.5]}))


def test_pictures():
    stored = stored_pictures(32)
    seen = np.zeros(256, dtype=int)
    seen[:5] = [2, 0, 1, 0, 3]
    likelihood = np.prod(binom.pmf(seen, stored, 0.01), axis=1)
    assert np.allclose(posterior(seen, 0.01, stored), likelihood / likelihood.sum(), atol=1e-12)
    # The exact posterior chooses every picture equally often.
    chosen = np.concatenate([pictures(seed=k, frames=2).chosen for k in range(100)])
    assert chisquare(np.bincount(chosen, minlength=6)).pvalue > 1e-3
    result = pictures(seed=3)
    assert np.array_equal(result.frames[:, -1].reshape(3, -1), stored[result.chosen])
