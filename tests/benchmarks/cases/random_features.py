"""Power-law random features under SGD: exact curves, the resolvent, and SGD itself."""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh

from compute.models import noisy_quadratic
from compute.models import power_law_random_features as features
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    modes = features.draw_modes(rng, 0.7, 0.9, 300, 1200)
    batch = 8
    step_size = 0.5 * features.modes_stability_limit(modes, batch)
    yield from _exact_curve(modes, batch, step_size)
    yield from _sgd(modes, batch, step_size)
    yield from _resolvent()


def _exact_curve(modes: features.Modes, batch: int, step_size: float) -> Iterator[Case]:
    decay, injection = features.moments(modes.eigenvalue, batch, step_size)
    steps = np.concatenate([[0.0], np.geomspace(1, 1e5, 60).round()])

    def by_eigenvectors() -> np.ndarray:
        side = np.sqrt(injection)
        value, vector = eigh(np.diag(1 - decay) + np.outer(side, side))
        power = value ** steps[:, None]
        begun, fed = vector.T @ (modes.start / side), vector.T @ side
        grown = modes.unreachable * (1 - power) / (1 - value)
        return modes.unreachable + power @ (begun * fed) + grown @ fed**2

    yield Case(
        "expected loss of SGD at 61 step counts, 300 modes",
        lambda: features.exact_curve(modes, batch, step_size, steps),
        "SciPy eigh",
        by_eigenvectors,
        (noisy_quadratic._solve,),
        rtol=1e-7,
    )


def _sgd(modes: features.Modes, batch: int, step_size: float) -> Iterator[Case]:
    steps = np.array([0, 10, 100, 400])

    def plain() -> np.ndarray:
        # The same numbers in the same order: of each sample first what no feature reaches, then its coordinates.
        rng, error, done, loss = np.random.default_rng(1), np.sqrt(modes.start), 0, []
        for last in steps:
            for _ in range(done, last):
                draw = rng.standard_normal((batch, error.size + 1))
                residual = np.sqrt(modes.unreachable) * draw[:, 0] + draw[:, 1:] @ error
                error = error - step_size * modes.eigenvalue * (draw[:, 1:].T @ residual)
            done = last
            loss.append(modes.unreachable + error @ error)
        return np.array(loss)

    yield Case(
        "400 steps of streaming SGD, 300 modes, batch 8",
        lambda: features.stream_sgd(
            np.random.default_rng(1), modes.eigenvalue, modes.start, modes.unreachable, batch, step_size, steps
        ),
        "NumPy",
        plain,
        (features.stream_sgd,),
    )


def _resolvent() -> Iterator[Case]:
    population = features.power_law_population(0.7, 0.9, 100_000)
    level, count, width = population.covariance, population.count, 1000
    point = 0.05 * np.exp(1j * np.linspace(0.3, np.pi, 200, endpoint=False))

    def newton() -> np.ndarray:
        # All points at once, each from -z: half steps of the fixed-point map, then Newton's.
        kappa = -point
        for k in range(60):
            share = level / (level + kappa[:, None])
            first = share @ count / width
            if k < 40:
                kappa = 0.5 * kappa + 0.5 * (-point + kappa * first)
            else:
                kappa = kappa - (kappa * (1 - first) + point) / (1 - share**2 @ count / width)
        return kappa

    yield Case(
        "effective ridge at 200 complex points",
        lambda: features.effective_ridge(population, width, point),
        "NumPy, all points at once",
        newton,
        (features._ridge, features._inverse),
    )
    kappa = features.effective_ridge(population, width, point)
    weight = (count * level * population.target).astype(complex)
    yield Case(
        "sums over the population at 200 ridges",
        lambda: features._sums(level, population.target, count, kappa),
        "NumPy",
        lambda: (1 / (level + kappa[:, None])) @ weight,
        (features._sums, features._inverse),
    )
