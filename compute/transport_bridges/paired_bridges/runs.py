r"""From one input to its answers: paths, errors against evaluations, and where the first step should land.

The denoiser is exact. Of deterministic runs the boot noise is at the mid-quantiles of the normal law, so that the law of
their outputs is known without sampling noise: on the line the flow keeps the order, u(s) = Q_s(F_{s_1}(u(s_1))), which is
also the exact limit of many steps, with the boot's own error left in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.experiment import Result, experiment
from compute.methods.bridge_sampler import boot, run
from compute.methods.distance_to_target import Target
from compute.methods.shared_parameters import gathered
from compute.parameters import Seed
from compute.transport_bridges.paired_bridges.setting import BootNoise, Eta, Order, Paired, Steps, paired
from compute.transport_bridges.paired_bridges.setting import Setting as Continuous

Array = NDArray[np.float64]

N_PARTICLES, N_PATHS, N_BINS = 1000, 44, 48
MAP_TIMES, MAP_STATES = 61, 70
CURVE_STEPS = np.array([2, 3, 4, 6, 8, 12, 16, 32, 64, 128])
N_QUANTILES, N_RANDOM = 601, 3000
BOOT_GAPS = np.geomspace(0.001, 0.5, 15)  # 1 - t of the boot step
BOOT_STEPS = (5, 10, 20, 50)
N_BOOT_QUANTILES = 301


def outputs(pair: Paired, u: Array, n: int, order: int, eta: float, rng: np.random.Generator) -> list[Array]:
    """States at every level of a run of n evaluations, then the last evaluation itself."""
    states = run(pair.answers.denoise, u, pair.levels(n), order=order, eta=eta, rng=rng)
    return [*states, pair.answers.denoise(states[-1], float(pair.levels(n)[-1]))]


def quantile_noise(n: int) -> Array:
    """(n, 1) mid-quantiles of the normal law."""
    return ndtri((np.arange(n) + 0.5) / n)[:, None]


def exact_flow(pair: Paired, u: Array, level: float) -> Array:
    """(n, 1) states at a lower level of the exact deterministic bridge that is at u at the boot's level."""
    labels = pair.answers.noised(pair.first).cdf(u[:, 0])
    return pair.answers.noised(level).quantile(np.clip(labels, 1e-15, 1 - 1e-15))[:, None]


@dataclass(frozen=True)
class Fan(Result):
    """Paths from one input, and the law of their ends."""

    time: Array  # (n_levels,) falling from 1 to 0
    paths: Array  # (n_paths, n_levels)
    upper: NDArray[np.bool_]  # (n_paths,) whether a path ends in the upper answer
    map_time: Array
    map_state: Array
    law: Array  # (n_states, n_times) density of x_t given x_T, over its maximum
    x: Array  # (n_states,) of the last panel
    density: Array  # (n_states,) of x_0 given x_T
    bins: Array  # (n_bins,) middles
    histogram: Array  # (n_bins,) density of the ends
    w1: float
    floor: float
    spread: float  # variance of the ends over that of the answers
    spread_error: float

    def table(self) -> pl.DataFrame:
        n = self.time.size
        paths = {
            "path": np.repeat(np.arange(len(self.paths)), n),
            "t": np.tile(self.time, len(self.paths)),
            "x": self.paths.ravel(),
        }
        time, state = np.meshgrid(self.map_time, self.map_state)
        frames = [
            pl.DataFrame(paths),
            pl.DataFrame({"t": time.ravel(), "x": state.ravel(), "law_over_maximum": self.law.ravel()}),
            pl.DataFrame({"x": self.x, "density_given_input": self.density}),
            pl.DataFrame({"x": self.bins, "density_of_ends": self.histogram}),
        ]
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "W1 to the law given the input": self.w1,
            "noise floor": self.floor,
            "variance of the ends ÷ exact": self.spread,
            "its distance from 1, SE": abs(self.spread - 1) / self.spread_error if self.spread_error > 0 else "no spread at all",
        }


@experiment
@gathered(Continuous, "setting")
def fan(
    *,
    steps: Steps = 10,
    order: Order = 2,
    eta: Eta = 0.0,
    boot_noise: BootNoise = True,
    setting: Continuous,
    seed: Seed = 0,
) -> Fan:
    """Run the bridge from one input many times.

    Without boot noise and with eta 0 every run is the same: a single answer, wherever the average input leads.
    """
    rng = np.random.default_rng(seed)
    pair = paired(setting)
    z = rng.standard_normal((N_PARTICLES, 1)) if boot_noise else np.zeros((N_PARTICLES, 1))
    states = outputs(pair, boot(pair.mean, pair.first, z), steps, order, eta, rng)
    levels = pair.levels(steps)
    time = np.concatenate([[1.0], pair.bridge.time(levels), [0.0]])
    a, b, _ = pair.bridge.coefficients(time[1:])
    u = np.concatenate([s[:N_PATHS] for s in states], axis=1)
    paths = np.concatenate([np.full((N_PATHS, 1), pair.x_input), a * pair.x_input + b * u], axis=1)
    ends = states[-1]
    target = Target(pair.answers, N_PARTICLES)
    deviation = np.sqrt(pair.answers.covariance[0, 0])
    low = min(float(pair.answers.means.min()) - 4 * pair.answers.width, float(paths.min()) - 0.1)
    high = max(float(pair.answers.means.max()) + 4 * pair.answers.width, float(paths.max()) + 0.1)
    map_time, map_state = np.linspace(0.0, 1.0, MAP_TIMES), np.linspace(low, high, MAP_STATES)
    law = np.array([_density(pair, float(t), map_state) for t in map_time[:-1]])
    law = np.concatenate([law, [np.where(np.abs(map_state - pair.x_input) < map_state[1] - map_state[0], 1.0, 0.0)]])
    histogram, edges = np.histogram(ends[:, 0], bins=N_BINS, range=(low, high), density=True)
    x = np.linspace(low, high, 200)
    centered = (ends[:, 0] - ends.mean()) ** 2
    return Fan(
        time=time,
        paths=paths,
        upper=paths[:, -1] > pair.answers.means.mean(),
        map_time=map_time,
        map_state=map_state,
        law=(law / law.max(axis=1, keepdims=True)).T,
        x=x,
        density=pair.answers.pdf(x),
        bins=0.5 * (edges[1:] + edges[:-1]),
        histogram=histogram,
        w1=target.w1(ends),
        floor=target.noise_floor(np.random.default_rng(1), 8)[0],
        spread=float(centered.mean() / deviation**2),
        spread_error=float(centered.std(ddof=1) / deviation**2 / np.sqrt(N_PARTICLES)),
    )


def _density(pair: Paired, t: float, x: Array) -> Array:
    """Of x_t given x_T."""
    a, b, c = (float(k) for k in pair.bridge.coefficients(np.array(t)))
    at = (x - a * pair.x_input) / b
    return pair.answers.noised(c / b).pdf(at) / b


@dataclass(frozen=True)
class Evaluations(Result):
    """Errors of the bridge's samplers against evaluations."""

    n: NDArray[np.int64]  # (n_points,)
    step_error: dict[int, Array]  # by order: (n_points,) mean distance from the exact deterministic bridge, same boot noise
    slopes: dict[int, float]
    w1: dict[str, Array]  # by sampler: (n_points,) W1 to the law of the answers
    limit: float  # W1 of the exact deterministic bridge: what the boot step leaves
    floor: float  # of random runs
    eta: float

    def table(self) -> pl.DataFrame:
        columns = {f"step_error_order_{k}": v for k, v in self.step_error.items()} | {f"w1_{k}": v for k, v in self.w1.items()}
        return pl.DataFrame({"evaluations": self.n, **columns}).with_columns(w1_boot_limit=self.limit, noise_floor=self.floor)

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {f"slope, order {k}": v for k, v in self.slopes.items()}
        good = np.flatnonzero(self.w1["order 2"] < 2 * self.limit)
        shown["evaluations to twice the boot's error, order 2"] = float(self.n[good[0]]) if good.size else f"> {self.n[-1]}"
        return shown | {"W1 left by the boot step": self.limit, "W1 without boot noise": float(self.w1["no boot noise"][-1])}


@experiment
@gathered(Continuous, "setting")
def evaluations(*, eta: Eta = 0.0, setting: Continuous, seed: Seed = 0) -> Evaluations:
    r"""Error against evaluations: of the steps, and of the outputs' law.

    The step error compares each deterministic path with the exact one, at the level before the last evaluation. The law's
    error is W1 to x_0 given x_T; of stochastic runs it cannot fall below the noise floor of their number.
    """
    rng = np.random.default_rng(seed)
    pair = paired(setting)
    z = quantile_noise(N_QUANTILES)
    start = boot(pair.mean, pair.first, z)
    exact = exact_flow(pair, start, pair.last)
    target, noisy = Target(pair.answers, N_QUANTILES), Target(pair.answers, N_RANDOM)
    noise = rng.standard_normal((N_RANDOM, 1))
    # At eta 0 there is no noise to average: the Markov bridge stands in for it.
    chosen = eta if eta > 0 else 1.0
    names = [*(f"order {k}" for k in (1, 2, 3)), f"eta {chosen:.2g}", "no boot noise"]
    step_error: dict[int, list[float]] = {1: [], 2: [], 3: []}
    w1: dict[str, list[float]] = {name: [] for name in names}
    for n in CURVE_STEPS:
        for order in (1, 2, 3):
            states = outputs(pair, start, int(n), order, 0.0, rng)
            if n > 2:
                step_error[order].append(float(np.mean(np.abs(states[-2] - exact))))
            w1[f"order {order}"].append(target.w1(states[-1]))
        random = outputs(pair, boot(pair.mean, pair.first, noise), int(n), 1, chosen, rng)[-1]
        w1[names[3]].append(noisy.w1(random))
        single = outputs(pair, boot(pair.mean, pair.first, np.zeros((1, 1))), int(n), 2, 0.0, rng)[-1]
        w1[names[4]].append(target.w1(np.repeat(single, N_QUANTILES, axis=0)))
    late = CURVE_STEPS[1:] >= 16
    errors = {k: np.array(v) for k, v in step_error.items()}
    slopes = {k: float(np.polyfit(np.log(CURVE_STEPS[1:][late]), np.log(e[late]), 1)[0]) for k, e in errors.items()}
    return Evaluations(
        n=CURVE_STEPS,
        step_error={k: np.concatenate([[np.mean(np.abs(start - exact))], e]) for k, e in errors.items()},
        slopes=slopes,
        w1={name: np.array(values) for name, values in w1.items()},
        limit=target.w1(exact_flow(pair, start, 1e-6)),
        floor=noisy.noise_floor(np.random.default_rng(1), 10)[0],
        eta=chosen,
    )


@dataclass(frozen=True)
class Booting(Result):
    """W1 against where the boot step lands."""

    gap: Array  # (n_gaps,) 1 - t_1
    w1: dict[int, Array]  # by evaluations: (n_gaps,)
    limit: Array  # (n_gaps,) of infinitely many steps
    best: dict[int, float]  # by evaluations: the best boot time
    boot_time: float

    def table(self) -> pl.DataFrame:
        columns = {f"w1_{n}_evaluations": values for n, values in self.w1.items()}
        return pl.DataFrame({"one_minus_boot_time": self.gap, **columns, "w1_limit": self.limit})

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {f"best boot time, {n} evaluations": t for n, t in self.best.items()}
        near = int(np.argmin(np.abs(self.gap - (1 - self.boot_time))))
        return shown | {f"W1 left by booting at {1 - self.gap[near]:.3g}": float(self.limit[near])}


@experiment
@gathered(Continuous, "setting")
def booting(*, order: Order = 2, setting: Continuous) -> Booting:
    r"""W1 to the answers' law against the time of the first step, deterministic steps after it.

    The boot step takes the answer's mean for the answer and draws only the bridge's noise, which is right to the first order in
    1 - t_1: an error that no number of later steps takes back. Booting late makes that small and the way down long.
    """
    w1: dict[int, list[float]] = {n: [] for n in BOOT_STEPS}
    limit = []
    z = quantile_noise(N_BOOT_QUANTILES)
    rng = np.random.default_rng(0)  # deterministic runs draw nothing from it
    pair = paired(setting)
    target = Target(pair.answers, N_BOOT_QUANTILES)
    for gap in BOOT_GAPS:
        first = float(pair.bridge.level(np.array(1 - gap)))
        here = Paired(pair.bridge, pair.answers, pair.x_input, first, pair.last)
        start = boot(pair.mean, first, z)
        for n in BOOT_STEPS:
            w1[n].append(target.w1(outputs(here, start, n, order, 0.0, rng)[-1]))
        limit.append(target.w1(exact_flow(here, start, 1e-6)))
    errors = {n: np.array(values) for n, values in w1.items()}
    return Booting(
        gap=BOOT_GAPS,
        w1=errors,
        limit=np.array(limit),
        best={n: float(1 - BOOT_GAPS[values.argmin()]) for n, values in errors.items()},
        boot_time=setting.boot_time,
    )
