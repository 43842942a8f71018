"""Strings of copied tokens: messages against enumeration, entropy, and masked diffusion against simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, entropy

from compute.models.token_law import TokenLaw, parallel_unmasking

P = np.array([0.1, 0.3, 0.6])


def enumerated(law):
    strings = np.array(list(product(range(law.n_categories), repeat=law.length)))
    step = law.copying * np.eye(law.n_categories) + (1 - law.copying) * law.p
    chance = law.p[strings[:, 0]]
    for l in range(1, law.length):
        chance = chance * step[strings[:, l - 1], strings[:, l]]
    return strings, chance


@pytest.mark.parametrize("length", [1, 2, 3])
def test_table_entropy_and_posterior_are_those_of_the_enumerated_law(length):
    law = TokenLaw(P, length, 0.7)
    strings, chance = enumerated(law)
    assert law.table()[law.index(strings)] == pytest.approx(chance, abs=1e-15)
    assert law.entropy == pytest.approx(entropy(chance), abs=1e-12)
    seen = np.random.default_rng(0).standard_normal((5, length, 3))
    weight = chance * np.exp(np.sum(seen[:, np.arange(length), strings], axis=2))
    weight /= weight.sum(axis=1, keepdims=True)
    for l in range(length):
        exact = np.stack([weight[:, strings[:, l] == k].sum(axis=1) for k in range(3)], axis=1)
        assert law.posterior(seen)[:, l] == pytest.approx(exact, abs=1e-12)


def test_total_variation_and_its_noise_floor():
    law, rng = TokenLaw(P, 2, 0.7), np.random.default_rng(1)
    values = [law.total_variation(law.sample(rng, 300))[0] for _ in range(300)]
    assert law.noise_floor(300) == pytest.approx(np.mean(values), abs=4 * np.std(values) / np.sqrt(300))
    p = law.table()
    by_sum = sum(0.5 * np.sum(binom.pmf(np.arange(301), 300, q) * np.abs(np.arange(301) / 300 - q)) for q in p)
    assert law.noise_floor(300) == pytest.approx(by_sum, rel=1e-9)
    tokens = np.tile([[2, 2]], (10, 1))
    assert law.total_variation(tokens)[0] == pytest.approx(1 - p[8], abs=1e-12)


@pytest.mark.parametrize("length,n_steps", [(2, 1), (2, 4), (3, 3)])
def test_parallel_unmasking_is_what_a_simulation_gives(length, n_steps):
    law, rng, n = TokenLaw(P, length, 0.7), np.random.default_rng(2), 40_000
    when = rng.integers(n_steps, size=(n, length))
    tokens = np.full((n, length), -1)
    for step in range(n_steps):
        # A known token has a likelihood at itself; a masked one has none.
        seen = np.where(tokens[..., None] < 0, 0.0, np.where(tokens[..., None] == np.arange(3), 0.0, -60.0))
        posterior = law.posterior(seen)
        drawn = (posterior.cumsum(axis=-1)[..., :-1] < rng.random((n, length, 1))).sum(axis=-1)
        tokens = np.where(when == step, drawn, tokens)
    found, error = law.total_variation(tokens)
    assert parallel_unmasking(law, n_steps) == pytest.approx(found, abs=4 * error + 0.5 * law.noise_floor(n))
    if length == 2:
        product_law = np.outer(P, P).ravel()
        assert parallel_unmasking(law, n_steps) == pytest.approx(0.5 * np.abs(product_law - law.table()).sum() / n_steps, abs=1e-12)


def test_one_token_is_exact():
    assert parallel_unmasking(TokenLaw(P, 1, 0.0), 7) == pytest.approx(0, abs=1e-15)
