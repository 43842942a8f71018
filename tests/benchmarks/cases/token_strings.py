"""Strings of tokens of known laws: letters uncovered in any order, and posteriors by messages."""

from collections.abc import Iterator

import numpy as np

from compute.diffusion_samplers.absorbing_diffusion.setting import first_hitting, grid_labels
from compute.diffusion_samplers.simplex_diffusions.setting import Strings
from compute.models import token_chain, token_law
from compute.models.token_chain import TokenChain
from compute.models.token_law import TokenLaw
from tests.benchmarks.kernels import Case

LENGTH = 64


def cases() -> Iterator[Case]:
    chain, shape = TokenChain(4, LENGTH, 2.5, 0.4), (128, LENGTH)
    rng = np.random.default_rng(0)
    orders = {
        "on a grid of 8 steps": grid_labels("linear", 8, shape, rng),
        "by first hitting": first_hitting("linear", shape, rng)[0],
    }
    for name, labels in orders.items():
        yield Case(
            f"{shape[0]} words of {LENGTH} letters uncovered {name}",
            lambda labels=labels: both(*chain.draw(labels, np.random.default_rng(1))),
            "NumPy, all words at once",
            lambda labels=labels: both(*uncover(chain, labels, np.random.default_rng(1).random(labels.shape))),
            (token_chain._reveal, token_chain._conditional),
        )

    for strings in (Strings(), Strings(10, "skew", 3)):
        law, n = strings.build(), 2000
        log_likelihood = 2 * rng.standard_normal((n, law.length, law.n_categories))
        yield Case(
            f"posterior of {n} strings of {law.length} tokens, {law.n_categories} categories",
            lambda law=law, seen=log_likelihood: law.posterior(seen),
            "NumPy, all strings at once",
            lambda law=law, seen=log_likelihood: posterior(law, seen),
            (token_law._forward_backward,),
        )


def both(words: np.ndarray, log_drawn: np.ndarray) -> np.ndarray:
    return np.column_stack([words, log_drawn])


def uncover(chain: TokenChain, labels: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words and their log-probabilities, a block of all words at a time."""
    place, words = np.arange(LENGTH), np.zeros(labels.shape, dtype=np.int64)
    log_drawn = np.zeros(len(words))
    # With the stationary law to the left of a word and ones to its right, the ends need no case of their own.
    before = np.concatenate([chain.powers, np.broadcast_to(chain.stationary, (1, *chain.powers.shape[1:]))])
    after = np.concatenate([chain.powers, np.ones((1, *chain.powers.shape[1:]))])
    for block in np.unique(labels):
        known = labels < block
        left = np.maximum.accumulate(np.where(known, place, -1), axis=1)
        right = np.minimum.accumulate(np.where(known, place, LENGTH)[:, ::-1], axis=1)[:, ::-1]
        w, i = np.nonzero(labels == block)
        a, b = left[w, i], right[w, i]
        p = before[np.where(a < 0, -1, i - a), words[w, a]]
        p = p * after[np.where(b < LENGTH, b - i, -1), :, words[w, np.minimum(b, LENGTH - 1)]]
        p /= p.sum(axis=1, keepdims=True)
        letter = np.sum(np.cumsum(p, axis=1)[:, :-1] < uniform[w, i][:, None], axis=1)
        words[w, i] = letter
        log_drawn += np.bincount(w, np.log(p[np.arange(w.size), letter]), len(words))
    return words, log_drawn


def posterior(law: TokenLaw, log_likelihood: np.ndarray) -> np.ndarray:
    """Messages forward and back."""
    seen = np.exp(log_likelihood - log_likelihood.max(axis=2, keepdims=True))
    n, length, _ = seen.shape
    out, back = np.empty_like(seen), np.ones((n, law.n_categories))
    out[:, 0] = law.p * seen[:, 0]
    for l in range(1, length):
        last = out[:, l - 1]
        out[:, l] = (law.copying * last + (1 - law.copying) * last.sum(axis=1, keepdims=True) * law.p) * seen[:, l]
    for l in range(length - 1, -1, -1):
        out[:, l] *= back
        back = back * seen[:, l]
        back = law.copying * back + (1 - law.copying) * (back @ law.p)[:, None]
    return out / out.sum(axis=2, keepdims=True)
