"""Fit both proxies to measured step times, and choose a width on the machine they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models.transformer_cost import Cost, forward_cost, training_cost
from compute.parameters import Choice, Column, Dataset, LogInteger, LogReal, ParameterError, Seed
from compute.scaling_laws.wall_clock.machine import (
    TIME_MODELS,
    VOCABULARY,
    Bandwidth,
    Hours,
    Layers,
    Machine,
    Peak,
    Setup,
    step_seconds,
)

Array = NDArray[np.float64]

PROXIES = ("traffic", "flops")

TEMPLATE = """layers,width,heads,ffn,sequence,tokens,seconds
4,256,4,4,512,16384,0.0131
4,512,8,4,512,16384,0.0247
8,512,8,4,1024,32768,0.1193
8,768,12,4,1024,32768,0.1790
12,768,12,4,1024,65536,0.4973
12,1024,16,4,1024,65536,0.6633
16,1024,16,4,512,65536,0.5410
24,1024,16,4,1024,65536,1.2563
24,1536,24,4,512,65536,1.2110
32,2048,32,4,512,65536,2.1330
"""
TIMINGS = Dataset(
    "your timings",
    columns=(
        Column("layers", "layers", low=1, high=10_000),
        Column("width", "model width", low=1, high=1e6),
        Column("heads", "attention heads; width/64 where not given", required=False, low=1, high=1e5),
        Column("ffn", "feed-forward ratio; 4 where not given", required=False, low=0.1, high=100),
        Column("sequence", "sequence length", low=1, high=1e7),
        Column("tokens", "tokens per step", low=1, high=1e10),
        Column("seconds", "measured seconds per training step", low=1e-7, high=1e6),
    ),
    template=TEMPLATE,
    help="A CSV of measured training steps, in place of the planted ones.",
)
Table = Annotated[pl.DataFrame | None, TIMINGS]
PlantedBy = Annotated[str, Choice("planted by", options=TIME_MODELS, help="The time model that the planted timings follow.")]
Noise = Annotated[float, LogReal("noise of the timings", r"\sigma", low=1e-3, high=0.3, help="Relative.")]
Count = Annotated[int, LogInteger("planted timings", "n", low=8, high=400)]


@dataclass(frozen=True)
class ProxyFit:
    """t = launch x launches + slope x (bytes or FLOP), least squares of relative errors."""

    launch: float
    launch_error: float
    slope: float
    slope_error: float
    predicted: Array  # (n,)
    spread: float  # root mean square of relative errors
    r_squared: float  # of log seconds


def fit_proxy(launches: Array, work: Array, seconds: Array) -> ProxyFit:
    """Least squares of relative errors on (launches, work), with the usual standard errors.

    Parameters
    ----------
    launches, work, seconds : (n,) arrays
        Launches, bytes or FLOP, and measured time of each step.
    """
    scale = np.array([launches.mean(), work.mean()])
    design = np.column_stack([launches, work]) / scale / seconds[:, None]
    found, *_ = np.linalg.lstsq(design, np.ones(seconds.size), rcond=None)
    residual = design @ found - 1
    noise = float(residual @ residual) / max(seconds.size - 2, 1)
    covariance = noise * np.linalg.inv(design.T @ design)
    error = np.sqrt(np.diag(covariance)) / scale
    predicted = (1 + residual) * seconds
    log_t = np.log(seconds)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.log(np.maximum(predicted, 1e-300)) - log_t
    total = float(np.sum((log_t - log_t.mean()) ** 2))
    slope, launch = float(found[1] / scale[1]), float(found[0] / scale[0])
    squared = 1 - float(np.sum(left**2)) / total if total > 0 else 0.0
    return ProxyFit(
        launch, float(error[0]), slope, float(error[1]), predicted, float(np.sqrt(np.mean(residual**2))), max(squared, -10.0)
    )


@dataclass(frozen=True)
class Timing(Result):
    """Measured against predicted step times by both proxies."""

    seconds: Array  # (n,)
    layers: Array  # (n,)
    width: Array  # (n,)
    fits: dict[str, ProxyFit]
    planted: str | None
    best_width: dict[str, float | None]  # proxy -> best width at your layers and hours on the machine it describes
    at_layers: int

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "layers": self.layers,
                "width": self.width,
                "seconds": self.seconds,
                **{f"predicted_{name}_seconds": fit.predicted for name, fit in self.fits.items()},
                **{f"{name}_over_measured": fit.predicted / self.seconds for name, fit in self.fits.items()},
            }
        )

    def headline(self) -> dict[str, float | str]:
        traffic, flops = self.fits["traffic"], self.fits["flops"]
        found: dict[str, float | str] = {
            "traffic: relative error": traffic.spread,
            "FLOPs: relative error": flops.spread,
            "traffic: R² of log time": traffic.r_squared,
            "FLOPs: R² of log time": flops.r_squared,
            "effective bandwidth, TB/s": _inverse(traffic),
            "launch, microseconds": f"{1e6 * traffic.launch:.3g} ± {1e6 * traffic.launch_error:.1g}",
            "effective peak, TFLOP/s": _inverse(flops),
        }
        for name, width in self.best_width.items():
            found[f"best width at {self.at_layers} layers by {name}"] = (
                width if width is not None else "no answer: the fitted time is not positive"
            )
        return found


def _inverse(fit: ProxyFit) -> float | str:
    if fit.slope <= 0:
        return "none: time falls with the work"
    return f"{1e-12 / fit.slope:.3g} ± {1e-12 / fit.slope * fit.slope_error / fit.slope:.1g}"


def _planted(rng: np.random.Generator, n: int, machine: Machine, model: str, sigma: float) -> tuple[Array, Array, Cost, Array]:
    layers = np.rint(np.exp(rng.uniform(np.log(2), np.log(48), n)))
    width = 64 * np.rint(np.exp(rng.uniform(np.log(4), np.log(64), n)))
    sequence = 2.0 ** rng.integers(8, 13, n)
    tokens = sequence * 2.0 ** rng.integers(2, 7, n)
    cost = training_cost(forward_cost(layers, width, sequence=sequence, tokens=tokens, vocabulary=VOCABULARY))
    return layers, width, cost, step_seconds(cost, machine, model) * np.exp(sigma * rng.standard_normal(n))


@experiment
def timing_fit(
    *,
    timings: Table = None,
    planted_by: PlantedBy = "roofline",
    n_timings: Count = 60,
    timing_noise: Noise = 0.03,
    layers: Layers = 12,
    hours: Hours = 24.0,
    bandwidth: Bandwidth = 2.0,
    peak: Peak = 300.0,
    seed: Seed = 0,
) -> Timing:
    """Fit t = c_0 launches + c_1 bytes, and the same with FLOP, to measured training steps; then choose a width by each.

    The width is that of least loss (Besiroglu's constants) at your layers after your hours, at 65,000 tokens a step of length 1,024.

    Raises
    ------
    ParameterError
        For fewer than four timings, or timings of one shape.
    """
    machine = Machine(peak * 1e12, bandwidth * 1e12)
    if timings is None:
        n, d, cost, seconds = _planted(np.random.default_rng([seed, 1]), n_timings, machine, planted_by, timing_noise)
    else:
        if timings.height < 4:
            raise ParameterError("timings", f"holds {timings.height} rows; two constants need 4 or more.")

        def column(name: str, default: Array | float) -> Array:
            if name not in timings.columns:
                return np.broadcast_to(np.asarray(default, dtype=float), timings.height)
            given = timings[name].cast(pl.Float64).to_numpy()
            return np.where(np.isfinite(given), given, default)

        n, d, seconds = (timings[c].to_numpy() for c in ("layers", "width", "seconds"))
        heads, ratio = column("heads", d / 64), column("ffn", 4.0)
        cost = training_cost(
            forward_cost(
                n,
                d,
                heads=heads,
                ffn_ratio=ratio,
                sequence=timings["sequence"].to_numpy(),
                tokens=timings["tokens"].to_numpy(),
                vocabulary=VOCABULARY,
            )
        )
    launches, traffic, flops = (v.sum(axis=0) for v in (cost.launches, cost.bytes, cost.flops))
    if (
        min(np.ptp(np.log(traffic)), np.ptp(np.log(flops))) < 1e-6
        or np.linalg.matrix_rank(np.column_stack([launches, traffic])) < 2
    ):
        raise ParameterError("timings", "are all of one shape; vary layers, width or tokens.")
    fits = {"traffic": fit_proxy(launches, traffic, seconds), "flops": fit_proxy(launches, flops, seconds)}
    best: dict[str, float | None] = {}
    for name, fit in fits.items():
        best[name] = None
        if fit.slope > 0:
            budget = Setup(
                bandwidth=1e-12 / fits["traffic"].slope if name == "traffic" else bandwidth,
                peak=1e-12 / fit.slope if name == "flops" else peak,
            ).budget()
            own = Machine(budget.machine.peak, budget.machine.bandwidth, max(fit.launch, 0.0))
            best[name] = float(type(budget)(own, budget.workload).best_width(float(layers), hours * 3600, name))
    return Timing(seconds, n, d, fits, None if timings is not None else planted_by, best, layers)
