"""Small networks in training: Adam's moments and moves."""

from collections.abc import Iterator

import numpy as np

from compute.models import tiny_network
from compute.models.tiny_network import Adam
from compute.scaling_laws.lottery_tickets.training import RATE, network
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    width, replicas, steps = 64, 12, 200
    parameters = network(width, replicas, "silu", rng).parameters
    gradients = rng.standard_normal((steps, replicas, sum(p[0].size for p in parameters)))

    def fast() -> np.ndarray:
        adam = Adam(parameters, [RATE] * len(parameters))
        for gradient in gradients:
            adam.direction(gradient)
        return adam.move

    def plain() -> np.ndarray:
        first, second, move = (np.zeros_like(gradients[0]) for _ in range(3))
        root = np.empty_like(first)
        for k, gradient in enumerate(gradients):
            first += (1 - Adam.beta_1) * (gradient - first)
            second += (1 - Adam.beta_2) * (gradient**2 - second)
            np.sqrt(second / (1 - Adam.beta_2 ** (k + 1)), out=root)
            root += Adam.epsilon
            np.divide(first / (1 - Adam.beta_1 ** (k + 1)), root, out=move)
        return move

    yield Case(
        f"{steps} directions of Adam, {replicas} networks of {gradients.shape[2]} parameters",
        fast,
        "NumPy, in place",
        plain,
        (tiny_network._adam,),
    )
