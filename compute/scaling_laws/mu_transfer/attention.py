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


def samples(n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64], Array]:
    """Tokens (n, 8, 8), which is asked for (n,), queries (n, 8)."""
    tokens, asked = rng.standard_normal((n, N_TOKENS, N_EMBED)), rng.integers(N_TOKENS, size=n)
    query = tokens[np.arange(n), asked] @ ROTATION.T + NOISE * rng.standard_normal((n, N_EMBED))
    return tokens, asked, query


def loss_and_slope(matrix: Array, tokens: Array, asked: NDArray[np.int64], query: Array) -> tuple[Array, Array]:
    """Cross-entropy (n_replicas,) of logits q' M x_j and its gradient in (n_replicas, 8, 8) M."""
    n = len(asked)
    logits = np.swapaxes(query @ matrix, 0, 1) @ np.swapaxes(tokens, 1, 2)  # (n, n_replicas, 8)
    logits -= logits.max(axis=-1, keepdims=True)
    share = np.exp(logits)
    total = share.sum(axis=-1, keepdims=True)
    loss = np.mean(np.log(total[..., 0]) - logits[np.arange(n), :, asked], axis=0)
    share /= total
    share[np.arange(n), :, asked] -= 1
    return loss, query.T @ np.swapaxes(share @ tokens, 0, 1) / n


def swept_losses(scale: float, width: int, zero_query: bool, n_seeds: int, n_steps: int, seed: int) -> Array:
    """(n_seeds, n_rates) test loss of heads with logits times ``scale``."""
    rng = np.random.default_rng([seed, width])
    query, key = (np.repeat(rng.standard_normal((n_seeds, width, N_EMBED)), RATES.size, axis=0) / N_EMBED**0.25 for _ in range(2))
    if zero_query:
        query[:] = 0
    adam = Adam([query, key], [1.0, 1.0])
    adam.rates = adam.rates * np.tile(RATES, n_seeds)[:, None]
    stream = np.random.default_rng([seed, 1])
    for _ in range(n_steps):
        _, slope = loss_and_slope(scale * np.swapaxes(query, 1, 2) @ key, *samples(BATCH, stream))
        adam.step([scale * key @ np.swapaxes(slope, 1, 2), scale * query @ slope])
    test = samples(N_TEST, np.random.default_rng(9))
    return loss_and_slope(scale * np.swapaxes(query, 1, 2) @ key, *test)[0].reshape(n_seeds, RATES.size)


def _attention_seconds(*, head_width: int, steps: int, n_heads: int, **_: object) -> float:
    replicas = RATES.size * n_heads
    return 2 * sum(0.004 + steps * (3e-4 + replicas * (1e-5 + 2e-7 * n + 1e-10 * n * n)) for n in widths_to(head_width))


@experiment(seconds=_attention_seconds)
def attention_sweep(
    *, head_width: HeadWidth = 128, zero_query: ZeroQuery = True, steps: Steps = 40, n_heads: HeadSeeds = 2, seed: Seed = 0
) -> Iterator[tuple[float, RateSweep]]:
    """Loss against learning rate of one attention head, with logits over the root of its width and over its width."""
    widths = widths_to(head_width)
    loss: dict[str, list[Array]] = {name: [] for name in SLOPES}
    for done, d in enumerate(widths, start=1):
        for name, scale in (("1/√d", d**-0.5), ("1/d", SMALLEST_WIDTH**0.5 / d)):
            loss[name].append(swept_losses(scale, d, zero_query, n_heads, steps, seed))
        arms = tuple(Arm(name, slope, widths[:done], [RATES] * done, list(loss[name])) for name, slope in SLOPES.items())
        yield done / len(widths), RateSweep(arms)
