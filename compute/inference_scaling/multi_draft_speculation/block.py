"""Block efficiency: tokens that one call of the target yields, for trees of fresh drafts and for whole drafted sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.inference_scaling.multi_draft_speculation.parameters import (
    Drafts,
    DraftTemperature,
    Mismatch,
    TargetTemperature,
    Tokens,
)
from compute.methods.multi_draft import PRACTICAL, SCHEMES, Sampler, accepted_law, best_accepted
from compute.models.toy_language import draft_and_target, stationary_law
from compute.parameters import Integer, LogInteger, Real, Seed

Array = NDArray[np.float64]

LONGEST = 16
DraftLength = Annotated[
    int, Integer("draft length", "L", low=1, high=LONGEST, help="Tokens drafted ahead of one call of the target.")
]
DraftCost = Annotated[
    float, Real("cost of a draft step", "c", low=0.0, high=0.5, help="In calls of the target; K drafts are one parallel step.")
]
Blocks = Annotated[int, LogInteger("simulated blocks", "m", low=200, high=20_000, help="Of each scheme.")]


def tree_efficiency(scheme: str, p: Array, q: Array, n_drafts: int, longest: int) -> Array:
    """V_l(x) = 1 + sum_y a(x, y) V_{l-1}(y), V_0 = 1: tokens per call from context x; ``(longest + 1, n)``.

    The optimal scheme may accept the same share in many ways; the one that weighs tokens by V is the best of all schemes
    that decide token by token.
    """
    value = np.ones((longest + 1, len(p)))
    fixed = None if scheme == "optimal" else accepted_law(scheme, p, q, n_drafts)
    for level in range(1, longest + 1):
        ahead = value[level - 1]
        law = fixed if fixed is not None else np.stack([best_accepted(p[x], q[x], n_drafts, ahead) for x in range(len(p))])
        value[level] = 1 + law @ ahead
    return value


def simulate_sequences(
    rng: np.random.Generator, scheme: str, p: Array, q: Array, start: Array, n_drafts: int, longest: int, n_blocks: int
) -> NDArray[np.int64]:
    """Accepted length of each block where K whole sequences are drafted and those that disagree drop out; ``(n_blocks,)``."""
    edges = np.cumsum(p, axis=1)
    context = np.minimum(np.searchsorted(np.cumsum(start), rng.random(n_blocks)), len(p) - 1)
    alive = np.full(n_blocks, n_drafts)  # sequences that agree with what was accepted; they are interchangeable
    length = np.zeros(n_blocks, dtype=np.int64)
    running = np.arange(n_blocks)
    samplers: dict[tuple[int, int], Sampler] = {}
    for _ in range(longest):
        kept = []
        group = context[running] * (n_drafts + 1) + alive[running]
        order = np.argsort(group, kind="stable")
        for members in np.split(running[order], np.flatnonzero(np.diff(group[order])) + 1):
            if not members.size:
                continue
            x, k = int(context[members[0]]), int(alive[members[0]])
            if (x, k) not in samplers:
                samplers[x, k] = Sampler(scheme, p[x], q[x], k)
            drafts = np.minimum(np.searchsorted(edges[x], rng.random((members.size, k)) * edges[x, -1], side="right"), len(p) - 1)
            output, accepted = samplers[x, k].choose(rng, drafts)
            goes_on = members[accepted]
            length[goes_on] += 1
            alive[goes_on] = np.sum(drafts[accepted] == output[accepted, None], axis=1)
            context[goes_on] = output[accepted]
            kept.append(goes_on)
        running = np.concatenate(kept) if kept else running[:0]
    return length


@dataclass(frozen=True)
class BlockEfficiency(Result):
    """Tokens per call of the target against the draft length, and per unit of cost."""

    length: Array  # (n_lengths,)
    tree: dict[str, Array]  # (n_lengths,) exact, K fresh drafts at every node
    rate: dict[str, Array]  # (n_lengths,) tokens per unit of cost
    sequences: dict[str, Array]  # (n_lengths,) simulated, K whole sequences
    standard_error: dict[str, Array]  # (n_lengths,)
    draft_length: int
    draft_cost: float

    def table(self) -> pl.DataFrame:
        parts = []
        for scheme in SCHEMES:
            columns = {"draft_length": self.length, "tokens_per_call": self.tree[scheme], "tokens_per_cost": self.rate[scheme]}
            if scheme in self.sequences:
                columns["tokens_per_call_sequences"] = self.sequences[scheme]
                columns["standard_error"] = self.standard_error[scheme]
            parts.append(pl.DataFrame({"scheme": scheme, **columns}))
        return pl.concat(parts, how="diagonal").with_columns(all_accepted=pl.col("draft_length") + 1)

    def headline(self) -> dict[str, float | str]:
        at = self.draft_length - 1
        rate, scheme = max((float(self.rate[s].max()), s) for s in PRACTICAL)
        best = int(self.length[np.argmax(self.rate[scheme])])
        return {
            f"tokens per call, best, L = {self.draft_length}": float(self.tree["optimal"][at]),
            "best practical scheme": scheme,
            "its best length": f"{best} or more" if best == LONGEST else float(best),
            "its tokens per unit of cost": rate,
            "whole sequences keep of the tree": float(self.sequences[scheme][at] / self.tree[scheme][at]),
        }


@experiment
def block_efficiency(
    *,
    tokens: Tokens = 6,
    n_drafts: Drafts = 2,
    draft_length: DraftLength = 4,
    draft_cost: DraftCost = 0.05,
    target_temperature: TargetTemperature = 1.0,
    draft_temperature: DraftTemperature = 1.0,
    mismatch: Mismatch = 0.3,
    blocks: Blocks = 1000,
    seed: Seed = 0,
) -> BlockEfficiency:
    """Tokens per call of the target against the draft length L, in a Markov language, from its stationary law.

    Tree, K fresh drafts at every node: V_l(x) = 1 + sum_y a(x, y) V_{l-1}(y), which is (1 - alpha^{L+1})/(1 - alpha) where
    the context does not matter. Whole sequences: K are drafted once and only those that agree stay; simulated.
    """
    p, q = draft_and_target(tokens, tokens, target_temperature, draft_temperature, mismatch, seed)
    start = stationary_law(q)
    length = np.arange(1, LONGEST + 1)
    tree = {s: tree_efficiency(s, p, q, n_drafts, LONGEST)[1:] @ start for s in SCHEMES}
    rng = np.random.default_rng(seed)
    sequences, error = {}, {}
    for scheme in PRACTICAL:
        accepted = simulate_sequences(rng, scheme, p, q, start, n_drafts, LONGEST, blocks)
        yielded = 1 + np.minimum(accepted[:, None], length)
        sequences[scheme] = yielded.mean(axis=0)
        error[scheme] = yielded.std(axis=0, ddof=1) / np.sqrt(blocks)
    rate = {s: tree[s] / (1 + draft_cost * length) for s in SCHEMES}
    return BlockEfficiency(length.astype(float), tree, rate, sequences, error, draft_length, draft_cost)
