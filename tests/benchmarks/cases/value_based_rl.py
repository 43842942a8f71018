"""Q-learning with replay: each run draws as it learns, so that nothing but its time can be held to a goal."""

from collections.abc import Iterator

import numpy as np

from compute.models.markov_decision_process import gridworld, value_iteration
from compute.scaling_laws.value_based_rl import toy
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    target = 0.6 * float(value_iteration(gridworld(toy.SIZE, 0.1), toy.DISCOUNT)[0])

    def runs() -> np.ndarray:
        return np.array([toy.data_to_level(np.random.default_rng([0, r]), 32.0, 0.4, 0.1, target) for r in range(16)])

    yield Case("16 runs of Q-learning, 32 updates a step (toy law)", runs, kernels=(toy._learn,), goal=0.1)
