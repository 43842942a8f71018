"""Linear networks at every width, by the recursion of their Gram matrices."""

from collections.abc import Iterator

import numpy as np

from compute.models import width_parametrization
from compute.models.width_parametrization import rates, standard_gram, start, train, train_neurons
from compute.scaling_laws.abc_parametrizations.setting import N_INPUTS, TASK
from tests.benchmarks.kernels import Case

WIDTH, STEPS = 512, 20


def cases() -> Iterator[Case]:
    for networks in (16, 400):
        grams, rate = begin(networks)
        yield Case(
            f"losses of {networks} linear networks, {STEPS} steps",
            lambda grams=grams, rate=rate: train(grams, rate, TASK, STEPS)[0],
            "NumPy, all networks at once",
            lambda grams=grams, rate=rate: descend(grams, rate)[0],
            (width_parametrization._train,),
        )
    grams, rate = begin(400)
    yield Case(
        f"changes of the neurons of 400 linear networks, {STEPS} steps",
        lambda: train_neurons(grams, rate, TASK, STEPS)[1],
        "NumPy, all networks at once",
        lambda: changes(grams, rate),
        (width_parametrization._train,),
        rtol=1e-8,
    )


def begin(networks: int) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrices and rates of networks that learn features."""
    rng = np.random.default_rng(0)
    standard = np.array([standard_gram(WIDTH, N_INPUTS, rng) for _ in range(networks)])
    return start(standard, np.full(networks, WIDTH), 1.0), rates(WIDTH, np.zeros(networks), 1.0, 0.5)


def descend(grams: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses (m, n_steps + 1) and gradients (n_steps, m, d), with G <- T G T' by products of vectors."""
    gram, alpha, beta = grams.copy(), rate[:, 0, None], rate[:, 1, None]
    losses, gradients = np.empty((len(grams), STEPS + 1)), np.empty((STEPS, len(grams), N_INPUTS))
    for step in range(STEPS + 1):
        miss = gram[:, -1, :-1] - TASK.target
        losses[:, step] = miss**2 @ TASK.eigenvalues
        if step == STEPS:
            break
        g = gradients[step] = TASK.eigenvalues * miss
        for side in (gram, gram.mT):  # rows, then columns
            readout = side[:, -1] - beta * (g[:, None] @ side[:, :-1])[:, 0]
            side[:, :-1] -= (alpha * g)[:, :, None] * side[:, -1:]
            side[:, -1] = readout
    return losses, gradients


def changes(grams: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """The product of the maps T so far, minus 1."""
    found = np.zeros((len(grams), STEPS + 1, *grams.shape[1:]))
    alpha, beta = rate[:, 0, None], rate[:, 1, None]
    for step, g in enumerate(descend(grams, rate)[1]):
        old, new = found[:, step], found[:, step + 1]
        readout = old[:, -1].copy()
        readout[:, -1] += 1
        new[:, :-1] = old[:, :-1] - (alpha * g)[:, :, None] * readout[:, None]
        new[:, -1] = old[:, -1] - beta * (g[:, None] @ old[:, :-1])[:, 0]
        new[:, -1, :-1] -= beta * g
    return found
