"""Costs of a decoder against hand counts, the usual 6 N rule, and what scaling must do."""

import numpy as np
import pytest

from compute.models.transformer_cost import (
    OPERATIONS,
    TRAINING_OPERATIONS,
    cache_bytes_per_token,
    decode_step,
    forward_cost,
    shape_of_size,
    training_cost,
)


def test_smallest_layer_by_hand():
    cost = forward_cost(1, 64, heads=1, ffn_ratio=4, sequence=128, tokens=128, vocabulary=0)
    assert cost.parameters.sum() == 12 * 64**2 == 49_152
    assert cost.flops.sum() / 128 == 24 * 64**2 + 4 * 128 * 64 == 131_072
    b, d, s, h, r = 128, 64, 128, 1, 4
    numbers = {
        "QKV projection": b * d + 3 * d * d + 3 * b * d,
        "attention scores": b * d + b * d + b * h * s,
        "softmax": 2 * b * h * s,
        "attention × values": b * h * s + b * d + b * d,
        "output projection": 2 * b * d + d * d,
        "feed-forward up": b * d + r * d * d + r * b * d,
        "activation": 2 * r * b * d,
        "feed-forward down": r * b * d + r * d * d + b * d,
        "norms, residuals": 2 * 2 * b * d + 2 * 3 * b * d,
        "unembedding": 0,
    }
    assert list(numbers) == list(OPERATIONS)
    assert cost.bytes.tolist() == [2 * v for v in numbers.values()]


def test_training_flops_are_six_per_parameter_and_token_with_short_sequences():
    cost = training_cost(forward_cost(24, 2048, sequence=1, tokens=4096, vocabulary=32_000))
    assert cost.flops.sum() == pytest.approx(6 * cost.parameters.sum() * 4096, rel=1e-3)
    # The optimizer's own row: 24 bytes a parameter.
    assert len(cost.bytes) == len(TRAINING_OPERATIONS) and cost.bytes[-1] == 24 * cost.parameters.sum()
    # Attention adds s/(6 d) to the FLOPs of a layer at r = 4.
    short = forward_cost(1, 768, sequence=1e-9, vocabulary=0).flops.sum()
    assert forward_cost(1, 768, sequence=1024, vocabulary=0).flops.sum() / short - 1 == pytest.approx(1024 / (6 * 768))


def test_costs_broadcast():
    grid = forward_cost(np.array([1, 2, 4])[:, None], np.array([64, 128])[None, :])
    one = forward_cost(2, 128)
    assert grid.flops.shape == (10, 3, 2)
    assert grid.flops[:, 1, 1] == pytest.approx(one.flops) and grid.bytes[:, 1, 1] == pytest.approx(one.bytes)


def test_decoding_reads_weights_once_and_every_cache():
    layers, width = shape_of_size(1.6e9)
    assert 12 * layers * width**2 == pytest.approx(1.6e9) and width == pytest.approx(128 * layers)
    traffic, flops = decode_step(1.6e9, np.array([1.0, 8.0]), 1000.0, kv_share=0.5)
    cache = 1000 * cache_bytes_per_token(layers, width, kv_share=0.5)
    assert traffic == pytest.approx([3.2e9 + cache, 3.2e9 + 8 * cache])
    assert flops[1] == pytest.approx(8 * flops[0])
    # The forward pass of one token at that context is the same work.
    same = forward_cost(layers, width, sequence=1000, tokens=1, vocabulary=0).flops.sum()
    assert flops[0] == pytest.approx(same)
