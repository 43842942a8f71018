"""What equal loss costs at inference: P streams of a model against one larger model, over streams and batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.models.transformer_cost import cache_bytes_per_token, decode_step, shape_of_size
from compute.parameters import Choice, LogInteger, LogReal
from compute.scaling_laws.parallel_streams.law import (
    Corpus,
    Exponent,
    Gain,
    Offset,
    Parameters,
    Scale,
    StreamLaw,
    Streams,
    law_of,
    multiplier,
)

Array = NDArray[np.float64]

BYTES = 2.0
LARGEST_BATCH = 1e5

Batch = Annotated[int, LogInteger("batch", "b", low=1, high=512, unit="sequences", help="Sequences decoded at once.")]
Context = Annotated[int, LogInteger("context", "s", low=64, high=32768, unit="tokens")]
Balance = Annotated[
    float, LogReal("machine balance", "I", low=50, high=600, unit="FLOP/byte", help="Peak FLOP/s over memory bandwidth.")
]
KeyShare = Annotated[
    float, LogReal("share of key-value heads", r"\kappa", low=1 / 64, high=1.0, help="Grouped-query attention; 1 is multi-head.")
]
Compared = Annotated[str, Choice("cost compared", options=("latency", "memory"))]


def latency(n: ArrayLike, sequences: ArrayLike, context: float, balance: float, kv_share: float) -> Array:
    """A decoding step in units of bytes over the bandwidth: max(bytes, FLOP / balance)."""
    traffic, flops = decode_step(n, sequences, context, kv_share=kv_share, bytes_per_number=BYTES)
    return np.maximum(traffic, flops / balance)


def memory(n: ArrayLike, sequences: ArrayLike, context: float, kv_share: float) -> Array:
    """Weights and caches, bytes."""
    layers, width = shape_of_size(n)
    cache = cache_bytes_per_token(layers, width, kv_share=kv_share, bytes_per_number=BYTES)
    return BYTES * np.asarray(n, dtype=float) + np.asarray(sequences, dtype=float) * context * cache


@dataclass(frozen=True)
class CostMap(Result):
    """Cost of one larger model over that of P streams, at equal loss."""

    streams: Array  # (n_streams,)
    batch: Array  # (n_batches,)
    ratio: Array  # (n_batches, n_streams)
    even: tuple[Array, Array]  # the line ratio = 1, P > 1
    compared: str
    here: dict[str, tuple[float, float]]  # cost -> of one larger model and of P streams, at your point
    base: dict[str, float]  # cost -> of one stream
    stops: float | None  # batch beyond which streams are slower
    pays_at_one: bool
    at_streams: int
    multiplier: float

    def table(self) -> pl.DataFrame:
        return grid_table(
            "P", self.streams, "batch", self.batch, **{f"{self.compared}_ratio": self.ratio, "log2_ratio": np.log2(self.ratio)}
        )

    def headline(self) -> dict[str, float | str]:
        if self.at_streams == 1:
            return {"parameter multiplier": 1.0, "cost": "one stream is the model itself"}
        found: dict[str, float | str] = {"parameter multiplier k ln P + 1": self.multiplier}
        for name in ("latency", "memory"):
            larger, streams = self.here[name]
            found[f"{name}, larger model over streams"] = larger / streams
            added = streams - self.base[name]
            growth = (larger - self.base[name]) / added if added > 0 else np.inf
            found[f"{name} added, larger over streams"] = float(growth) if growth < 1e6 else "streams add none"
        if not self.pays_at_one:
            found["batch at which streams stop paying"] = "streams are slower at batch 1 already"
        else:
            found["batch at which streams stop paying"] = self.stops if self.stops is not None else f"beyond {LARGEST_BATCH:.0e}"
        return found


@experiment
def cost_map(
    *,
    streams: Streams = 8,
    batch: Batch = 1,
    parameters: Parameters = 1.6e9,
    context: Context = 128,
    machine_balance: Balance = 150.0,
    kv_share: KeyShare = 0.25,
    compared: Compared = "latency",
    corpus: Corpus = "stack",
    offset: Offset = 0.69,
    scale: Scale = 1.13e7,
    exponent: Exponent = 0.189,
    gain: Gain = 0.39,
) -> CostMap:
    """Latency or memory of one model of N (k ln P + 1) parameters over that of P streams of N, which have its loss.

    A decoding step takes max(bytes/bandwidth, FLOP/peak): weights are read once, the caches of all P b sequences too, and P b
    tokens computed. N = 12 l d^2 with d = 128 l.
    """
    law: StreamLaw = law_of(corpus, offset, scale, exponent, gain)

    def cost(name: str, n: ArrayLike, sequences: ArrayLike) -> Array:
        if name == "latency":
            return latency(n, sequences, context, machine_balance, kv_share)
        return memory(n, sequences, context, kv_share)

    def ratio(name: str, p: ArrayLike, b: ArrayLike) -> Array:
        return cost(name, parameters * multiplier(law, p), b) / cost(name, parameters, np.asarray(p, dtype=float) * b)

    p, b = np.geomspace(1, 64, 61), np.geomspace(1, 512, 61)
    value = ratio(compared, p[None, :], b[:, None])
    lines = level_lines(np.log(p[2:]), np.log(b), np.log(value[:, 2:]), 0.0)
    stops = None
    pays = bool(ratio("latency", streams, 1.0) > 1)
    if streams > 1 and pays and ratio("latency", streams, LARGEST_BATCH) < 1:
        stops = float(np.exp(brentq(lambda x: float(np.log(ratio("latency", streams, np.exp(x)))), 0.0, np.log(LARGEST_BATCH))))
    worth = float(multiplier(law, streams))
    return CostMap(
        p,
        b,
        value,
        (np.exp(lines[0]), np.exp(lines[1])),
        compared,
        {
            name: (float(cost(name, parameters * worth, batch)), float(cost(name, parameters, streams * batch)))
            for name in ("latency", "memory")
        },
        {name: float(cost(name, parameters, batch)) for name in ("latency", "memory")},
        stops,
        pays,
        streams,
        worth,
    )
