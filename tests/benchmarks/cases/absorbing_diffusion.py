"""Absorbing diffusion: laws of words uncovered on grids, of counts born in reverse, and of coarse draws."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.special import binom, gammaln

from compute.diffusion_samplers.absorbing_diffusion import births, block_laws, counts, truncation
from compute.diffusion_samplers.absorbing_diffusion.setting import step_masses
from compute.diffusion_samplers.absorbing_diffusion.words import CURVE_STEPS
from compute.models import token_chain
from compute.models.token_chain import TokenChain
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    yield from _blocks()
    yield from _births()
    yield from _coarse_draws()


# --- words -----------------------------------------------------------------------------------------------------------


def _blocks() -> Iterator[Case]:
    chain = TokenChain(4, 6, 2.5, 0.4)
    yield Case(
        f"sums over ordered partitions, words of {chain.length} of {chain.n_tokens} letters",
        lambda: block_laws.BlockLaws(chain)._sums,
        "NumPy, all words at once",
        lambda: sum_blocks(chain),
        (block_laws._sum_blocks, token_chain._conditional),
    )
    grids = [step_masses("linear", int(n)) for n in CURVE_STEPS]
    yield Case(
        f"weights of all block sizes, {len(grids)} grids",
        lambda: np.stack([block_laws._weigh_steps(masses, chain.length) for masses in grids]),
        "NumPy cumsum",
        lambda: np.stack([weigh_steps(masses, chain.length) for masses in grids]),
        (block_laws._weigh_steps,),
    )


def sum_blocks(chain: TokenChain) -> Array:
    """Sets of known letters one after the other, the smaller first, each with the words of these letters at once."""
    length, table = chain.length, chain.table()

    @cache
    def marginal(known: int) -> Array:
        return table.sum(axis=tuple(i for i in range(length) if not known >> i & 1), keepdims=True)

    total = {0: np.ones((1,) * (length + 1))}
    for known in range(2**length - 1):
        ends = known.bit_count()
        hidden = 2**length - 1 - known
        product, block = {0: np.ones((1,) * length)}, 0
        while block := (block - hidden) & hidden:  # the next subset of the hidden letters
            letter = block & -block
            product[block] = product[block - letter] * (marginal(known | letter) / marginal(known))
            fed = total[known] * product[block][..., None]
            to = known | block
            if to not in total:
                total[to] = np.zeros((*(chain.n_tokens if to >> i & 1 else 1 for i in range(length)), 2 ** (to.bit_count() - 1)))
            cut = 2 ** (ends - 1) if ends else 0
            total[to][..., cut : cut + fed.shape[-1]] += fed
    return total[2**length - 1].reshape(-1, 2 ** (length - 1))


def weigh_steps(masses: Array, length: int) -> Array:
    """Sums over rising steps, one block after the other."""
    powers = masses ** np.arange(length + 1)[:, None]
    running: dict[tuple[int, int], Array] = {(0, 0): np.ones(masses.size + 1)}  # by letters shown and mask: up to each step
    for shown in range(1, length + 1):
        for mask in range(2 ** (shown - 1)):
            before = mask.bit_length()  # where the last block begins
            rest = mask - (1 << (before - 1)) if before else 0
            terms = powers[shown - before] * running[before, rest][:-1]
            running[shown, mask] = np.concatenate([[0.0], np.cumsum(terms)])
    return np.array([running[length, mask][-1] for mask in range(2 ** (length - 1))])


# --- counts ----------------------------------------------------------------------------------------------------------


def _births() -> Iterator[Case]:
    p = counts.law_of("bimodal", 32, None)[0]
    grids = [counts.levels_of("uniform survival", 8.0, int(n)) for n in counts.CURVE_STEPS]
    yield Case(
        f"output laws of four samplers of counts to {p.size - 1}, {len(grids)} grids",
        lambda: np.stack([list(births.output_laws(p, levels).values()) for levels in grids]),
        "NumPy, transition matrices",
        lambda: np.stack([output_laws(p, levels) for levels in grids]),
        (births._propagate, births._posterior_mean, births._thinning, births._binomial),
    )


def output_laws(p: Array, levels: Array) -> Array:
    """(4, M + 1) laws, by a matrix for each sampler and step."""
    o, m = np.arange(p.size), p.size - 1
    choose, gap = binom(o[:, None], o), o - o[:, None]
    born, fits = np.maximum(gap, 0), gap >= 0
    log_factorial = gammaln(born + 1.0)

    def thinning(survival: float) -> Array:
        return choose * survival**o * (1 - survival) ** np.maximum(-gap, 0)

    def posterior(survival: float) -> tuple[Array, Array]:
        joint = p[:, None] * thinning(survival)
        law = joint.sum(axis=0)
        return law, np.where(law > 1e-290, o @ joint / np.maximum(law, 1e-290), o)

    laws = np.zeros((4, p.size))
    laws[:, 0] = 1.0
    law, mean = posterior(levels[0])
    for a, b in pairwise(levels):
        rate = (b - a) / (1 - a)
        after, mean_after = posterior(b)
        exact = np.where(law[:, None] > 1e-290, (after[:, None] * thinning(a / b)).T / np.maximum(law[:, None], 1e-290), gap == 0)
        missing = np.maximum(mean - o, 0)
        tau = np.where(fits, np.exp(-missing[:, None] * rate - log_factorial) * (missing[:, None] * rate) ** born, 0.0)
        tau[:, m] = np.maximum(1 - tau[:, :m].sum(axis=1), 0.0)
        of_births = thinning(rate)
        low = np.floor(missing + 1e-9).astype(int)
        part = np.maximum(missing - low, 0)[:, None]
        less, more, nearest = (
            np.where(fits, of_births[np.minimum(n, m)[:, None], born], 0.0)
            for n in (low, low + 1, np.floor(missing + 0.5).astype(int))
        )
        rounded = (1 - part) * less + np.where(part > 1e-9, part * more, 0.0)
        laws = np.stack([laws[k] @ matrix for k, matrix in enumerate((exact, tau, nearest, rounded))])
        law, mean = after, mean_after
    return laws


# --- draws -----------------------------------------------------------------------------------------------------------


def _coarse_draws() -> Iterator[Case]:
    p, bits, steps = truncation.zipf_law(1000, 1.0), 24, truncation.CURVE_STEPS

    def plain() -> Array:
        stay = 1 - 1 / steps
        place = np.searchsorted(-p, -stay * steps)[:, None]
        at = np.arange(p.size + 1)
        shifted = np.concatenate([p, [0.0]]), np.concatenate([[0.0], p])
        rate = np.where(at == place, stay[:, None], np.where(at < place, *shifted) / steps[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            start = truncation.first_time(bits) / rate
            mass = np.cumsum(rate, axis=1)
            rise = mass * np.diff(start, axis=1, append=np.inf)  # the last clock has all the time that is left
            survived = np.cumsum(np.insert(rise[:, :-1], 0, 0.0, axis=1), axis=1)
            first = np.where(rate > 0, np.exp(-survived) * -np.expm1(-rise) / mass, 0.0)
        wins = rate * np.cumsum(first[:, ::-1], axis=1)[:, ::-1]
        law = np.where(at[:-1] < place, wins[:, :-1], wins[:, 1:])
        uncovered = law.sum(axis=1, keepdims=True)
        return np.column_stack([uncovered, law / uncovered])

    yield Case(
        f"laws of a token uncovered with coarse draws, {p.size} tokens, {steps.size} steps",
        lambda: np.column_stack(truncation.unmasking(p, bits, steps)),
        "NumPy cumsum, all steps at once",
        plain,
        (truncation._winners,),
    )
