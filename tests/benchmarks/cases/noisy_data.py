"""Means of a mixture from samples of two noise levels, by expectation-maximization."""

from collections.abc import Iterator

import numpy as np

from compute.scaling_laws.noisy_data import mixture_em
from compute.scaling_laws.noisy_data.information import means_on_a_line
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    rng, means, corruption = np.random.default_rng(0), means_on_a_line(4, 2.0), 3.0
    sizes = ((100, 1.0), (10_000, 1 + corruption**2))
    line = [np.concatenate(part) for part in zip(*(mixture_em.binned_mixture(rng, n, means, v) for n, v in sizes), strict=True)]
    space = [np.concatenate(part) for part in zip(*(mixture_em.drawn_mixture(rng, n, means, v, 3) for n, v in sizes), strict=True)]
    # In space the fixed point is approached slowly, and the two stop somewhat apart.
    for what, (x, count, variance), rtol in (
        (f"{len(line[0])} bins", line, 1e-9),
        (f"{len(space[0]):,} samples in space", space, 1e-5),
    ):
        start = np.zeros((means.size, x.shape[1]))
        start[:, 0] = means
        yield Case(
            f"means of {means.size} components by EM, {what}",
            lambda x=x, count=count, variance=variance, start=start: mixture_em.fit_means(x, count, variance, start),
            "NumPy, the same iteration",
            lambda x=x, count=count, variance=variance, start=start: fit(x, count, variance, start),
            (mixture_em._fit, mixture_em._em_step),
            rtol=rtol,
        )


def em_step(x: Array, count: Array, variance: Array, means: Array) -> tuple[Array, float]:
    """Means after a step, and the log-likelihood before it."""
    # What all components share at a sample, |x|^2/2 variance, changes no share and no comparison.
    terms = (x @ means.T - 0.5 * np.sum(means**2, axis=1)) / variance[:, None]
    top = terms.max(axis=1, keepdims=True)
    share = np.exp(terms - top)
    mass = share.sum(axis=1)
    share *= (count / (mass * variance))[:, None]
    return (share.T @ x) / share.sum(axis=0)[:, None], float(count @ (top[:, 0] + np.log(mass)))


def fit(x: Array, count: Array, variance: Array, means: Array) -> Array:
    """EM with squared extrapolation where it does not lose likelihood."""
    steps = 0
    while steps < mixture_em.MAX_STEPS:
        first, here = em_step(x, count, variance, means)
        second, _ = em_step(x, count, variance, first)
        move, bend = first - means, second - 2 * first + means
        size, curve = np.linalg.norm(move), np.linalg.norm(bend)
        if size < mixture_em.TOLERANCE:
            return second
        stretch = max(1.0, float(size / curve)) if curve > 0 else 1.0
        moved, gained = em_step(x, count, variance, means + 2 * stretch * move + stretch**2 * bend)
        means = moved if gained >= here else second
        steps += 3
    return means
