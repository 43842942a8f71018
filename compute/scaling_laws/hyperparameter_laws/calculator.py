"""What each published law says: along a sweep, over the plane of (N, D), and for a list of planned runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.parameters import Choice, Column, Dataset, ParameterError
from compute.scaling_laws.hyperparameter_laws.laws import (
    LAWS,
    MAX_KAPLAN_PARAMETERS,
    STEP_PARAMETERS,
    STEP_TOKENS,
    PowerRule,
    batch_size,
    learning_rate,
)
from compute.scaling_laws.hyperparameter_laws.parameters import (
    CUSTOM,
    CustomBatch,
    CustomBatchD,
    CustomBatchN,
    CustomRate,
    CustomRateD,
    CustomRateN,
    ExponentError,
    LawName,
    Parameters,
    Tokens,
)

Array = NDArray[np.float64]

TOKENS_PER_PARAMETER = 20.0
ALONG = ("tokens", "parameters", "compute")
SHOWN = ("learning rate", "batch size", "rate over second law", "batch over second law")

Along = Annotated[
    str, Choice("sweep", options=ALONG, help="Tokens at your N, parameters at your D, or compute at 20 tokens per parameter.")
]
Shown = Annotated[str, Choice("map shows", options=SHOWN)]
SecondLaw = Annotated[str, Choice("second law", options=LAWS, help="What the law to follow is compared with.")]

PLAN_TEMPLATE = "name,N,D\nmine 1B,1e9,1e11\nmine 7B,7e9,2e12\n"
PLANS = Dataset(
    "planned runs",
    columns=(
        Column("name", "label of the run", required=False, is_text=True),
        Column("N", "parameters without the vocabulary's", low=1e6, high=1e13),
        Column("D", "training tokens", low=1e7, high=1e15),
    ),
    template=PLAN_TEMPLATE,
    help="A CSV of runs to plan: N and D.",
)
Plans = Annotated[pl.DataFrame | None, PLANS]
EXAMPLES = (
    ("125M, 2.5B tokens", 1.25e8, 2.5e9),
    ("350M, 7B", 3.5e8, 7e9),
    ("1B, 20B", 1e9, 2e10),
    ("1B, 100B", 1e9, 1e11),
    ("1B, 1T", 1e9, 1e12),
    ("7B, 140B", 7e9, 1.4e11),
    ("7B, 2T", 7e9, 2e12),
    ("70B, 1.4T", 7e10, 1.4e12),
)


def exists(rate: float, law: str) -> float | str:
    """A rate, or why there is none."""
    if np.isfinite(rate):
        return float(rate)
    return "none: this law speaks of the batch only" if law == "minicpm" else f"none above N = {MAX_KAPLAN_PARAMETERS:.3g}"


# --- along a sweep ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LawCurves(Result):
    """Learning rate and batch of every law along a sweep of tokens, parameters or compute."""

    along: str
    x: Array  # (n_points,) tokens, parameters or FLOP
    at_x: float  # the reader's own point
    rate: dict[str, Array]  # law -> (n_points,) NaN where it gives none
    batch: dict[str, Array]  # law -> (n_points,)
    error_factor: Array  # (n_points,) what an error in each exponent amounts to
    law: str
    here: dict[str, tuple[float, float]]  # law -> rate and batch at (N, D)
    n_tokens: float
    fitted: tuple[float, float]  # of x in the Step law's runs

    def table(self) -> pl.DataFrame:
        units = {"tokens": "D_tokens", "parameters": "N", "compute": "C_FLOP"}
        parts = [
            pl.DataFrame({"law": name, units[self.along]: self.x, "learning_rate": self.rate[name], "batch_tokens": batch})
            for name, batch in self.batch.items()
        ]
        table = pl.concat(parts).with_columns(pl.col("learning_rate").fill_nan(None))
        followed = pl.col("law") == self.law
        factor = pl.Series(np.tile(self.error_factor, len(parts)))
        for name in ("learning_rate", "batch_tokens"):
            table = table.with_columns(
                pl.when(followed).then(pl.col(name) / factor).alias(f"{name}_low"),
                pl.when(followed).then(pl.col(name) * factor).alias(f"{name}_high"),
            )
        return table

    def headline(self) -> dict[str, float | str]:
        rate, batch = self.here[self.law]
        found: dict[str, float | str] = {
            "learning rate": exists(rate, self.law),
            "batch, tokens": batch,
            "steps": self.n_tokens / batch,
        }
        for name, (other_rate, other_batch) in self.here.items():
            if name != self.law:
                ratio = f"{other_rate / rate:.2g}×" if np.isfinite(other_rate / rate) else "none"
                found[f"{name}: rate, batch over these"] = f"{ratio}, {other_batch / batch:.2g}×"
        return found


@experiment
def law_curves(
    *,
    along: Along = "tokens",
    parameters: Parameters = 1e9,
    tokens: Tokens = 1e11,
    law: LawName = "step",
    exponent_error: ExponentError = 0.03,
    custom_rate: CustomRate = CUSTOM.rate,
    custom_rate_n: CustomRateN = CUSTOM.rate_n,
    custom_rate_d: CustomRateD = CUSTOM.rate_d,
    custom_batch: CustomBatch = CUSTOM.batch,
    custom_batch_n: CustomBatchN = CUSTOM.batch_n,
    custom_batch_d: CustomBatchD = CUSTOM.batch_d,
) -> LawCurves:
    """Learning rate and batch by every law, along tokens at your N, parameters at your D, or compute at D = 20 N.

    The band of the law followed is the factor (N/N_0)^{±delta} (D/D_0)^{±delta}, worst signs, about the geometric middle of
    the Step law's runs.
    """
    custom = PowerRule(custom_rate, custom_rate_n, custom_rate_d, custom_batch, custom_batch_n, custom_batch_d)
    if along == "tokens":
        x = np.geomspace(1e9, 1e13, 81)
        n, d, at_x, fitted = np.full(x.size, parameters), x, tokens, STEP_TOKENS
    elif along == "parameters":
        x = np.geomspace(6e7, 1e11, 81)
        n, d, at_x, fitted = x, np.full(x.size, tokens), parameters, STEP_PARAMETERS
    else:
        x = np.geomspace(1e18, 1e25, 81)
        n = np.sqrt(x / (6 * TOKENS_PER_PARAMETER))
        d, at_x = TOKENS_PER_PARAMETER * n, 6 * parameters * tokens
        # Of the runs on this line: from the smallest model to the largest number of tokens.
        fitted = (120 * STEP_PARAMETERS[0] ** 2, 6 * STEP_TOKENS[1] ** 2 / 20)
        at_x = min(max(at_x, x[0]), x[-1])
    shown = [name for name in LAWS if name != "custom" or law == "custom"]
    spread = np.abs(np.log(n / np.sqrt(np.prod(STEP_PARAMETERS)))) + np.abs(np.log(d / np.sqrt(np.prod(STEP_TOKENS))))
    return LawCurves(
        along,
        x,
        at_x,
        {name: learning_rate(name, n, d, custom) for name in shown},
        {name: batch_size(name, n, d, custom) for name in shown},
        np.exp(exponent_error * spread),
        law,
        {
            name: (
                float(learning_rate(name, parameters, tokens, custom)),
                float(batch_size(name, parameters, tokens, custom)),
            )
            for name in shown
        },
        tokens,
        fitted,
    )


# --- over the plane --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LawMap(Result):
    """A law's recommendation, or its ratio to another's, over parameters and tokens."""

    n: Array  # (n_sizes,)
    d: Array  # (n_tokens,)
    value: Array  # (n_tokens, n_sizes) NaN where a law gives none
    shown: str
    law: str
    second_law: str
    here: float

    @property
    def is_ratio(self) -> bool:
        return "over" in self.shown

    def table(self) -> pl.DataFrame:
        name = self.shown.replace(" ", "_")
        with np.errstate(invalid="ignore"):
            color = np.log2(self.value) if self.is_ratio else np.log10(self.value)
        return grid_table(
            "N", self.n, "D_tokens", self.d, **{name: self.value, ("log2_" if self.is_ratio else "log10_") + name: color}
        )

    def headline(self) -> dict[str, float | str]:
        sound = self.value[np.isfinite(self.value)]
        return {
            f"{self.shown} at your N, D": float(self.here) if np.isfinite(self.here) else "none here",
            "least on the map": float(sound.min()),
            "most on the map": float(sound.max()),
        }


@experiment
def law_map(
    *,
    parameters: Parameters = 1e9,
    tokens: Tokens = 1e11,
    law: LawName = "step",
    second_law: SecondLaw = "deepseek",
    map_shows: Shown = "rate over second law",
    custom_rate: CustomRate = CUSTOM.rate,
    custom_rate_n: CustomRateN = CUSTOM.rate_n,
    custom_rate_d: CustomRateD = CUSTOM.rate_d,
    custom_batch: CustomBatch = CUSTOM.batch,
    custom_batch_n: CustomBatchN = CUSTOM.batch_n,
    custom_batch_d: CustomBatchD = CUSTOM.batch_d,
) -> LawMap:
    """The law's learning rate or batch over (N, D), or the factor between two laws.

    Raises
    ------
    ParameterError
        Where a learning rate is asked of MiniCPM's law, which has none.
    """
    custom = PowerRule(custom_rate, custom_rate_n, custom_rate_d, custom_batch, custom_batch_n, custom_batch_d)
    of_rate, of_ratio = "rate" in map_shows, "over" in map_shows
    for name, asked in (("law", law), *((("second_law", second_law),) if of_ratio else ())):
        if of_rate and asked == "minicpm":
            raise ParameterError(name, "gives no learning rate; choose another law, or let the map show the batch.")
    function = learning_rate if of_rate else batch_size

    def value(n: Array | float, d: Array | float) -> Array:
        found = function(law, n, d, custom)
        return found / function(second_law, n, d, custom) if of_ratio else found

    n, d = np.geomspace(6e7, 1e11, 61), np.geomspace(1e9, 1e13, 61)
    return LawMap(n, d, value(n[None, :], d[:, None]), map_shows, law, second_law, float(value(parameters, tokens)))


# --- a list of runs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanTable(Result):
    """Hyperparameters of a list of runs by every law."""

    name: list[str]  # (n_runs,)
    n: Array  # (n_runs,)
    d: Array  # (n_runs,)
    rate: dict[str, Array]  # law -> (n_runs,) NaN where it gives none
    batch: dict[str, Array]  # law -> (n_runs,)
    law: str

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame(
                {
                    "run": self.name,
                    "row": np.arange(self.n.size, dtype=float),
                    "law": law,
                    "N": self.n,
                    "D_tokens": self.d,
                    "learning_rate": self.rate[law],
                    "batch_tokens": batch,
                    "steps": self.d / batch,
                }
            )
            for law, batch in self.batch.items()
        ]
        return pl.concat(parts).with_columns(pl.col("learning_rate").fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        rates = np.array([np.where(np.isfinite(r), r, np.nan) for r in self.rate.values()])
        batches = np.array(list(self.batch.values()))
        spread = np.nanmax(rates, axis=0) / np.nanmin(rates, axis=0)
        spread_batch = batches.max(axis=0) / batches.min(axis=0)
        worst, worst_batch = int(np.argmax(spread)), int(np.argmax(spread_batch))
        inside = (self.n <= 1.1 * STEP_PARAMETERS[1]) & (self.d <= 1.1 * STEP_TOKENS[1])
        return {
            "runs": float(self.n.size),
            "widest disagreement on the rate": f"{spread[worst]:.2g}× ({self.name[worst]})",
            "widest disagreement on the batch": f"{spread_batch[worst_batch]:.2g}× ({self.name[worst_batch]})",
            "runs within the Step law's range": f"{int(inside.sum())} of {self.n.size}",
        }


@experiment
def plan_table(
    *,
    law: LawName = "step",
    plans: Plans = None,
    custom_rate: CustomRate = CUSTOM.rate,
    custom_rate_n: CustomRateN = CUSTOM.rate_n,
    custom_rate_d: CustomRateD = CUSTOM.rate_d,
    custom_batch: CustomBatch = CUSTOM.batch,
    custom_batch_n: CustomBatchN = CUSTOM.batch_n,
    custom_batch_d: CustomBatchD = CUSTOM.batch_d,
) -> PlanTable:
    """Learning rate, batch and steps of planned runs by every law; bring your own list as a CSV.

    Raises
    ------
    ParameterError
        Where more than 40 runs are brought.
    """
    custom = PowerRule(custom_rate, custom_rate_n, custom_rate_d, custom_batch, custom_batch_n, custom_batch_d)
    if plans is None:
        names = [name for name, _, _ in EXAMPLES]
        n, d = np.array([row[1:] for row in EXAMPLES], dtype=float).T
    else:
        if plans.height > 40:
            raise ParameterError("plans", f"holds {plans.height} runs; bring 40 or fewer.")
        n, d = plans["N"].to_numpy(), plans["D"].to_numpy()
        given = plans["name"].to_list() if "name" in plans.columns else [None] * plans.height
        names = [label or f"{a:.3g}, {b:.3g}" for label, a, b in zip(given, n, d, strict=True)]
    shown = [name for name in LAWS if name != "custom" or law == "custom"]
    return PlanTable(
        names,
        n,
        d,
        {name: learning_rate(name, n, d, custom) for name in shown},
        {name: batch_size(name, n, d, custom) for name in shown},
        law,
    )
