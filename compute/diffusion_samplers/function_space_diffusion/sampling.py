r"""How many points hold a function of K modes: the sampling theorem on the circle, and what aliasing costs below it.

A function of frequencies up to F = ceil(K/2) is fixed by its values at n > 2F equally spaced points. From an odd n <= 2F the
trigonometric interpolant keeps frequencies up to (n - 1)/2 and folds each higher one onto one of those: for independent modes
its mean squared error is what it misses and as much again, 2 sum_{frequency > (n-1)/2} v_k (a frequency that is a multiple
of n folds its cosine on the constant, with twice its energy, and its sine on nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.diffusion_samplers.function_space_diffusion.setting import Array, DataSmoothness, NModes, powers
from compute.experiment import Result, experiment
from compute.models.laplacian_modes import circle_modes
from compute.parameters import LogInteger, Seed

Points = Annotated[int, LogInteger("points", "n", low=9, high=1023, help="Equally spaced; of an even number one less is used.")]

N_FUNCTIONS = 60
MOST_POINTS = 1023
N_FINE = 400


@dataclass(frozen=True)
class Reconstruction(Result):
    """A function from its values at n points.

    Parameters
    ----------
    angle, value, rebuilt : (m,) arrays
        One function, and its interpolant from the points.
    point, at_point : (n,) arrays
        Where it is seen, in radians, and its values.
    n_points : (p,) array
        Odd numbers of points.
    theory : (p,) array
        Exact root mean squared error, in the norm over the circle; 0 from 2F + 1 points on.
    error, standard_error : (p,) arrays
        Of drawn functions.
    enough : int
        2F + 1.
    norm : float
        Root mean squared norm of a function.
    """

    angle: Array
    value: Array
    rebuilt: Array
    point: Array
    at_point: Array
    n_points: Array
    theory: Array
    error: Array
    standard_error: Array
    enough: int
    norm: float

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame({"angle (rad)": self.angle, "function": self.value, "rebuilt": self.rebuilt})
        seen = pl.DataFrame({"angle (rad)": self.point, "value at point": self.at_point})
        errors = pl.DataFrame(
            {
                "points": self.n_points,
                "rms error (theory)": self.theory,
                "rms error": self.error,
                "standard error": self.standard_error,
            }
        )
        return pl.concat([curve, seen, errors], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        below = self.n_points < self.enough
        z = (self.error - self.theory)[below] / self.standard_error[below]
        beyond = self.error[~below]
        return {
            "points that are enough": float(self.enough),
            "largest error from there on": float(beyond.max()) if beyond.size else "not reached",
            "error here (theory)": float(np.interp(self.point.size, self.n_points, self.theory)),
            "draws against theory, rms (SE)": float(np.sqrt(np.mean(z**2))) if z.size else "nothing to compare",
        }


def interpolate(values: Array, angle: Array) -> Array:
    """(…, m) trigonometric interpolant at angles (m,) of values (…, n) at n equally spaced points from 0, n odd."""
    n = values.shape[-1]
    coefficients = np.fft.rfft(values) / n
    frequency = np.arange(coefficients.shape[-1])
    weight = np.where(frequency == 0, 1.0, 2.0)
    wave = np.exp(1j * np.multiply.outer(frequency, angle))
    return np.asarray(((coefficients * weight) @ wave).real)


def squared_errors(coefficients: Array, n: int) -> Array:
    """(m,) squared L2 errors of rebuilding functions with mode coefficients (m, K) from n points, n odd."""
    m, k = coefficients.shape
    seen = np.fft.rfft(coefficients @ circle_modes(_spread(n), k).function.T) / n
    # a cos(f t) + b sin(f t) has the coefficient (a - i b)/2 at f and its conjugate at -f.
    pairs = np.zeros((m, k + k % 2))
    pairs[:, :k] = coefficients / np.sqrt(np.pi)
    true = (pairs[:, ::2] - 1j * pairs[:, 1::2]) / 2
    missed = np.zeros((m, max(seen.shape[1] - 1, true.shape[1])), dtype=complex)
    missed[:, : true.shape[1]] = true
    missed[:, : seen.shape[1] - 1] -= seen[:, 1:]
    return np.asarray(2 * np.pi * (np.abs(seen[:, 0]) ** 2 + 2 * np.sum(np.abs(missed) ** 2, axis=1)))


def _spread(n: int) -> Array:
    return np.asarray(2 * np.pi * np.arange(n) / n)


@experiment
def enough_points(
    *, data_smoothness: DataSmoothness = 1.5, modes: NModes = 64, points: Points = 31, seed: Seed = 0
) -> Reconstruction:
    """Rebuild random functions on the circle from their values at equally spaced points: the sampling theorem, and aliasing."""
    n = points - 1 + points % 2
    origin = np.zeros(1)
    frame = circle_modes(origin, modes)
    data = powers(frame.eigenvalue, data_smoothness)
    frequency = np.sqrt(frame.eigenvalue)
    enough = 2 * int(frequency[-1]) + 1
    rng = np.random.default_rng(seed)
    coefficients = np.sqrt(data) * rng.standard_normal((N_FUNCTIONS, modes))
    some = np.rint(np.geomspace(9, MOST_POINTS, 15)).astype(int)
    n_points = np.unique(np.append(some - 1 + some % 2, [n, enough - 2, enough]))
    square = np.array([squared_errors(coefficients, int(p)) for p in n_points])
    mean = square.mean(axis=1)
    error = np.sqrt(mean)
    spread = square.std(axis=1, ddof=1) / np.sqrt(N_FUNCTIONS) / (2 * error)
    theory = np.sqrt(2 * np.array([data[frequency > (p - 1) / 2].sum() for p in n_points]))
    angle, point = np.linspace(0, 2 * np.pi, N_FINE), _spread(n)
    value = circle_modes(angle, modes).function @ coefficients[0]
    at_point = circle_modes(point, modes).function @ coefficients[0]
    return Reconstruction(
        angle,
        value,
        interpolate(at_point, angle),
        point,
        at_point,
        n_points.astype(float),
        theory,
        error,
        spread,
        enough,
        float(np.sqrt(data.sum())),
    )
