"""Self-repellent walks: many replicas of one walk."""

from collections.abc import Iterator

import numpy as np

from compute.methods import self_repellent
from compute.models.graphs import chain_of
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    chain, alpha, exponent, n, replicas = chain_of("ring", 40, "uniform"), 5.0, 0.8, 1000, 100
    mu, every = chain.stationary, np.arange(replicas)

    def plain() -> np.ndarray:
        # All walks at once, a step at a time, on the random numbers that the kernel takes for one walk after the other.
        rng = np.random.default_rng(0)
        here = rng.choice(mu.size, replicas, p=mu)
        draw = rng.random((replicas, n))
        history = np.tile(mu, (replicas, 1))
        for t, gamma in enumerate(self_repellent.step_sizes(exponent, n)):
            total = np.cumsum(chain.transition[here] * (history / mu) ** -alpha, axis=1)
            here = np.argmax(total >= draw[:, t, None] * total[:, -1:], axis=1)
            history *= 1 - gamma
            history[every, here] += gamma
        return history

    yield Case(
        "1000 steps of 100 self-repellent walks on 40 nodes",
        lambda: self_repellent.run_walks(np.random.default_rng(0), chain, alpha, exponent, n, replicas)[0],
        "NumPy, all walks at once",
        plain,
        (self_repellent._run, self_repellent._advance, self_repellent._remember, self_repellent._weight),
        rtol=1e-6,
    )
