"""Exit rules over a population of inputs."""

from collections.abc import Iterator

import numpy as np

from compute.inference_scaling.early_exit import exits
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    layers, inputs = 12, 1000
    group = exits.population(layers, 0.3, 1.0, np.random.default_rng(0).standard_normal((2, inputs)))
    weight, priors = group.weight(0.1), [exits.geometric_prior(float(rate), layers) for rate in exits.RATES]

    def plain(prior: np.ndarray) -> np.ndarray:
        law = prior * weight
        law /= law.sum(axis=1, keepdims=True)
        below = np.cumsum(law, axis=1)[:, :-1, None]
        stop = np.sum(below < exits.THRESHOLDS - 1e-12, axis=1)
        sampled = np.mean(law @ np.arange(1, layers + 1)), np.sum(law * group.correct) / inputs
        right = np.take_along_axis(group.correct, stop, axis=1).mean(axis=0)
        return np.concatenate([sampled, stop.mean(axis=0) + 1, right])

    yield Case(
        f"sampled exits and Q-exits at {exits.THRESHOLDS.size} thresholds, {inputs} inputs, {len(priors)} priors",
        lambda: np.stack([swept(weight, group.correct, prior) for prior in priors]),
        "NumPy cumsum",
        lambda: np.stack([plain(prior) for prior in priors]),
        (exits._sweep,),
    )


def swept(weight: np.ndarray, correct: np.ndarray, prior: np.ndarray) -> np.ndarray:
    sampled, quantile = exits._sweep(weight, correct, prior, exits.THRESHOLDS)
    return np.concatenate([sampled, quantile.ravel()])
