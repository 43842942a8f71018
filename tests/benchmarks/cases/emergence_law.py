"""Posterior of an emergence law, at given points and along the walk of an ensemble."""

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
        (emergence_law._square_error, emergence_law._log_posteriors),
    )

    start = np.array([2.15, 0.14, 1.0, 0.0]) + 0.02 * rng.standard_normal((40, 4))

    def walk(n_steps: int) -> np.ndarray:
        draw = np.random.default_rng(1)
        moves = (n_steps, 2, 20)
        stretch = (draw.random(moves) + 1) ** 2 / 2
        partner, log_u = draw.integers(20, size=moves), np.log(draw.random(moves))
        x, log_p, chain = start.copy(), plain(start), []
        for step in range(n_steps):
            for side, moved, still in ((0, slice(20), slice(20, None)), (1, slice(20, None), slice(20))):
                z = stretch[step, side]
                other = x[still][partner[step, side]]
                proposal = other + z[:, None] * (x[moved] - other)
                log_q = plain(proposal)
                take = log_u[step, side] < 3 * np.log(z) + log_q - log_p[moved]
                x[moved] = np.where(take[:, None], proposal, x[moved])
                log_p[moved] = np.where(take, log_q, log_p[moved])
            chain.append(x.copy())
        return np.array(chain)

    yield Case(
        "walk of 40 walkers, 300 steps",
        lambda: runs.walk(start, 300, np.random.default_rng(1)),
        "NumPy, half an ensemble at once",
        lambda: walk(300),
        (emergence_law._walk, emergence_law._log_posteriors, emergence_law._square_error),
    )
