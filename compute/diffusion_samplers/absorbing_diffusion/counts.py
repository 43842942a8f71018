r"""Blackout diffusion of one count: its law over time, births from black, and the error of four samplers (184)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit

from compute.diffusion_samplers.absorbing_diffusion.births import SAMPLERS, output_laws, posterior_mean, reverse_kernel
from compute.experiment import Result, experiment
from compute.parameters import Choice, Column, Dataset, Integer, LogInteger, ParameterError, Real, Seed

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST = 255
COUNT_LAWS = ("bimodal", "Zipf", "uniform", "two spikes")
GRIDS = ("uniform survival", "uniform time", "logit survival")

MaxCount = Annotated[int, Integer("largest count", r"M", low=5, high=MOST, help="Gray levels of a pixel less one, say.")]
ReverseSteps = Annotated[int, LogInteger("reverse steps of a count", r"n", low=1, high=500)]
CountLaw = Annotated[str, Choice("law of counts", options=COUNT_LAWS)]
FinalTime = Annotated[float, Real("final time", r"T", low=1.0, high=15.0, help="Reversal starts here, from black.")]
Grid = Annotated[str, Choice("time grid", options=GRIDS, help="In what the steps are equal: e^-t, t, or log-odds of e^-t.")]
Counts = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your counts",
        help="Whole numbers from 0 to 255, one a row; they take the place of the law.",
        columns=[Column("count", "a whole number", low=0, high=MOST)],
        template="count\n" + "\n".join(str(k) for k in (0, 3, 4, 4, 5, 7, 18, 19, 20, 21, 21, 25)),
    ),
]

LEVELS = 60  # of the film, evenly in survival
N_PATHS = 14
CURVE_STEPS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256])
GOOD = 0.01


def law_of(count_law: str, max_count: int, counts: pl.DataFrame | None) -> tuple[Array, int, int]:
    """Law on 0..M, the number of counts it was estimated from (0: known), and how many rows were no whole numbers."""
    if counts is not None:
        values = counts["count"].to_numpy()
        whole = values == np.rint(values)
        if not whole.any():
            raise ParameterError("counts", "holds no whole number from 0 to 255.")
        frequency = np.bincount(values[whole].astype(np.int64), minlength=6).astype(float)
        return frequency / frequency.sum(), int(whole.sum()), int((~whole).sum())
    o = np.arange(max_count + 1.0)
    x = o / max_count
    weights = {
        "bimodal": np.exp(-0.5 * ((x - 0.25) / 0.07) ** 2) + 0.7 * np.exp(-0.5 * ((x - 0.8) / 0.07) ** 2),
        "Zipf": 1 / (o + 1),
        "uniform": np.ones_like(o),
        "two spikes": 1.0 * (o == round(0.3 * max_count)) + 1.0 * (o == max_count),
    }[count_law]
    return weights / weights.sum(), 0, 0


def levels_of(grid: str, final_time: float, n: int) -> Array:
    """(n + 1,) survival probabilities from e^-T up to 1."""
    low = np.exp(-final_time)
    if grid == "uniform time":
        return np.exp(-np.linspace(final_time, 0.0, n + 1))
    if grid == "uniform survival":
        return np.linspace(low, 1.0, n + 1)
    # Paper 184 spaces its observation times by the binomial's Fisher information; the log-odds end short of 1 at both ends.
    return np.append(expit(np.linspace(logit(low), logit(1 - low), n)), 1.0)


@dataclass(frozen=True)
class Film(Result):
    """Law of a count from black to data, paths of births, and what each sampler makes in n steps."""

    survival: Array  # (n_levels,) e^-t, rising
    law: Array  # (M + 1, n_levels) q(o), each column over its maximum
    path_survival: Array  # (n_path_levels,)
    paths: Integers  # (n_paths, n_path_levels) of the exact reverse process
    data: Array  # (M + 1,)
    output: dict[str, Array]  # by sampler, (M + 1,)
    steps: int
    black: float  # probability that something is left at T, which starting from black denies

    def table(self) -> pl.DataFrame:
        n, m = self.path_survival.size, self.data.size
        paths = pl.DataFrame(
            {
                "path": np.repeat(np.arange(len(self.paths)), n),
                "survival": np.tile(self.path_survival, len(self.paths)),
                "count": self.paths.ravel().astype(np.int64),
            }
        )
        survival, count = np.meshgrid(self.survival, np.arange(m))
        laws = pl.DataFrame({"survival": survival.ravel(), "count": count.ravel(), "law_over_maximum": self.law.ravel()})
        ends = pl.DataFrame({"count": np.arange(m), "data": self.data, **{f"output, {k}": v for k, v in self.output.items()}})
        return pl.concat([paths, laws, ends], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {
            f"TV, {name}, {self.steps} steps": 0.5 * float(np.abs(law - self.data).sum()) for name, law in self.output.items()
        }
        return shown | {"left at the final time": self.black}


@experiment
def film(
    *,
    count_law: CountLaw = "bimodal",
    max_count: MaxCount = 32,
    reverse_steps: ReverseSteps = 8,
    grid: Grid = "uniform survival",
    final_time: FinalTime = 8.0,
    counts: Counts = None,
    seed: Seed = 0,
) -> Film:
    """Law of the surviving count, paths of the exact reverse births, and the output laws of four samplers."""
    rng = np.random.default_rng(seed)
    p, _, _ = law_of(count_law, max_count, counts)
    survival = np.linspace(1 / LEVELS, 1.0, LEVELS)
    law = np.array([posterior_mean(p, a)[0] for a in survival]).T
    path_levels = np.concatenate([[np.exp(-final_time)], survival[survival > np.exp(-final_time)]])
    paths = np.zeros((N_PATHS, path_levels.size), dtype=np.int64)
    for k in range(path_levels.size - 1):
        cumulative = np.cumsum(reverse_kernel(p, path_levels[k], path_levels[k + 1])[paths[:, k]], axis=1)
        u = rng.random((N_PATHS, 1)) * cumulative[:, -1:]
        paths[:, k + 1] = np.maximum(np.sum(cumulative <= u, axis=1), paths[:, k])
    return Film(
        survival=survival,
        law=law / law.max(axis=0),
        path_survival=path_levels,
        paths=paths,
        data=p,
        output=output_laws(p, levels_of(grid, final_time, reverse_steps)),
        steps=reverse_steps,
        black=1 - float(posterior_mean(p, np.exp(-final_time))[0][0]),
    )


@dataclass(frozen=True)
class CountsCurve(Result):
    """Total variation of the output law from the data, against steps."""

    n: Integers  # (n_points,)
    tv: dict[str, Array]  # by sampler
    start: float  # the error of starting from black: TV of q_T from the point mass at 0
    floor: float | None  # mean TV between your table and the law it was drawn from, estimated
    enough: dict[str, int | None]  # by sampler, the first number of steps drawn whose TV is at most 0.01
    left_out: int

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {"steps": self.n, **{f"tv_{name}": tv for name, tv in self.tv.items()}, "tv_of_the_start": self.start}
        ).with_columns(tv_of_your_sample=pl.lit(self.floor, dtype=pl.Float64))

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {}
        for name in SAMPLERS[1:]:
            n = self.enough[name]
            shown[f"steps for TV {GOOD:g}, {name}"] = float(n) if n is not None else f"more than {self.n[-1]}"
        shown["error of starting from black"] = self.start
        if self.floor is not None:
            within = {name: np.flatnonzero(self.tv[name] <= self.floor) for name in SAMPLERS[1:]}
            shown["sampling error of your table, TV"] = self.floor
            for name, found in within.items():
                shown[f"steps to be within it, {name}"] = float(self.n[found[0]]) if found.size else f"more than {self.n[-1]}"
            if self.left_out:
                shown["rows left out"] = f"{self.left_out}, not whole numbers"
        return shown


@experiment
def counts_curve(
    *,
    count_law: CountLaw = "bimodal",
    max_count: MaxCount = 32,
    grid: Grid = "uniform survival",
    final_time: FinalTime = 8.0,
    counts: Counts = None,
) -> CountsCurve:
    """Exact error of four reverse samplers of a count against their steps, by transition matrices."""
    p, n_counts, left_out = law_of(count_law, max_count, counts)
    runs = [output_laws(p, levels_of(grid, final_time, int(n))) for n in CURVE_STEPS]
    tv = {name: np.array([0.5 * np.abs(run[name] - p).sum() for run in runs]) for name in SAMPLERS}
    enough: dict[str, int | None] = {}
    for name in SAMPLERS:
        good = np.flatnonzero(tv[name] <= GOOD)
        enough[name] = int(CURVE_STEPS[good[0]]) if good.size else None
    # Each frequency errs by a normal deviate of variance p(1 - p)/n, whose mean size is its deviation times sqrt(2/pi).
    floor = float(0.5 * np.sum(np.sqrt(2 / np.pi * p * (1 - p) / n_counts))) if n_counts else None
    return CountsCurve(
        n=CURVE_STEPS,
        tv=tv,
        start=1 - float(posterior_mean(p, np.exp(-final_time))[0][0]),
        floor=floor,
        enough=enough,
        left_out=left_out,
    )
