"""Stacks of inference-time operators: generate, verify, rank, then pick, vote or fuse; their accuracy and their calls.

A question is its correctness probability by each model. Candidates are drawn, and one that is right passes the verifier with
probability T, a wrong one with F; where none passes all are kept. The ranker scores with a gap that gives the AUC and keeps
the best few. A pick is at random; a vote is right where right candidates outnumber wrong ones, which all agree; a fuser is right
with one probability if any candidate is, with another if none is.

References
----------
Operators and their stacking: Saad-Falcon et al., Archon (2024), paper 392 of the catalogue, whose operators' qualities are
not known from its abstract: those here are the reader's assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from compute.kernel import kernel
from compute.models.problem_difficulty import draw_correlated

Array = NDArray[np.float64]

MODELS = (1, 2, 4, 8)
SAMPLES = (1, 2, 4, 8, 16, 32)
KEEP = (0, 1, 4)  # 0: no ranker
FINISHES = ("pick", "vote", "fuse")


@dataclass(frozen=True)
class Stack:
    """One architecture: the best ``models`` models, ``samples`` each, and what is done with the candidates."""

    models: int
    samples: int
    verify: bool
    keep: int
    finish: str

    @property
    def candidates(self) -> int:
        return self.models * self.samples

    @property
    def calls(self) -> int:
        """One a candidate, one a verification, one to rank, one to fuse; a vote is free."""
        return self.candidates * (2 if self.verify else 1) + (self.keep > 0) + (self.finish == "fuse")

    @property
    def family(self) -> str:
        """Its operators."""
        parts = ["verify"] * self.verify + ["rank"] * (self.keep > 0) + ([] if self.finish == "pick" else [self.finish])
        if parts:
            return " + ".join(parts)
        return "one call" if self.candidates == 1 else "several calls, one at random"

    @property
    def label(self) -> str:
        """The whole of it."""
        return f"{self.models} model{'s' * (self.models > 1)} × {self.samples}, {self.family}"

    @property
    def features(self) -> tuple[int, ...]:
        """Place of each choice among its options, for a search."""
        return (
            MODELS.index(self.models),
            SAMPLES.index(self.samples),
            int(self.verify),
            KEEP.index(self.keep),
            FINISHES.index(self.finish),
        )


def all_stacks(most_calls: int, most_models: int) -> list[Stack]:
    """Every sensible stack within a budget of calls, cheapest first: rankers drop something, votes and fusers have a choice."""
    found = []
    for stack in (Stack(*choice) for choice in product(MODELS, SAMPLES, (False, True), KEEP, FINISHES)):
        n = stack.candidates
        left = min(n, stack.keep) if stack.keep else n
        sensible = (stack.keep < n) and (stack.finish == "pick" or left > 2) and (n > 1 or not stack.verify)
        if sensible and stack.calls <= most_calls and stack.models <= most_models:
            found.append(stack)
    return sorted(found, key=lambda s: s.calls)


@dataclass(frozen=True)
class Draws:
    """Random numbers that all stacks share: ``(n_questions, n_models, n_samples)``."""

    right: NDArray[np.bool_]
    uniform: Array
    noise: Array


def draw_candidates(
    rng: np.random.Generator, centers: ArrayLike, spread: float, correlation: float, n_questions: int, n_samples: int
) -> Draws:
    """Candidates of all models on the same questions; logits of two models' success correlate by ``correlation``."""
    success = draw_correlated(rng, np.asarray(centers, dtype=float), spread, correlation, n_questions)
    shape = (n_questions, len(success), n_samples)
    right = rng.random(shape) < success.T[:, :, None]
    return Draws(right, rng.random(shape), rng.standard_normal(shape))


def score_gap(auc: ArrayLike) -> Array:
    """Gap of right over wrong scores in units of their Gaussian noise: P(right > wrong) = AUC at sqrt(2) Phi^-1(AUC)."""
    return np.asarray(np.sqrt(2) * ndtri(auc))


@dataclass(frozen=True)
class Qualities:
    """How good the operators are."""

    recall: float
    false_positive_rate: float
    ranker_auc: float
    fuse_hit: float
    fuse_luck: float


@kernel
def _count(right, uniform, noise, models, samples, verify, keep, recall, false_positive_rate, gap, hits, total):  # type: ignore[no-untyped-def]
    """Right candidates and all that are left of each question after the verifier and the ranker, into ``hits`` and ``total``."""
    best = np.empty(keep)
    for q in range(right.shape[0]):
        passes_none = True
        if verify:
            for m in range(models):
                for k in range(samples):
                    if uniform[q, m, k] < (recall if right[q, m, k] else false_positive_rate):
                        passes_none = False
        best[:] = -np.inf  # the best scores of those that pass, the highest first
        for turn in range(2 if keep else 1):
            for m in range(models):
                for k in range(samples):
                    is_right = right[q, m, k]
                    if not (passes_none or uniform[q, m, k] < (recall if is_right else false_positive_rate)):
                        continue
                    score = noise[q, m, k] + (gap if is_right else 0.0)
                    if keep and turn == 0:
                        for place in range(keep):
                            if score > best[place]:
                                best[place], score = score, best[place]
                    elif not keep or score >= best[keep - 1]:
                        total[q] += 1.0
                        if is_right:
                            hits[q] += 1.0


def evaluate(draws: Draws, stacks: list[Stack], qualities: Qualities) -> Array:
    """P(right) of each stack on each question given its candidates, ``(n_stacks, n_questions)``; pick, ties and fusing averaged."""
    gap = float(score_gap(qualities.ranker_auc))
    kept = {key: row for row, key in enumerate(dict.fromkeys((s.models, s.samples, s.verify, s.keep) for s in stacks))}
    hits, total = np.zeros((2, len(kept), len(draws.right)))
    for key, row in kept.items():
        rates = qualities.recall, qualities.false_positive_rate
        _count(draws.right, draws.uniform, draws.noise, *key, *rates, gap, hits[row], total[row])
    shares = {
        "pick": hits / total,
        "vote": np.where(2 * hits == total, 0.5, 2 * hits > total),
        "fuse": np.where(hits > 0, qualities.fuse_hit, qualities.fuse_luck),
    }
    return np.stack([shares[s.finish][kept[s.models, s.samples, s.verify, s.keep]] for s in stacks])


def verified_pick(success: Array, qualities: Qualities, candidates: ArrayLike) -> Array:
    """Exact: verify K candidates of one model, pick one that passed, or any if none did; ``(n_K, n)``.

    [1 - (1 - s)^K] p T/s + (1 - s)^K p (1 - T)/(1 - s), s = p T + (1 - p) F.
    """
    right = success * qualities.recall
    passes = right + (1 - success) * qualities.false_positive_rate
    none = (1 - np.minimum(passes, 1.0)) ** np.atleast_1d(np.asarray(candidates, dtype=float))[:, None]
    precision = np.where(passes > 0, right / np.maximum(passes, 1e-300), 0.0)
    missed = success * (1 - qualities.recall) / np.maximum(1 - passes, 1e-300)
    return np.asarray((1 - none) * precision + none * np.where(passes < 1, missed, 0.0))
