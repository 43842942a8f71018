"""Where in learning rate and scale of the start the extrapolation of ``prediction`` holds, beside the basin of low loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.power_law import fit_log_huber
from compute.models.width_parametrization import power_law_task
from compute.parameters import Choice, Seed
from compute.scaling_laws.mu_transfer.exact import (
    N_INPUTS,
    LargestWidth,
    SpectrumExponent,
    Steps,
    losses_at,
    seconds_of,
    starts,
)
from compute.scaling_laws.mu_transfer.prediction import (
    FORM,
    HUBER,
    FittedWidths,
    InitScale,
    PredictionSeeds,
    RateOffset,
    fitted_widths,
    log_law,
    tuned_rate,
)
from compute.scaling_laws.mu_transfer.sweep import Array

N_BASIN_RATES, N_BASIN_SCALES = 25, 17
ACCURATE = 0.02
LOW = 4.0  # the basin: loss up to so many times its lowest

Parametrization = Annotated[str, Choice("parametrization", "", options=("muP", "SP"))]


@dataclass(frozen=True)
class Basin(Result):
    """Error of the prediction over (rate, scale of the start), and the loss basin."""

    parametrization: str
    rate_offset: Array  # (n_rates,)
    init_scale: Array  # (n_scales,) as far as computed
    error: Array  # (n_scales, n_rates) |predicted/true - 1| at the largest, NaN where something diverged
    loss: Array  # (n_scales, n_rates) at the widest fitted, NaN where it diverged
    basin: tuple[Array, Array]  # lines where that loss is ``LOW`` times its lowest
    at: tuple[float, float]

    @property
    def log_error(self) -> Array:
        """log10 of the error."""
        return np.log10(np.maximum(self.error, 1e-6))

    @property
    def diverged(self) -> Array:
        """1 where something diverged, else NaN."""
        return np.where(np.isnan(self.error), 1.0, np.nan)

    def table(self) -> pl.DataFrame:
        rate, scale = np.meshgrid(self.rate_offset, self.init_scale)
        columns = {
            "loss_at_widest_fitted": self.loss,
            "relative_error_at_largest": self.error,
            "log10_relative_error": self.log_error,
        }
        return pl.DataFrame(
            {
                "rate_over_best": rate.ravel(),
                "init_scale": scale.ravel(),
                "diverged": np.isnan(self.error).astype(float).ravel(),
                **{k: [float(v) if np.isfinite(v) else None for v in part.ravel()] for k, part in columns.items()},
            },
            schema_overrides=dict.fromkeys(columns, pl.Float64),
        )

    def headline(self) -> dict[str, float | str]:
        inside = self.loss <= LOW * np.nanmin(self.loss) if np.isfinite(self.loss).any() else np.zeros(self.loss.shape, bool)
        good = self.error < ACCURATE
        found: dict[str, float | str] = {"parametrization": self.parametrization}
        found["share of the basin predicted within 2%"] = f"{100 * good[inside].mean():.0f}%" if inside.any() else "no basin"
        found["share of the rest"] = f"{100 * good[~inside].mean():.0f}%" if (~inside).any() else "no rest"
        found["median error in the basin"] = (
            f"{100 * np.nanmedian(self.error[inside]):.1f}%" if np.isfinite(self.error[inside]).any() else "diverges"
        )
        return found


def _basin_seconds(*, n_fitted: int, steps: int, n_losses: int, **_: object) -> float:
    n_cells = N_BASIN_RATES * N_BASIN_SCALES
    return 0.1 + n_cells * (1.2e-3 + seconds_of((n_fitted + 1) * n_losses, steps))


@experiment(seconds=_basin_seconds)
def prediction_basin(
    *,
    parametrization: Parametrization = "muP",
    rate_offset: RateOffset = 0.5,
    init_scale: InitScale = 1.0,
    largest_width: LargestWidth = 4096,
    n_fitted: FittedWidths = 5,
    steps: Steps = 40,
    spectrum_exponent: SpectrumExponent = 1.5,
    n_losses: PredictionSeeds = 64,
    seed: Seed = 0,
) -> Iterator[tuple[float, Basin]]:
    """Where in learning rate and start the extrapolation of the loss holds, beside the basin of low loss."""
    task = power_law_task(N_INPUTS, spectrum_exponent)
    fitted = fitted_widths(largest_width, n_fitted)
    widths = [*fitted, largest_width]
    offsets, scales = np.geomspace(0.03, 3, N_BASIN_RATES), np.geomspace(0.25, 4, N_BASIN_SCALES)
    rate = offsets * tuned_rate(parametrization, fitted[-1], task, steps, seed)
    grams = [starts(parametrization, n, n_losses, seed + 1) for n in widths]
    error, loss = np.full((0, rate.size), np.nan), np.full((0, rate.size), np.nan)
    x = np.array(fitted, dtype=float)[:, None]
    for k, scale in enumerate(scales):
        logs = np.array(
            [
                np.log(np.maximum(losses_at(parametrization, n, rate, scale**2 * g, task, steps), 1e-300))
                for n, g in zip(widths, grams, strict=True)
            ]
        )  # (n_widths, n_seeds, n_rates)
        sound = np.isfinite(logs).all(axis=(0, 1))
        row = np.full(rate.size, np.nan)
        for j in np.flatnonzero(sound):
            means, spread = logs[:, :, j].mean(axis=1), logs[:-1, :, j].var(axis=1)
            weight = 1 / np.maximum(spread, 1e-12)
            weight /= weight.mean()
            fit = fit_log_huber(FORM, x, np.exp(means[:-1]), weights=weight, huber_delta=HUBER)
            law = log_law(fit.parameters[None], weight[None], means[:-1], np.array([float(largest_width)]))
            row[j] = abs(np.expm1(law[0, 0] - means[-1]))
        at_fitted = logs[len(fitted) - 1].mean(axis=0)
        error, loss = np.vstack([error, row]), np.vstack([loss, np.where(np.isfinite(at_fitted), np.exp(at_fitted), np.nan)])
        yield (
            (k + 1) / scales.size,
            Basin(
                parametrization,
                offsets,
                scales[: k + 1],
                error,
                loss,
                basin_lines(offsets, scales[: k + 1], loss),
                (rate_offset, init_scale),
            ),
        )


def basin_lines(offsets: Array, scales: Array, loss: Array) -> tuple[Array, Array]:
    """Lines at ``LOW`` times the lowest loss; empty where there are none."""
    if len(scales) < 2 or not np.isfinite(loss).any():
        return np.empty(0), np.empty(0)
    logs = np.log(np.where(np.isfinite(loss), loss, 10.0) / np.nanmin(loss))
    x, y = level_lines(np.log(offsets), np.log(scales), logs, float(np.log(LOW)))
    return np.exp(x), np.exp(y)
