"""The memory of Zipf items against zeta functions, direct sums and drawn items."""

import numpy as np
import pytest
from scipy.special import gamma, zeta

from compute.models import zipf_memory as zm


@pytest.mark.parametrize("exponent", [1.1, 1.5, 3.0])
@pytest.mark.parametrize("cutoff", [10, 300, 100_000])
def test_nodes_carry_all_probability_on_both_sides_of_the_cut(exponent, cutoff):
    zipf = zm.zipf_nodes(exponent, cutoff)
    assert zipf.mass.sum() == pytest.approx(1, abs=1e-8)
    assert zipf.mass[zipf.rank > cutoff].sum() == pytest.approx(zipf.tail, rel=1e-6)


@pytest.mark.parametrize("exponent", [1.5, 2.0])
def test_clean_errors_fall_with_the_published_exponent(exponent):
    zipf = zm.zipf_nodes(exponent, 300)
    draws = np.geomspace(1e3, 1e6, 30)
    slope = np.polyfit(np.log(draws), np.log(zm.memory_error(zipf, draws)), 1)[0]
    assert slope == pytest.approx(-(1 - 1 / exponent), abs=0.01)
    # Karamata: sum p e^{-Tp} ~ Gamma(1 - 1/beta)/beta zeta^{-1/beta} T^{-(1 - 1/beta)}.
    limit = gamma(1 - 1 / exponent) / exponent * zeta(exponent) ** (-1 / exponent) * 1e9 ** -(1 - 1 / exponent)
    assert zm.memory_error(zipf, 1e9) == pytest.approx(limit, rel=1e-3)


def test_errors_are_direct_sums():
    # Two million items one by one; the rest is unseen at these sizes up to a part in a thousand.
    i = np.arange(1.0, 2e6 + 1)
    p = i**-2.0 / zeta(2.0)
    left = 1 - p.sum()
    zipf = zm.zipf_nodes(2.0, 5000)
    cut = np.where(i <= 5000, p / p[:5000].sum(), 0.0)
    for draws, real in ((300, 1.0), (30_000, 0.0), (3e6, 0.1)):
        direct = p @ np.exp(draws * np.log1p(-(real * p + (1 - real) * cut))) + left
        assert zm.memory_error(zipf, draws, real) == pytest.approx(direct, rel=1e-4)


def test_cut_tail_ends_on_its_mass():
    zipf = zm.zipf_nodes(1.5, 300)
    exact = 1 - np.sum(np.arange(1.0, 301) ** -1.5) / zeta(1.5)
    assert zm.memory_error(zipf, 1e15, 0.0) == pytest.approx(exact, rel=1e-6)


def test_survival_of_a_line_is_that_of_a_critical_branching_process():
    assert zm.line_survival(1e9, 1000, 1) == 1
    assert zm.line_survival(1e9, 1000, 2) == pytest.approx(1 - np.exp(-1))
    # Kolmogorov: 2/g for offspring variance 1.
    assert zm.line_survival(1e9, 1000, 1000) * 1000 == pytest.approx(2, rel=0.02)


def test_resampling_chain_agrees_with_multinomial_chains():
    items, size, generations = 20_000, 2000, 10
    p = np.arange(1.0, items + 1) ** -1.5
    p /= p.sum()
    exact = zm.resampled_error(zm.Zipf(1.5, items, np.arange(1.0, items + 1), p, p), 1e12, size, generations)
    assert exact == pytest.approx(0.1294, abs=1e-4)
    rng, errors = np.random.default_rng(0), []
    for _ in range(60):
        law = p
        for _ in range(generations):
            counts = rng.multinomial(size, law)
            law = counts / size
        errors.append(p[counts == 0].sum())
    assert abs(np.mean(errors) - exact) < 3.5 * np.std(errors) / np.sqrt(60)


def test_simulated_memories_follow_all_four_curves():
    zipf, draws = zm.zipf_nodes(1.6, 200), np.array([100, 5000])
    rng = np.random.default_rng(3)
    runs = [zm.simulate(rng, 1.6, 200, draws, 500, 6, 0.1) for _ in range(80)]
    exact = {
        "clean": zm.memory_error(zipf, draws),
        "cut_tail": zm.memory_error(zipf, draws, 0.0),
        "resampled": zm.resampled_error(zipf, draws, 500, 6),
        "mixed": zm.memory_error(zipf, draws, 0.1),
    }
    for name, value in exact.items():
        found = np.array([run[name] for run in runs])
        assert np.all(np.abs(found.mean(axis=0) - value) < 3.5 * found.std(axis=0) / np.sqrt(80)), name


def test_no_resampling_is_clean():
    zipf = zm.zipf_nodes(1.5, 100)
    assert zm.resampled_error(zipf, 1e4, 500, 0) == zm.memory_error(zipf, 1e4)
    # With endless generator samples one resampling changes nothing.
    assert zm.resampled_error(zipf, 1e3, 10**12, 1) == pytest.approx(float(zm.memory_error(zipf, 1e3)), rel=2e-3)
