"""Stacks of inference-time operators on shared candidates."""

from collections.abc import Iterator

import numpy as np

from compute.inference_scaling.call_budget.stacks import centers_of
from compute.methods import inference_stack
from compute.methods.inference_stack import Draws, Qualities, Stack, all_stacks, draw_candidates, evaluate, score_gap
from tests.benchmarks.kernels import Case

QUALITIES = Qualities(0.9, 0.2, 0.65, 0.7, 0.05)


def cases() -> Iterator[Case]:
    stacks, questions = all_stacks(20, 8), 400
    models, samples = max(s.models for s in stacks), max(s.samples for s in stacks)
    centers = centers_of(0.4, 0.2, 2.0)[:models]
    draws = draw_candidates(np.random.default_rng(0), centers, 2.0, 0.6, questions, samples)

    def plain() -> np.ndarray:
        passes = draws.uniform < np.where(draws.right, QUALITIES.recall, QUALITIES.false_positive_rate)
        score = draws.noise + float(score_gap(QUALITIES.ranker_auc)) * draws.right
        counts: dict[tuple[int, int, bool, int], tuple[np.ndarray, np.ndarray]] = {}
        for s in stacks:
            key = s.models, s.samples, s.verify, s.keep
            if key not in counts:
                counts[key] = count(draws, passes, score, s)
        return np.stack([share(s.finish, *counts[s.models, s.samples, s.verify, s.keep]) for s in stacks])

    yield Case(
        f"{len(stacks)} stacks of operators on {questions} questions",
        lambda: evaluate(draws, stacks, QUALITIES),
        "NumPy, all questions at once",
        plain,
        (inference_stack._count,),
    )


def count(draws: Draws, passes: np.ndarray, score: np.ndarray, stack: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Right candidates, and all that are left, of each question."""
    part = np.s_[:, : stack.models, : stack.samples]
    n = len(draws.right)
    right, left = draws.right[part].reshape(n, -1), np.ones((n, stack.candidates), bool)
    if stack.verify:
        left = passes[part].reshape(n, -1)
        left = left | ~left.any(axis=1, keepdims=True)
    if stack.keep:
        ranked = np.where(left, score[part].reshape(n, -1), -np.inf)
        least = np.partition(ranked, stack.candidates - stack.keep, axis=1)[:, stack.candidates - stack.keep]
        left = left & (ranked >= least[:, None])
    return np.sum(right & left, axis=1), np.sum(left, axis=1)


def share(finish: str, hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """P(right) of each question."""
    if finish == "pick":
        return hits / total
    if finish == "vote":
        return np.where(2 * hits == total, 0.5, 2 * hits > total)
    return np.where(hits > 0, QUALITIES.fuse_hit, QUALITIES.fuse_luck)
