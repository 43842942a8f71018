r"""What a decoder costs: parameters, floating-point operations and memory traffic, operation by operation.

A layer of width d with h heads and feed-forward ratio r processes b tokens in sequences of length s, e bytes a number:

    QKV projection      3 d^2 parameters    6 b d^2 FLOP      e (b d + 3 d^2 + 3 b d) bytes
    attention scores    0                   2 b s d           e (2 b d + b h s)
    softmax             0                   0                 2 e b h s
    attention x values  0                   2 b s d           e (b h s + 2 b d)
    output projection   d^2                 2 b d^2           e (2 b d + d^2)
    feed-forward up     r d^2               2 r b d^2         e (b d + r d^2 + r b d)
    activation          0                   0                 2 e r b d
    feed-forward down   r d^2               2 r b d^2         e (b d + r d^2 + r b d)
    norms, residuals    0                   0                 10 e b d

and once the unembedding: V d parameters, 2 b d V FLOP, e (b d + V d + b V) bytes. Every operation reads its inputs from memory and
writes its output there: nothing is fused. A training step is three forward passes and 24 bytes a parameter of optimizer traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

OPERATIONS = (
    "QKV projection",
    "attention scores",
    "softmax",
    "attention × values",
    "output projection",
    "feed-forward up",
    "activation",
    "feed-forward down",
    "norms, residuals",
    "unembedding",
)
TRAINING_OPERATIONS = (*OPERATIONS, "optimizer")
HEAD_WIDTH = 64.0
TRAIN_OVER_FORWARD = 3.0
OPTIMIZER_BYTES = 24.0  # a parameter and step: gradient and two moments read and written, weights in two precisions
ASPECT = 128.0  # width over layers of ``shape_of_size``


@dataclass(frozen=True)
class Cost:
    """Cost of a forward pass, a row an operation; the last axes are those of the arguments, broadcast."""

    parameters: Array  # (n_operations, …)
    flops: Array  # (n_operations, …)
    bytes: Array  # (n_operations, …)
    launches: Array  # (n_operations, …) how often an operation is started


def forward_cost(
    layers: ArrayLike,
    width: ArrayLike,
    *,
    heads: ArrayLike | None = None,
    ffn_ratio: ArrayLike = 4.0,
    sequence: ArrayLike = 1024.0,
    tokens: ArrayLike = 65536.0,
    vocabulary: ArrayLike = 32_000.0,
    bytes_per_number: float = 2.0,
) -> Cost:
    """Cost of a forward pass over ``tokens`` tokens, all layers and the unembedding.

    Parameters
    ----------
    layers, width, heads, ffn_ratio, sequence, tokens, vocabulary : arrays that broadcast together
        ``heads`` is ``width / 64`` if not given; none need be an integer.
    bytes_per_number : float
        2 for bf16.
    """
    given = [layers, width, ffn_ratio, sequence, tokens, vocabulary]
    n, d, r, s, b, v = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in given))
    h = d / HEAD_WIDTH if heads is None else np.broadcast_to(np.asarray(heads, dtype=float), d.shape)
    e, zero = bytes_per_number, np.zeros(d.shape)
    ffn = (n * r * d**2, n * 2 * r * b * d**2, n * e * (b * d + r * d**2 + r * b * d))
    rows = [
        (n * 3 * d**2, n * 6 * b * d**2, n * e * (4 * b * d + 3 * d**2)),
        (zero, n * 2 * b * s * d, n * e * (2 * b * d + b * h * s)),
        (zero, zero, n * 2 * e * b * h * s),
        (zero, n * 2 * b * s * d, n * e * (b * h * s + 2 * b * d)),
        (n * d**2, n * 2 * b * d**2, n * e * (2 * b * d + d**2)),
        ffn,
        (zero, zero, n * 2 * e * r * b * d),
        ffn,
        (zero, zero, n * 10 * e * b * d),
        (v * d, 2 * b * d * v, np.where(v > 0, e * (b * d + v * d + b * v), 0.0)),
    ]
    launched = [n] * 8 + [4 * n] + [np.where(v > 0, 1.0, 0.0)]
    parameters, flops, traffic = (np.stack([row[k] for row in rows]) for k in range(3))
    return Cost(parameters, flops, traffic, np.stack(launched))


def training_cost(cost: Cost) -> Cost:
    """Of a training step, from its forward pass: three times the work, and a last row for the optimizer's traffic."""
    zero = np.zeros_like(cost.flops[:1])

    def row(values: Array, factor: float, last: Array) -> Array:
        return np.concatenate([factor * values, last])

    return Cost(
        np.concatenate([cost.parameters, zero]),
        row(cost.flops, TRAIN_OVER_FORWARD, zero),
        row(cost.bytes, TRAIN_OVER_FORWARD, OPTIMIZER_BYTES * cost.parameters.sum(axis=0, keepdims=True)),
        row(cost.launches, TRAIN_OVER_FORWARD, zero + 1.0),
    )


def cache_bytes_per_token(layers: ArrayLike, width: ArrayLike, *, kv_share: float = 1.0, bytes_per_number: float = 2.0) -> Array:
    """Keys and values of one token in every layer: 2 l d kappa e, kappa the share of heads that hold their own."""
    return 2 * np.asarray(layers, dtype=float) * np.asarray(width, dtype=float) * kv_share * bytes_per_number


def shape_of_size(n_parameters: ArrayLike) -> tuple[Array, Array]:
    """Layers and width of N = 12 l d^2 at d = 128 l, not rounded."""
    layers = np.cbrt(np.asarray(n_parameters, dtype=float) / (12 * ASPECT**2))
    return layers, ASPECT * layers


def decode_step(
    n_parameters: ArrayLike, sequences: ArrayLike, context: ArrayLike, *, kv_share: float = 1.0, bytes_per_number: float = 2.0
) -> tuple[Array, Array]:
    """Bytes and FLOP of one decoding step: weights read once, every sequence's cache read, a token of each computed.

    Parameters
    ----------
    n_parameters : array
        N = 12 l d^2, shaped by ``shape_of_size``; the vocabulary is left out.
    sequences : array
        Sequences decoded at once.
    context : array
        Tokens in each sequence's cache.

    Returns
    -------
    traffic, flops : arrays
        e N + b s 2 l d kappa e and 2 N b + 4 b s l d.
    """
    layers, width = shape_of_size(n_parameters)
    n, b, s = (np.asarray(a, dtype=float) for a in (n_parameters, sequences, context))
    cache = cache_bytes_per_token(layers, width, kv_share=kv_share, bytes_per_number=bytes_per_number)
    return bytes_per_number * n + b * s * cache, 2 * n * b + 4 * b * s * layers * width
