"""The heat kernel of an angle: its law, the errors of its approximations, and how many terms the exact sums need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.models import su3_heat_kernel as su3
from compute.models.sphere_heat_kernel import (
    Array,
    EigenSum,
    dual_kernel,
    log_volume,
    parametrix_score,
    random_walk,
    tail_bound,
    varadhan_score,
)
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Seed

SPACES = {"circle": 1, "sphere": 2, "SU(2)": 3}
MOST_TERMS = 200
ENOUGH_TERMS = 420  # for t = 1e-3 to the last digit, at every dimension offered
THETA = np.linspace(0, np.pi, 162)[1:-1]

Space = Annotated[str, Choice("space", options=(*SPACES, "sphere of any dimension"), help="SU(2) is the sphere of dimension 3.")]
Dimension = Annotated[int, Integer("dimension", "d", low=2, high=64, when=("space", ("sphere of any dimension",)))]
Time = Annotated[float, LogReal("time", "t", low=1e-3, high=10.0)]
Truncation = Annotated[int, LogInteger("terms kept", "n", low=1, high=MOST_TERMS, help="Of the sum over eigenfunctions.")]
Walkers = Annotated[int, LogInteger("random walkers", low=200, high=20_000, help="Each takes 100 geodesic steps.")]


def dimension_of(space: str, dimension: int) -> int:
    return SPACES.get(space, dimension)


def exact(d: int, t: float, theta: Array) -> tuple[Array, Array]:
    """Kernel and its derivative, to the digits there are: the dual sum where there is one and t is short, else the whole sum."""
    if d in (1, 3) and t < 2 * np.pi:
        return dual_kernel(d, t, theta, 6)
    whole = EigenSum(d, ENOUGH_TERMS, theta)
    return whole.kernel(t), whole.derivative(t)


def angle_volume(d: int, theta: Array) -> Array:
    """Of the set of points at an angle, per unit angle in [0, pi]."""
    return np.asarray(np.exp(log_volume(d - 1)) * np.sin(theta) ** (d - 1))


# --- errors of the score ------------------------------------------------------------------------------------------

TIMES = np.geomspace(1e-3, 10, 61)


@dataclass(frozen=True)
class ErrorMap(Result):
    """Relative error of the score of truncated sums, and of the short-time forms."""

    time: Array  # (n_time,)
    terms: Array  # (n_terms,)
    error: Array  # (n_terms, n_time)
    varadhan: Array  # (n_time,)
    parametrix: Array  # (n_time,)
    switch: Array  # (n_time,) terms from which the bound on the tail falls below the parametrix's error
    at: tuple[float, int]
    dimension: int

    def table(self) -> pl.DataFrame:
        time, terms = np.meshgrid(self.time, self.terms)
        grid = pl.DataFrame({"time": time.ravel(), "terms": terms.ravel(), "log10_error_of_the_sum": np.log10(self.error).ravel()})
        curves = pl.DataFrame(
            {
                "time": self.time,
                "error_varadhan": self.varadhan,
                "error_parametrix": self.parametrix,
                "terms_to_switch_at": self.switch,
            }
        )
        return pl.concat([grid, curves], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        k = int(np.argmin(np.abs(np.log(self.time / self.at[0]))))
        n = int(np.argmin(np.abs(np.log(self.terms / self.at[1]))))
        found = {"truncated sum": self.error[n, k], "parametrix": self.parametrix[k], "Varadhan": self.varadhan[k]}
        best = min(found, key=lambda name: found[name])
        return {f"score error, {name}": float(value) for name, value in found.items()} | {"best here": best}


@experiment
def score_errors(*, space: Space = "sphere", dimension: Dimension = 16, time: Time = 0.3, truncation: Truncation = 4) -> ErrorMap:
    """Root mean square of the error of d log k/d theta over that of the score itself, weighted by the exact law of the angle."""
    d = dimension_of(space, dimension)
    terms = np.unique(np.rint(np.geomspace(1, MOST_TERMS, 56)).astype(int))
    sums = EigenSum(d, MOST_TERMS, THETA)
    whole = EigenSum(d, ENOUGH_TERMS, THETA)
    volume = np.sin(THETA) ** (d - 1)
    error, varadhan, parametrix, switch = np.empty((terms.size, TIMES.size)), *np.empty((3, TIMES.size))
    for k, t in enumerate(TIMES):
        if d in (1, 3) and t < 2 * np.pi:
            kernel, slope = dual_kernel(d, float(t), THETA, 6)
        else:
            kernel, slope = whole.kernel(float(t)), whole.derivative(float(t))
        # Where rounding has eaten the kernel there is next to no mass either.
        kept = kernel > 1e-12 * kernel.max()
        weight = np.where(kept, kernel * volume, 0.0)
        score = np.where(kept, slope / np.where(kept, kernel, 1.0), 0.0)
        power = float(np.sum(weight * score**2))

        def relative(other: Array, weight: Array = weight, score: Array = score, power: float = power) -> Array:
            return np.asarray(np.sqrt(np.sum(weight * (other - score) ** 2, axis=-1) / power))

        error[:, k] = relative(sums.partial_scores(float(t))[terms - 1])
        varadhan[k], parametrix[k] = relative(varadhan_score(float(t), THETA)), relative(parametrix_score(d, float(t), THETA))
        below = tail_bound(d, float(t), MOST_TERMS) < max(parametrix[k], 1e-10)
        switch[k] = 1 + int(np.argmax(below)) if below.any() else MOST_TERMS
    limits = (1e-12, 1e3)
    return ErrorMap(
        TIMES, terms.astype(float), np.clip(error, *limits), np.clip(varadhan, *limits), np.clip(parametrix, *limits), switch,
        (time, truncation), d,
    )  # fmt: skip


# --- terms needed ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Terms(Result):
    """Terms that each sum needs for ten digits at the start, on the circle and on SU(2)."""

    time: Array  # (n_time,)
    eigen: dict[str, Array]  # by space
    dual: dict[str, Array]
    at: float

    def crossing(self, space: str) -> float:
        """Middle of the times at which both sums need the same number of terms."""
        same = self.time[self.eigen[space] == self.dual[space]]
        return float(np.sqrt(same[0] * same[-1]))

    def table(self) -> pl.DataFrame:
        parts = {f"eigenfunctions_{s}": v for s, v in self.eigen.items()} | {f"windings_{s}": v for s, v in self.dual.items()}
        return pl.DataFrame({"time": self.time} | parts)

    def headline(self) -> dict[str, float | str]:
        k = int(np.argmin(np.abs(np.log(self.time / self.at))))
        here = {f"terms at t, {s}": f"{self.eigen[s][k]:.0f} or {self.dual[s][k]:.0f}" for s in self.eigen}
        return {f"crossing, {s}": self.crossing(s) for s in self.eigen} | {"2π": 2 * np.pi} | here


def _needed(terms: Array) -> float:
    """How many of (n,) terms, largest first, leave less than 1e-10 of their sum."""
    sums = np.cumsum(np.abs(terms))
    return float(1 + np.argmax(sums >= (1 - 1e-10) * sums[-1]))


@experiment
def terms_needed(*, time: Time = 0.3) -> Terms:
    """Pairs of terms counted as one: l and -l, m and -m. Both sums cost alike at t = 2 pi, where Poisson summation is its own dual."""
    times, ell, m = np.geomspace(1e-3, 100, 201), np.arange(1000), np.arange(200)
    eigen: dict[str, list[float]] = {"circle": [], "SU(2)": []}
    dual: dict[str, list[float]] = {"circle": [], "SU(2)": []}
    for t in times:
        eigen["circle"].append(_needed(np.where(ell, 2, 1) * np.exp(-(ell**2) * t / 2)))
        dual["circle"].append(_needed(np.where(m, 2, 1) * np.exp(-((2 * np.pi * m) ** 2) / (2 * t))))
        # On SU(2) at the start: h_l = (l + 1)^2 against derivatives of the windings' bell, (1 - (2 pi m)^2/t).
        eigen["SU(2)"].append(_needed((ell + 1.0) ** 2 * np.exp(-ell * (ell + 2) * t / 2)))
        turns = (2 * np.pi * m) ** 2 / t
        dual["SU(2)"].append(_needed(np.where(m, 2, 1) * (1 - turns) * np.exp(-turns / 2)))
    return Terms(times, {s: np.array(v) for s, v in eigen.items()}, {s: np.array(v) for s, v in dual.items()}, time)


# --- law of the angle ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AngleLaw(Result):
    """Density of the angle to the start: exact, approximate, and of random walkers."""

    theta: Array  # (n,)
    density: Array
    truncated: Array
    parametrix: Array
    uniform: Array
    centers: Array  # (n_bins,)
    walkers: Array  # (n_bins,)
    standard_error: Array
    mean_cosine: tuple[float, float, float]  # exact, simulated, standard error
    terms: int

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame(
            {
                "angle": self.theta,
                "exact": self.density,
                "truncated_sum": self.truncated,
                "parametrix": self.parametrix,
                "uniform": self.uniform,
            }
        )
        histogram = pl.DataFrame({"angle": self.centers, "walkers": self.walkers, "standard_error": self.standard_error})
        return pl.concat([curves, histogram], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        true, found, error = self.mean_cosine
        step = self.theta[1] - self.theta[0]
        return {
            "mean cosine, e^(−dt/2)": true,
            "of the walkers, gap (SE)": abs(found - true) / error,
            "total variation, truncated sum": float(0.5 * np.sum(np.abs(self.truncated - self.density)) * step),
            "total variation, parametrix": float(0.5 * np.sum(np.abs(self.parametrix - self.density)) * step),
            "least truncated density": float(self.truncated.min()),
        }


@experiment
def angle_law(
    *,
    space: Space = "sphere",
    dimension: Dimension = 16,
    time: Time = 0.3,
    truncation: Truncation = 4,
    walkers: Walkers = 2000,
    seed: Seed = 0,
) -> AngleLaw:
    """The angle between the start and the end of Brownian motion; the parametrix scaled to mass 1."""
    d = dimension_of(space, dimension)
    theta = np.linspace(0, np.pi, 402)[1:-1]
    volume, step = angle_volume(d, theta), theta[1] - theta[0]
    density = exact(d, time, theta)[0] * volume
    m, gap = (d - 1) / 2, 1 / theta - 1 / np.tan(theta)
    correction = 1 + time * (m**2 / 2 - m * (m - 1) / 2 * gap / theta)
    near = (theta / np.sin(theta)) ** m * np.exp(-(theta**2) / (2 * time)) * correction * volume
    edges = np.linspace(0, np.pi, 46)
    angle = random_walk(d, time, walkers, 100, np.random.default_rng([seed, 5]))
    share = np.histogram(angle, edges)[0] / walkers
    width = edges[1] - edges[0]
    cosine = np.cos(angle)
    return AngleLaw(
        theta,
        density,
        EigenSum(d, truncation, theta).kernel(time) * volume,
        near / (near.sum() * step),
        volume / np.exp(log_volume(d)),
        (edges[1:] + edges[:-1]) / 2,
        share / width,
        np.sqrt(share * (1 - share) / walkers) / width,
        (float(np.exp(-d * time / 2)), float(cosine.mean()), float(cosine.std(ddof=1) / np.sqrt(walkers))),
        truncation,
    )


# --- classes of SU(3) -------------------------------------------------------------------------------------------------

N_CLASSES = 64
SHORTEST_CLASSES = 0.05


@dataclass(frozen=True)
class Classes(Result):
    """Density of the eigenvalue angles of an SU(3) matrix after Brownian motion from the identity."""

    theta: Array  # (n,) of theta_1
    other: Array  # (n,) of theta_2
    density: Array  # (n, n)
    mass: float
    mean_trace: float
    exact_trace: float

    def table(self) -> pl.DataFrame:
        theta, other = np.meshgrid(self.theta, self.other)
        return pl.DataFrame({"theta_1": theta.ravel(), "theta_2": other.ravel(), "density": self.density.ravel()})

    def headline(self) -> dict[str, float | str]:
        return {
            "mass": self.mass,
            "mean trace ÷ 3": self.mean_trace / 3,
            "e^(−2t/3)": self.exact_trace / 3,
        }


@experiment
def rotation_classes(*, time: Time = 0.3) -> Classes:
    """All representations that matter to eleven digits, summed by Weyl's character formula.

    Raises
    ------
    ParameterError
        Where the time is too short for the sum.
    """
    if time < SHORTEST_CLASSES:
        raise ParameterError("time", f"must be {SHORTEST_CLASSES:g} or more here: SU(3) is summed over representations only.")
    cell = 2 * np.pi / N_CLASSES
    theta = np.asarray((np.arange(N_CLASSES) + 0.5) * cell - np.pi, dtype=float)
    other = theta + 0.2 * cell  # off the walls, where Weyl's formula is 0/0
    a, b = map(np.ravel, np.meshgrid(theta, other))
    most = int(np.ceil(np.sqrt(150 / time))) + 2
    weight = su3.kernel(a, b, time, most) * su3.weyl_density(a, b)
    trace = np.real(np.exp(1j * a) + np.exp(1j * b) + np.exp(-1j * (a + b)))
    return Classes(
        theta,
        other,
        weight.reshape(N_CLASSES, N_CLASSES),
        float(weight.sum() * cell**2),
        float((weight * trace).sum() * cell**2),
        float(3 * np.exp(-2 / 3 * time)),
    )
