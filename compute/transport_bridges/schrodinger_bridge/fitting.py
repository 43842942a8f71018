"""Proportional against Markovian fitting: paths, plans and divergences by iteration, and which of the two is faster where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.methods.shared_parameters import gathered
from compute.parameters import Seed
from compute.transport_bridges.schrodinger_bridge.gaussian import (
    bridge,
    bridge_covariance,
    markovian_fitting,
    markovian_rate,
    markovian_rates,
    proportional_fitting,
    proportional_rate,
)
from compute.transport_bridges.schrodinger_bridge.grid import (
    Walk,
    divergence,
    exact_plan,
    markovian_steps,
    proportional_steps,
)
from compute.transport_bridges.schrodinger_bridge.setting import (
    Coupling,
    Epsilon,
    Gap,
    InnerTimes,
    Iterations,
    LinePair,
    ScaleRatio,
    StartNoise,
    first_correlation,
    first_plan,
    line_laws,
    line_walk,
)

Array = NDArray[np.float64]

LEAST_KL = 1e-12  # below it rounding speaks
N_PATHS = 60


@dataclass(frozen=True)
class OnLine:
    """A pair of laws on the line, and how the bridge between them is fitted."""

    pair: LinePair = "Gaussians"
    epsilon: Epsilon = 1.0
    scale_ratio: ScaleRatio = 2.0
    gap: Gap = 1.0
    inner_times: InnerTimes = 5
    iterations: Iterations = 12
    coupling: Coupling = "independent"

    @cached_property
    def laws(self) -> tuple[Array, Array, Array]:
        """Grid, start and end."""
        return line_laws(self.pair, self.scale_ratio, self.gap)

    @cached_property
    def reference(self) -> Walk:
        return line_walk(self.laws[0], self.epsilon, self.inner_times)

    @cached_property
    def target(self) -> Array:
        """The bridge's plan, exact."""
        return exact_plan(self.reference, *self.laws[1:])

    def noised(self, factor: float) -> Walk:
        """The reference with its noise multiplied."""
        return self.reference if factor == 1 else line_walk(self.laws[0], self.epsilon * factor, self.inner_times)


def _grid_seconds(inner_times: int, iterations: int, **_: object) -> float:
    return 0.02 + 2e-4 * (inner_times + 1) + 4e-4 * (inner_times + 1) * iterations


def _cut(values: list[float]) -> Array:
    """Divergences for a log axis."""
    return np.maximum(np.array(values), LEAST_KL)


def measured_rate(values: Array, power: float) -> float | None:
    """Factor per iteration on the plan's error: divergences fall as its square, so ``power`` is 2."""
    sound = values[(values > 100 * LEAST_KL) & np.isfinite(values)]
    if sound.size < 3:
        return None
    tail = sound[-min(4, sound.size - 1) :]
    return float((tail[-1] / tail[0]) ** (1 / (power * (tail.size - 1))))


# --- the race -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Race(Result):
    """KL divergence of the plan from the bridge, iteration by iteration."""

    iteration: Array  # (n_iterations + 1,)
    theory: dict[str, Array]  # Gaussian recursions, where the pair is Gaussian; each (n_iterations + 1,)
    grid: dict[str, Array]  # the same on the grid, cut at 1e-12; as far as computed
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"method": name, "kind": kind, "iteration": self.iteration[: values.size], "divergence_nats": values})
            for kind, curves in (("Gaussian recursion", self.theory), ("grid", self.grid))
            for name, values in curves.items()
        ]
        return pl.concat(parts).with_columns(pl.when(pl.col("divergence_nats").is_finite()).then(pl.col("divergence_nats")))

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(seconds=lambda **values: 2 * _grid_seconds(**values))
@gathered(OnLine, "line")
def race(
    *,
    line: OnLine,
    start_noise: StartNoise = 1.0,
) -> Iterator[tuple[float, Race]]:
    """Divergence from the bridge against iterations, of both fittings, on the grid and, between Gaussians, in closed form."""
    _, p, q = line.laws
    epsilon, scale_ratio, gap, inner_times, iterations = line.epsilon, line.scale_ratio, line.gap, line.inner_times, line.iterations
    names = ("proportional", f"Markovian, N = {inner_times}")
    theory: dict[str, Array] = {}
    summary: dict[str, float | str] = {}
    if line.pair == "Gaussians":
        ends = bridge(1.0, scale_ratio, epsilon, gap)
        fitted = proportional_fitting(1.0, scale_ratio, epsilon * start_noise, iterations, gap)
        theory[names[0]] = _cut([plan.divergence(ends) for plan in fitted])
        for n, name in ((inner_times, names[1]), (None, "Markovian, N → ∞")):
            plans = markovian_fitting(1.0, scale_ratio, epsilon, n, iterations, first_correlation(line.coupling), gap)
            theory[name] = _cut([plan.divergence(ends) for plan in plans])
        summary["ρ* of the bridge"] = ends.correlation
        if start_noise != 1:
            summary["ρ where proportional fitting ends"] = bridge(1.0, scale_ratio, epsilon * start_noise, gap).correlation
        summary["rate, proportional, theory"] = proportional_rate(1.0, scale_ratio, epsilon, gap > 0)
        summary[f"rate, Markovian N = {inner_times}, theory"] = markovian_rate(1.0, scale_ratio, epsilon, inner_times)
    runs = zip(
        proportional_steps(line.noised(start_noise), p, q, iterations),
        markovian_steps(line.reference, first_plan(line.coupling, p, q), iterations),
        strict=True,
    )
    found: dict[str, list[float]] = {name: [] for name in names}
    for k, plans_now in enumerate(runs):
        for name, plan in zip(names, plans_now, strict=True):
            found[name].append(divergence(plan, line.target))
        if k == iterations or k % 5 == 0:
            grid = {name: _cut(values) for name, values in found.items()}
            rates = {f"rate, {name}, measured": measured_rate(values, 2) for name, values in grid.items()}
            if start_noise != 1:
                rates.pop(f"rate, {names[0]}, measured")
            told: dict[str, float | str] = {name: rate for name, rate in rates.items() if rate is not None}
            told_last: dict[str, float | str] = {f"KL at the end, {name}": float(values[-1]) for name, values in grid.items()}
            yield (k + 1) / (iterations + 1), Race(np.arange(iterations + 1.0), theory, grid, summary | told | told_last)


# --- the map --------------------------------------------------------------------------------------------

EPSILONS = np.geomspace(0.01, 10, 49)
TIMES = np.arange(1, 51)


@dataclass(frozen=True)
class SpeedMap(Result):
    """How much faster one fitting is than the other."""

    epsilon: Array  # (n_epsilon,)
    inner_times: Array  # (n_times,)
    advantage: Array  # (n_times, n_epsilon) log2 of log rate, Markovian over proportional
    tie: Array  # (n_epsilon,) inner times where they tie; NaN where none
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        plane = grid_table("epsilon", self.epsilon, "inner_times", self.inner_times, log2_speed_ratio=self.advantage)
        here = np.isfinite(self.tie)
        line = pl.DataFrame({"epsilon": self.epsilon[here], "inner_times": self.tie[here]})
        return pl.concat([plane.with_columns(what=pl.lit("map")), line.with_columns(what=pl.lit("tie"))], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def speed_map(*, epsilon: Epsilon = 1.0, inner_times: InnerTimes = 5, scale_ratio: ScaleRatio = 2.0, gap: Gap = 1.0) -> SpeedMap:
    """Ratio of digits gained per iteration, Markovian over proportional fitting, between Gaussians; exact."""
    rate_p = np.array([proportional_rate(1.0, scale_ratio, e, gap > 0) for e in EPSILONS])
    rate_m = np.array([markovian_rates(1.0, scale_ratio, EPSILONS, int(n)) for n in TIMES])
    advantage = np.log2(np.log(rate_m) / np.log(rate_p))
    tie = np.full(EPSILONS.size, np.nan)
    for j, column in enumerate(advantage.T):
        crossing = np.flatnonzero(np.diff(np.sign(column)) != 0)
        if crossing.size:
            i = crossing[0]
            tie[j] = TIMES[i] - column[i] / (column[i + 1] - column[i])
    here = (
        proportional_rate(1.0, scale_ratio, epsilon, gap > 0),
        markovian_rate(1.0, scale_ratio, epsilon, inner_times),
        markovian_rate(1.0, scale_ratio, epsilon, None),
    )
    summary: dict[str, float | str] = {
        "rate, proportional": here[0],
        f"rate, Markovian N = {inner_times}": here[1],
        "rate, Markovian N → ∞": here[2],
        "faster here": "Markovian" if here[1] < here[0] else "proportional",
        "ρ*": bridge_covariance(1.0, scale_ratio, epsilon) / scale_ratio,
    }
    return SpeedMap(EPSILONS, TIMES.astype(float), advantage, tie, summary)


# --- paths by iteration ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bundle(Result):
    """The same particles' paths after each iteration of Markovian fitting."""

    time: Array  # (N + 2,)
    paths: Array  # (n_iterations + 1, n_paths, N + 2)
    divergence: Array  # (n_iterations + 1,) from the bridge
    law_x: Array  # (n_grid,)
    laws: Array  # (2, n_grid) of start and end, each at most 1
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        index = np.indices(self.paths.shape).reshape(3, -1)
        flat = pl.DataFrame(
            {
                "iteration": index[0].astype(float),
                "particle": index[1],
                "time": self.time[index[2]],
                "x": self.paths.ravel(),
            }
        )
        curve = pl.DataFrame({"iteration": np.arange(float(self.divergence.size)), "divergence_nats": self.divergence})
        return pl.concat([flat, curve], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _uncut(cumulative: Array, u: Array, x: Array) -> Array:
    """Draws from rows of distribution functions (n, n_grid) by uniforms (n,), spread within a cell."""
    at = np.minimum((cumulative < u[:, None]).sum(axis=1), x.size - 1)
    above = np.take_along_axis(cumulative, at[:, None], axis=1)[:, 0]
    below = np.where(at > 0, np.take_along_axis(cumulative, np.maximum(at - 1, 0)[:, None], axis=1)[:, 0], 0.0)
    return np.asarray(x[at] + (x[1] - x[0]) * ((u - below) / np.maximum(above - below, 1e-300) - 0.5))


def bridge_paths(reference: Walk, plan: Array, uniforms: Array) -> Array:
    """(n_paths, N + 2) of a plan filled in by the walk's bridges, from uniforms (n_paths, N + 2)."""
    x, powers = reference.x, reference.powers
    last = powers.shape[0] - 1
    n = uniforms.shape[0]
    marginal = np.cumsum(plan.sum(axis=1))
    start = _uncut(np.broadcast_to(marginal / marginal[-1], (n, x.size)), uniforms[:, 0], x)
    row = np.clip(np.rint((start - x[0]) / (x[1] - x[0])).astype(int), 0, x.size - 1)
    conditional = np.cumsum(plan[row], axis=1)
    end = _uncut(conditional / conditional[:, -1:], uniforms[:, -1], x)
    column = np.clip(np.rint((end - x[0]) / (x[1] - x[0])).astype(int), 0, x.size - 1)
    paths = np.empty((n, last + 1))
    paths[:, 0], paths[:, -1] = start, end
    for i in range(1, last):
        # Given where it is and where it will end.
        weight = np.cumsum(powers[1][row] * powers[last - i][:, column].T, axis=1)
        paths[:, i] = _uncut(weight / np.maximum(weight[:, -1:], 1e-300), uniforms[:, i], x)
        row = np.clip(np.rint((paths[:, i] - x[0]) / (x[1] - x[0])).astype(int), 0, x.size - 1)
    return paths


@experiment(seconds=lambda seed, **values: _grid_seconds(**values) + 6e-4 * values["iterations"] * (values["inner_times"] + 1))
@gathered(OnLine, "line")
def bundle(
    *,
    line: OnLine,
    seed: Seed = 0,
) -> Iterator[tuple[float, Bundle]]:
    """Paths of the same particles after each iteration of Markovian fitting, by fixed uniforms."""
    x, p, q = line.laws
    reference, target, inner_times, iterations = line.reference, line.target, line.inner_times, line.iterations
    rng = np.random.default_rng(seed)
    uniforms = rng.random((N_PATHS, inner_times + 2))
    uniforms[:, 0] = (np.arange(N_PATHS) + 0.5) / N_PATHS
    laws = np.stack([p / p.max(), q / q.max()])
    paths, values = [], []
    for k, plan in enumerate(markovian_steps(reference, first_plan(line.coupling, p, q), iterations)):
        paths.append(bridge_paths(reference, plan, uniforms))
        values.append(divergence(plan, target))
        if k == iterations or k % 10 == 9:
            cut = _cut(values)
            both = np.stack([p @ x, q @ x])
            cross = float(x @ plan @ x) - both[0] * both[1]
            deviation = [float(np.sqrt(law @ x**2 - m**2)) for law, m in zip((p, q), both, strict=True)]
            exact = float(x @ target @ x) - both[0] * both[1]
            summary: dict[str, float | str] = {
                "ρ of the plan": float(cross / (deviation[0] * deviation[1])),
                "ρ of the bridge": float(exact / (deviation[0] * deviation[1])),
                "KL from the bridge, nats": float(cut[-1]),
                "largest error of the end's law": float(np.abs(plan.sum(axis=0) - q).max()),
            }
            rate = measured_rate(cut, 2)
            if rate is not None:
                summary["rate, measured"] = rate
            time = np.linspace(0, 1, inner_times + 2)
            yield (k + 1) / (iterations + 1), Bundle(time, np.array(paths), cut, x, laws, summary)


# --- plans ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plans(Result):
    """Plans of both fittings after some iterations, beside the exact one."""

    x: Array  # (n_grid,)
    plans: dict[str, Array]  # each (n_grid, n_grid), density over its maximum in the exact plan
    divergence: dict[str, float]  # from the bridge, nats
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        columns = {name: plan.T for name, plan in self.plans.items()}
        return grid_table("start", self.x, "end", self.x, **columns)

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(seconds=_grid_seconds)
@gathered(OnLine, "line")
def plans(
    *,
    line: OnLine,
    start_noise: StartNoise = 1.0,
) -> Iterator[tuple[float, Plans]]:
    """Plan of start and end after the iterations: proportional, exact and Markovian."""
    x, p, q = line.laws
    target, iterations = line.target, line.iterations
    *_, proportional = proportional_steps(line.noised(start_noise), p, q, iterations)
    top = target.max()
    for k, markovian in enumerate(markovian_steps(line.reference, first_plan(line.coupling, p, q), iterations)):
        if k < iterations and k % 20:
            continue
        shown = {"proportional fitting": proportional, "the bridge": target, "Markovian fitting": markovian}
        kl = {name: float(_cut([divergence(plan, target)])[0]) for name, plan in shown.items()}
        summary: dict[str, float | str] = {
            "KL, proportional": kl["proportional fitting"],
            "KL, Markovian": kl["Markovian fitting"],
            "total variation, proportional": 0.5 * float(np.abs(proportional - target).sum()),
            "total variation, Markovian": 0.5 * float(np.abs(markovian - target).sum()),
        }
        yield (k + 1) / (iterations + 1), Plans(x, {name: plan / top for name, plan in shown.items()}, kl, summary)
