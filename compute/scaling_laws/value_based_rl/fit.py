"""Fit the law to runs of one's own: each level by itself, batches and rates as powers of the ratio, and what a price makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.methods.power_law import PowerLawForm, fit_log_huber, refit_log_huber
from compute.parameters import Column, Dataset, LogInteger, LogReal, ParameterError, Seed
from compute.scaling_laws.value_based_rl.law import (
    Alpha,
    BatchExponent,
    Beta0,
    DataFloor,
    DataPrice,
    LevelExponent,
    UtdLaw,
    best_utd,
    data_needed,
)

Array = NDArray[np.float64]

FORM = PowerLawForm(((0,), (1,)))
HUBER_DELTA = 0.05
BAND = 0.8
PLANTED_RATIOS = 2.0 ** np.arange(-2, 6)
PLANTED_LEVELS = (0.0, 0.5, 0.8)
N_SEEDS = 3
FINE = np.geomspace(0.1, 128.0, 73)

TEMPLATE = """utd,level,steps,batch,rate
0.5,0.6,412000,512,1.0e-3
1,0.6,301000,410,8.1e-4
2,0.6,236000,300,6.4e-4
4,0.6,192000,235,5.2e-4
8,0.6,168000,180,4.0e-4
16,0.6,151000,130,3.3e-4
0.5,0.8,1130000,512,1.0e-3
1,0.8,790000,410,8.1e-4
2,0.8,583000,300,6.4e-4
4,0.8,452000,235,5.2e-4
8,0.8,371000,180,4.0e-4
16,0.8,322000,130,3.3e-4
"""
RUNS = Dataset(
    "your runs",
    columns=(
        Column("utd", "gradient updates per environment step", low=1e-4, high=1e5),
        Column("level", "performance reached", low=-1e9, high=1e9),
        Column("steps", "environment steps it took", low=1, high=1e15),
        Column("batch", "best batch at this ratio", required=False, low=1e-3, high=1e9),
        Column("rate", "best learning rate at this ratio", required=False, low=1e-12, high=1e3),
    ),
    template=TEMPLATE,
    help="A CSV of measurements to fit in place of the planted ones: utd, level, steps.",
)
Table = Annotated[pl.DataFrame | None, RUNS]
Noise = Annotated[float, LogReal("noise of log data", r"\sigma_{D}", low=1e-3, high=0.5, help="Of the planted runs.")]
Refits = Annotated[int, LogInteger("bootstrap refits", low=20, high=1000)]


@dataclass(frozen=True)
class LevelFit:
    """The law of one level: D = Dmin (1 + (beta/sigma)^alpha)."""

    level: float
    least: float
    beta: float
    alpha: float
    alpha_low: float
    alpha_high: float
    curve: Array  # (n_fine,)
    low: Array  # (n_fine,)
    high: Array  # (n_fine,)
    best: float  # sigma* at the price


@dataclass(frozen=True)
class DataFit(Result):
    """Measurements, and the law fitted to each level."""

    utd: Array  # (n_runs,)
    level: Array  # (n_runs,)
    steps: Array  # (n_runs,)
    fits: list[LevelFit]
    unfitted: list[float]  # levels that give no law
    batch_exponent: float
    batch_error: float | None  # None where it is the slider's
    rate_exponent: float | None
    truth: UtdLaw | None

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame({"kind": "run", "utd": self.utd, "level": self.level, "data_steps": self.steps})
        curves = [
            pl.DataFrame({"kind": "fit", "utd": FINE, "level": f.level, "data_steps": f.curve, "low_80": f.low, "high_80": f.high})
            for f in self.fits
        ]
        return pl.concat([runs, *curves], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for f in self.fits[-4:]:
            found[f"level {f.level:g}: α (80%)"] = f"{f.alpha:.2f} ({f.alpha_low:.2f} to {f.alpha_high:.2f})"
            found[f"level {f.level:g}: β, σ*"] = f"{f.beta:.3g}, {f.best:.3g}"
        error = " (the slider's)" if self.batch_error is None else f" ± {self.batch_error:.2g}"
        found["batch exponent"] = f"{self.batch_exponent:.2f}{error}"
        if self.rate_exponent is not None:
            found["learning-rate exponent"] = self.rate_exponent
        if self.unfitted:
            found["levels without a law"] = ", ".join(f"{v:g}" for v in self.unfitted[:5])
        return found


def _sound(p: Array) -> NDArray[np.bool_]:
    """Rows (theta_0, theta_1, alpha) that are a floor and a falling power."""
    with np.errstate(invalid="ignore"):
        return np.all(np.isfinite(p), axis=-1) & (p[..., 2] > 0.02) & (p[..., 2] < 20) & (np.abs(p[..., :2]).max(axis=-1) < 80)


def _curve(p: Array) -> Array:
    """(…, n_fine) data by rows of (theta_0, theta_1, alpha)."""
    return np.exp(np.logaddexp(p[..., :1], p[..., 1:2] - p[..., 2:3] * np.log(FINE)))


def power_exponent(ratio: Array, values: Array) -> tuple[float, float]:
    """Exponent a of values ~ ratio^-a by least squares in the logs, and its standard error."""
    x, y = np.log(ratio), np.log(values)
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    residual = y - y.mean() - slope * away
    return -slope, float(np.sqrt(residual @ residual / max(x.size - 2, 1) / (away @ away)))


def _seconds(*, n_refits: int, runs: pl.DataFrame | None, **_: object) -> float:
    rows = len(PLANTED_LEVELS) * PLANTED_RATIOS.size * N_SEEDS if runs is None else runs.height
    return 0.02 + 4e-6 * n_refits * rows


@experiment(seconds=_seconds)
def data_fit(
    *,
    runs: Table = None,
    data_price: DataPrice = 10.0,
    data_noise: Noise = 0.08,
    n_refits: Refits = 100,
    data_floor: DataFloor = 1e5,
    beta0: Beta0 = 2.0,
    alpha: Alpha = 0.8,
    batch_exponent: BatchExponent = 0.4,
    level_exponent: LevelExponent = 0.3,
    seed: Seed = 0,
) -> Iterator[tuple[float, DataFit]]:
    """Fit D = Dmin (1 + (beta/sigma)^alpha) to the runs of each level by the log-Huber objective, with a bootstrap over runs.

    Without a table, three levels (J = 0, 0.5, 0.8) are planted from the law as set, at eight ratios with three seeds.

    Raises
    ------
    ParameterError
        Where no level has four ratios and a law.
    """
    truth = None
    if runs is None:
        truth = UtdLaw(data_floor, beta0, alpha, batch_exponent, level_exponent)
        grid = np.meshgrid(np.array(PLANTED_LEVELS), PLANTED_RATIOS, np.arange(N_SEEDS), indexing="ij")
        level, utd = grid[0].ravel(), grid[1].ravel()
        noise = np.random.default_rng([seed, 1]).standard_normal(utd.size)
        steps = data_needed(truth, utd, 1 - level) * np.exp(data_noise * noise)
    else:
        utd, level, steps = (runs[c].to_numpy() for c in ("utd", "level", "steps"))
    exponent, error, rate = batch_exponent, None, None
    if runs is not None:
        for name in ("batch", "rate"):
            known = runs.drop_nulls(name) if name in runs.columns else runs.head(0)
            if known["utd"].n_unique() >= 3:
                found = power_exponent(known["utd"].to_numpy(), known[name].to_numpy())
                if name == "batch":
                    exponent, error = found
                else:
                    rate = found[0]
    fits: list[LevelFit] = []
    unfitted: list[float] = []
    levels = np.unique(level)
    if levels.size > 12:
        raise ParameterError("runs", f"hold {levels.size} levels; bring 12 or fewer.")
    for k, at in enumerate(levels):
        rows = level == at
        fit = _fit_level(float(at), utd[rows], steps[rows], min(exponent, 0.98), data_price, n_refits, seed)
        if fit is None:
            unfitted.append(float(at))
        else:
            fits.append(fit)
        if fits:
            yield (k + 1) / levels.size, DataFit(utd, level, steps, list(fits), list(unfitted), exponent, error, rate, truth)
    if not fits:
        raise ParameterError(
            "runs" if runs is not None else "data_noise",
            "gives no level with four ratios and data that fall to a floor; add ratios on both sides, or lower the noise.",
        )


def _fit_level(
    level: float, utd: Array, steps: Array, batch_exponent: float, price: float, n_refits: int, seed: int
) -> LevelFit | None:
    if np.unique(utd).size < 4:
        return None
    fitted = fit_log_huber(FORM, utd[:, None], steps, huber_delta=HUBER_DELTA)
    p = fitted.parameters
    if not _sound(p[None])[0]:
        return None
    *_, (_, refits) = bootstrap(
        lambda counts: refit_log_huber(fitted, utd[:, None], steps, counts, huber_delta=HUBER_DELTA),
        utd.size,
        n_refits,
        np.random.default_rng([seed, 2]),
    )
    refits = refits[_sound(refits)]
    curve = _curve(p)
    low, high, ends = curve, curve, (float(p[2]), float(p[2]))
    if len(refits) >= 5:
        low, high = interval(_curve(refits), BAND)
        edges = interval(refits[:, 2], BAND)
        ends = (float(edges[0]), float(edges[1]))
    least, beta = float(np.exp(p[0])), float(np.exp((p[1] - p[0]) / p[2]))
    best = float(best_utd(UtdLaw(least, beta, float(p[2]), batch_exponent, 0.0), 1.0, price))
    return LevelFit(level, least, beta, float(p[2]), *ends, curve, low, high, best)
