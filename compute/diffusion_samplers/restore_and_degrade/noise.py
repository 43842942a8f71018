r"""Samplers that restore a little and degrade a little less: paths, errors against the step, and what spoils them.

One step of Chen, Daras and Dimakis (paper 131), for dx = f dt + g dW with g^2 = 2 and a lookback l >= h:

    restore   x^ = x - l f(x) + l g^2 s(x),   s = grad log q_t
    degrade   x' = x^ + (l - h) f(x^) + g sqrt(l - h) z,   z = (x - x^ - l f(x^))/(g sqrt l)

To first order x' = x - h f + c g^2 s with c = l - sqrt(l (l - h)), which is h/2, the probability flow's, only as l/h grows;
and a long lookback costs terms of order h l where f is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.restore_and_degrade.forwards import HORIZON, Forward
from compute.diffusion_samplers.restore_and_degrade.setting import (
    FLOW,
    Array,
    LookbackRatio,
    Noise,
    ScoreError,
    StepSize,
    distance,
    drive,
    exact_flow,
    n_steps_of,
    reverse_sde,
    sample,
    start_of,
    target_of,
    total_variation,
)
from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.methods.shared_parameters import gathered
from compute.parameters import Seed

# --- one path ------------------------------------------------------------------------------------------------

N_ENDS = 1200
N_FAINT = 13
N_ZIGZAGS = 5  # on each of these paths
ZIGZAGGED = (1, 4, 8, 11)
N_MAP = 56
N_BINS = 45


@dataclass(frozen=True)
class Paths(Result):
    """Steps of a few particles over the density of the forward process, and where all of them end."""

    time: Array  # (n_map,) of the density map
    position: Array  # (n_map,)
    density: Array  # (n_position, n_time) of the first coordinate, its peak at each time 1
    path_time: Array  # (n_steps + 1,)
    paths: Array  # (n_faint, n_steps + 1) first coordinates
    chosen: NDArray[np.int64]  # (n_chosen,) those whose moves are drawn
    corner_time: Array  # (n_zigzags, 3) at a state, at its restoration, at the next state
    corner: Array  # (n_zigzags, 3)
    flow_time: Array  # (n_flow,)
    flow: Array  # (n_chosen, n_flow) the probability flow from the same starts
    center: Array  # (n_bins,)
    histogram: Array  # (n_bins,)
    exact: Array  # (n_bins,) mean density of the data over each bin
    drive: float
    w1: float
    w1_flow: float
    spread: float  # over that of the data
    order: str  # l against sqrt(h/2)

    def table(self) -> pl.DataFrame:
        ends = {"x": self.center, "density_of_samples": self.histogram, "density_of_data": self.exact}
        corners = {"corner_time": self.corner_time.ravel(), "corner_x": self.corner.ravel()}
        parts = [
            *(pl.DataFrame({"path": [k] * y.size, "time": self.path_time, "path_x": y}) for k, y in enumerate(self.paths)),
            pl.DataFrame(corners),
            *(
                pl.DataFrame({"path": [int(k)] * y.size, "flow_time": self.flow_time, "flow_x": y})
                for k, y in zip(self.chosen, self.flow, strict=True)
            ),
            pl.DataFrame(ends),
        ]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "drive c/h (probability flow 0.5)": self.drive,
            "W₁ of the samples to the data": self.w1,
            "W₁ of the flow's Euler steps": self.w1_flow,
            "spread over that of the data": self.spread,
            "lookback": self.order,
        }


@experiment
@gathered(Noise, "noise")
def paths(*, step_size: StepSize = 0.1, lookback_ratio: LookbackRatio = 4.0, score_error: ScoreError = 0.0, noise: Noise) -> Paths:
    """Steps of restoration and degradation on one path, and the law of where all paths end."""
    process = noise.process
    n_steps = n_steps_of(step_size)
    h = HORIZON / n_steps
    start = start_of(process, N_ENDS)
    rows = _spaced(start[:, 0], N_FAINT)
    seen = np.empty((3, n_steps, N_FAINT))

    def watch(k: int, before: Array, restored: Array, after: Array) -> None:
        for place, values in enumerate((before, restored, after)):
            seen[place, k] = values[rows, 0]

    ends = sample(process, start, n_steps, lookback_ratio, score_error, watch)
    followed = np.concatenate([seen[0], seen[2, -1:]]).T
    chosen = np.array(ZIGZAGGED)
    time: Array = HORIZON - h * np.arange(n_steps + 1.0)
    steps = np.unique(np.rint(np.linspace(0.05, 0.93, N_ZIGZAGS) * (n_steps - 1)).astype(int))
    back = np.maximum(np.minimum(lookback_ratio * h, time[steps]), h)
    corner_time = np.stack([time[steps], time[steps] - back, time[steps] - h], axis=1)

    reach = 0.5 * noise.separation + 3.2 * max(noise.width, 0.6)
    map_time = np.linspace(0.0, HORIZON, N_MAP)
    position = np.linspace(-reach, reach, N_MAP)
    density: Array = np.stack([process.marginal(position, t) for t in map_time], axis=1)
    flow = exact_flow(process, start[rows[chosen]], 60)[:, :, 0].T

    edges = np.linspace(-reach, reach, N_BINS + 1)
    bin_width = edges[1] - edges[0]
    law = process.data.project(np.eye(process.data.dimension)[0])
    euler = sample(process, start, n_steps, FLOW, score_error)
    spread = np.sqrt(np.trace(np.cov(ends.T).reshape(ends.shape[1], -1)) / np.trace(process.data.covariance))
    return Paths(
        map_time,
        position,
        density / density.max(axis=0),
        time,
        followed,
        chosen,
        np.tile(corner_time, (chosen.size, 1)),
        seen[:, steps][:, :, chosen].transpose(2, 1, 0).reshape(-1, 3),
        np.linspace(HORIZON, 0.0, 61),
        flow,
        0.5 * (edges[1:] + edges[:-1]),
        np.histogram(ends[:, 0], edges)[0].astype(float) / (N_ENDS * bin_width),
        np.diff(law.cdf(edges)) / bin_width,
        drive(lookback_ratio),
        float(distance(process, ends)),
        float(distance(process, euler)),
        float(spread),
        f"{lookback_ratio * h:.3g} of time, √(h/2) = {np.sqrt(h / 2):.3g}",
    )


def _spaced(x: Array, n: int) -> NDArray[np.int64]:
    """Indices of n values of x that are even in rank."""
    return np.argsort(x)[np.rint((np.arange(n) + 0.5) / n * x.size - 0.5).astype(int)]


def _size(process: Forward) -> int:
    """How many points a map takes."""
    return N_CELLS if process.data.dimension == 1 else N_FILL


N_CELLS = 100
N_FILL = 400  # a plane takes more to fill

# --- error against the step ------------------------------------------------------------------------------------

CURVE_STEPS = np.unique(np.rint(HORIZON / np.geomspace(0.2, 0.004, 10)).astype(int))
SDE_STEPS = CURVE_STEPS[CURVE_STEPS <= 100]
N_SDE, REPEATS = 800, 4
N_FLOOR = 20


@dataclass(frozen=True)
class StepCurve(Result):
    """Distance to the data against the step, for several lookbacks and two samplers without."""

    step: Array  # (n_steps,)
    errors: dict[str, Array]  # name: (n_steps,)
    plateaus: dict[str, float]  # of those whose l/h is fixed: W1 of the limiting flow
    sde_step: Array
    sde: Array
    sde_error: Array
    noise_floor: float  # of as many exact samples
    at_step: float
    at_error: float

    def order(self, name: str) -> float:
        """Slope of the error over the three smallest steps."""
        few = slice(-3, None)
        return float(np.polyfit(np.log(self.step[few]), np.log(np.maximum(self.errors[name][few], 1e-12)), 1)[0])

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"method": [name] * self.step.size, "step_size": self.step, "w1": w}) for name, w in self.errors.items()
        ]
        sde = {"method": ["reverse SDE"] * self.sde.size, "step_size": self.sde_step, "w1": self.sde}
        parts.append(pl.DataFrame(sde | {"standard_error": self.sde_error}))
        parts += [pl.DataFrame({"method": [f"{name}, h → 0"], "w1": [value]}) for name, value in self.plateaus.items()]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {"W₁ at this step and lookback": self.at_error}
        names = {
            "chosen l/h": "order at this l/h",
            "l = √(h/2)": "order at l = √(h/2)",
            "flow, Euler": "order of the flow's Euler steps",
        }
        found |= {label: self.order(name) for name, label in names.items()}
        return found | {"plateau of this l/h": self.plateaus["chosen l/h"]}


@experiment
@gathered(Noise, "noise")
def step_curve(
    *,
    step_size: StepSize = 0.1,
    lookback_ratio: LookbackRatio = 4.0,
    score_error: ScoreError = 0.0,
    noise: Noise,
    seed: Seed = 0,
) -> StepCurve:
    """W1 between samples and data against the step: fixed l/h, l = sqrt(h/2), the probability flow, the reverse SDE."""
    process = noise.process
    n = 2 * _size(process)
    start = start_of(process, n)

    def run(n_steps: int, ratios: list[float]) -> Array:
        states = np.tile(start, (len(ratios), 1))
        ends = sample(process, states, n_steps, np.repeat(ratios, n)[:, None], score_error)
        return distance(process, ends.reshape(len(ratios), n, -1))

    names = ("l = h", "l = 2h", "chosen l/h", "l = √(h/2)", "flow, Euler")
    rows = [run(int(k), [1.0, 2.0, lookback_ratio, best_ratio(HORIZON / k), FLOW]) for k in CURVE_STEPS]
    errors = dict(zip(names, np.array(rows).T, strict=True))
    fixed = {"l = h": 1.0, "l = 2h": 2.0, "chosen l/h": lookback_ratio}
    drives = np.repeat([drive(r) for r in fixed.values()], n)[:, None]
    limits = exact_flow(process, np.tile(start, (len(fixed), 1)), 100, drives, score_error)[-1]
    plateaus = dict(zip(fixed, distance(process, limits.reshape(len(fixed), n, -1)).tolist(), strict=True))

    rng = np.random.default_rng(seed)
    sde_target = target_of(process, N_SDE)
    law = start_of(process, N_SDE)
    simulated = np.empty((SDE_STEPS.size, REPEATS))
    for k, n_steps in enumerate(SDE_STEPS):
        ends = reverse_sde(process, np.tile(law, (REPEATS, 1)), int(n_steps), rng)
        simulated[k] = [sde_target.w1(one) for one in ends.reshape(REPEATS, N_SDE, -1)]
    at = n_steps_of(step_size)
    return StepCurve(
        HORIZON / CURVE_STEPS,
        errors,
        plateaus,
        HORIZON / SDE_STEPS,
        simulated.mean(axis=1),
        simulated.std(axis=1, ddof=1) / np.sqrt(REPEATS),
        sde_target.noise_floor(np.random.default_rng(12345), N_FLOOR)[0],
        HORIZON / at,
        float(run(at, [lookback_ratio])[0]),
    )


def best_ratio(h: float) -> float:
    """l/h of the lookback sqrt(h/2), which is best for the OU process at stationarity: 1 - h l/2 - h^2/(4 l) a step."""
    return max(1.0, np.sqrt(0.5 * h) / h)


# --- two maps ----------------------------------------------------------------------------------------------------

MAP_STEPS = np.unique(np.rint(HORIZON / np.geomspace(0.2, 0.004, 13)).astype(int))[::-1]
MAP_RATIOS = np.geomspace(1.0, 100.0, 15)
MAP_ERRORS = np.linspace(0.0, 0.5, 13)


@dataclass(frozen=True)
class LookbackMap(Result):
    """Distance to the data over step and lookback."""

    step: Array  # (n_steps,) rising
    ratio: Array  # (n_ratios,)
    w1: Array  # (n_ratios, n_steps)
    best: Array  # (n_steps,) measured
    rule: Array  # (n_steps,) l = sqrt(h/2)
    at: float

    def table(self) -> pl.DataFrame:
        best = {"step_size": self.step, "best_lookback_ratio": self.best, "rule_lookback_ratio": self.rule}
        log = np.log10(self.w1)
        return pl.concat(
            [grid_table("step_size", self.step, "lookback_ratio", self.ratio, w1=self.w1, log10_w1=log), pl.DataFrame(best)],
            how="diagonal",
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ here": self.at,
            "best l/h at the smallest step": float(self.best[0]),
            "√(h/2)/h there": float(self.rule[0]),
            "least W₁ on the map": float(self.w1.min()),
        }


@experiment
@gathered(Noise, "noise")
def lookback_map(
    *, step_size: StepSize = 0.1, lookback_ratio: LookbackRatio = 4.0, score_error: ScoreError = 0.0, noise: Noise
) -> LookbackMap:
    """W1 between samples and data over the step and the lookback."""
    process = noise.process
    n = _size(process)
    start = start_of(process, n)
    ratios = np.repeat(MAP_RATIOS, n)[:, None]
    states = np.tile(start, (MAP_RATIOS.size, 1))
    w1 = np.empty((MAP_RATIOS.size, MAP_STEPS.size))
    for k, n_steps in enumerate(MAP_STEPS):
        ends = sample(process, states, int(n_steps), ratios, score_error)
        w1[:, k] = distance(process, ends.reshape(MAP_RATIOS.size, n, -1))
    step = HORIZON / MAP_STEPS
    here = float(distance(process, sample(process, start, n_steps_of(step_size), lookback_ratio, score_error)))
    rule = np.array([best_ratio(h) for h in step])
    return LookbackMap(step, MAP_RATIOS, w1, MAP_RATIOS[w1.argmin(axis=0)], rule, here)


@dataclass(frozen=True)
class ErrorMap(Result):
    """Total variation distance to the data over the step and the error of the score."""

    step: Array  # (n_steps,) rising
    score_error: Array  # (n_errors,)
    tv: Array  # (n_errors, n_steps)
    alone: Array  # (n_errors,) of the flow without steps, with the score's error
    balance: Array  # (n_balance,) steps at which both alone cost as much
    balance_error: Array  # (n_balance,)
    at: float

    def table(self) -> pl.DataFrame:
        line = pl.DataFrame({"balance_step_size": self.balance, "balance_score_error": self.balance_error})
        return pl.concat(
            [grid_table("step_size", self.step, "score_error", self.score_error, total_variation=self.tv), line], how="diagonal"
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "TV here": self.at,
            "TV of an error of 0.5 in exact flow": float(self.alone[-1]),
            "TV of the largest step alone": float(self.tv[0, -1]),
        }


@experiment
@gathered(Noise, "noise")
def error_map(
    *, step_size: StepSize = 0.1, lookback_ratio: LookbackRatio = 4.0, score_error: ScoreError = 0.0, noise: Noise
) -> ErrorMap:
    """Total variation between samples and data over the step and the error of the score."""
    process = noise.process
    n = _size(process)
    start = start_of(process, n)
    states, wrong = np.tile(start, (MAP_ERRORS.size, 1)), np.repeat(MAP_ERRORS, n)[:, None]
    tv = np.empty((MAP_ERRORS.size, MAP_STEPS.size))
    for k, n_steps in enumerate(MAP_STEPS):
        ends = sample(process, states, int(n_steps), lookback_ratio, wrong)[:, 0]
        tv[:, k] = total_variation(ends.reshape(MAP_ERRORS.size, n), process)
    alone = total_variation(exact_flow(process, states, 60, 0.5, wrong)[-1][:, 0].reshape(MAP_ERRORS.size, n), process)
    step = HORIZON / MAP_STEPS
    # Both curves rise, but for wiggles that a running maximum takes out.
    by_step, by_error = np.maximum.accumulate(tv[0]), np.maximum.accumulate(alone)
    levels = np.linspace(max(by_step[0], by_error[0]), min(by_step[-1], by_error[-1]), 20)
    balance = np.exp(np.interp(levels, by_step, np.log(step))) if levels[-1] > levels[0] else np.empty(0)
    balance_error = np.interp(levels, by_error, MAP_ERRORS) if levels[-1] > levels[0] else np.empty(0)
    here = sample(process, start, n_steps_of(step_size), lookback_ratio, score_error)[:, 0]
    return ErrorMap(step, MAP_ERRORS, tv, alone, balance, balance_error, float(total_variation(here, process)))
