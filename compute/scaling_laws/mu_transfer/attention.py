r"""Attention logits over 1/d or over 1/sqrt(d): which lets the best learning rate survive a wider head.

One head finds the token that a query asks for: 8 tokens x_j ~ N(0, I_8), query q = R x_{j*} + noise/2 with a fixed rotation R,
logits a q' W_Q' W_K x_j with W_Q, W_K of d rows, cross-entropy of j*; fresh samples at every step, Adam. With d the width of the
head and d_0 = 16,

    a = 1/sqrt(d):  a step of rate eta moves a logit by eta a d ~ eta sqrt(d), so the best rate falls as d^-1/2;
    a = sqrt(d_0)/d:  by eta sqrt(d_0), so it stays (Yang et al., "Tensor Programs V" (2022), definition 4.1).

Both are the same at d_0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.experiment import experiment
from compute.models.tiny_network import Adam
from compute.parameters import Flag, Integer, LogInteger, Seed
from compute.scaling_laws.mu_transfer.exact import SMALLEST_WIDTH, Steps, widths_to
from compute.scaling_laws.mu_transfer.sweep import Arm, Array, RateSweep

N_TOKENS = N_EMBED = 8
BATCH, N_TEST = 64, 1000
NOISE = 0.5
ROTATION = np.linalg.qr(np.random.default_rng(1).standard_normal((N_EMBED, N_EMBED)))[0]
RATES = np.geomspace(1e-3, 0.5, 13)
SLOPES = {"1/√d": -0.5, "1/d": 0.0}

HeadWidth = Annotated[
    int, LogInteger("largest head", r"d_{\max}", low=64, high=2048, help="Widths grow fourfold from 16 up to it.")
]
ZeroQuery = Annotated[bool, Flag("zero query", "", help="Start W_Q at zero.")]
HeadSeeds = Annotated[int, Integer("seeds", "R", low=2, high=8, help="Heads trained at each width and rate.")]


Batch = tuple[Array, NDArray[np.int64], Array]


def samples(n: int, rng: np.random.Generator) -> Batch:
    """Tokens (n, 8, 8), which is asked for (n,), queries (n, 8)."""
    tokens, asked = rng.standard_normal((n, N_TOKENS, N_EMBED)), rng.integers(N_TOKENS, size=n)
    query = tokens[np.arange(n), asked] @ ROTATION.T + NOISE * rng.standard_normal((n, N_EMBED))
    return tokens, asked, query


def _logits(matrix: Array, tokens: Array, query: Array) -> Array:
    """(n, 8, n_replicas) logits q' M x_j less the largest.

    Replicas are last: the products are of large matrices, and sums over the tokens run along rows of replicas.
    """
    moved = query @ matrix.transpose(1, 2, 0).reshape(N_EMBED, -1)
    logits = tokens @ moved.reshape(len(query), N_EMBED, len(matrix))
    logits -= logits.max(axis=1, keepdims=True)
    return logits


def loss_of(matrix: Array, tokens: Array, asked: NDArray[np.int64], query: Array) -> Array:
    """Cross-entropy (n_replicas,) of logits q' M x_j, with M of (n_replicas, 8, 8)."""
    logits = _logits(matrix, tokens, query)
    at = logits[np.arange(len(asked)), asked]
    return np.asarray(np.mean(np.log(np.exp(logits, out=logits).sum(axis=1)) - at, axis=0))


def slope_of(matrix: Array, tokens: Array, asked: NDArray[np.int64], query: Array) -> Array:
    """Gradient of ``loss_of`` in M, (n_replicas, 8, 8)."""
    n, logits = len(asked), _logits(matrix, tokens, query)
    share = np.exp(logits, out=logits)
    share /= share.sum(axis=1, keepdims=True)
    share[np.arange(n), asked] -= 1
    slope = query.T @ (np.swapaxes(tokens, 1, 2) @ share).reshape(n, -1) / n
    return np.ascontiguousarray(slope.reshape(N_EMBED, N_EMBED, -1).transpose(2, 0, 1))


def swept_losses(scale: float, width: int, zero_query: bool, n_seeds: int, seed: int, batches: list[Batch], test: Batch) -> Array:
    """(n_seeds, n_rates) test loss of heads with logits times ``scale``, trained on the batches."""
    rng = np.random.default_rng([seed, width])
    query, key = (np.repeat(rng.standard_normal((n_seeds, width, N_EMBED)), RATES.size, axis=0) / N_EMBED**0.25 for _ in range(2))
    if zero_query:
        query[:] = 0
    adam = Adam([query, key], [1.0, 1.0])
    adam.rates = adam.rates * np.tile(RATES, n_seeds)[:, None]
    for batch in batches:
        slope = slope_of(scale * np.swapaxes(query, 1, 2) @ key, *batch)
        adam.step([scale * key @ np.swapaxes(slope, 1, 2), scale * query @ slope])
    return loss_of(scale * np.swapaxes(query, 1, 2) @ key, *test).reshape(n_seeds, RATES.size)


def _attention_seconds(*, head_width: int, steps: int, n_heads: int, **_: object) -> float:
    replicas = RATES.size * n_heads
    return 2 * sum(0.004 + steps * (1e-4 + replicas * (8e-6 + 5e-8 * n + 1e-10 * n * n)) for n in widths_to(head_width))


@experiment(seconds=_attention_seconds)
def attention_sweep(
    *, head_width: HeadWidth = 128, zero_query: ZeroQuery = True, steps: Steps = 40, n_heads: HeadSeeds = 2, seed: Seed = 0
) -> Iterator[tuple[float, RateSweep]]:
    """Loss against learning rate of one attention head, with logits over the root of its width and over its width."""
    widths = widths_to(head_width)
    stream = np.random.default_rng([seed, 1])  # the same samples for every head
    batches, test = [samples(BATCH, stream) for _ in range(steps)], samples(N_TEST, np.random.default_rng(9))
    loss: dict[str, list[Array]] = {name: [] for name in SLOPES}
    for done, d in enumerate(widths, start=1):
        scales = {"1/√d": d**-0.5, "1/d": SMALLEST_WIDTH**0.5 / d}
        found = {scale: swept_losses(scale, d, zero_query, n_heads, seed, batches, test) for scale in set(scales.values())}
        for name, scale in scales.items():  # at the smallest width they are one
            loss[name].append(found[scale])
        arms = tuple(Arm(name, slope, widths[:done], [RATES] * done, list(loss[name])) for name, slope in SLOPES.items())
        yield done / len(widths), RateSweep(arms)
