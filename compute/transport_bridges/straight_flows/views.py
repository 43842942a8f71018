"""Straight flows: lines under a coupling, curvature maps, schedules on their cone, what many points in many dimensions know, steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.parameters import Choice, LogInteger, LogReal, Real, Seed
from compute.transport_bridges.straight_flows.couplings import (
    couple,
    curvature,
    data_law,
    euler,
    flow_lines,
    gaussian_curvature,
)
from compute.transport_bridges.straight_flows.schedules import (
    SCHEDULES,
    Cone,
    angles,
    cone,
    knowledge_of_law,
    knowledge_of_points,
    schedule,
)

Array = NDArray[np.float64]

Data = Annotated[str, Choice("data on the line", options=("two modes", "Gaussian", "five modes", "two uneven modes"))]
Rho = Annotated[
    float,
    Real(
        "correlation",
        r"\rho",
        low=-0.95,
        high=1.0,
        help="Of noise with the noise that transport pairs; 0 independent, 1 after a reflow.",
    ),
]
Scale = Annotated[float, LogReal("data scale", "s", low=0.2, high=5.0, help="Deviation of the data; the noise's is 1.")]
Steps = Annotated[int, LogInteger("Euler steps", "K", low=1, high=64)]
Source = Annotated[
    str, Choice("data of the schedule", options=("the line", "finite set"), help="A law on the line, or n points in R^d.")
]
Points = Annotated[int, LogInteger("points", "n", low=1, high=500)]
Dimension = Annotated[int, LogInteger("dimension", "d", low=1, high=500)]

N_LINES, N_TIMES = 21, 17
FLOW_LEVELS, FLOW_TIMES = (np.arange(N_LINES) + 0.5) / N_LINES, np.linspace(0, 1, N_TIMES)
N_JUDGED = 400


# --- flow lines -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flow(Result):
    """Flow lines of the independent coupling and of the chosen one."""

    time: Array  # (n_times,)
    lines: dict[str, Array]  # each (n_times, n_lines), exact
    euler_time: Array  # (n_steps + 1,)
    euler: dict[str, Array]  # each (n_steps + 1, n_lines)
    curve: Array  # (n_curve,) places of the data's density
    density: Array  # (n_curve,)
    reach: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = []
        for kind, time, curves in (("exact", self.time, self.lines), ("Euler", self.euler_time, self.euler)):
            for name, values in curves.items():
                index = np.indices(values.shape).reshape(2, -1)
                parts.append(
                    pl.DataFrame(
                        {"coupling": name, "kind": kind, "particle": index[1], "time": time[index[0]], "x": values.ravel()}
                    )
                )
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def flow(*, data: Data = "two modes", rho: Rho = 0.9, data_scale: Scale = 1.0, nfe: Steps = 4) -> Flow:
    """Exact flow lines of the independent and of the chosen coupling, with a few Euler steps on top."""
    law = data_law(data, data_scale)
    level, time = FLOW_LEVELS, FLOW_TIMES
    lines, stepped = {}, {}
    summary: dict[str, float | str] = {}
    end = law.quantile(level)
    for name, r in (("independent", 0.0), ("chosen", rho)):
        lines[name] = _lines(data, data_scale, r)
        stepped[name] = euler(couple(law, r), ndtri(level), nfe)
        summary[f"W₁ after {nfe} Euler steps, {name}"] = float(np.mean(np.abs(np.sort(stepped[name][-1]) - end)))
    summary["curvature, chosen"] = curvature(couple(law, rho), 10)
    summary["curvature, independent"] = _independent_curvature(data, data_scale)
    reach = float(max(2.6, np.abs(law.quantile(np.array([0.004, 0.996]))).max() * 1.15))
    place = np.linspace(-reach, reach, 161)
    return Flow(time, lines, np.linspace(0, 1, nfe + 1), stepped, place, law.pdf(place), reach, summary)


@lru_cache(maxsize=32)  # the independent lines are the same at every correlation
def _lines(data: str, scale: float, rho: float) -> Array:
    """(n_times, n_lines) exact paths, their ends by the quantiles of either law."""
    law = data_law(data, scale)
    lines = flow_lines(couple(law, rho), FLOW_LEVELS, FLOW_TIMES)
    lines[0], lines[-1] = ndtri(FLOW_LEVELS), law.quantile(FLOW_LEVELS)
    lines.setflags(write=False)
    return lines


@lru_cache(maxsize=64)
def _independent_curvature(data: str, scale: float) -> float:
    return curvature(couple(data_law(data, scale), 0.0), 10)


# --- curvature over correlation and scale -----------------------------------------------------------------

RHOS = np.linspace(-0.95, 1.0, 66)
SCALES = np.geomspace(0.2, 5, 57)
LEVELS = (0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Bending(Result):
    """Curvature between Gaussians, and the error of one Euler step."""

    rho: Array  # (n_rho,)
    scale: Array  # (n_scale,)
    curvature: Array  # (n_scale, n_rho)
    error: Array  # (n_scale, n_rho) W1 after one step
    contours: dict[float, tuple[Array, Array]]  # level of the error: broken lines
    summary: dict[str, float | str]

    @property
    def log10_curvature(self) -> Array:
        """Cut at 1e-3, below which a flow is straight for all purposes."""
        return np.log10(np.maximum(self.curvature, 1e-3))

    def table(self) -> pl.DataFrame:
        return grid_table(
            "rho",
            self.rho,
            "data_scale",
            self.scale,
            curvature=self.curvature,
            log10_curvature=self.log10_curvature,
            one_step_w1=self.error,
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary


def one_step_error(rho: Array, scale: Array) -> Array:
    """W1 of one Euler step between Gaussians: it lands on E[x | z] = rho s z, of deviation |rho| s."""
    return np.asarray(scale * (1 - np.abs(rho)) * np.sqrt(2 / np.pi))


@experiment
def bending(*, data: Data = "two modes", rho: Rho = 0.9, data_scale: Scale = 1.0) -> Bending:
    """Curvature over correlation and scale, exact between Gaussians, with the error of a single step; and that of the data here."""
    bend = gaussian_curvature(RHOS[None, :], SCALES[:, None])
    error = one_step_error(RHOS[None, :], SCALES[:, None])
    contours = {}
    for level in LEVELS:
        x, y = level_lines(RHOS, np.log(SCALES), error, level)
        contours[level] = (x, np.exp(y))
    pairs = couple(data_law(data, data_scale), rho)
    exact = float(gaussian_curvature(rho, data_scale))
    summary: dict[str, float | str] = {
        "curvature, Gaussian data": exact,
        f"curvature, {data}": curvature(pairs, 12),
        "kinetic energy left, Gaussian": float(1 + data_scale**2 - 2 * rho * data_scale - exact),
        "least possible, transport": float((1 - data_scale) ** 2),
        "W₁ of one step, Gaussian": float(one_step_error(np.array(rho), np.array(data_scale))),
    }
    return Bending(RHOS, SCALES, bend, error, contours, summary)


# --- schedules ------------------------------------------------------------------------------------------

TIMES = np.linspace(0, 1, 401)
SHOWN = slice(None, None, 2)
SOLVED = "kinetic optimal"


@lru_cache(maxsize=32)
def cone_of(source: str, data: str, n_points: int, dimension: int, seed: int) -> Cone:
    """The cone of a law on the line, scaled to unit second moment, or of a finite set."""
    q = np.tan(np.minimum(angles(), np.pi / 2 - 1e-6))
    if source == "the line":
        return cone(knowledge_of_law(data_law(data, 1.0), q))
    return cone(knowledge_of_points(np.random.default_rng(seed), n_points, dimension, q))


@dataclass(frozen=True)
class Schedules(Result):
    """Schedules in the plane of a and m, on the unrolled cone, and their energies."""

    time: Array  # (n_times,)
    plane: dict[str, tuple[Array, Array]]  # a and m
    unrolled: dict[str, tuple[Array, Array]]
    density: dict[str, Array]  # (n_times,) of kinetic energy, per dimension
    energy: dict[str, float]
    turned: float  # Theta_tot
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame(
                {
                    "schedule": name,
                    "time": self.time,
                    "a": self.plane[name][0],
                    "m": self.plane[name][1],
                    "unrolled_x": self.unrolled[name][0],
                    "unrolled_y": self.unrolled[name][1],
                    "energy_density": self.density[name],
                    "energy": self.energy[name],
                }
            )
            for name in self.plane
        ]
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _cone_seconds(source: str, n: int, d: int) -> float:
    return 0.12 if source == "the line" else 0.01 + 201 * n * (1.5e-6 + 1.5e-8 * min(n, d))


@experiment(seconds=lambda source, n_points, dimension, **_: 0.02 + _cone_seconds(source, n_points, dimension))
def schedules(
    *,
    source: Source = "finite set",
    data: Data = "two modes",
    n_points: Points = 100,
    dimension: Dimension = 20,
    seed: Seed = 0,
) -> Iterator[tuple[float, Schedules]]:
    """Energies of schedules, and the one of least energy: a straight line on the unrolled cone."""
    found = cone_of(source, data, n_points, dimension, seed)
    paths = {name: schedule(name, TIMES) for name in SCHEDULES} | {SOLVED: found.best(TIMES)}
    energy, density = {}, {}
    for name, (a, m) in paths.items():
        energy[name], each = found.energy(a, m)
        density[name] = np.append(each, each[-1])[SHOWN]
    unrolled = {name: found.unrolled(a, m) for name, (a, m) in paths.items()}
    summary: dict[str, float | str] = {"Θ_tot": found.total, "kinetic minimum": found.least}
    summary |= {f"energy, {name}": energy[name] for name in ("conditional OT", "VP trigonometric")}
    summary["best on the circle (variance preserving)"] = found.total**2
    yield (
        1.0,
        Schedules(
            TIMES[SHOWN],
            {name: (a[SHOWN], m[SHOWN]) for name, (a, m) in paths.items()},
            {name: (x[SHOWN], y[SHOWN]) for name, (x, y) in unrolled.items()},
            density,
            energy,
            found.total,
            summary,
        ),
    )


# --- many points in many dimensions -----------------------------------------------------------------------

SIZES = (1, 2, 5, 12, 30, 75, 200, 500)
DIMENSIONS = (2, 8, 32, 128)


@dataclass(frozen=True)
class Knowledge(Result):
    """Angle of the cone of n points in R^d, against log n / d."""

    points: Array  # (n_sizes,)
    total: dict[int, Array]  # dimension: (n_done,) Theta_tot
    spread: dict[int, Array]  # (n_done,) standard error over point sets
    gain: dict[int, Array]  # (n_done,) energy of conditional OT over the minimum
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame(
                {
                    "dimension": float(d),
                    "points": self.points[: total.size],
                    "log_points_over_dimension": np.log(self.points[: total.size]) / d,
                    "theta_total": total,
                    "standard_error": self.spread[d],
                    "energy_ratio": self.gain[d],
                }
            )
            for d, total in self.total.items()
        ]
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.summary


SETS = 3


@experiment(seconds=lambda **_: SETS * sum(_cone_seconds("finite set", n, d) for n in SIZES for d in DIMENSIONS))
def knowledge(*, seed: Seed = 0) -> Iterator[tuple[float, Knowledge]]:
    """Theta_tot of finite sets: at pi/2 conditional OT is optimal, and high dimension takes it there."""
    total: dict[int, list[float]] = {d: [] for d in DIMENSIONS}
    spread: dict[int, list[float]] = {d: [] for d in DIMENSIONS}
    gain: dict[int, list[float]] = {d: [] for d in DIMENSIONS}
    q = np.tan(np.minimum(angles(), np.pi / 2 - 1e-6))
    for at, n in enumerate(SIZES):
        for d in DIMENSIONS:
            cones = [cone(knowledge_of_points(np.random.default_rng([seed, n, d, r]), n, d, q)) for r in range(SETS)]
            each = np.array([c.total for c in cones])
            total[d].append(float(each.mean()))
            spread[d].append(float(each.std(ddof=1) / np.sqrt(SETS)))
            gain[d].append(float(np.mean([c.energy(*schedule("conditional OT", TIMES))[0] / c.least for c in cones])))
        summary: dict[str, float | str] = {f"Θ_tot at {n} points in {d} dimensions": total[d][-1] for d in (2, 128)}
        summary["conditional OT over the minimum, there"] = f"{gain[2][-1]:.2f} and {gain[128][-1]:.3f}"
        result = Knowledge(
            np.array(SIZES, dtype=float),
            {d: np.array(v) for d, v in total.items()},
            {d: np.array(v) for d, v in spread.items()},
            {d: np.array(v) for d, v in gain.items()},
            summary,
        )
        yield (at + 1) / len(SIZES), result


# --- steps ----------------------------------------------------------------------------------------------

NUMBERS = (1, 2, 4, 8, 16, 32, 64)
COMPARED = (0.0, 0.5, 0.98)


@dataclass(frozen=True)
class StepCurve(Result):
    """Error of Euler's method against its steps, for several couplings."""

    steps: Array  # (n_numbers,)
    error: dict[str, Array]  # coupling: (n_done,) W1
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return pl.concat(
            [pl.DataFrame({"coupling": name, "steps": self.steps[: e.size], "w1": e}) for name, e in self.error.items()]
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(seconds=lambda **_: 0.12)
def step_curve(*, data: Data = "two modes", rho: Rho = 0.9, data_scale: Scale = 1.0) -> Iterator[tuple[float, StepCurve]]:
    """W1 of Euler's endpoints to the data against steps, from 400 evenly placed starts: no sampling noise."""
    law = data_law(data, data_scale)
    level = (np.arange(N_JUDGED) + 0.5) / N_JUDGED
    sample, exact = ndtri(level)[::4], law.quantile(level)[::4]
    names = {f"ρ = {r:g}": r for r in COMPARED} | {f"chosen, ρ = {rho:g}": rho, "after a reflow, ρ = 1": 1.0}
    couplings = {name: couple(law, r) for name, r in names.items()}
    error: dict[str, list[float]] = {name: [] for name in names}
    for at, k in enumerate(NUMBERS):
        for name, pairs in couplings.items():
            error[name].append(float(np.maximum(np.mean(np.abs(np.sort(euler(pairs, sample, k)[-1]) - exact)), 1e-6)))
        chosen = error[f"chosen, ρ = {rho:g}"]
        summary: dict[str, float | str] = {
            "one step, chosen": chosen[0],
            "one step, independent": error["ρ = 0"][0],
            "one step, after a reflow": error["after a reflow, ρ = 1"][0],
        }
        if len(chosen) > 4 and chosen[-1] > 1e-5:
            summary["order of Euler, chosen"] = float(np.log2(chosen[-2] / chosen[-1]))
        found = {name: np.array(values) for name, values in error.items()}
        yield (at + 1) / len(NUMBERS), StepCurve(np.array(NUMBERS, dtype=float), found, summary)
