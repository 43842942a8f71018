"""Posterior of an emergence law, as a sampler asks for it."""

from collections.abc import Iterator

import numpy as np

from compute.models import emergence_law
from compute.scaling_laws.emergence_elbow.setting import simulate
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    runs = simulate(2.15, 0.14, 1.0, 6, 5, 0.015, 4.0, 0.25, rng)
    low, high = emergence_law.bounds()
    # Some outside the bounds; 200 small calls, one after the other, as an ensemble of walkers makes them.
    theta = rng.uniform(low, 1.05 * high, (200, 20, 4))

    def plain(points: np.ndarray) -> np.ndarray:
        elbow, shift, power, log_slope = points.T[:, :, None]
        foretold = emergence_law.accuracy(runs.loss, runs.examples, runs.chance, elbow, shift, power, np.exp(log_slope))
        inside = np.all((points >= low) & (points <= high), axis=1)
        square = np.sum((runs.accuracy - foretold) ** 2, axis=1)
        return np.where(inside, square / (-2 * runs.noise**2), -np.inf)

    yield Case(
        f"log posteriors of {runs.loss.size} finetuned models, 200 calls of 20 points",
        lambda: np.stack([runs.log_posterior(points) for points in theta]),
        "NumPy",
        lambda: np.stack([plain(points) for points in theta]),
        (emergence_law._square_errors,),
    )
